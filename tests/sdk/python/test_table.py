"""An empty cell cannot hide."""

import table


def full():
    return [{"row": row, "cell": cell, "outcome": "passed"} for row, cell in table.expected()]


def test_a_full_table_has_no_faults():
    assert table.faults(full())[1] == []
    assert len(table.expected()) == 3 * 6 * 15 + 2 * 13


def test_every_lost_failed_or_skipped_cell_is_a_fault():
    for i, one in enumerate(full()):
        assert len(table.faults(full()[:i] + full()[i + 1 :])[1]) == 1
        for outcome in ["failed", "skipped"]:
            assert len(table.faults([*full(), {**one, "outcome": outcome}])[1]) == 1
    assert len(table.faults([*full(), {"row": "x", "cell": "y", "outcome": "passed"}])[1]) == 1


def test_the_table_shows_what_is_missing():
    assert "MISSING" not in table.render(table.faults(full())[0])
    assert table.render(table.faults(full()[1:])[0]).count("MISSING") == 1

"""What README.md and ARCHITECTURE.md name exists, and what exists and matters to a user is named."""

import os
import re
import subprocess

import documents
from documents import ROOT


def test_every_flag_is_told_and_no_other():
    program = os.path.join(os.environ.get("LLMROUTE_BIN_DIR", ROOT / "target" / "debug"), "llmroute-sidecar")
    text = subprocess.run([program, "--help"], check=True, capture_output=True, text=True).stdout
    known = re.findall(r"^ {2,}(?:-\w, )?--([a-z-]+)(.*)$", text, re.M)
    told = documents.flags_told()
    assert set(told) == {name for name, _ in known} - {"help", "version"}
    for name, rest in known:
        if default := re.search(r"\[default: (.*)\]$", rest):
            assert f"`{default[1]}`" in told[name], f"the README's row for --{name} does not give its default"


def test_every_make_target_that_is_named_exists():
    phony, _ = documents.targets()
    assert documents.targets_told() - phony == set()


def test_make_help_lists_every_target():
    phony, listed = documents.targets()
    assert phony == listed


def test_every_place_that_is_named_exists():
    assert documents.missing_places() == []


def test_the_policies_shown_are_the_examples():
    shown = [block for block in documents.blocks("yaml") if "kind: LLMRoutePolicy" in block]
    for name, block in zip(("minimal", "budgets"), shown, strict=True):
        comment, _, example = (ROOT / f"manifests/examples/{name}.yaml").read_text().partition("\n")
        assert comment.startswith("#") and block == example


def test_every_metric_that_is_named_exists():
    listed = {line.split()[0] for line in (ROOT / "tests/goldens/metrics.txt").read_text().splitlines()}
    assert documents.metrics_told() - listed == set()

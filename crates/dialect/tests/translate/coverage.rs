//! Which line of the checklist concerns which arrow and mode, and that each has its case. What is about the sidecar, and
//! answers that are passed on byte by byte, is held by tests elsewhere, by name.

use std::path::Path;

use dialect::Dialect::{self, Chat, Messages, Responses};

use crate::cases::{self, Arrow, Mode};

/// Numbers that wait for their code: their cases are not asked for, and not run.
const PENDING: &[&str] = &[];

/// Arrows between formats: `C>M` is a Chat caller at a Messages provider.
const ALL: &str = "C>M M>C C>R R>C M>R R>M";
/// A Messages caller or provider: between the vendors.
const VENDORS: &str = "C>M M>C M>R R>M";
/// Every arrow, and those within one format, where requests are edited.
const NINE: &str = "C>M M>C C>R R>C M>R R>M C>C R>R M>M";
/// To a Messages provider.
const TO_M: &str = "C>M R>M";
/// To a Chat provider.
const AT_C: &str = "M>C R>C";
/// Of a Responses caller.
const OF_R: &str = "R>C R>M";
/// Of a Messages caller.
const OF_M: &str = "M>C M>R";

struct Line {
    number: u64,
    /// Arrows by mode; a mode may stand twice.
    cases: &'static [(Mode, &'static str)],
    /// Further tests: file and function.
    elsewhere: &'static [(&'static str, &'static str)],
}

const fn line(number: u64, cases: &'static [(Mode, &'static str)]) -> Line {
    Line { number, cases, elsewhere: &[] }
}

const fn held(
    number: u64,
    cases: &'static [(Mode, &'static str)],
    elsewhere: &'static [(&'static str, &'static str)],
) -> Line {
    Line { number, cases, elsewhere }
}

const REQUEST: Mode = Mode::Request;
const ANSWER: Mode = Mode::Answer;
const STREAM: Mode = Mode::Stream;
const ERROR: Mode = Mode::Error;
const HEADERS: Mode = Mode::Headers;

const TABLE: &[Line] = &[
    line(1, &[(REQUEST, NINE)]),
    line(2, &[(REQUEST, NINE)]),
    line(3, &[(REQUEST, NINE), (ANSWER, AT_C), (STREAM, AT_C)]),
    line(4, &[(REQUEST, "C>M M>C C>R M>R C>C M>M"), (ANSWER, VENDORS), (STREAM, VENDORS)]),
    line(5, &[(REQUEST, "M>C R>C C>R M>R C>C R>R")]),
    line(6, &[(REQUEST, NINE)]),
    line(7, &[(REQUEST, NINE)]),
    line(8, &[(REQUEST, "C>M M>C R>M C>C M>M")]),
    line(9, &[(REQUEST, VENDORS)]),
    line(10, &[(REQUEST, NINE)]),
    line(11, &[(REQUEST, NINE)]),
    line(12, &[(REQUEST, NINE)]),
    line(13, &[(REQUEST, NINE), (ANSWER, ALL), (STREAM, ALL)]),
    line(14, &[(REQUEST, NINE)]),
    line(15, &[(REQUEST, NINE), (ANSWER, OF_R), (STREAM, OF_R)]),
    line(16, &[(REQUEST, NINE), (ANSWER, ALL), (STREAM, ALL)]),
    line(17, &[(REQUEST, NINE)]),
    line(18, &[(REQUEST, NINE)]),
    line(19, &[(REQUEST, NINE), (ANSWER, ALL), (STREAM, ALL)]),
    line(20, &[(REQUEST, NINE), (ANSWER, ALL), (STREAM, ALL)]),
    line(21, &[(REQUEST, NINE)]),
    line(22, &[(REQUEST, NINE), (ANSWER, ALL), (STREAM, ALL)]),
    line(23, &[(STREAM, OF_M)]),
    line(24, &[(STREAM, OF_M)]),
    line(25, &[(STREAM, "C>M C>R M>C R>C")]),
    line(26, &[(STREAM, AT_C)]),
    line(27, &[(STREAM, "C>R R>C M>R R>M")]),
    line(28, &[(STREAM, ALL)]),
    line(29, &[(REQUEST, "M>C R>C C>C"), (STREAM, "C>M C>R M>C R>C")]),
    line(30, &[(STREAM, ALL), (ANSWER, ALL)]),
    line(31, &[(STREAM, ALL)]),
    held(
        32,
        &[(STREAM, ALL)],
        &[
            ("tests/it/bytes.rs", "streams_both_ways_split_anywhere"),
            ("tests/it/bytes.rs", "coded_answers_are_given_decoded"),
        ],
    ),
    held(
        33,
        &[(STREAM, ALL)],
        &[
            ("tests/it/faults.rs", "every_fault_in_every_dialect_and_direction"),
            ("tests/it/clients.rs", "a_caller_who_leaves_a_stream_cancels_it"),
        ],
    ),
    line(34, &[(ANSWER, TO_M), (STREAM, TO_M)]),
    line(35, &[(ANSWER, "M>C"), (STREAM, "M>C")]),
    line(36, &[(ANSWER, "C>R R>C M>R R>M"), (STREAM, "C>R R>C M>R R>M")]),
    line(37, &[(ANSWER, VENDORS), (STREAM, VENDORS)]),
    line(38, &[(STREAM, VENDORS)]),
    line(39, &[(ANSWER, ALL), (STREAM, ALL)]),
    line(40, &[(ANSWER, ALL), (STREAM, ALL)]),
    line(41, &[(REQUEST, "C>M M>C C>R M>R R>M C>C M>M")]),
    held(
        42,
        &[(REQUEST, ALL), (ANSWER, ALL), (STREAM, ALL)],
        &[
            ("crates/policy/src/bound/tests.rs", "the_dearest_class_that_can_apply"),
            ("tests/it/metrics.rs", "money_is_what_the_providers_bill"),
        ],
    ),
    line(43, &[(REQUEST, NINE)]),
    line(44, &[(REQUEST, "M>C M>R R>M R>R M>M"), (ANSWER, "M>R R>M"), (STREAM, "M>R R>M")]),
    line(45, &[(REQUEST, "C>M M>C C>R R>C M>R R>M R>R M>M")]),
    line(46, &[(ANSWER, ALL), (STREAM, ALL)]),
    line(47, &[(REQUEST, NINE)]),
    line(48, &[(REQUEST, NINE), (ANSWER, ALL), (STREAM, ALL)]),
    line(49, &[(REQUEST, ALL), (ANSWER, ALL), (STREAM, ALL)]),
    line(50, &[(ERROR, ALL)]),
    line(51, &[(ERROR, ALL)]),
    held(52, &[(ANSWER, ALL), (ERROR, ALL)], &[("tests/it/faults.rs", "every_fault_in_every_dialect_and_direction")]),
    held(
        53,
        &[(HEADERS, ALL)],
        &[
            ("crates/dialect/tests/translate/errors.rs", "t53_headers_go_by_the_other_vendors_names"),
            ("tests/it/routing.rs", "headers_on_the_way_back"),
            ("tests/it/retries.rs", "one_that_does_not_fit_is_refused_at_once_with_what_is_left_of_it"),
        ],
    ),
    held(
        54,
        &[],
        &[
            ("tests/it/keys.rs", "t54_each_arrow_has_the_providers_key_and_nothing_of_the_apps"),
            ("tests/it/routing.rs", "headers_on_the_way_out"),
            ("tests/it/arrows.rs", "every_version_of_messages_and_both_places_of_the_key"),
            ("tests/it/routing.rs", "models_base_urls_and_fixed_headers"),
            ("tests/it/secrets/mod.rs", "nothing_leaks_over_every_fault_at_trace_level"),
        ],
    ),
    line(55, &[(REQUEST, NINE)]),
    line(56, &[(REQUEST, "R>C R>M C>R M>R C>C R>R"), (ANSWER, OF_R), (STREAM, OF_R)]),
    held(
        57,
        &[(ANSWER, ALL), (STREAM, ALL)],
        &[
            ("tests/it/bytes.rs", "plain_both_ways"),
            ("tests/it/bytes.rs", "streams_both_ways_split_anywhere"),
            ("tests/it/bytes.rs", "an_edit_touches_nothing_else"),
        ],
    ),
    held(
        58,
        &[(REQUEST, "M>R")],
        &[
            ("tests/it/arrows.rs", "tokens_are_counted_by_either_vendor"),
            ("crates/dialect/src/count.rs", "t58_an_answer_without_a_count_is_none"),
            ("tests/it/routing.rs", "models_are_those_of_the_policy_and_no_provider_is_asked"),
            ("tests/it/bad_input.rs", "paths_and_methods"),
            ("tests/it/bad_input.rs", "content_encodings"),
        ],
    ),
];

fn short((caller, provider): Arrow) -> String {
    let letter = |d: Dialect| match d {
        Chat => 'C',
        Responses => 'R',
        Messages => 'M',
    };
    format!("{}>{}", letter(caller), letter(provider))
}

/// Whether a case waits for its code.
pub fn is_pending(numbers: &[String]) -> bool {
    PENDING.iter().any(|p| numbers.iter().any(|n| n == p))
}

fn numbered(number: u64) -> String {
    format!("T{number:02}")
}

#[test]
fn every_line_of_the_checklist_has_its_cases() {
    let cases = cases::all();
    let mut missing = vec![];
    for line in TABLE {
        let number = numbered(line.number);
        for (mode, arrows) in line.cases {
            for arrow in arrows.split(' ') {
                let is_held = |f: &cases::Found| {
                    short(f.arrow) == arrow && f.case.numbers.contains(&number) && f.case.modes().contains(mode)
                };
                if !PENDING.contains(&number.as_str()) && !cases.iter().any(is_held) {
                    missing.push(format!("{number} {arrow} {mode:?}"));
                }
            }
        }
    }
    assert!(missing.is_empty(), "no case for\n{}", missing.join("\n"));
}

#[test]
fn the_table_is_whole_and_cases_keep_to_it() {
    let numbers: Vec<u64> = TABLE.iter().map(|l| l.number).collect();
    assert_eq!(numbers, (1..=58).collect::<Vec<_>>(), "T01 to T58, each once, in order");
    for line in TABLE {
        assert!(!line.cases.is_empty() || !line.elsewhere.is_empty(), "{} is held by nothing", numbered(line.number));
    }
    for found in cases::all() {
        let modes = found.case.modes();
        assert!(!modes.is_empty() && !found.case.numbers.is_empty(), "{} says nothing", found.place);
        for number in &found.case.numbers {
            assert!(numbers.iter().any(|n| numbered(*n) == *number), "{}: no {number} in the list", found.place);
        }
    }
}

#[test]
fn tests_elsewhere_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (file, name) in TABLE.iter().flat_map(|l| l.elsewhere) {
        let text = std::fs::read_to_string(root.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let head = format!("fn {name}(");
        let at = lines.iter().position(|l| l.trim_start_matches("async ").starts_with(&head));
        let at = at.unwrap_or_else(|| panic!("{file}: no {name}"));
        let attributes = lines[..at].iter().rev().take_while(|l| l.starts_with("#["));
        let all: Vec<_> = attributes.collect();
        let is_run = all.iter().any(|l| l.contains("test")) && !all.iter().any(|l| l.contains("ignore"));
        assert!(is_run, "{file}: {name} is no test that is run");
    }
}

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

use cel::parser::Parser;
use policy::{
    ask::{Facts, Headers},
    expr::EvalError,
};
use proptest::prelude::*;

use super::{MAX_DEPTH, STACK, compile};
use crate::fuzz::{Mutator, run_over};

struct Rows(&'static [(&'static str, &'static str)]);

impl Headers for Rows {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| *n == name).map(|(_, v)| *v)
    }
}

fn facts() -> Facts<'static> {
    Facts {
        path: "/v1/responses",
        model: "code-fast",
        stream: true,
        tools: 2,
        images: 1,
        documents: 3,
        messages: 12,
        input_bytes: 70_000,
        max_tokens: Some(512),
        json_schema: false,
        headers: &Rows(&[("x-plan", "pro")]),
    }
}

#[test]
fn conditions_mean_what_they_say() {
    let rows: &[(&str, Result<bool, EvalError>)] = &[
        ("request.tools > 0 || request.model.startsWith(\"code\")", Ok(true)),
        ("request.model.startsWith('gpt') || request.model.endsWith('fast')", Ok(true)),
        ("request.model.contains('de-f') && request.path == '/v1/responses'", Ok(true)),
        ("request.stream", Ok(true)),
        ("!request.stream", Ok(false)),
        ("!!request.stream", Ok(true)),
        ("request.stream == true && request.jsonSchema != true", Ok(true)),
        ("request.stream != request.jsonSchema", Ok(true)),
        ("(request.tools > 1) == request.jsonSchema", Ok(false)),
        ("request.images + request.documents * 2 == 7", Ok(true)),
        ("request.messages % 5 == 2 && request.messages / 5 == 2 && -request.tools < 0 - 1", Ok(true)),
        ("request.inputBytes > 64 * 1024", Ok(true)),
        ("request.maxTokens <= 0x200", Ok(true)),
        ("request.model in ['a', 'code-fast']", Ok(true)),
        ("request.tools in [1, 2]", Ok(true)),
        ("request.tools in []", Ok(false)),
        ("\"x-plan\" in request.headers", Ok(true)),
        ("'X-Plan' in request.headers && request.headers['X-PLAN'] == 'pro'", Ok(true)),
        ("!('x-none' in request.headers)", Ok(true)),
        ("has(request.headers.plan)", Ok(false)),
        ("has(request.headers.`x-plan`) && request.headers.`x-plan` == 'pro'", Ok(true)),
        ("request.headers['x-none'] == 'pro'", Err(EvalError::NoSuchHeader)),
        ("request.headers['x-none'] == 'pro' || request.tools == 2", Ok(true)),
        ("request.tools == 2 || request.headers['x-none'] == 'pro'", Ok(true)),
        ("request.headers['x-plan'] in ['free', 'pro']", Ok(true)),
        ("'pro' in [request.headers['x-plan']]", Err(EvalError::NoSuchHeader)),
        ("size(request.model) == 9 && request.model.size() == 9", Ok(true)),
        ("request.model < 'd'", Ok(true)),
        ("request.stream ? request.tools > 1 : request.tools > 5", Ok(true)),
        ("request.tools / (request.images - 1) > 0", Err(EvalError::Arithmetic)),
        ("9223372036854775807 + request.tools > 0", Err(EvalError::Arithmetic)),
        ("true", Ok(true)),
        ("request.tools > 0 &&\n  request.stream // and a comment", Ok(true)),
    ];
    for (text, want) in rows {
        match compile(text) {
            Ok(expr) => assert_eq!(expr.eval(&facts()), *want, "{text}"),
            // Not every row of the language is ours: a list holds literals only.
            Err(message) => assert!(message.contains("strings in quotes belong"), "{text}: {message}"),
        }
    }
}

#[test]
fn fuzz_conditions() {
    let seeds = [
        "request.tools > 0 || request.model.startsWith(\"code\")",
        "request.images + request.documents * 2 == 7 && !request.stream",
        "has(request.headers.`x-plan`) && request.headers['x-plan'] in ['free','pro']",
        "request.stream ? request.inputBytes > 64 * 1024 : request.maxTokens <= 0x200",
        "request.messages % 5 == 2 && -request.tools < 0 - 1",
    ];
    // A value changes for another, or an operator, or bytes: between two values stands an operator.
    let make = move |mutator: &mut Mutator| match mutator.below(3) {
        0 => mutator.raw(&seeds),
        _ => {
            let seed = seeds[mutator.below(seeds.len())];
            let mut text: Vec<&str> = seed.split(' ').collect();
            let at = mutator.below(text.len());
            let mut other: Vec<&str> = seeds[mutator.below(seeds.len())].split(' ').collect();
            other.truncate(other.len() - 1);
            text[at] = other[mutator.below(other.len() / 2) * 2 + at % 2];
            text.join(" ").into_bytes()
        }
    };
    let judge = |input: &[u8], _: &mut Mutator| {
        let Ok(text) = str::from_utf8(input) else { return false };
        match compile(text) {
            Ok(expr) => _ = expr.eval(&facts()),
            Err(message) => assert!(!message.is_empty()),
        }
        let parser = Parser::new().max_recursion_depth(MAX_DEPTH).enable_ident_escape_syntax(true);
        catch_unwind(AssertUnwindSafe(|| parser.parse(text).is_ok())).unwrap_or(false)
    };
    // The parser alone needs the stack as well.
    let all = thread::Builder::new().stack_size(STACK).spawn(move || run_over("conditions", make, judge));
    all.unwrap().join().unwrap();
}

#[test]
fn faults_say_what_and_where() {
    let rows = [
        ("request.tool > 0", "request has no tool; did you mean tools? (column 8)"),
        ("request.body.contains('x')", "request has no body; there are path, model, stream"),
        ("model == 'x'", "model is not defined; there is only request, with path, model"),
        ("request", "request alone is no value; read one of path"),
        ("request.tools", "this is a number, not a condition"),
        ("request.model", "this is a string, not a condition"),
        ("request.headers", "this is the map of headers, not a condition"),
        ("request.tools > '0'", "a number cannot be compared with a string"),
        ("request.tools > 1.5", "numbers are whole here; write it without a point (column 17)"),
        ("request.tools > 1u", "write it without u"),
        ("request.headers['x'] == null", "nothing is ever null here"),
        ("request.model == b'x'", "there are no bytes here"),
        ("request.stream > false", "conditions have no order"),
        ("(request.tools > 0 && true) == (request.images > 0 && true)", "write it with && and ||"),
        ("request.model.matches('x')", "matches() is not available; there are startsWith"),
        ("request.model.startsWith(1)", "this is a number, not a string"),
        ("request.model + 'x' == 'y'", "this is a string, not a number"),
        ("request.model[0] == 'x'", "a string has no [ ]"),
        ("request.headers[request.model] == 'x'", "the name of a header must be written out"),
        ("request.model in request.headers", "the name of a header must be written out"),
        ("request.model in ['a', 1]", "the list has a number, where strings in quotes belong"),
        ("request.stream in [true]", "in does not work for a condition and a list"),
        ("has(request.model)", "has() is for headers: request.model is always there"),
        ("has(request)", "invalid argument to has() macro"),
        ("request.model.name == 'x'", "a string has no fields"),
        ("request.headers.exists(h, h == 'x')", "macros over lists"),
        ("{'a': 1}.a == 1", "maps and messages cannot be written here"),
        ("request.tools >", "(line 1, column 16)"),
        ("request.tools > 0)", "(line 1, column 18)"),
        ("request.tools = 0", "(line 1, column 15)"),
        ("'open", "(line 1, column 1)"),
        ("if", "reserved identifier"),
    ];
    for (text, want) in rows {
        let message = compile(text).expect_err(text);
        assert!(message.contains(want), "{text}: {message}");
        assert!(!message.contains('\n') && message.len() < 250, "{text}: {message}");
    }
}

#[test]
fn what_nests_or_runs_on_is_refused_before_it_uses_up_the_stack() {
    let long = |open: &str, mid: &str, close: &str| {
        let n = (1000 - mid.len()) / (open.len() + close.len()) / 2 * 2;
        format!("{}{mid}{}", open.repeat(n), close.repeat(n))
    };
    for text in [
        long("(", "true", ")"),
        long("[", "1", "]"),
        long("!(", "true", ")"),
        long("{1:", "1", "}"),
        long("1-", "1 == 1", ""),
        long("", "request", ".a"),
        long("", "request.headers", "[1]"),
        long("size(", "'a'", ")"),
        long("true ? true : ", "true", ""),
        long("1 == ", "1", ""),
        "x".repeat(1000),
        "x".repeat(1025),
    ] {
        assert!(compile(&text).is_err(), "{text}");
    }
    let chain = vec!["request.tools"; 20].join(" + ") + " > 3";
    assert!(compile(&chain).is_ok());
    assert!(compile(&long("!", "request.stream", "")).is_ok(), "an even number of ! is none");
    assert!(compile(&long("-", "1 == 1", "")).is_ok(), "likewise");
    assert!(compile(&format!("{}request.stream{}", "(".repeat(25), ")".repeat(25))).is_ok());
    let wide = vec!["request.tools > 1"; 48].join(" || ");
    assert!(compile(&wide).is_ok());
}

const WORDS: [&str; 46] = [
    "request",
    ".",
    "model",
    "tools",
    "headers",
    "stream",
    "[",
    "]",
    "(",
    ")",
    "'x-plan'",
    "\"",
    "'",
    "in",
    "has",
    "size",
    "startsWith",
    ",",
    "==",
    "!=",
    "<",
    ">=",
    "&&",
    "||",
    "!",
    "-",
    "+",
    "*",
    "/",
    "%",
    "?",
    ":",
    "1",
    "0",
    "1.5",
    "2u",
    "{",
    "}",
    "exists",
    "true",
    "null",
    "`",
    " ",
    "\n",
    "r'\\",
    "b\"\\xff\"",
];

proptest! {
    #[test]
    fn no_text_panics(words in prop::collection::vec(prop::sample::select(&WORDS[..]), 0..40)) {
        if let Ok(expr) = compile(&words.concat()) {
            let _ = expr.eval(&facts());
        }
        let _ = compile(&words.join(" "));
    }

    #[test]
    fn no_bytes_panic(text in "\\PC{0,60}") {
        let _ = compile(&text);
    }
}

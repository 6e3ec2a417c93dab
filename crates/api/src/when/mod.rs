//! A `when` condition: CEL text, parsed by the CEL crate, typed and lowered to the expression of our own that requests run.

mod facts;
mod lower;

use std::thread;

use cel::parser::{ParseErrors, Parser};
use policy::expr::Expr;

/// Expressions nested deeper are refused: what evaluates them recurses.
const MAX_DEPTH: u16 = 32;
/// Longest text, in characters; the schema has the same bound.
pub(crate) const MAX_LENGTH: usize = 1024;
/// The parser takes up to 170 KiB of stack for a level of brackets.
const STACK: usize = 16 << 20;

/// The condition that `text` says.
///
/// # Errors
/// What is wrong, with the column where the parser knows it.
pub(crate) fn compile(text: &str) -> Result<Expr, String> {
    if text.chars().count() > MAX_LENGTH {
        return Err(format!("it is longer than {MAX_LENGTH} characters"));
    }
    // A thread of its own, since no caller's stack is large enough for what a stranger may nest; a panic ends it alone.
    thread::scope(|scope| {
        let builder = thread::Builder::new().name("policy-when".to_owned()).stack_size(STACK);
        let judge =
            builder.spawn_scoped(scope, || judge(text)).map_err(|e| format!("no thread to judge it in: {e}"))?;
        judge.join().unwrap_or_else(|_| Err("it does not parse".to_owned()))
    })
}

fn judge(text: &str) -> Result<Expr, String> {
    let parser = Parser::new().max_recursion_depth(MAX_DEPTH).enable_ident_escape_syntax(true);
    let (parsed, source) = parser.parse_with_source_info(text).map_err(|errors| syntax(&errors))?;
    lower::condition(&parsed).map_err(|fault| {
        let offset = source.offset_for(fault.at).map(|(start, _)| start as usize);
        match offset {
            Some(offset) => format!("{} (column {})", fault.message, offset + 1),
            None => fault.message,
        }
    })
}

fn syntax(errors: &ParseErrors) -> String {
    let Some(first) = errors.errors.first() else { return "it does not parse".to_owned() };
    if first.msg.contains("Recursion limit") {
        return TOO_DEEP.to_owned();
    }
    let what = first.msg.trim_start_matches("Syntax error: ");
    let what = what.split(" expecting {").next().unwrap_or(what);
    match first.pos {
        (line, column) if line > 0 => format!("{what} (line {line}, column {column})"),
        _ => what.to_owned(),
    }
}

const TOO_DEEP: &str = "it is nested too deeply; split it into several rules";

#[cfg(test)]
mod tests;

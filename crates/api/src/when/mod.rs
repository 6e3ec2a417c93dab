//! A `when` condition: CEL text, parsed by the CEL crate, typed and lowered to the expression of our own that requests run.

mod facts;
mod lower;

use cel::parser::{ParseErrors, Parser};
use policy::expr::Expr;

/// Expressions nested deeper are refused: what evaluates them recurses.
const MAX_DEPTH: usize = 48;

/// The condition that `text` says.
///
/// # Errors
/// What is wrong, with the column where the parser knows it.
pub(crate) fn compile(text: &str) -> Result<Expr, String> {
    bounded(text)?;
    let parser = Parser::new().max_recursion_depth(MAX_DEPTH as u16).enable_ident_escape_syntax(true);
    let (parsed, source) = parser.parse_with_source_info(text).map_err(|errors| syntax(&errors))?;
    lower::condition(&parsed).map_err(|fault| {
        let column = source.offset_for(fault.at).and_then(|(start, _)| text.get(..start as usize)).map(|s| s.chars().count() + 1);
        match column {
            Some(column) => format!("{} (column {column})", fault.message),
            None => fault.message,
        }
    })
}

/// The parser recurses once an operator in a chain and twice a bracket; a chain this long would use up a small stack.
fn bounded(text: &str) -> Result<(), String> {
    let operators = text.bytes().filter(|b| b"([{.!-+*/%<>=&|?".contains(b)).count();
    if operators > 256 { Err("it is too long: split it into several rules".to_owned()) } else { Ok(()) }
}

fn syntax(errors: &ParseErrors) -> String {
    let Some(first) = errors.errors.first() else { return "it does not parse".to_owned() };
    let what = first.msg.trim_start_matches("Syntax error: ");
    let what = what.split(" expecting {").next().unwrap_or(what);
    match first.pos {
        (line, column) if line > 0 => format!("{what} (line {line}, column {column})"),
        _ => what.to_owned(),
    }
}

#[cfg(test)]
mod tests;

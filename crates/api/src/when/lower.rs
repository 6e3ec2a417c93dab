//! Typed lowering: every node becomes a condition, a number, a string or a list of literals, or it is a fault.

use cel::{
    IdedExpr,
    common::ast::{CallExpr, Expr as Ast, LiteralValue, SelectExpr, operators as op},
};
use policy::expr::{Cmp, Expr, Find, Num, Text};

use super::{
    MAX_DEPTH, TOO_DEEP,
    facts::{self, Fact},
};
use crate::form::nearest;

/// What is wrong, at which node.
pub(super) struct Fault {
    pub(super) at: u64,
    pub(super) message: String,
}

/// A node with its type.
enum Typed {
    Bool(Expr),
    Num(Num),
    Text(Text),
    Headers,
    List(Vec<Typed>),
}

impl Typed {
    fn kind(&self) -> &'static str {
        match self {
            Typed::Bool(_) => "a condition",
            Typed::Num(_) => "a number",
            Typed::Text(_) => "a string",
            Typed::Headers => "the map of headers",
            Typed::List(_) => "a list",
        }
    }
}

fn fault<T>(at: &IdedExpr, message: impl Into<String>) -> Result<T, Fault> {
    Err(Fault { at: at.id, message: message.into() })
}

/// The whole of a `when`.
pub(super) fn condition(node: &IdedExpr) -> Result<Expr, Fault> {
    bool_of(node, 0)
}

fn bool_of(node: &IdedExpr, depth: usize) -> Result<Expr, Fault> {
    match typed(node, depth)? {
        Typed::Bool(e) => Ok(e),
        other => fault(node, format!("this is {}, not a condition", other.kind())),
    }
}

fn num_of(node: &IdedExpr, depth: usize) -> Result<Num, Fault> {
    match typed(node, depth)? {
        Typed::Num(n) => Ok(n),
        other => fault(node, format!("this is {}, not a number", other.kind())),
    }
}

fn text_of(node: &IdedExpr, depth: usize) -> Result<Text, Fault> {
    match typed(node, depth)? {
        Typed::Text(t) => Ok(t),
        other => fault(node, format!("this is {}, not a string", other.kind())),
    }
}

fn typed(node: &IdedExpr, depth: usize) -> Result<Typed, Fault> {
    if depth > usize::from(MAX_DEPTH) {
        return fault(node, TOO_DEEP);
    }
    let depth = depth + 1;
    match &node.expr {
        Ast::Literal(literal) => self::literal(node, literal),
        Ast::Select(select) => self::select(node, select, depth),
        Ast::Call(call) => self::call(node, call, depth),
        Ast::List(list) => list.elements.iter().map(|e| typed(e, depth)).collect::<Result<_, _>>().map(Typed::List),
        Ast::Ident(name) if name == "request" => {
            fault(node, format!("request alone is no value; read one of {}", request_fields()))
        }
        Ast::Ident(name) => {
            fault(node, format!("{name} is not defined; there is only request, with {}", request_fields()))
        }
        Ast::Comprehension(_) => fault(node, "macros over lists (exists, all, map, filter) are not available"),
        Ast::Map(_) | Ast::Struct(_) => fault(node, "maps and messages cannot be written here"),
        Ast::Unspecified => fault(node, "it does not parse"),
    }
}

fn request_fields() -> String {
    facts::names().collect::<Vec<_>>().join(", ")
}

fn literal(node: &IdedExpr, literal: &LiteralValue) -> Result<Typed, Fault> {
    match literal {
        LiteralValue::Boolean(b) => Ok(Typed::Bool(Expr::Const(*b.inner()))),
        LiteralValue::Int(i) => Ok(Typed::Num(Num::Lit(*i.inner()))),
        LiteralValue::String(s) => Ok(Typed::Text(Text::Lit(s.inner().into()))),
        LiteralValue::UInt(_) => fault(node, "numbers are whole and signed here; write it without u"),
        LiteralValue::Double(_) => fault(node, "numbers are whole here; write it without a point"),
        LiteralValue::Bytes(_) => fault(node, "there are no bytes here; write a string without b"),
        LiteralValue::Null => {
            fault(node, "nothing is ever null here; ask for a header with \"x-name\" in request.headers")
        }
    }
}

/// `request.model`, `request.headers.name`, `has(request.headers.name)`.
fn select(node: &IdedExpr, select: &SelectExpr, depth: usize) -> Result<Typed, Fault> {
    let SelectExpr { operand, field, test } = select;
    if is_request(operand) {
        let Some(fact) = facts::find(field) else {
            let hint = match nearest(field, facts::names()) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("there are {}", request_fields()),
            };
            return fault(node, format!("request has no {field}; {hint}"));
        };
        if *test {
            return fault(node, format!("has() is for headers: request.{field} is always there"));
        }
        return Ok(match fact {
            Fact::Text(text) => Typed::Text(text()),
            Fact::Num(num) => Typed::Num(num()),
            Fact::Flag(flag) => Typed::Bool(Expr::Flag(flag)),
            Fact::Headers => Typed::Headers,
        });
    }
    match (typed(operand, depth)?, *test) {
        (Typed::Headers, true) => Ok(Typed::Bool(Expr::HasHeader(header(field)))),
        (Typed::Headers, false) => Ok(Typed::Text(Text::Header(header(field)))),
        (other, _) => fault(node, format!("{} has no fields", other.kind())),
    }
}

fn is_request(node: &IdedExpr) -> bool {
    matches!(&node.expr, Ast::Ident(name) if name == "request")
}

/// Header names have no case; ours are lower.
fn header(name: &str) -> Box<str> {
    name.to_ascii_lowercase().into()
}

fn call(node: &IdedExpr, call: &CallExpr, depth: usize) -> Result<Typed, Fault> {
    let name = call.func_name.as_str();
    let args: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
    match (name, args.as_slice()) {
        (op::LOGICAL_AND, [a, b]) => both(a, b, depth, true),
        (op::LOGICAL_OR, [a, b]) => both(a, b, depth, false),
        (op::LOGICAL_NOT, [a]) => Ok(Typed::Bool(not(bool_of(a, depth)?))),
        (op::CONDITIONAL, [c, a, b]) => {
            let parts = [bool_of(c, depth)?, bool_of(a, depth)?, bool_of(b, depth)?];
            let [c, a, b] = parts.map(Box::new);
            Ok(Typed::Bool(Expr::If(c, a, b)))
        }
        (op::EQUALS, [a, b]) => compare(node, a, Cmp::Eq, b, depth),
        (op::NOT_EQUALS, [a, b]) => compare(node, a, Cmp::Ne, b, depth),
        (op::LESS, [a, b]) => compare(node, a, Cmp::Lt, b, depth),
        (op::LESS_EQUALS, [a, b]) => compare(node, a, Cmp::Le, b, depth),
        (op::GREATER, [a, b]) => compare(node, a, Cmp::Gt, b, depth),
        (op::GREATER_EQUALS, [a, b]) => compare(node, a, Cmp::Ge, b, depth),
        (op::ADD, [a, b]) => arithmetic(Num::Add, a, b, depth),
        (op::SUBSTRACT, [a, b]) => arithmetic(Num::Sub, a, b, depth),
        (op::MULTIPLY, [a, b]) => arithmetic(Num::Mul, a, b, depth),
        (op::DIVIDE, [a, b]) => arithmetic(Num::Div, a, b, depth),
        (op::MODULO, [a, b]) => arithmetic(Num::Rem, a, b, depth),
        (op::NEGATE, [a]) => Ok(Typed::Num(Num::Sub(Box::new(Num::Lit(0)), Box::new(num_of(a, depth)?)))),
        (op::IN, [a, b]) => contained(node, a, b, depth),
        (op::INDEX, [a, b]) => index(node, a, b, depth),
        ("startsWith", [a, b]) => find(Find::Starts, a, b, depth),
        ("endsWith", [a, b]) => find(Find::Ends, a, b, depth),
        ("contains", [a, b]) => find(Find::Contains, a, b, depth),
        ("size", [a]) => Ok(Typed::Num(Num::Size(text_of(a, depth)?))),
        _ => fault(
            node,
            format!(
                "{} is not available; there are startsWith, endsWith, contains, size, has and the operators",
                spelt(name)
            ),
        ),
    }
}

/// `matches()` for a call, `[?]` for an operator in the parser's notation.
fn spelt(name: &str) -> String {
    if name.starts_with('_') || name.starts_with('@') { name.replace('_', "") } else { format!("{name}()") }
}

/// `&&` or `||`, flattened.
fn both(a: &IdedExpr, b: &IdedExpr, depth: usize, and: bool) -> Result<Typed, Fault> {
    let mut parts = Vec::new();
    for side in [bool_of(a, depth)?, bool_of(b, depth)?] {
        match side {
            Expr::And(inner) if and => parts.extend(inner),
            Expr::Or(inner) if !and => parts.extend(inner),
            other => parts.push(other),
        }
    }
    let parts = parts.into_boxed_slice();
    Ok(Typed::Bool(if and { Expr::And(parts) } else { Expr::Or(parts) }))
}

fn not(e: Expr) -> Expr {
    match e {
        Expr::Const(b) => Expr::Const(!b),
        Expr::Not(inner) => *inner,
        other => Expr::Not(Box::new(other)),
    }
}

fn compare(node: &IdedExpr, a: &IdedExpr, cmp: Cmp, b: &IdedExpr, depth: usize) -> Result<Typed, Fault> {
    let e = match (typed(a, depth)?, typed(b, depth)?) {
        (Typed::Num(a), Typed::Num(b)) => Expr::Int(a, cmp, b),
        (Typed::Text(a), Typed::Text(b)) => Expr::Text(a, cmp, b),
        (Typed::Bool(a), Typed::Bool(b)) if matches!(cmp, Cmp::Eq | Cmp::Ne) => match same(a, b) {
            Some(equal) if cmp == Cmp::Ne => not(equal),
            Some(equal) => equal,
            None => return fault(node, "two conditions as large as these cannot be compared; write it with && and ||"),
        },
        (Typed::Bool(_), Typed::Bool(_)) => {
            return fault(node, "conditions have no order; only == and != compare them");
        }
        (a, b) => return fault(node, format!("{} cannot be compared with {}", a.kind(), b.kind())),
    };
    Ok(Typed::Bool(e))
}

/// Equality of conditions. One side is needed twice, so it must be a plain fact: nesting would double at every level.
fn same(a: Expr, b: Expr) -> Option<Expr> {
    match (a, b) {
        (Expr::Const(true), e) | (e, Expr::Const(true)) => Some(e),
        (Expr::Const(false), e) | (e, Expr::Const(false)) => Some(not(e)),
        (a, b @ (Expr::Flag(_) | Expr::HasHeader(_))) | (b @ (Expr::Flag(_) | Expr::HasHeader(_)), a) => {
            Some(Expr::If(Box::new(a), Box::new(b.clone()), Box::new(not(b))))
        }
        _ => None,
    }
}

fn arithmetic(of: fn(Box<Num>, Box<Num>) -> Num, a: &IdedExpr, b: &IdedExpr, depth: usize) -> Result<Typed, Fault> {
    Ok(Typed::Num(of(Box::new(num_of(a, depth)?), Box::new(num_of(b, depth)?))))
}

fn find(how: Find, a: &IdedExpr, b: &IdedExpr, depth: usize) -> Result<Typed, Fault> {
    Ok(Typed::Bool(Expr::Find(text_of(a, depth)?, how, text_of(b, depth)?)))
}

/// `"x-plan" in request.headers`, `request.model in ["a", "b"]`, `request.tools in [1, 2]`.
fn contained(node: &IdedExpr, a: &IdedExpr, b: &IdedExpr, depth: usize) -> Result<Typed, Fault> {
    let e = match (typed(a, depth)?, typed(b, depth)?) {
        (Typed::Text(Text::Lit(name)), Typed::Headers) => Expr::HasHeader(header(&name)),
        (_, Typed::Headers) => return fault(a, "the name of a header must be written out, in quotes"),
        (Typed::Text(text), Typed::List(items)) => {
            let words = items.into_iter().map(|item| match item {
                Typed::Text(Text::Lit(word)) => Ok(word),
                other => fault(b, format!("the list has {}, where strings in quotes belong", other.kind())),
            });
            Expr::OneOf(text, words.collect::<Result<_, _>>()?)
        }
        (Typed::Num(num), Typed::List(items)) => {
            let equal = items.into_iter().map(|item| match item {
                Typed::Num(n) => Ok(Expr::Int(num.clone(), Cmp::Eq, n)),
                other => fault(b, format!("the list has {}, where numbers belong", other.kind())),
            });
            Expr::Or(equal.collect::<Result<_, _>>()?)
        }
        (a, b) => return fault(node, format!("in does not work for {} and {}", a.kind(), b.kind())),
    };
    Ok(Typed::Bool(e))
}

/// `request.headers["x-plan"]`.
fn index(node: &IdedExpr, a: &IdedExpr, b: &IdedExpr, depth: usize) -> Result<Typed, Fault> {
    match (typed(a, depth)?, typed(b, depth)?) {
        (Typed::Headers, Typed::Text(Text::Lit(name))) => Ok(Typed::Text(Text::Header(header(&name)))),
        (Typed::Headers, _) => fault(b, "the name of a header must be written out, in quotes"),
        (other, _) => fault(node, format!("{} has no [ ]; only request.headers has", other.kind())),
    }
}

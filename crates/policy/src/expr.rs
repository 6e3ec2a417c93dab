//! Typed expressions over request facts: what a CEL `when` is lowered to once, so that a request pays no interpreter.

use crate::ask::Facts;

/// A boolean expression. Lowered by `api` from type-checked CEL; evaluation allocates nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A constant.
    Const(bool),
    /// Negation.
    Not(Box<Expr>),
    /// All, left to right, stopping at the first false.
    And(Box<[Expr]>),
    /// Any, left to right, stopping at the first true.
    Or(Box<[Expr]>),
    /// A boolean fact.
    Flag(Flag),
    /// Two integers compared.
    Int(Num, Cmp, Num),
    /// Two strings compared.
    Text(Text, Cmp, Text),
    /// `text in [literals]`.
    OneOf(Text, Box<[Box<str>]>),
    /// `text.startsWith(text)` and its like.
    Find(Text, Find, Text),
    /// `"name" in request.headers` or `has(request.headers.name)`.
    HasHeader(Box<str>),
    /// `condition ? a : b` over booleans.
    If(Box<Expr>, Box<Expr>, Box<Expr>),
}

/// Boolean facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// A stream was asked.
    Stream,
    /// A JSON schema constrains the answer.
    JsonSchema,
}

/// Integer operands.
#[derive(Clone, Debug, PartialEq)]
pub enum Num {
    /// A literal.
    Lit(i64),
    /// Tool definitions.
    Tools,
    /// Image parts.
    Images,
    /// Document parts.
    Documents,
    /// Messages or input items.
    Messages,
    /// Bytes of the body.
    InputBytes,
    /// The caller's output limit; 0 where unset.
    MaxTokens,
    /// Characters (code points) of a string.
    Size(Text),
    /// Addition; overflow is a run-time error.
    Add(Box<Num>, Box<Num>),
    /// Subtraction; likewise.
    Sub(Box<Num>, Box<Num>),
    /// Multiplication; likewise.
    Mul(Box<Num>, Box<Num>),
    /// Division; by zero is a run-time error.
    Div(Box<Num>, Box<Num>),
    /// Remainder; likewise.
    Rem(Box<Num>, Box<Num>),
}

/// String operands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    /// A literal.
    Lit(Box<str>),
    /// Path of the request, without query.
    Path,
    /// The model the caller named.
    Model,
    /// A header by lower-case name; absent is a run-time error, as in CEL.
    Header(Box<str>),
}

/// Comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cmp {
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}

/// Searches in a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Find {
    /// `startsWith`
    Starts,
    /// `endsWith`
    Ends,
    /// `contains`
    Contains,
}

/// Why an evaluation failed; the rule then does not match and the failure is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvalError {
    /// A header that the request does not have.
    NoSuchHeader,
    /// Overflow or division by zero.
    Arithmetic,
}

impl Expr {
    /// Whether the rule matches.
    ///
    /// # Errors
    /// A header that is absent, or arithmetic that has no result. As in CEL, `&&` and `||` absorb an error on one
    /// side when the other side alone decides.
    pub fn eval(&self, f: &Facts<'_>) -> Result<bool, EvalError> {
        match self {
            Expr::Const(b) => Ok(*b),
            Expr::Not(e) => e.eval(f).map(|b| !b),
            Expr::And(all) => fold(all, f, false),
            Expr::Or(any) => fold(any, f, true),
            Expr::Flag(Flag::Stream) => Ok(f.stream),
            Expr::Flag(Flag::JsonSchema) => Ok(f.json_schema),
            Expr::Int(a, cmp, b) => Ok(cmp.holds(a.eval(f)?.cmp(&b.eval(f)?))),
            Expr::Text(a, cmp, b) => Ok(cmp.holds(a.eval(f)?.cmp(b.eval(f)?))),
            Expr::OneOf(t, set) => {
                let t = t.eval(f)?;
                Ok(set.iter().any(|s| **s == *t))
            }
            Expr::Find(hay, how, needle) => {
                let (hay, needle) = (hay.eval(f)?, needle.eval(f)?);
                Ok(match how {
                    Find::Starts => hay.starts_with(needle),
                    Find::Ends => hay.ends_with(needle),
                    Find::Contains => hay.contains(needle),
                })
            }
            Expr::HasHeader(name) => Ok(f.headers.get(name).is_some()),
            Expr::If(cond, a, b) => {
                if cond.eval(f)? {
                    a.eval(f)
                } else {
                    b.eval(f)
                }
            }
        }
    }
}

/// `&&` (decided by false) or `||` (decided by true) with CEL's error absorption.
fn fold(parts: &[Expr], f: &Facts<'_>, decides: bool) -> Result<bool, EvalError> {
    let mut failed = None;
    for part in parts {
        match part.eval(f) {
            Ok(b) if b == decides => return Ok(decides),
            Ok(_) => {}
            Err(e) => failed = Some(e),
        }
    }
    failed.map_or(Ok(!decides), Err)
}

impl Num {
    fn eval(&self, f: &Facts<'_>) -> Result<i64, EvalError> {
        let two =
            |a: &Num, b: &Num, op: fn(i64, i64) -> Option<i64>| op(a.eval(f)?, b.eval(f)?).ok_or(EvalError::Arithmetic);
        Ok(match self {
            Num::Lit(n) => *n,
            Num::Tools => i64::from(f.tools),
            Num::Images => i64::from(f.images),
            Num::Documents => i64::from(f.documents),
            Num::Messages => i64::from(f.messages),
            Num::InputBytes => i64::try_from(f.input_bytes).unwrap_or(i64::MAX),
            Num::MaxTokens => f.max_tokens.map_or(0, |n| i64::try_from(n).unwrap_or(i64::MAX)),
            Num::Size(t) => t.eval(f)?.chars().count() as i64,
            Num::Add(a, b) => two(a, b, i64::checked_add)?,
            Num::Sub(a, b) => two(a, b, i64::checked_sub)?,
            Num::Mul(a, b) => two(a, b, i64::checked_mul)?,
            Num::Div(a, b) => two(a, b, i64::checked_div)?,
            Num::Rem(a, b) => two(a, b, i64::checked_rem)?,
        })
    }
}

impl Text {
    fn eval<'a>(&'a self, f: &Facts<'a>) -> Result<&'a str, EvalError> {
        match self {
            Text::Lit(s) => Ok(s),
            Text::Path => Ok(f.path),
            Text::Model => Ok(f.model),
            Text::Header(name) => f.headers.get(name).ok_or(EvalError::NoSuchHeader),
        }
    }
}

impl Cmp {
    fn holds(self, o: std::cmp::Ordering) -> bool {
        match self {
            Cmp::Eq => o.is_eq(),
            Cmp::Ne => o.is_ne(),
            Cmp::Lt => o.is_lt(),
            Cmp::Le => o.is_le(),
            Cmp::Gt => o.is_gt(),
            Cmp::Ge => o.is_ge(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::tests::facts;

    fn tools_over(n: i64) -> Expr {
        Expr::Int(Num::Tools, Cmp::Gt, Num::Lit(n))
    }

    fn bad() -> Expr {
        Expr::Text(Text::Header("x-none".into()), Cmp::Eq, Text::Lit("".into()))
    }

    #[test]
    fn rows() {
        let model = |how, s: &str| Expr::Find(Text::Model, how, Text::Lit(s.into()));
        let rows: Vec<(Expr, Result<bool, EvalError>)> = vec![
            (tools_over(1), Ok(true)),
            (tools_over(2), Ok(false)),
            (model(Find::Starts, "gpt"), Ok(true)),
            (model(Find::Ends, "gpt"), Ok(false)),
            (model(Find::Contains, "t-6"), Ok(true)),
            (Expr::HasHeader("x-plan".into()), Ok(true)),
            (Expr::OneOf(Text::Header("x-plan".into()), Box::new(["a".into(), "pro".into()])), Ok(true)),
            (bad(), Err(EvalError::NoSuchHeader)),
            (Expr::Not(Box::new(Expr::Flag(Flag::Stream))), Ok(false)),
            (Expr::And(Box::new([bad(), tools_over(9)])), Ok(false)),
            (Expr::And(Box::new([bad(), tools_over(0)])), Err(EvalError::NoSuchHeader)),
            (Expr::Or(Box::new([bad(), tools_over(0)])), Ok(true)),
            (
                Expr::Int(Num::Div(Box::new(Num::Tools), Box::new(Num::Lit(0))), Cmp::Eq, Num::Lit(0)),
                Err(EvalError::Arithmetic),
            ),
            (Expr::Int(Num::Size(Text::Model), Cmp::Eq, Num::Lit(5)), Ok(true)),
            (Expr::If(Box::new(tools_over(0)), Box::new(Expr::Const(false)), Box::new(Expr::Const(true))), Ok(false)),
        ];
        let f = facts();
        for (expr, want) in rows {
            assert_eq!(expr.eval(&f), want, "{expr:?}");
        }
    }
}

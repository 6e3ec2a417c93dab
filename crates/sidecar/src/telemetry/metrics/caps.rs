//! Budgets and rates: what is spent, held and left, of the value nearest its limit.

use std::fmt;

use policy::{
    ledger::{Pressure, Unit, View},
    money::Usd,
};

use super::{
    instruments::{
        BUDGET_DEBT, BUDGET_HELD, BUDGET_LIMIT, BUDGET_NEXT_FREE, BUDGET_PRESSURE, BUDGET_SPENT, RATE_LIMIT, RATE_USED,
    },
    table::Out,
};

/// Writes them.
pub(super) fn write(out: &mut Out<'_>, caps: &[View]) -> fmt::Result {
    let budgets = || caps.iter().filter(|v| v.key.unit == Unit::Money);
    let money = |of: fn(&View) -> u64| budgets().map(move |v| ([&v.key.name], Usd(of(v))));
    out.rows(&BUDGET_SPENT, money(|v| v.spent))?;
    out.rows(&BUDGET_HELD, money(|v| v.held))?;
    out.rows(&BUDGET_LIMIT, money(|v| v.limit))?;
    out.rows(&BUDGET_DEBT, money(|v| v.debt))?;
    let pressure = |v: &View| match v.pressure {
        Pressure::Normal => 0.0,
        Pressure::Warn => 1.0,
        Pressure::Degrade => 2.0,
        Pressure::Full => 3.0,
    };
    out.rows(&BUDGET_PRESSURE, budgets().map(|v| ([&v.key.name], pressure(v))))?;
    let next_free = |v: &View| v.next_free.unwrap_or_default().as_secs_f64();
    out.rows(&BUDGET_NEXT_FREE, budgets().map(|v| ([&v.key.name], next_free(v))))?;
    let rate = |of: fn(&View) -> u64| {
        let rates = caps.iter().filter(|v| v.key.unit != Unit::Money);
        rates.map(move |v| ([&*v.key.name, v.key.unit.name()], of(v) as f64))
    };
    out.rows(&RATE_USED, rate(|v| v.spent.saturating_add(v.held)))?;
    out.rows(&RATE_LIMIT, rate(|v| v.limit))
}

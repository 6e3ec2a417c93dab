//! Durations and decimal strings, as numbers.

use std::time::Duration;

use policy::snapshot::Ratio;

/// `300ms`, `5s`, `1m`, `24h`, `30d`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let unit = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit);
    let number: u64 = number.parse().ok()?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

/// `0` to `1` with at most four decimals.
pub(crate) fn ratio(text: &str) -> Option<Ratio> {
    decimal(text, 4).filter(|n| *n <= Ratio::ONE.0).map(Ratio)
}

/// `0` to `100` with at most two decimals.
pub(crate) fn percent(text: &str) -> Option<Ratio> {
    decimal(text, 2).filter(|n| *n <= Ratio::ONE.0).map(Ratio)
}

/// `0` to `2` with at most three decimals, in thousandths.
pub(crate) fn temperature_milli(text: &str) -> Option<u32> {
    decimal(text, 3).filter(|n| *n <= 2000)
}

/// A factor with at most two decimals, in percent.
pub(crate) fn factor_percent(text: &str) -> Option<u32> {
    decimal(text, 2).filter(|n| *n < 10_000)
}

/// `text` as an integer scaled by 10^`places`; no sign, no exponent, digits on both sides of a point.
fn decimal(text: &str, places: usize) -> Option<u32> {
    let (whole, frac) = match text.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (text, ""),
    };
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > 3 || frac.len() > places || !digits(whole) || !digits(frac) {
        return None;
    }
    format!("{whole}{frac:0<places$}").parse().ok()
}

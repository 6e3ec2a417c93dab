//! Integer money: amounts in nano-dollars, prices in pico-dollars a token, every cost rounded up.

use std::fmt;

/// An amount in nano-dollars (1 USD = 10^9). Never negative; arithmetic saturates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usd(pub u64);

impl Usd {
    /// Nothing.
    pub const ZERO: Usd = Usd(0);

    /// Reads a decimal string such as `"2"`, `"0.05"`: digits, at most one point, at most nine decimals.
    ///
    /// # Errors
    /// A sentence that says what is wrong, fit for a policy author.
    pub fn parse(text: &str) -> Result<Usd, &'static str> {
        parse_decimal(text, 9).map(Usd)
    }

    /// The sum, saturating.
    #[must_use]
    pub fn plus(self, other: Usd) -> Usd {
        Usd(self.0.saturating_add(other.0))
    }

    /// Bytes of the longest decimal: 11 digits, a point, 9 digits.
    pub const LONGEST: usize = 21;

    /// The amount as [`Display`](fmt::Display) prints it, written into `text`. By hand: every answer says its cost and how
    /// its budgets stand.
    pub fn decimal(self, text: &mut [u8; Usd::LONGEST]) -> &str {
        if self == Usd::ZERO {
            return "0";
        }
        *text = *b"00000000000.000000000";
        let (whole, frac) = text.split_at_mut(11);
        let first = digits(whole, self.0 / 1_000_000_000).min(10);
        let last = digits_end(&mut frac[1..], self.0 % 1_000_000_000);
        let end = if last == 0 { 11 } else { 12 + last };
        std::str::from_utf8(&text[first..end]).unwrap_or_default()
    }

    /// For display in gauges only; money never re-enters a decision from here.
    #[must_use]
    pub fn for_display(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

impl fmt::Display for Usd {
    /// Plain decimal dollars without trailing zeros, at least one digit: `0`, `0.00042`, `12.5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.decimal(&mut [0; Usd::LONGEST]))
    }
}

/// Writes `number` at the end of zeros; how many of them stay when the zeros behind the last other digit are cut.
fn digits_end(into: &mut [u8], number: u64) -> usize {
    if number == 0 {
        return 0;
    }
    digits(into, number);
    into.iter().rposition(|d| *d != b'0').map_or(0, |i| i + 1)
}

/// Writes `number` at the end of zeros; where its first digit stands.
fn digits(into: &mut [u8], mut number: u64) -> usize {
    let mut at = into.len();
    while number > 0 && at > 0 {
        at -= 1;
        into[at] += (number % 10) as u8;
        number /= 10;
    }
    at
}

/// A price in pico-dollars (10^-12 USD) a token; `"2"` USD per million tokens is 2,000,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PerToken(pub u64);

impl PerToken {
    /// Reads a decimal string of USD per million tokens, at most six decimals.
    ///
    /// # Errors
    /// A sentence that says what is wrong, fit for a policy author.
    pub fn parse_per_million(text: &str) -> Result<PerToken, &'static str> {
        parse_decimal(text, 6).map(PerToken)
    }

    /// USD per million tokens written in a constant table: `per_million(2_500_000)` is 2.50 USD.
    #[must_use]
    pub const fn micros_per_million(micro_usd: u64) -> PerToken {
        PerToken(micro_usd)
    }

    pub(crate) fn times(self, tokens: u64) -> u128 {
        u128::from(self.0) * u128::from(tokens)
    }
}

/// Pico-dollars to an amount, rounded up: a cost is never understated.
pub(crate) fn round_up(pico: u128) -> Usd {
    Usd(u64::try_from(pico.div_ceil(1000)).unwrap_or(u64::MAX))
}

/// `text` as an integer scaled by 10^`places`.
fn parse_decimal(text: &str, places: u32) -> Result<u64, &'static str> {
    let (whole, frac) = text.split_once('.').unwrap_or((text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(frac) || (frac.is_empty() && text.contains('.')) {
        return Err("must be a decimal number in quotes, such as \"2.50\"");
    }
    if frac.len() > places as usize {
        return Err("has more decimals than are counted");
    }
    let scale = 10u64.pow(places);
    let whole: u64 = whole.parse().map_err(|_| "is too large")?;
    let padded = format!("{frac:0<width$}", width = places as usize);
    let frac: u64 = padded.parse().map_err(|_| "is too large")?;
    whole.checked_mul(scale).and_then(|w| w.checked_add(frac)).ok_or("is too large")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_exactly() {
        for (text, want) in [("2", 2_000_000_000), ("0.05", 50_000_000), ("0.000000001", 1), ("10.50", 10_500_000_000)]
        {
            assert_eq!(Usd::parse(text), Ok(Usd(want)), "{text}");
        }
        for bad in ["", ".", "1.", ".5", "-1", "1e3", "1_000", "0.0000000001", "99999999999", " 1"] {
            assert!(Usd::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(PerToken::parse_per_million("0.0125"), Ok(PerToken(12_500)));
    }

    #[test]
    fn amounts_print_as_plain_decimals() {
        for (nano, want) in [(0, "0"), (1, "0.000000001"), (420_000, "0.00042"), (12_500_000_000, "12.5")] {
            assert_eq!(Usd(nano).to_string(), want);
        }
    }

    #[test]
    fn costs_round_up() {
        assert_eq!(round_up(1), Usd(1));
        assert_eq!(round_up(1000), Usd(1));
        assert_eq!(round_up(1001), Usd(2));
    }

    proptest::proptest! {
        #[test]
        fn print_then_read_is_identity(nano in 0u64..u64::MAX) {
            proptest::prop_assert_eq!(Usd::parse(&Usd(nano).to_string()), Ok(Usd(nano)));
        }
    }
}

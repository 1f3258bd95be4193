//! Numbers as they are written.

use std::cmp::Ordering;
use std::num::IntErrorKind;

/// A decimal number, whichever way it is written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Digits {
    /// Without zeros at the beginning and the end; nothing is 0.
    digits: String,
    is_negative: bool,
    /// The digits are those of a fraction that begins with the point, times ten to this.
    exponent: i64,
}

impl Digits {
    /// Nothing, if it is no such number. Exponents beyond 64 bits are as good as the last ones within.
    pub(crate) fn of(text: &str) -> Option<Self> {
        let text = text.trim();
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let whole = whole.strip_prefix(['-', '+']).unwrap_or(whole);
        let all = format!("{whole}{fraction}");
        if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let digits = all.trim_start_matches('0');
        let zeros = (all.len() - digits.len()) as i64;
        let digits = digits.trim_end_matches('0');
        let exponent = exponent_of(exponent)?.saturating_add(whole.len() as i64 - zeros);
        let is_zero = digits.is_empty();
        Some(Self {
            digits: digits.to_owned(),
            is_negative: text.starts_with('-') && !is_zero,
            exponent: if is_zero { 0 } else { exponent },
        })
    }

    /// Whether a number that is written with so many digits after its first one has these.
    #[cfg(any(feature = "sql", feature = "validation"))]
    pub(super) fn are_those_of(&self, written: impl FnOnce(usize) -> String) -> bool {
        // No float has more digits.
        match u16::try_from(self.count().saturating_sub(1)) {
            Ok(precision) => Self::of(&written(precision.into())).is_some_and(|written| written == *self),
            Err(_) => false,
        }
    }

    /// How many there are, but for zeros at the beginning and the end.
    #[cfg(any(feature = "sql", feature = "validation"))]
    pub(super) fn count(&self) -> usize {
        self.digits.len()
    }

    /// How many stand before the point; fewer than none where a fraction begins with zeros.
    #[cfg(feature = "sqlite")]
    pub(super) fn exponent(&self) -> i64 {
        self.exponent
    }

    /// How many stand after the point; fewer than none where the number ends in zeros before it.
    #[cfg(any(feature = "sql", feature = "validation"))]
    pub(super) fn after_point(&self) -> i64 {
        (self.digits.len() as i64).saturating_sub(self.exponent)
    }
}

impl Ord for Digits {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |number: &Self| match (number.digits.is_empty(), number.is_negative) {
            (true, _) => 0,
            (false, false) => 1,
            (false, true) => -1,
        };
        // None has a zero at the beginning.
        let size = self
            .exponent
            .cmp(&other.exponent)
            .then_with(|| self.digits.cmp(&other.digits));
        sign(self).cmp(&sign(other)).then(match self.is_negative {
            true => size.reverse(),
            false => size,
        })
    }
}

impl PartialOrd for Digits {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn exponent_of(text: &str) -> Option<i64> {
    match text.parse() {
        Ok(exponent) => Some(exponent),
        Err(error) => match error.kind() {
            IntErrorKind::PosOverflow => Some(i64::MAX),
            IntErrorKind::NegOverflow => Some(i64::MIN),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_at_the_end_of_a_number_need_no_place() {
        for (number, digits) in [
            ("1.239", 3),
            ("1.2300", 2),
            ("-0.5e1", 0),
            ("1500e-2", 0),
            ("1505e-2", 2),
            ("100", -2),
            ("0.000", 0),
            ("1e-3", 3),
            ("1e99999999999999999999", 1 - i64::MAX),
            ("1e-99999999999999999999", i64::MAX),
        ] {
            assert_eq!(Digits::of(number).unwrap().after_point(), digits, "{number}");
        }
    }

    #[test]
    fn numbers_are_in_order_however_many_digits_they_have() {
        let numbers = [
            "-1e400",
            "-12",
            "-2",
            "-1.5",
            "-1.25",
            "-0.2",
            "-0.01",
            "0",
            "1e-400",
            "0.09",
            "0.1",
            "1",
            "1.05",
            "9",
            "10",
            "9007199254740992",
            "9007199254740992.000000000000000000000000000000000000000001",
            "9007199254740993e0",
            "1e400",
        ];
        let read: Vec<Digits> = numbers.iter().map(|number| Digits::of(number).unwrap()).collect();
        for (place, one) in read.iter().enumerate() {
            for (other_place, other) in read.iter().enumerate() {
                assert_eq!(one.cmp(other), place.cmp(&other_place), "{one:?} and {other:?}");
            }
        }
    }

    #[test]
    fn a_number_is_the_same_in_whichever_way_it_is_written() {
        for (one, other) in [("1500e-2", "+15.0"), ("-0.0", "0"), (".5", "5e-1"), ("0e7", "0")] {
            assert_eq!(Digits::of(one), Digits::of(other), "{one} and {other}");
        }
        assert_ne!(Digits::of("-1"), Digits::of("1"));
        for text in ["", ".", "1e", "nan", "inf", "1.5.2", "2013-02-04"] {
            assert_eq!(Digits::of(text), None, "{text}");
        }
    }
}

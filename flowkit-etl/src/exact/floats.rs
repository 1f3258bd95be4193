//! Which numbers are among those of 64 bits with a fraction.

#[cfg(any(feature = "sql", feature = "validation"))]
use super::digits::Digits;

/// Up to here, all whole numbers are.
#[cfg(any(feature = "json", feature = "http"))]
pub(crate) const LARGEST_WHOLE: u64 = 1 << 53;

/// Whether a whole number is.
#[cfg(feature = "sqlite")]
pub(crate) fn is_float(number: i64) -> bool {
    (number as f64) as i128 == i128::from(number)
}

/// Whether the number that a text says, and nothing else, is kept by the float nearest to it.
#[cfg(feature = "sqlite")]
pub(crate) fn is_kept_as_float(text: &str) -> bool {
    match (Digits::of(text), text.trim().parse::<f64>()) {
        (Some(said), Ok(nearest)) => nearest.is_finite() && is_kept_by(&said, nearest),
        _ => false,
    }
}

/// Whether the float that is nearest to a number keeps it. It is enough that it is the nearest, unless the number is a whole one: such a one may be the name of something.
#[cfg(any(feature = "sql", feature = "validation"))]
pub(super) fn is_kept_by(said: &Digits, nearest: f64) -> bool {
    let is_near = nearest.is_finite() && said.after_point() > 0;
    is_near || said.are_those_of(|precision| format!("{nearest:.precision$e}"))
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use super::*;

    #[test]
    fn a_float_keeps_a_whole_number_only_with_all_its_digits() {
        for (text, is_kept) in [
            ("1.5", true),
            ("0.1", true),
            (" 15.00", true),
            ("1e22", true),
            ("9007199254740992", true),
            ("1152921504606846976", true),
            ("9007199254740993", false),
            ("9007199254740993.00", false),
            ("12345678901234567891", false),
            ("1e400", false),
            ("inf", false),
            ("NaN", false),
            ("1.5.2", false),
            ("", false),
        ] {
            assert_eq!(is_kept_as_float(text), is_kept, "{text}");
        }
        assert!(is_float(-(1 << 60)) && !is_float((1 << 53) + 1) && !is_float(i64::MAX));
    }
}

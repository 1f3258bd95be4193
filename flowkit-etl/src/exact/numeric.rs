//! Texts in columns of SQLite that make numbers of those that look like some: <https://sqlite.org/datatype3.html>, 3.

use super::digits::Digits;

/// How many digits of a number with a fraction SQLite promises to keep.
const KEPT: usize = 15;
/// Numbers with a fraction are larger and smaller, but not all with so many digits.
const EXPONENTS: std::ops::RangeInclusive<i64> = -290..=308;

/// Whether a text stays what it is: because it is none of a number, or one that is written as exact numbers are, with a value that is kept. Zeros at the end of a fraction are not, nor do they count:
/// `12.50` is the number 12.5. Zeros at the beginning do: `01234` is a name.
pub(crate) fn is_kept_as_numeric(text: &str) -> bool {
    let Some(said) = Digits::of(text).filter(|_| text.is_ascii()) else {
        return true;
    };
    if !is_plain(text) {
        return false;
    }
    text.parse::<i64>().is_ok() || said.count() <= KEPT && EXPONENTS.contains(&said.exponent())
}

/// Whether a number is written without a sign that is not needed, zeros at the beginning or an exponent.
fn is_plain(number: &str) -> bool {
    let number = number.strip_prefix('-').unwrap_or(number);
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (number, None),
    };
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let begins_plainly = whole == "0" || !whole.starts_with('0');
    are_digits(whole) && begins_plainly && fraction.is_none_or(are_digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_looks_like_a_number_is_kept_if_it_is_that_number() {
        for text in [
            "n/a",
            "",
            "1e",
            "1.5.2",
            "0x10",
            "inf",
            "2013-02-04",
            "\u{a0}5",
            "5 m",
            "0",
            "-7",
            "12.50",
            "0.001",
            "9223372036854775807",
            "123456789012.345",
            "100000000000000000000",
        ] {
            assert!(is_kept_as_numeric(text), "{text}");
        }
        for text in [
            "01234",
            "+5",
            " 5",
            "5\n",
            "1e3",
            ".5",
            "5.",
            "-01.5",
            "00",
            "1e400",
            "12345678901234567.89",
            "9223372036854775808",
            "9007199254740993.00",
            "0.30000000000000004",
        ] {
            assert!(!is_kept_as_numeric(text), "{text}");
        }
        assert!(!is_kept_as_numeric(&format!("0.{:0400}1", 0)));
    }
}

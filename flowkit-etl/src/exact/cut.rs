//! Days and times in texts. Of what is finer than a type, Arrow's decoders say nothing: so the text is looked at.

use arrow_cast::parse::string_to_datetime;
use arrow_schema::{DataType, TimeUnit};
use chrono::{NaiveTime, Utc};

/// How long a text is that is a day and nothing more.
const DAY: usize = "2013-02-04".len();

/// Whether a text that was read as this type says more than the type holds: the time on a day, a part of a second.
pub(crate) fn is_cut(text: &str, to: &DataType) -> bool {
    match to {
        // Days of other than four digits have a sign, and no time.
        DataType::Date32 if text.len() > DAY && !text.starts_with(['+', '-']) => {
            string_to_datetime(&Utc, text).is_ok_and(|moment| moment.time() != NaiveTime::MIN)
        }
        _ => places(to).is_some_and(|places| {
            let part = text.split_once('.');
            part.is_some_and(|(_, part)| digits_from(part.as_bytes()) > places)
        }),
    }
}

/// How many digits of a part of a second a type has place for, if it has seconds.
pub(crate) fn places(data_type: &DataType) -> Option<usize> {
    match data_type {
        DataType::Timestamp(unit, _) | DataType::Time32(unit) | DataType::Time64(unit) => Some(match unit {
            TimeUnit::Second => 0,
            TimeUnit::Millisecond => 3,
            TimeUnit::Microsecond => 6,
            TimeUnit::Nanosecond => 9,
        }),
        DataType::Date64 => Some(3),
        _ => None,
    }
}

/// How many digits there are until something else comes, without zeros at the end.
pub(crate) fn digits_from(text: &[u8]) -> usize {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let zeros = text.iter().take(digits).rev().take_while(|byte| **byte == b'0');
    digits - zeros.count()
}

/// Whether a time ends here, with its whole seconds.
#[cfg(any(feature = "csv", feature = "json", feature = "http"))]
pub(crate) fn ends_in_seconds(text: &[u8]) -> bool {
    let digits = text.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    match text.get(..text.len() - digits) {
        Some([.., minute, b':']) => minute.is_ascii_digit() && (1..=2).contains(&digits),
        _ => false,
    }
}

/// Whether a day ends at the first of these bytes, and a time begins at the third.
#[cfg(any(feature = "csv", feature = "json", feature = "http"))]
pub(crate) fn goes_on_with_a_time(text: &[u8]) -> bool {
    match text {
        [day, b'T' | b't' | b' ', hour, ..] => day.is_ascii_digit() && hour.is_ascii_digit(),
        _ => false,
    }
}

/// As what days are read.
#[cfg(feature = "csv")]
#[derive(Debug, Clone, Copy)]
pub(crate) enum Days {
    /// As days, of which a time is cut off.
    Whole,
    /// With place for a time, in milliseconds: as [`Date64`](DataType::Date64).
    Wide,
}

/// Whether such a text may be among others: a time on a day, or after a second more digits than there is place for.
#[cfg(feature = "csv")]
pub(crate) fn may_be_cut(text: &[u8], days: Option<Days>, places: Option<usize>) -> bool {
    let is_finer = |places: usize| {
        let points = text.iter().enumerate().filter(|(_, byte)| **byte == b'.');
        points.map(|(at, _)| text.split_at(at)).any(|(before, part)| {
            digits_from(part.get(1..).unwrap_or_default()) > places && ends_in_seconds(before)
        })
    };
    let is_on_day = match days {
        None => false,
        Some(Days::Whole) => text.windows(3).any(goes_on_with_a_time),
        Some(Days::Wide) => is_hidden(text),
    };
    is_on_day || places.is_some_and(is_finer)
}

/// Whether a time may be among others that is the beginning of a day in its milliseconds, and is not: one that is less than a millisecond after it, and a leap second, which is the first one of the next day there.
#[cfg(feature = "csv")]
fn is_hidden(text: &[u8]) -> bool {
    let seconds = text.windows(3).enumerate().filter(|(_, of)| of.starts_with(b":"));
    seconds.map(|(at, _)| text.split_at(at).1).any(|from| match from {
        [b':', b'6', b'0', ..] => true,
        [b':', b'0', b'0', b'.', part @ ..] => part.starts_with(b"000") && digits_from(part) > 3,
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_by_a_type_that_has_no_place_for_all_of_it() {
        let second = DataType::Timestamp(TimeUnit::Second, None);
        let millisecond = DataType::Timestamp(TimeUnit::Millisecond, Some("+01:00".into()));
        for (text, to, cut) in [
            ("2013-02-04", &DataType::Date32, false),
            ("+12013-02-04", &DataType::Date32, false),
            ("2013-02-04T00:00:00Z", &DataType::Date32, false),
            ("2013-02-04 00:00:00.000", &DataType::Date32, false),
            ("2013-02-04T23:30:00-05:00", &DataType::Date32, true),
            ("2013-02-04T00:00:00.000001", &DataType::Date32, true),
            ("2013-02-04T23:30:00-05:00", &second, false),
            ("2013-02-04T23:30:00.000", &second, false),
            ("2013-02-04T23:30:00.5", &second, true),
            ("2013-02-04T23:30:00.1230-05:00", &millisecond, false),
            ("2013-02-04T23:30:00.1234-05:00", &millisecond, true),
            ("23:30:00.1234", &DataType::Time32(TimeUnit::Millisecond), true),
            ("2013-02-04T23:30:00.5", &DataType::Utf8, false),
        ] {
            assert_eq!(is_cut(text, to), cut, "{text} as {to}");
        }
    }

    #[cfg(feature = "csv")]
    #[test]
    fn only_what_a_day_in_milliseconds_does_not_show_is_looked_at() {
        let microseconds = Some(6);
        for (text, suspect) in [
            ("2013-02-04,2013-02-04T23:30:00.123456\n", false),
            ("2013-02-04T00:00:00,2013-02-04T23:30:10.000456\n", false),
            ("2013-02-04T00:00:00.0000,6:00\n", false),
            ("2013-02-04T00:00:00.0001,\n", true),
            ("2013-02-04T00:00:00.00000001Z,\n", true),
            ("2013-02-04T23:59:60Z,\n", true),
            ("2013-02-04,2013-02-04T23:30:00.1234567\n", true),
        ] {
            let text = text.as_bytes();
            assert_eq!(may_be_cut(text, Some(Days::Wide), microseconds), suspect);
        }
        assert!(may_be_cut(b"2013-02-04T23:30:00", Some(Days::Whole), None));
        assert!(!may_be_cut(
            b"2013-02-04T23:59:60.1234567",
            None,
            microseconds.map(|places| places + 1)
        ));
    }
}

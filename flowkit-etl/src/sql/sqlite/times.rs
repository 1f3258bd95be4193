//! Days and times as the texts that they are in SQLite: which are read, and as what.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Timelike as _};

use crate::sql::columns::Misfit;
use crate::text::cut;

/// How the time of a day is written.
const TIMES: [&str; 2] = ["%T%.f", "%R"];
/// How a day and a time of it are.
const DATETIMES: [&str; 4] = ["%F %T%.f", "%FT%T%.f", "%F %R", "%FT%R"];
/// The same with a zone.
const ZONED: [&str; 4] = ["%F %T%.f%:z", "%FT%T%.f%:z", "%F %R%:z", "%FT%R%:z"];

pub(super) fn day(text: &str) -> Result<NaiveDate, Misfit> {
    NaiveDate::parse_from_str(text, "%F").map_err(|_| unread(text))
}

/// A time of the day, in microseconds. One that has a zone is of no day, so that nobody knows what it is elsewhere.
pub(super) fn time_of_day(text: &str) -> Result<i64, Misfit> {
    let parse = |format: &&str| NaiveTime::parse_from_str(text, format).ok();
    let Some(time) = TIMES.iter().find_map(parse) else {
        return Err(match text.ends_with('Z') || text.contains(['+', '-']) {
            true => Misfit::Value(format!("a time of the day with a zone ({:?})", cut(text, 40))),
            false => unread(text),
        });
    };
    to_the_microsecond(time.nanosecond())?;
    Ok(crate::value::micros_of_day(time))
}

/// A time, in microseconds since 1970. One that has a zone is a moment, and as that in UTC.
pub(super) fn time(text: &str) -> Result<i64, Misfit> {
    let local = |format: &&str| {
        let text = text.strip_suffix('Z').unwrap_or(text);
        NaiveDateTime::parse_from_str(text, format).ok()
    };
    let zoned = |format: &&str| {
        let time = DateTime::parse_from_str(text, format).ok();
        time.map(|time| time.naive_utc())
    };
    let time = DATETIMES.iter().find_map(local);
    let time = time.or_else(|| ZONED.iter().find_map(zoned));
    // What is left is written in small letters, or lacks the colon.
    let time = time.or_else(|| Some(DateTime::parse_from_rfc3339(text).ok()?.naive_utc()));
    let time = time.ok_or_else(|| unread(text))?;
    to_the_microsecond(time.nanosecond())?;
    Ok(time.and_utc().timestamp_micros())
}

fn unread(text: &str) -> Misfit {
    Misfit::Value(format!("the text {:?}", cut(text, 40)))
}

/// Nothing, if so many nanoseconds are whole microseconds, which is as fine as columns are.
fn to_the_microsecond(nanoseconds: u32) -> Result<(), Misfit> {
    match nanoseconds % 1000 {
        0 => Ok(()),
        _ => Err(Misfit::Value("a time finer than a microsecond".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_however_it_is_written_and_in_utc_where_it_has_a_zone() {
        let expected = time("2013-02-04 10:30:00").ok();
        assert!(expected.is_some());
        for text in [
            "2013-02-04T10:30:00",
            "2013-02-04 10:30",
            "2013-02-04T10:30Z",
            "2013-02-04 10:30:00.000Z",
            "2013-02-04t10:30:00z",
            "2013-02-04 12:30:00+02:00",
            "2013-02-04T12:30:00.0+02:00",
            "2013-02-04T12:30+02:00",
        ] {
            assert_eq!(time(text).ok(), expected, "{text}");
        }
        for text in ["2013-02-04", "10:30", "soon", "", "2013-02-04 10:30:00.1234567"] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_of_the_day_has_no_zone() {
        assert_eq!(time_of_day("10:30").ok(), Some(37_800_000_000));
        assert_eq!(time_of_day("10:30:00.5").ok(), Some(37_800_500_000));
        for text in ["10:30Z", "10:30:00+02:00", "10:30:00-02:00"] {
            let zone = matches!(time_of_day(text), Err(Misfit::Value(what)) if what.contains("with a zone"));
            assert!(zone, "{text}");
        }
        assert!(time_of_day("24:30").is_err() && time_of_day("10:30:00.0000001").is_err());
    }
}

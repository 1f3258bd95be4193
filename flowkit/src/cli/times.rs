//! Times as people read and write them.

use std::time::{Duration, SystemTime};

use flowkit_journal::record::Timestamp;

use super::trouble::Trouble;
use crate::clock::{Clock, SystemClock};

/// The last moment that RFC 3339 has a text for, in microseconds: the end of the year 9999 is a little later.
const LAST: i64 = 253_370_764_800_000_000;

/// A moment, in RFC 3339.
pub(super) fn moment(at: Timestamp) -> String {
    let at = SystemTime::from(Timestamp(at.0.clamp(0, LAST)));
    humantime::format_rfc3339_millis(at).to_string()
}

/// The same, to be read in a table.
pub(super) fn short_moment(at: Timestamp) -> String {
    let text = moment(at);
    let (day, time) = text.split_once('T').unwrap_or((&text, ""));
    let time = time.split('.').next().unwrap_or_default();
    format!("{day} {time}")
}

/// From one moment to another.
pub(super) fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::from_micros(u64::try_from(to.0.saturating_sub(from.0)).unwrap_or(0))
}

/// How long something took.
pub(super) fn length(duration: Duration) -> String {
    match duration.as_secs() {
        0 => format!("{} ms", duration.as_millis()),
        1..60 => format!("{:.2} s", duration.as_secs_f64()),
        seconds => humantime::format_duration(Duration::from_secs(seconds)).to_string(),
    }
}

/// Now.
pub(super) fn now() -> Timestamp {
    SystemClock.now().into()
}

/// A moment that somebody typed: RFC 3339, a day, or how long ago it is.
pub(super) fn typed_moment(text: &str) -> Result<Timestamp, Trouble> {
    let day = format!("{text}T00:00:00Z");
    let moment = humantime::parse_rfc3339_weak(text).or_else(|_| humantime::parse_rfc3339(&day));
    if let Ok(moment) = moment {
        return Ok(moment.into());
    }
    let ago = typed_length(text).map_err(|_| {
        Trouble::usage(format!(
            "`{text}` is no moment: write how long ago it is, as `2h` or `7d`, or a time, as `2026-03-01` or `2026-03-01T12:00:00Z`"
        ))
    })?;
    let now = SystemClock.now();
    Ok(now.checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH).into())
}

/// How long something is, as somebody typed it.
pub(super) fn typed_length(text: &str) -> Result<Duration, Trouble> {
    humantime::parse_duration(text).map_err(|_| {
        Trouble::usage(format!(
            "`{text}` is no duration: write it as `90s`, `2h 30min` or `30d`"
        ))
    })
}

/// A number of things.
pub(super) fn counted(number: u64, one: &str, more: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { more })
}

/// Bytes, to be read.
#[expect(clippy::cast_precision_loss, reason = "it is shown with one digit")]
pub(super) fn bytes(bytes: u64) -> String {
    let sizes = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match sizes.iter().find(|(size, _)| bytes >= *size) {
        Some((size, name)) => format!("{:.1} {name}", bytes as f64 / *size as f64),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_that_no_text_has_are_no_trouble() {
        for at in [i64::MIN, -1, 0, i64::MAX] {
            assert!(moment(Timestamp(at)).ends_with('Z'));
        }
    }

    #[test]
    fn a_moment_is_typed_as_a_time_a_day_or_how_long_ago_it_is() {
        let noon = Timestamp(1_772_366_400_000_000);
        assert_eq!(typed_moment("2026-03-01T12:00:00Z").unwrap(), noon);
        assert_eq!(typed_moment("2026-03-01").unwrap().0, noon.0 - 12 * 3_600_000_000);
        let ago = between(typed_moment("2h").unwrap(), now());
        assert!(ago >= Duration::from_secs(7200) && ago < Duration::from_secs(7300));
        assert!(typed_moment("yesterday").is_err());
    }
}

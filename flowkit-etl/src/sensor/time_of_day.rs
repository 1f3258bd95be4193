//! A time of the day.

use std::time::{Duration, SystemTime};

use flowkit::{Clock, SystemClock};
use futures::future::{BoxFuture, FutureExt};
use jiff::civil::Time;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, Zoned};

use crate::error::{Error, ErrorKind, Result};
use crate::sensor::Condition;

/// A time of the day in a zone: met from then on until midnight. A time that the day leaves out, as when clocks go forward, is met right after the gap, and one that
/// it has twice, the first time.
///
/// Met, it says what the moment was when that was seen.
#[derive(Debug)]
pub struct TimeOfDay {
    time: Time,
    zone: TimeZone,
    clock: Box<dyn Clock>,
}

impl TimeOfDay {
    /// This hour and minute, in the zone of the system.
    ///
    /// # Errors
    /// When there is no such time.
    pub fn at(hour: i8, minute: i8) -> Result<Self> {
        let time = Time::new(hour, minute, 0, 0).map_err(|error| {
            Error::new(
                ErrorKind::Options,
                format!("{hour}:{minute} is no time of the day"),
            )
            .because(error)
        })?;
        Ok(Self {
            time,
            zone: TimeZone::system(),
            clock: Box::new(SystemClock),
        })
    }

    /// In this zone, `Europe/Paris` or `UTC`.
    ///
    /// # Errors
    /// When the system knows no such zone.
    pub fn zone(mut self, name: &str) -> Result<Self> {
        self.zone = match name {
            "UTC" => TimeZone::UTC,
            name => TimeZone::get(name).map_err(|error| {
                Error::new(ErrorKind::Options, format!("there is no time zone `{name}`")).because(error)
            })?,
        };
        Ok(self)
    }

    /// By this clock, that of the system unless said otherwise.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Box::new(clock);
        self
    }

    fn now(&self) -> Result<Zoned> {
        let now = Timestamp::try_from(self.clock.now());
        let now = now.map_err(|error| {
            Error::new(ErrorKind::Options, "the clock shows no time that a calendar has").because(error)
        })?;
        Ok(now.to_zoned(self.zone.clone()))
    }

    /// When it is, on the day of this moment. The first time, if there are two.
    fn on_the_day_of(&self, now: &Zoned) -> Result<Timestamp> {
        let none = |error| {
            let message = format!("there is no {} on this day", self.time);
            Error::new(ErrorKind::Options, message).because(error)
        };
        let then = self
            .zone
            .to_ambiguous_timestamp(now.date().to_datetime(self.time));
        if let AmbiguousOffset::Gap { after, .. } = then.offset() {
            // Read in the offset of after the gap, it lies before it.
            let before = after.to_timestamp(then.datetime()).map_err(none)?;
            if let Some(gap) = self.zone.following(before).next() {
                return Ok(gap.timestamp());
            }
        }
        then.compatible().map_err(none)
    }

    /// How long it is until then.
    fn ahead(&self) -> Option<Duration> {
        let now = self.now().ok()?;
        let then = self.on_the_day_of(&now).ok()?;
        Duration::try_from(then.duration_since(now.timestamp())).ok()
    }
}

impl Condition for TimeOfDay {
    type Met = SystemTime;

    fn poke(&mut self) -> BoxFuture<'_, Result<Option<SystemTime>>> {
        let met = self.now().and_then(|now| {
            let then = self.on_the_day_of(&now)?;
            Ok((now.timestamp() >= then).then(|| now.timestamp().into()))
        });
        futures::future::ready(met).boxed()
    }

    fn worth_a_look(&mut self) -> BoxFuture<'_, ()> {
        match self.ahead() {
            Some(ahead) => tokio::time::sleep(ahead).boxed(),
            None => futures::future::pending().boxed(),
        }
    }
}

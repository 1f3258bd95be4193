//! A row in a database.

use std::fmt;

use futures::future::{BoxFuture, FutureExt};

use crate::error::Result;
use crate::sensor::Condition;
use crate::sql::{Database, Read};
use crate::value::Value;

/// A query whose first row begins with something: any value but none, false, zero and an empty text. Met, it gives that value. Of the rows only the first is read.
///
/// Exact numbers, as `SUM` gives them on PostgreSQL and MySQL, and times of the day come as text. So a text that is a zero, `0` or `0.00`, is one.
///
/// Each look has a connection of its own. On PostgreSQL it can [listen](Self::listen) besides, so that it looks when it is told.
pub struct SqlCondition {
    database: Database,
    query: String,
    values: Vec<Value>,
    #[cfg(feature = "postgres")]
    ear: Option<Ear>,
}

/// The channel of PostgreSQL on which is told that it is worth to look.
#[cfg(feature = "postgres")]
struct Ear {
    channel: String,
    listener: Option<sqlx::postgres::PgListener>,
}

impl SqlCondition {
    /// What this query answers.
    pub fn new(database: &Database, query: impl Into<String>) -> Self {
        Self {
            database: database.clone(),
            query: query.into(),
            values: Vec::new(),
            #[cfg(feature = "postgres")]
            ear: None,
        }
    }

    /// The next parameter.
    #[must_use]
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Looks at once when something is told on this channel: by `NOTIFY channel`, from a trigger for instance. For PostgreSQL; elsewhere the first look ends with an error.
    ///
    /// It holds one connection while it waits. If that breaks, the sensor goes on to look at its interval, and listens again after the next look.
    #[cfg(feature = "postgres")]
    #[must_use]
    pub fn listen(mut self, channel: impl Into<String>) -> Self {
        self.ear = Some(Ear {
            channel: channel.into(),
            listener: None,
        });
        self
    }
}

impl Condition for SqlCondition {
    type Met = Value;

    fn poke(&mut self) -> BoxFuture<'_, Result<Option<Value>>> {
        async move {
            // Before the look, so that nothing is missed in between.
            #[cfg(feature = "postgres")]
            if let Some(ear) = &mut self.ear
                && ear.listener.is_none()
            {
                ear.listener = Some(self.database.listener(&ear.channel).await?);
            }
            let mut session = self.database.connect().await?;
            let read = Read::new(self.query.as_str(), self.values.clone());
            let value = session.value(&read).await?;
            session.close().await;
            Ok(value.filter(says_yes))
        }
        .boxed()
    }

    #[cfg(feature = "postgres")]
    fn worth_a_look(&mut self) -> BoxFuture<'_, ()> {
        async move {
            if let Some(ear) = &mut self.ear
                && let Some(listener) = &mut ear.listener
            {
                match listener.try_recv().await {
                    Ok(Some(_)) => return,
                    // Something may have been told meanwhile, so a look is worth it.
                    Ok(None) => {
                        ear.listener = None;
                        return;
                    }
                    Err(error) => {
                        tracing::warn!(target: "flowkit_etl", %error, "listens no more until the next look");
                        ear.listener = None;
                    }
                }
            }
            std::future::pending::<()>().await;
        }
        .boxed()
    }
}

fn says_yes(value: &Value) -> bool {
    match value {
        Value::Null | Value::Boolean(false) | Value::Integer(0) => false,
        Value::Number(number) => *number != 0.0,
        Value::Text(text) => !text.is_empty() && !is_zero(text),
        _ => true,
    }
}

/// Whether a text is an exact number that is zero.
fn is_zero(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let zeros = |part: &str| part.bytes().all(|byte| byte == b'0');
    !whole.is_empty() && zeros(whole) && zeros(fraction)
}

impl fmt::Debug for SqlCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "what {} answers to {:?}", self.database, self.query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zero_is_one_however_it_is_written() {
        for zero in ["0", "0.00", "-0.0", "000"] {
            assert!(!says_yes(&zero.into()), "{zero}");
        }
        for other in ["0.01", "10", "00:00:00", "-", ".", "0x", "no"] {
            assert!(says_yes(&other.into()), "{other}");
        }
    }
}

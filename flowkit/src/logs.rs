//! What bodies log, kept in the journal: a layer of `tracing_subscriber` that the program adds to its subscriber.

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use flowkit_journal::record::{LogRow, Record, Timestamp};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use crate::context::{self, RunContext};
use crate::journaling::logged::{Appending, Room};

/// How many bytes of log of an attempt are kept unless [`JournalLayer::bytes_per_attempt`] says otherwise: 64 KiB.
pub const DEFAULT_LOG_BYTES: usize = 64 * 1024;

/// Keeps what the bodies of tasks and flows log in the journal of their runtime: a layer of `tracing_subscriber`, which the program adds to its
/// own.
///
/// Every event that is emitted while a body is polled, or on the thread of a blocking body, becomes a line of its run and attempt, flowkit's own
/// events among them. Events outside of bodies, and those of runs without a journal, are none of its business. Which events there are is for
/// filters to say, as for any layer.
///
/// Of one attempt so many bytes are kept; where they end, a last line says that it was cut. Nobody waits for the journal. What a
/// blocking body that was given up logs after its flow run has ended is not kept.
///
/// ```
/// use std::sync::Arc;
///
/// use flowkit::JournalLayer;
/// use flowkit::journal::{JournalStore, MemoryJournal};
/// use flowkit::prelude::*;
/// use tracing_subscriber::layer::SubscriberExt;
///
/// #[task]
/// async fn extract(source: &str) -> usize {
///     tracing::info!(source, "reading");
///     source.len()
/// }
///
/// #[flow]
/// async fn pipeline() -> Result<usize> {
///     Ok(extract("plants.csv").await?)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// // In a program: `tracing_subscriber::registry().with(…).with(JournalLayer::new()).init()`.
/// let subscriber = tracing_subscriber::registry().with(JournalLayer::new());
/// let _guard = tracing::subscriber::set_default(subscriber);
///
/// let store: Arc<dyn JournalStore> = Arc::new(MemoryJournal::new());
/// let runtime = Runtime::builder().journal_store(store.clone()).build().await?;
/// let run = runtime.run(pipeline()).await;
///
/// let stored = store.flow(run.id().as_u128()).await?.ok_or("it is recorded")?;
/// let logs = store.logs(stored.no, None).await?;
/// assert_eq!(logs[0].message, "reading source=\"plants.csv\"");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a layer does nothing until it is added to a subscriber"]
pub struct JournalLayer {
    most: usize,
}

impl Default for JournalLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl JournalLayer {
    /// A layer that keeps [`DEFAULT_LOG_BYTES`] of an attempt.
    pub const fn new() -> Self {
        Self {
            most: DEFAULT_LOG_BYTES,
        }
    }

    /// How many bytes of log of one attempt are kept.
    pub const fn bytes_per_attempt(mut self, bytes: usize) -> Self {
        self.most = bytes;
        self
    }
}

impl<S: Subscriber> Layer<S> for JournalLayer {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        // What is logged on the way into the journal would not get there.
        if Appending::is_going_on() {
            return;
        }
        let Some(run) = context::journaled_run() else {
            return;
        };
        let mut line = Line::new(self.most);
        event.record(&mut line);
        keep(&run, event, line, self.most);
    }
}

fn keep(run: &RunContext, event: &Event<'_>, line: Line, most: usize) {
    let (Some(life), Some(calls)) = (&run.scope.life, &run.calls) else {
        return;
    };
    if life.ended.load(Ordering::Relaxed) {
        return;
    }
    let target = line.target.as_deref().unwrap_or(event.metadata().target());
    let mut message = line.text;
    let append = |level: Level, target: &str, message: String| {
        life.append(Record::Log(Box::new(LogRow {
            run: life.no,
            task: run.place.map(|place| life.spot(place)),
            attempt: run.attempt,
            at: Timestamp::from(run.scope.runtime.clock.now()),
            level: number(level),
            target: Arc::from(target),
            message,
        })));
    };
    let level = *event.metadata().level();
    // A line costs something even if it says nothing.
    let bytes = message.len() + target.len();
    match calls.logged.count(run.attempt, bytes, most) {
        Room::Whole => append(level, target, message),
        Room::Cut(left) => {
            message.truncate(message.floor_char_boundary(left.saturating_sub(target.len())));
            if !message.is_empty() {
                append(level, target, message);
            }
            let mark = format!("the log of this attempt is cut here: of one attempt {most} bytes are kept");
            append(Level::WARN, "flowkit", mark);
        }
        Room::None => {}
    }
}

/// A level as a journal has it.
fn number(level: Level) -> u8 {
    match level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        _ => 5,
    }
}

/// An event as one line: its message, and its fields after it.
pub(crate) struct Line {
    text: String,
    /// Where an event comes from that was a record of the crate `log`.
    target: Option<String>,
    /// No more than this is of use.
    most: usize,
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // One byte too many shows that there was more.
        let room = self.most.saturating_add(1).saturating_sub(self.text.len());
        if text.len() <= room {
            self.text.push_str(text);
            return Ok(());
        }
        let kept = text.get(..text.ceil_char_boundary(room)).unwrap_or_default();
        self.text.push_str(kept);
        Err(fmt::Error)
    }
}

impl Line {
    /// An empty one, of which no more than so many bytes are of use.
    pub(crate) const fn new(most: usize) -> Self {
        Self {
            text: String::new(),
            target: None,
            most,
        }
    }

    /// What it says.
    #[cfg(feature = "cli")]
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    fn add(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let space = if self.text.is_empty() { "" } else { " " };
        // It refuses what would be cut off anyway.
        let _ = match field.name() {
            "message" => write!(self, "{space}{value}"),
            name => write!(self, "{space}{name}={value}"),
        };
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "log.target" => self.target = Some(value.to_owned()),
            name if name.starts_with("log.") => {}
            "message" => self.add(field, format_args!("{value}")),
            _ => self.add(field, format_args!("{value:?}")),
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.add(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if !field.name().starts_with("log.") {
            self.add(field, format_args!("{value:?}"));
        }
    }
}

//! Rows that are too large for a database: SQLite refuses one of a gigabyte, and with it would go the batch that it is in, again and again. What makes
//! a row too large is left out of it, and a note stands in its place.

use std::borrow::Cow;
use std::sync::Arc;

use crate::record::{FlowRow, Parameters, Record, RunNo, TaskRow};

/// The most that is kept of the parameters of a flow run, in bytes.
const MOST_PARAMETERS: usize = 256 << 20;

/// The most that is kept of any other text, in bytes.
const MOST_TEXT: usize = 32 << 20;

/// How much is left of a text that is too long.
const LEFT: usize = 1 << 10;

/// The records of a batch as they fit: themselves, or with notes in place of what is too large.
pub(super) fn fitted(records: &[Record]) -> Cow<'_, [Record]> {
    if records.iter().all(fits) {
        return Cow::Borrowed(records);
    }
    // An answer is asked for again, and nothing could stand in its place.
    let mut records: Vec<Record> = records
        .iter()
        .filter(|record| fits(record) || !matches!(record, Record::Answer(_)))
        .cloned()
        .collect();
    for record in records.iter_mut().filter(|record| !fits(record)) {
        let (what, run) = match record {
            Record::Flow(row) => shrink_flow(row),
            Record::Task(row) => shrink_task(row),
            Record::Attempt(row) => {
                row.error = cut(&row.error).into();
                ("attempt", row.run)
            }
            Record::Log(row) => {
                row.message = cut(&row.message);
                ("line of log", row.run)
            }
            Record::Edge(_) | Record::Answer(_) => continue,
        };
        tracing::warn!(target: "flowkit_journal", what, run = run.0, "a row of the journal is too large: it is written without what makes it so");
    }
    Cow::Owned(records)
}

fn fits(record: &Record) -> bool {
    match record {
        Record::Flow(row) => {
            let parameters = row.parameters.as_ref();
            parameters.is_none_or(|given| given.size() <= MOST_PARAMETERS)
                && size(&row.tags) <= MOST_TEXT
                && row.name.len() <= MOST_TEXT
                && is_short(row.error.as_ref())
                && is_short(row.result_json.as_ref())
        }
        Record::Task(row) => {
            let texts = [&row.name, &row.error, &row.origin, &row.uncached];
            texts.iter().all(|text| is_short(text.as_ref())) && size(&row.tags) <= MOST_TEXT
        }
        Record::Attempt(row) => row.error.len() <= MOST_TEXT,
        Record::Log(row) => row.message.len() <= MOST_TEXT,
        Record::Answer(row) => row.value.len() + row.key.len() <= MOST_PARAMETERS,
        Record::Edge(_) => true,
    }
}

fn shrink_flow(row: &mut FlowRow) -> (&'static str, RunNo) {
    let large = row.parameters.as_ref().map(|given| given.size());
    if let Some(bytes) = large.filter(|bytes| *bytes > MOST_PARAMETERS) {
        row.parameters = Some(Arc::new(Parameters::left_out(bytes)));
    }
    let long = row.result_json.as_ref().map(|json| json.len());
    if let Some(bytes) = long.filter(|bytes| *bytes > MOST_TEXT) {
        row.result_json = Some(format!("\"{bytes} bytes were left out\"").into());
    }
    shorten_tags(&mut row.tags);
    shorten(&mut row.error);
    if row.name.len() > MOST_TEXT {
        row.name = cut(&row.name).into();
    }
    ("flow run", row.no)
}

/// Its result may be of any size: a large one is a file.
fn shrink_task(row: &mut TaskRow) -> (&'static str, RunNo) {
    let texts = [&mut row.name, &mut row.error, &mut row.origin, &mut row.uncached];
    texts.into_iter().for_each(shorten);
    shorten_tags(&mut row.tags);
    ("task run", row.spot.run)
}

fn size(texts: &[String]) -> usize {
    texts.iter().map(String::len).sum()
}

fn is_short(text: Option<&Arc<str>>) -> bool {
    text.is_none_or(|text| text.len() <= MOST_TEXT)
}

/// The beginning of a text, and how much is not there.
fn cut(text: &str) -> String {
    let start = &text[..text.floor_char_boundary(LEFT)];
    format!("{start}… ({} bytes more were left out)", text.len() - start.len())
}

fn shorten(text: &mut Option<Arc<str>>) {
    if let Some(long) = text.as_ref().filter(|text| text.len() > MOST_TEXT) {
        *text = Some(cut(long).into());
    }
}

fn shorten_tags(tags: &mut Vec<String>) {
    let bytes = size(tags);
    if bytes > MOST_TEXT {
        *tags = vec![format!("({bytes} bytes of tags were left out)")];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SqliteJournal;
    use crate::conformance::rows::{attempt, flow, log, spot, task};
    use crate::store::JournalStore;

    #[test]
    fn a_text_is_cut_between_its_letters() {
        let text = format!("a{}", "ü".repeat(LEFT));
        let cut = cut(&text);
        assert!(cut.starts_with("aü") && cut.contains("ü… ("), "{}", &cut[LEFT..]);
    }

    #[tokio::test]
    async fn a_row_that_is_too_large_is_written_with_a_note_and_its_neighbours_as_they_are() {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteJournal::open(directory.path()).await.unwrap();
        let long = "x".repeat(MOST_TEXT + 1);
        let mut large = flow(1, 7);
        // More than SQLite takes, of which nobody asks the system.
        large.parameters = Some(Arc::new(Parameters {
            json: None,
            bytes: vec![0; 1_000_000_001],
        }));
        large.result_json = Some(long.as_str().into());
        let (mut failed, mut tried) = (task(spot(1, 0)), attempt(1, None, 1));
        (failed.error, tried.error) = (Some(long.as_str().into()), long.as_str().into());
        let small = task(spot(1, 1));
        let line = log(1, None, &long);
        let batch: [Record; 6] = [
            large.into(),
            failed.into(),
            small.clone().into(),
            tried.into(),
            line.into(),
            flow(2, 8).into(),
        ];
        store.write(&batch).await.unwrap();
        let read = store.flow(7).await.unwrap().unwrap();
        assert!(read.parameters.unwrap().is_left_out());
        assert_eq!(
            read.result_json.as_deref(),
            Some("\"33554433 bytes were left out\"")
        );
        let note = "x… (33553409 bytes more were left out)";
        let tasks = store.tasks(RunNo(1), true).await.unwrap();
        assert!(tasks[0].error.as_deref().unwrap().ends_with(note));
        assert_eq!(tasks[1], (&small).into());
        assert!(store.attempts(RunNo(1)).await.unwrap()[0].error.ends_with(note));
        let lines = store.logs(RunNo(1), None).await.unwrap();
        assert!(lines[0].message.ends_with(note));
        assert!(store.flow(8).await.unwrap().is_some());
    }
}

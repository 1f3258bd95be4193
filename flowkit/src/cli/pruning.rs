//! `prune`: forgets old runs, results and logs at once, as a runtime does by and by.

use std::path::Path;

use clap::ArgMatches;
use flowkit_journal::{JournalStore, Owner, Pruned, Retention, SqliteJournal};
use serde_json::json;

use super::Exit;
use super::directory;
use super::screen::Screen;
use super::times::{counted, now, typed_length};
use super::trouble::Trouble;
use crate::clock::{Clock, SystemClock};
use crate::journaling::retention::KeepRuns;

/// Clears a journal out.
pub(super) async fn prune(
    data_dir: &Path,
    matches: &ArgMatches,
    screen: &mut Screen<'_>,
) -> Result<Exit, Trouble> {
    let older = matches
        .get_one::<String>("older-than")
        .map_or("30d", String::as_str);
    let mut keep = KeepRuns::new().age(typed_length(older)?);
    if let Some(runs) = matches.get_one::<u64>("keep") {
        keep = keep.runs(*runs);
    }
    let pruned = if directory::has_journal(data_dir)? {
        let _owner = Owner::take(data_dir, now())?;
        let journal = SqliteJournal::open(data_dir).await?;
        let pruned = clear_out(&journal, &keep.at(SystemClock.now())).await;
        let closed = journal.close().await;
        let pruned = pruned?;
        closed?;
        pruned
    } else {
        Pruned::default()
    };
    if screen.json {
        screen.value(&json!({ "runs": pruned.runs, "results": pruned.results, "logs": pruned.logs }));
    } else {
        screen.line(&format!(
            "forgot {}, and of others {} and {}",
            counted(pruned.runs, "run", "runs"),
            counted(pruned.results, "result", "results"),
            counted(pruned.logs, "line of log", "lines of log")
        ));
    }
    Ok(Exit::Completed)
}

/// Slice after slice, until no more is to be done.
async fn clear_out(journal: &SqliteJournal, retention: &Retention) -> Result<Pruned, Trouble> {
    let mut all = Pruned::default();
    loop {
        let slice = journal.prune(retention).await?;
        all.runs += slice.runs;
        all.results += slice.results;
        all.logs += slice.logs;
        if !slice.more {
            return Ok(all);
        }
    }
}

//! `prune`: forgets old runs, results and logs at once, as the program's runtime does by and by. What is typed counts instead of what the program says.

use std::path::Path;

use clap::ArgMatches;
use flowkit_journal::{JournalStore, Pruned, Retention, SqliteJournal};
use serde_json::json;

use super::directory;
use super::running::described;
use super::screen::Screen;
use super::times::{counted, now, typed_length};
use super::trouble::Trouble;
use super::{Exit, MakeBuilder};
use crate::clock::{Clock, SystemClock};
use crate::runtime::own;

/// Clears a journal out.
pub(super) async fn prune(
    builder: MakeBuilder,
    data_dir: &Path,
    matches: &ArgMatches,
    screen: &mut Screen<'_>,
) -> Result<Exit, Trouble> {
    let older = matches.get_one::<String>("older-than");
    let older = older.map(|typed| typed_length(typed)).transpose()?;
    let pruned = if directory::has_journal(data_dir)? {
        let mut keep = described(builder).await?.kept_runs();
        if let Some(age) = older {
            keep = keep.age(age);
        }
        if let Some(runs) = matches.get_one::<u64>("keep") {
            keep = keep.runs(*runs);
        }
        let _owner = own(data_dir, now()).await?;
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

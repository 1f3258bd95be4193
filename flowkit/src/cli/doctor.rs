//! `doctor`: checks a data directory.

use std::fs::{File, TryLockError};
use std::path::Path;

use flowkit_cache::CacheStore;
use flowkit_journal::{JournalStore, RunFilter, SqliteJournal};
use serde_json::{Value, json};

use super::Exit;
use super::caching;
use super::drawn::state_of;
use super::screen::{Screen, clean};
use super::times::bytes;
use super::trouble::{Said, Trouble};

/// What a check found.
struct Finding {
    check: &'static str,
    fine: bool,
    detail: String,
}

impl Finding {
    fn fine(check: &'static str, detail: impl Into<String>) -> Self {
        Self {
            check,
            fine: true,
            detail: detail.into(),
        }
    }

    fn wrong(check: &'static str, trouble: &Trouble) -> Self {
        let detail = match &trouble.said {
            Said::Error(message) => message.clone(),
            Said::Clap(error) => error.to_string(),
        };
        Self {
            check,
            fine: false,
            detail,
        }
    }
}

/// Checks everything, and says what it found.
pub(super) async fn examine(data_dir: &Path, screen: &mut Screen<'_>) -> Result<Exit, Trouble> {
    let mut findings = vec![Finding::fine(
        "version",
        format!("flowkit {}", env!("CARGO_PKG_VERSION")),
    )];
    if data_dir.is_dir() {
        let owner = owner(data_dir);
        findings.push(Finding::fine("directory", data_dir.display().to_string()));
        findings.push(match &owner {
            Some(owner) => Finding::fine("owner", owner.clone()),
            None => Finding::fine("owner", "none: nothing runs here now"),
        });
        findings.push(match journal(data_dir, owner.is_some()).await {
            Ok(detail) => Finding::fine("journal", detail),
            Err(trouble) => Finding::wrong("journal", &trouble),
        });
        findings.push(match cache(data_dir, owner.is_some()).await {
            Ok(detail) => Finding::fine("cache", detail),
            Err(trouble) => Finding::wrong("cache", &trouble),
        });
    } else if data_dir.exists() {
        let trouble = Trouble::store(format!("`{}` is no directory", data_dir.display()));
        findings.push(Finding::wrong("directory", &trouble));
    } else {
        let detail = format!(
            "`{}` is not there yet: the first run makes it",
            data_dir.display()
        );
        findings.push(Finding::fine("directory", detail));
    }
    report(&findings, screen);
    Ok(if findings.iter().all(|finding| finding.fine) {
        Exit::Completed
    } else {
        Exit::Store
    })
}

fn report(findings: &[Finding], screen: &mut Screen<'_>) {
    if screen.json {
        let findings = findings
            .iter()
            .map(|finding| json!({ "check": finding.check, "fine": finding.fine, "detail": finding.detail }));
        screen.value(&findings.collect::<Value>());
        return;
    }
    for finding in findings {
        let verdict = if finding.fine { "fine " } else { "WRONG" };
        screen.line(&clean(&format!(
            "{verdict}  {:<9}  {}",
            finding.check, finding.detail
        )));
    }
}

/// Who has the directory, if anybody does. To see that, we have it ourselves for an instant.
fn owner(data_dir: &Path) -> Option<String> {
    let path = data_dir.join("owner");
    let file = File::open(&path).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let mut words = text.split_whitespace();
            let (pid, since) = (words.next().unwrap_or("?"), words.next().unwrap_or("?"));
            Some(format!("process {pid}, since {since}"))
        }
        _ => None,
    }
}

async fn journal(data_dir: &Path, owned: bool) -> Result<String, Trouble> {
    if !data_dir.join("journal.sqlite").exists() {
        return Ok("none yet".to_owned());
    }
    let journal = SqliteJournal::open_read_only(data_dir).await?;
    let looked = look(&journal, owned).await;
    // It was only read.
    drop(journal.close().await);
    looked
}

async fn look(journal: &SqliteJournal, owned: bool) -> Result<String, Trouble> {
    let size = journal.size().await?;
    let flows = journal.flows(&RunFilter::default()).await?;
    let mut detail = format!(
        "{} flow runs, {} task runs, {} on disk",
        flows.len(),
        size.task_runs,
        bytes(size.disk_bytes)
    );
    let going_on = flows
        .iter()
        .filter(|flow| !state_of(&flow.state).is_terminal())
        .count();
    if going_on > 0 {
        detail.push_str(&if owned {
            format!("; {going_on} go on")
        } else {
            format!("; {going_on} were left unfinished by a process that is gone, and can be resumed")
        });
    }
    Ok(detail)
}

async fn cache(data_dir: &Path, owned: bool) -> Result<String, Trouble> {
    if owned {
        return Ok("in use by the owner, and not looked into".to_owned());
    }
    match caching::open(data_dir).await? {
        Some(store) => {
            let stats = store.stats()?;
            Ok(format!("{} entries, {}", stats.entries, bytes(stats.bytes)))
        }
        None => Ok("none yet".to_owned()),
    }
}

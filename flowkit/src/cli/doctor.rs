//! `doctor`: checks a data directory.

use std::path::Path;

use flowkit_cache::CacheStore;
use flowkit_journal::{JournalStore, OwnedBy, RunFilter, SqliteJournal};
use serde_json::{Value, json};

use super::Exit;
use super::caching;
use super::directory;
use super::drawn::state_of;
use super::screen::{Screen, clean};
use super::times::{bytes, counted};
use super::trouble::{Said, Trouble};

/// What is to be thought of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Fine,
    /// It works, and somebody should look at it.
    Look,
    Wrong,
}

impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Look => "look",
            Self::Wrong => "wrong",
        }
    }
}

/// What a check found.
struct Finding {
    check: &'static str,
    verdict: Verdict,
    detail: String,
}

impl Finding {
    fn new(check: &'static str, verdict: Verdict, detail: impl Into<String>) -> Self {
        Self {
            check,
            verdict,
            detail: detail.into(),
        }
    }

    fn of(check: &'static str, found: Result<(Verdict, String), Trouble>) -> Self {
        match found {
            Ok((verdict, detail)) => Self::new(check, verdict, detail),
            Err(trouble) => {
                let detail = match trouble.said {
                    Said::Error(message) => message,
                    Said::Clap(error) => error.to_string(),
                };
                Self::new(check, Verdict::Wrong, detail)
            }
        }
    }
}

/// Checks everything, and says what it found.
pub(super) async fn examine(data_dir: &Path, screen: &mut Screen<'_>) -> Result<Exit, Trouble> {
    let version = format!("flowkit {}", env!("CARGO_PKG_VERSION"));
    let mut findings = vec![Finding::new("version", Verdict::Fine, version)];
    match directory::is_there(data_dir) {
        Ok(true) => {
            findings.push(Finding::new(
                "directory",
                Verdict::Fine,
                data_dir.display().to_string(),
            ));
            look_into(data_dir, &mut findings).await;
        }
        Ok(false) => {
            let detail = format!(
                "`{}` is not there yet: the first run makes it",
                data_dir.display()
            );
            findings.push(Finding::new("directory", Verdict::Fine, detail));
        }
        Err(trouble) => findings.push(Finding::of("directory", Err(trouble))),
    }
    report(&findings, screen);
    let wrong = findings.iter().any(|finding| finding.verdict == Verdict::Wrong);
    Ok(if wrong { Exit::Store } else { Exit::Completed })
}

async fn look_into(data_dir: &Path, findings: &mut Vec<Finding>) {
    let owner = directory::owner(data_dir);
    let is_owned = matches!(owner, Ok(Some(_)));
    let owner = owner.map(|owner| match owner {
        Some(OwnedBy { pid, since }) => format!("process {pid}, since {since}"),
        None => "none: nothing runs here now".to_owned(),
    });
    findings.push(Finding::of("owner", owner.map(|detail| (Verdict::Fine, detail))));
    findings.push(Finding::of("journal", journal(data_dir, is_owned).await));
    findings.push(Finding::of("cache", cache(data_dir, is_owned).await));
    let aside = directory::set_aside(data_dir);
    findings.extend(aside.iter().map(|path| set_aside(data_dir, path)));
}

fn report(findings: &[Finding], screen: &mut Screen<'_>) {
    if screen.json {
        let findings = findings.iter().map(|finding| {
            json!({
                "check": finding.check,
                "verdict": finding.verdict.word(),
                "fine": finding.verdict != Verdict::Wrong,
                "detail": finding.detail,
            })
        });
        screen.value(&findings.collect::<Value>());
        return;
    }
    for finding in findings {
        let verdict = match finding.verdict {
            Verdict::Wrong => "WRONG",
            verdict => verdict.word(),
        };
        let line = format!("{verdict:<5}  {:<9}  {}", finding.check, finding.detail);
        screen.line(&clean(&line));
    }
}

async fn journal(data_dir: &Path, is_owned: bool) -> Result<(Verdict, String), Trouble> {
    if !directory::has_journal(data_dir)? {
        return Ok((Verdict::Fine, "none yet".to_owned()));
    }
    let is_whole = is_owned || SqliteJournal::log_is_whole(data_dir).unwrap_or(true);
    let journal = SqliteJournal::open_read_only(data_dir).await?;
    let looked = look(&journal, is_owned).await;
    // It was only read.
    drop(journal.close().await);
    if is_whole {
        return looked;
    }
    let (_, detail) = looked?;
    Ok((
        Verdict::Wrong,
        format!(
            "{detail}; its log was damaged or cut short: what was written last is missing, and where a run is resumed, the effects that it may have had count as unknown"
        ),
    ))
}

async fn look(journal: &SqliteJournal, is_owned: bool) -> Result<(Verdict, String), Trouble> {
    let size = journal.size().await?;
    let flows = journal.flows(&RunFilter::default()).await?;
    let runs = u64::try_from(flows.len()).unwrap_or(u64::MAX);
    let detail = format!(
        "{}, {}, {} on disk",
        counted(runs, "flow run", "flow runs"),
        counted(size.task_runs, "task run", "task runs"),
        bytes(size.disk_bytes)
    );
    let mut lost = 0_u64;
    for flow in &flows {
        lost = lost.saturating_add(journal.finished(flow.id).await?.unreadable);
    }
    if lost > 0 {
        let rows = counted(lost, "row", "rows");
        let detail = format!(
            "{detail}; {rows} cannot be read any more, or what was written last is missing: where a run is resumed, the effects that it may have had count as unknown"
        );
        return Ok((Verdict::Wrong, detail));
    }
    let going_on = flows
        .iter()
        .filter(|flow| !state_of(&flow.state).is_terminal())
        .count();
    Ok(match (going_on, is_owned) {
        (0, _) => (Verdict::Fine, detail),
        (_, true) => (Verdict::Fine, format!("{detail}; {going_on} go on")),
        (_, false) => (
            Verdict::Look,
            format!(
                "{detail}; {going_on} were left unfinished by a process that is gone: `runs --state crashed` lists them, `resume RUN` goes on with one"
            ),
        ),
    })
}

async fn cache(data_dir: &Path, is_owned: bool) -> Result<(Verdict, String), Trouble> {
    if is_owned {
        let detail = "in use by the owner, and not looked into".to_owned();
        return Ok((Verdict::Fine, detail));
    }
    let detail = match caching::open(data_dir).await? {
        Some(store) => {
            let stats = store.stats()?;
            format!("{}, {}", caching::entries_of(stats.entries), bytes(stats.bytes))
        }
        None => "none yet".to_owned(),
    };
    Ok((Verdict::Fine, detail))
}

/// What is to be done with what was set aside.
fn set_aside(data_dir: &Path, path: &Path) -> Finding {
    let name = path.display();
    let is_journal = path.parent() == Some(data_dir);
    let detail = if is_journal {
        format!(
            "`{name}` is a journal that could not be read; the runs in it are not known here any more. Keep it, with the files that are named like it, as long as they \
             may be of use (SQLite's `.recover` gets out what is left), then delete them"
        )
    } else {
        format!(
            "`{name}` is a cache that could not be read, or that an older flowkit wrote. Delete it: what was in it is computed again"
        )
    };
    Finding::new("set aside", Verdict::Look, detail)
}

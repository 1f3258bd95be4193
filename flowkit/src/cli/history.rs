//! The journal of a data directory, to be looked at, and a run in it by what somebody typed.

use std::path::{Path, PathBuf};

use clap::ArgMatches;
use flowkit_journal::{JournalStore, RunFilter, SqliteJournal, StoredFlow};
use uuid::Uuid;

use super::trouble::Trouble;

/// A journal that is only looked at. Nobody is in anybody's way.
pub(super) struct History {
    data_dir: PathBuf,
    /// None if nothing was ever recorded.
    journal: Option<SqliteJournal>,
}

impl History {
    /// Opens it.
    pub(super) async fn open(data_dir: &Path) -> Result<Self, Trouble> {
        let journal = if data_dir.join("journal.sqlite").exists() {
            Some(SqliteJournal::open_read_only(data_dir).await?)
        } else {
            None
        };
        Ok(Self {
            data_dir: data_dir.to_owned(),
            journal,
        })
    }

    /// Closes it, so that its files are free.
    pub(super) async fn close(&self) {
        if let Some(journal) = &self.journal {
            // It was only read.
            drop(journal.close().await);
        }
    }

    /// The journal, of a run that was found in it.
    pub(super) fn journal(&self) -> Result<&dyn JournalStore, Trouble> {
        match &self.journal {
            Some(journal) => Ok(journal),
            None => Err(self.nothing()),
        }
    }

    fn nothing(&self) -> Trouble {
        Trouble::usage(format!(
            "no run was ever recorded in `{}`: `--data-dir` or FLOWKIT_HOME names another directory",
            self.data_dir.display()
        ))
    }

    /// Flow runs, the latest first.
    pub(super) async fn flows(&self, filter: &RunFilter) -> Result<Vec<StoredFlow>, Trouble> {
        match &self.journal {
            Some(journal) => Ok(journal.flows(filter).await?),
            None => Ok(Vec::new()),
        }
    }

    /// The run that was typed.
    pub(super) async fn find(&self, matches: &ArgMatches) -> Result<StoredFlow, Trouble> {
        let typed = matches.get_one::<String>("run").map_or("", String::as_str);
        let journal = self.journal()?;
        if typed == "last" {
            let filter = RunFilter {
                limit: Some(1),
                ..RunFilter::default()
            };
            let last = journal.flows(&filter).await?.into_iter().next();
            return last.ok_or_else(|| self.nothing());
        }
        // A subflow is found by its whole id only.
        if let Ok(id) = Uuid::parse_str(typed)
            && let Some(flow) = journal.flow(id.as_u128()).await?
        {
            return Ok(flow);
        }
        self.find_part(typed).await
    }

    async fn find_part(&self, typed: &str) -> Result<StoredFlow, Trouble> {
        let part = typed.to_ascii_lowercase().replace('-', "");
        if part.is_empty() || !part.chars().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(Trouble::usage(format!(
                "`{typed}` is no run: name it by its id, by a beginning or an end of that, or as `last`"
            )));
        }
        let mut found = self.flows(&RunFilter::default()).await?;
        found.retain(|flow| {
            let id = Uuid::from_u128(flow.id).simple().to_string();
            id.starts_with(&part) || id.ends_with(&part)
        });
        let ids: Vec<_> = found
            .iter()
            .take(5)
            .map(|flow| Uuid::from_u128(flow.id).to_string())
            .collect();
        let number = found.len();
        match (found.into_iter().next(), number) {
            (Some(flow), 1) => Ok(flow),
            (None, _) => Err(Trouble::usage(format!(
                "there is no run `{typed}` in `{}`: `runs` tells what there is",
                self.data_dir.display()
            ))),
            _ => Err(Trouble::usage(format!(
                "`{typed}` may be any of {number} runs, such as {}: write more of the id",
                ids.join(", ")
            ))),
        }
    }

    /// Whether the process that ran what has not ended is known to be gone. It is known only where the system tells which processes there are.
    pub(super) fn owner_is_gone(&self) -> bool {
        let processes = Path::new("/proc");
        let text = std::fs::read_to_string(self.data_dir.join("owner")).unwrap_or_default();
        let pid = text
            .split_whitespace()
            .next()
            .and_then(|pid| pid.parse::<u32>().ok());
        processes.join("self").exists() && pid.is_some_and(|pid| !processes.join(pid.to_string()).exists())
    }
}

/// The id of a run.
pub(super) fn id_of(flow: &StoredFlow) -> String {
    Uuid::from_u128(flow.id).to_string()
}

/// The end of it, by which it can be named: runs that began at the same time share the beginning.
pub(super) fn short_id(flow: &StoredFlow) -> String {
    let id = Uuid::from_u128(flow.id).simple().to_string();
    id.chars().skip(24).collect()
}

//! The journal of a data directory, to be looked at, and a run in it by what somebody typed.

use std::path::{Path, PathBuf};

use clap::ArgMatches;
use flowkit_journal::{JournalStore, Owner, RunFilter, SqliteJournal, StoredFlow};
use uuid::Uuid;

use super::directory;
use super::standing::{Process, Standing, is};
use super::trouble::Trouble;
use crate::state::State;

/// A journal that is only looked at. Nobody is in anybody's way.
pub(super) struct History {
    data_dir: PathBuf,
    /// None if nothing was ever recorded.
    journal: Option<SqliteJournal>,
}

impl History {
    /// Opens it.
    pub(super) async fn open(data_dir: &Path) -> Result<Self, Trouble> {
        let journal = if directory::has_journal(data_dir)? {
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

    /// Whether anything was ever recorded.
    pub(super) fn is_empty(&self) -> bool {
        self.journal.is_none()
    }

    /// The journal, of a run that was found in it.
    pub(super) fn journal(&self) -> Result<&dyn JournalStore, Trouble> {
        match &self.journal {
            Some(journal) => Ok(journal),
            None => Err(self.nothing()),
        }
    }

    fn nothing(&self) -> Trouble {
        let why = match &self.journal {
            Some(_) => "no run is recorded, or none is kept any more,",
            None => "no run was ever recorded",
        };
        Trouble::usage(format!(
            "{why} in `{}`: `--data-dir` or FLOWKIT_HOME names another directory",
            self.data_dir.display()
        ))
    }

    /// Flow runs, the latest first. They are filtered by the state in which they stand.
    pub(super) async fn flows(&self, filter: &RunFilter) -> Result<Vec<Standing>, Trouble> {
        let Some(journal) = &self.journal else {
            return Ok(Vec::new());
        };
        let mut asked = filter.clone();
        let wanted = filter.state.as_deref();
        // Crashed are also those of which nobody has noticed it yet.
        if wanted.is_some_and(|state| is(state, State::Crashed)) {
            (asked.state, asked.limit) = (None, None);
        }
        let mut standing = Vec::new();
        for flow in journal.flows(&asked).await? {
            let flow = self.stand(flow).await?;
            if wanted.is_none_or(|state| flow.flow.state == state) {
                standing.push(flow);
            }
        }
        standing.truncate(filter.limit.map_or(usize::MAX, |limit| limit as usize));
        for flow in standing.iter_mut().filter(|flow| flow.is_interrupted()) {
            let mut tasks = journal.tasks(flow.flow.no, false).await?;
            tasks.iter_mut().for_each(|task| flow.see(task));
        }
        Ok(standing)
    }

    /// How a flow run stands.
    pub(super) async fn stand(&self, mut flow: StoredFlow) -> Result<Standing, Trouble> {
        let mut process = Process::Unknown;
        if flow.ended.is_none() {
            process = self.process();
        }
        // It may have ended, and its process with it, after it was read.
        if matches!(process, Process::Gone(_))
            && let Some(again) = self.journal()?.life(flow.no).await?
        {
            flow = again;
        }
        Ok(Standing::of(flow, || process))
    }

    /// The process of whatever has not ended.
    pub(super) fn process(&self) -> Process {
        match Owner::of(&self.data_dir) {
            Ok(Some(owner)) => Process::Works(owner),
            Ok(None) => Process::Gone(Owner::last_of(&self.data_dir)),
            Err(_) => Process::Unknown,
        }
    }

    /// The run that was typed.
    pub(super) async fn find(&self, matches: &ArgMatches) -> Result<Standing, Trouble> {
        let typed = matches.get_one::<String>("run").map_or("", String::as_str);
        let flow = self.find_stored(typed).await?;
        self.stand(flow).await
    }

    async fn find_stored(&self, typed: &str) -> Result<StoredFlow, Trouble> {
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
        self.find_part(journal, typed).await
    }

    async fn find_part(&self, journal: &dyn JournalStore, typed: &str) -> Result<StoredFlow, Trouble> {
        let part = typed.to_ascii_lowercase().replace('-', "");
        if part.is_empty() || !part.chars().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(Trouble::usage(format!(
                "`{typed}` is no run: name it by its id, by a beginning or an end of that, or as `last`"
            )));
        }
        let mut found = journal.flows(&RunFilter::default()).await?;
        found.retain(|flow| {
            let id = Uuid::from_u128(flow.id).simple().to_string();
            id.starts_with(&part) || id.ends_with(&part)
        });
        let ids: Vec<_> = found.iter().take(5).map(id_of).collect();
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

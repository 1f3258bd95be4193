//! What the system tells of the directories in which files are waited for.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Has the system tell of changes where files of a pattern may appear, as far as it can.
pub(super) struct Watching {
    pattern: PathBuf,
    watch: Watch,
}

enum Watch {
    NotYet,
    /// It takes a while where there are many directories, and no look waits for it.
    Begins(JoinHandle<Option<Told>>),
    Told(Told),
    /// The system cannot, and what appears is found by looking.
    Untold,
}

/// Whom the system tells, until this is dropped.
struct Told {
    heard: Arc<Heard>,
    _watcher: RecommendedWatcher,
}

#[derive(Default)]
struct Heard {
    something: Notify,
    /// Another directory is to be watched now.
    moved: AtomicBool,
}

/// What is to be watched.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    directory: PathBuf,
    /// Also what lies below.
    deep: bool,
    /// What in it leads to the directory of the pattern, where that is not there yet.
    awaited: Option<PathBuf>,
}

impl Watching {
    pub(super) fn new(pattern: &Path) -> Self {
        Self {
            pattern: pattern.to_owned(),
            watch: Watch::NotYet,
        }
    }

    /// Before each look: begins to have it told, or anew where another directory is to be watched than before.
    pub(super) fn begin(&mut self) {
        let is_to_begin = match &self.watch {
            Watch::NotYet => true,
            Watch::Told(told) => told.heard.moved.load(Ordering::SeqCst),
            Watch::Begins(_) | Watch::Untold => false,
        };
        if is_to_begin {
            let pattern = self.pattern.clone();
            self.watch = Watch::Begins(tokio::task::spawn_blocking(move || watch(&pattern)));
        }
    }

    /// Ends when something is told, and once when that has begun: nobody tells what changed before.
    pub(super) async fn told(&mut self) {
        if let Watch::Begins(beginning) = &mut self.watch {
            let begun = beginning.await.ok().flatten();
            self.watch = begun.map_or(Watch::Untold, Watch::Told);
            return;
        }
        match &self.watch {
            Watch::Told(told) => told.heard.something.notified().await,
            _ => std::future::pending().await,
        }
    }
}

/// Where changes are to be told of: in the directory of the pattern, or in the nearest one above it that is there.
fn place_of(pattern: &Path) -> Option<Place> {
    let special = |part: &Path| part.to_string_lossy().contains(['*', '?', '[']);
    let parent = pattern.parent()?;
    let plain = parent.ancestors().find(|path| !special(path))?;
    let base = match plain.as_os_str().is_empty() {
        true => std::env::current_dir().ok()?,
        false => std::path::absolute(plain).ok()?,
    };
    let directory = base.ancestors().find(|path| path.is_dir())?.to_owned();
    let next = base.strip_prefix(&directory).ok()?.components().next();
    Some(Place {
        deep: next.is_none() && parent != plain,
        awaited: next.map(|next| directory.join(next)),
        directory,
    })
}

/// Has the system tell of changes, if it can.
fn watch(pattern: &Path) -> Option<Told> {
    let mut place = place_of(pattern)?;
    loop {
        let watching = watch_at(&place);
        let now = place_of(pattern)?;
        // What came or went before it was watched is told by nobody.
        if now != place {
            place = now;
            continue;
        }
        return watching
            .inspect_err(|error| {
                tracing::debug!(target: "flowkit_etl", %error, directory = %place.directory.display(), "the system does not tell of changes here");
            })
            .ok();
    }
}

fn watch_at(place: &Place) -> notify::Result<Told> {
    let heard = Arc::new(Heard::default());
    let (tell, of) = (Arc::clone(&heard), place.clone());
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if event.is_ok_and(|event| !tell.matters(&event, &of)) {
            return;
        }
        tell.something.notify_one();
    })?;
    let mode = match place.deep {
        true => RecursiveMode::Recursive,
        false => RecursiveMode::NonRecursive,
    };
    watcher.watch(&place.directory, mode)?;
    Ok(Told {
        heard,
        _watcher: watcher,
    })
}

impl Heard {
    /// Whether an event is worth a look, and whether another directory is to be watched after it.
    fn matters(&self, event: &Event, place: &Place) -> bool {
        let of = |path: &Path| {
            let mut names = event.paths.iter().filter_map(|path| path.file_name());
            names.any(|name| Some(name) == path.file_name())
        };
        let (is_change, may_be_gone) = match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => (true, false),
            // Looking is no change.
            EventKind::Access(_) => (false, false),
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => (true, true),
            _ => (true, false),
        };
        let is_awaited = place.awaited.as_deref().is_some_and(of);
        if is_change && (is_awaited || may_be_gone && of(&place.directory) || event.need_rescan()) {
            self.moved.store(true, Ordering::SeqCst);
            return true;
        }
        is_change && place.awaited.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_watched_than_where_the_files_may_appear() {
        let root = tempfile::tempdir().unwrap();
        let share = root.path().join("share");
        std::fs::create_dir_all(share.join("others/deeply")).unwrap();
        let place = |pattern: &str| place_of(&share.join(pattern)).unwrap();
        let waiting = place("plants/incoming/*.csv");
        assert_eq!((&waiting.directory, waiting.deep), (&share, false));
        assert_eq!(waiting.awaited, Some(share.join("plants")));
        std::fs::create_dir_all(share.join("plants/incoming")).unwrap();
        let incoming = share.join("plants/incoming");
        let there = Place {
            directory: incoming.clone(),
            deep: false,
            awaited: None,
        };
        assert_eq!(place("plants/incoming/*.csv"), there);
        assert_eq!(place("plants/incoming/a.csv"), there);
        let below = Place { deep: true, ..there };
        assert_eq!(place("plants/incoming/*/*.csv"), below);
        let here = place_of(Path::new("*.csv")).unwrap();
        assert_eq!(here.directory, std::env::current_dir().unwrap());
        assert!(!here.deep && here.awaited.is_none());
    }

    #[test]
    fn what_happens_beside_the_way_to_the_files_is_not_worth_a_look() {
        let place = Place {
            directory: "/share".into(),
            deep: false,
            awaited: Some("/share/plants".into()),
        };
        let event =
            |path: &str| Event::new(EventKind::Create(notify::event::CreateKind::Any)).add_path(path.into());
        let heard = Heard::default();
        assert!(!heard.matters(&event("/share/others"), &place));
        assert!(!heard.moved.load(Ordering::SeqCst));
        assert!(heard.matters(&event("/share/plants"), &place));
        assert!(heard.moved.load(Ordering::SeqCst));
    }
}

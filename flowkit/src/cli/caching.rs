//! `cache`: the cached results of a data directory.

use std::path::Path;
use std::time::SystemTime;

use clap::ArgMatches;
use flowkit_cache::{CacheKey, CacheStore, Found, Listed, SledStore, StoreError};
use flowkit_journal::OwnedBy;
use serde_json::{Value, json};

use super::Exit;
use super::directory;
use super::screen::Screen;
use super::times::{self, bytes, moment, short_moment};
use super::trouble::Trouble;

/// How many entries are listed at a time.
const PAGE: usize = 1024;

/// Does what was typed after `cache`.
pub(super) async fn tend(
    data_dir: &Path,
    matches: &ArgMatches,
    screen: &mut Screen<'_>,
) -> Result<Exit, Trouble> {
    let (command, matches) = matches
        .subcommand()
        .ok_or_else(|| Trouble::usage("say what to do with the cache"))?;
    refuse_what_is_in_use(data_dir)?;
    let Some(store) = open(data_dir).await? else {
        return nothing(command, screen);
    };
    match command {
        "stats" => stats(&store, screen),
        "list" => {
            let limit = matches.get_one::<usize>("limit").copied().unwrap_or(PAGE);
            list(&store, limit, screen)
        }
        "clear" => {
            let cleared = store.clear()?;
            counted("cleared", cleared, screen);
            Ok(Exit::Completed)
        }
        _ => verify(&store, screen),
    }
}

/// Opens the cache, if there is one. The store waits a moment for a lock that may just be given up.
pub(super) async fn open(data_dir: &Path) -> Result<Option<SledStore>, Trouble> {
    if !directory::has_cache(data_dir)? {
        return Ok(None);
    }
    let directory = data_dir.join("cache");
    let opened = tokio::task::spawn_blocking(move || SledStore::open(directory)).await;
    match opened {
        Ok(opened) => Ok(Some(opened?)),
        Err(_) => Err(Trouble::store("the cache was not opened")),
    }
}

/// A process that owns the directory uses its cache, or will as soon as a cached task runs, which would run without it meanwhile.
fn refuse_what_is_in_use(data_dir: &Path) -> Result<(), Trouble> {
    if !directory::has_cache(data_dir)? {
        return Ok(());
    }
    match directory::owner(data_dir)? {
        None => Ok(()),
        Some(OwnedBy { pid, since }) => Err(Trouble::store(format!(
            "the cache in `{}` is in use by process {pid} since {since}: wait until that has ended, or stop it (`runs --state running` tells what it works on)",
            data_dir.display()
        ))),
    }
}

fn nothing(command: &str, screen: &mut Screen<'_>) -> Result<Exit, Trouble> {
    match (command, screen.json) {
        ("list", true) => screen.value(&json!([])),
        ("stats", true) => screen.value(&json!({ "entries": 0, "bytes": 0 })),
        ("clear", _) => counted("cleared", 0, screen),
        ("verify", true) => screen.value(&json!({ "sound": 0, "damaged": [] })),
        _ => screen.line("nothing is cached"),
    }
    Ok(Exit::Completed)
}

/// So many entries.
pub(super) fn entries_of(entries: u64) -> String {
    times::counted(entries, "entry", "entries")
}

fn counted(what: &str, entries: u64, screen: &mut Screen<'_>) {
    if screen.json {
        screen.value(&json!({ what: entries }));
    } else {
        screen.line(&format!("{what} {}", entries_of(entries)));
    }
}

fn stats(store: &SledStore, screen: &mut Screen<'_>) -> Result<Exit, Trouble> {
    let stats = store.stats()?;
    if screen.json {
        screen.value(&json!({ "entries": stats.entries, "bytes": stats.bytes }));
    } else {
        screen.line(&format!("{}, {}", entries_of(stats.entries), bytes(stats.bytes)));
    }
    Ok(Exit::Completed)
}

fn list(store: &SledStore, limit: usize, screen: &mut Screen<'_>) -> Result<Exit, Trouble> {
    let mut listed = Vec::new();
    for page in pages(store) {
        listed.extend(page?);
        if listed.len() >= limit {
            break;
        }
    }
    listed.truncate(limit);
    if screen.json {
        let entries = listed.iter().map(|entry| {
            json!({
                "key": entry.key.to_string(),
                "bytes": entry.bytes,
                "created": moment(entry.created.into()),
                "expires": entry.expires.map(|expires| moment(expires.into())),
            })
        });
        screen.value(&entries.collect::<Value>());
        return Ok(Exit::Completed);
    }
    let rows: Vec<_> = listed
        .iter()
        .map(|entry| {
            let expires = entry.expires.map(|expires| short_moment(expires.into()));
            vec![
                entry.key.to_string(),
                bytes(entry.bytes),
                short_moment(entry.created.into()),
                expires.unwrap_or_else(|| "never".to_owned()),
            ]
        })
        .collect();
    screen.table(&["KEY", "SIZE", "MADE", "EXPIRES"], &rows);
    Ok(Exit::Completed)
}

/// All entries, page after page.
fn pages(store: &SledStore) -> impl Iterator<Item = Result<Vec<Listed>, StoreError>> + '_ {
    let mut after: Option<CacheKey> = None;
    std::iter::from_fn(move || match store.list(after.as_ref(), PAGE) {
        Ok(page) => {
            after = Some(page.last()?.key);
            Some(Ok(page))
        }
        Err(error) => {
            // There is nothing after every key.
            after = Some(CacheKey::from_bytes([u8::MAX; 32]));
            Some(Err(error))
        }
    })
}

fn verify(store: &SledStore, screen: &mut Screen<'_>) -> Result<Exit, Trouble> {
    let (mut sound, mut damaged) = (0_u64, Vec::new());
    for page in pages(store) {
        for entry in page? {
            match read(store, &entry.key)? {
                Found::Damaged => damaged.push(entry.key.to_string()),
                Found::Entry(_) => sound += 1,
                // It went in between.
                Found::Nothing | Found::Deferred(_) => {}
            }
        }
    }
    store.flush()?;
    if screen.json {
        screen.value(&json!({ "sound": sound, "damaged": damaged }));
    } else {
        screen.line(&format!("sound: {}", entries_of(sound)));
        for key in &damaged {
            screen.line(&format!("{key} was damaged, and is removed"));
        }
    }
    Ok(if damaged.is_empty() {
        Exit::Completed
    } else {
        Exit::Store
    })
}

/// Reads an entry. That it was looked at then, long ago, is no use of it.
fn read(store: &SledStore, key: &CacheKey) -> Result<Found, StoreError> {
    let mut found = store.get(key, SystemTime::UNIX_EPOCH)?;
    while let Found::Deferred(read) = found {
        found = read()?;
    }
    Ok(found)
}

//! One table: each row is flowkit beside a floor or a peer that is measured in the same run, in turns, over several rounds.
//!
//! `cargo bench -p flowkit-benches --bench table`; `-- tasks cache` for these groups only, `-- --json` for programs, `--features peers` for
//! other crates that do the same work. Ratios are medians over rounds, with the lowest and the highest behind them.

#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a bench prints, measures time, and stops where it cannot go on"
)]

mod cache;
mod events;
mod fan_out;
mod gates;
mod journal;
mod keys;
mod memory;
#[cfg(feature = "peers")]
mod peers;
mod start;
mod submitted;
mod tasks;

use flowkit_benches::table::Table;

fn main() {
    if memory::is_asked() {
        return memory::main();
    }
    if start::is_asked() {
        return start::main();
    }
    let mut table = Table::from_args(7).unwrap_or_else(|error| panic!("{error}"));
    let workers = |count| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(count).enable_all().build().unwrap()
    };
    workers(2).block_on(async {
        if table.wants("tasks") {
            tasks::rows(&mut table).await;
            submitted::rows(&mut table).await;
        }
        if table.wants("fan_out") {
            fan_out::rows(&mut table).await;
        }
        if table.wants("gates") {
            gates::rows(&mut table).await;
        }
        if table.wants("events") {
            events::rows(&mut table).await;
        }
        if table.wants("cache") {
            cache::rows(&mut table).await;
        }
        if table.wants("journal") {
            journal::rows(&mut table).await;
        }
    });
    if table.wants("memory") {
        memory::rows(&mut table);
    }
    if table.wants("start") {
        start::rows(&mut table);
    }
    if table.wants("keys") {
        keys::rows(&mut table);
    }
    table.finish();
}

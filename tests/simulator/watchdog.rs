//! Watches a seed in real time. A run that spins without the paused clock moving on would hang for ever and say nothing: this says which
//! seed it is and what was drawn from it, and ends the process.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::generate;

/// Watches until it is dropped.
pub(crate) struct Watchdog {
    over: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Gives a seed this much time.
    pub(crate) fn watch(seed: u64, patience: Duration) -> Self {
        let (over, watched) = mpsc::channel();
        let thread = thread::spawn(move || {
            if watched.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                // Not through the macros, whose output a test keeps until it ends.
                let _ = std::io::stderr().write_all(lament(seed, patience).as_bytes());
                std::process::abort();
            }
        });
        Self {
            over: Some(over),
            thread: Some(thread),
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.over = None;
        if let Some(thread) = self.thread.take() {
            // One that panicked could not say what it saw, and there is nothing to see any more.
            let _ = thread.join();
        }
    }
}

fn lament(seed: u64, patience: Duration) -> String {
    let drawn = generate::draw(seed);
    let mut text = format!("\n{:?}\n", drawn.gates);
    for plan in &drawn.plans {
        let _ = writeln!(text, "\n{plan}");
    }
    let _ = writeln!(
        text,
        "\nseed {seed}: a livelock: it runs for {patience:?} of real time, and its clock should jump\n\
         again: FLOWKIT_SEED={seed} cargo test -p flowkit-tests --test simulator"
    );
    text
}

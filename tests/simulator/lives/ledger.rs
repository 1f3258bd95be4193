//! What really happened, noted where no journal and no death can touch it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;
use flowkit::TaskRunId;

use super::program::Program;

/// A body that began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begun {
    pub(super) life: u32,
    /// The index of its call.
    pub(super) call: usize,
    pub(super) run: TaskRunId,
    /// Whether a task that called it, itself or by what it called, was tried before: then it runs, whatever is known of it.
    pub(super) again: bool,
}

/// All lives of one program together.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// The runs whose bodies began, each once.
    pub(super) begun: Vec<Begun>,
    /// How often the effect of a call happened, and what its body was about to return.
    pub(super) happened: BTreeMap<usize, (usize, u64)>,
    pub(super) troubles: Vec<String>,
}

impl Ledger {
    /// How many runs of a call began in a life, by whether a task above them was tried before.
    pub(super) fn begun_in(&self, life: u32, call: usize, again: bool) -> usize {
        let begun = self.begun.iter();
        begun
            .filter(|begun| (begun.life, begun.call, begun.again) == (life, call, again))
            .count()
    }
}

/// What the bodies of one life share. When that is over, nothing that is left of it leaves a trace.
#[derive(Clone)]
pub(super) struct World(Arc<Inner>);

struct Inner {
    program: Arc<Program>,
    ledger: Arc<Mutex<Ledger>>,
    life: u32,
    is_over: AtomicBool,
    rng: Mutex<Rng>,
}

impl World {
    pub(super) fn new(program: &Arc<Program>, ledger: &Arc<Mutex<Ledger>>, life: u32, rng: Rng) -> Self {
        Self(Arc::new(Inner {
            program: Arc::clone(program),
            ledger: Arc::clone(ledger),
            life,
            is_over: AtomicBool::new(false),
            rng: Mutex::new(rng),
        }))
    }

    pub(super) fn program(&self) -> &Program {
        &self.0.program
    }

    /// The process dies.
    pub(super) fn end(&self) {
        self.0.is_over.store(true, Ordering::Relaxed);
    }

    fn note(&self, note: impl FnOnce(&mut Ledger)) {
        if !self.0.is_over.load(Ordering::Relaxed) {
            note(&mut self.0.ledger.lock().unwrap());
        }
    }

    pub(super) fn begins(&self, call: usize, run: TaskRunId, again: bool) {
        let life = self.0.life;
        self.note(|ledger| {
            let known = ledger
                .begun
                .iter()
                .any(|begun| begun.life == life && begun.run == run);
            if !known {
                ledger.begun.push(Begun {
                    life,
                    call,
                    run,
                    again,
                });
            }
        });
    }

    pub(super) fn happens(&self, call: usize, value: u64) {
        let undoable = self.program().calls[call].undoable;
        self.note(|ledger| {
            let happened = ledger.happened.entry(call).or_insert((0, value));
            happened.0 += 1;
            if undoable && happened.0 > 1 {
                ledger
                    .troubles
                    .push(format!("c{call} happens again, and was not undone"));
            }
        });
    }

    /// What happened is undone, however often that is said.
    pub(super) fn undoes(&self, call: usize) {
        self.note(|ledger| {
            if let Some(happened) = ledger.happened.get_mut(&call) {
                happened.0 = 0;
            }
        });
    }

    /// Whether something takes a while.
    pub(super) fn is_slow(&self) -> bool {
        self.0.rng.lock().unwrap().bool()
    }

    /// A while, which is another one each time.
    pub(super) fn while_to_take(&self) -> Duration {
        Duration::from_millis(self.0.rng.lock().unwrap().u64(0..=12))
    }

    /// Takes a while.
    pub(super) async fn rest(&self) {
        flowkit::sleep(self.while_to_take()).await;
    }
}

//! Flows whose process dies again and again, at moments drawn from a seed: what was committed never runs again, every effect happens exactly as often as in a life
//! that nothing disturbs, and the result is the same.

mod ledger;
mod operator;
mod perform;
mod program;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use fastrand::Rng;
use flowkit::journal::record::RunNo;
use flowkit::journal::{JournalStore, MemoryJournal, RunFilter, StoredTask};
use flowkit::prelude::*;
use flowkit::{
    ErrorKind, FastRandomness, FlowRunId, HookRun, KeepRuns, ResumeOptions, SeededIds, TaskRunId, TokioClock,
};
use futures::FutureExt;

use self::ledger::{Ledger, World};
use self::program::{Kind, Program};

/// After so many deaths nothing disturbs it any more.
const MOST_DEATHS: u32 = 6;

/// How a life ended.
enum End {
    /// Its process died.
    Died,
    Completed(u64),
    /// It was not told how an effect went.
    Unknown,
}

/// Whether a run fails since nobody says how an effect went.
fn is_unknown(error: &flowkit::Error) -> bool {
    let errors = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    errors
        .filter_map(|error| error.downcast_ref::<flowkit::Error>())
        .any(|error| error.kind() == ErrorKind::UnknownOutcome)
}

/// When a process dies.
#[derive(Debug, Clone, Copy)]
struct Death {
    after: Duration,
    /// How often it lets others go first in that moment.
    yields: u32,
}

impl Death {
    fn draw(rng: &mut Rng) -> Self {
        Self {
            after: Duration::from_millis(rng.u64(0..=100)),
            yields: rng.u32(0..=12),
        }
    }

    async fn comes(self) {
        tokio::time::sleep(self.after).await;
        for _ in 0..self.yields {
            tokio::task::yield_now().await;
        }
    }
}

/// Undoes what a run did, at once or after a while, and takes a while after that.
async fn undo(world: World, run: HookRun) {
    if world.is_slow() {
        tokio::time::sleep(world.while_to_take()).await;
    }
    world.undoes(operator::call_of(run.run_name()).unwrap());
    tokio::time::sleep(world.while_to_take()).await;
}

/// One program, from its first life to its end.
struct Story {
    program: Arc<Program>,
    ledger: Arc<Mutex<Ledger>>,
    journal: Arc<MemoryJournal>,
    life: u32,
    /// In which life each run of the journal was written.
    written_in: BTreeMap<RunNo, u32>,
    rng: Rng,
}

impl Story {
    fn new(program: &Arc<Program>, rng: Rng) -> Self {
        Self {
            program: Arc::clone(program),
            ledger: Arc::default(),
            journal: Arc::default(),
            life: 0,
            written_in: BTreeMap::new(),
            rng,
        }
    }

    /// Lives once more, in a process of its own.
    fn live(&mut self, death: Option<Death>, settles: bool) -> End {
        self.life += 1;
        let world = World::new(&self.program, &self.ledger, self.life, self.rng.fork());
        let tokio = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let end = tokio.block_on(async {
            let runtime = self.runtime(&world).await;
            let going_on = self.go_on(&runtime, &world, settles);
            let dies = async {
                match death {
                    Some(death) => death.comes().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = dies => {
                    world.end();
                    None
                }
                end = going_on => Some((end, runtime.shutdown(Duration::ZERO).await)),
            }
        });
        // Whatever the futures write that are dropped now, the dead process did not.
        self.journal = Arc::new(self.journal.snapshot());
        drop(tokio);
        world.end();
        end.map_or(End::Died, |(end, _)| end)
    }

    async fn runtime(&mut self, world: &World) -> Runtime {
        Runtime::builder()
            .clock(TokioClock::starting_at(
                SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(self.life) * 3600),
            ))
            .ids(SeededIds::new(self.rng.u64(..)))
            .randomness(FastRandomness::seeded(self.rng.u64(..)))
            .journal_store(Arc::clone(&self.journal) as Arc<dyn JournalStore>)
            .keep_runs(KeepRuns::everything())
            .resource(world.clone())
            .on_rollback({
                let world = world.clone();
                move |run: HookRun| undo(world.clone(), run)
            })
            .build()
            .await
            .unwrap()
    }

    async fn go_on(&self, runtime: &Runtime, world: &World, settles: bool) -> End {
        let mut options = ResumeOptions::new();
        let stored = runtime
            .journal()
            .unwrap()
            .flows(&RunFilter::default())
            .await
            .unwrap();
        let ended = match stored.first() {
            None => runtime
                .run(perform::flow(world, self.program.root()))
                .await
                .into_result(),
            // Its process died when all was done.
            Some(stored) if stored.state == State::Completed.name() => {
                let value = stored.result_json.as_deref().unwrap();
                Ok(value.parse().unwrap())
            }
            Some(stored) => {
                let id = FlowRunId::from_u128(stored.id);
                if settles {
                    options = operator::settle(runtime, id, &self.ledger, options).await;
                }
                let resumed = runtime.resume_with(id, options).await.unwrap().into_result();
                resumed.map(|value| value.as_u64().unwrap())
            }
        };
        match ended {
            Ok(value) => End::Completed(value),
            Err(error) if is_unknown(&error) && !settles => End::Unknown,
            Err(error) => {
                self.trouble(format!("life {} fails: {error:#}", self.life));
                End::Unknown
            }
        }
    }

    fn trouble(&self, trouble: String) {
        self.ledger.lock().unwrap().troubles.push(trouble);
    }

    /// How many of the runs of each call that began have their result in the journal; without those that run again whatever it has.
    fn committed(&mut self) -> BTreeMap<usize, usize> {
        // A journal in memory has its answer at once.
        let finished = self.finished().now_or_never().unwrap();
        let ledger = self.ledger.lock().unwrap();
        let mut committed = BTreeMap::new();
        for (flow, task) in finished {
            let life = *self.written_in.entry(task.spot.run).or_insert(self.life);
            let is_it = |run: TaskRunId| {
                (run.flow_run().as_u128(), run.node(), run.item()) == (flow, task.spot.node, task.spot.item)
            };
            // One that was served what an earlier life left never began.
            let begun = ledger
                .begun
                .iter()
                .find(|begun| begun.life == life && is_it(begun.run));
            if let Some(begun) = begun.filter(|begun| task.has_result && !begun.again) {
                *committed.entry(begun.call).or_default() += 1;
            }
        }
        committed
    }

    /// The task runs that the journal knows to have ended, each with the id of its flow run.
    async fn finished(&self) -> Vec<(u128, StoredTask)> {
        let mut finished = Vec::new();
        if let Some(root) = self.journal.flows(&RunFilter::default()).await.unwrap().pop() {
            let left = self.journal.finished(root.id).await.unwrap();
            assert_eq!(
                left.unreadable, 0,
                "whatever is cut off, nothing before it is missing"
            );
            for task in left.tasks {
                let life = self.journal.life(task.spot.run).await.unwrap().unwrap();
                finished.push((life.id, task));
            }
        }
        finished
    }
}

/// How things stand when a life begins.
struct Before {
    /// How many runs of each call are committed.
    committed: BTreeMap<usize, usize>,
    /// Whether somebody says how effects went.
    settles: bool,
}

/// What must be true whatever dies when.
struct Undisturbed {
    value: u64,
    /// How many runs of each call begin, by whether a task above them was tried before.
    begun: BTreeMap<(usize, bool), usize>,
    happened: BTreeMap<usize, usize>,
}

impl Undisturbed {
    fn of(program: &Arc<Program>, rng: Rng) -> Result<Self, String> {
        let mut story = Story::new(program, rng);
        let end = story.live(None, false);
        let ledger = story.ledger.lock().unwrap();
        let End::Completed(value) = end else {
            return Err(format!("it fails undisturbed: {:?}", ledger.troubles));
        };
        let mut begun = BTreeMap::new();
        for run in &ledger.begun {
            *begun.entry((run.call, run.again)).or_default() += 1;
        }
        let happened = ledger
            .happened
            .iter()
            .map(|(call, (times, _))| (*call, *times))
            .collect();
        Ok(Self {
            value,
            begun,
            happened,
        })
    }

    /// Compares a story whose committed runs before each life are these. A life that is not told how an effect went fails, and what it had begun begins again if
    /// its flow is tried again.
    fn compare(&self, story: &Story, lives: &[Before]) -> Vec<String> {
        let ledger = story.ledger.lock().unwrap();
        let mut troubles = ledger.troubles.clone();
        for (life, before) in (1..).zip(lives).filter(|(_, before)| before.settles) {
            for (call, planned) in story.program.calls.iter().enumerate() {
                let all = self.begun.get(&(call, true)).copied().unwrap_or_default();
                let again = ledger.begun_in(life, call, true);
                if again > all && !planned.undoable {
                    troubles.push(format!("c{call} runs {all} times for another attempt undisturbed, and {again} times in life {life}"));
                }
            }
            for (&call, &kept) in &before.committed {
                let all = self.begun.get(&(call, false)).copied().unwrap_or_default();
                let again = ledger.begun_in(life, call, false);
                // An effect that an operator settles runs again only where it did not happen.
                let planned = &story.program.calls[call];
                if planned.kind == Kind::Plain && !planned.undoable && kept + again > all {
                    troubles.push(format!(
                        "c{call} runs {all} times undisturbed; {kept} of these were committed before life {life}, in which {again} ran"
                    ));
                }
            }
        }
        let happened: BTreeMap<usize, usize> = ledger
            .happened
            .iter()
            .map(|(call, (times, _))| (*call, *times))
            .collect();
        if happened != self.happened {
            troubles.push(format!(
                "effects happened {happened:?} times, and undisturbed {:?}",
                self.happened
            ));
        }
        troubles
    }
}

/// What is wrong with a seed, in words.
pub(crate) fn run(seed: u64) -> Result<(), String> {
    let mut rng = Rng::with_seed(seed);
    let program = Arc::new(Program::draw(&mut rng));
    let trouble = |troubles: &[String], told: &str| {
        let mut text = format!("{program}{told}");
        let _ = write!(
            text,
            "\nseed {seed}: {}\nagain: FLOWKIT_SEED={seed} cargo test -p flowkit-tests --test simulator lives",
            troubles.join("\n  ")
        );
        text
    };
    let undisturbed = Undisturbed::of(&program, rng.fork()).map_err(|error| trouble(&[error], ""))?;
    let mut story = Story::new(&program, rng.fork());
    let mut lives = Vec::new();
    let mut told = String::new();
    let deaths = rng.u32(1..=MOST_DEATHS);
    let value = loop {
        let death = (story.life < deaths).then(|| Death::draw(&mut rng));
        let settles = death.is_none() || rng.u8(..4) > 0;
        lives.push(Before {
            committed: story.committed(),
            settles,
        });
        let end = story.live(death, settles);
        match end {
            End::Died => {
                let _ = writeln!(told, "life {} dies: {death:?}", story.life);
            }
            End::Unknown => {
                let _ = writeln!(told, "life {} is not told how an effect went", story.life);
            }
            End::Completed(value) => break Some(value),
        }
        if story.life > 2 * MOST_DEATHS {
            break None;
        }
    };
    let mut troubles = undisturbed.compare(&story, &lives);
    if value != Some(undisturbed.value) {
        troubles.push(format!(
            "it gives {value:?}, and undisturbed {}",
            undisturbed.value
        ));
    }
    for begun in &story.ledger.lock().unwrap().begun {
        let _ = writeln!(told, "life {}: c{} as {}", begun.life, begun.call, begun.run);
    }
    match troubles.is_empty() {
        true => Ok(()),
        false => Err(trouble(&troubles, &told)),
    }
}

//! An effect happens at most once, whatever else happens: what an earlier life, an earlier attempt, or a run that was stopped has done is never done again, and what
//! was undone is.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use flowkit::journal::{JournalResult, JournalStore};
use flowkit::prelude::*;
use flowkit::{FlowCall, FlowRunId, HookRun, ResumeOptions, Secret, TaskRun, transaction};
use flowkit_journal::conformance::guarded::{Guard, Guarded};
use futures::FutureExt;
use futures::future::BoxFuture;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tokio::sync::watch;

/// A disk that can be stopped, and writes when it goes on.
#[derive(Debug)]
struct Disk {
    stopped: watch::Sender<bool>,
    waits: watch::Sender<bool>,
}

impl Default for Disk {
    fn default() -> Self {
        Self {
            stopped: watch::Sender::new(false),
            waits: watch::Sender::new(false),
        }
    }
}

impl Disk {
    fn stop(&self) {
        self.stopped.send_replace(true);
    }

    fn go_on(&self) {
        self.stopped.send_replace(false);
    }

    /// Returns when somebody waits for a disk that stands still.
    async fn is_waited_for(&self) {
        self.waits.subscribe().wait_for(|waits| *waits).await.unwrap();
    }
}

impl Guard for Disk {
    fn pass(&self, operation: &'static str) -> BoxFuture<'_, JournalResult<()>> {
        async move {
            if operation == "write" {
                self.waits.send_replace(*self.stopped.borrow());
                self.stopped
                    .subscribe()
                    .wait_for(|stopped| !stopped)
                    .await
                    .unwrap();
                self.waits.send_replace(false);
            }
            Ok(())
        }
        .boxed()
    }
}

/// Where money is taken, and given back.
#[derive(Debug, Default)]
struct Till {
    store: Arc<Guarded<Disk>>,
    charged: AtomicU32,
    /// Who charged first.
    run: OnceLock<FlowRunId>,
    /// Which program it is, of those that a test has.
    program: AtomicU32,
    /// Whether a charge never comes to an end.
    hangs: AtomicBool,
    /// Whether the disk stands still once somebody was charged.
    stops: AtomicBool,
}

impl Till {
    fn charge(&self) {
        self.charged.fetch_add(1, Ordering::Relaxed);
        self.run
            .get_or_init(|| flowkit::current_run().unwrap().flow_run_id());
        if self.stops.swap(false, Ordering::Relaxed) {
            self.store.guard.stop();
        }
    }

    fn charged(&self) -> u32 {
        self.charged.load(Ordering::Relaxed)
    }
}

async fn runtime(till: &Arc<Till>) -> Runtime {
    Runtime::builder()
        .journal_store(Arc::clone(&till.store) as Arc<dyn JournalStore>)
        .resource(Arc::clone(till))
        .build()
        .await
        .unwrap()
}

/// Cancels a run of `flow` while the outcome of its effect waits to be written, and gives it when it has ended.
async fn cancelled_before_the_outcome_is_written<T: Clone + Send + Sync + 'static>(
    till: &Arc<Till>,
    runtime: &Runtime,
    flow: FlowCall<T>,
) -> FlowRun<T> {
    till.stops.store(true, Ordering::Relaxed);
    let run = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.run(flow).await }
    });
    till.store.guard.is_waited_for().await;
    let run_id = *till.run.get().unwrap();
    assert!(runtime.cancel(run_id));
    till.store.guard.go_on();
    run.await.unwrap()
}

/// Gives what cannot be written down.
#[task(effect)]
async fn open(_door: u32, #[resource] till: &Arc<Till>) -> PathBuf {
    till.charge();
    OsStr::from_bytes(b"\xff").into()
}

#[flow]
async fn enter(door: u32) -> Result<()> {
    open(door).await?;
    Ok(())
}

#[tokio::test]
async fn an_effect_whose_value_cannot_be_kept_is_not_repeated_after_its_run_was_cancelled() {
    let till = Arc::<Till>::default();
    let runtime = runtime(&till).await;
    let run = cancelled_before_the_outcome_is_written(&till, &runtime, enter(1u32)).await;
    assert_eq!(run.state(), State::Cancelled);
    assert_eq!(run.task("open").unwrap().state, State::Completed);
    let resumed = runtime.resume(run.id()).await.unwrap();
    assert_eq!(
        resumed.result().unwrap_err().root().kind(),
        ErrorKind::UnknownOutcome
    );
    assert_eq!(till.charged(), 1);
}

static REFUNDED: AtomicU32 = AtomicU32::new(0);

fn refund(run: HookRun) {
    assert_eq!(run.state(), State::RolledBack);
    REFUNDED.fetch_add(1, Ordering::Relaxed);
}

#[task(effect, on_rollback = refund)]
async fn charge(amount: u32, #[resource] till: &Arc<Till>) -> u32 {
    till.charge();
    if till.hangs.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
    amount
}

#[flow]
async fn buy(amount: u32) -> Result<u32> {
    transaction(async { Ok(charge(amount).submit().await?) }).await
}

#[tokio::test]
async fn an_effect_that_happened_is_undone_when_its_run_is_cancelled_before_the_outcome_is_written() {
    let till = Arc::<Till>::default();
    let runtime = runtime(&till).await;
    let run = cancelled_before_the_outcome_is_written(&till, &runtime, buy(5u32)).await;
    assert_eq!(run.task("charge").unwrap().state, State::RolledBack);
    assert_eq!((till.charged(), REFUNDED.load(Ordering::Relaxed)), (1, 1));
    // What was undone may be done again.
    let resumed = runtime.resume(run.id()).await.unwrap();
    assert_eq!(*resumed.result().unwrap(), 5);
    assert_eq!((till.charged(), REFUNDED.load(Ordering::Relaxed)), (2, 1));
}

// What `version` says stands for the code: two functions of one name are the same task or flow before and after a change.

#[task(name = "handle", version = "1")]
async fn handle(order: u32, fee: u32) -> Result<u32> {
    charge(fee).await?;
    Err(format!("order {order} was charged, and then this happened").into())
}

#[task(name = "handle", version = "2")]
async fn handle_better(order: u32, fee: u32) -> Result<u32> {
    Ok(charge(fee).await? + order)
}

#[flow(name = "handle_all", version = "1")]
async fn handle_all(orders: Vec<u32>) -> Result<u32> {
    let mut last = 0;
    for order in orders {
        last = handle(order, 5).await?;
    }
    Ok(last)
}

#[flow(name = "handle_all", version = "1")]
async fn handle_all_better(orders: Vec<u32>) -> Result<u32> {
    let mut last = 0;
    for order in orders {
        last = handle_better(order, 5).await?;
    }
    Ok(last)
}

/// The flow's own code changed, and what calls the effect.
#[flow(name = "handle_all", version = "2")]
async fn handle_all_here(_orders: Vec<u32>) -> Result<u32> {
    Ok(charge(5).await?)
}

/// Whether it failed since the outcome of an effect in it is not known.
fn is_unknown(run: &FlowRun<u32>) -> bool {
    let unknown = |task: &TaskRun| {
        task.error
            .as_ref()
            .is_some_and(|error| error.contains("it is not run again"))
    };
    run.state() == State::Failed && run.tasks().iter().any(unknown)
}

/// A till, its runtime, and a run that charged for the first order and failed.
async fn charged_and_failed() -> (Arc<Till>, Runtime, FlowRunId) {
    let till = Arc::<Till>::default();
    let runtime = runtime(&till).await;
    let run = runtime.run(handle_all(vec![1, 2])).await;
    assert_eq!((run.state(), till.charged()), (State::Failed, 1));
    (till, runtime, run.id())
}

#[tokio::test]
async fn an_effect_whose_caller_was_changed_is_not_repeated() {
    let (till, runtime, run) = charged_and_failed().await;
    for changed in [handle_all_better(vec![1, 2]), handle_all_here(vec![1, 2])] {
        let options = ResumeOptions::new().allow_changes();
        let resumed = runtime.resume_call(run, changed, options).await.unwrap();
        assert!(is_unknown(&resumed));
        assert_eq!(till.charged(), 1);
    }
    let said = format!(
        "{:#}",
        runtime.unknown_effects(run).await.unwrap()[0]
            .error
            .as_ref()
            .unwrap()
    );
    assert!(
        said.contains("before the code of `handle`, which calls it, changed"),
        "{said}"
    );
}

#[tokio::test]
async fn who_looked_says_how_the_effect_of_a_changed_caller_went() {
    let (till, runtime, run) = charged_and_failed().await;
    let options = ResumeOptions::new().allow_changes();
    let resumed = runtime
        .resume_call(run, handle_all_better(vec![1, 2]), options.clone())
        .await
        .unwrap();
    assert_eq!(resumed.state(), State::Failed);
    // The call is at another place now, and known by it.
    let unknown = runtime.unknown_effects(run).await.unwrap();
    let settled = options.happened(&unknown[0], 5);
    let resumed = runtime
        .resume_call(run, handle_all_better(vec![1, 2]), settled.clone())
        .await
        .unwrap();
    // Whether the second order was charged nobody has said yet.
    assert!(is_unknown(&resumed));
    let unknown = runtime.unknown_effects(run).await.unwrap();
    let settled = settled.did_not_happen(unknown.last().unwrap());
    let resumed = runtime
        .resume_call(run, handle_all_better(vec![1, 2]), settled)
        .await
        .unwrap();
    assert_eq!((*resumed.result().unwrap(), till.charged()), (7, 2));
}

/// A till where the charge for an order hung, and its run.
async fn hanging() -> (Arc<Till>, Runtime, FlowRunId) {
    let till = Arc::<Till>::default();
    till.hangs.store(true, Ordering::Relaxed);
    let runtime = runtime(&till).await;
    let run = runtime.run(handle_in_time(1)).await;
    till.hangs.store(false, Ordering::Relaxed);
    assert_eq!((run.result().is_err(), till.charged()), (true, 1));
    (till, runtime, run.id())
}

#[task(name = "handle_in_time", version = "1", timeout = "1s")]
async fn handle_slowly(order: u32) -> Result<u32> {
    Ok(charge(5).await? + order)
}

#[task(name = "handle_in_time", version = "2")]
async fn handle_quickly(order: u32) -> Result<u32> {
    Ok(charge(5).await? + order)
}

#[flow(name = "handle_one")]
async fn handle_in_time(order: u32) -> Result<u32> {
    Ok(handle_slowly(order).await?)
}

#[flow(name = "handle_one")]
async fn handle_in_time_better(order: u32) -> Result<u32> {
    Ok(handle_quickly(order).await?)
}

#[tokio::test(start_paused = true)]
async fn what_is_said_of_an_effect_before_the_program_changed_counts_after() {
    for (happened, charged) in [(true, 1), (false, 2)] {
        let (till, runtime, run) = hanging().await;
        let unknown = runtime.unknown_effects(run).await.unwrap();
        let options = ResumeOptions::new().allow_changes();
        let options = match happened {
            true => options.happened(&unknown[0], 5),
            false => options.did_not_happen(&unknown[0]),
        };
        let resumed = runtime
            .resume_call(run, handle_in_time_better(1), options)
            .await
            .unwrap();
        assert_eq!((*resumed.result().unwrap(), till.charged()), (6, charged));
    }
}

#[task(effect)]
async fn send(amount: u32, _token: Secret<String>, #[resource] till: &Arc<Till>) -> u32 {
    till.charge();
    amount
}

#[task]
async fn connected(amount: u32, token: Secret<String>) -> Result<u32> {
    Ok(charge(amount).await? + send(amount, token).await?)
}

#[flow]
async fn with_token(amount: u32, token: Secret<String>) -> Result<u32> {
    connected(amount, token).await?;
    Err("and then this happened".into())
}

#[tokio::test]
async fn a_renewed_secret_does_not_repeat_an_effect() {
    let till = Arc::<Till>::default();
    let runtime = runtime(&till).await;
    let token = |token: &str| Secret::new(token.to_owned());
    let run = runtime.run(with_token(5, token("old"))).await;
    assert_eq!((run.state(), till.charged()), (State::Failed, 2));
    let again = |token| {
        let call = with_token(5, token);
        runtime.resume_call(run.id(), call, ResumeOptions::new())
    };
    let resumed = again(token("new")).await.unwrap();
    assert!(is_unknown(&resumed));
    let said = format!("{:?}", resumed.result().unwrap_err());
    assert!(said.contains("before a secret was renewed"), "{said}");
    // With the one it was given before, it is known.
    let resumed = again(token("old")).await.unwrap();
    assert!(format!("{:#}", resumed.result().unwrap_err()).contains("and then this"));
    assert_eq!(till.charged(), 2);
}

/// Sends for two accounts, one after the other, in an order that may be another one next time.
#[flow]
async fn for_each(tokens: Vec<u32>, #[resource] till: &Arc<Till>) -> Result<u32> {
    let _ = till;
    for token in tokens {
        send(5, Secret::new(token.to_string())).await?;
    }
    Err("and then this happened".into())
}

#[tokio::test]
async fn effects_that_differ_by_their_secrets_are_told_apart_by_them() {
    let till = Arc::<Till>::default();
    let runtime = runtime(&till).await;
    let run = runtime.run(for_each(vec![1])).await;
    assert_eq!(till.charged(), 1);
    let options = ResumeOptions::new().allow_changes();
    let resumed = runtime
        .resume_call(run.id(), for_each(vec![1, 2]), options)
        .await
        .unwrap();
    assert!(format!("{:#}", resumed.result().unwrap_err()).contains("and then this"));
    assert_eq!(till.charged(), 2);
}

#[task(name = "bill", cache, cache_includes(OLD_RATE), version = "1")]
async fn bill(order: u32) -> Result<u32> {
    charge(order).await?;
    Err("billed, and then this happened".into())
}

#[task(name = "bill", cache, cache_includes(NEW_RATE), version = "1")]
async fn bill_at_new_rate(order: u32) -> Result<u32> {
    charge(order).await?;
    Err("billed, and then this happened".into())
}

const OLD_RATE: u32 = 1;
const NEW_RATE: u32 = 2;

mod here {
    use super::*;

    #[task]
    pub(super) async fn deliver(order: u32) -> Result<u32> {
        super::charge(order).await?;
        Err("delivered, and then this happened".into())
    }
}

mod elsewhere {
    use super::*;

    #[task]
    pub(super) async fn deliver(order: u32) -> Result<u32> {
        super::charge(order).await?;
        Err("delivered, and then this happened".into())
    }
}

/// Calls one of these, as the program is before or after a change.
#[flow(version = "1")]
async fn changing(order: u32, #[resource] till: &Arc<Till>) -> Result<u32> {
    Ok(match till.program.load(Ordering::Relaxed) {
        0 => bill(order).await?,
        1 => bill_at_new_rate(order).await?,
        2 => here::deliver(order).await?,
        _ => elsewhere::deliver(order).await?,
    })
}

#[tokio::test]
async fn a_constant_that_changed_and_a_module_that_was_left_repeat_no_effect() {
    for (before, after, why) in [
        (0, 1, "the code of `bill`, which calls it, changed"),
        (2, 3, "the code of `deliver`, which calls it, changed"),
    ] {
        let till = Arc::<Till>::default();
        let runtime = runtime(&till).await;
        till.program.store(before, Ordering::Relaxed);
        let run = runtime.run(changing(5)).await;
        till.program.store(after, Ordering::Relaxed);
        let options = ResumeOptions::new().allow_changes();
        let resumed = runtime.resume_call(run.id(), changing(5), options).await.unwrap();
        let said = format!("{:?}", resumed.result().unwrap_err());
        assert!(said.contains(why), "{said}");
        assert_eq!(till.charged(), 1);
    }
}

#[flow(name = "in_three_lives", version = "1")]
async fn in_three_lives(order: u32) -> Result<u32> {
    charge(order).await?;
    Err("and then this happened".into())
}

#[flow(name = "in_three_lives", version = "2")]
async fn in_three_lives_better(order: u32, #[resource] till: &Arc<Till>) -> Result<u32> {
    if till.program.fetch_add(1, Ordering::Relaxed) == 0 {
        return Err("it came not as far as that".into());
    }
    Ok(handle_better(order, order).await?)
}

#[tokio::test]
async fn an_effect_of_an_older_program_is_not_repeated_by_the_second_life_of_a_newer_one() {
    let till = Arc::<Till>::default();
    let runtime = runtime(&till).await;
    let run = runtime.run(in_three_lives(5)).await;
    for _ in 0..2 {
        let options = ResumeOptions::new().allow_changes();
        let call = in_three_lives_better(5);
        let resumed = runtime.resume_call(run.id(), call, options).await.unwrap();
        assert_eq!(resumed.state(), State::Failed);
        assert_eq!(till.charged(), 1);
    }
}

async fn on_disk(directory: &Path, till: &Arc<Till>) -> Runtime {
    let builder = Runtime::builder().data_dir(directory).resource(Arc::clone(till));
    builder.build().await.unwrap()
}

#[tokio::test]
async fn an_effect_whose_row_was_damaged_is_not_taken_for_one_that_never_was() {
    let (directory, till) = (tempfile::tempdir().unwrap(), Arc::<Till>::default());
    let runtime = on_disk(directory.path(), &till).await;
    let run = runtime.run(handle_all(vec![1, 2])).await;
    assert_eq!((run.state(), till.charged()), (State::Failed, 1));
    runtime.shutdown(Duration::ZERO).await;
    drop(runtime);
    let file = SqliteConnectOptions::new().filename(directory.path().join("journal.sqlite"));
    let mut journal = file.connect().await.unwrap();
    let damage = "UPDATE tasks SET body = zeroblob(length(body)) WHERE effect = 2";
    let damaged = sqlx::query(damage).execute(&mut journal).await.unwrap();
    assert_eq!(damaged.rows_affected(), 1);
    journal.close().await.unwrap();
    let runtime = on_disk(directory.path(), &till).await;
    let resumed = runtime
        .resume_call(run.id(), handle_all(vec![1, 2]), ResumeOptions::new())
        .await
        .unwrap();
    assert!(is_unknown(&resumed));
    assert_eq!(till.charged(), 1);
}

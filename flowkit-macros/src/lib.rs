//! The attributes of flowkit: [`macro@task`], [`macro@flow`] and [`macro@fingerprint`]. Use them through the crate `flowkit`.
//!
//! Each expands to a thin shim: the function's name becomes a function that binds its inputs and returns a call, and an
//! empty enum of the same name, whose `unorchestrated` is the function as it was written. Everything else is plain code in
//! `flowkit`.
//!
//! Parse (`args`, `function`), check (`model`, `contradictions`), print (`expand`).

mod args;
mod cache_key;
mod contradictions;
mod diagnose;
mod duration;
mod expand;
mod fingerprint;
mod function;
mod hygiene;
mod lifetimes;
mod model;
mod run_name;
mod words;

use proc_macro::TokenStream;

use words::Macro;

/// Makes a function a task. Calling it gives a `TaskCall`, which can be awaited, submitted, or passed to other tasks.
///
/// ```
/// use flowkit::prelude::*;
///
/// /// Read the lines of `source`.
/// #[task(cache, cache_expiration = "1h", retries = 3, retry_delay = "1s", timeout = "30s", run_name = "read-{source}")]
/// async fn read(source: &str) -> std::io::Result<Vec<String>> {
///     Ok(std::fs::read_to_string(source)?.lines().map(str::to_owned).collect())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let call = read("measurements.csv"); // nothing runs yet
/// assert_eq!(call.definition().name(), read::NAME);
/// assert!(read::unorchestrated("not there").await.is_err()); // the plain function, for a unit test
/// # }
/// ```
///
/// # The function
///
/// - A parameter may borrow as a whole (`&str`, `&[T]`, `&Path`, `&T`): it is lent to the body, and shared with other tasks
///   without a copy. A parameter that owns is given the last reference to its value, or a clone. At most 12 take inputs.
/// - `#[resource]` before a parameter takes it from the runtime: `&Pool` borrows it, `Pool` clones it. It is never part of
///   a key.
/// - A return type whose last segment is `Result` fails with its error, which can be anything that converts into
///   `Box<dyn Error + Send + Sync>`. Any other return type cannot fail.
/// - A function that is not async runs on the pool for blocking work.
/// - Methods work with `&self` (where `Self: Clone`), `self` and `self: Arc<Self>`. A function without a receiver in an `impl` block
///   that does not mention `Self` says `associated`. Methods have no companion: no `NAME`, no `unorchestrated`, and they
///   cannot be named in `cache_includes`.
/// - The companion takes the function's name among types and modules: a module of that name beside it is an error.
///
/// # The words
///
/// Durations are literals such as `"500ms"` or `"1h 30m"`, or constants of type `Duration`. Numbers may be constants.
///
/// | word | default | meaning |
/// |---|---|---|
/// | `name = "…"` | function name | what runs are called |
/// | `description = "…"` | doc comment | what it does |
/// | `tags("…", …)` | none | what every run carries |
/// | `run_name = "extract-{source}"` | the name | a name for each run, filled from the parameters; formats as in `format!` |
/// | `version = "…"` | the code | stands in the cache key in place of the function's code |
/// | `cache`, `cache = inputs`, `cache = inputs + run`, `cache = none` | none | the key holds the inputs; the flow run too |
/// | `cache_key = \|source\| …` | | your own key, from parameters by name; `None` means do not cache |
/// | `cache_exclude(client)` | | parameters that the key leaves out |
/// | `cache_includes(helper, TABLE)` | | functions annotated with `#[fingerprint]`, `#[task]` or `#[flow]` whose code counts too, and constants whose value does |
/// | `cache_expiration = "1h"` | never | from the moment of completion |
/// | `cache_durable` | off | the entry is on the disk before the task counts as done |
/// | `retries = 3` | 0 | how many attempts may follow the first |
/// | `retry_delay = "1s"` or `["1s", "5s"]` | none | before each retry; the last of a list, of at most 50, repeats |
/// | `retry_backoff = 2.0` | 1 | the factor by which the delay grows |
/// | `retry_max_delay = "1m"` | none | no delay is longer, before jitter |
/// | `retry_jitter = 0.2` | 0 | the share, from 0 to 1, by which a delay may differ either way |
/// | `retry_if = is_transient` | every error | a predicate over `&E`: a path or a closure |
/// | `retry_after = wait_asked_for` | none | a function of `&E` that gives an `Option<Duration>`: the next attempt waits at least so long, as a `Retry-After` asks |
/// | `retry_deadline = "5m"` | none | no retry starts later than this after the first attempt |
/// | `retry_panics` | off | panics are retried like errors |
/// | `retry_timeouts = false` | true | whether an attempt that took longer than its `timeout` is retried |
/// | `timeout = "30s"` | none | for one attempt |
/// | `total_timeout = "5m"` | none | for all attempts and the delays between them |
/// | `limit = "db"`, `limit("db", 2, "api")` | none | slots of named limits of the runtime: one each, or as many as the number behind the name |
/// | `rate_limit = "api"` | none | a named rate limit of the runtime, for every attempt |
/// | `circuit_breaker = "api"` | none | a named circuit breaker of the runtime; while it is open, the task fails at once and counts no attempt |
/// | `on_running`, `on_success`, `on_failure`, `on_cancellation`, `on_crash` `= notify`, or `(notify, page)` | none | hooks: functions of one `flowkit::HookRun`, async or not, called beside the run for the state it is in; what they do changes nothing about it |
/// | `on_commit = notify`, `on_rollback = undo` | none | hooks of a task that completed: when its transaction commits, or is undone; outside any transaction, a task commits when it completes |
/// | `persist = false`, `persist` | as far as the types can | a result is not kept for a resumed flow; its types must be such that it can |
/// | `effect` | off | at most once: with a journal, the intent is on the disk before the body begins, and an unknown outcome is reported and never guessed |
/// | `associated` | | for a function in an `impl` block that shows no sign of it |
/// | `crate = path` | `::flowkit` | where flowkit is |
///
/// The function's code is part of the key: its tokens, without comments and layout. What it calls is not; name that in
/// `cache_includes`, or state a `version`. A name in `SCREAMING_CASE` there is a constant, any other a function.
#[proc_macro_attribute]
pub fn task(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(Macro::Task, attribute.into(), &item.into()).into()
}

/// Makes an async function a flow: a run in which tasks are called, and which ends when all of them have.
///
/// ```
/// use flowkit::prelude::*;
///
/// #[task]
/// async fn double(n: u64) -> u64 {
///     n * 2
/// }
///
/// #[flow(timeout = "1m")]
/// async fn pipeline(n: u64) -> Result<u64> {
///     let doubled = double(n).submit();
///     Ok(double(doubled).await?)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// assert_eq!(pipeline(3).await?, 12);
/// # Ok(())
/// # }
/// ```
///
/// Words: `name`, `description`, `tags`, `version`, `run_name`, `retries` and all that goes with it, `timeout`, the hooks, `associated`,
/// `crate`, with the meaning that they have for [`macro@task`]; so have parameters and return types. When a flow is retried its body runs
/// again; what completed in it before and has inputs that serialize and a value that clones does not, and returns that value.
#[proc_macro_attribute]
pub fn flow(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(Macro::Flow, attribute.into(), &item.into()).into()
}

/// Lets the code of a plain function count in the cache keys of tasks that name it in `cache_includes(…)`.
///
/// ```
/// use flowkit::prelude::*;
///
/// const LIMITS: [f64; 2] = [0.0, 45.0];
///
/// #[flowkit::fingerprint(cache_includes(LIMITS))]
/// fn is_plausible(celsius: f64) -> bool {
///     LIMITS[0] <= celsius && celsius <= LIMITS[1]
/// }
///
/// /// Runs again when `is_plausible` or `LIMITS` change.
/// #[task(cache, cache_includes(is_plausible))]
/// async fn count(rows: &[f64]) -> usize {
///     rows.iter().filter(|celsius| is_plausible(**celsius)).count()
/// }
/// ```
///
/// The function is left as it is. Words: `cache_includes(…)` names further functions and constants that count with it, and
/// `crate = path` says where flowkit is. Functions that include each other in a circle do not compile.
#[proc_macro_attribute]
pub fn fingerprint(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand_fingerprint(attribute.into(), &item.into()).into()
}

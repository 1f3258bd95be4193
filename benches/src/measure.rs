//! How long things take, and what the process holds.

use std::future::Future;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Whether what is measured is the time for which the process was on a processor.
static ON_CPU: AtomicBool = AtomicBool::new(false);

/// From now on the time is measured for which the threads of the process are on a processor, instead of the time that passes. On a machine
/// that does much else, that is what remains comparable; what waits, and what works in parallel, does not show in it.
pub fn measure_cpu_time() {
    ON_CPU.store(true, Ordering::Relaxed);
}

/// Measures from when it is made.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch {
    passed: Instant,
    on_cpu: Duration,
}

impl Stopwatch {
    /// Starts to measure.
    #[expect(clippy::new_without_default, reason = "it is started, not made")]
    pub fn new() -> Self {
        Self {
            passed: Instant::now(),
            on_cpu: if ON_CPU.load(Ordering::Relaxed) {
                on_cpu()
            } else {
                Duration::ZERO
            },
        }
    }

    /// What was measured since.
    pub fn elapsed(&self) -> Duration {
        if ON_CPU.load(Ordering::Relaxed) {
            return on_cpu().saturating_sub(self.on_cpu);
        }
        self.passed.elapsed()
    }
}

/// How long the threads of the process that live have been on a processor.
fn on_cpu() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten();
    let nanos = threads.filter_map(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        stat.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

/// How long `work` takes.
pub async fn timed<F: Future>(work: F) -> Duration {
    let start = Stopwatch::new();
    black_box(work.await);
    start.elapsed()
}

/// How long each of `runs` takes on average, in microseconds.
pub fn each(taken: Duration, runs: u64) -> f64 {
    taken.as_secs_f64() * 1e6 / runs as f64
}

/// How long each of `runs` of `work` takes, in microseconds, in a tokio task of its own: on a worker, as a flow of a service is, and not
/// on the thread that started the runtime.
///
/// # Panics
/// If the work does.
#[expect(clippy::expect_used, reason = "a bench stops where it cannot go on")]
pub async fn each_on_worker<F>(runs: u64, work: F) -> f64
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    let timed = tokio::spawn(async move { timed(work).await });
    each(timed.await.expect("the measured work does not panic"), runs)
}

/// Takes a value that is computed for the time that it takes: the compiler may not leave it out.
pub fn kept<T>(value: T) {
    black_box(value);
}

/// What the process holds in memory, in bytes.
pub fn held() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse::<f64>().ok());
    pages.unwrap_or_default() * 4096.0
}

/// The most memory that the process has held, in bytes.
pub fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes = peak
        .and_then(|line| line.split_whitespace().nth(1))
        .and_then(|word| word.parse::<f64>().ok());
    kilobytes.unwrap_or_default() * 1024.0
}

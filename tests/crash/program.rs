//! The program that is killed: a flow with chains, fan-outs, nested tasks, a subflow, a loop of equal calls, cached tasks and effects.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flowkit::journal::RunFilter;
use flowkit::prelude::*;

use crate::ledger::Pen;

/// The directory that the program works in.
pub(crate) const DIRECTORY: &str = "FLOWKIT_CRASH_DIRECTORY";

/// What [`season`] returns if nobody disturbs it.
pub(crate) const UNDISTURBED: u64 = 3_995;

#[task(run_name = "seed-{n}")]
async fn seed(n: u64, #[resource] pen: &Arc<Pen>) -> u64 {
    pen.write(format_args!("ran seed-{n}"));
    n
}

#[task(run_name = "grow-{n}", retries = 1)]
async fn grow(n: u64, #[resource] pen: &Arc<Pen>) -> u64 {
    pen.write(format_args!("ran grow-{n}"));
    tokio::time::sleep(Duration::from_micros(300)).await;
    n + 1
}

#[task(run_name = "weigh-{plant}")]
async fn weigh(plant: u64, #[resource] pen: &Arc<Pen>) -> u64 {
    pen.write(format_args!("ran weigh-{plant}"));
    plant * 10
}

#[task(run_name = "leaf-{n}")]
async fn leaf(n: u64, #[resource] pen: &Arc<Pen>) -> u64 {
    pen.write(format_args!("ran leaf-{n}"));
    n
}

/// A task whose body calls tasks.
#[task(run_name = "measure-{from}")]
async fn measure(from: u64, #[resource] pen: &Arc<Pen>) -> Result<u64> {
    pen.write(format_args!("ran measure-{from}"));
    let leaves = (from..from + 5).map(leaf).submit_all().await?;
    let stem = leaf(from + 5).await?;
    Ok(leaves.iter().sum::<u64>() + stem)
}

/// A blocking body whose result is too large for a row.
#[task(run_name = "photograph-{n}")]
fn photograph(n: u64, #[resource] pen: &Arc<Pen>) -> Vec<u64> {
    pen.write(format_args!("ran photograph-{n}"));
    vec![n; 2000]
}

/// Kept in the cache as well, once in an entry and once in a file of its own.
#[task(run_name = "preserve-{n}", cache = inputs, cache_durable)]
async fn preserve(n: u64, #[resource] pen: &Arc<Pen>) -> Vec<u64> {
    pen.write(format_args!("ran preserve-{n}"));
    vec![1; usize::try_from(n).unwrap_or_default()]
}

#[task(run_name = "ship-{parcel}", effect)]
async fn ship(parcel: u64, #[resource] pen: &Arc<Pen>) -> u64 {
    pen.write(format_args!("effect ship-{parcel}"));
    tokio::time::sleep(Duration::from_micros(200)).await;
    parcel
}

#[flow]
async fn harvest(of: u64) -> Result<u64> {
    let picked = seed(of).submit();
    Ok(grow(grow(picked)).await? + photograph(of).await?.iter().take(2).sum::<u64>())
}

#[flow]
pub(crate) async fn season(plants: u64, #[resource] pen: &Arc<Pen>) -> Result<u64> {
    let chain = grow(grow(grow(seed(0u64)))).submit();
    let weights = (1..plants).map(weigh).submit_all();
    let measured = measure(100u64).submit();
    let preserved = (preserve(10u64).submit(), preserve(1_990u64).submit());
    let mut shipped = 0;
    for parcel in 1..4 {
        shipped += match ship(parcel).await {
            Ok(parcel) => {
                pen.write(format_args!("reported ship-{parcel}"));
                parcel
            }
            Err(error) if error.kind() == ErrorKind::UnknownOutcome => parcel,
            Err(error) => return Err(error.into()),
        };
    }
    let below = harvest(9u64).submit();
    let weights: u64 = weights.await?.iter().sum();
    let measured = measured.await? % 100 + 30;
    let preserved = (preserved.0.await?.len() + preserved.1.await?.len()) as u64;
    Ok(preserved + chain.await? + weights + measured + shipped + below.await? % 100 + 12)
}

/// Builds the program's runtime.
pub(crate) async fn runtime(directory: &Path, pen: &Arc<Pen>) -> Result<Runtime, flowkit::Error> {
    Runtime::builder()
        .data_dir(directory.join("data"))
        .most_lives(u32::MAX)
        .resource(Arc::clone(pen))
        .build()
        .await
}

/// Begins the flow run, or resumes the one that an earlier life left.
async fn live(directory: &Path) {
    let pen = Arc::new(Pen::open(directory));
    let runtime = runtime(directory, &pen).await.unwrap();
    let journal = runtime.journal().unwrap();
    let known = journal.flows(&RunFilter::default()).await.unwrap();
    pen.write(format_args!("began {}", known.len()));
    assert!(known.len() <= 1, "a run is resumed, and never begun anew");
    let Some(run) = known.first() else {
        let run = runtime.run(season(20u64)).await;
        return pen.write(format_args!("ended {}", run.into_result().unwrap()));
    };
    let left = journal.finished(run.id).await.unwrap();
    assert_eq!(left.unreadable, 0, "a kill cuts off and leaves no gaps");
    for task in left.tasks {
        let inputs = journal.result(task.spot).await.unwrap();
        if inputs.is_some() {
            pen.write(format_args!("has {}", task.name.as_deref().unwrap()));
        }
    }
    pen.write("known all");
    if run.state == State::Completed.name() {
        return pen.write(format_args!("ended {}", run.result_json.as_deref().unwrap()));
    }
    let mut resumed = runtime.resume_all().await.unwrap();
    assert_eq!(resumed.len(), 1);
    let (_, run) = resumed.pop().unwrap();
    pen.write(format_args!("ended {}", run.unwrap().into_result().unwrap()));
}

/// Not a test of its own: the tests start it as a process, and tell it a directory.
#[test]
fn the_program() {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        block_on(live(Path::new(&directory)));
    }
}

pub(crate) fn block_on(program: impl Future<Output = ()>) {
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    tokio.unwrap().block_on(program);
}

//! An effect whose caller was changed, left where it was or given other constants is not repeated: who calls it says where a call is found again.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use flowkit::prelude::*;
use flowkit::{FlowRunId, ResumeOptions};

use crate::till::{Till, charge, is_unknown, runtime};

// What `version` says stands for the code: two functions of one name are the same task or flow before and after a change.

#[task(name = "handle", version = "1")]
async fn handle(order: u32, fee: u32) -> Result<u32> {
    charge(fee).await?;
    Err(format!("order {order} was charged, and then this happened").into())
}

#[flow(name = "handle_all", version = "1")]
pub(crate) async fn handle_all(orders: Vec<u32>) -> Result<u32> {
    let mut last = 0;
    for order in orders {
        last = handle(order, 5).await?;
    }
    Ok(last)
}

#[task(name = "handle", version = "2")]
async fn handle_better(order: u32, fee: u32) -> Result<u32> {
    Ok(charge(fee).await? + order)
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
    for (changed, why) in [
        (
            handle_all_better(vec![1, 2]),
            "before the code of `handle`, which calls it, changed",
        ),
        (
            handle_all_here(vec![1, 2]),
            "before the flow's code changed, and with it what calls it",
        ),
    ] {
        let options = ResumeOptions::new().allow_changes();
        let resumed = runtime.resume_call(run, changed, options).await.unwrap();
        assert!(is_unknown(&resumed));
        assert_eq!(till.charged(), 1);
        let unknown = runtime.unknown_effects(run).await.unwrap();
        let said = unknown[0].error.as_deref().unwrap();
        assert!(said.contains(why), "{said}");
    }
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
    assert_eq!(unknown.len(), 1, "{unknown:?}");
    let settled = settled.did_not_happen(&unknown[0]);
    let resumed = runtime
        .resume_call(run, handle_all_better(vec![1, 2]), settled)
        .await
        .unwrap();
    assert_eq!((*resumed.result().unwrap(), till.charged()), (7, 2));
    assert_eq!(runtime.unknown_effects(run).await.unwrap(), []);
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

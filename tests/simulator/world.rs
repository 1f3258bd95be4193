//! What the bodies of a simulation share: the plan, the history, and counts of who works at which limit.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowkit::{FlowRunId, LimitUse, Runtime, TaskRunId};

use tokio::time::Instant;

use crate::check::call_of;
use crate::history::{Recorder, What};
use crate::plan::{LIMITS, Options, Pause, Plan};

/// Cheap to clone; all clones are the same world.
#[derive(Clone)]
pub(crate) struct World(Arc<Inner>);

struct Inner {
    recorder: Recorder,
    plan: Mutex<Arc<Plan>>,
    /// Let go of at the end: the runtime holds the world.
    runtime: Mutex<Option<Runtime>>,
    values: AtomicU64,
    /// The weight at each limit of the bodies that work, and how many work in all.
    working: Mutex<([u32; 2], u32)>,
    troubles: Mutex<Vec<String>>,
}

impl World {
    pub(crate) fn new(recorder: Recorder, plan: Arc<Plan>) -> Self {
        Self(Arc::new(Inner {
            recorder,
            plan: Mutex::new(plan),
            runtime: Mutex::new(None),
            values: AtomicU64::new(0),
            working: Mutex::default(),
            troubles: Mutex::default(),
        }))
    }

    pub(crate) fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.0.plan.lock().unwrap())
    }

    pub(crate) fn set_plan(&self, plan: Arc<Plan>) {
        *self.0.plan.lock().unwrap() = plan;
    }

    pub(crate) fn set_runtime(&self, runtime: Option<Runtime>) {
        *self.0.runtime.lock().unwrap() = runtime;
    }

    pub(crate) fn note(&self, what: What) {
        self.0.recorder.note(what);
    }

    /// A number that nobody else has.
    pub(crate) fn value(&self) -> u64 {
        self.0.values.fetch_add(1, Ordering::Relaxed)
    }

    /// What went wrong under the eyes of a body.
    pub(crate) fn troubles(&self) -> Vec<String> {
        self.0.troubles.lock().unwrap().clone()
    }

    /// A run pauses, and until then holds no slots.
    pub(crate) fn pauses(&self, id: TaskRunId, until: Instant) {
        self.0.recorder.pauses(id, until);
    }

    /// Resumes a pause after a while, which must succeed exactly if it waits then.
    pub(crate) fn resume_later(&self, flow: FlowRunId, key: String, pause: &Pause) {
        let (world, pause) = (self.clone(), pause.clone());
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(pause.after)).await;
            let runtime = world.0.runtime.lock().unwrap().clone();
            let Some(runtime) = runtime else { return };
            let mut paused = runtime.paused().into_iter();
            let waits = paused.any(|paused| paused.run == flow && *paused.key == *key);
            world.note(What::Resumed { flow, waits });
            if runtime.resume_paused(flow, &key, pause.number).is_ok() != waits {
                world.trouble(format!(
                    "{pause:?} waits: {waits}, and resuming it says otherwise"
                ));
            }
        });
    }

    pub(crate) fn trouble(&self, trouble: String) {
        self.0.troubles.lock().unwrap().push(trouble);
    }

    /// Counts a body in that works with the slots of these options, and out again when it is dropped.
    pub(crate) fn work(&self, options: &Options) -> Working {
        let weights = options.limits.clone();
        {
            let mut working = self.0.working.lock().unwrap();
            weights
                .iter()
                .for_each(|&(limit, weight)| working.0[limit] += weight);
            working.1 += 1;
        }
        self.check();
        Working {
            world: self.clone(),
            weights,
        }
    }

    /// What works is within what is held, and that within the capacity and within what those need who may hold it.
    fn check(&self) {
        let (by_limit, all) = *self.0.working.lock().unwrap();
        let runtime = self.0.runtime.lock().unwrap();
        let Some(runtime) = &*runtime else { return };
        let plan = self.plan();
        let at_gates = self.0.recorder.at_gates();
        let calls: Vec<_> = at_gates.iter().filter_map(|name| call_of(&plan, name)).collect();
        let mut troubles = self.0.troubles.lock().unwrap();
        let mut expect = |name: &str, works: u32, needed: u32, used: Option<LimitUse>| {
            if let Some(used) = used
                && (works > used.in_use || used.in_use > used.capacity || used.in_use > needed)
            {
                troubles.push(format!(
                    "{works} work at the limit `{name}` and {needed} may, of which {used:?}"
                ));
            }
        };
        for (limit, name) in LIMITS.iter().enumerate() {
            let weights = calls.iter().flat_map(|call| &call.options.limits);
            let needed = weights
                .filter(|(of, _)| *of == limit)
                .map(|(_, weight)| weight)
                .sum();
            expect(name, by_limit[limit], needed, runtime.limit_use(name));
        }
        expect(
            "all tasks",
            all,
            u32::try_from(calls.len()).unwrap_or(u32::MAX),
            runtime.task_limit_use(),
        );
    }

    pub(crate) fn enter(
        &self,
        id: Option<TaskRunId>,
        flow: FlowRunId,
        attempt: u32,
        group: Option<u64>,
    ) -> Inside {
        self.note(What::BodyBegan {
            id,
            flow,
            attempt,
            group,
        });
        Inside {
            world: self.clone(),
            id,
            flow,
            how: "dropped",
        }
    }
}

/// A body that works.
pub(crate) struct Working {
    world: World,
    weights: Vec<(usize, u32)>,
}

impl Drop for Working {
    fn drop(&mut self) {
        let mut working = self.world.0.working.lock().unwrap();
        self.weights
            .iter()
            .for_each(|&(limit, weight)| working.0[limit] -= weight);
        working.1 -= 1;
    }
}

/// A body that has begun and not ended.
pub(crate) struct Inside {
    world: World,
    id: Option<TaskRunId>,
    flow: FlowRunId,
    pub(crate) how: &'static str,
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.world.note(What::BodyEnded {
            id: self.id,
            flow: self.flow,
            how: if std::thread::panicking() {
                "failed"
            } else {
                self.how
            },
        });
    }
}

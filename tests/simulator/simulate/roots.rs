//! Runs the roots of a plan, each of which may be cancelled, dropped, or overtaken by the end of the runtime.

use std::sync::Arc;
use std::time::Duration;

use flowkit::prelude::*;
use flowkit::{ErrorKind, RunRecord};

use crate::history::{Recorder, What};
use crate::interpret::flow;
use crate::plan::{Plan, Root, Shutdown};
use crate::world::World;

/// Where the roots run.
#[derive(Clone)]
pub(super) struct Stage {
    pub(super) runtime: Runtime,
    pub(super) recorder: Recorder,
    pub(super) world: World,
}

impl Stage {
    /// Runs all roots to their ends, and gives the records of those that were not dropped.
    pub(super) async fn run(&self, plan: &Arc<Plan>) -> Vec<RunRecord> {
        let shutdown = plan.shutdown.clone().map(|shutdown| {
            let stage = self.clone();
            tokio::spawn(async move { stage.shut_down(&shutdown).await })
        });
        let mut others = Vec::new();
        for root in 1..plan.roots.len() {
            let (stage, plan) = (self.clone(), Arc::clone(plan));
            others.push(tokio::spawn(
                async move { stage.run_root(&plan.roots[root]).await },
            ));
        }
        let mut records: Vec<_> = self.run_root(&plan.roots[0]).await.into_iter().collect();
        for other in others {
            records.extend(other.await.unwrap());
        }
        if let Some(shutdown) = shutdown {
            shutdown.await.unwrap();
            self.expect_refusal().await;
        }
        records
    }

    /// Runs one root, unless the plan is to drop it.
    async fn run_root(&self, root: &Root) -> Option<RunRecord> {
        if root.at > 0 {
            tokio::time::sleep(Duration::from_millis(root.at)).await;
        }
        let run = async {
            self.runtime
                .run(flow(&self.world, root.flow))
                .await
                .record()
                .clone()
        };
        let mut run = std::pin::pin!(run);
        // It is entered as soon as it is polled.
        if let std::task::Poll::Ready(record) = futures::poll!(run.as_mut()) {
            return Some(record);
        }
        let canceller = root.cancel_at.map(|at| self.cancel_later(at));
        let record = match root.drop_at {
            Some(at) => tokio::time::timeout(Duration::from_millis(at), run).await.ok(),
            None => Some(run.await),
        };
        if let Some(canceller) = canceller {
            canceller.abort();
        }
        record
    }

    /// Cancels the root that has begun last, after a while.
    fn cancel_later(&self, at: u64) -> tokio::task::JoinHandle<()> {
        let (runtime, recorder) = (self.runtime.clone(), self.recorder.clone());
        let root = recorder.root();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(at)).await;
            if let Some(root) = root {
                recorder.note(What::CancelFlow { flow: root });
                runtime.cancel(root);
            }
        })
    }

    async fn shut_down(&self, shutdown: &Shutdown) {
        tokio::time::sleep(Duration::from_millis(shutdown.at)).await;
        self.recorder.note(What::ShutDownAsked {
            running: self.runtime.running(),
        });
        let cancelled = self.runtime.shutdown(Duration::from_millis(shutdown.grace)).await;
        self.recorder.note(What::ShutDown {
            cancelled,
            running: self.runtime.running(),
        });
    }

    /// A runtime that was shut down takes no run.
    async fn expect_refusal(&self) {
        let refused = self.runtime.run(flow(&self.world, 0)).await.into_result();
        let kind = refused.err().map(|error| error.kind());
        if kind != Some(ErrorKind::Unavailable) {
            let trouble = format!("a runtime that was shut down gives a run {kind:?}");
            self.world.trouble(trouble);
        }
    }
}

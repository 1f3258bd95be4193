//! A call that is awaited: in the caller's own tokio task until it first waits for something, and from then on in one of its own.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;

use super::running::{AnyCall, Running};
use crate::carried::Carried;
use crate::context::{Ambient, current_or_default, is_deep};
use crate::engine::drive::Entrance;
use crate::engine::scope::Scope;
use crate::engine::slots::Wait;
use crate::engine::stall::BodyWait;
use crate::engine::standalone;
use crate::ids::NodeRef;
use crate::job::Ended;

/// Runs a call once it is polled.
pub(crate) struct AwaitedCall {
    progress: Progress,
    wait: Wait<Ended>,
    body_wait: BodyWait,
}

enum Progress {
    New(Option<AnyCall>),
    Running(Running),
    Carried(Carried),
    Standalone(BoxFuture<'static, Ended>),
}

impl AwaitedCall {
    pub(crate) fn new(call: AnyCall) -> Self {
        Self {
            progress: Progress::New(Some(call)),
            wait: Wait::default(),
            body_wait: BodyWait::default(),
        }
    }

    /// How far it is, in a word.
    pub(super) fn progress(&self) -> &'static str {
        match self.progress {
            Progress::New(_) => "New",
            Progress::Running(_) | Progress::Carried(_) => "Running",
            Progress::Standalone(_) => "Standalone",
        }
    }
}

impl Progress {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        loop {
            match self {
                Self::New(call) => {
                    let Some(call) = call.take() else {
                        return Poll::Pending;
                    };
                    *self = match current_or_default() {
                        Ambient::Run(caller) => {
                            let mut running = call.enter(caller, Entrance::Node, true);
                            match is_deep().then(tokio::runtime::Handle::try_current) {
                                Some(Ok(tokio)) => {
                                    running.begins_later();
                                    Self::Carried(Carried::new(&tokio, running))
                                }
                                _ => Self::Running(running),
                            }
                        }
                        Ambient::Runtime(runtime, tags) => {
                            Self::Standalone(standalone::run(&runtime, tags, call))
                        }
                    };
                }
                Self::Running(running) => {
                    let polled = running.poll_in_place(cx);
                    if polled.is_ready() || !self.carry_on() {
                        return polled;
                    }
                }
                Self::Carried(carried) => return carried.poll(cx),
                Self::Standalone(future) => return future.as_mut().poll(cx),
            }
        }
    }

    /// The run waits: lets it go on by itself from now on, unless there is nothing to run it on.
    fn carry_on(&mut self) -> bool {
        let Ok(tokio) = tokio::runtime::Handle::try_current() else {
            return false;
        };
        match std::mem::replace(self, Self::New(None)) {
            Self::Running(running) => {
                *self = Self::Carried(Carried::new(&tokio, running));
                true
            }
            other => {
                *self = other;
                false
            }
        }
    }

    /// The run that it waits for.
    fn run(&self) -> Option<(&Arc<Scope>, NodeRef)> {
        match self {
            Self::Running(running) => Some((running.scope(), running.place())),
            Self::Carried(carried) => Some((carried.scope(), carried.place())),
            Self::New(_) | Self::Standalone(_) => None,
        }
    }
}

impl Future for AwaitedCall {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        let Self {
            progress,
            wait,
            body_wait,
        } = &mut *self;
        wait.poll(cx, |cx| {
            if let Poll::Ready(ended) = progress.poll(cx) {
                body_wait.over();
                return Poll::Ready(ended);
            }
            let Some((scope, place)) = progress.run() else {
                return Poll::Pending;
            };
            let Err(stalled) = body_wait.pending(&|visit| visit(scope, place)) else {
                return Poll::Pending;
            };
            // The run that was to be awaited is cancelled.
            *progress = Progress::New(None);
            Poll::Ready(Err(stalled))
        })
    }
}

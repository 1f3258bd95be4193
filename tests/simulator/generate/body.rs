//! Draws what a body does.

use super::{DEEPEST, Generator};
use crate::plan::{Body, FanEnd, Fate, Handle, Pause, Step};

/// The handles of a body that is being drawn.
#[derive(Default)]
pub(super) struct Open {
    handles: Vec<Opened>,
}

#[derive(Clone, Copy)]
struct Opened {
    of: Of,
    joined: bool,
    cancelled: bool,
    /// Whether another run waits for it.
    needed: bool,
}

#[derive(Clone, Copy)]
enum Of {
    Call(usize),
    Flow(usize),
}

impl Generator<'_> {
    pub(super) fn body(&mut self, depth: u32, key: u32, faulty: bool) -> Body {
        let mut open = Open::default();
        let mut steps = Vec::new();
        let wanted = self.rng.usize(1..=5);
        if self.is_exact() || self.chance(50) {
            steps.push(Step::Work(self.time()));
        }
        while steps.len() < wanted {
            let step = self.step(depth, key, &mut open);
            steps.push(step);
        }
        self.join_rest(&mut open, &mut steps);
        self.with_fates(steps, faulty)
    }

    /// A body that blocks: it submits calls and waits for none.
    pub(super) fn blocking_body(&mut self, depth: u32, key: u32, faulty: bool) -> Body {
        let mut steps = Vec::new();
        while depth < DEEPEST && self.left > 0 && self.chance(40) {
            steps.push(self.submit(depth + 1, key, &mut Open::default()));
        }
        self.with_fates(steps, faulty)
    }

    fn with_fates(&mut self, steps: Vec<Step>, faulty: bool) -> Body {
        let mut fates = Vec::new();
        if faulty {
            for _ in 0..self.rng.usize(1..=3) {
                fates.push(Fate {
                    after: self.rng.usize(0..=steps.len()),
                    panics: self.chance(25),
                });
            }
        }
        Body { fates, steps }
    }

    /// Awaits most of what nobody has awaited.
    pub(super) fn join_rest(&mut self, open: &mut Open, steps: &mut Vec<Step>) {
        for handle in 0..open.handles.len() {
            let drawn = open.handles[handle];
            if !drawn.joined && (self.is_sound() || self.chance(65)) {
                steps.push(self.join(handle, open));
            }
        }
    }

    pub(super) fn step(&mut self, depth: u32, key: u32, open: &mut Open) -> Step {
        if depth >= DEEPEST || self.left <= 0 {
            return if self.rng.bool() {
                Step::Work(self.time())
            } else {
                Step::Rest(self.time())
            };
        }
        let deeper = depth + 1;
        let sound = self.is_sound();
        match self.rng.u8(..100) {
            0..=14 => Step::Work(self.time()),
            15..=17 => Step::Rest(self.time()),
            18..=19 => self.pause(),
            20..=33 => {
                let call = self.call(deeper, key);
                self.calls[call].is_looked_at = true;
                Step::Here {
                    call,
                    pass: self.pass(),
                }
            }
            34..=59 => self.submit(deeper, key, open),
            60..=66 => self.flow_step(deeper, key, open),
            67..=80 => self.fan_out(deeper, key),
            81..=84 if !sound => {
                let call = self.call(deeper, key);
                self.calls[call].is_looked_at = true;
                Step::Abandon {
                    call,
                    after: self.bound(),
                }
            }
            85 if !self.is_exact() => {
                let calls = [self.call(deeper, key), self.call(deeper, key)];
                calls
                    .iter()
                    .for_each(|&call| self.calls[call].is_looked_at = true);
                Step::Both { calls }
            }
            86..=92 if !self.is_exact() => self.group(deeper, key),
            _ => self.on_handle(open),
        }
    }

    fn pause(&mut self) -> Step {
        let (exact, sound) = (self.is_exact(), self.is_sound());
        Step::Pause(Pause {
            number: self.rng.u64(..),
            fresh: exact || self.rng.bool(),
            after: self.time(),
            timeout: (!sound && self.chance(40)).then(|| self.bound()),
            pass: self.pass(),
        })
    }

    /// Whether a failure is passed on. One in a sound plan would be a surprise, so it is.
    pub(super) fn pass(&mut self) -> bool {
        self.is_sound() || self.chance(40)
    }

    fn flow_step(&mut self, depth: u32, key: u32, open: &mut Open) -> Step {
        self.left -= 1;
        let flow = self.flow(depth, key);
        if self.rng.bool() {
            self.flows[flow].is_looked_at = true;
            return Step::FlowHere {
                flow,
                pass: self.pass(),
            };
        }
        open.handles.push(Opened::of(Of::Flow(flow)));
        Step::FlowSubmit { flow }
    }

    fn submit(&mut self, depth: u32, key: u32, open: &mut Open) -> Step {
        let call = self.call(depth, key);
        let usable: Vec<Handle> = open.usable().collect();
        let gives_away = self.chance(40);
        let (mut inputs, mut order) = (Vec::new(), Vec::new());
        for handle in usable {
            match self.rng.u8(..6) {
                0..=1 => {
                    inputs.push(handle);
                    open.handles[handle].joined |= gives_away;
                }
                2 => order.push(handle),
                _ => continue,
            }
            open.handles[handle].needed = true;
            self.may_look(open.handles[handle].of);
        }
        open.handles.push(Opened::of(Of::Call(call)));
        Step::Submit {
            call,
            inputs,
            order,
            tolerant: self.chance(30),
            gives_away,
        }
    }

    fn may_look(&mut self, of: Of) {
        match of {
            Of::Call(call) => self.calls[call].may_be_looked_at = true,
            Of::Flow(flow) => self.flows[flow].may_be_looked_at = true,
        }
    }

    /// Something with a handle that is there, or work if there is none.
    fn on_handle(&mut self, open: &mut Open) -> Step {
        let usable: Vec<Handle> = open.usable().collect();
        let Some(&handle) = usable.get(self.rng.usize(..usable.len().max(1))) else {
            return Step::Work(self.time());
        };
        match self.rng.u8(..10) {
            0..=1 => Step::Peek {
                handle,
                at_most: self.bound(),
            },
            2..=3 if !self.is_sound() && !open.handles[handle].needed => {
                open.handles[handle].cancelled = true;
                Step::Cancel { handle }
            }
            4..=5 if usable.len() > 1 => {
                for &handle in &usable {
                    open.handles[handle].joined = true;
                    self.may_look(open.handles[handle].of);
                }
                Step::JoinAll {
                    handles: usable,
                    pass: self.pass(),
                }
            }
            _ => self.join(handle, open),
        }
    }

    fn join(&mut self, handle: Handle, open: &mut Open) -> Step {
        open.handles[handle].joined = true;
        Step::Join {
            handle,
            pass: self.pass(),
        }
    }

    fn fan_out(&mut self, depth: u32, key: u32) -> Step {
        let calls: Vec<usize> = (0..self.rng.usize(0..=4))
            .map(|_| self.call(depth, key))
            .collect();
        let items = calls.len();
        let end = match self.rng.u8(..16) {
            0..=4 => FanEnd::Values { pass: self.pass() },
            5..=7 => FanEnd::Outcomes,
            8..=9 => FanEnd::Tolerate {
                failures: self.rng.usize(0..=2),
                pass: self.pass(),
            },
            10 if !self.is_exact() => FanEnd::Stream {
                take: self.rng.usize(0..=items + 1),
            },
            11 if !self.is_exact() && !self.is_sound() => FanEnd::Cancelled { after: self.time() },
            12 if items > 0 && !self.is_exact() && !self.is_sound() => FanEnd::ItemCancelled {
                item: self.rng.usize(..items),
                after: self.time(),
            },
            13 => FanEnd::Outcomes,
            _ => FanEnd::Dropped,
        };
        if !matches!(end, FanEnd::Dropped) {
            calls
                .iter()
                .for_each(|&call| self.calls[call].may_be_looked_at = true);
        }
        Step::FanOut {
            calls,
            concurrency: self.rng.usize(1..=3),
            lazy: self.rng.bool(),
            end,
        }
    }
}

impl Opened {
    fn of(of: Of) -> Self {
        Self {
            of,
            joined: false,
            cancelled: false,
            needed: false,
        }
    }
}

impl Open {
    /// The handles that are neither used up nor cancelled.
    fn usable(&self) -> impl Iterator<Item = Handle> + '_ {
        let handles = self.handles.iter().enumerate();
        handles
            .filter(|(_, drawn)| !drawn.joined && !drawn.cancelled)
            .map(|(index, _)| index)
    }
}

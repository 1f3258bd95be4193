//! Draws plans from a seed.

use fastrand::Rng;

use crate::plan::{
    Body, BreakerRules, Cached, Call, FanEnd, Fate, FlowPlan, Gates, Handle, Options, Plan, Step,
};

/// How many cache keys there are. A body of one key calls only tasks of higher ones: others would wait for each other.
const KEYS: u32 = 4;
const DEEPEST: u32 = 4;

/// What a plan may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Profile {
    /// Anything that needs nothing shared and races with nothing: long times, drawn so widely that no two moments fall together.
    Exact,
    /// Everything, with times so short that many things happen in one moment.
    Shared,
    /// Everything that is shared, and no faults: all of it completes.
    Sound,
}

pub(crate) fn gates(rng: &mut Rng) -> Gates {
    Gates {
        limits: [rng.u32(1..=3), rng.u32(1..=2)],
        task_limit: rng.bool().then(|| rng.u32(1..=4)),
        hooks: rng.u8(..4) == 0,
        rate: (rng.u32(1..=3), rng.u64(1..=3)),
        breaker: BreakerRules {
            threshold: rng.u32(1..=3),
            reset: rng.u64(1..=8),
            probes: rng.u32(1..=2),
        },
    }
}

pub(crate) fn plan(rng: &mut Rng, profile: Profile, gates: &Gates) -> Plan {
    let size = rng.i32(2..=14);
    let guarded = if rng.u8(..3) == 0 { 70 } else { 10 };
    let mut generator = Generator {
        rng,
        profile,
        gates,
        left: size,
        guarded,
        calls: Vec::new(),
        flows: Vec::new(),
    };
    generator.flow(0, 0);
    let (calls, mut flows) = (generator.calls, generator.flows);
    if let Some(root) = flows.first_mut() {
        root.is_looked_at = true;
    }
    let shared = profile == Profile::Shared;
    Plan {
        exact: profile == Profile::Exact,
        calls,
        flows,
        cancel_at: (shared && rng.u8(..10) == 0).then(|| rng.u64(0..20)),
        drop_at: (shared && rng.u8(..20) == 0).then(|| rng.u64(0..20)),
    }
}

struct Generator<'a> {
    rng: &'a mut Rng,
    profile: Profile,
    gates: &'a Gates,
    /// How many more calls there may be.
    left: i32,
    /// What share of the calls goes through the breaker, in percent.
    guarded: u8,
    calls: Vec<Call>,
    flows: Vec<FlowPlan>,
}

/// The handles of a body that is being drawn.
#[derive(Default)]
struct Open {
    handles: Vec<Drawn>,
}

#[derive(Clone, Copy)]
struct Drawn {
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
    fn chance(&mut self, percent: u8) -> bool {
        self.rng.u8(..100) < percent
    }

    fn is_sound(&self) -> bool {
        self.profile == Profile::Sound
    }

    fn is_exact(&self) -> bool {
        self.profile == Profile::Exact
    }

    fn time(&mut self) -> u64 {
        match self.profile {
            Profile::Exact => self.rng.u64(1..5_000_000),
            _ => self.rng.u64(0..=4),
        }
    }

    /// A time that cuts off about half of what takes a time.
    fn bound(&mut self) -> u64 {
        match self.profile {
            Profile::Exact => self.rng.u64(1..15_000_000),
            _ => self.rng.u64(1..=8),
        }
    }

    fn flow(&mut self, depth: u32, key: u32) -> usize {
        let index = self.flows.len();
        let (faulty, sound) = (self.chance(30), self.is_sound());
        let retries = if self.chance(40) { self.rng.u32(1..=2) } else { 0 };
        let timeout = (!sound && self.chance(10)).then(|| self.bound());
        self.flows.push(FlowPlan {
            retries,
            timeout,
            body: Body::default(),
            is_looked_at: false,
            may_be_looked_at: false,
        });
        let body = self.body(depth, key, faulty && !sound);
        self.flows[index].body = body;
        index
    }

    fn call(&mut self, depth: u32, key: u32) -> usize {
        self.left -= 1;
        let index = self.calls.len();
        self.calls.push(Call::default());
        let sound = self.is_sound();
        let cached = (!self.is_exact() && key + 1 < KEYS && self.chance(35)).then(|| Cached {
            key: self.rng.u32(key + 1..=KEYS - 1),
            expires: self.rng.bool().then(|| self.rng.u64(1..=6)),
            refresh: self.rng.u8(..8) == 0,
        });
        let options = self.options(cached.is_some());
        let faulty = self.chance(35) && !sound;
        let key = cached.as_ref().map_or(key, |cached| cached.key);
        let body = self.body(depth, key, faulty);
        self.calls[index] = Call {
            cached,
            options,
            body,
            ..Call::default()
        };
        index
    }

    fn options(&mut self, cached: bool) -> Options {
        let (exact, sound) = (self.is_exact(), self.is_sound());
        let mut options = Options {
            backoff: 1.0,
            ..Options::default()
        };
        if self.chance(50) {
            options.retries = self.rng.u32(1..=3);
            options.delays = (0..self.rng.usize(0..=2)).map(|_| self.time()).collect();
            options.backoff = [1.0, 1.5, 2.0][self.rng.usize(..3)];
            options.jitter = if !exact && self.chance(30) { 0.5 } else { 0.0 };
            options.max_delay = self.chance(20).then(|| self.bound());
            options.deadline = self.chance(10).then(|| self.bound());
            options.retry_panics = self.rng.bool();
        }
        if !sound && self.chance(20) {
            options.timeout = Some(self.bound());
        }
        if !sound && self.chance(10) {
            options.total = Some(self.bound());
        }
        if !exact {
            let gates = self.gates.limits;
            for (limit, capacity) in gates.into_iter().enumerate() {
                if self.chance(30) {
                    options.limits.push((limit, self.rng.u32(1..=capacity)));
                }
            }
            options.rate = options.limits.is_empty() && self.chance(12);
            options.breaker = !cached && self.chance(self.guarded);
        }
        options
    }

    fn body(&mut self, depth: u32, key: u32, faulty: bool) -> Body {
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
        for handle in 0..open.handles.len() {
            let drawn = open.handles[handle];
            if !drawn.joined && (self.is_sound() || self.chance(65)) {
                steps.push(self.join(handle, &mut open));
            }
        }
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

    fn step(&mut self, depth: u32, key: u32, open: &mut Open) -> Step {
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
            15..=19 => Step::Rest(self.time()),
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
            85..=87 if !self.is_exact() => {
                let calls = [self.call(deeper, key), self.call(deeper, key)];
                calls
                    .iter()
                    .for_each(|&call| self.calls[call].is_looked_at = true);
                Step::Both { calls }
            }
            _ => self.on_handle(open),
        }
    }

    /// Whether a failure is passed on. One in a sound plan would be a surprise, so it is.
    fn pass(&mut self) -> bool {
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
        open.handles.push(Drawn::of(Of::Flow(flow)));
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
        open.handles.push(Drawn::of(Of::Call(call)));
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

impl Drawn {
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

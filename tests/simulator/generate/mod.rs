//! Draws plans from a seed.

mod body;
mod group;
mod options;

use std::sync::Arc;

use fastrand::Rng;

use crate::plan::{Body, BreakerRules, BudgetRules, Cached, Call, FlowPlan, Gates, Plan, Root, Shutdown};

/// How many cache keys there are. A body of one key calls only tasks of higher ones: others would wait for each other.
const KEYS: u32 = 4;
const DEEPEST: u32 = 4;

/// What a plan may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Profile {
    /// Anything that needs nothing shared and races with nothing: long times, drawn so widely that no two moments fall together.
    Exact,
    /// Everything, with times so short that many things happen in one moment.
    Shared,
    /// Everything that is shared, and no faults: all of it completes.
    Sound,
}

/// What is drawn from one seed.
pub(crate) struct Drawn {
    pub(crate) gates: Gates,
    /// First one with faults, then one without, and at times one that the end of the runtime overtakes.
    pub(crate) plans: Vec<Arc<Plan>>,
}

pub(crate) fn draw(seed: u64) -> Drawn {
    let mut rng = Rng::with_seed(seed);
    let profile = if seed.is_multiple_of(3) {
        Profile::Exact
    } else {
        Profile::Shared
    };
    let mut gates = gates(&mut rng);
    if profile == Profile::Exact {
        (gates.task_limit, gates.budget) = (None, None);
    }
    let mut plans = vec![
        plan(&mut rng, profile, &gates),
        plan(&mut rng, Profile::Sound, &gates),
    ];
    if profile == Profile::Shared && rng.u8(..4) == 0 {
        let mut last = plan(&mut rng, profile, &gates);
        last.shutdown = Some(Shutdown {
            at: rng.u64(0..12),
            grace: rng.u64(0..8),
        });
        plans.push(last);
    }
    Drawn {
        plans: plans.into_iter().map(Arc::new).collect(),
        gates,
    }
}

fn gates(rng: &mut Rng) -> Gates {
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
        budget: (rng.u8(..3) == 0).then(|| BudgetRules {
            thousandths: [100, 200, 500][rng.usize(..3)],
            per_second: [0, 10, 40][rng.usize(..3)],
            window: [20, 50, 100][rng.usize(..3)],
        }),
    }
}

fn plan(rng: &mut Rng, profile: Profile, gates: &Gates) -> Plan {
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
    let mut roots = vec![generator.root()];
    if profile != Profile::Exact && generator.chance(25) {
        generator.left += size / 2;
        roots.push(generator.root());
    }
    let (calls, flows) = (generator.calls, generator.flows);
    Plan {
        exact: profile == Profile::Exact,
        sound: profile == Profile::Sound,
        calls,
        flows,
        roots,
        shutdown: None,
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

    fn root(&mut self) -> Root {
        let flow = self.flow(0, 0);
        self.flows[flow].is_looked_at = true;
        let shared = self.profile == Profile::Shared;
        Root {
            flow,
            at: if flow == 0 { 0 } else { self.rng.u64(0..=6) },
            cancel_at: (shared && self.chance(10)).then(|| self.rng.u64(0..20)),
            drop_at: (shared && self.chance(5)).then(|| self.rng.u64(0..20)),
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
        let blocks = cached.is_none() && !self.is_exact() && self.chance(15);
        let body = match blocks {
            true => self.blocking_body(depth, key, faulty),
            false => self.body(depth, key, faulty),
        };
        self.calls[index] = Call {
            blocks,
            cached,
            hooked: !self.is_exact() && self.chance(60),
            options,
            body,
            ..Call::default()
        };
        index
    }
}

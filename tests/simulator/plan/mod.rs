//! A plan: everything that a simulated run does, drawn from a seed before anything runs. All times are milliseconds.

use std::fmt;
use std::time::Duration;

use flowkit::TaskOptions;

/// The limits of a simulated runtime, by index.
pub(crate) const LIMITS: [&str; 2] = ["left", "right"];
/// The one rate limit, and the one circuit breaker.
pub(crate) const RATE: &str = "rate";
pub(crate) const BREAKER: &str = "breaker";

/// What one run does.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Whether nothing in it is shared or races, so that its course can be foretold.
    pub(crate) exact: bool,
    /// Whether there are no faults in it, so that all of it must complete.
    pub(crate) sound: bool,
    pub(crate) calls: Vec<Call>,
    pub(crate) flows: Vec<FlowPlan>,
    /// One flow run, or two at once.
    pub(crate) roots: Vec<Root>,
    /// How the runtime ends meanwhile.
    pub(crate) shutdown: Option<Shutdown>,
}

/// A flow run that no other calls.
#[derive(Debug)]
pub(crate) struct Root {
    pub(crate) flow: usize,
    /// When it begins.
    pub(crate) at: u64,
    /// When it is cancelled from outside, after it began.
    pub(crate) cancel_at: Option<u64>,
    /// When its future is dropped, after it began.
    pub(crate) drop_at: Option<u64>,
}

#[derive(Debug, Clone)]
pub(crate) struct Shutdown {
    pub(crate) at: u64,
    /// How long it waits for what goes on.
    pub(crate) grace: u64,
}

/// What the runtime has.
#[derive(Debug, Clone)]
pub(crate) struct Gates {
    pub(crate) limits: [u32; 2],
    pub(crate) task_limit: Option<u32>,
    /// Whether the runtime calls hooks.
    pub(crate) hooks: bool,
    /// Permits, and the time from one to the next.
    pub(crate) rate: (u32, u64),
    pub(crate) breaker: BreakerRules,
    pub(crate) budget: Option<BudgetRules>,
}

/// How many retries all calls together may make.
#[derive(Debug, Clone)]
pub(crate) struct BudgetRules {
    /// For each call, in thousandths.
    pub(crate) thousandths: u64,
    pub(crate) per_second: u32,
    pub(crate) window: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct BreakerRules {
    pub(crate) threshold: u32,
    pub(crate) reset: u64,
    pub(crate) probes: u32,
}

/// One call of a task, made at one place of one body.
#[derive(Debug, Default)]
pub(crate) struct Call {
    pub(crate) cached: Option<Cached>,
    /// Whether it is told of commits and rollbacks; of cached calls those of one key are.
    pub(crate) hooked: bool,
    /// Whether its body blocks: then all it does is submit others.
    pub(crate) blocks: bool,
    pub(crate) options: Options,
    pub(crate) body: Body,
    /// Whether its caller always looks at how it ended.
    pub(crate) is_looked_at: bool,
    /// Whether somebody else may look at that: a run that needs it, or who takes the outcomes of its fan-out.
    pub(crate) may_be_looked_at: bool,
}

impl Call {
    pub(crate) fn is_hooked(&self) -> bool {
        match &self.cached {
            Some(cached) => cached.key == HOOKED_KEY,
            None => self.hooked && !self.blocks,
        }
    }
}

/// The cache key whose calls have hooks.
pub(crate) const HOOKED_KEY: u32 = 2;

#[derive(Debug, Clone)]
pub(crate) struct Cached {
    pub(crate) key: u32,
    pub(crate) expires: Option<u64>,
    pub(crate) refresh: bool,
}

#[derive(Debug, Default, Clone)]
pub(crate) struct Options {
    pub(crate) retries: u32,
    pub(crate) delays: Vec<u64>,
    pub(crate) backoff: f64,
    pub(crate) jitter: f64,
    pub(crate) max_delay: Option<u64>,
    pub(crate) deadline: Option<u64>,
    pub(crate) retry_panics: bool,
    /// Whether an attempt that timed out is not retried.
    pub(crate) gives_up_on_timeouts: bool,
    pub(crate) timeout: Option<u64>,
    pub(crate) total: Option<u64>,
    /// The index of a limit, and the weight.
    pub(crate) limits: Vec<(usize, u32)>,
    pub(crate) rate: bool,
    pub(crate) breaker: bool,
}

impl Options {
    pub(crate) fn of_task(&self, cached: Option<&Cached>) -> TaskOptions {
        let millis = |millis: &u64| Duration::from_millis(*millis);
        let mut options = TaskOptions::new()
            .retries(self.retries)
            .retry_panics(self.retry_panics)
            .retry_timeouts(!self.gives_up_on_timeouts)
            .retry_backoff(self.backoff)
            .retry_jitter(self.jitter);
        if !self.delays.is_empty() {
            options = options.retry_delay(self.delays.iter().map(millis).collect::<Vec<_>>());
        }
        if let Some(delay) = &self.max_delay {
            options = options.retry_max_delay(millis(delay));
        }
        if let Some(deadline) = &self.deadline {
            options = options.retry_deadline(millis(deadline));
        }
        if let Some(timeout) = &self.timeout {
            options = options.timeout(millis(timeout));
        }
        if let Some(total) = &self.total {
            options = options.total_timeout(millis(total));
        }
        for &(limit, weight) in &self.limits {
            options = options.limit(LIMITS[limit], weight);
        }
        if self.rate {
            options = options.rate_limit(RATE);
        }
        if self.breaker {
            options = options.circuit_breaker(BREAKER);
        }
        if let Some(cached) = cached {
            options = options.refresh_cache(cached.refresh);
            if let Some(expires) = &cached.expires {
                options = options.cache_expiration(millis(expires));
            }
        }
        options
    }

    /// The delay before a retry, without jitter.
    pub(crate) fn nominal_delay(&self, retry: u32) -> f64 {
        let step = retry as usize - 1;
        let Some(&base) = self.delays.get(step).or(self.delays.last()) else {
            return 0.0;
        };
        let factor = match self.delays.len() {
            1 => self.backoff.powi(step as i32),
            _ => 1.0,
        };
        let most = self.max_delay.map_or(f64::MAX, |most| most as f64);
        (base as f64 * factor).min(most)
    }
}

/// What a body does: one step after another, unless the fate of the attempt comes before.
#[derive(Debug, Default)]
pub(crate) struct Body {
    /// The fates of the first attempts. Those that follow return a value.
    pub(crate) fates: Vec<Fate>,
    pub(crate) steps: Vec<Step>,
}

/// How an attempt fails, after so many of its steps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fate {
    pub(crate) after: usize,
    pub(crate) panics: bool,
}

#[derive(Debug)]
pub(crate) struct FlowPlan {
    /// How often the flow is retried: 0, 1 or 2.
    pub(crate) retries: u32,
    pub(crate) timeout: Option<u64>,
    pub(crate) body: Body,
    pub(crate) is_looked_at: bool,
    pub(crate) may_be_looked_at: bool,
}

/// The delays of flows that are retried, in order.
pub(crate) const FLOW_DELAYS: [u64; 2] = [7, 11];

/// The index of a handle in the body that has it.
pub(crate) type Handle = usize;

#[derive(Debug)]
pub(crate) enum Step {
    /// Works, with its slots.
    Work(u64),
    /// Sleeps, without them.
    Rest(u64),
    /// Calls a task in place.
    Here {
        call: usize,
        pass: bool,
    },
    /// Calls two tasks in place, both at once, and swallows their failures.
    Both {
        calls: [usize; 2],
    },
    /// Calls a task in place, and gives up after a while.
    Abandon {
        call: usize,
        after: u64,
    },
    /// Submits a task, which needs the values of these, and waits for those. What is given away cannot be used again.
    Submit {
        call: usize,
        inputs: Vec<Handle>,
        order: Vec<Handle>,
        tolerant: bool,
        gives_away: bool,
    },
    /// Calls a subflow in place.
    FlowHere {
        flow: usize,
        pass: bool,
    },
    /// Submits a subflow.
    FlowSubmit {
        flow: usize,
    },
    /// Awaits a handle.
    Join {
        handle: Handle,
        pass: bool,
    },
    /// Awaits several together.
    JoinAll {
        handles: Vec<Handle>,
        pass: bool,
    },
    /// Waits for a handle for a while, without looking at its outcome.
    Peek {
        handle: Handle,
        at_most: u64,
    },
    Cancel {
        handle: Handle,
    },
    FanOut {
        calls: Vec<usize>,
        concurrency: usize,
        lazy: bool,
        end: FanEnd,
    },
    Group(Group),
    Pause(Pause),
}

/// Waits to be resumed from outside.
#[derive(Debug, Clone)]
pub(crate) struct Pause {
    /// What it is given.
    pub(crate) number: u64,
    /// Whether each time that it is reached asks anew.
    pub(crate) fresh: bool,
    /// When somebody resumes it.
    pub(crate) after: u64,
    pub(crate) timeout: Option<u64>,
    /// Whether it passes on that nobody did in time.
    pub(crate) pass: bool,
}

/// Steps that are done as a transaction. They have handles of their own.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) eager: bool,
    pub(crate) steps: Vec<Step>,
    pub(crate) fate: GroupFate,
    /// Whether its failure is passed on.
    pub(crate) pass: bool,
    pub(crate) drop_after: Option<u64>,
}

/// How the body of a transaction ends, if its steps go well.
#[derive(Debug, Clone, Copy)]
pub(crate) enum GroupFate {
    Value,
    Error,
    Panic,
}

/// What becomes of a fan-out.
#[derive(Debug)]
pub(crate) enum FanEnd {
    Values {
        pass: bool,
    },
    Outcomes,
    Tolerate {
        failures: usize,
        pass: bool,
    },
    /// Taken one by one, this many of them.
    Stream {
        take: usize,
    },
    /// Nobody looks at it.
    Dropped,
    /// Cancelled after a while, and then looked at.
    Cancelled {
        after: u64,
    },
    /// One item is cancelled after a while, and then all are looked at.
    ItemCancelled {
        item: usize,
        after: u64,
    },
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "exact: {}, shut down: {:?}", self.exact, self.shutdown)?;
        for root in &self.roots {
            writeln!(formatter, "{root:?}")?;
        }
        for (index, flow) in self.flows.iter().enumerate() {
            writeln!(
                formatter,
                "f{index}: retries {}, timeout {:?}",
                flow.retries, flow.timeout
            )?;
            flow.body.describe(formatter)?;
        }
        for (index, call) in self.calls.iter().enumerate() {
            writeln!(formatter, "t{index}: {:?} {:?}", call.options, call.cached)?;
            call.body.describe(formatter)?;
        }
        Ok(())
    }
}

impl Body {
    fn describe(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.fates.is_empty() {
            writeln!(formatter, "    fails: {:?}", self.fates)?;
        }
        self.steps
            .iter()
            .try_for_each(|step| writeln!(formatter, "    {step:?}"))
    }
}

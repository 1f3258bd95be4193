//! Programs drawn from a seed: flows that return the same in every life, however often and whenever their process dies.

use std::fmt;

use fastrand::Rng;

/// How large a call may be that is made more than once, counted with all that it calls.
const SMALL: usize = 12;
const DEEPEST: u32 = 4;

/// What a task promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    /// Its result is not kept, so it runs in every life.
    Unkept,
    /// It must not happen twice. It calls nothing.
    Effect,
}

/// Equal calls have the same index, so that what is made with one index is interchangeable.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) kind: Kind,
    /// How many attempts of it fail before one returns.
    pub(super) failures: u32,
    pub(super) steps: Vec<Step>,
    /// Whether it is made in one place only, in a transaction that may be undone.
    pub(super) undoable: bool,
    size: usize,
}

#[derive(Debug)]
pub(super) struct Flow {
    /// Whether its first attempt fails, at its end.
    pub(super) fails_once: bool,
    pub(super) steps: Vec<Step>,
}

#[derive(Debug)]
pub(super) enum Step {
    Rest,
    /// Calls in place.
    Here(usize),
    /// Submits, and awaits at the end.
    Submit(usize),
    /// The same, with the value of what was submitted last.
    Feed(usize),
    /// Maps one task over several calls.
    FanOut(Vec<usize>),
    FlowHere(usize),
    FlowSubmit(usize),
    /// Does both at the same time, in the same body.
    Both([Vec<Self>; 2]),
    /// Calls in a transaction, one after the other or at the same time. It may fail where the attempt that it is in is to fail, so that all of them are undone.
    Transaction {
        calls: Vec<usize>,
        submits: bool,
        fails: bool,
    },
}

/// A flow, and all that it calls. The root comes last.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) calls: Vec<Call>,
    pub(super) flows: Vec<Flow>,
}

impl Program {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        let left = rng.i32(3..=16);
        let mut drawing = Drawing {
            rng,
            left,
            program: Self {
                calls: Vec::new(),
                flows: Vec::new(),
            },
        };
        drawing.flow(0);
        drawing.program
    }

    pub(super) fn root(&self) -> usize {
        self.flows.len() - 1
    }
}

struct Drawing<'a> {
    rng: &'a mut Rng,
    /// How many more calls there may be.
    left: i32,
    program: Program,
}

impl Drawing<'_> {
    fn chance(&mut self, percent: u8) -> bool {
        self.rng.u8(..100) < percent
    }

    fn flow(&mut self, depth: u32) -> usize {
        let fails_once = self.chance(20);
        let steps = self.steps(depth, if depth == 0 { 4..=9 } else { 1..=4 });
        self.program.flows.push(Flow { fails_once, steps });
        self.program.flows.len() - 1
    }

    fn steps(&mut self, depth: u32, range: std::ops::RangeInclusive<usize>) -> Vec<Step> {
        let count = self.rng.usize(range);
        let mut steps: Vec<Step> = Vec::with_capacity(count);
        for _ in 0..count {
            if self.left <= 0 {
                break;
            }
            let submitted = steps
                .iter()
                .any(|step| matches!(step, Step::Submit(_) | Step::Feed(_)));
            let step = self.step(depth, submitted);
            steps.push(step);
        }
        steps
    }

    fn step(&mut self, depth: u32, submitted: bool) -> Step {
        match self.rng.u8(..22) {
            0 | 1 => Step::Rest,
            2..=5 => Step::Here(self.call(depth, None)),
            6..=9 => Step::Submit(self.call(depth, None)),
            10 | 11 if submitted => Step::Feed(self.call(depth, Some(Kind::Plain))),
            10..=14 => {
                let kind = self.kind();
                let items = self.rng.usize(1..=4);
                Step::FanOut((0..items).map(|_| self.call(depth, Some(kind))).collect())
            }
            15 if depth < DEEPEST => Step::FlowHere(self.flow(depth + 1)),
            16 if depth < DEEPEST => Step::FlowSubmit(self.flow(depth + 1)),
            17..=19 if depth < DEEPEST => Step::Both([(); 2].map(|()| self.steps(depth + 1, 1..=3))),
            20 | 21 => self.transaction(),
            _ => Step::Rest,
        }
    }

    fn transaction(&mut self) -> Step {
        let count = self.rng.usize(1..=3);
        let calls: Vec<_> = (0..count)
            .map(|_| {
                self.left -= 1;
                let (kind, fails) = (self.kind(), self.chance(20));
                self.program.calls.push(Call {
                    kind,
                    failures: u32::from(fails),
                    steps: Vec::new(),
                    undoable: true,
                    // Made nowhere else.
                    size: SMALL + 1,
                });
                self.program.calls.len() - 1
            })
            .collect();
        Step::Transaction {
            calls,
            submits: self.rng.bool(),
            fails: self.rng.bool(),
        }
    }

    fn kind(&mut self) -> Kind {
        match self.rng.u8(..10) {
            0 => Kind::Unkept,
            1..=3 => Kind::Effect,
            _ => Kind::Plain,
        }
    }

    /// A call of a task, which may be one that is made elsewhere, too.
    fn call(&mut self, depth: u32, kind: Option<Kind>) -> usize {
        self.left -= 1;
        let kind = kind.unwrap_or_else(|| self.kind());
        if self.chance(30) {
            let calls = self.program.calls.iter().enumerate();
            let fitting: Vec<_> = calls
                .filter(|(_, call)| call.kind == kind && call.size <= SMALL)
                .map(|(index, _)| index)
                .collect();
            if let Some(&index) = self.rng.choice(&fitting) {
                return index;
            }
        }
        let failures = if self.chance(20) { 1 } else { 0 };
        let nests = kind != Kind::Effect && depth < DEEPEST && self.chance(45);
        let steps = match nests {
            true => self.steps(depth + 1, 1..=3),
            false => Vec::new(),
        };
        let size = 1 + steps.iter().map(|step| self.size(step)).sum::<usize>();
        self.program.calls.push(Call {
            kind,
            failures,
            steps,
            undoable: false,
            size,
        });
        self.program.calls.len() - 1
    }

    fn size(&self, step: &Step) -> usize {
        let of_call = |index: &usize| self.program.calls[*index].size;
        let of_flow = |index: &usize| 1 + self.sizes(&self.program.flows[*index].steps);
        match step {
            Step::Rest => 0,
            Step::Here(call) | Step::Submit(call) | Step::Feed(call) => of_call(call),
            Step::FanOut(calls) => calls.iter().map(of_call).sum(),
            Step::FlowHere(flow) | Step::FlowSubmit(flow) => of_flow(flow),
            Step::Transaction { calls, .. } => calls.iter().map(of_call).sum(),
            Step::Both(both) => both.iter().map(|steps| self.sizes(steps)).sum(),
        }
    }

    fn sizes(&self, steps: &[Step]) -> usize {
        steps.iter().map(|step| self.size(step)).sum()
    }
}

impl fmt::Display for Program {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, flow) in self.flows.iter().enumerate().rev() {
            writeln!(formatter, "f{index}: fails once: {}", flow.fails_once)?;
            for step in &flow.steps {
                writeln!(formatter, "    {step:?}")?;
            }
        }
        for (index, call) in self.calls.iter().enumerate() {
            writeln!(formatter, "c{index}: {:?}, failures {}", call.kind, call.failures)?;
            for step in &call.steps {
                writeln!(formatter, "    {step:?}")?;
            }
        }
        Ok(())
    }
}

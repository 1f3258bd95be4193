//! Draws transactions.

use super::Generator;
use super::body::Open;
use crate::plan::{Group, GroupFate, Step};

impl Generator<'_> {
    pub(super) fn group(&mut self, depth: u32, key: u32) -> Step {
        let sound = self.is_sound();
        let (first_call, first_flow) = (self.calls.len(), self.flows.len());
        let mut open = Open::default();
        let mut steps = Vec::new();
        for _ in 0..self.rng.usize(1..=4) {
            let step = self.step(depth, key, &mut open);
            steps.push(step);
        }
        self.join_rest(&mut open, &mut steps);
        // What fails in it and is looked at by nobody fails it, and so was looked at.
        self.calls[first_call..]
            .iter_mut()
            .for_each(|call| call.may_be_looked_at = true);
        self.flows[first_flow..]
            .iter_mut()
            .for_each(|flow| flow.may_be_looked_at = true);
        let fate = match self.rng.u8(..20) {
            0..=4 if !sound => GroupFate::Error,
            5 if !sound => GroupFate::Panic,
            _ => GroupFate::Value,
        };
        Step::Group(Group {
            eager: self.chance(25),
            steps,
            fate,
            pass: self.pass(),
            drop_after: (!sound && self.chance(35)).then(|| self.bound()),
        })
    }
}

//! Draws the options of a call.

use super::Generator;
use crate::plan::Options;

impl Generator<'_> {
    pub(super) fn options(&mut self, cached: bool) -> Options {
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
            options.gives_up_on_timeouts = self.chance(25);
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
}

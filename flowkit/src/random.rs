//! The seam for randomness, which jitter draws from.

use std::fmt;
use std::sync::{Mutex, PoisonError};

/// A source of random numbers.
pub trait Randomness: fmt::Debug + Send + Sync + 'static {
    /// A number, evenly distributed in `0..1`.
    fn unit(&self) -> f64;
}

/// A fast generator, seeded from the system unless told otherwise. Not for secrets.
#[derive(Debug)]
pub struct FastRandomness(Mutex<fastrand::Rng>);

impl FastRandomness {
    /// The same seed gives the same numbers.
    pub fn seeded(seed: u64) -> Self {
        Self(Mutex::new(fastrand::Rng::with_seed(seed)))
    }
}

impl Default for FastRandomness {
    fn default() -> Self {
        Self(Mutex::new(fastrand::Rng::new()))
    }
}

impl Randomness for FastRandomness {
    fn unit(&self) -> f64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).f64()
    }
}

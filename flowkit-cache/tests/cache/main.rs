//! Keys and stores through the crate's public face.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says what it expects"
)]

mod keys;
mod processes;

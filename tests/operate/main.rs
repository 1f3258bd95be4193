//! The story of the example `operate`, told by its process: what it prints, and the codes it exits with.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects"
)]

mod looking;
mod owning;
mod program;
mod secrets;
mod story;

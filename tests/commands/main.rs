//! The command line within a process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects"
)]

mod directories;
mod drawing;
mod lives;
mod running;
mod said;
mod secrets;
mod settling;

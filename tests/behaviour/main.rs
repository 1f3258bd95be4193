//! What flowkit promises, through its public face alone. The numbers in comments are those of the acceptance cases.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says what it expects"
)]

mod caching;
mod calls;
mod failures;
mod fan_outs;
mod flow_retries;
mod hooks;
mod limits;
mod recorder;
mod retries;
mod structure;

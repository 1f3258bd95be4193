//! What flowkit promises, through its public face alone. The numbers in comments are those of the acceptance cases.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says what it expects"
)]

mod attempts;
mod boundaries;
mod caching;
mod calls;
mod cancellation;
mod cases;
mod changed_callers;
mod changed_code;
mod deep;
mod doubted;
mod effects;
mod explaining;
mod failures;
mod fan_outs;
mod faults;
mod final_states;
mod flow_retries;
mod found;
mod handles;
mod hooks;
mod journal_faults;
mod journaled;
mod kept;
mod keys;
mod limits;
mod lives;
mod lost_rows;
mod named;
mod once;
mod pauses;
mod places;
mod recorder;
mod released;
mod repeated;
mod reports;
mod resume;
mod retention;
mod retries;
mod runtimes;
mod settled;
mod silence;
mod slots;
mod spent;
mod stalls;
mod streams;
mod structure;
mod testing;
mod till;
mod transactions;
mod undone;
mod unpolled;
mod upstreams;
mod user_code;

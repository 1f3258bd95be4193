//! What the benches share: rows that stand beside a floor, the table that they make, and clocks.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a bench prints, measures time, and stops where it cannot go on"
)]

pub mod floor;
pub mod measure;
pub mod row;
pub mod table;

//! What the benches share: rows that stand beside a floor, the table that they make, and clocks.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a bench prints and measures time"
)]

pub mod measure;
pub mod row;
pub mod table;

//! What flowkit promises, through its public face alone. The numbers in comments are those of the acceptance cases.

mod caching;
mod calls;
mod fan_outs;
mod failures;
mod recorder;
mod retries;
mod structure;

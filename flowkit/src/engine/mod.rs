//! The engine: what becomes of a call between the moment it is used and its terminal state.
//!
//! Nothing here is generic over a user's types, so it is compiled once.

pub(crate) mod blocking;
pub(crate) mod caching;
pub(crate) mod drive;
pub(crate) mod flow;
pub(crate) mod hooks;
pub(crate) mod memo;
pub(crate) mod run_guard;
pub(crate) mod scope;
pub(crate) mod slots;
pub(crate) mod stall;
pub(crate) mod standalone;

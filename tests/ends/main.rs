//! The ends of the example `plant_phenotyping`, as a process: whichever way the season comes in and the figures go out, they are the same.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test says what it expects"
)]

#[path = "../../flowkit-etl/tests/etl/azure_server.rs"]
mod azure_server;
#[path = "../../flowkit-etl/tests/etl/http_server.rs"]
#[allow(dead_code, reason = "each test uses some of it")]
mod http_server;
mod program;
#[path = "../../flowkit-etl/tests/etl/s3_server.rs"]
mod s3_server;
#[path = "../../flowkit-etl/tests/etl/databases/servers.rs"]
#[allow(dead_code, reason = "each test uses some of it")]
mod servers;
mod ways;
mod wrong;

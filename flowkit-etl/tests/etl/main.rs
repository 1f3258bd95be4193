//! What the parts of a pipeline promise, told through their public face.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::expect_used,
    reason = "in tests"
)]

#[cfg(all(feature = "alerts", feature = "quality"))]
mod alerts;
#[cfg(feature = "objects")]
mod azure_server;
#[cfg(all(
    feature = "objects",
    feature = "csv",
    feature = "json",
    feature = "compression"
))]
mod buckets;
#[cfg(feature = "csv")]
mod csv_files;
#[cfg(all(
    feature = "csv",
    feature = "json",
    feature = "parquet",
    feature = "compression"
))]
mod data_sets;
#[cfg(all(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod databases;
#[cfg(feature = "objects")]
mod environment;
#[cfg(all(feature = "prometheus-listener", feature = "otel", feature = "quality"))]
mod exports;
#[cfg(all(feature = "csv", feature = "json", feature = "parquet"))]
mod faithful;
#[cfg(all(
    feature = "csv",
    feature = "json",
    feature = "parquet",
    feature = "compression"
))]
mod formats;
#[cfg(all(feature = "http", feature = "sensors", feature = "parquet"))]
mod http_apis;
#[cfg(all(feature = "http", feature = "sensors", feature = "parquet"))]
mod http_limits;
#[cfg(all(feature = "http", feature = "sensors", feature = "parquet"))]
mod http_server;
#[cfg(all(
    feature = "sqlite",
    feature = "postgres",
    feature = "mysql",
    feature = "parquet",
    feature = "csv"
))]
mod incremental;
#[cfg(feature = "json")]
mod json_files;
#[cfg(all(feature = "csv", feature = "parquet"))]
mod killed;
#[cfg(all(
    feature = "monitor",
    feature = "pipeline",
    feature = "csv",
    feature = "quality",
    feature = "validation"
))]
mod monitoring;
#[cfg(all(
    feature = "objects",
    feature = "csv",
    feature = "json",
    feature = "compression",
    feature = "sensors"
))]
mod object_files;
#[cfg(all(
    feature = "monitor",
    feature = "csv",
    feature = "json",
    feature = "parquet",
    feature = "objects",
    feature = "sqlite"
))]
mod passing;
#[cfg(all(
    feature = "pipeline",
    feature = "csv",
    feature = "validation",
    feature = "sqlite",
    feature = "postgres",
    feature = "mysql"
))]
mod pipelines;
#[cfg(feature = "data")]
mod plants;
#[cfg(feature = "quality")]
mod quality;
#[cfg(feature = "query")]
mod queries;
#[cfg(any(
    all(feature = "alerts", feature = "quality"),
    all(feature = "prometheus-listener", feature = "otel", feature = "quality")
))]
mod receiver;
#[cfg(feature = "objects")]
mod s3_server;
#[cfg(all(
    feature = "sensors",
    feature = "sqlite",
    feature = "postgres",
    feature = "mysql"
))]
mod sensors;
#[cfg(all(
    feature = "objects",
    feature = "csv",
    feature = "json",
    feature = "compression"
))]
mod stores;
#[cfg(all(
    feature = "validation",
    feature = "csv",
    feature = "json",
    feature = "pipeline"
))]
mod tolerance;
#[cfg(feature = "data")]
mod typed_rows;
#[cfg(all(
    feature = "http",
    feature = "sensors",
    feature = "csv",
    feature = "json",
    feature = "parquet",
    feature = "compression"
))]
mod url_files;
#[cfg(all(
    feature = "validation",
    feature = "csv",
    feature = "json",
    feature = "parquet"
))]
mod validation;
#[cfg(all(
    feature = "http",
    feature = "sensors",
    feature = "parquet",
    feature = "csv",
    feature = "json"
))]
mod whole_values;

//! Attributes stay where they belong, and a doc comment is the description.
#![deny(missing_docs, unused_must_use, dead_code)]

use flowkit::prelude::*;

/// Read the measurements.
///
///     indented
#[task(tags("io", "slow"), version = "2")]
#[must_use = "reading costs"]
#[allow(clippy::unused_async)]
async fn extract(/* where from */ #[allow(unused_variables)] source: &str) -> u8 {
    //! Inside.
    1
}

/// Ignored.
#[task(name = "load_it", description = "Said in the attribute.", tags = ["x"])]
#[cfg(not(any()))]
async fn load() {}

#[task]
#[cfg(any())]
async fn absent() {}

#[flow(
    name = "pipeline",
    description = "A flow.",
    timeout = "1h 30m",
    run_name = "run {{of}} {_n:>3}"
)]
#[deprecated(note = "use the other one")]
async fn old(_n: u8) -> Result<()> {
    Ok(())
}

pub(crate) fn main() {
    assert_eq!(
        extract::DEFINITION.description(),
        "Read the measurements.\n\n    indented\nInside."
    );
    assert_eq!(extract::DEFINITION.tags(), ["io", "slow"]);
    assert_eq!(extract::DEFINITION.version(), Some("2"));
    assert_eq!(extract::DEFINITION.parameters(), ["source"]);
    assert_eq!(extract::DEFINITION.fingerprint().len(), 32);
    assert_eq!(
        (load::NAME, load::DEFINITION.description()),
        ("load_it", "Said in the attribute.")
    );
    let _ = extract("a");
    let _ = load();
    #[expect(deprecated)]
    let _ = old(1);
}

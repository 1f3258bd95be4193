//! Benches only: `cargo bench -p flowkit-benches` prints one table.

//! Keys of inputs: beside BLAKE3 over the same amount of bytes, and beside bincode into BLAKE3, which is no key but a start.

use std::collections::HashMap;
use std::hint::black_box;

use flowkit::cache::{KeyHasher, key_of};
use flowkit_benches::measure::{Stopwatch, each, kept};
use flowkit_benches::row::{Goal, Row};
use flowkit_benches::table::Table;
use serde::Serialize;

const MANY: u64 = 100_000;

#[derive(Clone, Serialize)]
struct Plant {
    name: String,
    plot: Plot,
    heights: Vec<f64>,
    harvested: Option<u32>,
}

#[derive(Clone, Serialize)]
struct Plot {
    row: u16,
    column: u16,
    treatment: Treatment,
}

#[derive(Clone, Serialize)]
enum Treatment {
    Control,
    Watered { litres: f32 },
}

fn plants(count: u16) -> Vec<Plant> {
    let plant = |n: u16| Plant {
        name: format!("plant {n}"),
        plot: Plot {
            row: n / 40,
            column: n % 40,
            treatment: if n.is_multiple_of(2) {
                Treatment::Control
            } else {
                Treatment::Watered { litres: 1.5 }
            },
        },
        heights: (0..12).map(f64::from).collect(),
        harvested: n.is_multiple_of(3).then_some(20),
    };
    (0..count).map(plant).collect()
}

fn times(runs: u64, mut work: impl FnMut()) -> f64 {
    let start = Stopwatch::new();
    (0..runs).for_each(|_| work());
    each(start.elapsed(), runs)
}

/// Through bincode into BLAKE3, buffered: the order of maps is random there, and `1u32` is `1u64`.
fn bincode_key<T: Serialize>(value: &T) -> blake3::Hash {
    let bytes = bincode::serde::encode_to_vec(value, bincode::config::standard()).unwrap();
    blake3::hash(&bytes)
}

fn small<T: Serialize>(table: &mut Table, what: &'static str, value: &T) {
    many(table, Row::new(what, "µs"), MANY, value);
}

fn many<T: Serialize>(table: &mut Table, mut row: Row, runs: u64, value: &T) {
    let encoded = bincode::serde::encode_to_vec(value, bincode::config::standard()).unwrap();
    for _ in table.rounds() {
        row.ours(times(runs, || kept(key_of(black_box(value)).unwrap())));
        row.floor(
            "BLAKE3 of the encoded bytes",
            times(runs, || kept(blake3::hash(black_box(&encoded)))),
        );
        row.floor(
            "bincode, then BLAKE3",
            times(runs, || kept(bincode_key(black_box(value)))),
        );
    }
    table.add(&row);
}

pub(crate) fn rows(table: &mut Table) {
    small(table, "key of two numbers", &(7u64, 1.5f64));
    small(
        table,
        "key of a string of 40 bytes",
        &"the heights of the plants in plot eleven",
    );
    small(table, "key of a nested struct", &plants(1).remove(0));
    let map: HashMap<String, u64> = (0..1000).map(|n| (format!("plot {n}"), n)).collect();
    many(table, Row::new("key of a map of 1,000", "µs"), 1_000, &map);
    many(
        table,
        Row::new("key of 1,000 nested structs", "µs"),
        1_000,
        &plants(1_000),
    );
    many(
        table,
        Row::new("key of 100 MB of f64", "µs"),
        1,
        &vec![1.5f64; 12_500_000],
    );

    let bytes = vec![42u8; 100_000_000];
    let mut row = Row::new("key of 100 MB of bytes", "µs").goal(Goal::Ratio(1.11));
    for _ in table.rounds() {
        row.ours(times(1, || {
            let mut hasher = KeyHasher::new();
            hasher.bytes("data", black_box(&bytes));
            black_box(hasher.finish().unwrap());
        }));
        row.floor("BLAKE3", times(1, || kept(blake3::hash(black_box(&bytes)))));
    }
    table.add(&row);
}

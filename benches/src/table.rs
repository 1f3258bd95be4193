//! The table: rows as they are measured, for eyes, or all of them as JSON.

use serde_json::{Value, json};

use crate::measure::measure_cpu_time;
use crate::row::{Row, Spread};

/// What was asked for on the command line, and the rows so far.
#[derive(Debug)]
pub struct Table {
    rounds: usize,
    as_json: bool,
    /// The groups of rows that are wanted; all of them if none is named.
    wanted: Vec<String>,
    rows: Vec<Value>,
}

/// What the command line may say.
const USAGE: &str = "cargo bench -p flowkit-benches --bench table -- [--json] [--cpu] [--rounds N] [GROUP…]";

impl Table {
    /// The table that the command line asks for, of so many rounds unless it says otherwise.
    ///
    /// # Errors
    /// What the command line says and the table does not know.
    pub fn from_args(rounds: usize) -> Result<Self, lexopt::Error> {
        use lexopt::prelude::*;
        let mut table = Self {
            rounds,
            as_json: false,
            wanted: Vec::new(),
            rows: Vec::new(),
        };
        let mut args = lexopt::Parser::from_env();
        while let Some(arg) = args.next()? {
            match arg {
                Long("json") => table.as_json = true,
                Long("cpu") => measure_cpu_time(),
                Long("rounds") => table.rounds = args.value()?.parse()?,
                // What cargo says to every bench.
                Long("bench") => {}
                Value(group) => table.wanted.push(group.string()?),
                other => return Err(format!("{}; {USAGE}", other.unexpected()).into()),
            }
        }
        if !table.as_json {
            println!(
                "{:44} {:>13} {:>13} {:>8}  lowest to highest, beside what",
                "medians", "flowkit", "other", "ratio"
            );
        }
        Ok(table)
    }

    /// Whether the rows of this group are wanted.
    pub fn wants(&self, group: &str) -> bool {
        self.wanted.is_empty() || self.wanted.iter().any(|wanted| wanted == group)
    }

    /// The rounds of a row: the first one warms up.
    pub fn rounds(&self) -> std::ops::RangeInclusive<usize> {
        0..=self.rounds
    }

    /// The same, of a row that takes long.
    pub fn few_rounds(&self) -> std::ops::RangeInclusive<usize> {
        0..=self.rounds.div_ceil(3)
    }

    /// Enters a row that was measured.
    pub fn add(&mut self, row: &Row) {
        if !self.as_json {
            print(row);
        }
        self.rows.push(as_json(row));
    }

    /// Everything was measured.
    pub fn finish(self) {
        if self.as_json {
            println!("{:#}", Value::Array(self.rows));
        }
    }
}

fn print(row: &Row) {
    let ours = row.spread().median;
    let verdict = row.verdict().map(|(goal, met)| {
        let met = if met { "met" } else { "NOT MET" };
        format!("  [goal {goal}: {met}]")
    });
    if row.against.is_empty() {
        println!(
            "{:44} {:>13}{}",
            row.what,
            figure(ours, row.unit),
            verdict.clone().unwrap_or_default()
        );
    }
    for (index, contender) in row.against.iter().enumerate() {
        let ratio = row.ratio(contender);
        let promise = contender.promise.map(|promise| format!(" ({promise})"));
        println!(
            "{:44} {:>13} {:>13} {:>6.2} ×  {:.2} to {:.2}, {}{}{}",
            if index == 0 { row.what } else { "" },
            figure(ours, row.unit),
            figure(contender.spread().median, row.unit),
            ratio.median,
            ratio.low,
            ratio.high,
            contender.name,
            promise.unwrap_or_default(),
            verdict.clone().filter(|_| index == 0).unwrap_or_default(),
        );
    }
}

fn figure(figure: f64, unit: &str) -> String {
    let digits = match figure {
        figure if figure < 10.0 => 3,
        figure if figure < 1000.0 => 1,
        _ => 0,
    };
    format!("{figure:.digits$} {unit}")
}

fn as_json(row: &Row) -> Value {
    let spread = |spread: Spread| json!({ "median": spread.median, "low": spread.low, "high": spread.high });
    let against = row.against.iter().map(|contender| {
        json!({
            "name": contender.name,
            "kind": if contender.promise.is_some() { "peer" } else { "floor" },
            "promise": contender.promise,
            "figure": spread(contender.spread()),
            "ratio": spread(row.ratio(contender)),
            "rounds": contender.rounds,
        })
    });
    let verdict = row.verdict();
    json!({
        "what": row.what,
        "unit": row.unit,
        "flowkit": spread(row.spread()),
        "rounds": row.ours,
        "against": against.collect::<Vec<_>>(),
        "goal": verdict.as_ref().map(|(goal, _)| goal),
        "met": verdict.as_ref().map(|(_, met)| met),
    })
}

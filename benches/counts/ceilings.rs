//! What the counts may be at most: `ceilings.toml`, which changes only together with what makes it change.

use std::collections::BTreeMap;

/// Of each work, by name, what is counted, by name.
pub(crate) type Ceilings = BTreeMap<String, BTreeMap<String, f64>>;

/// Further below than this, a ceiling holds nothing.
const SLACK: f64 = 0.8;

pub(crate) fn ceilings() -> Ceilings {
    toml::from_str(include_str!("../ceilings.toml")).unwrap()
}

/// Says what is over its ceiling, or far below it; whether all is well.
pub(crate) fn check(ceilings: &Ceilings, work: &str, what: &str, counted: f64) -> bool {
    let Some(&most) = ceilings.get(work).and_then(|work| work.get(what)) else {
        return true;
    };
    if counted > most {
        eprintln!(
            "{work}: {counted:.1} {what} each, and at most {most} are allowed. Find out what they are for (CONTRIBUTING.md, \"What things cost\"), \
             and do without them; if they buy something, raise the ceiling in benches/ceilings.toml in the same commit, which says what"
        );
        return false;
    }
    if most > 1.0 && counted < most * SLACK {
        eprintln!(
            "{work}: {counted:.1} {what} each, well below the ceiling of {most}: lower it in benches/ceilings.toml"
        );
    }
    true
}

//! A value is found by its very type: a call that gives a function of references is no call that gives one of `'static` references.

use flowkit::prelude::*;

#[task]
async fn parser() -> fn(&str) -> usize {
    str::len
}

fn main() {
    let _call: flowkit::TaskCall<fn(&'static str) -> usize> = parser();
}

use flowkit::prelude::*;

#[task(limit("db", 0))]
async fn nothing() {}

#[task(limit(2, "db"))]
async fn weight_first() {}

#[task(limit("db", "db"))]
async fn twice() {}

#[task(limit = "")]
async fn nameless() {}

#[task(limit)]
async fn bare() {}

#[task(circuit_breaker = 3)]
async fn number() {}

fn main() {}

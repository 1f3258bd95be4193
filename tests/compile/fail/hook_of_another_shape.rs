use flowkit::prelude::*;

fn two_parameters(_run: flowkit::HookRun, _more: u8) {}

fn another_type(_name: &str) {}

#[task(on_failure = two_parameters)]
async fn load() {}

#[task(on_success = another_type)]
async fn store() {}

#[task(on_crash = "notify")]
async fn text() {}

#[flow(on_running)]
async fn nothing() {}

fn main() {}

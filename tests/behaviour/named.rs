//! A flow is run by its name, with parameters as people write them.

use std::error::Error as _;

use flowkit::prelude::*;
use flowkit::{FlowNotFound, ParameterError, RegisteredFlow};
use serde_json::{Map, Value, json};

#[flow(name = "survey of plots")]
async fn survey(plots: Vec<String>, depth: Option<u8>, scale: f64) -> Result<Vec<String>> {
    let depth = depth.unwrap_or(1);
    Ok(plots
        .iter()
        .map(|plot| format!("{plot} {depth} {scale}"))
        .collect())
}

#[flow]
async fn phenotyping() -> u32 {
    1
}

mod elsewhere {
    use flowkit::prelude::*;

    #[flow]
    pub(super) async fn named_twice() -> u32 {
        1
    }
}

#[flow]
async fn named_twice() -> u32 {
    2
}

fn map(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

async fn run(flow: &str, parameters: Value) -> Result<flowkit::FlowRun<Value>, flowkit::Error> {
    let runtime = Runtime::builder().build().await.unwrap();
    runtime.run_named(flow, map(parameters)).await
}

#[tokio::test]
async fn a_flow_runs_by_its_name_and_its_value_is_json() {
    let ran = run("survey of plots", json!({ "plots": ["a", "b"], "scale": 1.5 })).await;
    assert_eq!(ran.unwrap().into_result().unwrap(), json!(["a 1 1.5", "b 1 1.5"]));
    let ran = run("survey of plots", json!({ "plots": [], "scale": 1, "depth": 7 })).await;
    assert_eq!(ran.unwrap().into_result().unwrap(), json!([]));
}

#[tokio::test]
async fn a_fraction_is_the_one_that_was_written() {
    let written = r#"{ "plots": ["a"], "scale": 31.245270191439438 }"#;
    let ran = run("survey of plots", serde_json::from_str(written).unwrap()).await;
    assert_eq!(
        ran.unwrap().into_result().unwrap(),
        json!(["a 1 31.245270191439438"])
    );
}

#[tokio::test]
async fn a_parameter_that_is_wrong_is_named_and_nothing_runs() {
    for (parameters, wrong) in [
        (json!({ "scale": 1 }), "plots"),
        (json!({ "plots": "a", "scale": 1 }), "plots"),
        (json!({ "plots": [], "scale": 1, "depth": 300 }), "depth"),
        (json!({ "plots": [], "scale": 1, "width": 300 }), "width"),
    ] {
        let error = run("survey of plots", parameters).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.name()),
            (ErrorKind::Input, "survey of plots")
        );
        let cause = error.source().unwrap().downcast_ref::<ParameterError>().unwrap();
        assert_eq!(cause.parameter, wrong, "{error}");
        assert!(error.to_string().contains(&format!("`{wrong}`")), "{error}");
    }
}

#[tokio::test]
async fn a_name_that_is_none_is_answered_with_those_that_are_like_it() {
    let error = run("phenotypin", json!({})).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "flow `phenotypin`: there is no flow of this name: it may be `phenotyping`"
    );
    let not_found = error.downcast_ref::<FlowNotFound>().unwrap();
    assert_eq!(not_found.candidates, ["phenotyping"]);
    let unlike = RegisteredFlow::find("a name that no flow is like").unwrap_err();
    assert!(unlike.candidates.len() > 10, "then all there are: {unlike}");
}

#[tokio::test]
async fn of_flows_that_share_a_name_the_module_says_which_is_meant() {
    // Calling them would be enough for the linker; naming them is for the compiler.
    drop((
        named_twice(),
        elsewhere::named_twice(),
        survey(vec![], None, 1.0),
        phenotyping(),
    ));
    let ambiguous = RegisteredFlow::find("named_twice").unwrap_err();
    assert!(ambiguous.ambiguous);
    assert_eq!(ambiguous.candidates.len(), 2, "{ambiguous}");
    assert!(ambiguous.to_string().contains("say which one"), "{ambiguous}");
    for (path, value) in [
        ("behaviour::named::named_twice", 2),
        ("behaviour::named::elsewhere::named_twice", 1),
    ] {
        assert_eq!(
            run(path, json!({})).await.unwrap().into_result().unwrap(),
            json!(value)
        );
    }
}

#[tokio::test]
async fn flows_of_one_module_that_share_a_name_cannot_be_told_apart_by_it() {
    #[flow(name = "named in a function")]
    async fn one() {}
    #[flow(name = "named in a function")]
    async fn other() {}
    drop((one(), other()));
    let error = RegisteredFlow::find("named in a function").unwrap_err();
    assert!(
        error.to_string().contains("give them names of their own"),
        "{error}"
    );
}

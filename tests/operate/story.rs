//! Flows that are run and resumed.

use serde_json::json;

use crate::program::{Program, completed};

#[test]
fn the_flows_are_listed_with_the_schemas_of_their_parameters() {
    let program = Program::new();
    let listed = program.json(&["list"]);
    let names: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|flow| &flow["name"])
        .collect();
    assert_eq!(names, ["harvest", "import", "tell", "water"]);
    let parameters = &listed[0]["parameters"];
    assert_eq!(parameters["required"], json!(["plots", "year"]));
    assert_eq!(
        parameters["properties"]["plots"],
        json!({ "type": "array", "items": { "type": "string" } })
    );
    assert_eq!(
        parameters["$defs"]["Unit"]["enum"],
        json!(["kilograms", "pounds"])
    );
    let said = program.say(&["list"]);
    assert!(said.out.contains("--year INTEGER"), "{said:?}");
    assert!(!said.out.contains('\x1b'), "nothing is coloured in a pipe");
}

#[test]
fn a_flow_is_run_with_typed_parameters_and_served_from_the_cache_the_next_time() {
    let program = Program::new();
    let arguments = [
        "run", "harvest", "--plots", "north", "--plots", "12", "--year", "2026",
    ];
    let first = program.json(&arguments);
    assert_eq!(first["state"], "Completed");
    assert_eq!(first["tasks"]["completed"], 3);
    let list = [
        "run",
        "harvest",
        "--plots",
        r#"["north", "12"]"#,
        "--year=2026",
        "--unit",
        "pounds",
    ];
    let second = program.json(&list);
    assert_eq!(second["tasks"]["cached"], 2);
    assert!(second["value"].as_f64() > first["value"].as_f64());
    let said = program.say(&arguments);
    assert_eq!(said.code, Some(0));
    assert_eq!(said.out.trim(), first["value"].to_string());
    assert!(said.err.contains("2 cached"), "{said:?}");

    let explained = program.json(&["explain", "last", "weigh[1]"]);
    assert_eq!(explained["reason"]["because"], "served");
    assert_eq!(explained["reason"]["by"]["flow_run"], "harvest");
    assert_eq!(program.json(&["cache", "stats"])["entries"], 2);
    let keys = program.json(&["cache", "list"]);
    assert_eq!(keys.as_array().unwrap().len(), 2);
    assert_eq!(program.json(&["cache", "verify"])["sound"], 2);
    assert_eq!(program.json(&["cache", "clear"])["cleared"], 2);
    assert_eq!(program.json(&["cache", "stats"])["entries"], 0);
}

#[test]
fn what_is_typed_wrong_is_answered_with_the_name_of_the_parameter_and_code_2() {
    let program = Program::new();
    let harvest = ["run", "harvest", "--plots", "north"];
    for (more, named) in [
        (&[][..], "--year"),
        (
            &["--year", "soon"],
            "`year`: invalid type: string \"soon\", expected u32",
        ),
        (&["--year", "-1"], "`year`"),
        (
            &["--year", "1", "--year", "2"],
            "`year`: it is given more than once",
        ),
        (
            &["--year", "1", "--unit", "tons"],
            "`unit`: unknown variant `tons`",
        ),
        (&["--yaer", "1"], "--year"),
        (&["--year", "1", "--speed", "1"], "--speed"),
    ] {
        let said = program.say(&[&harvest, more].concat());
        assert_eq!(said.code, Some(2), "{more:?}: {said:?}");
        assert!(said.err.contains(named), "{more:?}: {said:?}");
    }
    for (arguments, named) in [
        (&["run", "harvst"][..], "it may be `harvest`"),
        (&["run"], "Flows: harvest, import, tell, water."),
        (&["runs", "--limit", "-1"], "invalid value '-1'"),
        (&["dance"], "dance"),
        (&["show", "last"], "no run was ever recorded"),
        (&["runs", "--since", "yesterday"], "`yesterday`"),
        (&["graph", "last", "--format", "png"], "png"),
    ] {
        let said = program.say(arguments);
        assert_eq!(said.code, Some(2), "{arguments:?}: {said:?}");
        assert!(said.err.contains(named), "{arguments:?}: {said:?}");
    }
    assert!(!program.data_dir().exists(), "nothing was begun");
    let help = program.say(&["run", "harvest", "--help"]);
    assert_eq!(help.code, Some(0));
    assert!(help.out.contains("--unit <kilograms|pounds>"), "{help:?}");
    assert!(
        help.out.contains(" run harvest [OPTIONS] --plots"),
        "as it is typed: {help:?}"
    );
}

#[test]
fn a_flow_that_failed_half_way_is_resumed_and_repeats_nothing() {
    let program = Program::new();
    let failed = program.say(&["run", "import", "--rows", "10", "--warehouse", "open", "--json"]);
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert!(failed.err.contains("the warehouse is closed"), "{failed:?}");
    let before = program.json(&["show", "last"]);
    assert_eq!(before["state"], "Failed");
    assert_eq!(before["parameters"], json!({ "rows": 10, "warehouse": "open" }));
    assert_eq!(completed(&before).len(), 2);
    let shown = program.say(&["show", "last"]).out;
    assert_eq!(
        shown.matches("the warehouse is closed").count(),
        1,
        "the task's error is the flow's: {shown}"
    );
    let failed = program.json(&["runs", "--state", "failed", "--flow", "import", "--since", "1h"]);
    assert_eq!(failed.as_array().unwrap().len(), 1);
    let logs = program.json(&["logs", "last"]);
    let warned = logs
        .as_array()
        .unwrap()
        .iter()
        .filter(|line| line["level"] == "WARN");
    assert!(warned.count() >= 2, "once for each attempt: {logs}");

    std::fs::write(program.path("open"), "").unwrap();
    // By the end of its id.
    let id = before["id"].as_str().unwrap();
    let resumed = program.json(&["resume", &id[id.len() - 8..]]);
    assert_eq!((&resumed["id"], &resumed["value"]), (&before["id"], &json!(7)));
    let after = program.json(&["show", id]);
    assert_eq!(
        (&after["state"], &after["life"]),
        (&json!("Completed"), &json!(2))
    );
    for (then, now) in completed(&before).into_iter().zip(completed(&after)) {
        assert_eq!(then["task"], now["task"]);
        assert_eq!(then["started"], now["started"], "it did not run again");
    }
    let again = program.say(&["resume", "last"]);
    assert_eq!(again.code, Some(2), "{again:?}");
    assert!(again.err.contains("has completed"), "{again:?}");
}

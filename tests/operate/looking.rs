//! What only looks: drawings, the doctor, and a reader that goes away.

use std::fs;

use crate::program::{Program, Said};

#[test]
fn a_run_is_drawn_as_a_graph_and_as_a_timeline() {
    let program = Program::new();
    program.json(&[
        "run", "harvest", "--plots", "a & b", "--plots", "<c>", "--year", "2026",
    ]);
    let mermaid = program.say(&["graph", "last"]).out;
    assert!(mermaid.starts_with("flowchart TD\n"), "{mermaid}");
    assert!(mermaid.contains("n0 -->|weights| n1"), "{mermaid}");
    let dot = program.say(&["graph", "last", "--format", "dot"]).out;
    assert!(dot.starts_with("digraph \"harvest\" {"), "{dot}");
    let svg = program.say(&["graph", "last", "--format", "svg"]).out;
    assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"), "{svg}");
    let graph = program.json(&["graph", "last", "--format", "json"]);
    assert_eq!(graph["nodes"].as_array().unwrap().len(), 2);
    assert_eq!(graph["edges"][0]["label"], "weights");

    let timeline = program.say(&["timeline", "last"]).out;
    let total = timeline.lines().find(|line| line.starts_with("total"));
    assert!(
        total.is_some_and(|line| line.contains("··") && line.contains('█')),
        "{timeline}"
    );
    let bars = program.json(&["timeline", "last"]);
    assert_eq!(bars["bars"].as_array().unwrap().len(), 2);
    let drawn = program.say(&["timeline", "last", "--format", "svg", "--output", "drawn.svg"]);
    assert_eq!((drawn.code, drawn.out.as_str()), (Some(0), ""), "{drawn:?}");
    assert!(
        fs::read_to_string(program.path("drawn.svg"))
            .unwrap()
            .starts_with("<svg")
    );

    let items = program.json(&["show", "last", "--items"]);
    assert_eq!(
        items["tasks"].as_array().unwrap().len(),
        4,
        "a fan-out, its two items, and what took them"
    );
}

#[test]
fn who_only_looks_leaves_nothing_behind() {
    let program = Program::new();
    for command in [
        &["runs"][..],
        &["doctor"],
        &["cache", "stats"],
        &["cache", "verify"],
        &["prune"],
    ] {
        program.json(command);
    }
    assert!(!program.data_dir().exists());
}

#[test]
fn a_directory_that_cannot_be_used_is_told_with_code_3() {
    let program = Program::new();
    fs::write(program.data_dir(), "").unwrap();
    for command in [&["run", "water", "--beds", "1"][..], &["doctor"]] {
        let said = program.say(command);
        assert_eq!(said.code, Some(3), "{command:?}: {said:?}");
    }
    fs::remove_file(program.data_dir()).unwrap();
    fs::create_dir_all(program.data_dir()).unwrap();
    fs::write(program.data_dir().join("journal.sqlite"), [7; 10_000]).unwrap();
    for command in [&["runs"][..], &["show", "last"], &["doctor"]] {
        let said = program.say(command);
        assert_eq!(said.code, Some(3), "{command:?}: {said:?}");
    }
    let findings = program.say(&["doctor", "--json"]);
    let findings: serde_json::Value = serde_json::from_str(&findings.out).unwrap();
    let wrong = findings
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["fine"] == false);
    let wrong: Vec<_> = wrong.map(|finding| &finding["check"]).collect();
    assert_eq!(wrong, ["journal"], "{findings}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_trouble() {
    let program = Program::new();
    for command in [
        &["list"][..],
        &["help"],
        &["run", "water", "--beds", "1", "--pause-ms", "0"],
    ] {
        let mut child = program.command(command).spawn().unwrap();
        drop(child.stdout.take());
        let said = Said::of(child.wait_with_output().unwrap());
        assert_eq!(said.code, Some(0), "{command:?}: {said:?}");
    }
}

#[test]
fn old_runs_are_forgotten_when_asked() {
    let program = Program::new();
    for _ in 0..3 {
        program.json(&["run", "water", "--beds", "1", "--pause-ms", "0"]);
    }
    assert_eq!(program.json(&["prune", "--keep", "1"])["runs"], 2);
    assert_eq!(program.json(&["runs"]).as_array().unwrap().len(), 1);
    assert_eq!(program.json(&["prune", "--older-than", "0s"])["runs"], 1);
    assert_eq!(program.json(&["runs"]).as_array().unwrap().len(), 0);
}

#[test]
fn what_flowkit_warns_of_is_printed_once_and_beside_what_was_asked_for() {
    let program = Program::new();
    let harvest = ["run", "harvest", "--plots", "north", "--year", "2026"];
    assert_eq!(
        program.say(&harvest).err.lines().count(),
        1,
        "there is nothing to warn of"
    );

    for file in ["journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm"] {
        fs::write(program.data_dir().join(file), [7; 10_000]).unwrap();
    }
    let said = program.say(&harvest);
    assert_eq!((said.code, said.out.lines().count()), (Some(0), 1), "{said:?}");
    let told = "error: the journal is damaged: it was set aside, and a new one begun";
    assert_eq!(said.err.matches(told).count(), 1, "{said:?}");
    assert!(said.err.contains("journal.sqlite.damaged-1"), "{said:?}");
    let doctor = program.say(&["doctor"]);
    assert_eq!(doctor.code, Some(0), "{doctor:?}");
    assert!(doctor.out.contains("look   set aside"), "{doctor:?}");

    fs::remove_dir_all(program.data_dir().join("cache")).unwrap();
    fs::write(program.data_dir().join("cache"), "").unwrap();
    let said = program.say(&harvest);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(
        said.err.matches("warning: there is no cache").count(),
        1,
        "{said:?}"
    );

    let failed = program.say(&["run", "import", "--rows", "10", "--warehouse", "open"]);
    assert_eq!(
        failed.err.matches("the warehouse is closed").count(),
        1,
        "the error is told once: {failed:?}"
    );
}

//! Several processes and one data directory: cancelled, refused, killed, asked to end.

use serde_json::Value;

use crate::program::{Program, Said, completed};

const LONG: [&str; 6] = ["run", "water", "--beds", "100000", "--pause-ms", "20"];

fn works(run: &Value) -> bool {
    run["state"] == "Running" && completed(run).len() >= 5
}

#[test]
fn a_run_is_cancelled_from_another_process_and_a_second_owner_is_refused() {
    let program = Program::new();
    // So that there is a cache.
    program.json(&["run", "harvest", "--plots", "north", "--year", "2026"]);
    let (child, run) = program.begin(&LONG, works);
    let id = run["id"].as_str().unwrap();
    for second in [&["run", "water", "--beds", "1"][..], &["prune"], &["resume", id]] {
        let refused = program.say(second);
        assert_eq!(refused.code, Some(3), "{refused:?}");
        let owner = format!("is in use by process {} since ", child.id());
        assert!(refused.err.contains(&owner), "{refused:?}");
    }
    for command in ["stats", "list", "clear", "verify"] {
        let refused = program.say(&["cache", command]);
        assert_eq!(refused.code, Some(3), "{command}: {refused:?}");
        let owner = format!("is in use by process {} since ", child.id());
        assert!(refused.err.contains(&owner), "{command}: {refused:?}");
    }
    let doctor = program.json(&["doctor"]);
    let owner = doctor
        .as_array()
        .unwrap()
        .iter()
        .find(|finding| finding["check"] == "owner");
    let detail = owner.unwrap()["detail"].as_str().unwrap();
    assert!(detail.contains(&child.id().to_string()), "{doctor}");
    assert_eq!(program.json(&["runs"])[0]["interrupted"], false);

    let cancelled = program.json(&["cancel", id]);
    assert_eq!(cancelled["state"], "Cancelled");
    let ended = Said::of(child.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let again = program.say(&["cancel", id]);
    assert_eq!(again.code, Some(2), "{again:?}");
    assert!(again.err.contains("has ended already"), "{again:?}");
}

#[test]
fn a_run_whose_process_was_killed_is_resumed_and_repeats_nothing() {
    let program = Program::new();
    let arguments = ["run", "water", "--beds", "30", "--pause-ms", "20"];
    let (mut child, run) = program.begin(&arguments, works);
    child.kill().unwrap();
    child.wait().unwrap();
    let left = program.json(&["show", "last"]);
    assert_eq!(left["id"], run["id"]);
    assert_eq!(
        (&left["interrupted"], &left["state"]),
        (&true.into(), &"Crashed".into())
    );
    let listed = program.say(&["runs"]).out;
    assert!(
        listed.contains(&format!("its process {} is gone", child.id())),
        "{listed}"
    );
    let cancelled = program.say(&["cancel", "last"]);
    assert_eq!(cancelled.code, Some(1), "{cancelled:?}");
    let gone = format!("its process {} is gone: `resume ", child.id());
    assert!(
        cancelled.err.contains("nothing runs") && cancelled.err.contains(&gone),
        "{cancelled:?}"
    );

    // What somebody asked of the process that is gone is not asked of the next one.
    let requests = program.data_dir().join("requests");
    let request = requests.join(format!("cancel-{}", run["id"].as_str().unwrap()));
    std::fs::create_dir_all(&requests).unwrap();
    std::fs::write(&request, "").unwrap();
    let resumed = program.json(&["resume", "last"]);
    assert_eq!((&resumed["id"], &resumed["value"]), (&run["id"], &30.into()));
    let after = program.json(&["show", "last"]);
    assert_eq!(after["life"], 2);
    let (before, after) = (completed(&left), completed(&after));
    assert_eq!(after.len(), 30);
    for (then, now) in before.iter().zip(&after) {
        assert_eq!(then["started"], now["started"], "it did not run again");
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_and_sigterm_cancel_what_runs() {
    for signal in ["-INT", "-TERM"] {
        let program = Program::new();
        let (child, _) = program.begin(&LONG, works);
        let sent = std::process::Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
        let ended = Said::of(child.wait_with_output().unwrap());
        assert_eq!(ended.code, Some(1), "{signal}: {ended:?}");
        assert!(ended.err.contains("Cancelled"), "{signal}: {ended:?}");
        assert_eq!(program.json(&["show", "last"])["state"], "Cancelled");
    }
}

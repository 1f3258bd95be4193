//! Secrets that are given from outside: nothing that is printed or kept has them.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use crate::program::{Program, Said};

const SECRET: &str = "hunter-2-of-the-north";

fn found_in(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(found_in(&path));
        } else {
            let bytes = fs::read(&path).unwrap();
            let has = bytes
                .windows(SECRET.len())
                .any(|window| window == SECRET.as_bytes());
            found.extend(has.then_some(path));
        }
    }
    found
}

fn tell(program: &Program, how: &[&str], environment: Option<&str>, input: Option<&str>) -> Said {
    let arguments = [&["run", "tell", "--news", "rain"][..], how].concat();
    let mut command = program.command(&arguments);
    if let Some(secret) = environment {
        command.env("NEIGHBOURS", secret);
    }
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Who needs nothing of it may have ended before it is written.
    drop(stdin.write_all(input.unwrap_or_default().as_bytes()));
    drop(stdin);
    Said::of(child.wait_with_output().unwrap())
}

#[test]
fn a_secret_is_given_where_nobody_sees_it_and_is_shown_and_kept_nowhere() {
    let program = Program::new();
    fs::write(program.path("token"), format!("{SECRET}\n")).unwrap();
    let (environment, input) = (Some(SECRET), Some(SECRET));
    let mut said = Vec::new();
    for (how, environment, input) in [
        (["--token-env", "NEIGHBOURS"], environment, None),
        (["--token-file", "token"], None, None),
        (["--token-file", "-"], None, input),
    ] {
        let told = tell(&program, &how, environment, input);
        assert_eq!(told.code, Some(0), "{how:?}: {told:?}");
        assert_eq!(
            (told.out.as_str(), told.err.lines().count()),
            ("4 letters were heard\n", 1),
            "{told:?}"
        );
        said.push(told);
    }
    let typed = tell(&program, &["--token", SECRET], None, None);
    assert_eq!(typed.code, Some(0), "{typed:?}");
    assert!(
        typed
            .err
            .starts_with("warning: `--token` shows the secret to whoever lists processes"),
        "{typed:?}"
    );
    said.push(typed);

    let refused = tell(&program, &["--token-env", "NEIGHBOURS"], Some("short"), None);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(!refused.err.contains("short"), "{refused:?}");

    for command in [
        &["list"][..],
        &["runs"],
        &["show", "last"],
        &["logs", "last"],
        &["graph", "last"],
        &["timeline", "last"],
        &["explain", "last", "hear"],
        &["doctor"],
    ] {
        for json in [&[][..], &["--json"]] {
            said.push(program.say(&[command, json].concat()));
        }
    }
    for said in &said {
        assert_eq!(said.code, Some(0), "{said:?}");
        assert!(
            !said.out.contains(SECRET) && !said.err.contains(SECRET),
            "{said:?}"
        );
    }
    assert_eq!(found_in(&program.data_dir()), [] as [&Path; 0]);
    assert_eq!(
        found_in(&program.path("")),
        [program.path("token")],
        "where it was written before"
    );
}

#[test]
fn how_a_secret_is_given_wrong_is_told_without_the_secret() {
    let program = Program::new();
    fs::write(program.path("bytes"), [0xff, 0xfe]).unwrap();
    for (how, reason) in [
        (&[][..], "--token-env"),
        (
            &["--token-env", "NOBODY"],
            "there is no environment variable `NOBODY`",
        ),
        (&["--token-file", "absent"], "`absent` cannot be read"),
        (&["--token-file", "bytes"], "`bytes` cannot be read"),
        (
            &["--token", SECRET, "--token-file", "token"],
            "cannot be used with",
        ),
        (&["--tokn", SECRET], "--tokn"),
        (&[&format!("--token-en={SECRET}")], "--token-en"),
    ] {
        let said = tell(&program, how, None, None);
        assert_eq!(said.code, Some(2), "{how:?}: {said:?}");
        assert!(said.err.contains(reason), "{how:?}: {said:?}");
        assert!(!said.err.contains(SECRET), "{how:?}: {said:?}");
    }
    let help = program.say(&["run", "tell", "--help"]);
    for option in [
        "--token <SECRET>",
        "--token-env <VARIABLE>",
        "--token-file <FILE>",
    ] {
        assert!(help.out.contains(option), "{help:?}");
    }
    let listed = program.say(&["list"]);
    assert!(listed.out.contains("--token SECRET"), "{listed:?}");
    let schema = &program.json(&["list"])[2]["parameters"]["properties"]["token"];
    assert_eq!(
        *schema,
        serde_json::json!({ "type": "string", "writeOnly": true })
    );
}

//! Fan-outs in what is shown and drawn, and forms that do not go together.

use flowkit::cli::Exit;
use flowkit::prelude::*;

use crate::said::{json, say_in};

#[task(cache)]
async fn square(n: u32) -> Result<u32> {
    if n == 3 {
        return Err("three is refused".into());
    }
    Ok(n * n)
}

#[flow]
async fn squares(numbers: Vec<u32>) -> Result<u32> {
    let outcomes = numbers.into_iter().map(square).submit_all().outcomes().await;
    Ok(outcomes.into_iter().flatten().sum())
}

#[tokio::test]
async fn a_fan_out_says_how_many_of_its_items_ended_failed_and_were_cached() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    json(directory, &["run", "squares", "--numbers", "[1, 2]"]).await;
    say_in(directory, &["run", "squares", "--numbers", "[1, 2, 3, 4]"]).await;

    let said = say_in(directory, &["show", "last"]).await;
    assert!(
        said.out.contains("4/4 finished, 1 failed, 2 cached"),
        "{}",
        said.out
    );
    let items = &json(directory, &["show", "last"]).await["tasks"][0]["items"];
    let expected = serde_json::json!({
        "total": 4, "finished": 4, "failed": 1, "cached": 2, "states": { "Completed": 1, "Cached": 2, "Failed": 1 },
    });
    assert_eq!(*items, expected);
    for format in ["mermaid", "dot", "svg", "text", "json"] {
        let said = say_in(directory, &["graph", "last", "--format", format]).await;
        assert_eq!(said.exit, Exit::Completed, "{said:?}");
        if format != "json" {
            assert!(said.out.contains("square × 4"), "{}", said.out);
            assert!(said.out.contains("1 failed, 2 cached"), "{}", said.out);
        }
    }
}

#[tokio::test]
async fn json_and_another_form_are_not_asked_for_together() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    json(directory, &["run", "squares", "--numbers", "[1, 2]"]).await;
    for command in ["graph", "timeline"] {
        let said = say_in(directory, &[command, "last", "--format", "svg", "--json"]).await;
        assert_eq!((said.exit, said.out.as_str()), (Exit::Usage, ""), "{said:?}");
        assert!(said.err.contains("`--json` and `--format svg`"), "{said:?}");
        let both = json(directory, &[command, "last", "--format", "json"]).await;
        assert_eq!(json(directory, &[command, "last"]).await, both);

        let file = directory.join("drawn.json");
        let to_file = ["--json", "--output", file.to_str().unwrap()];
        let said = say_in(directory, &[&[command, "last"][..], &to_file].concat()).await;
        assert_eq!((said.exit, said.out.as_str()), (Exit::Completed, ""), "{said:?}");
        let written: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        assert_eq!(written, both);
    }
}

#[task]
async fn add(sum: u64, n: u64) -> u64 {
    sum + n
}

#[flow]
async fn adding(numbers: u64) -> Result<u64> {
    let mut sum = add(0u64, 0u64).submit();
    for n in 1..numbers {
        sum = add(&sum, n).submit();
    }
    Ok(sum.await?)
}

#[tokio::test]
async fn a_run_of_a_thousand_tasks_is_drawn_as_svg_without_a_command_line() {
    let runtime = Runtime::builder().build().await.unwrap();
    let run = runtime.run(adding(1_000u64)).await;
    let svg = run.graph().to_svg();
    assert_eq!(
        (svg.matches("<rect").count(), svg.matches("marker-end").count()),
        (1_000, 999)
    );
    assert!(
        svg.contains("<title>adding</title>") && svg.contains(">Completed<"),
        "{}",
        &svg[..400]
    );
}

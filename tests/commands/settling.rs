//! Effects of which nobody but an operator knows whether they happened.

use flowkit::cli::Exit;
use flowkit::prelude::*;

use crate::said::{json, say_in};

/// Rings, and takes too long to say whether anybody heard it.
#[task(effect, timeout = "5ms", run_name = "ring {door}")]
async fn ring(door: u32) -> Result<String> {
    std::future::pending::<()>().await;
    Ok(format!("door {door} opened"))
}

#[flow]
async fn ring_doors() -> Result<Vec<String>> {
    let (one, other) = (ring(1u32).submit(), ring(2u32).submit());
    // Both, whatever becomes of the first: what is stopped before it rings is not unknown.
    let (one, other) = (one.await, other.await);
    Ok(vec![one?, other?])
}

#[tokio::test]
async fn an_operator_says_how_effects_went() {
    let directory = tempfile::tempdir().unwrap();
    let say = async |arguments: &[&str]| say_in(directory.path(), arguments).await;
    assert_eq!(say(&["run", "ring_doors"]).await.exit, Exit::Failed);
    let shown = say(&["show", "last"]).await;
    assert!(
        shown
            .out
            .contains("It is not known whether every effect happened"),
        "{}",
        shown.out
    );
    let listed = say(&["effects", "last"]).await;
    assert!(
        listed.out.contains("ring 1") && listed.out.contains("ring 2"),
        "{}",
        listed.out
    );
    assert!(listed.err.contains("--did-not-happen TASK"), "{}", listed.err);

    let refused = say(&["resume", "last", "--happened", "ring 1"]).await;
    assert_eq!(refused.exit, Exit::Usage);
    assert!(refused.err.contains("type TASK=JSON"), "{}", refused.err);
    let refused = say(&["resume", "last", "--happened", "ring 1=heard"]).await;
    assert!(refused.err.contains("a text stands in quotes"), "{}", refused.err);
    let refused = say(&["resume", "last", "--did-not-happen", "ring"]).await;
    assert_eq!(refused.exit, Exit::Usage);
    assert!(refused.err.contains("2 effects `ring`"), "{}", refused.err);
    let refused = say(&["resume", "last", "--did-not-happen", "knock"]).await;
    assert!(refused.err.contains("no effect `knock`"), "{}", refused.err);

    let told = [
        "--happened",
        r#"ring 1="heard""#,
        "--happened",
        r#"ring 2="also heard""#,
    ];
    let resumed = json(directory.path(), &[&["resume", "last"], &told[..]].concat()).await;
    assert_eq!(resumed["value"], serde_json::json!(["heard", "also heard"]));
    assert_eq!(
        json(directory.path(), &["effects", "last"]).await,
        serde_json::json!([])
    );
}

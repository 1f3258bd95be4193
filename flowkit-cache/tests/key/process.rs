//! A key is the same in every process, though hash maps and sets iterate differently in each.

use std::collections::{HashMap, HashSet};
use std::process::Command;

use flowkit_cache::key_of;

const ASKED: &str = "FLOWKIT_CACHE_TEST_PRINTS_ITS_KEYS";
const MARK: &str = "keys in this process:";

fn keys() -> String {
    let set: HashSet<String> = (0..50).map(|n| format!("plant {n}")).collect();
    let map: HashMap<u32, HashSet<String>> = (0..50).map(|n| (n, set.clone())).collect();
    let bread: hashbrown::HashMap<&str, hashbrown::HashSet<u32>> =
        [("a", (0..50).collect()), ("b", (50..99).collect())].into();
    format!(
        "{} {} {}",
        key_of(&set).unwrap(),
        key_of(&map).unwrap(),
        key_of(&(bread, 0.5, "text")).unwrap()
    )
}

#[test]
fn the_keys_of_hash_sets_and_maps_are_the_same_in_every_process() {
    if std::env::var_os(ASKED).is_some() {
        println!("{MARK}{}", keys());
        return;
    }
    for _ in 0..3 {
        let child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "process::the_keys_of_hash_sets_and_maps_are_the_same_in_every_process",
                "--nocapture",
            ])
            .env(ASKED, "1")
            .output()
            .unwrap();
        assert!(child.status.success());
        let output = String::from_utf8(child.stdout).unwrap();
        let (_, printed) = output
            .split_once(MARK)
            .expect("the other process prints its keys");
        assert_eq!(printed.lines().next(), Some(keys().as_str()));
    }
}

//! Waiting for something outside.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use flowkit::{Clock, Runtime, TokioClock, flow, task};
use flowkit_etl::sensor::{Condition, Files, Predicate, Sensor, SqlCondition, TimeOfDay};
use flowkit_etl::{Error, ErrorKind, Result, Value};
use tokio::time::Instant;

use crate::databases::servers::{Kind, Place, on, on_each};

const HOUR: Duration = Duration::from_secs(3600);

/// Answers the how-manieth time it is asked.
fn at_the(time: u32) -> (Predicate<u32>, Arc<std::sync::Mutex<Vec<Duration>>>) {
    let (asked, began) = (Arc::new(std::sync::Mutex::new(Vec::new())), Instant::now());
    let asking = asked.clone();
    let predicate = Predicate::new("the answer", move || {
        let mut asked = asking.lock().unwrap();
        asked.push(began.elapsed());
        let count = asked.len() as u32;
        async move { Ok((count >= time).then_some(count)) }
    });
    (predicate, asked)
}

fn seconds(asked: &std::sync::Mutex<Vec<Duration>>) -> Vec<u64> {
    asked.lock().unwrap().iter().map(Duration::as_secs).collect()
}

#[tokio::test(start_paused = true)]
async fn it_looks_at_its_interval_until_the_condition_is_met() {
    let (predicate, asked) = at_the(4);
    let met = Sensor::new(predicate)
        .poke_interval(Duration::from_secs(10))
        .wait()
        .await
        .unwrap();
    assert_eq!((met, seconds(&asked)), (4, vec![0, 10, 20, 30]));
    let (predicate, asked) = at_the(6);
    let sensor = Sensor::new(predicate)
        .poke_interval(Duration::from_secs(10))
        .backoff(2.0, Duration::from_secs(60));
    sensor.wait().await.unwrap();
    assert_eq!(seconds(&asked), [0, 10, 30, 70, 130, 190]);
    // Without an interval it has a moment's rest all the same.
    let (predicate, asked) = at_the(4);
    let sensor = Sensor::new(predicate).poke_interval(Duration::ZERO);
    sensor.wait().await.unwrap();
    let asked: Vec<_> = asked.lock().unwrap().iter().map(Duration::as_millis).collect();
    assert_eq!(asked, [0, 100, 200, 300]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_met_in_time_fails_or_is_skipped() {
    let sensor = || {
        let (predicate, asked) = at_the(100);
        let sensor = Sensor::new(predicate)
            .poke_interval(Duration::from_secs(40))
            .timeout(Duration::from_secs(100));
        (sensor, asked)
    };
    let (hard, asked) = sensor();
    let error = hard.wait().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::TimedOut, "the answer was not met within 100s")
    );
    assert_eq!(seconds(&asked), [0, 40, 80, 100], "it looks once more at the end");
    assert_eq!(sensor().0.wait_or_skip().await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn what_may_go_away_by_itself_is_waited_out_and_anything_else_ends_the_wait() {
    let failing = |kind: ErrorKind| {
        let mut asked = 0;
        Predicate::new("the answer", move || {
            asked += 1;
            let answer = if asked < 3 {
                Err(Error::new(kind, "no answer"))
            } else {
                Ok(Some(asked))
            };
            async move { answer }
        })
    };
    assert_eq!(
        Sensor::new(failing(ErrorKind::Unavailable)).wait().await.unwrap(),
        3
    );
    assert_eq!(
        Sensor::new(failing(ErrorKind::Access))
            .wait()
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::Access
    );
    // One that hangs is one that may go away.
    let mut asked = 0;
    let hanging = Predicate::new("the answer", move || {
        asked += 1;
        let hangs = asked == 1;
        async move {
            if hangs {
                std::future::pending::<()>().await;
            }
            Ok(Some(()))
        }
    });
    Sensor::new(hanging).wait().await.unwrap();
    let dead: Predicate<()> = Predicate::new("the answer", || async {
        Err(Error::new(ErrorKind::Unavailable, "no answer"))
    });
    let error = Sensor::new(dead).timeout(HOUR).wait().await.unwrap_err();
    assert!(
        format!("{error:?}").ends_with("caused by: no answer"),
        "{error:?}"
    );
}

#[task(limit = "one")]
async fn waits(opened: Arc<AtomicU32>) -> Result<u32, Error> {
    let look = move || {
        let opened = opened.load(Ordering::SeqCst);
        async move { Ok((opened > 0).then_some(opened)) }
    };
    Sensor::new(Predicate::new("the door", look))
        .poke_interval(Duration::from_secs(1))
        .wait()
        .await
}

#[task(limit = "one")]
async fn opens(door: Arc<AtomicU32>) {
    door.fetch_add(1, Ordering::SeqCst);
}

#[flow]
async fn waits_for_what_needs_the_same_slot(sensors: u32) -> flowkit::Result<u32> {
    let door = Arc::new(AtomicU32::new(0));
    let waiting: Vec<_> = (0..sensors).map(|_| waits(door.clone()).submit()).collect();
    let first = waiting[0].clone();
    assert!(!first.wait(Duration::from_secs(5)).await.is_terminal());
    opens(door.clone()).await?;
    let mut met = 0;
    for waiting in waiting {
        met += waiting.await?;
    }
    Ok(met)
}

#[tokio::test(start_paused = true)]
async fn a_hundred_that_wait_hold_no_slot() {
    let runtime = Runtime::builder().limit("one", 1).build().await.unwrap();
    let run = runtime.run(waits_for_what_needs_the_same_slot(100u32)).await;
    assert_eq!(*run.result().unwrap(), 100);
}

#[tokio::test]
async fn a_file_that_appears_is_told_before_the_interval_is_over() {
    let directory = tempfile::tempdir().unwrap();
    let mut files = Files::matching(directory.path().join("*.csv"));
    assert_eq!(files.poke().await.unwrap(), None);
    let file = directory.path().join("plants.csv");
    fs::write(directory.path().join(".hidden.csv"), "").unwrap();
    fs::write(&file, "plant\n").unwrap();
    let met = Sensor::new(files).poke_interval(HOUR);
    assert_eq!(met.wait().await.unwrap(), [file]);
    // One that begins to wait before the file is there.
    let waiting = tokio::spawn(
        Sensor::new(Files::matching(directory.path().join("later/*.txt")))
            .poke_interval(HOUR)
            .wait(),
    );
    let later = directory.path().join("later");
    fs::create_dir(&later).unwrap();
    let mut number = 0;
    while !waiting.is_finished() {
        number += 1;
        fs::write(later.join(format!("{number}.txt")), "").unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(waiting.await.unwrap().unwrap()[0].starts_with(&later));
}

#[tokio::test]
async fn a_file_in_directories_that_are_made_with_it_is_told_too() {
    let directory = tempfile::tempdir().unwrap();
    let incoming = directory.path().join("share/plants/incoming");
    let mut files = Files::matching(incoming.join("*.csv"));
    assert_eq!(files.poke().await.unwrap(), None);
    let waiting = tokio::spawn(Sensor::new(files).poke_interval(HOUR).wait());
    fs::create_dir_all(&incoming).unwrap();
    fs::write(incoming.join("plants.csv"), "plant\n").unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), [incoming.join("plants.csv")]);
    // Those that went and came back are watched again.
    let mut files = Files::matching(incoming.join("*.txt"));
    assert_eq!(files.poke().await.unwrap(), None);
    let waiting = tokio::spawn(Sensor::new(files).poke_interval(HOUR).wait());
    fs::remove_dir_all(directory.path().join("share")).unwrap();
    fs::create_dir_all(&incoming).unwrap();
    fs::write(incoming.join("plants.txt"), "plant\n").unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), [incoming.join("plants.txt")]);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_still_written_is_not_met() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plants.csv");
    let sensor = Sensor::new(Files::matching(&path).stable_for(Duration::from_secs(60)))
        .poke_interval(Duration::from_secs(20));
    let writing = async {
        let mut file = fs::File::create(&path).unwrap();
        for _ in 0..10 {
            file.write_all(b"a row\n").unwrap();
            tokio::time::sleep(Duration::from_secs(30)).await;
        }
        fs::metadata(&path).unwrap().len()
    };
    let watching = async {
        let files = sensor.wait().await.unwrap();
        (files, fs::metadata(&path).unwrap().len())
    };
    let (written, (files, met)) = tokio::join!(writing, watching);
    assert_eq!((files, met), (vec![path.clone()], written));
}

#[tokio::test]
async fn files_can_be_asked_to_be_many_and_new() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, age: Duration| -> PathBuf {
        let path = directory.path().join(name);
        let file = fs::File::create(&path).unwrap();
        file.set_modified(TokioClock::starting_at(flowkit::SystemClock.now()).now() - age)
            .unwrap();
        path
    };
    write("old.csv", 5 * HOUR);
    let new = write("new.csv", Duration::ZERO);
    let since = flowkit::SystemClock.now() - HOUR;
    let pattern = directory.path().join("*.csv");
    let mut files = Files::matching(&pattern).modified_since(since);
    assert_eq!(files.poke().await.unwrap(), Some(vec![new]));
    let mut files = Files::matching(&pattern).at_least(3);
    assert_eq!(files.poke().await.unwrap(), None);
    write("third.csv", Duration::ZERO);
    assert_eq!(files.poke().await.unwrap().unwrap().len(), 3);
    let error = Files::matching(directory.path()).poke().await.unwrap_err();
    assert!(error.to_string().contains("name its files"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_time_of_the_day_is_waited_for_to_the_second() {
    let morning: jiff::Timestamp = "2026-03-29T00:30:00Z".parse().unwrap();
    let began = Instant::now();
    let clock = TokioClock::starting_at(morning.into());
    // At two o'clock the clocks go forward to three in Paris, an hour ahead of UTC until then.
    let time = TimeOfDay::at(2, 30)
        .unwrap()
        .zone("Europe/Paris")
        .unwrap()
        .clock(clock);
    let met = Sensor::new(time).poke_interval(12 * HOUR).wait().await.unwrap();
    let waited = began.elapsed().as_secs();
    assert_eq!(waited, 1800, "until right after the gap");
    let three: jiff::Timestamp = "2026-03-29T01:00:00Z".parse().unwrap();
    assert_eq!(met, SystemTime::from(three));
    // When they go back, half past two is over the first time, and stays so.
    let again: jiff::Timestamp = "2026-10-25T01:10:00Z".parse().unwrap();
    let mut time = TimeOfDay::at(2, 30)
        .unwrap()
        .zone("Europe/Paris")
        .unwrap()
        .clock(TokioClock::starting_at(again.into()));
    assert!(time.poke().await.unwrap().is_some());
    let began = Instant::now();
    let time = TimeOfDay::at(0, 15).unwrap().zone("UTC").unwrap().clock(clock);
    Sensor::new(time).wait().await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO, "that was earlier today");
    assert_eq!(TimeOfDay::at(25, 0).unwrap_err().kind(), ErrorKind::Options);
    assert_eq!(
        TimeOfDay::at(2, 0)
            .unwrap()
            .zone("Mars/Olympus")
            .unwrap_err()
            .kind(),
        ErrorKind::Options
    );
}

#[tokio::test]
async fn a_query_is_asked_until_its_first_value_says_something() {
    on_each(|Place { kind, database, .. }| async move {
        database
            .execute("CREATE TABLE arrivals (day VARCHAR(10), count INTEGER)", &[])
            .await
            .unwrap();
        let place = if kind == Kind::MySql { "?" } else { "$1" };
        let query = format!("SELECT count FROM arrivals WHERE day = {place}");
        let mut condition = SqlCondition::new(&database, query).bind("monday");
        assert_eq!(condition.poke().await.unwrap(), None, "{kind:?}");
        database
            .execute("INSERT INTO arrivals VALUES ('monday', 0)", &[])
            .await
            .unwrap();
        assert_eq!(condition.poke().await.unwrap(), None, "{kind:?}");
        let sensor = Sensor::new(condition).poke_interval(Duration::from_millis(10));
        let insert = async {
            database
                .execute("UPDATE arrivals SET count = 7", &[])
                .await
                .unwrap()
        };
        let (met, _) = tokio::join!(sensor.wait(), insert);
        assert_eq!(met.unwrap(), Value::Integer(7), "{kind:?}");
        let error = SqlCondition::new(&database, "SELECT 1 FROM absent")
            .poke()
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{kind:?}");
    })
    .await;
}

#[tokio::test]
async fn an_answer_says_something_whatever_type_it_has() {
    on_each(|Place { kind, database, .. }| async move {
        let columns = "day DATE, count BIGINT, weight NUMERIC(10, 2), at TIME";
        database
            .execute(&format!("CREATE TABLE arrivals ({columns})"), &[])
            .await
            .unwrap();
        let answer = async |query: &str| {
            let mut condition = SqlCondition::new(&database, query);
            condition.poke().await.unwrap()
        };
        let insert = async |values: &str| {
            let statement = format!("INSERT INTO arrivals VALUES {values}");
            database.execute(&statement, &[]).await.unwrap();
        };
        let asked = [
            "SELECT SUM(count) FROM arrivals",
            "SELECT SUM(weight) FROM arrivals",
            "SELECT weight FROM arrivals",
        ];
        for query in asked {
            assert_eq!(answer(query).await, None, "{kind:?}: {query}");
        }
        insert("('2013-02-04', 0, 0, '00:00:00')").await;
        for query in asked {
            assert_eq!(answer(query).await, None, "{kind:?}: {query}");
        }
        let midnight = answer("SELECT at FROM arrivals").await;
        assert_eq!(midnight, Some(Value::from("00:00:00")), "{kind:?}");
        insert("('2013-02-05', 7, 2.25, '12:30:00')").await;
        for query in asked
            .iter()
            .take(2)
            .chain(&["SELECT weight FROM arrivals WHERE count = 7"])
        {
            let text = match answer(query).await {
                Some(Value::Text(text)) => text,
                Some(Value::Integer(number)) => number.to_string(),
                Some(Value::Number(number)) => number.to_string(),
                other => panic!("{kind:?}: {query}: {other:?}"),
            };
            assert!(text == "7" || text == "2.25", "{kind:?}: {query}: {text}");
        }
    })
    .await;
}

#[tokio::test]
async fn only_the_first_row_of_an_answer_is_read() {
    on(Kind::Sqlite, |Place { database, .. }| async move {
        database
            .execute("CREATE TABLE arrivals (count INTEGER)", &[])
            .await
            .unwrap();
        // The second row cannot be had.
        let query = "SELECT 7 UNION ALL SELECT abs(-9223372036854775807 - 1)";
        let mut condition = SqlCondition::new(&database, query);
        assert_eq!(condition.poke().await.unwrap(), Some(Value::Integer(7)));
    })
    .await;
}

#[tokio::test]
async fn postgresql_tells_when_it_is_worth_to_look() {
    on(Kind::Postgres, |Place { database, .. }| async move {
        database
            .execute("CREATE TABLE arrivals (count INTEGER)", &[])
            .await
            .unwrap();
        let mut condition =
            SqlCondition::new(&database, "SELECT SUM(count)::int8 FROM arrivals").listen("arrivals");
        assert_eq!(condition.poke().await.unwrap(), None);
        let tell = async {
            database
                .execute("INSERT INTO arrivals VALUES (3)", &[])
                .await
                .unwrap();
            database.execute("NOTIFY arrivals", &[]).await.unwrap();
        };
        let (met, ()) = tokio::join!(Sensor::new(condition).poke_interval(HOUR).wait(), tell);
        assert_eq!(met.unwrap(), Value::Integer(3));
    })
    .await;
    on(Kind::Sqlite, |Place { database, .. }| async move {
        let error = SqlCondition::new(&database, "SELECT 1")
            .listen("arrivals")
            .poke()
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Options);
    })
    .await;
}

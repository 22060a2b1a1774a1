//! Keys, records and parameters as they are typed.

use std::time::SystemTime;

use uuid::Uuid;

use super::*;

#[derive(Schema)]
struct Reading {
    #[schema(primary_key)]
    id: Uuid,
    station: u8,
    at: SystemTime,
    raw: Vec<u8>,
    share: f64,
}

const ID: &str = "67e55044-10b1-426f-9247-bb680e5fe0c8";

#[derive(Schema)]
struct Sum {
    #[schema(primary_key)]
    id: i64,
    total: i128,
    parts: Vec<u128>,
    share: f32,
}

#[tokio::test]
async fn wide_integers_go_round_and_no_number_becomes_another() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sums.db");
    let url = format!("sqlite:{}", file.display());
    let run = async |words: &[&str]| {
        let words = ["manage", "--redis-url", "", "--database-url", &url].into_iter().chain(words.iter().copied()).map(OsString::from);
        run(Registry::new().schema::<Sum>(), &arguments::read(words).unwrap()).await
    };
    assert_eq!(run(&["migrate"]).await.0, 0);
    let sum = |id: &str| format!(r#"{{"id":{id},"total":{},"parts":[18446744073709551616,{}],"share":0.5}}"#, i128::MIN, u128::MAX);
    let written = run(&["set", "sum", &format!(" [{},\n{}] {}", sum("1"), sum("2"), sum("3"))]).await;
    assert_eq!(written, (0, "3 written\n".to_owned(), String::new()));
    let (_, shown, errors) = run(&["get", "sum", "1"]).await;
    assert!(shown.starts_with("{\n  \"id\": 1,\n  \"total\": -170141183460469231731687303715884105728,\n"), "{shown}{errors}");
    assert_eq!(run(&["set", "sum", &shown]).await.0, 0, "what is shown is written again");
    let (_, answer, errors) = run(&["get", "sum", "1", "--json"]).await;
    assert!(answer.starts_with("{\"version\":") && answer.ends_with(&format!(",\"record\":{}}}\n", sum("1"))), "{answer}{errors}");
    for is_json in [&[][..], &["--json"]] {
        let (_, found, errors) = run(&[&["search", "sum", "id = 2"], is_json].concat()).await;
        assert_eq!(found, sum("2") + "\n", "{errors}");
    }

    let (code, answers, errors) = run(&["set", "sum", &sum("4").replace("0.5", "1e39")]).await;
    assert_eq!((code, answers.as_str()), (2, ""), "{errors}");
    assert!(errors.contains("column `share`: `1e39` is refused: the number does not fit `f32`"), "{errors}");
    rusqlite::Connection::open(&file).unwrap().execute_batch("UPDATE sum SET share = -1e39 WHERE id = 1").unwrap();
    let (code, answers, errors) = run(&["get", "sum", "1"]).await;
    assert!(code == 1 && answers.is_empty() && errors.contains("does not fit `f32`"), "{answers}{errors}");
}

#[tokio::test]
async fn what_is_typed_is_read_or_refused_with_what_is_wanted() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", directory.path().join("readings.db").display());
    let run = async |words: &[&str]| {
        let words = ["manage", "--redis-url", "", "--database-url", &url].into_iter().chain(words.iter().copied()).map(OsString::from);
        run(Registry::new().schema::<Reading>(), &arguments::read(words).unwrap()).await
    };
    let (code, _, steps) = run(&["migrate"]).await;
    assert!(code == 0 && steps.contains("migrating: make the table `reading`, schema reading, step 2, of 2"), "{steps}");

    let of_station = |station: &str| {
        format!(r#"{{"id": "{ID}", "station": {station}, "at": "2026-11-22T10:30:00Z", "raw": "\\x00ff", "share": "inf"}}"#)
    };
    let (code, _, errors) = run(&["set", "reading", &of_station("7")]).await;
    assert_eq!(code, 0, "{errors}");
    for (words, told) in [
        (&["get", "reading", "abc"][..], "in schema `reading`, column `id`: `abc` is not a UUID such as"),
        (&["delete", "reading", ID, "abc"], "`abc` is not a UUID such as"),
        (&["invalidate", "reading", "abc"], "`abc` is not a UUID such as"),
        (&["set", "reading", &of_station("256")], "column `station`: `256` is refused: the number does not fit `u8` (0 to 255)"),
        (&["count", "reading", "at > $1", "-p", "yesterday"], "`yesterday` is none of the types"),
    ] {
        let (code, answers, errors) = run(words).await;
        assert_eq!((code, answers.as_str()), (2, ""), "{words:?}: {errors}");
        assert!(errors.contains(told) && !errors.contains("mend the row"), "{words:?}: {errors}");
    }
    let (code, answers, errors) = run(&["get", "reading", &format!("{{{}}}", ID.to_uppercase())]).await;
    assert!(code == 0 && answers.contains(ID), "{answers}{errors}");
    let simple = ID.replace('-', "");
    for (condition, parameter) in [
        ("id = $1", simple.as_str()),
        ("at > $1", "2026-11-22T11:29:59+01:00"),
        ("raw = $1", "\\x00ff"),
        ("share = $1", "inf"),
        ("share > $1", "-inf"),
        ("at < $1", "+012000-01-01T00:00:00Z"),
    ] {
        let (_, answers, errors) = run(&["count", "reading", condition, "-p", parameter]).await;
        assert_eq!(answers, "1\n", "{condition} {parameter}: {errors}");
    }
}

/// What the command line gives is not blamed on the environment.
#[tokio::test]
async fn a_server_that_the_command_line_names_wrongly_is_its_own_fault() {
    for (database, redis, told) in [
        ("mysql://x", "", "the option --database-url begins neither with `postgres://` nor with `sqlite:`"),
        ("localhost", "", "the option --database-url has no scheme"),
        ("sqlite:/nowhere/x.db", "localhost", "the option --redis-url has no scheme"),
    ] {
        let id = [ID];
        for task in [&["get", "reading"][..], &["doctor"], &["migrate"]] {
            let key: &[&str] = if task[0] == "get" { &id } else { &[] };
            let words = [&["manage", "--redis-url", redis, "--database-url", database], task, key].concat();
            let (code, answers, errors) =
                run(Registry::new().schema::<Reading>(), &arguments::read(words.into_iter().map(OsString::from)).unwrap()).await;
            assert_eq!((code, answers.as_str()), (2, ""), "{task:?}: {errors}");
            assert!(errors.contains(told), "{task:?}: {errors}");
        }
    }
}

//! Commands as they are typed, on SQLite.

use std::ffi::OsString;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use serde_json::{Value as Json, json};
use strata::prelude::*;
use strata::sqlite::SqliteTier;
use tempfile::TempDir;

use crate::output::Output;
use crate::{Registry, arguments, commands};

#[derive(Schema)]
struct Player {
    #[schema(primary_key)]
    id: String,
    #[schema(unique)]
    username: String,
    #[schema(index, default = 1)]
    level: i64,
    #[schema(omit_cache)]
    notes: Deferred<String>,
}

#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Printed {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// A database, and the commands on it.
struct Bench {
    directory: TempDir,
}

impl Bench {
    async fn new() -> Self {
        let bench = Bench { directory: tempfile::tempdir().unwrap() };
        let store = Store::builder().tier(SqliteTier::open(bench.path()).await.unwrap()).schema::<Player>().build().await.unwrap();
        store.close().await.unwrap();
        bench
    }

    fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("game.db")
    }

    /// The exit code, what was printed, and what went wrong.
    async fn run(&self, words: &[&str]) -> (u8, String, String) {
        let url = format!("sqlite:{}", self.path().display());
        let words = ["manage", "--redis-url", "", "--database-url", &url].into_iter().chain(words.iter().copied()).map(OsString::from);
        let arguments = arguments::read(words).unwrap();
        let (answers, errors) = (Printed::default(), Printed::default());
        let output = Output::new(arguments.is_json, answers.clone(), errors.clone());
        let code = commands::run(&Registry::new().schema::<Player>(), &arguments, &output).await;
        (code, answers.text(), errors.text())
    }

    async fn json(&self, words: &[&str]) -> Vec<Json> {
        let (code, answers, errors) = self.run(&[words, &["--json"]].concat()).await;
        assert_eq!(code, 0, "{errors}");
        answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[tokio::test]
async fn records_are_written_read_found_and_deleted() {
    let bench = Bench::new().await;
    let records = r#"[{"id": "a", "username": "anna", "notes": "first"}, {"id": "b", "username": "bob", "level": 7, "notes": ""}]"#;
    assert_eq!(bench.json(&["set", "player", records]).await[0]["written"], 2);
    let anna = json!({"id": "a", "username": "anna", "level": 1, "notes": "first"});
    assert_eq!(bench.json(&["get", "player", "a"]).await[0]["record"], anna);
    let found = bench.json(&["search", "player", "level > $1", "-p", "0", "--order-by", "level:desc", "--limit", "1"]).await;
    assert_eq!(found[0]["id"], "b");
    assert_eq!(bench.json(&["count", "player", "username = $1", "-p", "anna"]).await, [json!({"count": 1})]);
    assert_eq!(bench.json(&["delete", "player", "a", "zoe"]).await, [json!({"deleted": 1})]);
    let (code, answers, errors) = bench.run(&["get", "player", "a"]).await;
    assert_eq!((code, answers.as_str(), errors.trim()), (3, "", "there is no record `a`"));
    assert_eq!(bench.run(&["delete", "player", "a"]).await.0, 3);
    for what in [&["b"][..], &["--all"], &["--tag", "x"]] {
        let (code, _, errors) = bench.run(&[&["invalidate", "player"], what].concat()).await;
        assert_eq!(code, 0, "{errors}");
    }
    assert_eq!(bench.json(&["warm", "player"]).await, [json!({"warmed": 1})]);
}

#[tokio::test]
async fn what_is_refused_is_told_with_its_code() {
    let bench = Bench::new().await;
    bench.json(&["set", "player", r#"{"id": "a", "username": "anna", "notes": ""}"#]).await;
    for (words, code, told) in [
        (&["get", "plyer", "a"][..], 2, "there is no schema `plyer`; the schemas are player"),
        (&["set", "player", "{"], 2, "is no JSON"),
        (&["set", "player", "[]"], 2, "there is no record"),
        (&["set", "player", r#"{"id": "b"}"#], 1, "lacks `username`"),
        (&["set", "player", r#"{"id": "b", "username": "anna", "notes": ""}"#], 1, "unique constraint violated"),
        (&["search", "player", "lavel > 1"], 1, "lavel"),
        (&["search", "player", "-p", "1"], 1, "no condition"),
        (&["dead-letters", "remove", "x/1"], 2, "no dead letter `x/1`"),
    ] {
        let (found, answers, errors) = bench.run(words).await;
        assert_eq!((found, answers.as_str()), (code, ""), "{words:?}: {errors}");
        assert!(errors.contains(told), "{words:?}: {errors}");
    }
    let (_, _, errors) = bench.run(&["set", "player", r#"{"id": "b", "username": "anna", "notes": ""}"#, "--json"]).await;
    assert_eq!(serde_json::from_str::<Json>(&errors).unwrap()["kind"], "UniqueViolation");
}

#[tokio::test]
async fn the_doctor_tells_of_the_file() {
    let bench = Bench::new().await;
    let findings = bench.json(&["doctor"]).await;
    assert!(findings.iter().all(|finding| finding["weight"] == "ok" && finding["name"] == "sqlite"), "{findings:?}");
    std::fs::write(bench.path(), "no database").unwrap();
    let (code, answers, _) = bench.run(&["doctor"]).await;
    assert_eq!(code, 3, "{answers}");
    assert!(answers.contains("problem"), "{answers}");
}

#[tokio::test]
async fn a_database_is_migrated_and_tells_of_it() {
    let bench = Bench { directory: tempfile::tempdir().unwrap() };
    let (code, answers, _) = bench.run(&["migrate", "--check"]).await;
    assert!(code == 3 && answers.contains("CREATE TABLE"), "{answers}");
    assert_eq!(bench.run(&["doctor"]).await.0, 3);
    assert_eq!(bench.run(&["migrate", "--plan"]).await.0, 0);
    let done = bench.json(&["migrate"]).await;
    assert!(done.iter().any(|step| step["schema"] == "player"), "{done:?}");
    for words in [&["migrate", "--plan"][..], &["migrate", "--check"], &["migrate"]] {
        assert_eq!(bench.run(words).await, (0, "nothing to do\n".to_owned(), String::new()), "{words:?}");
    }
    let files = bench.directory.path().join("migrations");
    std::fs::create_dir(&files).unwrap();
    std::fs::write(files.join("001_fill.sql"), "INSERT INTO player (id, username, notes) VALUES ('z', 'zoe', '');").unwrap();
    let from = files.to_str().unwrap();
    assert_eq!(bench.json(&["migrate", "--from", from]).await[0]["file"], "001_fill.sql");
    assert_eq!(bench.json(&["get", "player", "z"]).await[0]["record"]["level"], 1);
    assert!(bench.json(&["migrate", "--status"]).await.iter().any(|record| record["file"] == "001_fill.sql"));
    std::fs::write(files.join("001_fill.sql"), "DELETE FROM player").unwrap();
    let (code, _, errors) = bench.run(&["migrate", "--from", from]).await;
    assert!(code == 1 && errors.contains("001_fill.sql"), "{errors}");
    assert_eq!(bench.run(&["migrate", "--applied", "002_none.sql"]).await.0, 1);
}

#[tokio::test]
async fn the_tables_are_dumped_in_either_dialect() {
    let bench = Bench::new().await;
    let sqlite = bench.run(&["schema", "dump"]).await.1;
    assert!(sqlite.contains("STRICT") && sqlite.contains("CREATE UNIQUE INDEX"), "{sqlite}");
    let postgres = bench.run(&["schema", "dump", "player", "--dialect", "postgres"]).await.1;
    assert!(postgres.contains("BIGINT") && !postgres.contains("STRICT"), "{postgres}");
    assert_eq!(bench.json(&["schema", "list"]).await, [json!({"schema": "player", "columns": ["id", "username", "level", "notes"]})]);
    assert_eq!(bench.json(&["dead-letters", "list"]).await, [Json::Null; 0]);
}

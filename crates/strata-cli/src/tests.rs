//! Commands as they are typed, on SQLite.

mod input;
mod postgres;

use std::ffi::OsString;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use serde_json::{Value as Json, json};
use strata::mem::MemTier;
use strata::prelude::*;
use strata::sqlite::SqliteTier;
use strata::{EncryptionKey, KeyRing, StoreBuilder};
use tempfile::TempDir;

use crate::arguments::Arguments;
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
pub(crate) struct Printed(Arc<Mutex<Vec<u8>>>);

impl Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Printed {
    pub(crate) fn text(&self) -> String {
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
        run(Registry::new().schema::<Player>(), &arguments).await
    }

    async fn json(&self, words: &[&str]) -> Vec<Json> {
        let (code, answers, errors) = self.run(&[words, &["--json"]].concat()).await;
        assert_eq!(code, 0, "{errors}");
        answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// The exit code, what was printed, and what went wrong.
async fn run(registry: Registry, arguments: &Arguments) -> (u8, String, String) {
    let (answers, errors) = (Printed::default(), Printed::default());
    let output = Output::new(arguments.is_json, answers.clone(), errors.clone());
    let code = commands::run(&registry, arguments, &output).await;
    (code, answers.text(), errors.text())
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
    let (code, answers, _) = bench.run(&["get", "player", "a", "--json"]).await;
    assert_eq!((code, serde_json::from_str::<Json>(&answers).unwrap()), (3, json!({"version": null, "record": null})));
    assert_eq!(bench.run(&["delete", "player", "a"]).await.0, 3);
    for (what, keys, tag) in
        [(&["b", "c"][..], json!(["b", "c"]), Json::Null), (&["--all"], Json::Null, Json::Null), (&["--tag", "x"], Json::Null, json!("x"))]
    {
        let told = json!({"invalidated": "player", "keys": keys, "tag": tag});
        assert_eq!(bench.json(&[&["invalidate", "player"], what].concat()).await, [told]);
    }
    let (code, answers, errors) = bench.run(&["warm", "player"]).await;
    assert_eq!((code, answers.as_str()), (2, ""));
    assert!(errors.contains("there is no tier to warm"), "{errors}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_are_brought_into_redis() {
    let bench = Bench::new().await;
    bench.json(&["set", "player", r#"{"id": "a", "username": "anna", "notes": ""}"#]).await;
    let redis = std::env::var("REDIS_URL");
    let redis = redis.expect("REDIS_URL is not set: run the tests with `cargo xtask test`, or export what `cargo xtask up` prints");
    let url = format!("sqlite:{}", bench.path().display());
    // The server is shared: a name of its own, and nothing left behind.
    let prefix = format!("player_{}", uuid::Uuid::new_v4().simple());
    let on_redis = async |words: &[&str]| {
        let words = ["manage", "--redis-url", &redis, "--database-url", &url].into_iter().chain(words.iter().copied()).map(OsString::from);
        let prefix = prefix.clone();
        let registry = Registry::new().schema_with::<Player>(move |options| options.policies.shared.key_prefix = Some(prefix.clone()));
        run(registry, &arguments::read(words).unwrap()).await
    };
    assert_eq!(on_redis(&["warm", "player"]).await, (0, "1 records are in Redis\n".to_owned(), String::new()));
    assert_eq!(on_redis(&["invalidate", "player", "--all"]).await.0, 0);
}

#[tokio::test]
async fn what_is_refused_is_told_with_its_code() {
    let bench = Bench::new().await;
    bench.json(&["set", "player", r#"{"id": "a", "username": "anna", "notes": ""}"#]).await;
    for (words, code, told) in [
        (&["get", "plyer", "a"][..], 2, "there is no schema `plyer`; the schemas are player"),
        (&["set", "player", "{"], 2, "is no JSON"),
        (&["set", "player", "[]"], 2, "there is no record"),
        (&["set", "player", r#"{"id": "b"}"#], 2, "lacks `username`"),
        (&["set", "player", r#"{"id": "b", "username": "anna", "notes": ""}"#], 1, "unique constraint violated"),
        (&["search", "player", "lavel > 1"], 2, "lavel"),
        (&["search", "player", "-p", "1"], 2, "no condition"),
        (&["get", "player", ""], 2, "primary key"),
        (&["dead-letters", "remove", "x/1"], 2, "no dead letter `x/1`"),
        #[cfg(feature = "encryption")]
        (&["reencrypt", "player"], 2, "no encrypted field"),
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

/// Redis alone does not do for models with tables.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_tells_of_a_truth_that_is_not_named() {
    #[derive(Schema)]
    #[schema(cache_only)]
    struct Visit {
        #[schema(primary_key)]
        id: i64,
    }

    let redis = std::env::var("REDIS_URL").expect("REDIS_URL is not set: run the tests with `cargo xtask test`");
    let doctor = ["manage", "--redis-url", &redis, "--database-url", "", "doctor", "--json"].map(OsString::from);
    let doctor = arguments::read(doctor).unwrap();
    let (code, answers, errors) = run(Registry::new().schema::<Player>().schema::<Visit>(), &doctor).await;
    let last: Json = serde_json::from_str(answers.lines().last().unwrap_or_default()).unwrap();
    assert_eq!((code, &last["tier"], &last["weight"]), (3, &json!("L3 (truth)"), &json!("problem")), "{answers}{errors}");
    assert!(last["what"].as_str().is_some_and(|what| what.contains("DATABASE_URL is not set") && what.contains("`player`")), "{last}");
    let answers = run(Registry::new().schema::<Visit>(), &doctor).await.1;
    assert!(!answers.contains("DATABASE_URL"), "{answers}");
}

#[tokio::test]
async fn the_doctor_tells_of_a_store_that_lacks_keys() {
    #[derive(Schema)]
    struct Patient {
        #[schema(primary_key)]
        id: i64,
        #[schema(encrypted)]
        email: String,
    }

    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", directory.path().join("patients.db").display());
    let run = async |command: &str, registry| {
        let words = ["manage", "--redis-url", "", "--database-url", &url, command].map(OsString::from);
        run(registry, &arguments::read(words).unwrap()).await
    };
    assert_eq!(run("migrate", Registry::new().schema::<Patient>()).await.0, 0);
    let (code, answers, _) = run("doctor", Registry::new().schema::<Patient>()).await;
    assert!(code == 3 && answers.contains("its field `email` is encrypted, and the store has no key"), "{answers}");
    let keys = |builder: StoreBuilder<MemTier>| builder.encryption(KeyRing::new(1, EncryptionKey::generate().unwrap()));
    let (code, answers, _) = run("doctor", Registry::new().schema::<Patient>().builder(keys)).await;
    assert_eq!(code, 0, "{answers}");
}

#[tokio::test]
async fn a_database_is_migrated_and_tells_of_it() {
    let bench = Bench { directory: tempfile::tempdir().unwrap() };
    let (code, answers, _) = bench.run(&["migrate", "--check"]).await;
    assert!(code == 3 && answers.contains("CREATE TABLE"), "{answers}");
    assert_eq!(bench.run(&["doctor"]).await.0, 3);
    assert_eq!(bench.run(&["migrate", "--plan"]).await.0, 0);
    for words in [&["get", "player", "a"][..], &["count", "player"]] {
        let (code, _, errors) = bench.run(words).await;
        assert_eq!(code, 1, "{errors}");
        assert!(errors.contains("; run `migrate`, or first `migrate --plan`") && !errors.contains("create_tables"), "{errors}");
    }
    let done = bench.json(&["migrate"]).await;
    assert!(done.iter().any(|step| step["schema"] == "player"), "{done:?}");
    for words in [&["migrate", "--plan"][..], &["migrate", "--check"], &["migrate"]] {
        assert_eq!(bench.run(words).await, (0, "nothing to do\n".to_owned(), String::new()), "{words:?}");
        assert_eq!(bench.json(words).await, [json!({"nothing_to_do": true})], "{words:?}");
    }
    let files = bench.directory.path().join("migrations");
    std::fs::create_dir(&files).unwrap();
    std::fs::write(files.join("001_fill.sql"), "INSERT INTO player (id, username, notes) VALUES ('z', 'zoe', '');").unwrap();
    let from = files.to_str().unwrap();
    let (code, answers, _) = bench.run(&["migrate", "--check", "--from", from]).await;
    assert_eq!(code, 3, "{answers}");
    assert!(answers.starts_with("-- 001_fill.sql") && answers.contains("INSERT INTO player") && !answers.contains("nothing"), "{answers}");
    assert_eq!(bench.json(&["migrate", "--plan", "--from", from]).await[0]["file"], "001_fill.sql");
    let (code, _, steps) = bench.run(&["migrate", "--from", from]).await;
    assert_eq!((code, steps.as_str()), (0, "running an SQL file, file 001_fill.sql, statements 1\n"));
    std::fs::write(files.join("002_empty.sql"), "DELETE FROM player WHERE level = 9").unwrap();
    assert_eq!(bench.json(&["migrate", "--from", from]).await[0]["file"], "002_empty.sql");
    for words in [&["migrate", "--from", from][..], &["migrate", "--check", "--from", from]] {
        assert_eq!(bench.run(words).await, (0, "nothing to do\n".to_owned(), String::new()), "{words:?}");
    }
    assert_eq!(bench.json(&["get", "player", "z"]).await[0]["record"]["level"], 1);
    assert!(bench.json(&["migrate", "--status"]).await.iter().any(|record| record["file"] == "001_fill.sql"));
    std::fs::write(files.join("001_fill.sql"), "DELETE FROM player").unwrap();
    let (code, _, errors) = bench.run(&["migrate", "--from", from]).await;
    assert!(code == 1 && errors.contains("001_fill.sql"), "{errors}");
    let (code, _, errors) = bench.run(&["migrate", "--applied", "migrations/003_none.sql"]).await;
    assert!(code == 1 && errors.contains("`003_none.sql`"), "{errors}");
}

#[tokio::test]
async fn the_tables_are_dumped_in_either_dialect() {
    let bench = Bench::new().await;
    let sqlite = bench.run(&["schema", "dump"]).await.1;
    assert!(sqlite.contains("STRICT") && sqlite.contains("CREATE UNIQUE INDEX") && sqlite.contains("_strata_migrations"), "{sqlite}");
    let postgres = bench.run(&["schema", "dump", "player", "--dialect", "postgres"]).await.1;
    assert!(postgres.contains("BIGINT") && !postgres.contains("STRICT") && !postgres.contains("_strata_log"), "{postgres}");
    let postgres = bench.run(&["schema", "dump", "--dialect", "postgres"]).await.1;
    assert!(postgres.starts_with("CREATE TABLE _strata_migrations") && postgres.contains("CREATE SEQUENCE _strata_version"), "{postgres}");
    assert_eq!(bench.json(&["schema", "list"]).await, [json!({"schema": "player", "columns": ["id", "username", "level", "notes"]})]);
    assert_eq!(bench.json(&["dead-letters", "list"]).await, [Json::Null; 0]);
}

/// What is dumped, run by hand, leaves a migration nothing to do: with the table that the program names, and what references need.
#[tokio::test]
async fn a_dump_makes_all_that_the_program_needs() {
    #[derive(Schema)]
    struct Guild {
        #[schema(primary_key)]
        id: i64,
    }

    #[derive(Schema)]
    struct Member {
        #[schema(primary_key)]
        id: i64,
        #[schema(references(Guild::id, on_delete = "cascade"))]
        guild: i64,
    }

    #[derive(Schema)]
    #[schema(write_mode = "write_behind")]
    struct Score {
        #[schema(primary_key)]
        id: i64,
    }

    let directory = tempfile::tempdir().unwrap();
    let registry = || {
        let registry = Registry::new().schema_with::<Guild>(|options| options.policies.truth.table = Some("guilds".to_owned()));
        let registry = registry.schema::<Member>().schema::<Score>();
        registry.builder(|builder| builder.configure(|settings| settings.create_tables = true))
    };
    let file = directory.path().join("game.db");
    let url = format!("sqlite:{}", file.display());
    let read = |words: &[&str]| {
        let words = ["manage", "--redis-url", "", "--database-url", &url].into_iter().chain(words.iter().copied()).map(OsString::from);
        arguments::read(words).unwrap()
    };
    let (code, sqlite, errors) = run(registry(), &read(&["schema", "dump"])).await;
    assert!(code == 0 && sqlite.contains("\"guilds\"") && !file.exists(), "{sqlite}{errors}");
    assert_eq!(run(registry(), &read(&["migrate", "--check"])).await.0, 3);
    rusqlite::Connection::open(&file).unwrap().execute_batch(&sqlite).unwrap();
    assert_eq!(run(registry(), &read(&["migrate", "--check"])).await, (0, "nothing to do\n".to_owned(), String::new()));
    let postgres = run(registry(), &read(&["schema", "dump", "--dialect", "postgres"])).await.1;
    assert!(postgres.contains("REFERENCES \"guilds\""), "{postgres}");
}

#[cfg(feature = "encryption")]
#[tokio::test]
async fn encrypted_fields_are_read_written_and_encrypted_anew() {
    use strata::KeyRing;

    #[derive(Schema)]
    struct Letter {
        #[schema(primary_key)]
        id: i64,
        #[schema(encrypted)]
        text: String,
        #[schema(encrypted, index)]
        title: Option<String>,
    }

    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", directory.path().join("letters.db").display());
    let (old, new) = ("11".repeat(32), "22".repeat(32));
    let run = async |keys: String, words: &[&str]| {
        let words = ["manage", "--redis-url", "", "--database-url", &url].into_iter().chain(words.iter().copied()).map(OsString::from);
        let with_keys = move |builder: strata::StoreBuilder<strata::mem::MemTier>| {
            builder.encryption(format!("{keys},index={}", "33".repeat(32)).parse::<KeyRing>().unwrap())
        };
        run(Registry::new().schema::<Letter>().builder(with_keys), &arguments::read(words).unwrap()).await
    };
    let (code, _, errors) = run(format!("1={old}"), &["migrate"]).await;
    assert_eq!(code, 0, "{errors}");
    for id in 1..=2 {
        let letter = format!("{{\"id\":{id},\"text\":\"a\",\"title\":\"b\"}}");
        let (code, _, errors) = run(format!("1={old}"), &["set", "letter", &letter]).await;
        assert_eq!(code, 0, "{errors}");
    }
    let (code, answers, errors) = run(format!("1={old}"), &["get", "letter", "1", "--json"]).await;
    let shown = serde_json::from_str::<Json>(&answers).unwrap();
    assert_eq!((code, &shown["record"]), (0, &serde_json::json!({ "id": 1, "text": "a", "title": "b" })), "{answers}{errors}");
    let (code, _, errors) =
        run(format!("1={old}"), &["set", "letter", "{\"id\":3,\"text\":\"a\",\"title\":\"b\",\"title_blind\":null}"]).await;
    assert!(code != 0 && errors.contains("no column `title_blind`; the columns are id, text, title"), "{errors}");
    let (code, answers, errors) = run(format!("2={new},1={old}"), &["reencrypt", "letter"]).await;
    assert_eq!((code, answers.as_str()), (0, "2 of 2 records are encrypted with key 2\n"), "{errors}");
    assert!(errors.starts_with("0 of 2 records are encrypted"), "the progress is told where there is no terminal: {errors}");
    let (code, answers, errors) = run(format!("2={new}"), &["reencrypt", "letter", "--everything", "--json"]).await;
    assert_eq!((code, errors.as_str()), (0, ""));
    assert_eq!(serde_json::from_str::<Json>(&answers).unwrap()["key"], 2);
}

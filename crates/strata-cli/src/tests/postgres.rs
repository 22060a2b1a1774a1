//! Commands on PostgreSQL.

use std::ffi::OsString;

use strata::prelude::*;
use tokio_postgres::NoTls;
use uuid::Uuid;

use super::{Player, run};
use crate::{Registry, arguments};

/// A database of the test's own. It is dropped at the end, if the test gets there.
struct Database {
    server: String,
    name: String,
}

impl Database {
    async fn create() -> Self {
        let server = std::env::var("DATABASE_URL");
        let server =
            server.expect("DATABASE_URL is not set: run the tests with `cargo xtask test`, or export what `cargo xtask up` prints");
        let database = Database { server, name: format!("strata_test_{}", Uuid::new_v4().simple()) };
        database.on_server(&format!("CREATE DATABASE {}", database.name)).await;
        database
    }

    fn url(&self) -> String {
        let (address, options) = self.server.split_once('?').unwrap_or((&self.server, ""));
        let (server, _) = address.rsplit_once('/').unwrap();
        format!("{server}/{}?{options}", self.name)
    }

    async fn on_server(&self, statement: &str) {
        let (client, connection) = tokio_postgres::connect(&self.server, NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(statement).await.unwrap();
    }
}

/// As `psql` runs it, in whatever schema of the database comes first on the search path.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_makes_all_that_a_migration_would() {
    #[derive(Schema)]
    #[schema(table = "Game.Person")]
    struct Person {
        #[schema(primary_key)]
        id: i64,
        #[schema(unique)]
        name: String,
        #[schema(index, references(Person::id, on_delete = "set_null"))]
        boss: Option<i64>,
    }

    let database = Database::create().await;
    let url = database.url();
    let run = async |words: &[&str]| {
        let words = ["manage", "--redis-url", "", "--database-url", &url].into_iter().chain(words.iter().copied()).map(OsString::from);
        run(Registry::new().schema::<Person>().schema::<Player>(), &arguments::read(words).unwrap()).await
    };
    let (code, dump, errors) = run(&["schema", "dump"]).await;
    assert_eq!(code, 0, "{errors}");
    database.on_server(&format!("ALTER DATABASE {} SET search_path = \"o'hara\", public", database.name)).await;
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("CREATE SCHEMA \"o'hara\"").await.unwrap();
    client.batch_execute(&dump).await.unwrap();
    assert_eq!(run(&["migrate", "--plan"]).await, (0, "nothing to do\n".to_owned(), String::new()), "{dump}");
    // The triggers find what they write to.
    let rows =
        "INSERT INTO \"Game\".\"Person\" (id, name, boss) VALUES (1, 'a', NULL), (2, 'b', 1); DELETE FROM \"Game\".\"Person\" WHERE id = 1";
    client.batch_execute(rows).await.unwrap();
    let noted: i64 = client.query_one("SELECT count(*) FROM _strata_log", &[]).await.unwrap().get(0);
    assert_eq!(noted, 4, "two rows that were written, one that was deleted and one that was changed with it");
    database.on_server(&format!("DROP DATABASE {} WITH (FORCE)", database.name)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_migrated_and_tells_of_it() {
    let (database, files) = (Database::create().await, tempfile::tempdir().unwrap());
    std::fs::write(files.path().join("001_fill.sql"), "INSERT INTO player (id, username, notes) VALUES ('z', 'zoe', '');").unwrap();
    let (url, from) = (database.url(), files.path().to_str().unwrap());
    let run = async |words: &[&str]| {
        let words = ["manage", "--redis-url", "", "--database-url", &url].into_iter().chain(words.iter().copied()).map(OsString::from);
        run(Registry::new().schema::<Player>(), &arguments::read(words).unwrap()).await
    };
    let (code, answers, _) = run(&["migrate", "--check"]).await;
    assert!(code == 3 && answers.contains("CREATE TABLE IF NOT EXISTS \"player\""), "{answers}");
    let (code, answers, errors) = run(&["migrate"]).await;
    assert!(code == 0 && answers.contains("player: "), "{answers}{errors}");
    assert!(errors.contains("migrating: make the table `player`, schema player"), "{errors}");
    let (code, answers, _) = run(&["migrate", "--check", "--from", from]).await;
    assert!(code == 3 && answers.starts_with("-- 001_fill.sql"), "{answers}");
    let (code, answers, errors) = run(&["migrate", "--from", from]).await;
    assert!(code == 0 && answers.contains("001_fill.sql"), "{answers}{errors}");
    for words in [&["migrate", "--from", from][..], &["migrate", "--check", "--from", from], &["migrate", "--plan"]] {
        assert_eq!(run(words).await, (0, "nothing to do\n".to_owned(), String::new()), "{words:?}");
    }
    let (code, answers, _) = run(&["doctor"]).await;
    assert!(answers.contains("may read and write the tables that are there"), "{answers}");
    // Servers of tests need not be safe from crashes, which is a problem.
    assert!(answers.contains("tables are as the models want them") && [0, 3].contains(&code), "{answers}");
    assert!(run(&["get", "player", "z"]).await.1.contains("zoe"));
    database.on_server(&format!("DROP DATABASE {} WITH (FORCE)", database.name)).await;
}

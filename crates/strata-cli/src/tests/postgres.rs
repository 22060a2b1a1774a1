//! Commands on PostgreSQL.

use std::ffi::OsString;

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

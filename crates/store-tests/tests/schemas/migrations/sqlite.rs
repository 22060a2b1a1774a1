//! What a file that several processes open asks for.

use strata::{ErrorKind, Resolution};
use tempfile::TempDir;

use super::files::{assert_told, write};
use super::{Database, filled, first};

/// Heroes, and what goes with them.
async fn database() -> (Database, TempDir) {
    let database = Database::Sqlite(tempfile::tempdir().unwrap());
    filled(&database).await.close().await.unwrap();
    database.run("CREATE TABLE item (id INTEGER PRIMARY KEY, hero INTEGER REFERENCES hero (id) ON DELETE CASCADE)").await;
    database.run("INSERT INTO item VALUES (1, 1), (2, 2)").await;
    (database, tempfile::tempdir().unwrap())
}

fn items(database: &Database) -> i64 {
    let Database::Sqlite(directory) = database else { unreachable!("it is SQLite") };
    let file = rusqlite::Connection::open(directory.path().join("store.db")).unwrap();
    file.query_row("SELECT count(*) FROM item", [], |row| row.get(0)).unwrap()
}

const ANEW: &str = "PRAGMA foreign_keys = OFF;
CREATE TABLE made (id INTEGER PRIMARY KEY, name TEXT NOT NULL, _version INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO made SELECT id, name, _version FROM hero;
DROP TABLE hero;
ALTER TABLE made RENAME TO hero;
PRAGMA foreign_keys = ON;";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_made_anew_keeps_what_refers_to_it() {
    let (database, files) = database().await;
    let migrator = database.migrator::<first::Hero>().await;
    let spoiled = ANEW.replace("FROM hero", "FROM hero WHERE id <> 2");
    write(files.path(), &[("1_anew.sql", &spoiled)]);
    let error = migrator.migrate_from(files.path()).await.unwrap_err();
    let broken = "rows of `item` refer to rows of `hero` that are not there, the one with the rowid 2 for one";
    assert_told(&error, ErrorKind::ConstraintViolation, &["`1_anew.sql`", "nothing of the file is left", broken]);
    assert_eq!(items(&database), 2);

    // The next one is run with references in force.
    write(files.path(), &[("1_anew.sql", ANEW), ("2_less.sql", "DELETE FROM hero WHERE id = 2")]);
    migrator.migrate_from(files.path()).await.unwrap();
    assert_eq!(items(&database), 1);
    migrator.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn references_that_the_commit_refuses_are_told_with_the_file() {
    let (database, files) = database().await;
    let migrator = database.migrator::<first::Hero>().await;
    // The last one cannot be checked at all: what it refers to is not unique.
    for (text, kind, said) in [
        (
            "PRAGMA defer_foreign_keys = ON; DELETE FROM hero WHERE id = 2; INSERT INTO item VALUES (7, 9)",
            ErrorKind::ConstraintViolation,
            "rowid 7",
        ),
        (
            "PRAGMA foreign_keys = OFF; CREATE TABLE tale (hero TEXT REFERENCES hero (name)); INSERT INTO tale VALUES ('x')",
            ErrorKind::InvalidQuery,
            "foreign key mismatch",
        ),
    ] {
        write(files.path(), &[("1_refused.sql", text)]);
        let error = migrator.migrate_from(files.path()).await.unwrap_err();
        assert_told(&error, kind, &["`1_refused.sql`", "nothing of the file is left", said]);
        let mark = migrator.status().await.unwrap().into_iter().find_map(|record| record.dirty).unwrap();
        assert!(mark.error.contains(said) && !mark.blocks, "{mark:?}");
        assert_eq!(items(&database), 2);
    }
    write(files.path(), &[("1_refused.sql", "SELECT 1")]);
    migrator.migrate_from(files.path()).await.unwrap();
    assert!(migrator.status().await.unwrap().iter().all(strata::MigrationRecord::is_applied));
    migrator.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_leaves_no_settings_behind() {
    let (database, files) = database().await;
    let migrator = database.migrator::<first::Hero>().await;
    let temporary = "CREATE TEMP TRIGGER spoil AFTER UPDATE ON hero BEGIN DELETE FROM item; END";
    write(files.path(), &[("1_temporary.sql", temporary), ("2_update.sql", "UPDATE hero SET name = name || '+'")]);
    migrator.migrate_from(files.path()).await.unwrap();
    assert_eq!(items(&database), 2);
    migrator.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_left_to_who_took_it_over() {
    let (database, files) = database().await;
    let migrator = database.migrator::<first::Hero>().await;
    // As another process would that was told to restart it.
    let taken =
        "-- strata: no transaction\nUPDATE _strata_migrations SET applied_at = applied_at + 1 WHERE file = '1_taken.sql'; DELETE FROM item";
    write(files.path(), &[("1_taken.sql", taken)]);
    let error = migrator.migrate_from(files.path()).await.unwrap_err();
    assert_told(&error, ErrorKind::SchemaMismatch, &["`1_taken.sql` was resolved by somebody else"]);
    assert_eq!(items(&database), 2);
    migrator.resolve("1_taken.sql", Resolution::Applied).await.unwrap();
    migrator.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_file_without_a_transaction_is_run_by_one_process() {
    for round in 0..5 {
        let (database, files) = database().await;
        write(files.path(), &[("1_name.sql", "-- strata: no transaction\nINSERT INTO item (hero) VALUES (1)")]);
        let mut runs = Vec::new();
        for _ in 0..6 {
            let (migrator, directory) = (database.migrator::<first::Hero>().await, files.path().to_owned());
            runs.push(tokio::spawn(async move {
                let outcome = migrator.migrate_from(directory).await;
                migrator.close().await.unwrap();
                outcome
            }));
        }
        for run in runs {
            if let Err(error) = run.await.unwrap() {
                assert_told(
                    &error,
                    ErrorKind::SchemaMismatch,
                    &["`1_name.sql` stopped at its statement 1", "another process is still at it"],
                );
            }
        }
        assert_eq!(items(&database), 3, "in round {round}");
    }
}

mod named {
    #[derive(strata::Schema)]
    pub(super) struct Town {
        #[schema(primary_key)]
        pub(super) id: String,
        #[schema(unique)]
        pub(super) name: String,
        pub(super) note: Option<String>,
    }
}

/// A table of towns, as a file of another program may have it.
async fn town(columns: &str, more: &str) -> Database {
    let database = Database::Sqlite(tempfile::tempdir().unwrap());
    database.run(&format!("CREATE TABLE town (_version INTEGER NOT NULL DEFAULT 0, {columns}) STRICT; {more}")).await;
    database
}

async fn plan_of_town(database: &Database) -> strata::MigrationPlan {
    let migrator = database.migrator::<named::Town>().await;
    let plan = migrator.plan().await.unwrap();
    migrator.close().await.unwrap();
    plan
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_that_differ_are_two_keys_and_two_values() {
    const KEY: &str = "id TEXT NOT NULL PRIMARY KEY";
    const NAME: &str = "name TEXT NOT NULL";
    const LAX_INDEX: &str = "CREATE UNIQUE INDEX by_name ON town (name COLLATE NOCASE)";
    for (columns, more, part) in [
        (format!("{KEY} COLLATE NOCASE, {NAME}, note TEXT"), "", "the column `id` is part of the primary key and has another collation"),
        (format!("id TEXT NOT NULL, {NAME}, note TEXT, PRIMARY KEY (id COLLATE RTRIM)"), "", "the primary key has the collation RTRIM"),
        (format!("{KEY}, {NAME} COLLATE RTRIM, note TEXT"), "", "the column `name` is part of a unique index and has another collation"),
        (
            format!("{KEY}, {NAME}, note TEXT"),
            "CREATE UNIQUE INDEX town_name_key ON town (name COLLATE NOCASE)",
            "the index `town_name_key` exists and differs",
        ),
    ] {
        let database = town(&columns, more).await;
        let plan = plan_of_town(&database).await;
        let refused = plan.drift.iter().find(|drift| drift.is_refused).unwrap_or_else(|| panic!("{columns}: {plan}"));
        assert!(refused.what.contains(part), "{plan}");
        let remedy = refused.what.split_once("run: ").unwrap().1.split("; then build").next().unwrap();
        database.run(remedy).await;
        assert!(!plan_of_town(&database).await.is_refused(), "{}", plan_of_town(&database).await);
    }

    // One beside the model's is told of, and so is a column that is only searched.
    let database = town(&format!("{KEY}, {NAME}, note TEXT COLLATE NOCASE"), LAX_INDEX).await;
    let store = database.store::<named::Town>().await;
    let plan = store.plan().await.unwrap();
    assert!(plan.is_empty() && !plan.is_refused() && plan.drift.len() == 2, "{plan}");
    assert!(
        plan.to_string().contains("run: DROP INDEX \"by_name\"") && plan.to_string().contains("the column `note` has another collation"),
        "{plan}"
    );
    database.run("DROP INDEX by_name").await;
    let towns = store.collection().unwrap();
    for id in ["a", "A"] {
        towns.set(named::Town { id: id.into(), name: id.into(), note: None }).await.unwrap();
    }
    assert_eq!(towns.count(strata::Query::new()).await.unwrap(), 2);
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_column_that_the_database_computes_is_refused() {
    for (column, columns) in [
        ("name", "id TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL AS (id || '!') STORED, note TEXT"),
        ("note", "id TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL, note TEXT AS (id)"),
    ] {
        let database = town(columns, "").await;
        let plan = plan_of_town(&database).await;
        let refused = plan.drift.iter().find(|drift| drift.is_refused).unwrap();
        assert!(refused.column.as_deref() == Some(column) && refused.what.contains("is GENERATED ALWAYS"), "{plan}");
        let remedy = refused.what.split_once("run: ").unwrap().1.split("; then build").next().unwrap();
        database.run(remedy).await;
        let store = database.store::<named::Town>().await;
        store.collection().unwrap().set(named::Town { id: "a".into(), name: "b".into(), note: None }).await.unwrap();
        store.close().await.unwrap();
    }
}

mod converted {
    #[derive(Debug, PartialEq, strata::Schema)]
    pub(super) struct Piece {
        #[schema(primary_key)]
        pub(super) id: i64,
        pub(super) owner: uuid::Uuid,
        pub(super) note: Option<Vec<u8>>,
    }
}

/// The statements that are advised make bytes of texts; of a number they would make nothing that the column takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_become_uuids_and_bytes_where_a_table_is_made_anew() {
    const OWNER: uuid::Uuid = uuid::Uuid::from_u128(0x67e5_5044_10b1_426f_9247_bb68_0e5f_e0c8);
    let database = Database::Sqlite(tempfile::tempdir().unwrap());
    let refused = async || {
        let migrator = database.migrator::<converted::Piece>().await;
        let plan = migrator.plan().await.unwrap();
        migrator.close().await.unwrap();
        plan.drift.into_iter().find(|drift| drift.is_refused).map(|drift| drift.what)
    };
    let made =
        |columns: &str| format!("CREATE TABLE piece (id INTEGER PRIMARY KEY, {columns}, _version INTEGER NOT NULL DEFAULT 0) STRICT");
    database.run(&made("owner INTEGER NOT NULL, note BLOB")).await;
    let told = refused().await.unwrap();
    assert!(told.contains("has the type INTEGER") && told.contains("no copy makes the one of the other"), "{told}");

    database.run("DROP TABLE piece").await;
    database.run(&made("owner TEXT NOT NULL, note TEXT")).await;
    database.run(&format!("INSERT INTO piece VALUES (1, '{OWNER}', 'seen', 1), (2, '{}', NULL, 2)", OWNER.simple())).await;
    let told = refused().await.unwrap();
    database.run(told.split_once("run: ").unwrap().1.split("; then build").next().unwrap()).await;
    assert_eq!(refused().await, None);
    let store = database.store::<converted::Piece>().await;
    for (id, note) in [(1, Some(b"seen".to_vec())), (2, None)] {
        let piece = store.collection::<converted::Piece>().unwrap().get(id).await.unwrap().unwrap();
        assert_eq!(*piece, converted::Piece { id, owner: OWNER, note });
    }
    store.close().await.unwrap();
}

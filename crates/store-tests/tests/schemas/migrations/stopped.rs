//! SQL files that fail, and how they go on.

use strata::{ErrorKind, Migrator, Resolution};

use super::files::{assert_told, write};
use super::{Database, filled, first};

async fn mark(migrator: &Migrator, file: &str) -> Option<strata::DirtyMark> {
    let status = migrator.status().await.unwrap();
    status.into_iter().find(|record| record.file_name.as_deref() == Some(file)).and_then(|record| record.dirty)
}

async fn names(database: &Database) -> Vec<String> {
    let store = database.store::<first::Hero>().await;
    let heroes = store.collection::<first::Hero>().unwrap();
    let mut names = Vec::new();
    for id in 1..=2 {
        names.push(heroes.get(id).await.unwrap().map_or_else(String::new, |hero| hero.name.clone()));
    }
    store.close().await.unwrap();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_one_transaction_leaves_a_mark_alone() {
    for database in Database::all().await {
        let files = tempfile::tempdir().unwrap();
        filled(&database).await.close().await.unwrap();
        let migrator = database.migrator::<first::Hero>().await;
        let spoiled = "UPDATE hero SET name = 'x' WHERE id = 1; INSERT INTO hero (id, name) VALUES (1, ';twice'); SELECT 1";
        write(files.path(), &[("1_spoiled.sql", spoiled), ("2_next.sql", "UPDATE hero SET name = 'y' WHERE id = 2")]);
        for _ in 0..2 {
            let error = migrator.migrate_from(files.path()).await.unwrap_err();
            assert_told(
                &error,
                ErrorKind::ConstraintViolation,
                &["statement 2 of `1_spoiled.sql`", "nothing of the file is left", "';twice'", "or the rows, then run it again"],
            );
            let mark = mark(&migrator, "1_spoiled.sql").await.unwrap();
            assert_eq!((mark.statement, mark.blocks), (2, false));
            assert_eq!(mark.text, "INSERT INTO hero (id, name) VALUES (1, ';twice')");
            assert!(mark.error.to_lowercase().contains("unique"), "{mark:?}");
        }
        assert_eq!(names(&database).await, ["hero 1", "hero 2"]);
        let error = migrator.resolve("1_spoiled.sql", Resolution::Applied).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "there is nothing to decide: {error}");

        // Under another name it is another file.
        std::fs::rename(files.path().join("1_spoiled.sql"), files.path().join("1_bad.sql")).unwrap();
        migrator.migrate_from(files.path()).await.unwrap_err();
        assert_eq!((mark(&migrator, "1_spoiled.sql").await, mark(&migrator, "1_bad.sql").await.is_some()), (None, true));
        std::fs::rename(files.path().join("1_bad.sql"), files.path().join("1_spoiled.sql")).unwrap();

        write(files.path(), &[("1_spoiled.sql", "UPDATE hero SET name = 'x' WHERE id = 1")]);
        assert_eq!(migrator.migrate_from(files.path()).await.unwrap().applied.len(), 2);
        assert!(migrator.status().await.unwrap().iter().all(|record| record.is_applied()));
        assert_eq!(names(&database).await, ["x", "y"]);
        migrator.close().await.unwrap();
    }
}

const STOPPED: &str = "-- strata: no transaction
UPDATE hero SET name = name || '+' WHERE id = 1;
INSERT INTO hero (id, name) VALUES (1, 'twice');
UPDATE hero SET name = name || '+' WHERE id = 2";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_without_a_transaction_stops_all_until_somebody_decides() {
    for (resolution, expected) in [
        (Resolution::Resume, ["hero 1+", "hero 2+"]),
        (Resolution::Restart, ["hero 1++", "hero 2+"]),
        (Resolution::Applied, ["hero 1+", "hero 2"]),
    ] {
        for database in Database::all().await {
            let files = tempfile::tempdir().unwrap();
            filled(&database).await.close().await.unwrap();
            let migrator = database.migrator::<first::Hero>().await;
            write(files.path(), &[("1_stopped.sql", STOPPED), ("2_next.sql", "SELECT 1")]);
            let error = migrator.migrate_from(files.path()).await.unwrap_err();
            assert_told(
                &error,
                ErrorKind::ConstraintViolation,
                &[
                    "statement 2 of `1_stopped.sql`",
                    "what stands in front of it took effect",
                    "mend the file, or the rows, then say how to go on",
                    "`migrate --resume 1_stopped.sql`",
                ],
            );
            let mark = mark(&migrator, "1_stopped.sql").await.unwrap();
            assert_eq!((mark.statement, mark.blocks, mark.text.as_str()), (2, true, "INSERT INTO hero (id, name) VALUES (1, 'twice')"));

            // A mend alone does not say where to go on.
            let mended = STOPPED.replace("INSERT INTO hero (id, name) VALUES (1, 'twice')", "SELECT 1");
            write(files.path(), &[("1_stopped.sql", &mended)]);
            let error = migrator.migrate_from(files.path()).await.unwrap_err();
            assert_told(
                &error,
                ErrorKind::SchemaMismatch,
                &["`1_stopped.sql` stopped at its statement 2", "resolve_migration", "`migrate --resume 1_stopped.sql`"],
            );

            let error = migrator.resolve("2_next.sql", resolution).await.unwrap_err();
            assert_eq!((error.kind(), error.operation()), (ErrorKind::InvalidConfig, Some("resolve_migration")), "{error}");
            migrator.resolve("1_stopped.sql", resolution).await.unwrap();
            if resolution == Resolution::Resume {
                write(files.path(), &[("1_stopped.sql", &mended.replace("'+' WHERE id = 1", "'-' WHERE id = 1"))]);
                let error = migrator.migrate_from(files.path()).await.unwrap_err();
                assert_told(&error, ErrorKind::SchemaMismatch, &["those in front of it, which took effect, have changed"]);
                write(files.path(), &[("1_stopped.sql", &mended)]);
            }
            assert_eq!(migrator.migrate_from(files.path()).await.unwrap().applied.len(), 2);
            assert!(migrator.migrate_from(files.path()).await.unwrap().is_empty());
            assert_eq!(names(&database).await, expected, "{resolution:?}");
            write(files.path(), &[("1_stopped.sql", STOPPED)]);
            let error = migrator.migrate_from(files.path()).await.unwrap_err();
            assert_told(&error, ErrorKind::SchemaMismatch, &["`1_stopped.sql` was run at"]);
            migrator.close().await.unwrap();
        }
    }
}

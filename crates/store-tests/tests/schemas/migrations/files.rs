//! SQL files: their names, their order, and what they leave in caches.

use std::fs;
use std::path::Path;

use strata::{Error, ErrorKind, Freshness};

use super::{Database, expected, filled, first, third};

/// Writes files into a directory of migrations.
pub(super) fn write(directory: &Path, files: &[(&str, &str)]) {
    for (name, content) in files {
        fs::write(directory.join(name), content).unwrap();
    }
}

pub(super) fn assert_told(error: &Error, kind: ErrorKind, parts: &[&str]) {
    assert_eq!((error.kind(), error.operation()), (kind, Some("migrate_from")), "{error}");
    for part in parts {
        assert!(error.to_string().contains(part), "`{part}` is not in: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_run_once_in_the_order_of_their_numbers() {
    for database in Database::all().await {
        let files = tempfile::tempdir().unwrap();
        filled(&database).await.close().await.unwrap();
        write(
            files.path(),
            &[
                ("10_last.sql", "UPDATE hero SET name = name || ';c';"),
                ("002_second.sql", "-- a comment; with a semicolon\nUPDATE hero SET name = name || 'b';\n\n"),
                ("1_first.sql", "UPDATE hero SET name = name || 'a'"),
                ("README.md", "no SQL"),
            ],
        );
        let migrator = database.migrator::<first::Hero>().await;
        let report = migrator.migrate_from(files.path()).await.unwrap();
        let names: Vec<_> = report.applied.iter().filter_map(|record| record.file_name.as_deref()).collect();
        assert_eq!(names, ["1_first.sql", "002_second.sql", "10_last.sql"]);
        assert_eq!(report.applied[1].what, "second");
        assert!(migrator.migrate_from(files.path()).await.unwrap().is_empty());
        let status = migrator.status().await.unwrap();
        assert_eq!(status[status.len() - 3..], report.applied);

        // Line ends are no change, and gaps may be filled later.
        write(files.path(), &[("1_first.sql", "UPDATE hero SET name = name || 'a'"), ("003_between.sql", "SELECT 1;\r\nSELECT 2;\r\n")]);
        assert_eq!(migrator.migrate_from(files.path()).await.unwrap().applied.len(), 1);
        write(files.path(), &[("003_between.sql", "SELECT 1;\nSELECT 2;\n")]);
        assert!(migrator.migrate_from(files.path()).await.unwrap().is_empty());
        migrator.close().await.unwrap();
        let store = database.store::<first::Hero>().await;
        assert_eq!(store.collection::<first::Hero>().unwrap().get(1).await.unwrap().unwrap().name, "hero 1ab;c");
        store.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_changed_or_are_missing_are_told() {
    for database in Database::all().await {
        let files = tempfile::tempdir().unwrap();
        let migrator = database.migrator::<first::Hero>().await;
        write(files.path(), &[("001_one.sql", "SELECT 1"), ("002_two.sql", "SELECT 2")]);
        assert_eq!(migrator.migrate_from(files.path()).await.unwrap().applied.len(), 2);

        write(files.path(), &[("001_one.sql", "SELECT 3"), ("003_three.sql", "SELECT 3")]);
        let error = migrator.migrate_from(files.path()).await.unwrap_err();
        assert_told(&error, ErrorKind::SchemaMismatch, &["`001_one.sql` was run at 20", "Z and has changed since", "xxh3:"]);
        write(files.path(), &[("001_one.sql", "SELECT 1")]);

        fs::rename(files.path().join("002_two.sql"), files.path().join("002_renamed.sql")).unwrap();
        let error = migrator.migrate_from(files.path()).await.unwrap_err();
        assert_told(&error, ErrorKind::SchemaMismatch, &["`002_two.sql`", "missing from the directory", "`002_renamed.sql`"]);
        assert_eq!(migrator.status().await.unwrap().iter().filter(|record| record.file_name.is_some()).count(), 2);
        migrator.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_wants_rows_of_its_client_is_refused_before_anything_runs() {
    let [_, database] = Database::all().await;
    let (migrator, files) = (database.migrator::<first::Hero>().await, tempfile::tempdir().unwrap());
    for copy in ["COPY hero (id, name) FROM STDIN WITH (FORMAT csv)", "/* rows */ copy hero from stdin", "COPY (SELECT 1) TO STDOUT"] {
        write(files.path(), &[("1_rows.sql", &format!("SELECT 1; {copy};\n1\tone\n\\.\n"))]);
        let error = migrator.migrate_from(files.path()).await.unwrap_err();
        assert_told(&error, ErrorKind::InvalidConfig, &["statement 2 of `1_rows.sql` is a `COPY`", "`INSERT INTO … VALUES …`"]);
        assert!(migrator.status().await.unwrap().is_empty(), "nothing was run");
    }
    write(files.path(), &[("1_rows.sql", "SELECT 'COPY hero FROM STDIN'; COPY (SELECT 'FROM STDIN', 1 FROM stdin) TO '/nowhere/rows'")]);
    let error = migrator.migrate_from(files.path()).await.unwrap_err();
    assert_told(&error, ErrorKind::InvalidQuery, &["statement 2 of `1_rows.sql` failed", "stdin"]);
    migrator.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_and_contents_that_do_not_fit_are_refused_before_anything_runs() {
    let [database, _] = Database::all().await;
    let migrator = database.migrator::<first::Hero>().await;
    for (files, part) in [
        (&[("001_a.sql", ""), ("1_b.sql", "")][..], "`001_a.sql` and `1_b.sql` have one number"),
        (&[("drop.sql", "")], "`drop.sql` is not named"),
        (&[("v1_drop.sql", "")], "`v1_drop.sql` is not named"),
        (&[("1_.sql", "")], "`1_.sql` is not named"),
        (&[("002_up.SQL", "")], "`002_up.SQL` is not named"),
        (&[("1_a.sql", "-- strata: no transactions\n")], "asks for `no transactions`"),
        (&[("1_a.sql", "-- an index\n\n--STRATA: no transactions\n")], "asks for `no transactions`"),
        (&[("1_a.sql", "SELECT 1; COMMIT; SELECT 2")], "has the statement `COMMIT`"),
        (&[("1_a.sql", "SELECT 1;\n/* open\nSELECT 2;")], "`1_a.sql` ends within the comment that begins in line 2"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), files);
        let error = migrator.migrate_from(directory.path()).await.unwrap_err();
        assert_told(&error, ErrorKind::InvalidConfig, &[part]);
    }
    let error = migrator.migrate_from("/nowhere/migrations").await.unwrap_err();
    assert_told(&error, ErrorKind::InvalidConfig, &["`/nowhere/migrations` cannot be read"]);
    migrator.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_copy_outlives_what_a_file_wrote() {
    for database in Database::all().await {
        let files = tempfile::tempdir().unwrap();
        let (store, other) = (database.store::<third::Hero>().await, database.store::<third::Hero>().await);
        let (heroes, others) = (store.collection::<third::Hero>().unwrap(), other.collection::<third::Hero>().unwrap());
        heroes.set(expected(1)).await.unwrap();
        for copies in [&heroes, &others] {
            assert_eq!(copies.get(1).await.unwrap().unwrap().level, 1);
        }
        write(files.path(), &[("1_levels.sql", "UPDATE hero SET level = 50")]);
        assert_eq!(store.migrate_from(files.path()).await.unwrap().applied.len(), 1);
        assert_eq!(heroes.get(1).await.unwrap().unwrap().level, 50);
        assert_eq!(others.with_freshness(Freshness::Strong).get(1).await.unwrap().unwrap().level, 50);

        // One that no store of this process ran.
        write(
            files.path(),
            &[("2_levels.sql", "-- strata: no transaction\nUPDATE hero SET level = 60; UPDATE hero SET level = level + 1")],
        );
        let migrator = database.migrator::<third::Hero>().await;
        migrator.migrate_from(files.path()).await.unwrap();
        migrator.close().await.unwrap();
        for copies in [&heroes, &others] {
            assert_eq!(copies.with_freshness(Freshness::Strong).get(1).await.unwrap().unwrap().level, 61);
        }
        store.close().await.unwrap();
        other.close().await.unwrap();
    }
}

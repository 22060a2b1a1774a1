//! Migrations whose future is dropped, or whose session ends.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use strata::Settings;

use super::files::write;
use super::{Database, assert_migrated, expected, first, third};

/// Puts the table back to its first layout.
async fn reset(database: &Database) {
    let number = if matches!(database, Database::Sqlite(_)) { "INTEGER" } else { "BIGINT" };
    let table = format!("id {number} PRIMARY KEY, name TEXT NOT NULL, _version {number} NOT NULL DEFAULT 0");
    let rows = "INSERT INTO hero (id, name) VALUES (1, 'hero 1'), (2, 'hero 2'), (3, 'hero 3')";
    database.run(&format!("DROP TABLE IF EXISTS hero; CREATE TABLE hero ({table}); {rows}")).await;
}

/// Polls a future some times, then drops it. Whether it was done by then.
async fn cut_off<T>(call: impl Future<Output = T>, polls: usize) -> bool {
    let mut call = pin!(call);
    let mut left = polls;
    poll_fn(move |context| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        match call.as_mut().poll(context) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending if left == 0 => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

fn patient(settings: &mut Settings) {
    settings.migration.migrator_wait = Duration::from_secs(60);
}

/// Wherever it was dropped, the next call finds no lock in its way and does the rest; also of indexes that are made beside writers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_that_is_dropped_anywhere_is_done_by_the_next_call() {
    for database in Database::all().await {
        for large_table in [u64::MAX, 0] {
            if large_table == 0 && matches!(database, Database::Sqlite(_)) {
                continue;
            }
            let migrator = database
                .migrator_with::<third::Hero>(|settings| {
                    patient(settings);
                    settings.migration.large_table = large_table;
                })
                .await;
            for polls in (0..).step_by(3) {
                reset(&database).await;
                let is_done = cut_off(migrator.migrate(), polls).await;
                migrator.migrate().await.unwrap();
                assert_migrated(&database, 3).await;
                if is_done {
                    break;
                }
            }
            migrator.close().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_dropped_anywhere_is_run_once() {
    for database in Database::all().await {
        let files = tempfile::tempdir().unwrap();
        let migrator = database.migrator_with::<first::Hero>(patient).await;
        migrator.migrate().await.unwrap();
        write(
            files.path(),
            &[("1_levels.sql", "UPDATE hero SET name = name || '+' WHERE id = 1; UPDATE hero SET name = name || '+' WHERE id = 2")],
        );
        for polls in (0..).step_by(3) {
            reset(&database).await;
            database.run("DELETE FROM _strata_migrations WHERE file IS NOT NULL").await;
            let is_done = cut_off(migrator.migrate_from(files.path()), polls).await;
            migrator.migrate_from(files.path()).await.unwrap();
            let store = database.store::<first::Hero>().await;
            for id in 1..=2 {
                let name = format!("{}+", expected(id).name);
                assert_eq!(store.collection::<first::Hero>().unwrap().get(id).await.unwrap().unwrap().name, name);
            }
            store.close().await.unwrap();
            if is_done {
                break;
            }
        }
        migrator.close().await.unwrap();
    }
}

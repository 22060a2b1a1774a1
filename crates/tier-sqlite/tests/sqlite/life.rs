//! Opening, closing, and what lies between.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use store_core::facet::{Count, Log, LogEntry, LogKind, Migrations, Select, Tables};
use store_core::{ErrorKind, MigrationSettings, Role, Tier, Version};
use tier_sqlite::{SqliteConfig, SqliteTier, Synchronous};

use crate::support::{Database, assert_kind, get, note_schema, put};

async fn refused(config: impl Into<SqliteConfig>, kind: ErrorKind, hint: &str) {
    let message = assert_kind(SqliteTier::open(config).await, kind).to_string();
    assert!(message.contains(hint), "{message}");
}

#[tokio::test]
async fn a_path_that_cannot_be_a_database_is_refused_with_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let inside = |name: &str| directory.path().join(name);
    std::fs::write(
        inside("text"),
        "It was a dark and stormy night, long enough for a header of a hundred bytes and some more. ".repeat(20),
    )
    .unwrap();

    refused(inside("missing/app.db"), ErrorKind::InvalidConfig, "does not exist; create it").await;
    refused(directory.path(), ErrorKind::InvalidConfig, "is a directory").await;
    refused(inside("text/app.db"), ErrorKind::InvalidConfig, "is not a directory").await;
    refused(inside("text"), ErrorKind::InvalidConfig, "no SQLite database").await;
    assert!(!inside("missing").exists(), "nothing is made on the way");
    refused(inside("a\0b"), ErrorKind::InvalidConfig, "holds a NUL character").await;
    #[cfg(unix)]
    refused("/dev/null", ErrorKind::InvalidConfig, "is a device").await;
}

#[tokio::test]
async fn settings_out_of_range_are_refused() {
    refused("", ErrorKind::InvalidConfig, "the path is empty").await;
    refused(":memory:", ErrorKind::InvalidConfig, "memory").await;
    refused("file:app.db?mode=ro", ErrorKind::InvalidConfig, "URI").await;
    let database = Database::new();
    refused(database.config().with_readers(0), ErrorKind::InvalidConfig, "1 to 64").await;
    refused(database.config().with_readers(65), ErrorKind::InvalidConfig, "1 to 64").await;
    refused(database.config().with_busy_timeout(Duration::MAX), ErrorKind::InvalidConfig, "busy timeout").await;
    assert!(!database.path().exists());
}

#[tokio::test]
async fn a_relative_path_is_of_the_directory_that_it_was_opened_in() {
    let tier = tier_sqlite::SqliteTier::open("never-made.db").await.unwrap();
    assert_eq!(tier.path(), std::env::current_dir().unwrap().join("never-made.db"));
    tier.close().await.unwrap();
    assert!(!tier.path().exists());
}

#[tokio::test]
async fn a_tier_says_what_it_is() {
    let database = Database::new();
    let tier = database.notes().await;
    assert_eq!((tier.name(), tier.role(), tier.path()), ("sqlite", Role::Truth, database.path().as_path()));
    tier.ping().await.unwrap();
    assert!(!tier.reads_from_replica());
    let facets = tier.facets();
    assert!(facets.tables.is_some() && facets.log.is_some() && facets.wakes.is_some());
    assert!(facets.near.is_none() && facets.records.is_none());
}

#[tokio::test]
async fn a_missing_file_is_made_by_the_first_call_that_needs_it() {
    let database = Database::new();
    let tier = SqliteTier::open(database.config()).await.unwrap();
    let missing = tier.missing_tables(&[note_schema()]).await.unwrap();
    assert_eq!(missing, ["_strata_version", "_strata_log", "_strata_journals", "_strata_dead_letters", "note"]);
    tier.close().await.unwrap();
    assert!(!database.path().exists(), "there was nothing to make");

    let tier = SqliteTier::open(database.config()).await.unwrap();
    tier.ping().await.unwrap();
    assert!(database.path().exists());
    assert_eq!(tier.missing_tables(&[note_schema()]).await.unwrap(), missing);
    tier.migrate(&[note_schema()], &MigrationSettings::default()).await.unwrap();
    assert!(tier.missing_tables(&[note_schema()]).await.unwrap().is_empty());
}

#[tokio::test]
async fn rows_are_there_when_the_file_is_opened_again() {
    let database = Database::new();
    let tier = database.notes().await;
    let stored = put(&tier, [1]).await.unwrap();
    drop(tier);
    let other = SqliteTier::open(database.config().with_synchronous(Synchronous::Full).with_readers(1)).await.unwrap();
    assert_eq!(get(&other, 1).await.unwrap(), Some(stored[0].clone()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_tiers_open_a_new_file_at_once() {
    let database = Database::new();
    let tiers: Vec<_> = (0..8_i64)
        .map(|id| {
            let config = database.config();
            tokio::spawn(async move {
                let tier = crate::support::notes(config).await;
                put(&tier, [id + 1]).await.unwrap();
                tier
            })
        })
        .collect();
    for tier in tiers {
        tier.await.unwrap().close().await.unwrap();
    }
    assert_eq!(database.notes().await.count(&note_schema(), Count::default()).await.unwrap(), 8);
}

/// What a system that lets go of the names of open files can do to one that is in use.
#[cfg(unix)]
#[tokio::test]
async fn no_call_is_answered_from_a_file_that_lost_its_name() {
    let database = Database::new();
    let tier = database.notes().await;
    put(&tier, [1]).await.unwrap();
    get(&tier, 1).await.unwrap();
    let aside = database.path().with_file_name("aside.db");
    let all_refused = async |hint: &str| {
        for error in [
            assert_kind(put(&tier, [2]).await, ErrorKind::L3Unavailable),
            assert_kind(tier.delete_many(&note_schema(), &[vec![1.into()]]).await, ErrorKind::L3Unavailable),
            assert_kind(tier.migrate(&[note_schema()], &MigrationSettings::default()).await, ErrorKind::L3Unavailable),
            assert_kind(tier.prune(Duration::ZERO).await, ErrorKind::L3Unavailable),
            assert_kind(get(&tier, 1).await, ErrorKind::L3Unavailable),
            assert_kind(tier.count(&note_schema(), Count::default()).await, ErrorKind::L3Unavailable),
            assert_kind(tier.ping().await, ErrorKind::L3Unavailable),
        ] {
            assert!(error.to_string().contains(hint), "{error}");
        }
    };

    std::fs::rename(database.path(), &aside).unwrap();
    all_refused("was moved or deleted while it was open; put it back").await;
    std::fs::write(database.path(), "").unwrap();
    all_refused("another file has taken the place").await;

    std::fs::rename(&aside, database.path()).unwrap();
    assert_eq!(tier.count(&note_schema(), Count::default()).await.unwrap(), 1, "nothing refused was written");
    put(&tier, [2]).await.unwrap();

    std::fs::remove_file(database.path()).unwrap();
    all_refused("was moved or deleted").await;
    tier.close().await.unwrap();
}

#[tokio::test]
async fn a_long_log_is_pruned_whole() {
    let database = Database::new();
    let tier = database.notes().await;
    let entry = LogEntry { schema: "note".into(), key: None, version: Version::default(), kind: LogKind::Invalidate, columns: None };
    tier.append(&vec![entry; 25_000]).await.unwrap();
    put(&tier, 1..=500).await.unwrap();
    assert_eq!(tier.prune(Duration::ZERO).await.unwrap(), 25_500);
    assert_eq!(tier.prune(Duration::ZERO).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_tier_has_moved_its_log_into_the_file_and_refuses_every_call() {
    let database = Database::new();
    let tier = database.notes().await;
    put(&tier, 1..100).await.unwrap();
    let cursor = tier.end().await.unwrap();
    let mut open = std::sync::Arc::clone(&tier).select(note_schema(), Select::default());
    assert!(open.next().await.unwrap().is_ok());

    let (first, second) = tokio::join!(tier.close(), tier.close());
    first.unwrap();
    second.unwrap();
    tier.close().await.unwrap();

    assert_eq!(std::fs::read_dir(database.path().parent().unwrap()).unwrap().count(), 1, "no write-ahead log is left");
    let schema = note_schema();
    assert_kind(tier.ping().await, ErrorKind::Closed);
    assert_eq!(assert_kind(put(&tier, [1]).await, ErrorKind::Closed).schema(), Some("note"));
    assert_eq!(assert_kind(get(&tier, 1).await, ErrorKind::Closed).schema(), Some("note"));
    assert_kind(tier.exists_many(&schema, &[vec![1.into()]]).await, ErrorKind::Closed);
    assert_kind(tier.delete_many(&schema, &[vec![1.into()]]).await, ErrorKind::Closed);
    assert_kind(tier.count(&schema, Count::default()).await, ErrorKind::Closed);
    assert_kind(tier.migrate(&[schema], &MigrationSettings::default()).await, ErrorKind::Closed);
    assert_kind(tier.end().await, ErrorKind::Closed);
    assert_kind(tier.read(&cursor).await, ErrorKind::Closed);
    assert_kind(tier.prune(Duration::ZERO).await, ErrorKind::Closed);
    assert_kind(tier.lead(&["log".to_owned()]).await, ErrorKind::Closed);
    let mut late = std::sync::Arc::clone(&tier).select(note_schema(), Select::default());
    assert_eq!(assert_kind(late.next().await.unwrap(), ErrorKind::Closed).schema(), Some("note"));
    assert!(late.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_cuts_open_streams_off_with_an_error() {
    let database = Database::new();
    let tier = database.notes().await;
    put(&tier, 1..=5_000).await.unwrap();
    let mut stream = std::sync::Arc::clone(&tier).select(note_schema(), Select::default());
    assert!(stream.next().await.unwrap().is_ok());
    tokio::time::timeout(Duration::from_secs(10), tier.close()).await.expect("an unread stream does not hold the close up").unwrap();
    let rest: Vec<_> = stream.collect().await;
    assert!(rest.len() < 4_999);
    assert_kind(rest.into_iter().next_back().unwrap(), ErrorKind::Closed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_finishes_the_writes_that_were_asked_for() {
    let database = Database::new();
    let tier = database.notes().await;
    let writes: Vec<_> = (0..50)
        .map(|turn| {
            let tier = std::sync::Arc::clone(&tier);
            tokio::spawn(async move { put(&tier, [turn + 1]).await })
        })
        .collect();
    tokio::task::yield_now().await;
    tier.close().await.unwrap();
    let mut acknowledged = 0;
    for write in writes {
        match write.await.unwrap() {
            Ok(_) => acknowledged += 1,
            refused => drop(assert_kind(refused, ErrorKind::Closed)),
        }
    }
    let again = database.notes().await;
    assert_eq!(again.count(&note_schema(), Count::default()).await.unwrap(), acknowledged);
}

#[tokio::test]
async fn a_file_that_another_program_keeps_locked_is_a_timeout() {
    let database = Database::new();
    let tier = crate::support::notes(database.config().with_busy_timeout(Duration::from_millis(50))).await;
    put(&tier, [1]).await.unwrap();
    let other = database.outside("BEGIN IMMEDIATE; UPDATE note SET text = 'mine'");

    let started = Instant::now();
    let error = assert_kind(put(&tier, [2]).await, ErrorKind::Timeout);
    assert!(started.elapsed() >= Duration::from_millis(50));
    assert!(error.is_retryable() && error.to_string().contains("locked"), "{error}");
    assert_eq!(error.schema(), Some("note"));
    assert_eq!(get(&tier, 1).await.unwrap().unwrap().row, crate::support::note(1), "readers wait for nobody");

    other.execute_batch("COMMIT").unwrap();
    put(&tier, [2]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_waits_for_another_program_within_the_limit() {
    let database = Database::new();
    let tier = database.notes().await;
    let other = database.outside("BEGIN IMMEDIATE");
    let waiting = tokio::spawn({
        let tier = std::sync::Arc::clone(&tier);
        async move { put(&tier, [1]).await }
    });
    assert_eq!(get(&tier, 1).await.unwrap(), None);
    assert!(!waiting.is_finished());
    other.execute_batch("COMMIT").unwrap();
    waiting.await.unwrap().unwrap();
}

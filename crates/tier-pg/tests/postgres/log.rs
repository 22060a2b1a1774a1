//! The log under transactions that overlap in ways only PostgreSQL allows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use store_core::facet::{Log, LogCursor, LogEntry, LogKind, Migrations};
use store_core::{ErrorKind, MigrationSettings};
use tier_pg::PgTier;
use tokio_postgres::Client;

use crate::database::{Database, wait_until};
use crate::table::{account, put, row, since};

/// Begins a transaction and writes a log row in it, as a tier does.
async fn begin_entry(client: &Client, key: &str) {
    const ENTRY: &str = "INSERT INTO _strata_log (schema, key, version, kind) VALUES ('account', $1, nextval('_strata_version'), 1)";
    client.batch_execute("BEGIN").await.unwrap();
    client.execute(ENTRY, &[&key]).await.unwrap();
}

fn named(entries: &[LogEntry]) -> Vec<&str> {
    let mut keys: Vec<&str> = entries.iter().map(|entry| entry.key.as_deref().unwrap()).collect();
    keys.sort_unstable();
    keys
}

#[tokio::test]
async fn a_transaction_that_outlives_cursors_is_met_once_when_it_commits() {
    let database = Database::create().await;
    let tier = database.tier().await;
    tier.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
    let (slow, undone) = (database.client().await, database.client().await);
    let mut cursor = tier.end().await.unwrap();
    begin_entry(&slow, "slow").await;
    begin_entry(&undone, "undone").await;
    let early = tier.end().await.unwrap();
    for id in 1..=3 {
        put(&tier, row(id)).await.unwrap();
        assert_eq!(named(&since(&tier, &mut cursor).await), [id.to_string()], "others are not held up");
    }
    slow.batch_execute("COMMIT").await.unwrap();
    undone.batch_execute("ROLLBACK").await.unwrap();
    let later = tier.end().await.unwrap();
    assert!(tier.covers(&later, &early) && !tier.covers(&early, &later), "only the later place has the slow transaction");
    assert!(!tier.covers(&later, &LogCursor::new("elsewhere")) && !tier.covers(&LogCursor::new("elsewhere"), &early));
    assert_eq!(named(&since(&tier, &mut cursor).await), ["slow"]);
    assert!(since(&tier, &mut cursor).await.is_empty());
    assert_eq!(named(&tier.read(&early).await.unwrap().entries), ["1", "2", "3", "slow"]);
}

/// Many writers, some of whom take their time between writing and committing, and two followers.
#[tokio::test(flavor = "multi_thread")]
async fn followers_meet_every_commit_once_however_transactions_overlap() {
    let database = Database::create().await;
    let tier = database.tier().await;
    tier.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
    let start = tier.end().await.unwrap();
    let mut writers = Vec::new();
    for writer in 0..4_i64 {
        let tier = Arc::clone(&tier);
        writers.push(tokio::spawn(async move {
            let mut keys = Vec::new();
            for turn in 0..150 {
                let id = 1 + writer * 1_000 + turn;
                put(&tier, row(id)).await.unwrap();
                keys.push(id.to_string());
            }
            keys
        }));
    }
    for writer in 0..6_u64 {
        let client = database.client().await;
        writers.push(tokio::spawn(async move {
            let mut keys = Vec::new();
            for turn in 0..30_u64 {
                let key = format!("slow{writer}-{turn}");
                begin_entry(&client, &key).await;
                // The overlap is what is tested: the longer transactions span many commits of the others, and many cursors.
                tokio::time::sleep(Duration::from_millis((writer * turn * 7) % 40)).await;
                if turn % 5 == 4 {
                    client.batch_execute("ROLLBACK").await.unwrap();
                } else {
                    client.batch_execute("COMMIT").await.unwrap();
                    keys.push(key);
                }
            }
            keys
        }));
    }
    let mut cursors = [start.clone(), start];
    let mut met = [BTreeMap::<String, u32>::new(), BTreeMap::new()];
    let mut reads = 0;
    loop {
        let finished = writers.iter().all(tokio::task::JoinHandle::is_finished);
        // The second follower reads less often.
        let followers = if finished || reads % 7 == 0 { 2 } else { 1 };
        for follower in 0..followers {
            for entry in since(&tier, &mut cursors[follower]).await {
                *met[follower].entry(entry.key.unwrap()).or_default() += 1;
            }
        }
        reads += 1;
        if finished {
            break;
        }
    }
    let mut written = BTreeMap::new();
    for writer in writers {
        written.extend(writer.await.unwrap().into_iter().map(|key| (key, 1)));
    }
    assert!(reads > 50, "{reads} reads are too few to fall between transactions");
    assert_eq!(written.len(), 4 * 150 + 6 * 24);
    assert_eq!(met, [written.clone(), written]);
}

#[tokio::test]
async fn pruning_tells_exactly_those_who_missed_something() {
    let database = Database::create().await;
    let tier = database.tier().await;
    tier.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
    let (slow, idle) = (database.client().await, database.client().await);
    // A transaction that writes, but nothing that the log would tell.
    idle.batch_execute("BEGIN; CREATE TABLE unrelated (id INT)").await.unwrap();
    begin_entry(&slow, "slow").await;
    put(&tier, row(1)).await.unwrap();
    let before = tier.end().await.unwrap();
    assert_eq!(tier.prune(Duration::ZERO).await.unwrap(), 1, "what is not committed stays");
    assert!(!tier.read(&before).await.unwrap().gap, "who has read all that was pruned misses nothing");

    slow.batch_execute("COMMIT").await.unwrap();
    idle.batch_execute("COMMIT").await.unwrap();
    let batch = tier.read(&before).await.unwrap();
    assert!(!batch.gap);
    assert_eq!(named(&batch.entries), ["slow"]);

    assert_eq!(tier.prune(Duration::ZERO).await.unwrap(), 1);
    assert!(tier.read(&before).await.unwrap().gap, "the slow transaction was still to be read");
    assert!(!tier.read(&batch.cursor).await.unwrap().gap);

    // What is kept of pruned transactions goes as soon as no other transaction of the server is older.
    for id in 2..30 {
        put(&tier, row(id)).await.unwrap();
        tier.prune(Duration::ZERO).await.unwrap();
    }
    assert!(tier.read(&before).await.unwrap().gap);
    wait_until("that old places are forgotten", async || {
        put(&tier, row(1)).await.unwrap();
        tier.prune(Duration::ZERO).await.unwrap();
        idle.query_one("SELECT count(*) FROM _strata_log_pruned", &[]).await.unwrap().get::<_, i64>(0) <= 3
    })
    .await;
    assert!(tier.read(&before).await.unwrap().gap);
}

#[tokio::test]
async fn a_cursor_of_another_history_is_a_gap() {
    let database = Database::create().await;
    let tier = database.tier().await;
    tier.migrate(&[], &MigrationSettings::default()).await.unwrap();
    let end = tier.end().await.unwrap();
    let (log, rest) = end.as_str().split_once('/').unwrap();
    let (timeline, rest) = rest.split_once('/').unwrap();
    assert_eq!(timeline, "00000001");
    for foreign in [format!("{log}/00000002/{rest}"), format!("{log}/{timeline}/0//5:{}:", u64::MAX)] {
        let foreign = LogCursor::new(foreign);
        let batch = tier.read(&foreign).await.unwrap();
        assert!(batch.gap);
        assert!(!tier.covers(&batch.cursor, &foreign));
        assert!(!tier.read(&batch.cursor).await.unwrap().gap);
    }
}

/// A server whose files were put back gives the same numbers again, but not at the same times.
#[tokio::test]
async fn a_cursor_whose_last_row_was_written_at_another_time_is_a_gap() {
    let database = Database::create().await;
    let tier = database.tier().await;
    tier.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
    put(&tier, row(1)).await.unwrap();
    let before = tier.end().await.unwrap();
    put(&tier, row(1)).await.unwrap();
    assert!(!tier.read(&before).await.unwrap().gap);
    database.client().await.batch_execute("UPDATE _strata_log SET at = at + interval '1 microsecond'").await.unwrap();
    assert!(tier.read(&before).await.unwrap().gap);
    let now = tier.end().await.unwrap();
    tier.prune(Duration::ZERO).await.unwrap();
    assert!(!tier.read(&now).await.unwrap().gap, "what was pruned cannot be asked for");
}

/// The databases of a server number their transactions together, so nothing but the identity of the log tells these apart.
#[tokio::test]
async fn a_cursor_of_another_log_of_the_server_is_a_gap() {
    let (database, other) = (Database::create().await, Database::create().await);
    let (tier, beside) = (database.tier().await, other.tier().await);
    tier.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
    beside.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
    put(&tier, row(1)).await.unwrap();
    let before = tier.end().await.unwrap();
    put(&beside, row(1)).await.unwrap();
    let batch = beside.read(&before).await.unwrap();
    assert!(batch.gap && !beside.covers(&batch.cursor, &before));

    let another = PgTier::connect(database.config()).await.unwrap();
    assert!(!another.read(&before).await.unwrap().gap, "every connection knows the log");

    let client = database.client().await;
    client.batch_execute("DROP TABLE _strata_log, _strata_log_pruned, account; DROP SEQUENCE _strata_version").await.unwrap();
    another.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
    for tier in [&tier, &Arc::new(another)] {
        let batch = tier.read(&before).await.unwrap();
        assert!(batch.gap && !tier.covers(&batch.cursor, &before), "the tables were made anew");
        assert!(!tier.read(&batch.cursor).await.unwrap().gap);
    }
}

#[tokio::test]
async fn appended_entries_answer_their_versions_in_order() {
    let database = Database::create().await;
    let tier = database.tier().await;
    tier.migrate(&[], &MigrationSettings::default()).await.unwrap();
    let mut cursor = tier.end().await.unwrap();
    let entry = |number: u32| LogEntry {
        schema: "account".into(),
        key: (number != 7).then(|| number.to_string()),
        version: Default::default(),
        kind: LogKind::Invalidate,
        columns: None,
    };
    let entries: Vec<_> = (0..500).map(entry).collect();
    let versions = tier.append(&entries).await.unwrap();
    let mut written: Vec<_> = entries.into_iter().zip(&versions).map(|(entry, version)| LogEntry { version: *version, ..entry }).collect();
    let mut read = since(&tier, &mut cursor).await;
    for entries in [&mut written, &mut read] {
        entries.sort_by_key(|entry| entry.version);
    }
    assert_eq!(read, written);
    assert!(versions.is_sorted_by(|left, right| left < right));
    assert_eq!(tier.append(&[]).await.unwrap(), []);
}

#[tokio::test]
async fn kinds_of_a_later_version_read_as_invalidations_of_the_whole_schema() {
    let database = Database::create().await;
    let tier = database.tier().await;
    tier.migrate(&[], &MigrationSettings::default()).await.unwrap();
    let mut cursor = tier.end().await.unwrap();
    let client = database.client().await;
    client.batch_execute("INSERT INTO _strata_log (schema, key, version, kind) VALUES ('account', '1', 5, 77)").await.unwrap();
    let entry = since(&tier, &mut cursor).await.remove(0);
    assert_eq!((entry.kind, entry.key), (LogKind::Invalidate, None), "nobody knows what its key names");
}

#[tokio::test]
async fn the_log_of_a_database_that_was_never_prepared_is_a_mismatch() {
    let database = Database::create().await;
    let tier = database.tier().await;
    let cursor = LogCursor::new("7/1/0//5:9:");
    let entry = LogEntry { schema: "account".into(), key: None, version: Default::default(), kind: LogKind::Invalidate, columns: None };
    for error in [
        tier.end().await.unwrap_err(),
        tier.read(&cursor).await.unwrap_err(),
        tier.append(&[entry]).await.unwrap_err(),
        tier.prune(Duration::ZERO).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::SchemaMismatch);
    }
}

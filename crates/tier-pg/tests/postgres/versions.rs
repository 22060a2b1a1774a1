//! Versions rise in the order of commits, however writers wait for each other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use store_core::facet::{Begin, Condition, Log, LogKind, Migrations, Tables};
use store_core::{Isolation, MigrationSettings, Version};
use tier_pg::PgTier;
use tokio_postgres::Client;

use crate::database::{Database, wait_for_lock};
use crate::table::{LEVEL, account, get, key, keys, put, row, row_with, since};

/// Draws the next version, as a writer does just before it commits.
async fn draw(client: &Client) -> Version {
    let drawn: i64 = client.query_one("SELECT nextval('_strata_version')", &[]).await.unwrap().get(0);
    Version::new(drawn as u64)
}

/// Lets the tier expect that the rows of the next batch are not there.
async fn load(tier: &PgTier, first: i64) {
    for first in [first, first + 2] {
        let ids = [first, first + 1];
        tier.delete_many(&account(), &keys(ids)).await.unwrap();
        tier.put_many(&account(), &ids.map(row)).await.unwrap();
    }
}

async fn write(tier: Arc<PgTier>, call: &str) -> Option<Version> {
    match call {
        "load two" => Some(tier.put_many(&account(), &[row(2), row(1)]).await.unwrap()[1].version),
        "load two if absent" => {
            let mut transaction = tier.begin(&Begin { isolation: Isolation::ReadCommitted, limit: Duration::from_secs(60) }).await.unwrap();
            let stored = transaction.put_many_if(&account(), &[row(2), row(1)], &[Condition::Absent; 2]).await.unwrap().remove(1);
            transaction.commit().await.unwrap();
            stored.map(|stored| stored.version)
        }
        "put" => Some(put(&tier, row(1)).await.unwrap().version),
        "put two" => Some(tier.put_many(&account(), &[row(2), row(1)]).await.unwrap()[1].version),
        "delete" => tier.delete_many(&account(), &[key(1)]).await.unwrap()[0],
        "delete two" => tier.delete_many(&account(), &keys([2, 1])).await.unwrap()[1],
        _ => unreachable!(),
    }
}

/// Another transaction holds the row when ours arrives, and draws a number before it ends: ours must be the higher one.
#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_waited_draws_after_whom_it_waited_for() {
    const INSERT: &str = "INSERT INTO account VALUES (1, 'other@example.org', 5, NULL, NULL, 7)";
    const UPDATE: &str = "UPDATE account SET level = 5 WHERE id = 1";
    const DELETE: &str = "DELETE FROM account WHERE id = 1";
    let database = Database::create().await;
    let tier = database.tier().await;
    tier.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
    let (other, watcher) = (database.client().await, database.client().await);
    for held in [INSERT, UPDATE, DELETE] {
        for end in ["COMMIT", "ROLLBACK"] {
            for call in ["put", "put two", "load two", "delete", "delete two"] {
                let case = format!("{held}; {end}; {call}");
                watcher.batch_execute("DELETE FROM account").await.unwrap();
                if call == "load two" {
                    load(&tier, 100).await;
                }
                if held != INSERT {
                    put(&tier, row(1)).await.unwrap();
                }
                let mut cursor = tier.end().await.unwrap();
                other.batch_execute(&format!("BEGIN; {held}")).await.unwrap();
                let writer = tokio::spawn(write(Arc::clone(&tier), call));
                let is_put = !call.starts_with("delete");
                if is_put || held != INSERT {
                    wait_for_lock(&watcher).await;
                } else {
                    // A row that nobody sees yet cannot be deleted, so there is nothing to wait for.
                    assert_eq!(writer.await.unwrap(), None, "{case}");
                    other.batch_execute(end).await.unwrap();
                    continue;
                }
                let drawn = draw(&other).await;
                other.batch_execute(end).await.unwrap();
                let version = writer.await.unwrap();

                assert_eq!(version.is_some(), is_put || (held, end) != (DELETE, "COMMIT"), "{case}");
                let Some(version) = version else { continue };
                // Who rolled back has no place in the order.
                assert!(version > drawn || end == "ROLLBACK", "{case}: {version} is not above {drawn}");
                let kind = if is_put { LogKind::Put } else { LogKind::Delete };
                let logged = since(&tier, &mut cursor).await;
                let ours = logged.iter().find(|entry| entry.key.as_deref() == Some("1")).unwrap();
                assert_eq!((ours.version, ours.kind), (version, kind), "{case}");
                let held = get(&tier, 1).await.unwrap().map(|held| held.version);
                assert_eq!(held, is_put.then_some(version), "{case}");
            }
        }
    }
}

/// As above, for an insertion that arrives when the row is not there, but draws its number before another transaction that inserts and deletes the key, and waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn an_insertion_that_waited_for_a_deletion_draws_after_it() {
    const INSERT: &str = "INSERT INTO account VALUES (1, 'other@example.org', 5, NULL, NULL, 7)";
    const DELETE: &str = "DELETE FROM account WHERE id = 1";
    let database = Database::create().await;
    let tier = database.tier().await;
    tier.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
    let (other, watcher) = (database.client().await, database.client().await);
    let cases = [(INSERT, DELETE, "put"), (INSERT, DELETE, "load two"), (INSERT, DELETE, "load two if absent"), (DELETE, "", "load two")];
    for (held, before_the_end, call) in cases {
        watcher.batch_execute("DELETE FROM account").await.unwrap();
        load(&tier, 100).await;
        if held == DELETE {
            put(&tier, row(1)).await.unwrap();
        }
        let mut cursor = tier.end().await.unwrap();
        other.batch_execute(&format!("BEGIN; {held}")).await.unwrap();
        let writer = tokio::spawn(write(Arc::clone(&tier), call));
        wait_for_lock(&watcher).await;
        other.batch_execute(before_the_end).await.unwrap();
        let drawn = draw(&other).await;
        other.batch_execute("COMMIT").await.unwrap();
        let version = writer.await.unwrap().unwrap();
        assert!(version > drawn, "{held}; {call}: {version} is not above {drawn}");
        let logged = since(&tier, &mut cursor).await;
        for id in [1, 2] {
            let (key, stored) = (id.to_string(), get(&tier, id).await.unwrap());
            let entry = logged.iter().find(|entry| entry.key.as_deref() == Some(key.as_str()));
            assert_eq!(stored.map(|stored| stored.version), entry.map(|entry| entry.version), "{held}; {call}: {id}");
        }
    }
}

/// What a follower meets later has the higher version, key by key, and the last entry of each key is the row that is there.
#[tokio::test(flavor = "multi_thread")]
async fn versions_rise_from_batch_to_batch_of_the_log() {
    let database = Database::create().await;
    let tiers = [database.tier().await, database.tier().await];
    tiers[0].migrate(&[account()], &MigrationSettings::default()).await.unwrap();
    let mut cursor = tiers[0].end().await.unwrap();
    let writers: Vec<_> = (0..8_i64)
        .map(|writer| {
            let tier = Arc::clone(&tiers[writer as usize % 2]);
            tokio::spawn(async move {
                for turn in 0..60_i64 {
                    let id = 1 + (turn + writer) % 2;
                    match (turn + writer) % 6 {
                        // Whether the rows of a batch are there is expected in vain now and then.
                        5 => load(&tier, 200 + 10 * writer).await,
                        0 => drop(tier.delete_many(&account(), &[key(id)]).await.unwrap()),
                        1 => drop(tier.delete_many(&account(), &keys([2, 1])).await.unwrap()),
                        2 => drop(tier.put_many(&account(), &[row(2), row(1)]).await.unwrap()),
                        _ => drop(put(&tier, row_with(id, LEVEL, writer * 100 + turn)).await.unwrap()),
                    }
                }
            })
        })
        .collect();
    let mut last: HashMap<String, (Version, LogKind)> = HashMap::new();
    let mut batches = 0;
    loop {
        let finished = writers.iter().all(tokio::task::JoinHandle::is_finished);
        let mut batch = since(&tiers[0], &mut cursor).await;
        batches += usize::from(!batch.is_empty());
        batch.sort_by_key(|entry| entry.version);
        let before = last.clone();
        for entry in batch {
            let key = entry.key.unwrap();
            if let Some((version, _)) = before.get(&key) {
                assert!(entry.version > *version, "key {key}: {} was met after {version}", entry.version);
            }
            last.insert(key, (entry.version, entry.kind));
        }
        if finished {
            break;
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(batches > 10, "the follower read while the writers wrote");
    for id in [1, 2] {
        let held = get(&tiers[0], id).await.unwrap().map(|held| held.version);
        let (version, kind) = last[&id.to_string()];
        assert_eq!(held, (kind == LogKind::Put).then_some(version));
    }
}

/// Writers that insert one key at once all succeed, although each also meets the others in the index of another unique column.
#[tokio::test(flavor = "multi_thread")]
async fn insertions_of_one_key_do_not_violate_its_other_unique_columns() {
    let database = Database::create().await;
    let tier = database.tier().await;
    tier.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
    for id in 0..40 {
        let writers: Vec<_> = (0..6_i64)
            .map(|writer| {
                let tier = Arc::clone(&tier);
                tokio::spawn(async move {
                    match writer % 2 {
                        0 => put(&tier, row_with(2 * id, LEVEL, writer)).await.map(drop),
                        _ => tier.put_many(&account(), &[row(2 * id + 1), row(2 * id)]).await.map(drop),
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap().unwrap();
        }
    }
}

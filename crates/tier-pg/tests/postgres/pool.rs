//! Connections: how many there are, how long they live, and what a dropped future leaves behind.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use store_core::facet::{Begin, Count, Log, LogKind, Migrations, RowLock, Select, Tables};
use store_core::{ErrorKind, Isolation, MigrationSettings, Tier};
use tier_pg::PgTier;
use tokio_postgres::Client;

use crate::database::{Database, wait_until};
use crate::table::{account, get, key, keys, put, row, since};

async fn connections(client: &Client) -> i64 {
    const COUNT: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'strata'";
    client.query_one(COUNT, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_pool_in_use_is_a_timeout_that_says_so() {
    let database = Database::create().await;
    let config = database.config().with_max_connections(2).with_acquire_timeout(Duration::from_millis(200));
    let tier = Arc::new(PgTier::connect(config).await.unwrap());
    tier.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
    tier.put_many(&account(), &(1..=5_000).map(row).collect::<Vec<_>>()).await.unwrap();
    let mut streams: Vec<_> = (0..2).map(|_| Arc::clone(&tier).select(account(), Select::default())).collect();
    for stream in &mut streams {
        stream.next().await.unwrap().unwrap();
    }
    let begin = Instant::now();
    let error = get(&tier, 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains("max_connections"), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    assert_eq!(connections(&database.client().await).await, 2);

    drop(streams.pop());
    get(&tier, 1).await.unwrap().unwrap();
    assert_eq!(streams.pop().unwrap().count().await, 4_999);
    get(&tier, 1).await.unwrap().unwrap();
}

#[tokio::test]
async fn connections_are_kept_warm_and_surplus_ones_are_closed() {
    let database = Database::create().await;
    let client = database.client().await;
    let config = database.config().with_min_connections(2).with_max_connection_idle_time(Duration::from_millis(300));
    let tier = Arc::new(PgTier::connect(config).await.unwrap());
    tier.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
    wait_until("two warm connections", async || connections(&client).await == 2).await;
    let reads: Vec<_> = (0..60)
        .map(|_| {
            let tier = Arc::clone(&tier);
            tokio::spawn(async move { crate::table::ids(&tier, "pg_sleep(0.05) IS NULL", vec![]).await.unwrap() })
        })
        .collect();
    wait_until("more connections under load", async || connections(&client).await > 2).await;
    for read in reads {
        read.await.unwrap();
    }
    wait_until("two connections again", async || connections(&client).await == 2).await;
    // Somebody ends them: they are replaced.
    client
        .batch_execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'strata'",
        )
        .await
        .unwrap();
    wait_until("two new connections", async || connections(&client).await == 2).await;
    tier.close().await.unwrap();
    wait_until("no connection", async || connections(&client).await == 0).await;
}

#[tokio::test]
async fn an_old_connection_is_replaced() {
    let database = Database::create().await;
    let tier = PgTier::connect(database.config().with_max_connection_lifetime(Duration::from_millis(50))).await.unwrap();
    let client = database.client().await;
    const PID: &str = "SELECT max(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'strata'";
    let first: i32 = client.query_one(PID, &[]).await.unwrap().get(0);
    wait_until("another connection", async || {
        tier.ping().await.unwrap();
        client.query_one(PID, &[]).await.unwrap().get::<_, i32>(0) != first
    })
    .await;
}

#[tokio::test]
async fn a_closed_tier_says_so() {
    let database = Database::create().await;
    let tier = database.tier().await;
    tier.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
    tier.close().await.unwrap();
    tier.close().await.unwrap();
    let stream = Arc::clone(&tier).select(account(), Select::default()).next().await.unwrap();
    for error in [
        tier.ping().await.unwrap_err(),
        get(&tier, 1).await.unwrap_err(),
        put(&tier, row(1)).await.unwrap_err(),
        tier.end().await.unwrap_err(),
        tier.migrate(&[account()], &MigrationSettings::default()).await.unwrap_err(),
        stream.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Closed);
    }
}

/// Conditions that differ each time do not fill the memory of the server with prepared statements.
#[tokio::test]
async fn prepared_statements_are_limited() {
    let database = Database::create().await;
    let tier = Arc::new(PgTier::connect(database.config().with_max_connections(1)).await.unwrap());
    tier.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
    put(&tier, row(1)).await.unwrap();
    for number in 0..600 {
        crate::table::ids(&tier, &format!("level <> {number}"), vec![]).await.unwrap();
    }
    let few = "(SELECT count(*) FROM pg_prepared_statements) BETWEEN 1 AND 300";
    assert_eq!(crate::table::ids(&tier, few, vec![]).await.unwrap(), [1]);
}

/// The answer may have come in time and be looked at too late, by when the watch over the limit has found the connection in use.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_whose_task_was_held_up_ends_with_its_limit() {
    let database = Database::create().await;
    let tier = database.tier().await;
    tier.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
    put(&tier, row(1)).await.unwrap();
    let (account, keys) = (account(), [key(1)]);
    let begun = Instant::now();
    let limit = Duration::from_secs(3);
    let mut transaction = tier.begin(&Begin { isolation: Isolation::ReadCommitted, limit }).await.unwrap();
    // What is prepared needs one round trip.
    transaction.get_many(&account, &keys, RowLock::ForUpdate).await.unwrap();
    let mut call = transaction.get_many(&account, &keys, RowLock::ForUpdate);
    assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    tokio::time::sleep((limit + Duration::from_millis(200)).saturating_sub(begun.elapsed())).await;
    assert_eq!(call.await.unwrap_err().kind(), ErrorKind::TransactionTimeout);
}

/// Polls a future so many times and then drops it. `None` if it was dropped.
async fn poll_times<T>(work: impl Future<Output = T>, times: usize) -> Option<T> {
    let mut work = pin!(work);
    for _ in 0..times {
        if let Poll::Ready(value) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Some(value);
        }
        // Lets the driver work, so that each poll may get further.
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    None
}

/// Futures of every call are dropped at every point where they wait. Whatever was written is written whole, in the log too, and the two
/// connections of the pool serve on, with no transaction open on them.
#[tokio::test]
async fn futures_can_be_dropped_wherever_they_wait() {
    const WIDTH: i64 = 3;
    let database = Database::create().await;
    let tier = Arc::new(PgTier::connect(database.config().with_max_connections(2)).await.unwrap());
    tier.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
    let client = database.client().await;
    let mut cursor = tier.end().await.unwrap();
    let (mut dropped, mut done) = (0, 0);
    for turn in 0..120_usize {
        let times = turn / 4;
        let base = 1 + (turn as i64) * 10;
        let rows: Vec<_> = (base..base + WIDTH).map(row).collect();
        let finished = match turn % 4 {
            0 => poll_times(tier.put_many(&account(), &rows[..1]), times).await.is_some(),
            1 => poll_times(tier.put_many(&account(), &rows), times).await.is_some(),
            2 => {
                tier.put_many(&account(), &rows).await.unwrap();
                poll_times(tier.delete_many(&account(), &keys(base..base + WIDTH)), times).await.is_some()
            }
            _ => {
                let stream = Arc::clone(&tier).select(account(), Select::default());
                poll_times(stream.count(), times).await.is_some()
            }
        };
        if finished { done += 1 } else { dropped += 1 }
    }
    assert!(dropped > 10 && done > 10, "{dropped} dropped, {done} done");
    wait_until("the end of all transactions", async || {
        const OPEN: &str =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'strata' AND state <> 'idle'";
        client.query_one(OPEN, &[]).await.unwrap().get::<_, i64>(0) == 0
    })
    .await;
    for turn in 0..120_i64 {
        let base = 1 + turn * 10;
        let there = tier.exists_many(&account(), &keys(base..base + WIDTH)).await.unwrap();
        match turn % 4 {
            0 => assert!(!there[1] && !there[2]),
            _ => assert!(there.iter().all(|exists| *exists == there[0]), "a part of the rows of turn {turn} is there"),
        }
    }
    // The log and the table tell the same.
    let mut last = std::collections::BTreeMap::new();
    for entry in since(&tier, &mut cursor).await {
        let (version, kind) = last.entry(entry.key.unwrap()).or_insert((entry.version, entry.kind));
        if entry.version > *version {
            (*version, *kind) = (entry.version, entry.kind);
        }
    }
    let held = tier.count(&account(), Count::default()).await.unwrap();
    let put = last.iter().filter(|(_, (_, kind))| *kind == LogKind::Put);
    assert_eq!(put.clone().count() as u64, held);
    for (text, (version, _)) in put {
        assert_eq!(get(&tier, text.parse().unwrap()).await.unwrap().unwrap().version, *version);
    }
    assert_eq!(tier.delete_many(&account(), &[key(-1)]).await.unwrap(), [None]);
}

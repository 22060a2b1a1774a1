//! Leaderships among several tiers.

use std::time::Duration;

use store_core::facet::Log;
use store_core::{ErrorKind, Tier};
use store_testkit::servers::{PostgresOptions, PostgresServer};
use tier_pg::{PgConfig, PgTier};
use tokio_postgres::Client;

use crate::database::{Database, wait_until};

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Asks for something about the advisory locks of the database.
async fn of_locks(client: &Client, what: &str) -> i64 {
    let sql = format!(
        "SELECT count({what}) FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database \
        WHERE l.locktype = 'advisory' AND d.datname = current_database()"
    );
    client.query_one(&sql, &[]).await.unwrap().get(0)
}

async fn locks(client: &Client) -> i64 {
    of_locks(client, "*").await
}

#[tokio::test]
async fn each_name_is_led_by_one_tier_until_it_is_closed() {
    let database = Database::create().await;
    let (first, second) = (database.tier().await, database.tier().await);
    let client = database.client().await;
    assert_eq!(first.lead(&names(&["log", "slots:a", "log"])).await.unwrap(), [true, true, true]);
    assert_eq!(second.lead(&names(&["slots:b", "log", "slots:a"])).await.unwrap(), [true, false, false]);
    for _ in 0..3 {
        assert_eq!(first.lead(&names(&["slots:b", "slots:a", "log"])).await.unwrap(), [false, true, true]);
        assert_eq!(second.lead(&names(&["log", "slots:b"])).await.unwrap(), [false, true]);
    }
    assert_eq!(first.lead(&[]).await.unwrap(), Vec::<bool>::new());
    assert_eq!(locks(&client).await, 3);

    first.close().await.unwrap();
    assert_eq!(second.lead(&names(&["log", "slots:a", "slots:b"])).await.unwrap(), [true, true, true], "locks are released at once");
    assert_eq!(first.lead(&names(&["log"])).await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(locks(&client).await, 3);
    drop(second);
    wait_until("the locks of a tier that was dropped are free", async || locks(&client).await == 0).await;
}

#[tokio::test]
async fn a_lost_connection_loses_all_and_the_next_call_seeks_anew() {
    let database = Database::create().await;
    let (first, second) = (database.tier().await, database.tier().await);
    let client = database.client().await;
    assert_eq!(first.lead(&names(&["log", "slots:a"])).await.unwrap(), [true, true]);
    of_locks(&client, "pg_terminate_backend(l.pid)").await;
    wait_until("the locks are free", async || locks(&client).await == 0).await;
    assert_eq!(second.lead(&names(&["slots:a"])).await.unwrap(), [true]);
    // The loss may be told as an error once.
    let mut led = first.lead(&names(&["log", "slots:a"])).await;
    if led.is_err() {
        led = first.lead(&names(&["log", "slots:a"])).await;
    }
    assert_eq!(led.unwrap(), [true, false]);
}

/// A call that is dropped midway must not leave a lock that nobody knows of.
#[tokio::test]
async fn a_call_that_is_dropped_leaves_no_lock_behind() {
    let database = Database::create().await;
    let tier = database.tier().await;
    let client = database.client().await;
    for microseconds in (0..4_000).step_by(100) {
        let wanted = names(&["log", &format!("slots:{microseconds}")]);
        let _ = tokio::time::timeout(Duration::from_micros(microseconds), tier.lead(&wanted)).await;
    }
    // What remains is what the one session holds that lives, once those that were dropped have ended.
    wait_until("one session", async || {
        assert_eq!(tier.lead(&names(&["last"])).await.unwrap(), [true]);
        of_locks(&client, "DISTINCT l.pid").await == 1
    })
    .await;
    tier.close().await.unwrap();
    assert_eq!(locks(&client).await, 0);
}

#[tokio::test]
async fn logs_of_one_database_in_different_schemas_are_led_apart() {
    let database = Database::create().await;
    database.client().await.batch_execute("CREATE SCHEMA one; CREATE SCHEMA two").await.unwrap();
    let mut held = Vec::new();
    for schema in ["one", "two"] {
        let config = || PgConfig::from_url(&database.url_in(schema)).unwrap();
        let tiers = [PgTier::connect(config()).await.unwrap(), PgTier::connect(config()).await.unwrap()];
        assert_eq!(tiers[0].lead(&names(&["log"])).await.unwrap(), [true]);
        assert_eq!(tiers[1].lead(&names(&["log"])).await.unwrap(), [false]);
        held.push(tiers);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_told_and_closing_does_not_wait_for_it() {
    let mut server = PostgresServer::start(&PostgresOptions::default()).unwrap();
    let limit = Duration::from_secs(20);
    let config = PgConfig::from_url(&server.url()).unwrap().with_statement_timeout(limit).with_connect_timeout(limit);
    let tier = std::sync::Arc::new(PgTier::connect(config).await.unwrap());
    assert_eq!(tier.lead(&names(&["log"])).await.unwrap(), [true]);
    server.kill().unwrap();
    wait_until("the loss of the server is told", async || {
        tier.lead(&names(&["log"])).await.is_err_and(|error| error.kind() == ErrorKind::L3Unavailable)
    })
    .await;
    server.restart().unwrap();
    wait_until("a new session", async || tier.lead(&names(&["log"])).await.is_ok()).await;

    server.pause().unwrap();
    let waiting = tokio::spawn({
        let tier = std::sync::Arc::clone(&tier);
        async move { tier.lead(&names(&["log"])).await }
    });
    tokio::task::yield_now().await;
    let begin = std::time::Instant::now();
    tier.close().await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), ErrorKind::Closed);
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    server.resume().unwrap();
}

//! PostgreSQL killed and started again in the middle of transactions.

use std::time::Duration;

use store_testkit::servers::{PostgresOptions, PostgresServer};
use strata::mem::MemTier;
use strata::pg::{PgConfig, PgTier};
use strata::{ErrorKind, Store};

use super::{level, raise, truth};
use store_tests::models::{Player, player};
use store_tests::waiting::until;

const LIMIT: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_in_the_middle_leaves_all_or_nothing() {
    let mut server = PostgresServer::start(&PostgresOptions::default()).unwrap();
    let config = PgConfig::from_url(&server.url()).unwrap().with_connect_timeout(LIMIT).with_acquire_timeout(LIMIT);
    let tier = PgTier::connect(config.with_statement_timeout(LIMIT)).await.unwrap();
    let builder = Store::builder().near(MemTier::new()).tier(tier).schema::<Player>();
    let store = builder.configure(|settings| settings.breaker.enabled = false).build().await.unwrap();
    let players = store.collection::<Player>().unwrap();
    players.set_many([player("a", 1), player("b", 1)]).await.unwrap();

    let killed = store.transaction(async |tx| {
        raise(tx, "a").await?;
        server.kill().unwrap();
        tx.set(player("b", 2)).await.map(drop)
    });
    let error = killed.await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::L3Unavailable | ErrorKind::Timeout), "{error}");
    assert!(!error.to_string().contains("unknown"), "nothing was committed: {error}");
    let away = store.transaction(async |tx| raise(tx, "a").await).await.unwrap_err();
    assert!(matches!(away.kind(), ErrorKind::L3Unavailable | ErrorKind::Timeout), "{away}");
    server.restart().unwrap();
    until("the store reaches the server again", async || store.transaction(async |tx| tx.get::<Player>("a").await).await.is_ok()).await;
    assert_eq!((truth(&players, "a").await, truth(&players, "b").await), (Some(1), Some(1)));
    assert_eq!((level(&players, "a").await, level(&players, "b").await), (Some(1), Some(1)));

    // Killed just before the commit, which then has an outcome that the caller does not know.
    let killed = store.transaction(async |tx| {
        raise(tx, "a").await?;
        raise(tx, "b").await?;
        server.kill().unwrap();
        Ok(())
    });
    let error = killed.await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::L3Unavailable | ErrorKind::Timeout), "{error}");
    server.restart().unwrap();
    until("the store reaches the server again", async || store.transaction(async |tx| tx.get::<Player>("a").await).await.is_ok()).await;
    assert_eq!((truth(&players, "a").await, truth(&players, "b").await), (Some(1), Some(1)), "it had not been sent");
    assert_eq!((level(&players, "a").await, level(&players, "b").await), (Some(1), Some(1)));
    store.transaction(async |tx| raise(tx, "a").await).await.unwrap();
    assert_eq!(level(&players, "a").await, Some(2));
}

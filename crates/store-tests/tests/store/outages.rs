//! Servers that are killed and come back, under a store.

use std::time::Duration;

use store_testkit::servers::{PostgresOptions, PostgresServer, RedisOptions, RedisServer};
use strata::mem::MemTier;
use strata::pg::{PgConfig, PgTier};
use strata::redis::{RedisConfig, RedisTier};
use strata::{Collection, ErrorKind, Query, Role, Store};

use store_tests::models::{Player, player};
use store_tests::stacks::open_sqlite;

const LIMIT: Duration = Duration::from_secs(2);

/// Longer than every time limit of a call together, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);

async fn redis(server: &RedisServer) -> RedisTier {
    let config = RedisConfig::from_url(&server.url()).unwrap();
    RedisTier::connect(config.with_read_timeout(LIMIT).with_write_timeout(LIMIT).with_dial_timeout(LIMIT)).await.unwrap()
}

/// A call must answer in time, whatever it answers.
async fn in_time<R>(call: impl Future<Output = R>) -> R {
    tokio::time::timeout(PATIENCE, call).await.expect("the call did not answer within its limits")
}

async fn level(players: &Collection<Player>) -> Option<i64> {
    in_time(players.get("a")).await.unwrap().map(|player| player.level)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_redis_costs_no_answer_and_comes_back_without_what_it_missed() {
    // With a file, so that it comes back with the old record.
    let mut server = RedisServer::start(&RedisOptions { append_only: true, ..RedisOptions::default() }).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let open = async |server: &RedisServer| {
        let builder = Store::builder().near(MemTier::new()).tier(redis(server).await).tier(open_sqlite(&directory).await);
        let store = builder.schema::<Player>().build().await.unwrap();
        store.collection::<Player>().unwrap()
    };
    let (players, other) = (open(&server).await, open(&server).await);
    players.set(player("a", 1)).await.unwrap();
    players.from(Role::Shared).get("a").await.unwrap();
    assert_eq!(level(&other).await, Some(1));

    server.kill().unwrap();
    assert_eq!(in_time(players.set(player("a", 2))).await.unwrap().level, 2);
    assert_eq!(level(&players).await, Some(2));
    assert_eq!(in_time(players.from(Role::Shared).get("a")).await.unwrap().unwrap().level, 2);
    assert_eq!(in_time(players.get_many(["a", "b"])).await.unwrap().iter().flatten().count(), 1);
    in_time(players.set(player("b", 1))).await.unwrap();
    assert!(in_time(players.delete("b")).await.unwrap());
    in_time(players.invalidate("a")).await.unwrap();
    assert_eq!(level(&players).await, Some(2));

    server.restart().unwrap();
    let mended = tokio::time::Instant::now() + PATIENCE;
    while other.from(Role::Shared).get("a").await.unwrap().unwrap().level != 2 {
        assert_eq!(in_time(players.from(Role::Shared).get("a")).await.unwrap().unwrap().level, 2, "the instance that knows better");
        assert!(tokio::time::Instant::now() < mended, "the slot was never mended");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_postgres_is_a_typed_error_and_memory_goes_on() {
    let mut server = PostgresServer::start(&PostgresOptions::default()).unwrap();
    let config = PgConfig::from_url(&server.url()).unwrap().with_connect_timeout(LIMIT).with_acquire_timeout(LIMIT);
    let tier = PgTier::connect(config.with_statement_timeout(Duration::from_secs(2))).await.unwrap();
    let builder = Store::builder().near(MemTier::new()).tier(tier).schema::<Player>();
    // However long the server takes to die.
    let builder = builder.configure(|settings| settings.freshness = 2 * PATIENCE);
    let store = builder.build().await.unwrap();
    let players = store.collection::<Player>().unwrap();
    players.set_many([player("a", 1), player("b", 2)]).await.unwrap();
    players.invalidate("b").await.unwrap();

    server.kill().unwrap();
    assert_eq!(level(&players).await, Some(1), "memory needs no server");
    let errors = [
        in_time(players.get("b")).await.unwrap_err(),
        in_time(players.set(player("c", 3))).await.unwrap_err(),
        in_time(players.delete("b")).await.unwrap_err(),
        in_time(players.search(Query::new())).await.unwrap_err(),
        in_time(players.exists("b")).await.unwrap_err(),
        in_time(store.ping()).await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error.kind(), ErrorKind::L3Unavailable | ErrorKind::Timeout), "{error:?}");
        assert!(error.is_retryable() && error.tier() == Some(Role::Truth), "{error:?}");
    }

    server.restart().unwrap();
    let back = tokio::time::Instant::now() + PATIENCE;
    while in_time(players.get("b")).await.is_err() {
        assert!(tokio::time::Instant::now() < back, "the store never found the server again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(players.get("b").await.unwrap().unwrap().level, 2);
    players.set(player("c", 3)).await.unwrap();
    assert_eq!(players.count(Query::new()).await.unwrap(), 3);
}

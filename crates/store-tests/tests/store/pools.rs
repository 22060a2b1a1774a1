//! Connections of a pool that are all in use.

use std::time::Duration;

use futures_util::StreamExt;
use strata::pg::{PgConfig, PgTier};
use strata::{BreakerSettings, BreakerState, ErrorKind, Query, Role, Store};

use store_tests::models::{Player, player};
use store_tests::stacks;

/// Streams that are not read on hold connections of the pool: the server is well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_whose_connections_are_all_in_use_opens_no_breaker() {
    let (database, _) = stacks::postgres::open().await;
    let config = PgConfig::from_url(&database.url()).unwrap().with_max_connections(2).with_acquire_timeout(Duration::from_millis(100));
    let builder = Store::builder().tier(PgTier::connect(config).await.unwrap()).schema::<Player>();
    let store = builder.configure(|settings| settings.freshness = Duration::from_secs(120)).build().await.unwrap();
    let players = store.collection::<Player>().unwrap();
    let many: Vec<Player> = (0..5_000).map(|number| player(&number.to_string(), 1)).collect();
    players.set_many(many).await.unwrap();
    let mut streams = [(); 2].map(|()| players.stream(Query::new()).unwrap());
    for stream in &mut streams {
        stream.next().await.unwrap().unwrap();
    }
    for _ in 0..=BreakerSettings::default().failures {
        let error = players.get("7").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        assert!(error.to_string().contains("streams") && error.to_string().contains("does not answer"), "{error}");
    }
    assert_eq!(store.health().tier(Role::Truth).unwrap().state, BreakerState::Closed);
    drop(streams);
    players.set(player("a", 1)).await.unwrap();
}

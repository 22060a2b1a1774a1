//! Searches and counts on a read replica.
//!
//! The replica is a database of its own with other rows, so that each answer shows who gave it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use store_core::ErrorKind;
use store_core::facet::{Count, Select, Tables};
use store_testkit::servers::{PostgresOptions, PostgresServer};
use tier_pg::{PgConfig, PgTier};

use crate::database::Database;
use crate::table::{account, get, ids, put, raw, row};

async fn filled(url: &str, id: i64) {
    let tier = PgTier::connect(PgConfig::from_url(url).unwrap()).await.unwrap();
    tier.prepare(&[account()]).await.unwrap();
    put(&tier, row(id)).await.unwrap();
}

fn limits(config: PgConfig) -> PgConfig {
    config
        .with_connect_timeout(Duration::from_millis(400))
        .with_acquire_timeout(Duration::from_millis(400))
        .with_statement_timeout(Duration::from_secs(1))
}

#[tokio::test]
async fn searches_and_counts_go_to_the_replica_unless_told_otherwise() {
    let (primary, replica) = (Database::create().await, Database::create().await);
    filled(&primary.url(), 1).await;
    filled(&replica.url(), 2).await;
    let tier = Arc::new(PgTier::connect(primary.config().with_read_replica(&replica.url()).unwrap()).await.unwrap());
    assert!(tier.reads_from_replica());
    assert!(!primary.tier().await.reads_from_replica());

    assert_eq!(ids(&tier, "TRUE", vec![]).await.unwrap(), [2]);
    let of_primary = Select { from_primary: true, ..Select::default() };
    let rows: Vec<_> = Arc::clone(&tier).select(account(), of_primary).try_collect().await.unwrap();
    assert_eq!(rows[0].row[0], 1.into());
    for (from_primary, id) in [(false, 2), (true, 1)] {
        let count = Count { filter: Some(raw(&format!("id = {id}"), vec![])), from_primary };
        assert_eq!(tier.count(&account(), count).await.unwrap(), 1);
    }
    assert!(get(&tier, 1).await.unwrap().is_some());
    assert!(get(&tier, 2).await.unwrap().is_none());
    put(&tier, row(3)).await.unwrap();
    assert_eq!(ids(&tier, "TRUE", vec![]).await.unwrap(), [2]);

    // What is wrong with the query is wrong everywhere.
    assert_eq!(ids(&tier, "level >", vec![]).await.unwrap_err().kind(), ErrorKind::InvalidQuery);
    // A replica that lags behind may lack a table.
    replica.client().await.batch_execute("DROP TABLE account").await.unwrap();
    assert_eq!(ids(&tier, "TRUE", vec![]).await.unwrap(), [1, 3]);
}

#[tokio::test]
async fn the_primary_answers_while_the_replica_cannot() {
    let primary = Database::create().await;
    filled(&primary.url(), 1).await;
    let mut server = PostgresServer::start(&PostgresOptions::default()).unwrap();
    filled(&server.url(), 2).await;
    let config = limits(primary.config().with_read_replica(&server.url()).unwrap());
    let tier = Arc::new(PgTier::connect(config.clone()).await.unwrap());
    assert_eq!(ids(&tier, "TRUE", vec![]).await.unwrap(), [2]);

    server.pause().unwrap();
    assert_eq!(ids(&tier, "TRUE", vec![]).await.unwrap(), [1]);
    let begin = Instant::now();
    for _ in 0..20 {
        assert_eq!(tier.count(&account(), Count::default()).await.unwrap(), 1);
        assert_eq!(ids(&tier, "TRUE", vec![]).await.unwrap(), [1]);
    }
    assert!(begin.elapsed() < Duration::from_secs(2), "a replica that failed is left alone for a while");
    server.resume().unwrap();

    let (tier, _) = (Arc::new(PgTier::connect(config.clone()).await.unwrap()), server.kill().unwrap());
    assert_eq!(tier.count(&account(), Count::default()).await.unwrap(), 1);
    assert_eq!(ids(&tier, "TRUE", vec![]).await.unwrap(), [1]);
    // Nor is a replica needed to begin with.
    let tier = Arc::new(PgTier::connect(config).await.unwrap());
    assert_eq!(ids(&tier, "TRUE", vec![]).await.unwrap(), [1]);
}

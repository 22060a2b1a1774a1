//! Searches and counts on a read replica.
//!
//! Where nothing else is said, the replica is a database of its own with other rows, so that each answer shows who gave it; its lag is not bounded then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use store_core::facet::{Count, Log, LogCursor, Migrations, ReadPreference, Select, Tables};
use store_core::{ErrorKind, MigrationSettings, Version};
use store_testkit::servers::{PostgresOptions, PostgresServer};
use tier_pg::{PgConfig, PgTier};

use crate::database::{Database, wait_until};
use crate::table::{account, get, ids, put, raw, row};

async fn filled(url: &str, id: i64) {
    let tier = PgTier::connect(PgConfig::from_url(url).unwrap()).await.unwrap();
    tier.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
    put(&tier, row(id)).await.unwrap();
}

fn limits(config: PgConfig) -> PgConfig {
    config
        .with_connect_timeout(Duration::from_secs(2))
        .with_acquire_timeout(Duration::from_secs(2))
        .with_statement_timeout(Duration::from_secs(3))
}

#[tokio::test]
async fn searches_and_counts_go_to_the_replica_unless_told_otherwise() {
    let (primary, replica) = (Database::create().await, Database::create().await);
    filled(&primary.url(), 1).await;
    filled(&replica.url(), 2).await;
    let config = primary.config().with_read_replica(&replica.url()).unwrap();
    let tier = Arc::new(PgTier::connect(config.with_max_replica_lag(None)).await.unwrap());
    assert!(tier.reads_from_replica());
    assert!(!primary.tier().await.reads_from_replica());

    assert_eq!(ids(&tier, "TRUE", vec![]).await.unwrap(), [2]);
    let of_primary = Select { preference: ReadPreference::Primary, ..Select::default() };
    let rows: Vec<_> = Arc::clone(&tier).select(account(), of_primary).try_collect().await.unwrap();
    assert_eq!(rows[0].row[0], 1.into());
    for (preference, id) in [(ReadPreference::Replica, 2), (ReadPreference::Primary, 1)] {
        let count = Count { filter: Some(raw(&format!("id = {id}"), vec![])), preference };
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

/// What a standby had not replayed is lost when it takes over, but no number of a lost write is given to another one.
#[tokio::test]
async fn a_standby_that_takes_over_draws_above_every_version_before_it() {
    let mut primary = PostgresServer::start(&PostgresOptions::default()).unwrap();
    let mut replica = primary.start_replica().unwrap();
    let tier = PgTier::connect(PgConfig::from_url(&primary.url()).unwrap()).await.unwrap();
    tier.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
    put(&tier, row(1)).await.unwrap();
    let seen = tier.end().await.unwrap();
    wait_until("the standby's row", async || replica.query("SELECT count(*) FROM account").is_ok_and(|count| count.trim() == "1")).await;
    replica.stop().unwrap();
    let mut lost = Version::new(0);
    for _ in 0..100 {
        lost = put(&tier, row(2)).await.unwrap().version;
    }
    primary.kill().unwrap();
    replica.restart().unwrap();
    replica.promote().unwrap();

    let config = PgConfig::from_url(&replica.url()).unwrap();
    let (one, other) = tokio::join!(PgTier::connect(config.clone()), PgTier::connect(config));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(get(&one, 2).await.unwrap(), None, "the standby had not replayed it");
    assert!(one.read(&seen).await.unwrap().gap);
    let first = put(&one, row(2)).await.unwrap().version;
    let second = put(&other, row(2)).await.unwrap().version;
    assert!(lost < first && first < second, "{lost:?}, {first:?}, {second:?}");
    let third = PgTier::connect(PgConfig::from_url(&replica.url()).unwrap()).await.unwrap();
    assert_eq!(put(&third, row(2)).await.unwrap().version.get(), second.get() + 1, "it is raised once");
}

#[tokio::test]
async fn the_primary_answers_while_the_replica_cannot() {
    let primary = Database::create().await;
    filled(&primary.url(), 1).await;
    let mut server = PostgresServer::start(&PostgresOptions::default()).unwrap();
    filled(&server.url(), 2).await;
    let config = limits(primary.config().with_read_replica(&server.url()).unwrap().with_max_replica_lag(None));
    let tier = Arc::new(PgTier::connect(config.clone()).await.unwrap());
    assert_eq!(ids(&tier, "TRUE", vec![]).await.unwrap(), [2]);

    server.pause().unwrap();
    assert_eq!(ids(&tier, "TRUE", vec![]).await.unwrap(), [1]);
    let begin = Instant::now();
    for _ in 0..20 {
        assert_eq!(tier.count(&account(), Count::default()).await.unwrap(), 1);
        assert_eq!(ids(&tier, "TRUE", vec![]).await.unwrap(), [1]);
    }
    assert!(begin.elapsed() < Duration::from_secs(20), "a replica that failed is left alone for a while");
    server.resume().unwrap();

    let (tier, _) = (Arc::new(PgTier::connect(config.clone()).await.unwrap()), server.kill().unwrap());
    assert_eq!(tier.count(&account(), Count::default()).await.unwrap(), 1);
    assert_eq!(ids(&tier, "TRUE", vec![]).await.unwrap(), [1]);
    // Nor is a replica needed to begin with.
    let tier = Arc::new(PgTier::connect(config).await.unwrap());
    assert_eq!(ids(&tier, "TRUE", vec![]).await.unwrap(), [1]);
}

async fn seen(tier: &Arc<PgTier>, after: Option<LogCursor>) -> Vec<i64> {
    let select = Select { preference: crate::table::preference(after.as_ref()), ..Select::default() };
    let rows: Vec<_> = Arc::clone(tier).select(account(), select).try_collect().await.unwrap();
    let mut ids: Vec<i64> = rows.iter().map(|stored| crate::table::integer(&stored.row[0])).collect();
    ids.sort_unstable();
    ids
}

async fn counted(tier: &PgTier, after: Option<LogCursor>) -> u64 {
    tier.count(&account(), Count { preference: crate::table::preference(after.as_ref()), ..Count::default() }).await.unwrap()
}

/// The server's processes that serve the tier.
fn processes(server: &PostgresServer) -> Vec<String> {
    let text = server.query("SELECT pid FROM pg_stat_activity WHERE application_name = 'strata'").unwrap();
    text.lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_answers_after_a_place_only_if_it_has_replayed_it() {
    let mut primary = PostgresServer::start(&PostgresOptions::default()).unwrap();
    filled(&primary.url(), 1).await;
    let replica = primary.start_replica().unwrap();
    let config = PgConfig::from_url(&primary.url()).and_then(|config| config.with_read_replica(&replica.url())).unwrap();
    let tier = Arc::new(PgTier::connect(config.with_max_connections(4)).await.unwrap());
    wait_until("the replica's table", async || seen(&tier, None).await == [1]).await;

    let early = tier.end().await.unwrap();
    replica.pause_replay().unwrap();
    put(&tier, row(2)).await.unwrap();
    let late = tier.end().await.unwrap();
    let before = processes(&replica);
    assert_eq!(seen(&tier, None).await, [1], "the replica lags, and is asked where nothing else is said");
    for _ in 0..20 {
        assert_eq!(seen(&tier, Some(late.clone())).await, [1, 2]);
        assert_eq!(counted(&tier, Some(late.clone())).await, 2);
    }
    let after = processes(&replica);
    assert!(before.iter().all(|process| after.contains(process)), "a connection to a lagging replica is kept");
    // Places that nobody can say anything of are the primary's.
    let (log, rest) = early.as_str().split_once("/00000001/").unwrap();
    for strange in [format!("{log}/00000002/{rest}"), format!("{:016X}/00000001/{rest}", 7), "elsewhere".to_owned()] {
        assert_eq!(seen(&tier, Some(LogCursor::new(strange.clone()))).await, [1, 2]);
        assert_eq!(counted(&tier, Some(LogCursor::new(strange))).await, 2);
    }

    replica.resume_replay().unwrap();
    wait_until("the replica catch up", async || seen(&tier, None).await == [1, 2]).await;
    // From here on only the replica can answer.
    wait_until("the replica replay the place", async || {
        replica
            .query(&format!(
                "SELECT pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0') >= {}",
                i64::from_str_radix(late.as_str().split('/').nth(2).unwrap(), 16).unwrap()
            ))
            .unwrap()
            == "t"
    })
    .await;
    primary.kill().unwrap();
    assert_eq!(seen(&tier, Some(late.clone())).await, [1, 2]);
    assert_eq!(counted(&tier, Some(late)).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_follows_a_new_primary_answers_for_the_new_timeline_only() {
    let mut first = PostgresServer::start(&PostgresOptions::default()).unwrap();
    filled(&first.url(), 1).await;
    let second = first.start_replica().unwrap();
    first.kill().unwrap();
    second.promote().unwrap();
    let third = second.start_replica().unwrap();
    let config = PgConfig::from_url(&second.url()).and_then(|config| config.with_read_replica(&third.url())).unwrap();
    let tier = Arc::new(PgTier::connect(config).await.unwrap());
    put(&tier, row(2)).await.unwrap();
    let place = tier.end().await.unwrap();
    assert!(place.as_str().contains("/00000002/"));
    wait_until("the replica catch up", async || seen(&tier, None).await == [1, 2]).await;
    third.pause_replay().unwrap();
    put(&tier, row(3)).await.unwrap();
    let old = LogCursor::new(place.as_str().replacen("/00000002/", "/00000001/", 1));
    assert_eq!(seen(&tier, Some(old)).await, [1, 2, 3], "nobody knows whether it has what the old timeline had");
    assert_eq!(seen(&tier, Some(place)).await, [1, 2], "the replica answers");
}

//! Several read replicas: which of them answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use store_core::facet::{Count, Log, LogCursor, Migrations, ReadPreference, Tables};
use store_core::{ErrorKind, MigrationSettings, ReplicaHealth, Result};
use store_testkit::servers::{PostgresOptions, PostgresServer};
use tier_pg::{PgConfig, PgTier};

use crate::database::wait_until;
use crate::table::{account, ids, preference, put, raw, row};

/// A primary with two standbys, and a tier on them.
struct Bench {
    primary: PostgresServer,
    replicas: [PostgresServer; 2],
    tier: Arc<PgTier>,
}

impl Bench {
    async fn open(max_lag: Duration) -> Self {
        let primary = PostgresServer::start(&PostgresOptions::default()).unwrap();
        let tier = PgTier::connect(PgConfig::from_url(&primary.url()).unwrap()).await.unwrap();
        tier.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
        put(&tier, row(1)).await.unwrap();
        let replicas = [primary.start_replica().unwrap(), primary.start_replica().unwrap()];
        for replica in &replicas {
            let has_row = async || replica.query("SELECT count(*) FROM account").is_ok_and(|count| count.trim() == "1");
            wait_until("the standby's row", has_row).await;
        }
        let config = replicas.iter().fold(PgConfig::from_url(&primary.url()), |config, replica| config?.with_read_replica(&replica.url()));
        let config = config.unwrap().with_max_replica_lag(max_lag).with_acquire_timeout(Duration::from_secs(1));
        let config = config.with_connect_timeout(Duration::from_secs(1)).with_statement_timeout(Duration::from_secs(2));
        Bench { primary, replicas, tier: Arc::new(PgTier::connect(config).await.unwrap()) }
    }

    /// Whether this server answers the next count.
    async fn answers(&self, server: &PostgresServer, after: Option<&LogCursor>) -> Result<bool> {
        let filter = Some(raw(&format!("id = 1 AND inet_server_port() = {}", server.port()), vec![]));
        Ok(self.tier.count(&account(), Count { filter, preference: preference(after) }).await? == 1)
    }

    /// How many of 20 counts this server answers.
    async fn share(&self, server: &PostgresServer) -> usize {
        let mut answered = 0;
        for _ in 0..20 {
            answered += usize::from(self.answers(server, None).await.unwrap());
        }
        answered
    }

    /// Waits until of 20 counts in a row, the replicas and the primary answer so many each.
    async fn until_shares(&self, expected: [usize; 3]) {
        let servers = [&self.replicas[0], &self.replicas[1], &self.primary];
        wait_until(&format!("shares of {expected:?}"), async || {
            for (server, expected) in servers.into_iter().zip(expected) {
                if self.share(server).await != expected {
                    return false;
                }
            }
            true
        })
        .await;
    }

    fn health(&self, replica: usize) -> ReplicaHealth {
        self.tier.replicas().remove(replica)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_the_reads_and_one_that_is_away_is_left_out() {
    let mut bench = Bench::open(Duration::from_secs(60)).await;
    bench.until_shares([10, 10, 0]).await;
    for replica in bench.tier.replicas() {
        assert!(replica.is_used && replica.lag.is_some() && replica.last_error.is_none(), "{replica:?}");
        assert_eq!(replica.reads, 0);
    }
    assert!(bench.health(1).address.ends_with(&format!(":{}", bench.replicas[1].port())));

    bench.replicas[0].kill().unwrap();
    for _ in 0..40 {
        // Whoever it is that answers the first of them, no read fails.
        bench.answers(&bench.replicas[1], None).await.unwrap();
    }
    bench.until_shares([0, 20, 0]).await;
    let away = bench.health(0);
    assert!(!away.is_used && away.last_error.is_some(), "{away:?}");
    bench.replicas[0].restart().unwrap();
    bench.until_shares([10, 10, 0]).await;
    assert!(bench.health(0).last_error.is_some(), "what the last failure was is told on");

    // One that hangs costs one read its time limits, not each.
    bench.replicas[1].pause().unwrap();
    wait_until("the other is alone", async || {
        bench.answers(&bench.replicas[0], None).await.unwrap();
        !bench.health(1).is_used
    })
    .await;
    let begin = Instant::now();
    assert_eq!(bench.share(&bench.replicas[0]).await, 20);
    assert!(begin.elapsed() < Duration::from_secs(2));
    bench.replicas[1].resume().unwrap();
    bench.until_shares([10, 10, 0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_too_far_behind_is_passed_over_until_it_has_caught_up() {
    let bench = Bench::open(Duration::from_millis(600)).await;
    bench.until_shares([10, 10, 0]).await;
    bench.replicas[0].pause_replay().unwrap();
    put(&bench.tier, row(2)).await.unwrap();
    bench.until_shares([0, 20, 0]).await;
    let late = bench.health(0);
    assert!(!late.is_used && late.lag.unwrap() > Duration::from_millis(600), "{late:?}");

    // Who reads what they wrote asks the one that has it, and not the primary.
    put(&bench.tier, row(3)).await.unwrap();
    let place = bench.tier.end().await.unwrap();
    wait_until("the other replica answers after the place", async || bench.answers(&bench.replicas[1], Some(&place)).await.unwrap()).await;
    for _ in 0..20 {
        assert!(bench.answers(&bench.replicas[1], Some(&place)).await.unwrap());
    }

    bench.replicas[1].pause_replay().unwrap();
    put(&bench.tier, row(4)).await.unwrap();
    bench.until_shares([0, 0, 20]).await;
    for replica in &bench.replicas {
        replica.resume_replay().unwrap();
    }
    bench.until_shares([10, 10, 0]).await;
}

/// The one that has replayed a place is asked, though both are within the limit.
#[tokio::test(flavor = "multi_thread")]
async fn of_replicas_that_lag_differently_the_one_that_has_the_place_is_asked() {
    let bench = Bench::open(Duration::from_secs(60)).await;
    bench.replicas[1].pause_replay().unwrap();
    put(&bench.tier, row(2)).await.unwrap();
    let place = bench.tier.end().await.unwrap();
    wait_until("the replica that does not lag answers", async || bench.answers(&bench.replicas[0], Some(&place)).await.unwrap()).await;
    for _ in 0..20 {
        assert!(bench.answers(&bench.replicas[0], Some(&place)).await.unwrap());
    }
    assert!(bench.health(1).is_used, "it is asked where nothing else is said");
    let count = Count { preference: ReadPreference::Replayed(place), ..Count::default() };
    assert_eq!(bench.tier.count(&account(), count).await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_primary_makes_no_replica_late_and_a_lost_one_does() {
    let mut bench = Bench::open(Duration::from_millis(1_500)).await;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(4) {
        let [first, second] = [bench.health(0), bench.health(1)];
        assert!(first.is_used && second.is_used, "{first:?}, {second:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    // It has replayed all that it received, and receives no more.
    bench.replicas[0].query("ALTER SYSTEM SET primary_conninfo = ''").unwrap();
    bench.replicas[0].query("SELECT pg_reload_conf()").unwrap();
    let streams = "SELECT count(*) FROM pg_stat_replication";
    wait_until("the replica is cut off", async || bench.primary.query(streams).unwrap().trim() == "1").await;
    put(&bench.tier, row(2)).await.unwrap();
    bench.until_shares([0, 20, 0]).await;

    // A primary of its own follows nobody, though it answers.
    bench.replicas[1].promote().unwrap();
    bench.until_shares([0, 0, 20]).await;
    let promoted = bench.health(1);
    assert!(promoted.last_error.unwrap().contains("no standby"));

    // What may be of any age is answered by the standby that is left, however late it is.
    let place = bench.tier.end().await.unwrap();
    bench.primary.kill().unwrap();
    assert!(bench.answers(&bench.replicas[0], None).await.unwrap());
    assert_eq!(ids(&bench.tier, "TRUE", vec![]).await.unwrap(), [1]);
    assert!(bench.answers(&bench.replicas[0], Some(&place)).await.is_err());
    let of_primary = Count { preference: ReadPreference::Primary, ..Count::default() };
    assert!(bench.tier.count(&account(), of_primary).await.is_err());
    let late = |filter: &str| Count { filter: Some(raw(filter, vec![])), preference: ReadPreference::Late };
    assert_eq!(bench.tier.count(&account(), late("id = 1")).await.unwrap(), 1);
    bench.replicas[0].kill().unwrap();
    let error = bench.tier.count(&account(), late("id = 2")).await.unwrap_err();
    assert!(error.kind() == ErrorKind::L3Unavailable && error.to_string().contains("no replica"), "{error}");
}

/// Its reason is told though it was away for another one before.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_no_standby_is_given_no_reads() {
    let primary = PostgresServer::start(&PostgresOptions::default()).unwrap();
    let mut other = PostgresServer::start(&PostgresOptions::default()).unwrap();
    other.kill().unwrap();
    let config = PgConfig::from_url(&primary.url()).unwrap().with_read_replica(&other.url()).unwrap();
    let tier = PgTier::connect(config.with_connect_timeout(Duration::from_secs(1))).await.unwrap();
    tier.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
    put(&tier, row(1)).await.unwrap();
    let reason = || tier.replicas()[0].last_error.clone().unwrap();
    assert!(!reason().contains("no standby"));
    other.restart().unwrap();
    wait_until("the reason", async || reason().contains("no standby")).await;
    assert!(!tier.replicas()[0].is_used);
    assert_eq!(tier.count(&account(), Count::default()).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_does_not_tell_its_place_is_told_of() {
    let primary = PostgresServer::start(&PostgresOptions::default()).unwrap();
    let replica = primary.start_replica().unwrap();
    primary.query("REVOKE EXECUTE ON FUNCTION pg_current_wal_flush_lsn() FROM PUBLIC").unwrap();
    primary.query("CREATE ROLE app LOGIN").unwrap();
    let has_role = async || replica.query("SELECT count(*) FROM pg_roles WHERE rolname = 'app'").is_ok_and(|count| count.trim() == "1");
    wait_until("the standby's role", has_role).await;
    let of_app = |server: &PostgresServer| format!("postgres://app@127.0.0.1:{}/postgres", server.port());
    let config = PgConfig::from_url(&of_app(&primary)).unwrap().with_read_replica(&of_app(&replica)).unwrap();
    let tier = PgTier::connect(config).await.unwrap();
    let health = tier.replicas().remove(0);
    assert!(!health.is_used && health.last_error.as_ref().unwrap().contains("the primary does not tell"), "{health:?}");
}

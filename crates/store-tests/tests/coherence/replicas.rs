//! Replicas that lag or are away, under a store.

use store_testkit::servers::{PostgresOptions, PostgresServer};
use strata::mem::MemTier;
use strata::pg::{PgConfig, PgTier};
use strata::{BreakerState, Collection, Freshness, Query, Role, Store};

use store_tests::models::{Player, player};
use store_tests::waiting::until;

async fn open(primary: &PostgresServer, replica: &PostgresServer) -> Store {
    let config = PgConfig::from_url(&primary.url()).and_then(|config| config.with_read_replica(&replica.url())).unwrap();
    let builder = Store::builder().near(MemTier::new()).tier(PgTier::connect(config).await.unwrap());
    builder.schema::<Player>().build().await.unwrap()
}

/// A primary with a replica.
fn pair() -> (PostgresServer, PostgresServer) {
    let primary = PostgresServer::start(&PostgresOptions::default()).unwrap();
    let replica = primary.start_replica().unwrap();
    (primary, replica)
}

async fn until_it_has_one_record(replica: &PostgresServer) {
    let has_it = async || replica.query("SELECT count(*) FROM player").is_ok_and(|count| count.trim() == "1");
    until("the replica has the record", has_it).await;
}

async fn levels(players: &Collection<Player>) -> Vec<i64> {
    let found = players.search(Query::new().order_by(Player::id())).await.unwrap();
    found.iter().map(|player| player.level).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_under_a_token_answers_nothing_from_before_it() {
    let (primary, replica) = pair();
    let (writing, reading) = (open(&primary, &replica).await, open(&primary, &replica).await);
    let (writer, reader) = (writing.collection::<Player>().unwrap(), reading.collection::<Player>().unwrap());
    writer.set(player("a", 1)).await.unwrap();
    let any = reader.with_freshness(Freshness::Any);
    // Asked of the server itself: where the replica lacks the table, the primary answers, and goes on to for a while.
    let shown =
        "SELECT CASE WHEN to_regclass('player') IS NULL THEN '' ELSE query_to_xml('SELECT level FROM player', true, true, '')::TEXT END";
    until("the replica show the record", async || replica.query(shown).unwrap().contains("<level>1</level>")).await;

    replica.pause_replay().unwrap();
    for level in 2..6 {
        writer.set_many([player("a", level), player("b", level)]).await.unwrap();
        let token = writing.token().await.unwrap().unwrap();
        let under = reader.with_freshness(Freshness::Session(token.to_string().parse().unwrap()));
        assert_eq!(levels(&under).await, [level, level]);
        assert_eq!(under.count(Query::new().filter(Player::level().eq(level))).await.unwrap(), 2);
        assert_eq!(levels(&reader.with_freshness(Freshness::Strong)).await, [level, level]);
        // The replica is asked, and lags.
        assert_eq!(levels(&any).await, [1]);
        assert_eq!(any.count(Query::new()).await.unwrap(), 1);
        // What it answered did not get into memory.
        assert_eq!(under.get("a").await.unwrap().unwrap().level, level);
        assert_eq!(reader.get("a").await.unwrap().unwrap().level, level);
    }
    replica.resume_replay().unwrap();
    until("the replica catch up", async || levels(&any).await == [5, 5]).await;
    assert_eq!(levels(&reader).await, [5, 5]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_answers_nothing_older_than_the_instance_was_told() {
    let (primary, replica) = pair();
    let (store, other) = (open(&primary, &replica).await, open(&primary, &replica).await);
    let (players, others) = (store.collection::<Player>().unwrap(), other.collection::<Player>().unwrap());
    players.set(player("a", 0)).await.unwrap();
    let any = players.with_freshness(Freshness::Any);
    until_it_has_one_record(&replica).await;
    let token = store.token().await.unwrap().unwrap();
    replica.pause_replay().unwrap();
    let (under, bounded) = (
        players.with_freshness(Freshness::Session(token)),
        players.with_freshness(Freshness::Bounded(std::time::Duration::from_millis(500))),
    );
    for level in 1..6 {
        let told_by_a_read = level % 2 == 0;
        if told_by_a_read {
            others.set(player("a", level)).await.unwrap();
            assert_eq!(players.with_freshness(Freshness::Strong).get("a").await.unwrap().unwrap().level, level);
        } else {
            players.set(player("a", level)).await.unwrap();
        }
        for asking in [&players, &under, &bounded] {
            assert_eq!(levels(asking).await, [level]);
            assert_eq!(asking.count(Query::new().filter(Player::level().eq(level))).await.unwrap(), 1);
            assert_eq!(asking.select(Query::new(), Player::level()).await.unwrap(), [level]);
        }
        assert_eq!(levels(&any).await, [0], "it asked for whatever a replica has");
        // The answer of the second is not kept, as nobody knows what its condition reads.
        for query in [Query::new(), Query::new().where_sql("id >= (SELECT '')", vec![])] {
            assert_eq!(any.search_cached(&query).await.unwrap()[0].level, level, "cached searches ask the primary");
            assert_eq!(any.select_cached(&query, Player::level()).await.unwrap(), [level]);
        }
    }
    players.delete("a").await.unwrap();
    assert_eq!(levels(&players).await, Vec::<i64>::new());
    assert_eq!(under.count(Query::new()).await.unwrap(), 0);
}

/// Which the breaker of the truth, that holds back what the primary must answer, does not change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_answers_for_a_primary_that_is_away_where_any_age_will_do() {
    let (mut primary, replica) = pair();
    let store = open(&primary, &replica).await;
    let players = store.collection::<Player>().unwrap();
    players.set(player("a", 1)).await.unwrap();
    until_it_has_one_record(&replica).await;
    primary.kill().unwrap();
    let state = || store.health().tier(Role::Truth).unwrap().state;
    let (strong, any) = (players.with_freshness(Freshness::Strong), players.with_freshness(Freshness::Any));
    let mut answered = 0;
    until("the breaker open", async || {
        assert_eq!(levels(&any).await, [1]);
        answered += 1;
        assert!(strong.get("a").await.is_err());
        state() == BreakerState::Open
    })
    .await;
    for _ in 0..20 {
        assert_eq!(levels(&any).await, [1]);
        assert_eq!(any.count(Query::new()).await.unwrap(), 1);
        assert_ne!(state(), BreakerState::Closed, "what a replica answers says nothing of the primary");
    }
    assert!(strong.search(Query::new()).await.is_err());
    assert!(answered > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_tells_of_each_replica() {
    let primary = PostgresServer::start(&PostgresOptions::default()).unwrap();
    let (mut away, used) = (primary.start_replica().unwrap(), primary.start_replica().unwrap());
    let config =
        PgConfig::from_url(&primary.url()).and_then(|config| config.with_read_replica(&away.url())?.with_read_replica(&used.url()));
    let builder = Store::builder().near(MemTier::new()).tier(PgTier::connect(config.unwrap()).await.unwrap());
    let store = builder.schema::<Player>().build().await.unwrap();
    let replicas = || store.health().tier(Role::Truth).unwrap().replicas.clone();
    until("both are used", async || replicas().iter().all(|replica| replica.is_used)).await;
    assert_eq!(replicas().len(), 2);

    away.kill().unwrap();
    until("one is left out", async || !replicas()[0].is_used).await;
    let told = replicas();
    assert!(told[0].last_error.is_some() && told[0].address.ends_with(&format!(":{}", away.port())), "{told:?}");
    assert!(told[1].is_used && told[1].last_error.is_none(), "{told:?}");
    assert!(store.health().is_healthy(), "others answer");
    store.close().await.unwrap();
}

//! An instance that has shown something shows nothing older afterwards, whatever it had shown it by.

use std::time::Duration;

use futures_util::TryStreamExt;
use store_testkit::{Fault, Operation};
use strata::{Collection, ErrorKind, Freshness, Query, Role, Store};

use store_tests::models::{Player, player};
use store_tests::stacks::{Bench, FaultyBench, Stack};

/// So often that a message from the other instance comes too late at least once.
const ROUNDS: i64 = 12;

/// A way to be told of the player "a".
#[derive(Debug, Clone, Copy)]
enum Telling {
    Get,
    GetMany,
    GetFromTruth,
    GetManyFromTruth,
    Exists,
    Search,
    Page,
    SearchShared,
    SearchTruth,
    SearchCached,
    Stream,
    Select,
    Count,
    TransactionGet,
    TransactionLock,
    TransactionSearch,
    TransactionCount,
}

/// What was told of its level: `Some(None)` that there is none, `None` nothing.
type Told = Option<Option<i64>>;

impl Telling {
    const ALL: [Telling; 17] = [
        Telling::Get,
        Telling::GetMany,
        Telling::GetFromTruth,
        Telling::GetManyFromTruth,
        Telling::Exists,
        Telling::Search,
        Telling::Page,
        Telling::SearchShared,
        Telling::SearchTruth,
        Telling::SearchCached,
        Telling::Stream,
        Telling::Select,
        Telling::Count,
        Telling::TransactionGet,
        Telling::TransactionLock,
        Telling::TransactionSearch,
        Telling::TransactionCount,
    ];

    fn shows_records(self) -> bool {
        !matches!(self, Telling::Exists | Telling::Select | Telling::Count | Telling::TransactionCount)
    }

    /// Those that show records without naming their keys, and that did not ask for the latest, say nothing of what they do not show.
    fn tells_of_absences(self) -> bool {
        !matches!(self, Telling::Search | Telling::Page | Telling::SearchShared)
    }

    async fn ask(self, store: &Store, players: &Collection<Player>) -> Told {
        let of_models = |models: &[Player]| Some(models.first().map(|player| player.level));
        let count = |count: u64| if count == 0 { Some(None) } else { None };
        let (query, strong, truth) = (Query::new(), players.with_freshness(Freshness::Strong), players.from(Role::Truth));
        match self {
            Telling::Get => Some(strong.get("a").await.unwrap().map(|player| player.level)),
            Telling::GetMany => Some(strong.get_many(["a"]).await.unwrap().remove(0).map(|player| player.level)),
            Telling::GetFromTruth => Some(truth.get("a").await.unwrap().map(|player| player.level)),
            Telling::GetManyFromTruth => Some(truth.get_many(["a"]).await.unwrap().remove(0).map(|player| player.level)),
            Telling::Exists => {
                if strong.exists("a").await.unwrap() {
                    None
                } else {
                    Some(None)
                }
            }
            Telling::Search => Some(players.search(query).await.unwrap().first().map(|player| player.level)),
            Telling::Page => Some(players.page(query).await.unwrap().records.first().map(|player| player.level)),
            Telling::SearchShared => Some(players.from(Role::Shared).search(query).await.unwrap().first().map(|player| player.level)),
            Telling::SearchTruth => Some(truth.search(query).await.unwrap().first().map(|player| player.level)),
            Telling::SearchCached => Some(strong.search_cached(&query).await.unwrap().first().map(|player| player.level)),
            Telling::Stream => {
                let shown: Vec<_> = players.stream(query).unwrap().try_collect().await.unwrap();
                Some(shown.first().map(|player| player.level))
            }
            Telling::Select => Some(strong.select(query, Player::level()).await.unwrap().first().copied()),
            Telling::Count => count(strong.count(query).await.unwrap()),
            Telling::TransactionGet => store
                .transaction(async |tx| tx.get::<Player>("a").await)
                .await
                .map(|player| Some(player.map(|player| player.level)))
                .unwrap(),
            Telling::TransactionLock => {
                let player = store.transaction(async |tx| tx.get_for_update::<Player>("a").await).await.unwrap();
                Some(player.map(|player| player.level))
            }
            Telling::TransactionSearch => of_models(&store.transaction(async |tx| tx.search(Query::<Player>::new()).await).await.unwrap()),
            Telling::TransactionCount => count(store.transaction(async |tx| tx.count(Query::<Player>::new()).await).await.unwrap()),
        }
    }
}

async fn nothing_older_is_shown(mut bench: Bench) {
    let other: Collection<Player> = bench.another().await.collection().unwrap();
    let (store, players) = (&bench.store, bench.players());
    for telling in Telling::ALL {
        for round in 1..=ROUNDS {
            players.set(player("a", 0)).await.unwrap();
            players.get("a").await.unwrap();
            other.set(player("a", round)).await.unwrap();
            if let Some(told) = telling.ask(store, &players).await {
                assert_eq!(told, Some(round), "{telling:?} asks the truth");
                if telling.shows_records() {
                    let at_hand = players.with_freshness(Freshness::Any).get("a").await.unwrap();
                    assert_eq!(at_hand.map(|player| player.level), told, "at hand, after {telling:?}");
                }
                assert_eq!(players.get("a").await.unwrap().map(|player| player.level), told, "after {telling:?}");
            }
            other.delete("a").await.unwrap();
            let told = telling.ask(store, &players).await;
            assert_eq!(told, Some(None), "{telling:?} asks the truth");
            if telling.tells_of_absences() {
                assert_eq!(players.get("a").await.unwrap(), None, "after {telling:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_shows_nothing_tells_nothing() {
    let bench = FaultyBench::open().await;
    let players = bench.players();
    players.set(player("a", 1)).await.unwrap();
    for operation in [Operation::Select, Operation::LogRead] {
        bench.truth_faults.always(operation, Fault::FailBefore(ErrorKind::L3Unavailable));
    }
    let error = players.stream(Query::new()).unwrap().try_next().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::L3Unavailable);
    assert_eq!(players.get("a").await.unwrap().map(|player| player.level), Some(1), "memory is as fresh as it was");
}

macro_rules! on {
    ($($module:ident $stack:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $module() {
            nothing_older_is_shown(Stack::$stack.open_fresh_for(Duration::from_secs(60)).await).await;
        }
    )*};
}

on! {
    mem_sqlite MemSqlite;
    mem_model_sqlite MemModelSqlite;
    mem_postgres MemPostgres;
    mem_redis_postgres MemRedisPostgres;
}

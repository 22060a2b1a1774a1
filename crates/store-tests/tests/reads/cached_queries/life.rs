//! How long answers are kept, how many, and who shares a load.

use std::time::Duration;

use store_testkit::Operation;
use strata::mem::MemTier;
use strata::{Freshness, Query, Schema, Store};

use super::{all, counts, levels};
use store_tests::models::{Account, City, Player, account, city, player};
use store_tests::stacks::{FaultyBench, sqlite};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_ends_with_the_life_time_of_the_shared_tier() {
    for (life, ends) in [(Some(Duration::from_secs(60)), true), (None, false)] {
        let bench = FaultyBench::open_with(|builder| builder.schema::<Player>().configure(|settings| settings.l2_ttl = life)).await;
        let players = bench.players().with_freshness(Freshness::Any);
        players.set(player("a", 1)).await.unwrap();
        levels(&players, &Query::new()).await;
        bench.clock.advance(Duration::from_secs(59));
        levels(&players, &Query::new()).await;
        assert_eq!(counts(&bench.store), (1, 1, 0));
        bench.clock.advance(Duration::from_secs(1));
        levels(&players, &Query::new()).await;
        assert_eq!(counts(&bench.store).0, if ends { 1 } else { 2 });
        assert_eq!(bench.store.stats().query_entries, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_least_recently_used_answers_make_room() {
    let (_directory, truth) = sqlite().await;
    let builder = Store::builder().near(MemTier::new()).tier(truth).schema::<City>().configure(|settings| {
        settings.query_max_entries = 3;
        settings.query_max_rows = 20;
    });
    let store = builder.build().await.unwrap();
    let cities = store.collection::<City>().unwrap();
    cities.set_many((1..=30).map(city)).await.unwrap();
    let first = |rows| Query::new().limit(rows);
    let hits = async |rows| {
        let before = counts(&store).0;
        assert_eq!(cities.search_cached(&first(rows)).await.unwrap().len() as u64, rows);
        counts(&store).0 > before
    };
    for rows in [1, 2, 3] {
        assert!(!hits(rows).await);
    }
    assert!(hits(1).await);
    assert!(!hits(4).await, "it takes the place of the second");
    assert_eq!(store.stats().query_entries, 3);
    assert!(hits(1).await && hits(3).await && hits(4).await);
    assert!(!hits(15).await, "with 4 and 1, or 4 and 3, it would be 20 or more");
    assert!(hits(15).await && hits(4).await);
    assert!(!hits(25).await && !hits(25).await, "more rows than all answers together may have");
    assert!(hits(4).await && hits(15).await);
    assert_eq!(counts(&store).2, 0, "nothing was voided");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_of_one_query_share_a_load_and_its_error() {
    let bench = FaultyBench::open().await;
    let players = bench.players();
    players.set(player("a", 1)).await.unwrap();
    let held = bench.truth_faults.hold_after(Operation::Select);
    let before = bench.truth_faults.calls(Operation::Select);
    let read = |query: Query<Player>| {
        let players = players.clone();
        tokio::spawn(async move { levels(&players, &query).await })
    };
    let readers = (0..50).map(|_| read(Query::new())).collect();
    held.arrived().await;
    let others: Vec<_> = (0..3).map(|_| read(Query::new().limit(1))).collect();
    assert_eq!(all(others).await, vec![vec![1]; 3]);
    held.release();
    assert_eq!(all(readers).await, vec![vec![1]; 50]);
    assert_eq!(bench.truth_faults.calls(Operation::Select) - before, 2, "one for each query");

    // A reader that gives up stops nobody.
    players.set(player("a", 2)).await.unwrap();
    let held = bench.truth_faults.hold_after(Operation::Select);
    let lost = read(Query::new());
    held.arrived().await;
    lost.abort();
    held.release();
    assert_eq!(levels(&players, &Query::new()).await, [2]);

    players.set(player("a", 3)).await.unwrap();
    bench.truth_faults.always(Operation::Select, store_testkit::Fault::FailBefore(strata::ErrorKind::L3Unavailable));
    let failed = players.search_cached(&Query::new()).await.unwrap_err();
    assert_eq!(failed.kind(), strata::ErrorKind::L3Unavailable);
    bench.truth_faults.heal();
    assert_eq!(levels(&players, &Query::new()).await, [3], "no error is kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_the_truth_holds_is_kept_nowhere_else() {
    let bench = FaultyBench::open().await;
    let accounts = bench.of::<Account>();
    accounts.set(account(1)).await.unwrap();
    for _ in 0..2 {
        let passwords = accounts.select_cached(&Query::new(), Account::password()).await.unwrap();
        assert_eq!(passwords, ["secret-1"]);
    }
    assert_eq!((counts(&bench.store), bench.store.stats().query_entries), ((0, 0, 0), 0));
    for _ in 0..2 {
        let near = accounts.search_cached(&Query::new()).await.unwrap();
        let shared = accounts.from(strata::Role::Shared).search_cached(&Query::new()).await.unwrap();
        assert_eq!(near[0].notes, strata::Deferred::NotLoaded);
        assert_eq!((&shared[0].notes, &shared[0].password), (&account(1).notes, &strata::Deferred::NotLoaded));
    }
    assert_eq!(counts(&bench.store), (2, 2, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_voids_the_answers_that_have_it_and_that_of_a_field_all() {
    #[derive(Debug, Schema)]
    struct Station {
        #[schema(primary_key)]
        id: i64,
        #[schema(tag)]
        line: i64,
    }
    let bench = FaultyBench::open_with(|builder| builder.schema::<Station>()).await;
    let stations = bench.of::<Station>();
    let (front, back) = (stations.with_tags(["front"]), stations.with_tags(["back", "garden"]));
    stations.set(Station { id: 1, line: 2 }).await.unwrap();
    for (tag, voided) in [("front", 1), ("garden", 1), ("attic", 0), ("line=2", 3), ("line=9", 3)] {
        for collection in [&stations, &front, &back] {
            collection.search_cached(&Query::new()).await.unwrap();
        }
        let before = counts(&bench.store).2;
        stations.invalidate_tag(tag).await.unwrap();
        assert_eq!(counts(&bench.store).2 - before, voided, "{tag}");
    }
}

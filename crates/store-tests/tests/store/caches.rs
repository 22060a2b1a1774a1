//! What the caches hold, and when they let go of it.

use std::sync::Arc;
use std::time::Duration;

use store_testkit::Operation;
use strata::{ErrorKind, Lifetime, Query, Role, WriteMode};

use store_tests::models::{City, Player, city, player};
use store_tests::on_stacks;
use store_tests::stacks::{Bench, FaultyBench};

on_stacks!(with_tables: [
    an_invalidated_record_comes_back_from_the_truth,
    a_warm_up_fills_the_caches_and_tells_how_far_it_is,
    statistics_count_what_was_done,
]);
on_stacks!(cache_only: [what_has_no_table_cannot_be_searched]);

async fn an_invalidated_record_comes_back_from_the_truth(bench: &Bench) {
    let players = bench.players();
    players.set_many(["a", "b", "c"].map(|id| player(id, 1))).await.unwrap();
    players.invalidate("a").await.unwrap();
    bench.relayed::<Player>().await;
    assert_eq!(players.peek("a"), None);
    assert_eq!(players.peek("b").is_some(), bench.stack.has_near());
    assert_eq!(players.get("a").await.unwrap().unwrap().level, 1);
    assert_eq!(players.peek("a").is_some(), bench.stack.has_near(), "a read fills memory");

    // A write creates no slot, so that of the one record which was read is the only one.
    let slots = async || {
        let before = bench.store.stats().l2_hits;
        assert_eq!(players.from(Role::Shared).get_many(["a", "b", "c"]).await.unwrap().iter().flatten().count(), 3);
        bench.store.stats().l2_hits - before
    };
    assert_eq!(slots().await, u64::from(bench.stack.has_cache()));
    players.invalidate_all().await.unwrap();
    assert_eq!(bench.store.stats().l1_entries, 0);
    bench.relayed::<Player>().await;
    assert_eq!(players.get_many(["a", "b", "c"]).await.unwrap().iter().flatten().count(), 3);
    assert_eq!(slots().await, if bench.stack.has_cache() { 3 } else { 0 });
}

async fn a_warm_up_fills_the_caches_and_tells_how_far_it_is(bench: &Bench) {
    let cities = bench.of::<City>();
    assert_eq!(cities.warm(None).await.unwrap(), 0);
    cities.set_many((1..=2_300).map(city)).await.unwrap();
    cities.invalidate_all().await.unwrap();
    assert_eq!(cities.warm(7).await.unwrap(), 7);
    let has_near = bench.stack.has_near();
    assert_eq!(bench.store.stats().l1_entries, if has_near { 7 } else { 0 });
    assert_eq!((1..=8).map(|id| cities.peek(id).is_some()).collect::<Vec<_>>(), [[has_near; 7].as_slice(), &[false]].concat());
    assert_eq!(cities.warm(0).await.unwrap(), 0);

    let mut told = Vec::new();
    assert_eq!(cities.warm_with(None, |progress| told.push((progress.loaded, progress.total))).await.unwrap(), 2_300);
    assert_eq!(told, [(1_000, 2_300), (2_000, 2_300), (2_300, 2_300)]);
    assert_eq!(bench.store.stats().l1_entries, if has_near { 2_300 } else { 0 });
    assert_eq!(cities.warm(1_000_000).await.unwrap(), 2_300);
    if bench.stack.has_cache() {
        cities.invalidate_all().await.unwrap();
        bench.relayed::<City>().await;
        cities.warm(None).await.unwrap();
        let before = bench.store.stats().l2_hits;
        cities.from(Role::Shared).get_many(1..=2_300).await.unwrap();
        assert_eq!(bench.store.stats().l2_hits - before, 2_300, "the shared tier is filled too");
    }
}

async fn statistics_count_what_was_done(bench: &Bench) {
    let players = bench.players();
    players.set_many([player("a", 1), player("b", 2)]).await.unwrap();
    players.get("a").await.unwrap();
    players.get("x").await.unwrap();
    players.peek("b");
    players.get_many(["a", "x"]).await.unwrap();
    players.from(Role::Truth).get("a").await.unwrap();
    players.search(Query::new()).await.unwrap();
    players.count(Query::new()).await.unwrap();
    players.delete_many(["a", "x"]).await.unwrap();
    players.get("").await.unwrap_err();
    let stats = bench.store.stats();
    let near = bench.stack.has_near();
    assert_eq!((stats.gets, stats.sets, stats.deletes, stats.searches, stats.errors), (7, 2, 2, 2, 1), "{stats:?}");
    assert_eq!((stats.l1_hits, stats.l1_misses), if near { (3, 3) } else { (0, 6) }, "{stats:?}");
    assert_eq!((stats.l1_entries, stats.dirty_entries), (u64::from(near), 0));
    assert_eq!(stats.l2_hits, 0);
    assert_eq!((stats.l3_hits, stats.l3_misses), if near { (1, 2) } else { (3, 2) }, "{stats:?}");
}

async fn what_has_no_table_cannot_be_searched(bench: &Bench) {
    let players = bench.players();
    players.set(player("a", 1)).await.unwrap();
    let errors = [
        players.search(Query::new()).await.unwrap_err(),
        players.page(Query::new()).await.unwrap_err(),
        players.count(Query::new()).await.unwrap_err(),
        players.stream(Query::new()).err().unwrap(),
        players.select(Query::new(), Player::level()).await.unwrap_err(),
        players.warm(None).await.unwrap_err(),
        players.from(Role::Truth).search(Query::new()).await.unwrap_err(),
        players.from(Role::Truth).count(Query::new()).await.unwrap_err(),
        players.from(Role::Shared).stream(Query::new()).err().unwrap(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::InvalidQuery, "{error}");
        assert_eq!(error.schema(), Some("player"));
        assert!(error.to_string().contains("no table to search"), "{error}");
    }
    players.invalidate_all().await.unwrap();
    assert_eq!(players.get("a").await.unwrap().unwrap().level, 1, "what a cache is the truth of is no copy");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalidation_of_all_tells_how_many_slots_it_emptied() {
    let bench = FaultyBench::open_after(["a", "b", "c"].map(|id| player(id, 1))).await;
    let players = bench.players();
    // The relayer empties slots too.
    let quiet = bench.truth_faults.hold_before(Operation::LogLead);
    quiet.arrived().await;
    assert_eq!(players.get_many(["a", "b"]).await.unwrap().iter().flatten().count(), 2);
    assert_eq!(players.invalidate_all().await.unwrap(), 2);
    assert_eq!(players.invalidate_all().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn life_times_end_in_each_tier() {
    let bench = FaultyBench::open_with(|builder| {
        builder.schema_with::<Player>(|options| {
            options.policies.near.ttl = Duration::from_secs(10).into();
            options.policies.shared.ttl = Duration::from_secs(25).into();
        })
    })
    .await;
    let players = bench.players();
    players.set(player("a", 1)).await.unwrap();
    let reads = |operation| match operation {
        Operation::GetMany => bench.truth_faults.calls(operation),
        _ => bench.shared_faults.calls(operation),
    };
    let tiers_asked = async || {
        let before = (reads(Operation::Fetch), reads(Operation::GetMany));
        assert_eq!(players.get("a").await.unwrap().unwrap().level, 1);
        (reads(Operation::Fetch) - before.0, reads(Operation::GetMany) - before.1)
    };
    assert_eq!(tiers_asked().await, (0, 0), "from memory, which the write filled");
    bench.clock.advance(Duration::from_secs(10));
    assert_eq!(tiers_asked().await, (1, 1), "from the truth: a write creates no slot");
    bench.clock.advance(Duration::from_secs(9));
    assert_eq!(tiers_asked().await, (0, 0));
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(tiers_asked().await, (1, 0), "from the shared tier");
    // 5 seconds are left of the record's 25, so memory keeps it for no longer.
    bench.clock.advance(Duration::from_secs(10));
    assert_eq!(tiers_asked().await, (1, 0));
    bench.clock.advance(Duration::from_secs(4));
    assert_eq!(tiers_asked().await, (0, 0));
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(tiers_asked().await, (1, 1), "over everywhere");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_never_ends_in_memory_is_not_ended_by_a_tier_that_is_not_there() {
    let clock = store_testkit::ManualClock::new();
    let builder = strata::Store::builder().near(strata::mem::MemTier::new()).schema_with::<Player>(|options| {
        options.policies.cache_only = true;
        options.policies.near.ttl = Lifetime::Never;
    });
    let store = builder.configure(|settings| settings.clock = Arc::new(clock.clone())).build().await.unwrap();
    let players = store.collection::<Player>().unwrap();
    players.set(player("a", 1)).await.unwrap();
    clock.advance(Duration::from_secs(365 * 24 * 3_600));
    assert!(players.get("a").await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lazy_memory_is_filled_by_reads_and_emptied_by_writes() {
    let bench = FaultyBench::open_with(|builder| {
        builder.schema_with::<Player>(|options| options.policies.write_mode = Some(WriteMode::WriteThroughLazyL1))
    })
    .await;
    let players = bench.players();
    players.set(player("a", 1)).await.unwrap();
    assert_eq!(players.peek("a"), None);
    assert_eq!(players.get("a").await.unwrap().unwrap().level, 1);
    assert!(players.peek("a").is_some());
    players.set(player("a", 2)).await.unwrap();
    assert_eq!(players.peek("a"), None);
    assert_eq!(players.get("a").await.unwrap().unwrap().level, 2);
}

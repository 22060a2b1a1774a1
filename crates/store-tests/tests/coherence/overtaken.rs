//! Loads that a write or an invalidation overtakes.

use std::fmt::Debug;
use std::time::Duration;

use store_testkit::{Hold, Operation};
use strata::{Collection, Freshness, Query, Role};
use tokio::task::JoinHandle;

use super::outside;
use store_tests::models::{Player, player};
use store_tests::stacks::FaultyBench;

/// Where the load waits while it is overtaken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Point {
    /// The shared tier has answered the old record.
    Shared,
    /// The truth has answered the old record, and the load holds the lease.
    Truth,
    /// The load is about to fill the slot.
    Fill,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Load {
    Get,
    GetMany,
    GetShared,
    GetManyShared,
    Warm,
    Search,
}

const LOADS: [Load; 6] = [Load::Get, Load::GetMany, Load::GetShared, Load::GetManyShared, Load::Warm, Load::Search];

impl Load {
    /// Loads the record `a`, and answers the level that it showed.
    async fn run(self, players: Collection<Player>) -> Option<i64> {
        match self {
            Load::Get => players.get("a").await.unwrap().map(|player| player.level),
            Load::GetMany => players.get_many(["a"]).await.unwrap().remove(0).map(|player| player.level),
            Load::GetShared => players.from(Role::Shared).get("a").await.unwrap().map(|player| player.level),
            Load::GetManyShared => players.from(Role::Shared).get_many(["a"]).await.unwrap().remove(0).map(|player| player.level),
            Load::Warm => {
                players.warm(None).await.unwrap();
                None
            }
            Load::Search => players.search(Query::new()).await.unwrap().first().map(|player| player.level),
        }
    }

    /// Holds the load at a point; `None` if it never comes there.
    fn hold(self, point: Point, bench: &FaultyBench) -> Option<Hold> {
        match (point, self) {
            (Point::Truth, Load::Search) => Some(bench.truth_faults.hold_after(Operation::Select)),
            (_, Load::Search) => None,
            (Point::Shared, _) => Some(bench.shared_faults.hold_after(Operation::Fetch)),
            (Point::Truth, _) => Some(bench.truth_faults.hold_after(Operation::GetMany)),
            (Point::Fill, _) => Some(bench.shared_faults.hold_before(Operation::Fill)),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Intruder {
    Set,
    SetMany,
    Delete,
    DeleteMany,
    /// Another program changes the row, and the store is told.
    Invalidate,
    InvalidateAll,
}

const INTRUDERS: [Intruder; 6] =
    [Intruder::Set, Intruder::SetMany, Intruder::Delete, Intruder::DeleteMany, Intruder::Invalidate, Intruder::InvalidateAll];

impl Intruder {
    /// Changes the record's level from 1 to 2, or deletes it; answers what is there now.
    async fn run(self, players: &Collection<Player>, outside: &Collection<Player>) -> Option<i64> {
        match self {
            Intruder::Set => drop(players.set(player("a", 2)).await.unwrap()),
            Intruder::SetMany => drop(players.set_many([player("a", 2), player("b", 2)]).await.unwrap()),
            Intruder::Delete => assert!(players.delete("a").await.unwrap()),
            Intruder::DeleteMany => assert_eq!(players.delete_many(["a", "b"]).await.unwrap(), 1),
            Intruder::Invalidate => {
                outside.set(player("a", 2)).await.unwrap();
                players.invalidate("a").await.unwrap();
            }
            Intruder::InvalidateAll => {
                outside.set(player("a", 2)).await.unwrap();
                players.invalidate_all().await.unwrap();
            }
        }
        (!matches!(self, Intruder::Delete | Intruder::DeleteMany)).then_some(2)
    }
}

async fn level(players: &Collection<Player>) -> Option<i64> {
    players.get("a").await.unwrap().map(|player| player.level)
}

/// A load that an intruder overtook, and that is still held.
struct Overtaken {
    bench: FaultyBench,
    players: Collection<Player>,
    point: Point,
    load: Load,
    held: Hold,
    loading: JoinHandle<Option<i64>>,
    /// The record's level since then.
    now: Option<i64>,
}

/// Holds a load at a point while the intruder does its work; `None` if the load never comes there.
async fn overtake(point: Point, load: Load, intruder: Intruder) -> Option<Overtaken> {
    let bench = FaultyBench::open().await;
    let (players, outside) = (bench.players(), outside(&bench).await);
    outside.set(player("a", 1)).await.unwrap();
    if point == Point::Shared {
        // Another instance fills the slot.
        assert_eq!(level(&bench.another().await.collection().unwrap()).await, Some(1));
    }
    let held = load.hold(point, &bench)?;
    let loading = tokio::spawn(load.run(players.clone()));
    held.arrived().await;
    let now = intruder.run(&players, &outside).await;
    Some(Overtaken { bench, players, point, load, held, loading, now })
}

async fn is_not_shown_again(Overtaken { bench, players, load, held, loading, now, .. }: Overtaken) {
    // Whoever comes now does not wait for the load that began before.
    let fresh = tokio::time::timeout(Duration::from_secs(20), level(&players)).await;
    assert_eq!(fresh.expect("a later reader joined the flight of an earlier one"), now);
    held.release();
    let loaded = loading.await.unwrap();
    assert!(load == Load::Warm || loaded == Some(1) || loaded == now, "the load showed {loaded:?}");

    let kept = players.peek("a").map(|player| player.level);
    assert!(kept.is_none() || kept == now, "memory keeps {kept:?}");
    assert_eq!(level(&players).await, now);
    // What the shared tier holds shows in an instance that knows nothing yet.
    assert_eq!(level(&bench.another().await.collection().unwrap()).await, now);
}

/// No reader comes in between, which would fill the caches anew.
async fn is_not_installed(Overtaken { bench, players, point, held, loading, now, .. }: Overtaken) {
    let kept_before = players.peek("a").map(|player| player.level);
    let refused = bench.store.stats().fills_refused;
    held.release();
    loading.await.unwrap();
    let kept = players.peek("a").map(|player| player.level);
    assert_eq!(kept, kept_before, "the load installed what was overtaken");
    // What the shared tier answered is refused already for being older than what was heard, and a deletion leaves nothing to install then.
    assert!(point == Point::Shared || bench.store.stats().fills_refused > refused, "nothing was refused, so nothing was tried");
    assert_eq!(level(&bench.another().await.collection().unwrap()).await, now, "the load filled the slot with what was overtaken");
    assert_eq!(level(&players).await, now);
}

async fn every_pair(point: Point, case: impl AsyncFn(Overtaken)) {
    for load in LOADS {
        for intruder in INTRUDERS {
            println!("{load:?}, held at {point:?}, is overtaken by {intruder:?}");
            if let Some(overtaken) = overtake(point, load, intruder).await {
                case(overtaken).await;
            }
        }
    }
}

macro_rules! at_every_point {
    ($($name:ident: $point:ident, $case:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            every_pair(Point::$point, $case).await;
        }
    )*};
}
at_every_point! {
    an_answer_of_the_shared_tier_that_was_overtaken_is_not_shown_again: Shared, is_not_shown_again;
    an_answer_of_the_truth_that_was_overtaken_is_not_shown_again: Truth, is_not_shown_again;
    a_fill_that_was_overtaken_is_not_shown_again: Fill, is_not_shown_again;
    an_answer_of_the_shared_tier_that_was_overtaken_is_not_installed: Shared, is_not_installed;
    an_answer_of_the_truth_that_was_overtaken_is_not_installed: Truth, is_not_installed;
    a_fill_that_was_overtaken_is_refused: Fill, is_not_installed;
}

/// What was read stays, as a write that is based on it must know of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_hears_of_no_more_than_it_has_read_is_kept() {
    for load in [Load::Get, Load::GetMany, Load::Search] {
        let bench = FaultyBench::open().await;
        let players = bench.players();
        let another: Collection<Player> = bench.another().await.collection().unwrap();
        let held = bench.truth_faults.hold_before(if load == Load::Search { Operation::Select } else { Operation::GetMany });
        let loading = tokio::spawn(load.run(players.clone()));
        held.arrived().await;
        another.set(player("a", 1)).await.unwrap();
        // It reads the log, which tells of the write.
        assert!(!players.with_freshness(Freshness::Bounded(Duration::ZERO)).exists("z").await.unwrap());
        held.release();
        assert_eq!(loading.await.unwrap(), Some(1), "{load:?}");
        assert_eq!(players.peek("a").map(|player| player.level), Some(1), "{load:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_writes_the_one_that_the_truth_took_last_stays() {
    let bench = FaultyBench::open().await;
    let players = bench.players();
    // The first write is stored, and told to the caches only after the second.
    let held = bench.truth_faults.hold_after(Operation::PutMany);
    let first = tokio::spawn({
        let players = players.clone();
        async move { players.set(player("a", 1)).await.unwrap().version() }
    });
    held.arrived().await;
    let second = players.set(player("a", 2)).await.unwrap().version();
    held.release();
    assert!(first.await.unwrap() < second);
    assert_ne!(players.peek("a").map(|player| player.level), Some(1));
    assert_eq!(level(&players).await, Some(2));

    // The first of two writes is a deletion, and its caches are told last.
    let held = bench.truth_faults.hold_after(Operation::DeleteMany);
    let deletion = tokio::spawn({
        let players = players.clone();
        async move { players.delete("a").await.unwrap() }
    });
    held.arrived().await;
    players.set(player("a", 3)).await.unwrap();
    held.release();
    assert!(deletion.await.unwrap());
    assert_eq!(level(&players).await, Some(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_between_a_deletion_and_its_end_in_the_shared_tier_leaves_nothing() {
    let bench = FaultyBench::open().await;
    let players = bench.players();
    players.set(player("a", 1)).await.unwrap();
    players.from(Role::Shared).get("a").await.unwrap();
    let held = bench.shared_faults.hold_before(Operation::Remove);
    let deletion = tokio::spawn({
        let players = players.clone();
        async move { players.delete("a").await.unwrap() }
    });
    held.arrived().await;
    // The slot still holds it, but this instance has heard of the deletion.
    assert_eq!(level(&players).await, None);
    held.release();
    assert!(deletion.await.unwrap());
    assert_eq!(level(&players).await, None);
    assert!(!players.exists("a").await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_between_an_invalidation_and_its_end_in_the_shared_tier_leaves_nothing() {
    for all in [false, true] {
        let bench = FaultyBench::open().await;
        let players = bench.players();
        players.set(player("a", 1)).await.unwrap();
        players.from(Role::Shared).get("a").await.unwrap();
        outside(&bench).await.set(player("a", 2)).await.unwrap();
        let held = bench.shared_faults.hold_before(if all { Operation::Clear } else { Operation::Remove });
        let invalidation = tokio::spawn({
            let players = players.clone();
            async move { if all { players.invalidate_all().await.map(drop) } else { players.invalidate("a").await } }
        });
        held.arrived().await;
        assert_eq!(level(&players).await, Some(2), "the slot is not emptied yet, but this instance has heard of the invalidation");
        held.release();
        invalidation.await.unwrap().unwrap();
        assert_eq!(level(&players).await, Some(2));
    }
}

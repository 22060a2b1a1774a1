//! Writes by condition within transactions.

use std::sync::Arc;
use std::time::Duration;

use store_testkit::{Fault, Operation};
use strata::facet::Slot;
use strata::mem::MemTier;
use strata::{Collection, ErrorKind, Filter, Freshness, Query, Role, Schema, Store};

use crate::bulk::populations;
use crate::hooks::{Hero, hero, open};
use store_tests::models::{City, Player, city, player};
use store_tests::on_stacks;
use store_tests::stacks::{Bench, FaultyBench, Stack, open_sqlite, sqlite};
use store_tests::waiting::slot;

async fn what_a_condition_finds_changes_with_the_commit(bench: &Bench) {
    let cities = bench.of::<City>();
    cities.set_many((1..=6).map(city)).await.unwrap();
    let kept = bench.stack.has_near().then(|| cities.peek(6).unwrap());
    let (updated, deleted) = bench
        .store
        .transaction(async |tx| {
            tx.set(City { population: 2, ..city(3) }).await?;
            let mut updated = tx.update_where(City::population().eq(2), City::population().set(77)).await?;
            tx.set(City { population: 5, ..city(4) }).await?;
            let mut deleted = tx.delete_where::<City>(City::population().eq(5)).await?;
            tx.set(City { population: 55, ..city(5) }).await?;
            assert!(tx.delete_where::<City>(City::population().eq(5)).await?.is_empty());
            assert_eq!(tx.count::<City>(City::population().eq(77)).await?, 2);
            assert_eq!(populations_committed(&cities).await, [1, 2, 3, 4, 5, 6]);
            updated.sort_unstable();
            deleted.sort_unstable();
            Ok((updated, deleted))
        })
        .await
        .unwrap();
    assert_eq!((updated, deleted), (vec![2, 3], vec![4, 5]));
    assert_eq!(populations(&cities, 1..=6).await, [Some(1), Some(77), Some(77), None, Some(55), Some(6)]);
    if let Some(kept) = kept {
        assert!(Arc::ptr_eq(&cities.with_freshness(Freshness::Any).peek(6).unwrap(), &kept), "what was not touched stays in memory");
    }
}

/// What others read beside an open transaction.
async fn populations_committed(cities: &Collection<City>) -> Vec<i64> {
    cities.get_many(1..=6).await.unwrap().into_iter().map(|city| city.unwrap().population).collect()
}

async fn bad_conditions_are_refused_and_harm_nothing(bench: &Bench) {
    let players = bench.players();
    players.set(player("a", 1)).await.unwrap();
    bench
        .store
        .transaction(async |tx| {
            let of_a = || Query::from(Player::id().eq("a"));
            for query in [Query::new(), of_a().limit(1), of_a().offset(1), of_a().order_by(Player::level())] {
                let error = tx.delete_where(query.clone()).await.unwrap_err();
                assert_eq!((error.kind(), error.operation()), (ErrorKind::InvalidQuery, Some("delete_where")), "{query:?}");
                assert_eq!(tx.update_where(query, Player::level().set(2)).await.unwrap_err().kind(), ErrorKind::InvalidQuery);
            }
            let error = tx.update_where(of_a(), Player::id().set("b")).await.unwrap_err();
            assert_eq!((error.kind(), error.column()), (ErrorKind::InvalidQuery, Some("id")));
            assert_eq!(tx.update_where(of_a(), Player::level().set(3)).await?, ["a"]);
            Ok(())
        })
        .await
        .unwrap();
    let changed = players.get_or_err("a").await.unwrap();
    assert!(changed.level == 3 && changed.updated_at > changed.created_at);
}

async fn hooks_hear_of_deletions_by_condition(bench: &Bench) {
    let (bench, heroes, recorder) = open(bench.stack).await;
    heroes.set_many([hero("a", 1), hero("b", 1)]).await.unwrap();
    recorder.take();
    bench
        .store
        .transaction(async |tx| {
            tx.update_where(Hero::id().eq("a"), Hero::level().set(2)).await?;
            tx.delete_where::<Hero>(Hero::level().eq(1)).await?;
            assert!(recorder.take().0.is_empty());
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!(recorder.take().0, ["after_delete b"]);
}

on_stacks!(with_tables: [
    what_a_condition_finds_changes_with_the_commit,
    bad_conditions_are_refused_and_harm_nothing,
    hooks_hear_of_deletions_by_condition,
]);

/// Exactly the touched records leave memory and the shared tier, with the commit; a savepoint takes that back too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_what_was_touched_leaves_the_caches() {
    let bench = FaultyBench::open().await;
    let players = bench.players();
    let ids = ["a", "b", "c", "d"];
    players.set_many(ids.map(|id| player(id, i64::from(id.as_bytes()[0] - b'a')))).await.unwrap();
    for id in ids {
        players.from(Role::Shared).get(id).await.unwrap();
    }
    let mut before = Vec::new();
    for id in ids {
        before.push(slot(&bench.shared, id).await);
    }
    let in_memory = || ids.map(|id| players.peek(id).is_some());
    bench
        .store
        .transaction(async |tx| {
            let undone = tx.savepoint(async |tx| {
                tx.update_where(Player::level().ge(2), Player::score().set(7.0)).await?;
                Err::<(), _>(strata::Error::new(ErrorKind::NotFound, "changed its mind"))
            });
            assert_eq!(undone.await.unwrap_err().kind(), ErrorKind::NotFound);
            assert_eq!(tx.update_where(Player::level().eq(0), Player::score().set(7.0)).await?, ["a"]);
            assert_eq!(tx.delete_where::<Player>(Player::level().eq(1)).await?, ["b"]);
            for (id, before) in ids.iter().zip(&before) {
                assert_eq!(slot(&bench.shared, id).await, *before);
            }
            assert_eq!(in_memory(), [true; 4]);
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!(in_memory(), [false, false, true, true]);
    for (id, before) in ids.iter().zip(&before) {
        let now = slot(&bench.shared, id).await;
        if ["a", "b"].contains(id) {
            assert!(!matches!(now, Slot::Record(_)), "{id}: {now:?}");
        } else {
            assert_eq!(now, *before, "{id}");
        }
    }
    assert_eq!(players.get("a").await.unwrap().unwrap().score, 7.0);
    assert!(players.get("b").await.unwrap().is_none());
}

/// Where it is not known whether the commit took effect, every copy of what was touched is in doubt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_with_an_unknown_outcome_leaves_no_copy_of_what_was_touched() {
    let bench = FaultyBench::open().await;
    let cities = bench.of::<City>();
    cities.set_many((1..=4).map(city)).await.unwrap();
    bench.truth_faults.next(Operation::Commit, Fault::FailAfter(ErrorKind::L3Unavailable));
    let lost = bench.store.transaction(async |tx| {
        tx.update_where(City::id().eq(1), City::population().set(99)).await?;
        tx.delete_where::<City>(City::id().eq(2)).await.map(drop)
    });
    assert_eq!(lost.await.unwrap_err().kind(), ErrorKind::L3Unavailable);
    assert_eq!(populations(&cities, 1..=4).await, [Some(99), None, Some(3), Some(4)]);
}

/// Other instances drop exactly these, or all where the log has one row for too many.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_instances_hear_of_them_with_the_commit() {
    for stack in [Stack::MemSqlite, Stack::MemModelSqlite, Stack::MemRedisPostgres] {
        let mut bench = stack.open().await;
        let cities = bench.of::<City>();
        let other = bench.another().await.collection::<City>().unwrap();
        let strict = other.with_freshness(Freshness::Bounded(Duration::from_nanos(1)));
        cities.set_many((1..=1_100).map(city)).await.unwrap();
        for (below, population) in [(5, 77), (2_000, 78)] {
            assert_eq!(strict.get_many(1..=4).await.unwrap().len(), 4);
            let changed = bench
                .store
                .transaction(async |tx| tx.update_where(City::id().lt(below), City::population().set(population)).await)
                .await
                .unwrap();
            assert_eq!(changed.len() as i64, (below - 1).min(1_100));
            for id in 1..=4 {
                assert_eq!(strict.get(id).await.unwrap().unwrap().population, population, "{stack:?} {id}");
            }
            assert_eq!(populations(&cities, 1..=4).await, [Some(population); 4]);
        }
    }
}

/// A table whose key holds more than the model's.
#[derive(Debug, Clone, Schema)]
#[schema(name = "reading")]
struct Reading {
    #[schema(primary_key)]
    id: i16,
    value: i64,
}

/// As another program sees it.
#[derive(Debug, Clone, Schema)]
#[schema(name = "reading")]
struct NarrowReading {
    #[schema(primary_key)]
    id: u8,
    value: i64,
}

/// Nobody could bring the caches up to date with a commit of records that have no key here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_touched_what_it_cannot_name_is_not_committed() {
    let (directory, tier) = sqlite().await;
    let wide = Store::builder().near(MemTier::new()).tier(tier).schema::<Reading>().build().await.unwrap();
    let readings = wide.collection::<Reading>().unwrap();
    readings.set_many([Reading { id: 7, value: 1 }, Reading { id: 300, value: 1 }]).await.unwrap();
    let tier = open_sqlite(&directory).await;
    let narrow = Store::builder().near(MemTier::new()).tier(tier).schema::<NarrowReading>().build().await.unwrap();
    let ignored = narrow.transaction(async |tx| {
        let error = tx.update_where(Filter::All(vec![]), NarrowReading::value().set(2)).await.unwrap_err();
        assert_eq!((error.operation(), error.schema()), (Some("update_where"), Some("reading")), "{error}");
        assert_eq!(tx.get::<NarrowReading>(7).await.unwrap_err().kind(), ErrorKind::TransactionFailed);
        Ok(())
    });
    assert_eq!(ignored.await.unwrap_err().kind(), ErrorKind::TransactionFailed);
    let held = readings.from(Role::Truth).get_many([7, 300]).await.unwrap();
    assert_eq!(held.into_iter().map(|reading| reading.unwrap().value).collect::<Vec<_>>(), [1, 1]);
    narrow.transaction(async |tx| tx.update_where(NarrowReading::id().eq(7), NarrowReading::value().set(2)).await).await.unwrap();
    assert_eq!(readings.from(Role::Truth).get(7).await.unwrap().unwrap().value, 2);
}

//! Writes of a transaction that depend on what is there, and changes of a part of a record.

use std::sync::Arc;
use std::time::SystemTime;

use strata::{Collection, ErrorKind, Version};

use super::{level, truth};
use crate::hooks::{Hero, hero, open};
use store_tests::models::{City, Player, city, player};
use store_tests::on_stacks;
use store_tests::stacks::{Bench, Stack};

/// What memory and the truth show of a player.
async fn both(players: &Collection<Player>, id: &str) -> (Option<i64>, Option<i64>) {
    (level(players, id).await, truth(players, id).await)
}

async fn conditions_are_looked_at_within_the_transaction(bench: &Bench) {
    let players = bench.players();
    let first = players.set(player("a", 1)).await.unwrap();
    let second = bench
        .store
        .transaction(async |tx| {
            let inserted = tx.insert_only(player("b", 1)).await?;
            for id in ["a", "b"] {
                let error = tx.insert_only(player(id, 9)).await.unwrap_err();
                assert_eq!((error.kind(), error.schema(), error.key()), (ErrorKind::Conflict, Some("player"), Some(id)));
                assert_eq!((error.operation(), error.is_retryable()), (Some("insert_only"), false));
            }
            let second = tx.set_if_version(player("a", 2), first.version()).await?;
            assert!(second.version() > inserted.version());
            let error = tx.set_if_version(player("a", 3), first.version()).await.unwrap_err();
            assert!(error.to_string().contains(&format!("its version is {}, not {}", second.version(), first.version())), "{error}");
            let error = tx.set_if_version(player("c", 3), Version::new(1)).await.unwrap_err();
            assert!(error.kind() == ErrorKind::Conflict && error.to_string().contains("there is no record"), "{error}");
            assert!(tx.delete::<Player>("b").await?);
            tx.insert_only(player("b", 4)).await?;
            assert_eq!(tx.insert_only(player("", 1)).await.unwrap_err().kind(), ErrorKind::MissingPrimaryKey);
            Ok(second)
        })
        .await
        .unwrap();
    assert_eq!((both(&players, "a").await, both(&players, "b").await), ((Some(2), Some(2)), (Some(4), Some(4))));
    let read = players.get_record("a").await.unwrap().unwrap();
    assert_eq!((read.model(), read.version()), (second.model(), second.version()));
    assert_eq!(both(&players, "c").await, (None, None));
}

async fn parts_of_records_change_with_the_commit(bench: &Bench) {
    let (players, cities) = (bench.players(), bench.of::<City>());
    let before = players.set(player("a", 1)).await.unwrap();
    cities.set(city(1)).await.unwrap();
    bench
        .store
        .transaction(async |tx| {
            let patched = tx.patch("a", [Player::level().set(5), Player::region().set(None)]).await?.expect("it is there");
            let expected = Player { level: 5, region: None, updated_at: patched.updated_at, ..Player::clone(before.model()) };
            assert!(**patched.model() == expected && patched.updated_at > before.updated_at, "{patched:?}");
            let raised = tx.update::<Player, _>("a", |player| player.level *= 2).await?.expect("it is there");
            assert!(raised.version() > patched.version());
            assert_eq!((raised.level, raised.region.as_deref(), raised.created_at), (10, None, before.created_at));
            assert!(tx.patch("x", Player::level().set(5)).await?.is_none());
            assert!(tx.update::<Player, _>("x", |player| player.level = 5).await?.is_none());
            tx.patch(1, City::name().set("Lima")).await?;
            assert_eq!(tx.get::<City>(1).await?.unwrap().name, "Lima");

            // None of these reaches the truth, so that the transaction goes on.
            let refused = tx.update::<Player, _>("a", |player| {
                player.level = 99;
                Err::<(), _>(std::io::Error::other("no"))
            });
            let refused = refused.await.unwrap_err();
            assert_eq!((refused.kind(), refused.operation()), (ErrorKind::Refused, Some("update")));
            assert_eq!(std::error::Error::source(&refused).unwrap().to_string(), "no");
            let moved = tx.update::<Player, _>("a", |player| player.id = "b".to_owned()).await.unwrap_err();
            assert!(moved.kind() == ErrorKind::InvalidQuery && moved.to_string().contains("changed the key, to `b`"), "{moved}");
            let keyed = tx.patch::<Player>("a", Player::id().set("b")).await.unwrap_err();
            assert_eq!((keyed.kind(), keyed.operation()), (ErrorKind::InvalidQuery, Some("patch")));
            let stamped = tx.patch::<Player>("a", Player::created_at().set(SystemTime::UNIX_EPOCH)).await.unwrap_err();
            assert_eq!(stamped.kind(), ErrorKind::InvalidQuery);
            assert_eq!(both(&players, "a").await.0, Some(1), "others read what was committed");
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!((both(&players, "a").await, both(&players, "b").await), ((Some(10), Some(10)), (None, None)));
    assert_eq!(cities.get(1).await.unwrap().unwrap().name, "Lima");
}

async fn what_was_written_under_a_condition_goes_back(bench: &Bench) {
    let players = bench.players();
    let before = players.set(player("a", 1)).await.unwrap();
    bench
        .store
        .transaction(async |tx| {
            let undone = tx.savepoint(async |tx| {
                tx.set_if_version(player("a", 2), before.version()).await?;
                tx.insert_only(player("b", 2)).await?;
                tx.patch("a", Player::username().set("user-b")).await.map(drop)
            });
            assert_eq!(undone.await.unwrap_err().kind(), ErrorKind::UniqueViolation);
            tx.set_if_version(player("a", 3), before.version()).await.map(drop)
        })
        .await
        .unwrap();
    assert_eq!((both(&players, "a").await, both(&players, "b").await), ((Some(3), Some(3)), (None, None)));
    let rolled_back = bench.store.transaction(async |tx| {
        tx.update::<Player, _>("a", |player| player.level = 9).await?;
        tx.insert_only(player("b", 9)).await?;
        Err::<(), _>(strata::Error::new(ErrorKind::NotFound, "changed its mind"))
    });
    assert_eq!(rolled_back.await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!((both(&players, "a").await, both(&players, "b").await), ((Some(3), Some(3)), (None, None)));
}

async fn hooks_see_conditional_writes(bench: &Bench) {
    let (bench, heroes, recorder) = open(bench.stack).await;
    heroes.set(hero("b", 1)).await.unwrap();
    recorder.take();
    bench
        .store
        .transaction(async |tx| {
            assert_eq!(tx.insert_only(hero("a", 200)).await?.level, 100);
            assert_eq!(tx.insert_only(hero("bad", 1)).await.unwrap_err().kind(), ErrorKind::Refused);
            assert_eq!(recorder.take().0, ["before_set a", "before_set bad"]);
            tx.update::<Hero, _>("b", |hero| hero.level = 200).await?;
            tx.patch("b", Hero::level().set(7)).await?;
            assert_eq!(recorder.take().0, ["before_set b"], "a patch has no model to show");
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!(recorder.take().0, ["after_set a", "after_set b"]);
    assert_eq!(heroes.get("b").await.unwrap().unwrap().level, 7);
}

on_stacks!(with_tables: [
    conditions_are_looked_at_within_the_transaction,
    parts_of_records_change_with_the_commit,
    what_was_written_under_a_condition_goes_back,
    hooks_see_conditional_writes,
]);

/// Updates lock what they read, and of many who insert one key in transactions, one does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_that_meet_at_a_record_lose_nothing() {
    for stack in [Stack::MemSqlite, Stack::MemRedisPostgres] {
        let mut bench = stack.open().await;
        let stores = [bench.store.clone(), bench.another().await];
        bench.players().set(player("a", 0)).await.unwrap();
        let inserted = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let workers: Vec<_> = (0..6_usize)
            .map(|worker| {
                let (store, inserted) = (stores[worker % 2].clone(), Arc::clone(&inserted));
                tokio::spawn(async move {
                    for turn in 0..5 {
                        let id = format!("new-{turn}");
                        let has_inserted = store
                            .transaction(async |tx| {
                                tx.update::<Player, _>("a", |player| player.level += 1).await?;
                                match tx.insert_only(player(&id, worker as i64)).await {
                                    Err(error) if error.kind() == ErrorKind::Conflict => Ok(false),
                                    inserted => inserted.map(|_| true),
                                }
                            })
                            .await
                            .unwrap();
                        inserted.fetch_add(usize::from(has_inserted), std::sync::atomic::Ordering::Relaxed);
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.await.unwrap();
        }
        assert_eq!(inserted.load(std::sync::atomic::Ordering::Relaxed), 5, "{stack:?}");
        assert_eq!(truth(&bench.players(), "a").await, Some(30), "{stack:?}");
    }
}

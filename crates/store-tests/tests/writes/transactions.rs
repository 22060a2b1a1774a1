//! Transactions over records of several models, and what they leave in the caches.

mod bulk;
mod caches;
mod conditional;
mod conflicts;
mod dropped;
mod ends;
mod hooks;
mod instances;
mod queued;
mod servers;
mod tags;
mod unknown;

use std::time::Duration;

use strata::{Collection, Deferred, ErrorKind, Query, Role, Store, Transaction};

use store_tests::models::{Account, City, Document, Membership, Player, account, city, document, player};
use store_tests::on_stacks;
use store_tests::stacks::{Bench, FaultyBench, Stack};

/// What a read finds.
async fn level(players: &Collection<Player>, id: &str) -> Option<i64> {
    players.get(id).await.unwrap().map(|player| player.level)
}

/// What the truth holds.
async fn truth(players: &Collection<Player>, id: &str) -> Option<i64> {
    players.from(Role::Truth).get(id).await.unwrap().map(|player| player.level)
}

async fn raise(tx: &mut Transaction, id: &str) -> strata::Result<i64> {
    let mut player = tx.get_for_update::<Player>(id).await?.expect("the case wrote it");
    player.level += 1;
    Ok(tx.set(player).await?.level)
}

async fn two_models_change_together(bench: &Bench) {
    let (players, cities) = (bench.players(), bench.of::<City>());
    players.set(player("a", 1)).await.unwrap();
    cities.set_many([city(1), city(2)]).await.unwrap();
    let store = bench.store.clone();
    // In a task of the program's own: the future can be sent.
    let answer = tokio::spawn(async move {
        let name = String::from("Lima");
        store
            .transaction(async |tx| {
                let raised = raise(tx, "a").await?;
                tx.set(City { name, ..city(1) }).await?;
                assert!(tx.delete::<City>(2).await?);
                assert!(!tx.delete::<City>(9).await?);
                tx.set_many([player("b", 5), player("b", 6), player("c", 7)]).await?;
                assert_eq!(tx.get_many::<Player>(["c", "x", "b", "c"]).await?.iter().flatten().map(|player| player.level).sum::<i64>(), 20);
                assert_eq!(tx.count(Query::<City>::new()).await?, 1);
                let found = tx.search(Query::<Player>::new().order_by(Player::level().desc()).limit(2)).await?;
                assert_eq!(found.iter().map(|player| player.level).collect::<Vec<_>>(), [7, 6]);
                Ok(raised)
            })
            .await
    });
    assert_eq!(answer.await.unwrap().unwrap(), 2);
    for (id, expected) in [("a", Some(2)), ("b", Some(6)), ("c", Some(7)), ("x", None)] {
        assert_eq!((level(&players, id).await, truth(&players, id).await), (expected, expected), "{id}");
    }
    assert_eq!(cities.get(1).await.unwrap().unwrap().name, "Lima");
    assert!(cities.get(2).await.unwrap().is_none());
    let stats = bench.store.stats();
    assert_eq!((stats.sets, stats.deletes), (8, 2));
}

async fn stamps_deferred_fields_and_answers_are_those_of_a_plain_write(bench: &Bench) {
    let accounts = bench.of::<Account>();
    accounts.set(account(1)).await.unwrap();
    let shown = accounts.get(1).await.unwrap().unwrap();
    assert_eq!(shown.password, Deferred::NotLoaded);
    let (record, stored) = bench
        .store
        .transaction(async |tx| {
            let whole = tx.get::<Account>(1).await?.expect("it was written");
            assert_eq!(whole, account(1), "a transaction reads the truth, with every column");
            // What a cache held leaves alone what it did not hold.
            tx.set(Account { name: "changed".into(), ..(*shown).clone() }).await?;
            let stored = tx.set(player("a", 1)).await?;
            Ok((tx.get::<Account>(1).await?, stored))
        })
        .await
        .unwrap();
    assert_eq!(record, Some(Account { name: "changed".into(), ..account(1) }));
    let read = bench.players().get_record("a").await.unwrap().unwrap();
    assert_eq!((read.model(), read.version()), (stored.model(), stored.version()));
    assert!(stored.created_at > std::time::UNIX_EPOCH, "stamped");
    let whole = accounts.from(Role::Truth).get(1).await.unwrap().unwrap();
    assert_eq!(whole.password, Deferred::Loaded("secret-1".into()));
    assert_eq!(accounts.get(1).await.unwrap().unwrap().password, Deferred::NotLoaded, "memory holds what it may");
}

async fn a_failure_takes_all_of_it_back(bench: &Bench) {
    let players = bench.players();
    players.set(player("a", 1)).await.unwrap();
    let refused = bench.store.transaction(async |tx| {
        raise(tx, "a").await?;
        tx.set(Player { username: "user-a".into(), ..player("b", 1) }).await?;
        Ok(())
    });
    let error = refused.await.unwrap_err();
    assert_eq!((error.kind(), error.column(), error.key()), (ErrorKind::UniqueViolation, Some("username"), Some("b")), "{error}");
    assert_eq!((error.schema(), error.operation()), (Some("player"), Some("set")));
    assert_eq!((level(&players, "a").await, truth(&players, "a").await, truth(&players, "b").await), (Some(1), Some(1), None));
    // Who goes on in spite of it gets nowhere.
    let ignored = bench.store.transaction(async |tx| {
        raise(tx, "a").await?;
        let _ = tx.set(Player { username: "user-a".into(), ..player("b", 1) }).await;
        Ok(())
    });
    assert_eq!(ignored.await.unwrap_err().kind(), ErrorKind::TransactionFailed);
    assert_eq!((level(&players, "a").await, truth(&players, "a").await), (Some(1), Some(1)));
}

async fn a_savepoint_takes_back_its_own_part(bench: &Bench) {
    let players = bench.players();
    players.set_many([player("a", 1), player("b", 1), player("c", 1)]).await.unwrap();
    bench
        .store
        .transaction(async |tx| {
            raise(tx, "a").await?;
            let undone = tx.savepoint(async |tx| {
                raise(tx, "a").await?;
                raise(tx, "b").await?;
                tx.set(City { population: 9, ..city(1) }).await?;
                tx.delete::<Player>("c").await?;
                tx.set(Player { username: "user-b".into(), ..player("d", 1) }).await
            });
            assert_eq!(undone.await.unwrap_err().kind(), ErrorKind::UniqueViolation);
            let kept = tx.savepoint(async |tx| {
                let nested = tx.savepoint(async |tx| raise(tx, "c").await).await?;
                let _ = tx.savepoint(async |tx| tx.set(Player { username: "user-b".into(), ..player("d", 1) }).await).await;
                Ok(nested)
            });
            assert_eq!(kept.await?, 2);
            Ok(())
        })
        .await
        .unwrap();
    for (id, expected) in [("a", Some(2)), ("b", Some(1)), ("c", Some(2)), ("d", None)] {
        assert_eq!((level(&players, id).await, truth(&players, id).await), (expected, expected), "{id}");
    }
    assert!(bench.of::<City>().get(1).await.unwrap().is_none());
}

/// Work that goes on in spite of a failure within its savepoint loses what the savepoint holds, and nothing else.
async fn a_failure_that_is_passed_over_takes_its_savepoint_back(bench: &Bench) {
    let players = bench.players();
    players.set_many([player("a", 1), player("b", 1)]).await.unwrap();
    let kinds = bench.store.transaction(async |tx| {
        raise(tx, "b").await?;
        let outer = tx.savepoint(async |tx| {
            raise(tx, "a").await?;
            tx.savepoint(async |tx| {
                raise(tx, "b").await?;
                let _ = tx.set(Player { username: "user-b".into(), ..player("d", 1) }).await;
                Ok(())
            })
            .await
        });
        let outer = outer.await.unwrap_err();
        assert_eq!((tx.get::<Player>("a").await?.unwrap().level, tx.get::<Player>("b").await?.unwrap().level), (1, 2));
        let alone = tx.savepoint(async |tx| {
            raise(tx, "a").await?;
            let _ = tx.set(Player { username: "user-b".into(), ..player("d", 1) }).await;
            Ok(())
        });
        Ok([outer.kind(), alone.await.unwrap_err().kind()])
    });
    assert_eq!(kinds.await.unwrap(), [ErrorKind::TransactionFailed; 2]);
    for (id, expected) in [("a", Some(1)), ("b", Some(2)), ("d", None)] {
        assert_eq!((level(&players, id).await, truth(&players, id).await), (expected, expected), "{id}");
    }
}

async fn queued_writes_are_all_or_none(bench: &Bench) {
    let players = bench.players();
    players.set(player("old", 1)).await.unwrap();
    bench.store.tx().set(player("a", 1)).set(city(1)).delete::<Player>("old").set(player("a", 2)).commit().await.unwrap();
    assert_eq!((level(&players, "a").await, level(&players, "old").await), (Some(2), None));
    assert!(bench.of::<City>().exists(1).await.unwrap());
    let taken = Player { username: "user-a".into(), ..player("b", 1) };
    let error = bench.store.tx().delete::<City>(1).set(taken).commit().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UniqueViolation);
    assert!(bench.of::<City>().exists(1).await.unwrap());
    bench.store.tx().commit().await.unwrap();
    let dropped = bench.store.tx().delete::<City>(1);
    drop(dropped);
    let sent = bench.store.tx().set(player("a", 3));
    tokio::spawn(sent.commit()).await.unwrap().unwrap();
    assert_eq!(truth(&players, "a").await, Some(3));
}

async fn bad_calls_are_refused_and_harm_nothing(bench: &Bench) {
    let store = &bench.store;
    store
        .transaction(async |tx| {
            let empty = tx.set(player("", 1)).await.unwrap_err();
            assert_eq!((empty.kind(), empty.operation()), (ErrorKind::MissingPrimaryKey, Some("set")));
            assert_eq!(tx.get::<Player>("").await.unwrap_err().kind(), ErrorKind::MissingPrimaryKey);
            assert_eq!(tx.delete::<City>(0).await.unwrap_err().kind(), ErrorKind::MissingPrimaryKey);
            // None of them reached the truth.
            tx.set(player("a", 1)).await?;
            assert!(tx.set_many(Vec::<City>::new()).await?.is_empty());
            assert_eq!(tx.delete_many::<City>(Vec::<i64>::new()).await?, 0);
            tx.set(document(uuid::Uuid::from_u128(7))).await?;
            tx.set(Membership { club: "a:b".into(), person: "c".into(), since: 1 }).await?;
            Ok(())
        })
        .await
        .unwrap();
    assert!(bench.of::<Document>().exists(uuid::Uuid::from_u128(7)).await.unwrap());
    assert!(bench.of::<Membership>().exists(("a:b", "c")).await.unwrap());
    assert_eq!(level(&bench.players(), "a").await, Some(1));
}

on_stacks!(with_tables: [
    two_models_change_together,
    stamps_deferred_fields_and_answers_are_those_of_a_plain_write,
    a_failure_takes_all_of_it_back,
    a_savepoint_takes_back_its_own_part,
    a_failure_that_is_passed_over_takes_its_savepoint_back,
    queued_writes_are_all_or_none,
    bad_calls_are_refused_and_harm_nothing,
]);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_without_tables_says_what_it_lacks() {
    for stack in [Stack::MemAlone, Stack::ModelAlone] {
        let bench = stack.open().await;
        let error = bench.store.transaction(async |_| Ok(())).await.unwrap_err();
        assert_eq!((error.kind(), error.operation()), (ErrorKind::InvalidConfig, Some("transaction")));
        assert!(error.to_string().contains("add PostgreSQL or SQLite"), "{error}");
    }
    let bench =
        FaultyBench::open_with(|builder| builder.schema_with::<Player>(|options| options.policies.cache_only = true).schema::<City>());
    let bench = bench.await;
    let error = bench.store.transaction(async |tx| tx.set(player("a", 1)).await).await.unwrap_err();
    assert_eq!((error.kind(), error.schema()), (ErrorKind::InvalidConfig, Some("player")), "{error}");
    let unknown = bench.store.transaction(async |tx| tx.get::<Account>(1).await).await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::SchemaNotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_out_of_range_are_refused() {
    let builder = Store::builder().schema::<Player>().configure(|settings| settings.transaction_timeout = Duration::ZERO);
    let error = builder.build().await.unwrap_err();
    assert!(error.to_string().contains("`transaction_timeout`"), "{error}");
}

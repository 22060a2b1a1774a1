//! A truth that is restored, or another one, under a shared tier that is kept.

use std::time::Duration;

use strata::{Collection, Error, Role, Store};

use store_tests::models::{Player, player};
use store_tests::stacks::{Bench, Stack};
use store_tests::waiting::until;

/// How stale memory may be.
const BOUND: Duration = Duration::from_secs(1);

/// Far above what the restored database will issue while the test runs.
const WRITES_SINCE: i64 = 40;

fn of(store: &Store) -> Collection<Player> {
    store.collection().unwrap()
}

/// What an instance shows of the restored records, in every way, from memory and from the shared tier.
async fn shown(players: &Collection<Player>) -> Result<Vec<(&'static str, Option<i64>)>, Error> {
    let mut shown = Vec::new();
    for id in ["kept", "deleted", "inserted"] {
        shown.push((id, players.get(id).await?.map(|player| player.level)));
        shown.push((id, players.get_many([id]).await?.remove(0).map(|player| player.level)));
        shown.push((id, players.from(Role::Shared).get(id).await?.map(|player| player.level)));
        shown.push((id, players.from(Role::Shared).get_many([id]).await?.remove(0).map(|player| player.level)));
        shown.push((id, players.exists(id).await?.then_some(1)));
    }
    Ok(shown)
}

/// Two reads in a row: the second may be answered by what the first brought.
async fn check(players: &Collection<Player>) {
    for _ in 0..2 {
        let shown = shown(players).await.unwrap();
        for (id, level) in shown {
            assert_eq!(level, (id != "inserted").then_some(1), "{id}");
        }
    }
}

/// A store whose copies, in memory and in Redis, are newer than the database, which was restored. With it an instance that has run all along.
async fn restored() -> (Bench, Store) {
    let mut bench = Stack::MemRedisPostgres.open_fresh_for(BOUND).await;
    let running = bench.another().await;
    let players = bench.players();
    players.set_many([player("kept", 1), player("deleted", 1)]).await.unwrap();
    let backup = bench.postgres().back_up().await;
    for level in 2..2 + WRITES_SINCE {
        until("the server takes connections", async || players.set(player("kept", level)).await.is_ok()).await;
    }
    players.set(player("inserted", 2)).await.unwrap();
    assert!(players.delete("deleted").await.unwrap());
    bench.relayed::<Player>().await;
    for store in [&bench.store, &running] {
        let copies = of(store).get_many(["kept", "inserted", "deleted"]).await.unwrap();
        let levels: Vec<_> = copies.into_iter().map(|player| player.map(|player| player.level)).collect();
        assert_eq!(levels, [Some(1 + WRITES_SINCE), Some(2), None]);
    }
    bench.postgres().restore(backup).await;
    (bench, running)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_database_is_shown_as_it_is_by_instances_that_start() {
    let (mut bench, running) = restored().await;
    // What runs on would drop the old copies itself.
    running.close().await.unwrap();
    bench.store.close().await.unwrap();
    let (one, other) = (bench.another().await, bench.another().await);
    check(&of(&one)).await;
    check(&of(&other)).await;
    changes_are_shown(&of(&one), &of(&other)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_database_is_shown_as_it_is_by_instances_that_run_on() {
    let (mut bench, running) = restored().await;
    tokio::time::sleep(BOUND).await;
    for store in [&bench.store, &running] {
        // Connections are opened anew.
        until("the instance answers again", async || shown(&of(store)).await.is_ok()).await;
        check(&of(store)).await;
    }
    changes_are_shown(&bench.players(), &of(&running)).await;
    changes_are_shown(&of(&running), &of(&bench.another().await)).await;
}

/// What is written now has smaller versions than the copies had that were made before.
async fn changes_are_shown(writer: &Collection<Player>, reader: &Collection<Player>) {
    let level = async |players: &Collection<Player>, id: &str| players.get(id).await.unwrap().map(|player| player.level);
    let follow = async |id: &str, expected: i64| {
        assert_eq!(level(writer, id).await, Some(expected));
        tokio::time::sleep(BOUND).await;
        for players in [writer, reader] {
            assert_eq!(level(players, id).await, Some(expected));
            assert_eq!(players.from(Role::Shared).get(id).await.unwrap().map(|player| player.level), Some(expected));
        }
    };
    writer.set(player("kept", 100)).await.unwrap();
    follow("kept", 100).await;
    writer.update("kept", |player| player.level += 1).await.unwrap();
    follow("kept", 101).await;
    writer.insert_only(player("inserted", 102)).await.unwrap();
    follow("inserted", 102).await;
    assert!(writer.delete("inserted").await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn databases_that_share_their_keys_in_redis_do_not_show_each_others_records() {
    let bench = Stack::MemRedisPostgres.open_fresh_for(BOUND).await;
    let (_database, beside) = bench.beside().await;
    let (one, other) = (bench.players(), of(&beside));
    for round in 0..200 {
        one.set(player("a", round)).await.unwrap();
        other.set(player("a", -round)).await.unwrap();
        for (players, expected) in [(&one, round), (&other, -round), (&one, round)] {
            assert_eq!(players.from(Role::Shared).get("a").await.unwrap().map(|player| player.level), Some(expected));
            assert_eq!(players.get("a").await.unwrap().map(|player| player.level), Some(expected));
        }
        assert!(other.from(Role::Shared).get("b").await.unwrap().is_none());
        one.set(player("b", round)).await.unwrap();
    }
}

//! What an instance sees of its own pending writes.

use futures_util::TryStreamExt;
use store_testkit::Operation;
use strata::{Deferred, Freshness, Query, Role};

use super::{Bench, level, on_truths, players, truth};
use store_tests::models::{Account, City, Player, account, city, player};

async fn every_read_by_key_sees_what_is_pending(bench: &Bench) {
    let (store, other) = (bench.open("a").await, bench.open("b").await);
    let players = players(&store);
    let set = players.set(player("a", 1)).await.unwrap();
    assert!(set.is_pending() && set.created_at > std::time::UNIX_EPOCH, "stamped at once");
    assert_eq!((store.stats().dirty_entries, truth(&other, "a").await), (1, None));

    assert_eq!(level(&players, "a").await, Some(1));
    assert_eq!(players.peek("a").unwrap().level, 1);
    assert_eq!(players.peek_with("a", |player| player.level), Some(1));
    assert!(players.get_record("a").await.unwrap().unwrap().is_pending());
    assert!(players.exists("a").await.unwrap());
    let many = players.get_many(["b", "a", "a"]).await.unwrap();
    assert_eq!(many.iter().map(|player| player.as_ref().map(|player| player.level)).collect::<Vec<_>>(), [None, Some(1), Some(1)]);
    let answer = players.read("a").await.unwrap().unwrap();
    assert_eq!((answer.is_pending, answer.version().get(), answer.tier), (true, 0, Role::Near));
    assert_eq!(truth(&other, "a").await, None, "none of them flushed");

    store.flush().await.unwrap();
    assert_eq!((store.stats().dirty_entries, truth(&other, "a").await), (0, Some(1)));
    let answer = players.read("a").await.unwrap().unwrap();
    assert!(!answer.is_pending && answer.version().get() > 0);
    assert_eq!(answer.created_at, set.created_at);
}

async fn a_pending_deletion_hides_what_the_truth_holds(bench: &Bench) {
    let (store, other) = (bench.open("a").await, bench.open("b").await);
    let players = players(&store);
    players.set_many([player("a", 1), player("b", 1)]).await.unwrap();
    store.flush().await.unwrap();
    assert!(players.delete("a").await.unwrap());
    assert!(!players.delete("a").await.unwrap(), "it is gone as far as this instance sees");
    assert_eq!(truth(&other, "a").await, Some(1));
    assert_eq!(level(&players, "a").await, None);
    assert!(players.peek("a").is_none() && !players.exists("a").await.unwrap());
    assert!(players.get_many(["a", "b"]).await.unwrap()[0].is_none());
    // Filling memory from the truth brings nothing back.
    players.warm(None).await.unwrap();
    assert_eq!(level(&players, "a").await, None);
    store.flush().await.unwrap();
    assert_eq!((level(&players, "a").await, truth(&other, "a").await), (None, None));
}

async fn queries_and_strong_reads_flush_first(bench: &Bench) {
    let (store, _other) = (bench.open("a").await, bench.open("b").await);
    let players = players(&store);
    for number in 1..=9 {
        players.set(player("a", number)).await.unwrap();
        assert_eq!(store.stats().dirty_entries, 1);
        match number {
            1 => assert_eq!(players.search(Query::new()).await.unwrap()[0].level, 1),
            2 => assert_eq!(players.count(Query::new().filter(Player::level().eq(2))).await.unwrap(), 1),
            3 => assert_eq!(players.select(Query::new(), (Player::level(),)).await.unwrap(), [(3,)]),
            4 => assert_eq!(players.stream(Query::new()).unwrap().try_next().await.unwrap().unwrap().level, 4),
            5 => assert_eq!(players.with_freshness(Freshness::Strong).get("a").await.unwrap().unwrap().level, 5),
            6 => assert_eq!(players.from(Role::Shared).get("a").await.unwrap().unwrap().level, 6),
            7 => assert_eq!(players.from(Role::Truth).get_many(["a"]).await.unwrap()[0].as_ref().unwrap().level, 7),
            // The answer that memory keeps of the eighth is none for the ninth.
            _ => assert_eq!(players.search_cached(&Query::new()).await.unwrap()[0].level, number),
        }
        assert_eq!(store.stats().dirty_entries, 0);
    }
}

async fn many_writes_of_a_key_are_one_of_the_truth_and_the_last_one_counts(bench: &Bench) {
    let ((store, faults), other) = (bench.open_with("a", |builder| builder).await, bench.open("b").await);
    let players = players(&store);
    for number in 1..=50 {
        players.set(player("a", number)).await.unwrap();
    }
    players.delete("b").await.unwrap();
    players.set(player("b", 1)).await.unwrap();
    players.set(player("c", 1)).await.unwrap();
    players.delete("c").await.unwrap();
    assert_eq!(store.stats().dirty_entries, 3);
    let written = || faults.calls(Operation::PutMany) + faults.calls(Operation::PutIf);
    let before = written();
    store.flush().await.unwrap();
    assert!(written() - before <= 2, "not one call for each");
    assert_eq!((truth(&other, "a").await, truth(&other, "b").await, truth(&other, "c").await), (Some(50), Some(1), None));
    let first = players.get_record("a").await.unwrap().unwrap().version();
    store.flush().await.unwrap();
    assert_eq!(players.from(Role::Truth).get("a").await.unwrap().unwrap().version(), first, "nothing is left to write");
}

async fn what_a_write_leaves_alone_is_what_the_one_before_it_wrote(bench: &Bench) {
    let store = bench.open("a").await;
    let accounts = store.collection::<Account>().unwrap();
    accounts.set(account(1)).await.unwrap();
    let shown = accounts.get(1).await.unwrap().unwrap();
    assert_eq!(shown.password, Deferred::NotLoaded);
    accounts.set(Account { name: "changed".into(), ..(*shown).clone() }).await.unwrap();
    store.flush().await.unwrap();
    let stored = accounts.from(Role::Truth).get(1).await.unwrap().unwrap();
    assert_eq!((stored.name.as_str(), &stored.password), ("changed", &account(1).password));

    // What was deleted in between leaves nothing behind, and begins anew.
    let players = players(&store);
    players.set(player("a", 1)).await.unwrap();
    store.flush().await.unwrap();
    let created = players.get("a").await.unwrap().unwrap().created_at;
    players.set(player("a", 2)).await.unwrap();
    assert_eq!(players.get("a").await.unwrap().unwrap().created_at, created, "an update keeps it");
    players.delete("a").await.unwrap();
    players.set(player("a", 3)).await.unwrap();
    store.flush().await.unwrap();
    let stored = players.from(Role::Truth).get("a").await.unwrap().unwrap();
    assert!(stored.level == 3 && stored.created_at > created);
}

async fn other_doors_come_after_what_is_pending(bench: &Bench) {
    let (store, other) = (bench.open("a").await, bench.open("b").await);
    let players = players(&store);
    players.set(player("a", 1)).await.unwrap();
    let updated = players.update("a", |player| player.level += 10).await.unwrap().unwrap();
    assert!(updated.level == 11 && !updated.is_pending());
    players.set(player("a", 2)).await.unwrap();
    assert_eq!(players.patch("a", Player::score().set(9.0)).await.unwrap().unwrap().level, 2);
    players.set(player("b", 1)).await.unwrap();
    assert_eq!(players.insert_only(player("b", 9)).await.unwrap_err().kind(), strata::ErrorKind::Conflict);
    players.set(player("c", 3)).await.unwrap();
    assert_eq!(players.update_where(Player::level().eq(3), Player::level().set(33)).await.unwrap(), ["c"]);
    players.set(player("d", 4)).await.unwrap();
    assert_eq!(players.delete_where(Player::level().eq(4)).await.unwrap(), ["d"]);
    store.collection::<City>().unwrap().set(city(1)).await.unwrap();
    players.set(player("a", 5)).await.unwrap();
    let seen = store.transaction(async |tx| {
        let city = tx.get::<City>(1).await?.is_some();
        let mut player = tx.get_for_update::<Player>("a").await?.expect("it was flushed");
        player.level += 100;
        Ok((city, tx.set(player).await?.level))
    });
    assert_eq!(seen.await.unwrap(), (true, 105));
    // And what comes after them is based on what they stored.
    players.set(player("a", 6)).await.unwrap();
    store.flush().await.unwrap();
    assert_eq!((level(&players, "a").await, truth(&other, "a").await), (Some(6), Some(6)));
    assert!(store.dead_letters().list(None, 10).await.unwrap().is_empty());
}

on_truths![
    every_read_by_key_sees_what_is_pending,
    a_pending_deletion_hides_what_the_truth_holds,
    queries_and_strong_reads_flush_first,
    many_writes_of_a_key_are_one_of_the_truth_and_the_last_one_counts,
    what_a_write_leaves_alone_is_what_the_one_before_it_wrote,
    other_doors_come_after_what_is_pending,
];

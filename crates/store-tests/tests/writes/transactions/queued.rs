//! Queued writes: each does what the call of its name does within a transaction.

use strata::{ErrorKind, Version};

use super::{level, truth};
use store_tests::models::{City, Player, city, player};
use store_tests::on_stacks;
use store_tests::stacks::Bench;

async fn every_kind_of_write_can_be_queued(bench: &Bench) {
    let (players, cities) = (bench.players(), bench.of::<City>());
    let first = players.set(player("a", 1)).await.unwrap();
    players.set_many(["b", "c", "d"].map(|id| player(id, 1))).await.unwrap();
    cities.set_many((1..=6).map(city)).await.unwrap();
    let queued = bench.store.tx().set_if_version(player("a", 2), first.version()).patch("b", Player::level().set(2));
    let queued = queued.delete_many::<Player>(["c", "x"]).insert_only(player("c", 3)).patch("x", Player::level().set(9));
    let queued = queued.set_many([player("e", 1), player("e", 4)]);
    let queued = queued.update_where(City::id().between(1, 2), City::population().set(50)).delete_where::<City>(City::id().gt(4));
    assert_eq!(level(&players, "a").await, Some(1), "nothing is written yet");
    queued.commit().await.unwrap();
    for (id, expected) in [("a", Some(2)), ("b", Some(2)), ("c", Some(3)), ("d", Some(1)), ("e", Some(4)), ("x", None)] {
        assert_eq!((level(&players, id).await, truth(&players, id).await), (expected, expected), "{id}");
    }
    let found = cities.get_many(1..=6).await.unwrap();
    let populations: Vec<_> = found.iter().map(|city| city.as_ref().map(|city| city.population)).collect();
    assert_eq!(populations, [Some(50), Some(50), Some(3), Some(4), None, None]);
}

async fn a_condition_that_does_not_hold_takes_all_of_it_back(bench: &Bench) {
    let players = bench.players();
    players.set(player("a", 1)).await.unwrap();
    let queued = || bench.store.tx().set(player("b", 1)).patch("a", Player::level().set(2));
    let inserted = queued().insert_only(player("a", 9)).commit().await.unwrap_err();
    assert_eq!((inserted.kind(), inserted.operation(), inserted.key()), (ErrorKind::Conflict, Some("insert_only"), Some("a")));
    let set = queued().set_if_version(player("a", 9), Version::new(1)).commit().await.unwrap_err();
    assert_eq!((set.kind(), set.operation(), set.key()), (ErrorKind::Conflict, Some("set_if_version"), Some("a")));
    let patched = queued().patch::<Player>("a", Player::id().set("c")).commit().await.unwrap_err();
    assert_eq!((patched.kind(), patched.operation()), (ErrorKind::InvalidQuery, Some("patch")));
    for (id, expected) in [("a", Some(1)), ("b", None)] {
        assert_eq!((level(&players, id).await, truth(&players, id).await), (expected, expected), "{id}");
    }
}

async fn queued_writes_give_the_tags_of_their_part(bench: &Bench) {
    let cities = bench.of::<City>();
    cities.set(city(4)).await.unwrap();
    let queued = bench.store.tx().set(city(1)).with_tags(["front-page"], |tx| {
        let tx = tx.set(city(2)).with_tags(["south"], |tx| tx.set_many([city(3)]));
        tx.patch(4, City::population().set(44)).insert_only(city(5))
    });
    queued.set(city(6)).commit().await.unwrap();
    let refused = bench.store.tx().with_tags(["a\0b"], |tx| tx.set(city(7))).commit().await.unwrap_err();
    assert_eq!((refused.kind(), refused.operation()), (ErrorKind::InvalidValue, Some("set")));
    if !bench.stack.has_near() {
        return;
    }
    let held = || (1..=7).filter(|&id| cities.peek(id).is_some()).collect::<Vec<i64>>();
    assert_eq!(held(), [1, 2, 3, 4, 5, 6]);
    cities.invalidate_tag("south").await.unwrap();
    assert_eq!(held(), [1, 2, 4, 5, 6]);
    cities.invalidate_tag("front-page").await.unwrap();
    assert_eq!(held(), [1, 6]);
}

on_stacks!(with_tables: [
    every_kind_of_write_can_be_queued,
    a_condition_that_does_not_hold_takes_all_of_it_back,
    queued_writes_give_the_tags_of_their_part,
]);

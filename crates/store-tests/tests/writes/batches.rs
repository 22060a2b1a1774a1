//! Many records at once, on every stack.

use std::time::Duration;

use store_testkit::Fault;
use strata::{ErrorKind, Freshness, Role};

use store_tests::models::{City, Player, city, player};
use store_tests::on_stacks;
use store_tests::stacks::{Bench, FaultyBench};

on_stacks!(everywhere: [
    answers_stand_in_the_order_of_the_keys,
    of_several_records_with_one_key_the_last_wins,
    a_batch_of_nothing_does_nothing,
    a_batch_finds_what_each_tier_holds,
], with_tables: [
    a_batch_is_written_whole_or_not_at_all,
    a_unique_violation_names_the_column_and_leaves_every_tier_as_it_was,
    ten_thousand_records_travel_in_one_batch,
]);

async fn answers_stand_in_the_order_of_the_keys(bench: &Bench) {
    let players = bench.players();
    let stored = players.set_many([player("c", 3), player("a", 1), player("b", 2)]).await.unwrap();
    assert_eq!(stored.iter().map(|record| record.level).collect::<Vec<_>>(), [3, 1, 2]);
    let keys = ["b", "missing", "a", "b", "c"];
    let expected = [Some(2), None, Some(1), Some(2), Some(3)];
    let levels = |found: Vec<Option<i64>>| assert_eq!(found, expected);
    levels(players.get_many(keys).await.unwrap().into_iter().map(|player| player.map(|player| player.level)).collect());
    for role in [Role::Near, Role::Shared, Role::Truth] {
        let found = players.from(role).get_many(keys).await.unwrap();
        levels(found.into_iter().map(|player| player.map(|player| player.level)).collect());
    }
    players.invalidate_all().await.unwrap();
    levels(players.get_many(keys).await.unwrap().into_iter().map(|player| player.map(|player| player.level)).collect());
    assert_eq!(players.delete_many(["a", "missing", "a", "b"]).await.unwrap(), 2);
    let left = players.get_many(["a", "b", "c"]).await.unwrap();
    assert_eq!(left.iter().map(Option::is_some).collect::<Vec<_>>(), [false, false, true]);
}

async fn of_several_records_with_one_key_the_last_wins(bench: &Bench) {
    let players = bench.players();
    let stored = players.set_many([player("a", 1), player("b", 5), player("a", 2), player("a", 3)]).await.unwrap();
    assert_eq!(stored.iter().map(|record| record.level).collect::<Vec<_>>(), [3, 5, 3, 3]);
    assert_eq!(stored[0].version(), stored[3].version());
    assert_eq!(players.get("a").await.unwrap().unwrap().level, 3);
    assert_eq!(players.from(Role::Truth).get("a").await.unwrap().unwrap().level, 3);
}

async fn a_batch_of_nothing_does_nothing(bench: &Bench) {
    let players = bench.players();
    assert!(players.set_many([]).await.unwrap().is_empty());
    assert!(players.get_many::<&str>([]).await.unwrap().is_empty());
    assert_eq!(players.delete_many::<&str>([]).await.unwrap(), 0);
    for role in [Role::Near, Role::Shared, Role::Truth] {
        assert!(players.from(role).get_many::<&str>([]).await.unwrap().is_empty());
    }
    let stats = bench.store.stats();
    assert_eq!((stats.gets, stats.sets, stats.deletes, stats.errors), (0, 0, 0, 0));
}

async fn a_batch_finds_what_each_tier_holds(bench: &Bench) {
    let players = bench.players();
    players.set_many(["a", "b", "c"].map(|id| player(id, 1))).await.unwrap();
    players.invalidate("a").await.unwrap();
    players.invalidate("b").await.unwrap();
    players.get("a").await.unwrap();
    // In memory, in the shared tier and in the truth, as far as the stack has them.
    players.from(Role::Shared).get("b").await.unwrap();
    let found = players.get_many(["c", "b", "x", "a"]).await.unwrap();
    let ids: Vec<_> = found.iter().map(|player| player.as_ref().map(|player| player.id.as_str())).collect();
    assert_eq!(ids, [Some("c"), Some("b"), None, Some("a")]);
}

async fn a_batch_is_written_whole_or_not_at_all(bench: &Bench) {
    let players = bench.players();
    players.set(player("taken", 1)).await.unwrap();
    let mut rival = player("b", 2);
    rival.username = "user-taken".to_owned();
    let error = players.set_many([player("a", 1), rival, player("c", 3)]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UniqueViolation, "{error}");
    assert_eq!((error.column(), error.operation()), (Some("username"), Some("set_many")));
    assert_eq!(players.get_many(["a", "b", "c"]).await.unwrap(), [None, None, None]);
    assert_eq!(players.from(Role::Truth).get_many(["a", "b", "c"]).await.unwrap().iter().flatten().count(), 0);
}

async fn a_unique_violation_names_the_column_and_leaves_every_tier_as_it_was(bench: &Bench) {
    let players = bench.players();
    players.set_many([player("a", 1), player("b", 2)]).await.unwrap();
    let present = players.get("b").await.unwrap().unwrap();
    let mut rival = player("b", 3);
    rival.username = "user-a".to_owned();
    let error = players.set(rival).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UniqueViolation, "{error}");
    assert_eq!((error.schema(), error.column(), error.key()), (Some("player"), Some("username"), Some("b")));
    assert!(!error.is_retryable());
    assert_eq!(players.peek("b").is_some(), bench.stack.has_near(), "a refused write costs no cached copy");
    assert_eq!(players.get("b").await.unwrap().unwrap(), present);
    for role in [Role::Shared, Role::Truth] {
        assert_eq!(*players.from(role).get("b").await.unwrap().unwrap().model(), present);
    }
    // Names may change hands once they are free.
    players.delete("a").await.unwrap();
    let mut heir = player("b", 3);
    heir.username = "user-a".to_owned();
    players.set(heir).await.unwrap();
}

async fn ten_thousand_records_travel_in_one_batch(bench: &Bench) {
    const MANY: i64 = 10_000;
    let cities = bench.of::<City>();
    let stored = cities.set_many((1..=MANY).map(city)).await.unwrap();
    assert_eq!(stored.len(), MANY as usize);
    assert!(stored.iter().zip(1..).all(|(record, id)| **record.model() == city(id)));
    cities.invalidate_all().await.unwrap();
    let found = cities.get_many((1..=MANY).rev()).await.unwrap();
    assert!(found.iter().zip((1..=MANY).rev()).all(|(found, id)| found.as_deref() == Some(&city(id))));
    assert_eq!(cities.delete_many(2..=MANY).await.unwrap(), MANY as u64 - 1);
    let left = cities.get_many(1..=MANY).await.unwrap();
    assert_eq!(left.iter().flatten().count(), 1);
}

/// All or nothing: a key of which nothing is known fails the batch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_truth_is_away_a_batch_is_answered_by_what_is_known_of_all_its_keys() {
    let open = |kept: Option<Duration>| {
        FaultyBench::open_with(move |builder| builder.schema::<Player>().configure(|settings| settings.stale_on_error = kept))
    };
    for kept in [None, Some(Duration::from_secs(3600))] {
        let bench = open(kept).await;
        let players = bench.players();
        players.set_many([player("a", 1), player("b", 1), player("gone", 1)]).await.unwrap();
        players.get_many(["a", "b", "gone"]).await.unwrap();
        players.delete("gone").await.unwrap();
        // Past the life time of memory's entries and of the shared tier's records.
        bench.clock.advance(Duration::from_secs(31 * 60));
        bench.truth_faults.outage(Fault::FailBefore(ErrorKind::L3Unavailable));
        let levels = players
            .get_many(["a", "b"])
            .await
            .map(|found| found.into_iter().map(|found| found.map(|player| player.level)).collect::<Vec<_>>());
        let exists = players.exists("a").await;
        if kept.is_some() {
            assert_eq!(levels.unwrap(), [Some(1), Some(1)]);
            assert!(exists.unwrap());
            assert!(bench.store.stats().stale_answers >= 3);
        } else {
            assert_eq!(levels.unwrap_err().kind(), ErrorKind::L3Unavailable);
            assert_eq!(exists.unwrap_err().kind(), ErrorKind::L3Unavailable);
        }
        for unknown in ["gone", "never"] {
            assert_eq!(players.get_many(["a", unknown]).await.unwrap_err().kind(), ErrorKind::L3Unavailable);
            assert_eq!(players.exists(unknown).await.unwrap_err().kind(), ErrorKind::L3Unavailable);
        }
        let strong = players.with_freshness(Freshness::Strong);
        assert_eq!(strong.get_many(["a"]).await.unwrap_err().kind(), ErrorKind::L3Unavailable);
        assert_eq!(strong.exists("a").await.unwrap_err().kind(), ErrorKind::L3Unavailable);
    }
}

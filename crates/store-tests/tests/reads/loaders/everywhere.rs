//! What holds wherever the truth of a schema without tables lives.

use std::sync::Arc;
use std::time::Duration;

use strata::{Error, ErrorKind, Freshness, Load, LoadResult, Role};

use super::{Source, held_at, nobody};
use store_tests::models::{Player, player};
use store_tests::on_stacks;
use store_tests::stacks::{Bench, Stack};
use store_tests::waiting::until;

on_stacks!(cache_only: [
    a_thousand_callers_share_one_load,
    a_caller_that_gives_up_stops_nobody,
    what_was_loaded_is_found_by_every_read,
    what_was_written_is_not_loaded,
    a_write_during_a_load_wins,
    a_deletion_or_invalidation_during_a_load_keeps_it_out,
    an_invalidation_drops_what_was_loaded_and_not_what_was_written,
    what_is_not_to_be_kept_is_answered_once,
    what_is_absent_is_no_error,
    every_freshness_finds_what_was_loaded,
    an_answer_tells_where_it_comes_from,
    bad_answers_are_refused_and_bad_keys_too,
    a_failed_load_is_told_to_all_and_poisons_nobody,
    a_closing_store_stops_its_loads,
]);

fn loader(
    source: &Source,
    level: i64,
) -> impl FnOnce(Option<strata::Known<Player>>) -> std::future::Ready<LoadResult<Player>> + Send + 'static {
    source.gives(Load::value(player("a", level)))
}

fn level(found: Option<Arc<Player>>) -> Option<i64> {
    found.map(|player| player.level)
}

async fn a_thousand_callers_share_one_load(bench: &Bench) {
    let (players, source) = (bench.players(), Source::new());
    let callers: Vec<_> = (0..1_000)
        .map(|_| {
            let (players, source) = (players.clone(), source.clone());
            tokio::spawn(async move { players.get_or_load("a", source.holds(Load::value(player("a", 1)))).await })
        })
        .collect();
    source.arrived().await;
    source.release();
    for caller in callers {
        // Where there is no memory, whoever comes after the load finds it in the slot.
        assert_eq!(level(caller.await.unwrap().unwrap()), Some(1));
    }
    assert_eq!((source.asked(), bench.store.stats().loads), (1, 1));
}

async fn a_caller_that_gives_up_stops_nobody(bench: &Bench) {
    let (players, source) = (bench.players(), Source::new());
    let first = players.get_or_load("a", source.holds(Load::value(player("a", 1))));
    tokio::select! {
        biased;
        _ = first => panic!("nobody let it go"),
        () = source.arrived() => {}
    }
    let second = tokio::spawn({
        let players = players.clone();
        async move { players.get_or_load("a", nobody).await }
    });
    tokio::task::yield_now().await;
    source.release();
    assert_eq!(level(second.await.unwrap().unwrap()), Some(1));
    assert_eq!(level(players.get_or_load("a", nobody).await.unwrap()), Some(1));
}

async fn what_was_loaded_is_found_by_every_read(bench: &Bench) {
    let (players, source) = (bench.players(), Source::new());
    let loaded = players.get_or_load("a", loader(&source, 1)).await.unwrap().unwrap();
    assert_eq!(*loaded, player("a", 1), "stamps are the loader's own");
    for found in [
        players.get("a").await.unwrap(),
        players.get_many(["a"]).await.unwrap().remove(0),
        players.from(Role::Shared).get("a").await.unwrap().map(|record| record.into_model()),
        players.from(Role::Truth).get_many(["a"]).await.unwrap().remove(0).map(|record| record.into_model()),
        players.get_or_load_many(["a"], |_| async { Ok(Vec::new()) }).await.unwrap().remove(0),
        players.peek("a").filter(|_| bench.stack.has_near()).or(Some(loaded.clone())),
    ] {
        assert_eq!(found, Some(loaded.clone()));
    }
    assert!(players.exists("a").await.unwrap());
    assert!(players.delete("a").await.unwrap());
    assert_eq!(players.get("a").await.unwrap(), None);
    assert_eq!(level(players.get_or_load("a", loader(&source, 2)).await.unwrap()), Some(2));
}

async fn what_was_written_is_not_loaded(bench: &Bench) {
    let players = bench.players();
    let written = players.set(player("a", 3)).await.unwrap();
    let found = players.get_or_load("a", nobody).await.unwrap().unwrap();
    assert_eq!(found, *written.model());
    // A write over what was loaded is an update, and newer.
    let source = Source::new();
    let loaded = players.read_or_load("b", source.gives(Load::value(player("b", 1)))).await.unwrap().unwrap();
    let written = players.set(player("b", 2)).await.unwrap();
    assert!(written.version() > loaded.version());
    assert_eq!(level(players.get_or_load("b", nobody).await.unwrap()), Some(2));
}

/// A load that is held until something came between.
async fn overtaken(bench: &Bench, between: impl AsyncFnOnce()) {
    let (players, source) = (bench.players(), Source::new());
    let load = held_at(&players, "a", &source, Load::value(player("a", 1))).await;
    between().await;
    source.release();
    assert_eq!(level(load.await.unwrap().unwrap()), Some(1), "who waited gets what was loaded");
}

async fn a_write_during_a_load_wins(bench: &Bench) {
    let players = bench.players();
    overtaken(bench, async || {
        players.set(player("a", 2)).await.unwrap();
        assert_eq!(level(players.get_or_load("a", nobody).await.unwrap()), Some(2));
    })
    .await;
    assert_eq!(level(players.get_or_load("a", nobody).await.unwrap()), Some(2));
    assert_eq!(level(players.get("a").await.unwrap()), Some(2));
    assert!(bench.store.stats().fills_refused > 0);
}

async fn a_deletion_or_invalidation_during_a_load_keeps_it_out(bench: &Bench) {
    let (players, source) = (bench.players(), Source::new());
    overtaken(bench, async || assert!(!players.delete("a").await.unwrap())).await;
    assert_eq!(level(players.get_or_load("a", loader(&source, 2)).await.unwrap()), Some(2));

    players.delete("a").await.unwrap();
    overtaken(bench, async || players.invalidate("a").await.unwrap()).await;
    assert_eq!(players.get("a").await.unwrap(), None);
    overtaken(bench, async || assert!(players.invalidate_all().await.unwrap() <= 1)).await;
    assert_eq!(players.get("a").await.unwrap(), None);
    // A load that began after the invalidation is kept, also while the one before it goes on.
    overtaken(bench, async || {
        players.invalidate("a").await.unwrap();
        assert_eq!(level(players.get_or_load("a", loader(&source, 3)).await.unwrap()), Some(3));
    })
    .await;
    assert_eq!(level(players.get_or_load("a", nobody).await.unwrap()), Some(3));
}

async fn an_invalidation_drops_what_was_loaded_and_not_what_was_written(bench: &Bench) {
    let (players, source) = (bench.players(), Source::new());
    for all in [false, true] {
        players.set(player("b", 1)).await.unwrap();
        players.get_or_load("a", loader(&source, 1)).await.unwrap();
        if all {
            let emptied = players.invalidate_all().await.unwrap();
            assert_eq!(emptied, u64::from(bench.stack != Stack::MemAlone));
        } else {
            players.invalidate("a").await.unwrap();
            players.invalidate("b").await.unwrap();
        }
        assert_eq!(players.get("a").await.unwrap(), None);
        assert!(!players.exists("a").await.unwrap());
        assert_eq!(level(players.get("b").await.unwrap()), Some(1));
        assert_eq!(players.get_many(["a", "b"]).await.unwrap().iter().flatten().count(), 1);
        assert_eq!(level(players.get_or_load("a", loader(&source, 2)).await.unwrap()), Some(2));
        players.delete("a").await.unwrap();
    }
}

async fn what_is_not_to_be_kept_is_answered_once(bench: &Bench) {
    let (players, source) = (bench.players(), Source::new());
    for load in [Load::value(player("a", 1)).do_not_keep(), Load::value(player("a", 1)).ttl(Duration::ZERO)] {
        assert_eq!(level(players.get_or_load("a", source.gives(load)).await.unwrap()), Some(1));
        assert_eq!(players.get("a").await.unwrap(), None);
    }
    assert_eq!(level(players.get_or_load("a", loader(&source, 2)).await.unwrap()), Some(2));
    assert_eq!(source.asked(), 3);
}

async fn what_is_absent_is_no_error(bench: &Bench) {
    let (players, source) = (bench.players(), Source::new());
    for _ in 0..2 {
        assert_eq!(players.get_or_load("a", source.gives(Load::absent())).await.unwrap(), None);
        assert_eq!(players.get("a").await.unwrap(), None);
    }
    assert_eq!(source.asked(), 2, "nobody said how long to remember it");
    assert_eq!(level(players.get_or_load("a", loader(&source, 1)).await.unwrap()), Some(1));
}

async fn every_freshness_finds_what_was_loaded(bench: &Bench) {
    let (players, source) = (bench.players(), Source::new());
    players.get_or_load("a", loader(&source, 1)).await.unwrap();
    for freshness in
        [Freshness::Any, Freshness::Bounded(Duration::from_millis(1)), Freshness::Bounded(Duration::from_secs(9)), Freshness::Strong]
    {
        let players = players.with_freshness(freshness);
        assert_eq!(level(players.get_or_load("a", nobody).await.unwrap()), Some(1));
        assert_eq!(level(players.get_or_load_many(["a"], |_| async { Ok(Vec::new()) }).await.unwrap().remove(0)), Some(1));
    }
}

async fn an_answer_tells_where_it_comes_from(bench: &Bench) {
    let (players, source) = (bench.players(), Source::new());
    let first = players.read_or_load("a", loader(&source, 1)).await.unwrap().unwrap();
    assert_eq!((first.tier, first.is_stale, first.level), (Role::Truth, false, 1));
    let second = players.read_or_load("a", nobody).await.unwrap().unwrap();
    assert_eq!(second.tier, if bench.stack.has_near() { Role::Near } else { Role::Shared });
    assert_eq!(second.version(), first.version());
    assert!(first.version().get() > 0);
}

async fn bad_answers_are_refused_and_bad_keys_too(bench: &Bench) {
    let (players, source) = (bench.players(), Source::new());
    let check = |error: Error, kind: ErrorKind, told: &str| {
        assert_eq!(error.kind(), kind, "{error}");
        assert_eq!(error.schema(), Some("player"), "{error}");
        assert!(error.to_string().contains(told) && error.operation().is_some(), "{error}");
    };
    let error = players.get_or_load("", nobody).await.unwrap_err();
    check(error, ErrorKind::MissingPrimaryKey, "the key is empty");
    let error = players.get_or_load_many(["a", ""], |_| async { Ok(Vec::new()) }).await.unwrap_err();
    check(error, ErrorKind::MissingPrimaryKey, "the key of number 2 of the 2 in this call is empty");
    let error = players.get_or_load("a", source.gives(Load::value(player("b", 1)))).await.unwrap_err();
    assert_eq!(error.key(), Some("a"));
    check(error, ErrorKind::LoadFailed, "a record of the key `b`");
    let error = players.get_or_load("a", source.gives(Load::not_modified())).await.unwrap_err();
    check(error, ErrorKind::LoadFailed, "none was known");
    let error = players.get_or_load_many(["a"], |_| async { Ok([("b".to_owned(), Load::value(player("b", 1)))]) }).await.unwrap_err();
    check(error, ErrorKind::LoadFailed, "for the key `b`, which it was not asked for");
    let twice = |_| async { Ok([("a".to_owned(), Load::value(player("a", 1))), ("a".to_owned(), Load::absent())]) };
    let error = players.get_or_load_many(["a", "b"], twice).await.unwrap_err();
    check(error, ErrorKind::LoadFailed, "it answered twice for the key `a`");
    assert_eq!(players.get_many(["a", "b"]).await.unwrap(), [None, None]);
    assert_eq!(level(players.get_or_load("a", loader(&source, 1)).await.unwrap()), Some(1));
}

async fn a_failed_load_is_told_to_all_and_poisons_nobody(bench: &Bench) {
    let (players, source) = (bench.players(), Source::new());
    let misses = bench.store.stats().l1_misses;
    let callers: Vec<_> = (0..5)
        .map(|_| {
            let (players, source) = (players.clone(), source.clone());
            tokio::spawn(async move {
                let loader = |_| async move {
                    source.pass().await;
                    Err(std::io::Error::new(std::io::ErrorKind::ConnectionReset, "cable cut"))?
                };
                players.get_or_load("a", loader).await
            })
        })
        .collect();
    source.arrived().await;
    until("all others have missed", async || bench.store.stats().l1_misses == misses + 5).await;
    // The last one may still be on its way from its miss to the flight.
    tokio::time::sleep(Duration::from_millis(200)).await;
    source.release();
    for caller in callers {
        let error = caller.await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.schema(), error.key()), (ErrorKind::LoadFailed, Some("player"), Some("a")));
        assert!(error.to_string().contains("cable cut") && !error.is_retryable(), "{error}");
        let source = std::error::Error::source(&error).unwrap().downcast_ref::<std::io::Error>().expect("the loader's own error");
        assert_eq!(source.kind(), std::io::ErrorKind::ConnectionReset);
    }
    assert_eq!(source.asked(), 1);

    let error = players.get_or_load("a", |_| async { panic!("on purpose") }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LoadFailed);
    assert!(error.to_string().contains("it panicked"), "{error}");
    let error = players.get_or_load("a", nobody).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LoadFailed);
    assert_eq!(players.get("a").await.unwrap(), None);
    assert_eq!(level(players.get_or_load("a", loader(&source, 1)).await.unwrap()), Some(1));
}

async fn a_closing_store_stops_its_loads(bench: &Bench) {
    let (players, source) = (bench.players(), Source::new());
    let load = held_at(&players, "a", &source, Load::value(player("a", 1))).await;
    bench.store.close().await.unwrap();
    assert_eq!(load.await.unwrap().unwrap_err().kind(), ErrorKind::Closed);
}

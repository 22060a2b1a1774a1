//! Writes that depend on what is there, and changes of a part of a record.

use std::sync::Arc;

use store_testkit::{Fault, Operation};
use strata::{Collection, ErrorKind, Load, Role, Version};
use tokio::sync::oneshot;

use store_tests::models::{Account, City, Player, account, city, player};
use store_tests::on_stacks;
use store_tests::stacks::{Bench, FaultyBench, Stack};

/// What every way to read shows of a player.
async fn seen(players: &Collection<Player>, id: &str) -> Option<(i64, Version)> {
    let near = players.get_record(id).await.unwrap().map(|player| (player.level, player.version()));
    for role in [Role::Shared, Role::Truth] {
        let below = players.from(role).get(id).await.unwrap().map(|player| (player.level, player.version()));
        assert_eq!(below, near, "{role}");
    }
    near
}

async fn an_insert_takes_effect_where_nothing_is(bench: &Bench) {
    let players = bench.players();
    let inserted = players.insert_only(player("a", 1)).await.unwrap();
    assert_eq!(seen(&players, "a").await, Some((1, inserted.version())));
    let error = players.insert_only(player("a", 2)).await.unwrap_err();
    assert_eq!((error.kind(), error.schema(), error.key()), (ErrorKind::Conflict, Some("player"), Some("a")));
    assert_eq!((error.operation(), error.is_retryable()), (Some("insert_only"), false));
    assert!(error.to_string().contains(&format!("of version {}", inserted.version())), "{error}");
    assert_eq!(seen(&players, "a").await, Some((1, inserted.version())));
    assert!(players.delete("a").await.unwrap());
    let again = players.insert_only(player("a", 3)).await.unwrap();
    assert!(again.version() > inserted.version());
    assert_eq!(seen(&players, "a").await, Some((3, again.version())));
    assert_eq!(players.insert_only(player("", 1)).await.unwrap_err().kind(), ErrorKind::MissingPrimaryKey);
}

async fn a_write_by_version_takes_effect_on_that_version_alone(bench: &Bench) {
    let players = bench.players();
    let first = players.set(player("a", 1)).await.unwrap();
    let second = players.set_if_version(player("a", 2), first.version()).await.unwrap();
    assert!(second.version() > first.version());
    assert_eq!(second.created_at, first.created_at);
    assert_eq!(seen(&players, "a").await, Some((2, second.version())));
    let error = players.set_if_version(player("a", 3), first.version()).await.unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::Conflict, Some("a")));
    assert!(error.to_string().contains(&format!("its version is {}, not {}", second.version(), first.version())), "{error}");
    assert_eq!(seen(&players, "a").await, Some((2, second.version())));
    players.delete("a").await.unwrap();
    let error = players.set_if_version(player("a", 4), second.version()).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Conflict && error.to_string().contains("there is no record"), "{error}");
    assert_eq!(seen(&players, "a").await, None);
}

async fn an_update_changes_what_is_there(bench: &Bench) {
    let players = bench.players();
    assert!(players.update("a", |player| player.level += 1).await.unwrap().is_none());
    assert_eq!(seen(&players, "a").await, None);
    let before = players.set(player("a", 1)).await.unwrap();
    let after = players.update("a", |player| player.level += 1).await.unwrap().unwrap();
    assert!(after.version() > before.version());
    assert_eq!((&after.username, after.created_at), (&before.username, before.created_at));
    assert_eq!(seen(&players, "a").await, Some((2, after.version())));

    let refused = players.update("a", |player| {
        player.level = 99;
        Err::<(), _>(std::io::Error::other("no"))
    });
    let refused = refused.await.unwrap_err();
    assert_eq!((refused.kind(), refused.key()), (ErrorKind::Refused, Some("a")));
    assert_eq!(std::error::Error::source(&refused).unwrap().to_string(), "no");
    let own = strata::Error::new(ErrorKind::AccessDenied, "not yours");
    let mut own = Some(own);
    let refused = players.update("a", |_| own.take().map_or(Ok(()), Err)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::AccessDenied, "an error of Strata's stays what it is");
    let moved = players.update("a", |player| player.id = "b".to_owned()).await.unwrap_err();
    assert!(moved.kind() == ErrorKind::InvalidQuery && moved.to_string().contains("changed the key, to `b`"), "{moved}");
    assert_eq!(seen(&players, "a").await, Some((2, after.version())));
    assert_eq!(seen(&players, "b").await, None);
}

async fn updates_that_meet_lose_nothing(bench: &Bench) {
    let players = bench.players();
    players.set(player("a", 0)).await.unwrap();
    let writers = (0..4).map(|writer| {
        let players = players.clone();
        tokio::spawn(async move {
            for turn in 0..10 {
                if (writer + turn) % 7 == 0 {
                    players.patch("a", Player::score().set(f64::from(turn))).await.unwrap().unwrap();
                }
                // Beyond its retries an update says so, and has done nothing.
                while let Err(error) = players.update("a", |player| player.level += 1).await {
                    assert!(error.kind() == ErrorKind::Conflict && error.is_retryable(), "{error}");
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    assert_eq!(seen(&players, "a").await.map(|(level, _)| level), Some(40));
}

async fn one_of_many_inserts_takes_effect(bench: &Bench) {
    let players = bench.players();
    for round in 0..5 {
        let id = format!("p{round}");
        let writers = (0..5).map(|level| {
            let (players, id) = (players.clone(), id.clone());
            tokio::spawn(async move { players.insert_only(player(&id, level)).await })
        });
        let mut inserted = Vec::new();
        for writer in writers.collect::<Vec<_>>() {
            match writer.await.unwrap() {
                Ok(record) => inserted.push((record.level, record.version())),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
            }
        }
        assert_eq!(inserted.len(), 1, "{id}");
        assert_eq!(seen(&players, &id).await, inserted.pop());
    }
}

async fn a_patch_sets_columns_and_leaves_the_others(bench: &Bench) {
    let players = bench.players();
    assert!(players.patch("a", Player::level().set(5)).await.unwrap().is_none());
    assert_eq!(seen(&players, "a").await, None);
    let before = players.set(player("a", 1)).await.unwrap();
    let changes = [Player::level().set(5), Player::region().set(None), Player::tags().set(vec!["x".to_owned()])];
    let after = players.patch("a", changes).await.unwrap().unwrap();
    assert!(after.version() > before.version() && after.updated_at > before.updated_at);
    let expected =
        Player { level: 5, region: None, tags: vec!["x".to_owned()], updated_at: after.updated_at, ..Player::clone(before.model()) };
    assert_eq!(**after.model(), expected);
    assert_eq!(*players.get_or_err("a").await.unwrap(), expected);
    assert_eq!(seen(&players, "a").await, Some((5, after.version())));
    let touched = players.patch("a", Vec::new()).await.unwrap().unwrap();
    assert!(touched.version() > after.version() && touched.updated_at > after.updated_at);

    for (changes, column) in [
        (vec![Player::id().set("b")], "id"),
        (vec![Player::updated_at().set(std::time::SystemTime::now())], "updated_at"),
        (vec![Player::created_at().set(std::time::SystemTime::now())], "created_at"),
        (vec![Player::level().set(1), Player::level().set(2)], "level"),
    ] {
        let error = players.patch("a", changes).await.unwrap_err();
        assert_eq!((error.kind(), error.column()), (ErrorKind::InvalidQuery, Some(column)), "{error}");
    }
    assert_eq!(seen(&players, "a").await, Some((5, touched.version())));
}

on_stacks!(everywhere: [
    an_insert_takes_effect_where_nothing_is,
    a_write_by_version_takes_effect_on_that_version_alone,
    an_update_changes_what_is_there,
    updates_that_meet_lose_nothing,
    one_of_many_inserts_takes_effect,
    a_patch_sets_columns_and_leaves_the_others,
], with_tables: [
    columns_that_caches_leave_out_are_changed_too,
    rules_of_the_table_hold,
]);

async fn columns_that_caches_leave_out_are_changed_too(bench: &Bench) {
    let accounts = bench.of::<Account>();
    accounts.set(account(1)).await.unwrap();
    let whole = async || accounts.from(Role::Truth).get(1).await.unwrap().unwrap();
    accounts.patch(1, [Account::name().set("patched"), Account::notes().set(None)]).await.unwrap().unwrap();
    let patched = whole().await;
    assert_eq!((patched.name.as_str(), &patched.notes), ("patched", &None.into()));
    assert_eq!((&patched.password, &patched.quota), (&account(1).password, &account(1).quota));
    accounts
        .update(1, |account| {
            let password = account.password.loaded().unwrap().to_uppercase();
            (account.password, account.quota) = (password.into(), 8.into());
        })
        .await
        .unwrap()
        .unwrap();
    let updated = whole().await;
    assert_eq!((updated.password.loaded().map(String::as_str), updated.quota.loaded()), (Some("SECRET-1"), Some(&8)));
    assert_eq!(accounts.get_or_err(1).await.unwrap().password.loaded(), None, "a plain read does not show it");
    let cached = Account { password: strata::Deferred::NotLoaded, ..Account::clone(updated.model()) };
    accounts.set_if_version(cached, updated.version()).await.unwrap();
    assert_eq!(whole().await.password, updated.password, "what is not loaded stays");
}

async fn rules_of_the_table_hold(bench: &Bench) {
    let players = bench.players();
    players.set_many([player("a", 1), player("b", 1)]).await.unwrap();
    let taken = Player { username: "user-a".to_owned(), ..player("c", 1) };
    for refused in [
        players.insert_only(taken).await.unwrap_err(),
        players.patch("b", Player::username().set("user-a")).await.unwrap_err(),
        players.update("b", |player| player.username = "user-a".to_owned()).await.unwrap_err(),
    ] {
        assert_eq!((refused.kind(), refused.column()), (ErrorKind::UniqueViolation, Some("username")), "{refused}");
    }
    assert_eq!(players.get_or_err("b").await.unwrap().username, "user-b");
    assert!(players.get("c").await.unwrap().is_none());
}

/// Who is refused reads what is there the next time, although memory held what was there before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_tells_memory_what_is_there() {
    for stack in [Stack::MemSqlite, Stack::MemModelSqlite, Stack::MemPostgres, Stack::MemRedisPostgres, Stack::MemRedis] {
        let mut bench = stack.open().await;
        let other = bench.another().await.collection::<Player>().unwrap();
        let players = bench.players();
        let first = players.set(player("a", 1)).await.unwrap();
        for id in ["b", "c", "d"] {
            players.set(player(id, 1)).await.unwrap();
        }
        let newer = other.set(player("a", 2)).await.unwrap();
        assert_eq!(players.set_if_version(player("a", 3), first.version()).await.unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(seen(&players, "a").await, Some((2, newer.version())), "{stack:?}");
        for id in ["b", "c", "d"] {
            other.delete(id).await.unwrap();
        }
        assert_eq!(players.set_if_version(player("b", 3), first.version()).await.unwrap_err().kind(), ErrorKind::Conflict);
        assert!(players.patch("c", Player::level().set(3)).await.unwrap().is_none());
        assert!(players.update("d", |player| player.level = 3).await.unwrap().is_none());
        for id in ["b", "c", "d"] {
            assert_eq!(players.get(id).await.unwrap(), None, "{stack:?} {id}");
        }
        // What succeeds here is seen there.
        let updated = players.update("a", |player| player.level += 1).await.unwrap().unwrap();
        assert_eq!(seen(&players, "a").await, Some((3, updated.version())), "{stack:?}");
        assert_eq!(other.from(Role::Truth).get("a").await.unwrap().map(|player| player.version()), Some(updated.version()));
        assert_eq!(other.get("a").await.unwrap().map(|player| player.level), Some(3), "{stack:?}");
    }
}

/// A write voids the loads under way; what a loader has brought is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conditional_writes_and_loads_meet() {
    for stack in [Stack::MemRedis, Stack::ModelAlone, Stack::MemAlone] {
        let bench = stack.open().await;
        let players = bench.players();
        let (begun, has_begun) = oneshot::channel();
        let (release, released) = oneshot::channel::<()>();
        let loading = tokio::spawn({
            let players = players.clone();
            async move {
                let load = async move |_| {
                    begun.send(()).unwrap();
                    released.await.unwrap();
                    Ok(Load::value(player("a", 1)))
                };
                players.get_or_load("a", load).await.unwrap()
            }
        });
        has_begun.await.unwrap();
        let inserted = players.insert_only(player("a", 2)).await.unwrap();
        release.send(()).unwrap();
        loading.await.unwrap();
        assert_eq!(seen(&players, "a").await, Some((2, inserted.version())), "{stack:?}");

        players.get_or_load("b", async |_| Ok(Load::value(player("b", 1)))).await.unwrap();
        let error = players.insert_only(player("b", 2)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{stack:?}: {error}");
        let patched = players.patch("b", Player::level().set(3)).await.unwrap().unwrap();
        assert_eq!(seen(&players, "b").await, Some((3, patched.version())), "{stack:?}");
        players.invalidate("b").await.unwrap();
        assert_eq!(seen(&players, "b").await, Some((3, patched.version())), "{stack:?}: what was written is no copy");

        players.get_or_load("c", async |_| Ok(Load::absent().ttl(std::time::Duration::from_secs(60)))).await.unwrap();
        let inserted = players.insert_only(player("c", 4)).await.unwrap();
        assert_eq!(seen(&players, "c").await, Some((4, inserted.version())), "{stack:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_with_an_unknown_outcome_leaves_no_copy_behind() {
    let bench = FaultyBench::open().await;
    let cities = bench.of::<City>();
    for (fault, is_written) in [(Fault::FailAfter(ErrorKind::L3Unavailable), true), (Fault::FailBefore(ErrorKind::L3Unavailable), false)] {
        for id in 1..=3 {
            cities.set(city(id)).await.unwrap();
        }
        bench.truth_faults.next_times(3, Operation::PutIf, fault);
        let version = cities.get_record(1).await.unwrap().unwrap().version();
        let changed = |id| City { population: 99, ..city(id) };
        assert_eq!(cities.set_if_version(changed(1), version).await.unwrap_err().kind(), ErrorKind::L3Unavailable);
        assert_eq!(cities.patch(2, City::population().set(99)).await.unwrap_err().kind(), ErrorKind::L3Unavailable);
        assert_eq!(cities.update(3, |city| city.population = 99).await.unwrap_err().kind(), ErrorKind::L3Unavailable);
        for id in 1..=3 {
            let expected = if is_written { Arc::new(changed(id)) } else { Arc::new(city(id)) };
            assert_eq!(cities.get(id).await.unwrap(), Some(expected), "{fault:?} {id}");
        }
    }
}

/// It reads again each time, and gives up after as many tries as the settings say.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_begins_again_where_others_were_faster() {
    let bench = FaultyBench::open_with(|builder| builder.schema::<City>().configure(|settings| settings.update_retries = 2)).await;
    let (cities, rival) = (bench.of::<City>(), bench.of::<City>());
    cities.set(city(1)).await.unwrap();
    for (rivals, succeeds) in [(2, true), (3, false)] {
        let updating = tokio::spawn({
            let cities = cities.clone();
            let reads = (0..rivals).map(|_| bench.truth_faults.hold_after(Operation::GetMany)).collect::<Vec<_>>();
            let rival = rival.clone();
            async move {
                let mut runs = 0;
                let update = cities.update(1, |city| {
                    runs += 1;
                    city.name.push('!');
                });
                let interfere = async {
                    for (number, read) in (0..).zip(reads) {
                        read.arrived().await;
                        rival.patch(1, City::population().set(1_000 + number)).await.unwrap().unwrap();
                        read.release();
                    }
                };
                let (updated, ()) = tokio::join!(update, interfere);
                (updated, runs)
            }
        });
        let (updated, runs) = updating.await.unwrap();
        assert_eq!(runs, 3);
        match updated {
            Ok(updated) => {
                let updated = updated.unwrap();
                assert!(succeeds && updated.name == "City 1!" && updated.population == 1_001, "{updated:?}");
            }
            Err(error) => {
                assert!(!succeeds && error.kind() == ErrorKind::Conflict && error.is_retryable(), "{error}");
                assert!(error.to_string().contains("each of 3 attempts"), "{error}");
            }
        }
    }
    assert_eq!(cities.get_or_err(1).await.unwrap().name, "City 1!", "who gave up has written nothing");
}

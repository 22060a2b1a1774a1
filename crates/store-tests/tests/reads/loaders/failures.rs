//! Last known values in place of errors, and time limits.

use std::time::Duration;

use store_testkit::{Fault, Operation};
use strata::{Error, ErrorKind, Freshness, Load, Settings};

use super::{Bench, Kind, MINUTE, Page, Source, held, kept, loaded, nobody, page};

const HOUR: Duration = Duration::from_secs(60 * 60);

fn allowing(settings: &mut Settings) {
    settings.stale_on_error = Some(HOUR);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_known_value_is_answered_in_place_of_an_error() {
    for kind in [Kind::Shared, Kind::Memory] {
        let bench = Bench::open(kind, allowing).await;
        let source = Source::new();
        let failing = || source.fails();
        let error = bench.pages.get_or_load("/", failing()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LoadFailed, "nothing is known");

        loaded(&bench.pages, &source, Load::value(page("/", 1)).ttl(MINUTE)).await;
        bench.clock.advance(MINUTE);
        for _ in 0..2 {
            let answer = bench.pages.read_or_load("/", failing()).await.unwrap().unwrap();
            assert_eq!((answer.body, answer.is_stale), (1, true));
        }
        assert_eq!(bench.store.stats().stale_answers, 2);
        let many = bench.pages.get_or_load_many(["/"], |_| async { Err::<Vec<_>, _>("away".into()) }).await.unwrap();
        assert_eq!(many[0].as_ref().unwrap().body, 1);
        let panicked = bench.pages.read_or_load("/", nobody).await.unwrap().unwrap();
        assert!(panicked.is_stale);
        if kind == Kind::Shared {
            let strong = bench.pages.with_freshness(Freshness::Strong).get_or_load("/", failing()).await;
            assert_eq!(strong.unwrap_err().kind(), ErrorKind::LoadFailed, "it asked for no less than the truth");
            let (other, _) = bench.another().await;
            assert!(other.read_or_load("/", failing()).await.unwrap().unwrap().is_stale, "the slot knows it");
        }
        bench.clock.advance(HOUR + Duration::from_millis(1));
        assert!(bench.pages.get_or_load("/", failing()).await.is_err(), "not for ever");

        // What has a source tag may be kept for longer than errors may last.
        loaded(&bench.pages, &source, Load::value(page("/", 1)).source_tag("e").ttl(2 * HOUR)).await;
        bench.clock.advance(3 * HOUR + Duration::from_millis(1));
        assert!(bench.pages.get_or_load("/", failing()).await.is_err(), "not for ever");
        assert_eq!(loaded(&bench.pages, &source, Load::not_modified()).await, Some(1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_dropped_on_purpose_is_not_answered() {
    for kind in [Kind::Shared, Kind::Memory] {
        let bench = Bench::open(kind, allowing).await;
        let source = Source::new();
        for what in ["invalidate", "invalidate_all", "delete"] {
            for during in [false, true] {
                loaded(&bench.pages, &source, Load::value(page("/", 1)).ttl(MINUTE)).await;
                bench.clock.advance(MINUTE);
                let drop_it = async || match what {
                    "invalidate" => bench.pages.invalidate("/").await.unwrap(),
                    "invalidate_all" => drop(bench.pages.invalidate_all().await.unwrap()),
                    _ => drop(bench.pages.delete("/").await.unwrap()),
                };
                let failed = if during {
                    let load = held(&bench.pages, &source, Load::value(page("another", 1))).await;
                    drop_it().await;
                    source.release();
                    load.await.unwrap()
                } else {
                    drop_it().await;
                    bench.pages.get_or_load("/", source.fails()).await
                };
                assert_eq!(failed.unwrap_err().kind(), ErrorKind::LoadFailed, "{kind:?} {what} {during}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_instance_dropped_during_a_load_is_not_answered() {
    let bench = Bench::open(Kind::Shared, allowing).await;
    let (other, faults) = bench.another().await;
    let source = Source::new();
    loaded(&bench.pages, &source, Load::value(page("/", 1)).ttl(MINUTE)).await;
    bench.clock.advance(MINUTE);
    let load = held(&bench.pages, &source, Load::value(page("another", 1))).await;
    faults.always(Operation::Publish, Fault::FailBefore(ErrorKind::L2Unavailable));
    other.invalidate("/").await.unwrap();
    source.release();
    assert_eq!(load.await.unwrap().unwrap_err().kind(), ErrorKind::LoadFailed, "the slot tells what the message did not");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_answers_where_the_shared_tier_is_away_too() {
    let bench = Bench::open(Kind::Shared, allowing).await;
    let source = Source::new();
    loaded(&bench.pages, &source, Load::value(page("/", 1)).ttl(MINUTE)).await;
    bench.clock.advance(MINUTE);
    bench.faults.outage(Fault::FailBefore(ErrorKind::L2Unavailable));
    let answer = bench.pages.read_or_load("/", source.fails()).await.unwrap().unwrap();
    assert_eq!((answer.body, answer.is_stale), (1, true));
    assert_eq!(loaded(&bench.pages, &source, Load::not_modified()).await, Some(1), "a loader is told of it as well");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_load_goes_on_behind_the_last_known_value() {
    for kind in [Kind::Shared, Kind::Memory] {
        let bench = Bench::open(kind, |settings| {
            allowing(settings);
            settings.soft_timeout = Some(Duration::from_millis(20));
        })
        .await;
        let source = Source::new();
        loaded(&bench.pages, &source, Load::value(page("/", 1)).ttl(MINUTE)).await;
        bench.clock.advance(MINUTE);
        let load = held(&bench.pages, &source, Load::value(page("/", 2))).await;
        assert_eq!(load.await.unwrap().unwrap().unwrap().body, 1);
        let answer = bench.pages.read_or_load("/", nobody).await.unwrap().unwrap();
        assert_eq!((answer.body, answer.is_stale), (1, true));
        source.release();
        store_tests::waiting::until("the load ends", async || bench.pages.get("/").await.unwrap().is_some()).await;
        assert_eq!(kept(&bench.pages).await, Some(2));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_ends_with_its_limit_and_a_load_with_its_own() {
    for kind in [Kind::Shared, Kind::Memory] {
        let bench = Bench::open(kind, |settings| {
            settings.operation_timeout = Duration::from_millis(30);
            settings.load_timeout = Duration::from_millis(300);
        })
        .await;
        let source = Source::new();
        let load = held(&bench.pages, &source, Load::value(page("/", 1))).await;
        let error = load.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(error.to_string().contains("operation_timeout"), "{error}");
        // The load goes on, for whoever comes.
        source.release();
        store_tests::waiting::until("the load ends", async || bench.pages.get("/").await.unwrap().is_some()).await;

        bench.pages.invalidate("/").await.unwrap();
        let held_batch = source.clone();
        let batch = bench.pages.get_or_load_many(["/"], |_| async move {
            held_batch.pass().await;
            Ok(Vec::new())
        });
        let error = batch.await.unwrap_err();
        assert_eq!((error.kind(), error.key()), (ErrorKind::Timeout, Some("/")));
        assert!(error.to_string().contains("load_timeout"), "{error}");
        assert_eq!(loaded(&bench.pages, &source, Load::value(page("/", 2))).await, Some(2), "its lease was given back");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loader_that_gives_what_is_no_tag_is_told() {
    for kind in [Kind::Shared, Kind::Memory] {
        let bench = Bench::open(kind, |_| {}).await;
        let source = Source::new();
        let error = bench.pages.get_or_load("/", source.gives(Load::value(page("/", 1)).tags(["front", "a\0b"]))).await.unwrap_err();
        assert_eq!((error.kind(), error.key()), (ErrorKind::LoadFailed, Some("/")), "{error}");
        assert!(error.to_string().contains("`a\\0b`"), "{error}");
        assert_eq!(loaded(&bench.pages, &source, Load::value(page("/", 2))).await, Some(2), "nothing is kept of it");
    }
}

/// A collection whose reads promise tags does not load what need not have them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_with_tags_loads_nothing() {
    for kind in [Kind::Shared, Kind::Memory] {
        let bench = Bench::open(kind, |_| {}).await;
        let source = Source::new();
        assert_eq!(loaded(&bench.pages, &source, Load::value(page("/", 1))).await, Some(1));
        let tagged = bench.pages.with_tags(["front"]);
        let load = || source.gives(Load::value(page("/", 2)));
        let many = tagged.get_or_load_many(["/"], |_| async { Ok(Vec::<(String, Load<Page>)>::new()) }).await.map(drop);
        for refused in [tagged.get_or_load("/", load()).await.map(drop), tagged.read_or_load("/", load()).await.map(drop), many] {
            let error = refused.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidQuery);
            assert!(error.to_string().contains("`Load::tags`"), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loader_that_asks_for_its_own_key_is_told_at_once() {
    for kind in [Kind::Shared, Kind::Memory] {
        let bench = Bench::open(kind, |_| {}).await;
        let check = |error: Error| {
            assert_eq!((error.kind(), error.key()), (ErrorKind::LoadFailed, Some("/")), "{error}");
            assert!(error.to_string().contains("the key's own loader asks for it") && error.to_string().contains("key `/`"), "{error}");
        };
        let pages = bench.pages.clone();
        check(
            bench
                .pages
                .get_or_load("/", |_| async move {
                    pages.get_or_load("/", nobody).await?;
                    Ok(Load::absent())
                })
                .await
                .unwrap_err(),
        );
        let pages = bench.pages.clone();
        check(
            bench
                .pages
                .get_or_load("/", |_| async move {
                    let inner = pages.clone();
                    let between = pages.get_or_load("b", |_| async move {
                        inner.get_or_load_many(["c", "/"], |_| async { Ok(Vec::new()) }).await?;
                        Ok(Load::absent())
                    });
                    between.await?;
                    Ok(Load::absent())
                })
                .await
                .unwrap_err(),
        );
        let pages = bench.pages.clone();
        let found = bench.pages.get_or_load("/", |_| async move {
            let other = pages.get_or_load("b", |_| async { Ok(Load::value(page("b", 2))) }).await?;
            Ok(Load::value(page("/", other.map_or(0, |other| other.body + 1))))
        });
        assert_eq!(found.await.unwrap().map(|page| page.body), Some(3), "another key is no matter");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_with_tables_has_nothing_to_load() {
    use store_tests::models::{Player, player};
    use store_tests::stacks::Stack;
    let bench = Stack::MemSqlite.open().await;
    let players = bench.of::<Player>();
    players.set(player("a", 1)).await.unwrap();
    for error in [
        players.get_or_load("a", nobody).await.unwrap_err(),
        players.read_or_load("a", nobody).await.map(drop).unwrap_err(),
        players.get_or_load_many(["a"], |_| async { Ok(Vec::new()) }).await.map(drop).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidQuery);
        assert!(error.to_string().contains("cache_only"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loaders_of_two_calls_that_ask_for_each_others_key_are_told_at_once() {
    for kind in [Kind::Shared, Kind::Memory] {
        let bench = Bench::open(kind, |_| {}).await;
        let source = Source::new();
        let call = |path: &'static str, asked: &'static str| {
            let (pages, inner, gate) = (bench.pages.clone(), bench.pages.clone(), source.clone());
            let loader = move |_| async move {
                gate.pass().await;
                let found = inner.get_or_load(asked, nobody).await?;
                Ok(Load::value(page(path, found.map_or(0, |found| found.body) + 1)))
            };
            tokio::spawn(async move { pages.get_or_load(path, loader).await })
        };
        let calls = [call("a", "b"), call("b", "c"), call("c", "a")];
        for _ in &calls {
            source.arrived().await;
        }
        calls.iter().for_each(|_| source.release());
        for call in calls {
            let error = call.await.unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::LoadFailed, "{error}");
            assert!(error.to_string().contains("would wait for each other"), "{error}");
        }
        // Nothing of it stays.
        let chain = [call("a", "b"), call("b", "c")];
        for _ in &chain {
            source.arrived().await;
        }
        bench.pages.set(page("c", 5)).await.unwrap();
        chain.iter().for_each(|_| source.release());
        for (call, body) in chain.into_iter().zip([7, 6]) {
            assert_eq!(call.await.unwrap().unwrap().unwrap().body, body);
        }
    }
}

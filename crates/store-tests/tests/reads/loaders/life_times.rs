//! How long what was loaded lives, and what the next loader is told.

use std::time::Duration;

use store_testkit::Operation;
use strata::facet::Slot;
use strata::{Known, Load, Role};

use super::{Bench, Kind, MINUTE, Page, Source, kept, loaded, nobody, page};

/// Both kinds, with a schema that lives for five minutes in its truth.
async fn both(case: impl AsyncFn(&Bench)) {
    for kind in [Kind::Shared, Kind::Memory] {
        let bench = Bench::open(kind, |settings| {
            settings.l1_ttl = Some(5 * MINUTE);
            settings.l2_ttl = Some(5 * MINUTE);
        })
        .await;
        case(&bench).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_lives_as_long_as_its_loader_says_or_else_its_schema() {
    both(async |bench| {
        for (load, life) in [
            (Load::value(page("/", 1)), 5 * MINUTE),
            (Load::value(page("/", 1)).ttl(MINUTE), MINUTE),
            (Load::value(page("/", 1)).ttl(10 * MINUTE), 10 * MINUTE),
            (Load::value(page("/", 1)).ttl(Duration::MAX), 10_000 * MINUTE),
        ] {
            let source = Source::new();
            assert_eq!(loaded(&bench.pages, &source, load).await, Some(1));
            bench.clock.advance(life - Duration::from_millis(10));
            assert_eq!(kept(&bench.pages).await, Some(1), "{:?} {life:?}", bench.kind);
            if life < 10_000 * MINUTE {
                bench.clock.advance(Duration::from_millis(10));
                assert_eq!(bench.pages.get("/").await.unwrap(), None);
                assert_eq!(bench.pages.peek_with("/", |_| ()), None);
                assert_eq!(loaded(&bench.pages, &source, Load::value(page("/", 2))).await, Some(2));
            }
            bench.pages.invalidate("/").await.unwrap();
        }
    })
    .await;
}

/// What a loader is told, in text.
async fn told(bench: &Bench, load: Load<Page>) -> String {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let loader = |known: Option<Known<Page>>| async move {
        let told = known.map(|known| format!("{} {:?}", known.body, known.source_tag()));
        sender.send(told.unwrap_or_default()).unwrap();
        Ok(load)
    };
    bench.pages.get_or_load("/", loader).await.unwrap();
    receiver.await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loader_is_told_of_the_value_that_it_may_keep() {
    both(async |bench| {
        assert_eq!(told(bench, Load::value(page("/", 1)).source_tag("e1").ttl(MINUTE)).await, "");
        bench.clock.advance(MINUTE);
        assert_eq!(bench.pages.get("/").await.unwrap(), None, "its life time is over");
        assert!(!bench.pages.exists("/").await.unwrap());
        // Renewed for as long again, with its tag.
        assert_eq!(told(bench, Load::not_modified()).await, "1 Some(\"e1\")");
        bench.clock.advance(MINUTE - Duration::from_millis(1));
        assert_eq!(kept(&bench.pages).await, Some(1));
        bench.clock.advance(Duration::from_millis(1));
        // For a time of its own, with another tag.
        assert_eq!(told(bench, Load::not_modified().ttl(2 * MINUTE).source_tag("e2")).await, "1 Some(\"e1\")");
        bench.clock.advance(2 * MINUTE - Duration::from_millis(1));
        assert_eq!(kept(&bench.pages).await, Some(1));
        bench.clock.advance(Duration::from_millis(1));
        assert_eq!(told(bench, Load::value(page("/", 2)).source_tag("e3").ttl(MINUTE)).await, "1 Some(\"e2\")");
        // Nobody comes for as long again: it is forgotten.
        bench.clock.advance(2 * MINUTE);
        assert_eq!(told(bench, Load::value(page("/", 3)).ttl(MINUTE)).await, "");
        // Without a source tag there is nothing to compare.
        bench.clock.advance(MINUTE);
        assert_eq!(told(bench, Load::value(page("/", 4))).await, "");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_kept_takes_what_was_known_with_it() {
    both(async |bench| {
        for load in [Load::value(page("/", 2)).do_not_keep(), Load::absent(), Load::not_modified().do_not_keep()] {
            told(bench, Load::value(page("/", 1)).source_tag("e1").ttl(MINUTE)).await;
            bench.clock.advance(MINUTE);
            assert_eq!(told(bench, load).await, "1 Some(\"e1\")");
            assert_eq!(bench.slot("/").await, Slot::Empty);
            assert_eq!(told(bench, Load::value(page("/", 1)).do_not_keep()).await, "");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalidated_value_is_not_known_any_more() {
    both(async |bench| {
        for all in [false, true] {
            told(bench, Load::value(page("/", 1)).source_tag("e1").ttl(MINUTE)).await;
            bench.clock.advance(MINUTE);
            if all {
                bench.pages.invalidate_all().await.unwrap();
            } else {
                bench.pages.invalidate("/").await.unwrap();
            }
            assert_eq!(told(bench, Load::absent()).await, "");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_absence_is_remembered_for_its_time() {
    both(async |bench| {
        let other = if bench.kind == Kind::Shared { bench.another().await.0 } else { bench.pages.clone() };
        let source = Source::new();
        assert_eq!(loaded(&bench.pages, &source, Load::absent().ttl(MINUTE)).await, None);
        for _ in 0..2 {
            for pages in [&bench.pages, &other] {
                assert_eq!(kept(pages).await, None);
                assert_eq!(
                    pages.get_or_load_many(["/"], |_| async { Err::<Vec<_>, _>("it was loaded again".into()) }).await.unwrap(),
                    [None]
                );
                assert_eq!(pages.get("/").await.unwrap(), None);
                assert_eq!(pages.from(Role::Shared).get("/").await.unwrap().map(|page| page.body), None);
                assert!(!pages.exists("/").await.unwrap());
            }
            bench.pass_freshness();
        }
        assert_eq!(bench.store.stats().errors, 0);
        assert!(bench.store.stats().negative_hits > 0, "memory knew");
        bench.clock.advance(MINUTE);
        assert_eq!(loaded(&other, &source, Load::absent().ttl(MINUTE)).await, None);
        assert_eq!(source.asked(), 2);
        // A write makes it a lie.
        other.set(page("/", 1)).await.unwrap();
        assert_eq!(kept(&other).await, Some(1));
        bench.pass_freshness();
        assert_eq!(kept(&bench.pages).await, Some(1));
        bench.pages.delete("/").await.unwrap();
        bench.pass_freshness();
        // And so does an invalidation, of one key or of all.
        for all in [false, true] {
            assert_eq!(loaded(&bench.pages, &source, Load::absent().ttl(MINUTE)).await, None);
            if all {
                bench.pages.invalidate_all().await.unwrap();
            } else {
                bench.pages.invalidate("/").await.unwrap();
            }
            assert_eq!(loaded(&bench.pages, &source, Load::value(page("/", 2)).do_not_keep()).await, Some(2));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_absence_lives_as_long_as_the_settings_say() {
    for kind in [Kind::Shared, Kind::Memory] {
        let bench = Bench::open(kind, |settings| settings.negative_ttl = Some(MINUTE)).await;
        let source = Source::new();
        assert_eq!(loaded(&bench.pages, &source, Load::absent()).await, None);
        bench.clock.advance(MINUTE - Duration::from_millis(1));
        assert_eq!(kept(&bench.pages).await, None);
        bench.clock.advance(Duration::from_millis(1));
        assert_eq!(loaded(&bench.pages, &source, Load::absent().do_not_keep()).await, None);
        assert_eq!(loaded(&bench.pages, &source, Load::absent().ttl(2 * MINUTE)).await, None);
        bench.clock.advance(2 * MINUTE - Duration::from_millis(1));
        assert_eq!(kept(&bench.pages).await, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tags_are_kept_beside_the_value() {
    let bench = Bench::open(Kind::Shared, |_| {}).await;
    let source = Source::new();
    let holds = async |text: &str| {
        let Slot::Record(record) = bench.slot("/").await else { panic!("nothing is there") };
        record.payload.windows(text.len()).filter(|window| *window == text.as_bytes()).count()
    };
    loaded(&bench.pages, &source, Load::value(page("/", 1)).tags(["front", "news", "front"]).source_tag("e1").ttl(MINUTE)).await;
    assert_eq!((holds("front").await, holds("news").await), (1, 1));
    bench.clock.advance(MINUTE);
    loaded(&bench.pages, &source, Load::not_modified()).await;
    assert_eq!((holds("front").await, holds("e1").await), (1, 1));
    bench.clock.advance(MINUTE);
    loaded(&bench.pages, &source, Load::not_modified().tags(["other"])).await;
    assert_eq!((holds("front").await, holds("other").await), (0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hit_near_the_end_loads_anew_in_the_background() {
    for kind in [Kind::Shared, Kind::Memory] {
        let bench = Bench::open(kind, |settings| settings.refresh_ahead = 0.1).await;
        let source = Source::new();
        loaded(&bench.pages, &source, Load::value(page("/", 1)).source_tag("e1").ttl(MINUTE)).await;
        bench.clock.advance(Duration::from_secs(53));
        assert_eq!(kept(&bench.pages).await, Some(1), "it is not near its end");
        bench.clock.advance(Duration::from_secs(2));
        // A hit in memory, with the hands past nine tenths.
        bench.pages.get("/").await.unwrap();
        let renewing = source.holds(Load::value(page("/", 2)).ttl(MINUTE));
        assert_eq!(bench.pages.get_or_load("/", renewing).await.unwrap().unwrap().body, 1);
        source.arrived().await;
        // Meanwhile it is as good as ever.
        assert_eq!(kept(&bench.pages).await, Some(1));
        assert_eq!(bench.pages.with_freshness(strata::Freshness::Strong).get_or_load("/", nobody).await.unwrap().unwrap().body, 1);
        source.release();
        store_tests::waiting::until("it is renewed", async || bench.pages.get("/").await.unwrap().unwrap().body == 2).await;
        assert_eq!(source.asked(), 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ends_while_it_is_loaded_anew_is_not_loaded_twice() {
    let bench = Bench::open(Kind::Shared, |settings| settings.refresh_ahead = 0.1).await;
    let source = Source::new();
    loaded(&bench.pages, &source, Load::value(page("/", 1)).ttl(MINUTE)).await;
    bench.clock.advance(Duration::from_secs(55));
    bench.pages.get("/").await.unwrap();
    let renewing = source.holds(Load::value(page("/", 2)).ttl(MINUTE));
    assert_eq!(bench.pages.get_or_load("/", renewing).await.unwrap().unwrap().body, 1);
    source.arrived().await;
    bench.pass_freshness();
    assert_eq!(kept(&bench.pages).await, Some(1), "the shared tier still holds it");

    bench.clock.advance(MINUTE);
    let looks = bench.faults.hold_before(Operation::Fetch);
    let pages = bench.pages.clone();
    let single = tokio::spawn(async move { pages.get_or_load("/", nobody).await });
    looks.arrived().await;
    looks.release();
    source.release();
    assert_eq!(single.await.unwrap().unwrap().unwrap().body, 2);
    assert_eq!(source.asked(), 2);
}

/// On one thread, a load that never waits has ended once others had their turns.
#[tokio::test]
async fn a_loader_that_fails_ahead_of_the_end_is_run_again_after_longer_and_longer_pauses() {
    for kind in [Kind::Shared, Kind::Memory] {
        let bench = Bench::open(kind, |settings| settings.refresh_ahead = 0.1).await;
        let source = Source::new();
        loaded(&bench.pages, &source, Load::value(page("/", 1)).ttl(MINUTE)).await;
        bench.clock.advance(Duration::from_secs(55));
        for _ in 0..180 {
            // A hit in memory.
            bench.pages.get("/").await.unwrap();
            assert_eq!(bench.pages.get_or_load("/", source.fails()).await.unwrap().unwrap().body, 1);
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            bench.clock.advance(Duration::from_millis(25));
        }
        // The first load, and those at 0, 0.1, 0.3, 0.7, 1.5 and 3.1 seconds.
        assert!((6..=7).contains(&source.asked()), "{kind:?}: {}", source.asked());
        bench.clock.advance(Duration::from_secs(1));
        assert_eq!(
            loaded(&bench.pages, &source, Load::value(page("/", 2)).ttl(MINUTE)).await,
            Some(2),
            "who waits for a value waits for no pause"
        );
    }
}

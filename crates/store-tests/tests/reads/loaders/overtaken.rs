//! Loads that something on another instance overtakes.

use store_testkit::Operation;
use strata::facet::Slot;
use strata::{Freshness, Load};

use super::{Bench, Kind, MINUTE, Source, held, kept, loaded, page};

/// What can come between, on the instance that is given.
async fn come_between(what: &str, pages: &strata::Collection<super::Page>) {
    match what {
        "a write" => drop(pages.set(page("/", 9)).await.unwrap()),
        "a deletion" => drop(pages.delete("/").await.unwrap()),
        "an invalidation" => pages.invalidate("/").await.unwrap(),
        _ => drop(pages.invalidate_all().await.unwrap()),
    }
}

const ALL: [&str; 4] = ["a write", "a deletion", "an invalidation", "an invalidation of all"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_kept_of_a_load_that_another_instance_overtook() {
    // Of what was not there, and of what is to be renewed.
    for was_known in [false, true] {
        for what in ALL {
            let bench = Bench::open(Kind::Shared, |_| {}).await;
            let (other, _) = bench.another().await;
            let source = Source::new();
            if was_known {
                loaded(&bench.pages, &source, Load::value(page("/", 0)).source_tag("e").ttl(MINUTE)).await;
                bench.clock.advance(MINUTE);
            }
            let load = held(&bench.pages, &source, Load::value(page("/", 1)).source_tag("e").ttl(MINUTE)).await;
            come_between(what, &other).await;
            source.release();
            assert_eq!(load.await.unwrap().unwrap().unwrap().body, 1, "who waited gets what was loaded");
            if what == "a write" {
                for pages in [&bench.pages, &other] {
                    assert_eq!(kept(pages).await, Some(9), "{what}");
                }
            } else {
                assert_eq!(bench.slot("/").await, Slot::Empty, "{what}");
                assert_eq!(bench.pages.peek("/"), None, "{what}");
                assert_eq!(loaded(&bench.pages, &source, Load::value(page("/", 2))).await, Some(2), "{what}");
            }
            assert!(bench.store.stats().fills_refused > 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_comes_as_a_load_is_stored_wins() {
    // Between what the slot took and what memory takes.
    for what in ALL {
        let bench = Bench::open(Kind::Shared, |_| {}).await;
        let (other, _) = bench.another().await;
        let (source, stored) = (Source::new(), bench.faults.hold_after(Operation::PutOver));
        let load = tokio::spawn({
            let (pages, source) = (bench.pages.clone(), source.clone());
            async move { loaded(&pages, &source, Load::value(page("/", 1))).await }
        });
        stored.arrived().await;
        come_between(what, &other).await;
        // Messages may come late, but those of this instance's own calls do not.
        come_between(what, &bench.pages).await;
        stored.release();
        assert_eq!(load.await.unwrap(), Some(1));
        let now = bench.pages.get("/").await.unwrap().map(|page| page.body);
        assert_eq!(now, (what == "a write").then_some(9), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lost_its_lease_is_not_kept() {
    let bench = Bench::open(Kind::Shared, |_| {}).await;
    let source = Source::new();
    let load = held(&bench.pages, &source, Load::value(page("/", 1))).await;
    bench.shared.lose_everything();
    source.release();
    assert_eq!(load.await.unwrap().unwrap().unwrap().body, 1);
    assert_eq!((bench.slot("/").await, bench.pages.peek("/")), (Slot::Empty, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strong_read_does_not_join_a_load_from_before() {
    let bench = Bench::open(Kind::Shared, |_| {}).await;
    let (other, faults) = bench.another().await;
    let source = Source::new();
    let load = held(&bench.pages, &source, Load::value(page("/", 1))).await;
    // The message is lost; the slot is not.
    faults.always(Operation::Publish, store_testkit::Fault::FailBefore(strata::ErrorKind::L2Unavailable));
    other.invalidate("/").await.unwrap();
    let strong = bench.pages.with_freshness(Freshness::Strong);
    assert_eq!(loaded(&strong, &source, Load::value(page("/", 2))).await, Some(2));
    source.release();
    assert_eq!(load.await.unwrap().unwrap().unwrap().body, 1);
    assert_eq!(kept(&strong).await, Some(2));
    assert_eq!(kept(&bench.pages).await, Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strong_read_waits_for_a_load_that_nothing_overtook() {
    let bench = Bench::open(Kind::Shared, |_| {}).await;
    let source = Source::new();
    let load = held(&bench.pages, &source, Load::value(page("/", 1))).await;
    let strong = tokio::spawn({
        let pages = bench.pages.with_freshness(Freshness::Strong);
        async move { kept(&pages).await }
    });
    source.release();
    assert_eq!(strong.await.unwrap(), Some(1));
    load.await.unwrap().unwrap();
}

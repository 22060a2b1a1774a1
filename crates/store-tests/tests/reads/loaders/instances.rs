//! Several instances that load the same keys.

use std::time::Duration;

use store_testkit::{Fault, ManualClock, Operation};
use strata::facet::Slot;
use strata::{Collection, ErrorKind, Load};

use super::{Bench, Kind, MINUTE, Page, Source, held, kept, loaded, page};
use store_tests::waiting::until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_instances_load_once() {
    let bench = Bench::open(Kind::Shared, |_| {}).await;
    let (other, faults) = bench.another().await;
    let source = Source::new();
    // What was not there, then what is to be renewed.
    for body in [1, 2] {
        let load = held(&bench.pages, &source, Load::value(page("/", body)).source_tag("e").ttl(MINUTE)).await;
        let fetched = faults.calls(Operation::Fetch);
        let waiting = tokio::spawn({
            let other = other.clone();
            async move { kept(&other).await }
        });
        until("the other looks for it again", async || faults.calls(Operation::Fetch) > fetched + 4).await;
        source.release();
        assert_eq!(waiting.await.unwrap(), Some(body));
        load.await.unwrap().unwrap();
        bench.clock.advance(MINUTE);
    }
    assert_eq!(source.asked(), 2);
}

/// The shared tier is a moment behind: the slot is still there when its content has ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_instances_load_once_what_ends() {
    let (bench, ahead, moment) = (Bench::open(Kind::Shared, |_| {}).await, ManualClock::new(), Duration::from_millis(5));
    let another = async || Bench::store(Kind::Shared, &ahead, &bench.shared, |_| {}).await;
    let ((one, faults), (other, _)) = (another().await, another().await);
    let (one, other) = (one.collection().unwrap(), other.collection().unwrap());
    let source = Source::new();
    assert_eq!(loaded(&one, &source, Load::value(page("/", 1)).ttl(MINUTE)).await, Some(1));
    ahead.advance(MINUTE);
    bench.clock.advance(MINUTE - moment);
    let fetched = faults.calls(Operation::Fetch);
    let read = |pages: &Collection<Page>| {
        let (pages, loader) = (pages.clone(), source.holds(Load::value(page("/", 2)).ttl(MINUTE)));
        tokio::spawn(async move { pages.get_or_load("/", loader).await.unwrap().map(|page| page.body) })
    };
    let reads = [read(&one), read(&other)];
    until("it looks for the slot again and again", async || faults.calls(Operation::Fetch) > fetched + 4).await;
    bench.clock.advance(moment);
    source.arrived().await;
    source.release();
    for read in reads {
        assert_eq!(read.await.unwrap(), Some(2));
    }
    assert_eq!(source.asked(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_load_is_left_to_the_next_instance() {
    let bench = Bench::open(Kind::Shared, |_| {}).await;
    let (other, faults) = bench.another().await;
    let source = Source::new();
    for known in [false, true] {
        let failing = tokio::spawn({
            let (pages, source) = (bench.pages.clone(), source.clone());
            async move {
                let loader = |_| async move {
                    source.pass().await;
                    Err("the source is away")?
                };
                pages.get_or_load("/", loader).await
            }
        });
        source.arrived().await;
        let second = Source::new();
        let fetched = faults.calls(Operation::Fetch);
        let waiting = tokio::spawn({
            let (other, second) = (other.clone(), second.clone());
            async move { loaded(&other, &second, Load::value(page("/", 2)).source_tag("e").ttl(MINUTE)).await }
        });
        until("the other looks for it again", async || faults.calls(Operation::Fetch) > fetched + 4).await;
        assert_eq!(second.asked(), 0, "it waits, {known}");
        source.release();
        assert_eq!(failing.await.unwrap().unwrap_err().kind(), ErrorKind::LoadFailed);
        assert_eq!(waiting.await.unwrap(), Some(2));
        bench.clock.advance(MINUTE);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_too_long_loads_for_itself_and_leaves_the_slot_alone() {
    let bench = Bench::open(Kind::Shared, |settings| settings.flight_wait = Duration::from_millis(10)).await;
    let (other, _) = bench.another().await;
    let (slow, quick) = (Source::new(), Source::new());
    let load = held(&bench.pages, &slow, Load::value(page("/", 1))).await;
    assert_eq!(loaded(&other, &quick, Load::value(page("/", 2))).await, Some(2));
    assert_eq!(bench.slot("/").await, Slot::Busy);
    // Memory alone keeps it, no longer than the freshness bound.
    assert_eq!(kept(&other).await, Some(2));
    slow.release();
    load.await.unwrap().unwrap();
    bench.pass_freshness();
    assert_eq!(kept(&other).await, Some(1), "the one who had the lease fills");
}

/// The shared tier granted it and the answer was lost, or what was loaded under it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_nobody_holds_costs_each_load_the_wait_and_nothing_more() {
    const WAIT: Duration = Duration::from_millis(50);
    for (operation, fault) in [(Operation::Fetch, Fault::FailAfter as fn(_) -> _), (Operation::PutOver, Fault::FailBefore)] {
        for ends_by_itself in [true, false] {
            let bench = Bench::open(Kind::Shared, |settings| settings.flight_wait = WAIT).await;
            let (other, _) = bench.another().await;
            let source = Source::new();
            bench.faults.next(operation, fault(ErrorKind::L2Unavailable));
            assert_eq!(loaded(&bench.pages, &source, Load::value(page("/", 1))).await, Some(1));
            assert_eq!(bench.slot("/").await, Slot::Busy, "{operation:?}");
            for body in [2, 3] {
                for pages in [&other, &bench.pages] {
                    bench.pass_freshness();
                    let begun = std::time::Instant::now();
                    assert_eq!(loaded(pages, &source, Load::value(page("/", body))).await, Some(body));
                    let waited = begun.elapsed();
                    assert!((WAIT..WAIT + Duration::from_secs(2)).contains(&waited), "{operation:?}: {waited:?}");
                    assert_eq!(kept(pages).await, Some(body), "memory keeps it");
                }
            }
            if ends_by_itself {
                let settings = strata::Settings::default();
                bench.clock.advance(settings.load_timeout + settings.fill_lease);
            } else {
                bench.pages.invalidate("/").await.unwrap();
            }
            assert_eq!(loaded(&other, &source, Load::value(page("/", 4))).await, Some(4));
            bench.pass_freshness();
            assert_eq!(kept(&bench.pages).await, Some(4), "{operation:?}: the slot is filled again");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_tier_that_is_away_costs_no_answer() {
    let away = Fault::FailBefore(ErrorKind::L2Unavailable);
    let bench = Bench::open(Kind::Shared, |_| {}).await;
    let source = Source::new();
    bench.faults.outage(away);
    assert_eq!(loaded(&bench.pages, &source, Load::value(page("/", 1)).ttl(MINUTE)).await, Some(1));
    assert_eq!(kept(&bench.pages).await, Some(1), "memory keeps it");
    bench.pass_freshness();
    assert_eq!(loaded(&bench.pages, &source, Load::value(page("/", 2))).await, Some(2), "for the freshness bound");
    bench.faults.heal();
    bench.pass_freshness();

    // It goes away while something is loaded.
    let load = held(&bench.pages, &source, Load::value(page("/", 3))).await;
    bench.faults.outage(away);
    source.release();
    assert_eq!(load.await.unwrap().unwrap().unwrap().body, 3);
    assert_eq!(kept(&bench.pages).await, Some(3));
    let invalidated = bench.pages.invalidate("/").await.unwrap_err();
    assert_eq!(invalidated.kind(), ErrorKind::L2Unavailable, "the slot was not told");
    bench.faults.heal();
    bench.pages.invalidate("/").await.unwrap();
    assert_eq!(loaded(&bench.pages, &source, Load::value(page("/", 4))).await, Some(4));
    bench.pass_freshness();
    assert_eq!(kept(&bench.pages).await, Some(4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_instance_writes_drops_what_was_kept_in_memory_alone() {
    let bench = Bench::open(Kind::Shared, |_| {}).await;
    let (other, _) = bench.another().await;
    let source = Source::new();
    bench.faults.next(Operation::Fetch, Fault::FailBefore(ErrorKind::L2Unavailable));
    assert_eq!(loaded(&bench.pages, &source, Load::value(page("/", 1))).await, Some(1));
    other.set(page("/", 2)).await.unwrap();
    store_tests::waiting::until("the message comes", async || kept(&bench.pages).await == Some(2)).await;
}

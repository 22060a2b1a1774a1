//! Dropping what loaders brought by its tags.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use strata::{Collection, Load};

use super::{Bench, Kind, MINUTE, Page, Source, held, kept, loaded, page};
use store_tests::waiting::until;

/// A source whose pages are numbered by how often it was asked.
#[derive(Clone, Default)]
struct Numbered(Arc<AtomicI64>);

impl Numbered {
    fn asked(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    async fn read(&self, pages: &Collection<Page>, path: &'static str, tags: &'static [&'static str]) -> i64 {
        let source = self.clone();
        let loader = move |_| async move {
            let body = source.0.fetch_add(1, Ordering::SeqCst) + 1;
            Ok(Load::value(page(path, body)).source_tag("e").ttl(MINUTE).tags(tags.iter().copied()))
        };
        pages.get_or_load(path, loader).await.unwrap().unwrap().body
    }
}

async fn an_invalidation_drops_what_has_the_tag_and_nothing_else(kind: Kind) {
    let bench = Bench::open(kind, |_| {}).await;
    let (pages, source) = (&bench.pages, Numbered::default());
    assert_eq!(source.read(pages, "/a", &["front"]).await, 1);
    assert_eq!(source.read(pages, "/b", &["back"]).await, 2);
    assert_eq!(source.read(pages, "/c", &[]).await, 3);
    pages.set(page("/written", 7)).await.unwrap();
    for round in 0..3 {
        pages.invalidate_tag("front").await.unwrap();
        assert_eq!(source.read(pages, "/a", &["front"]).await, 4 + round);
        assert_eq!(source.read(pages, "/a", &["front"]).await, 4 + round, "it is kept again");
        assert_eq!(source.read(pages, "/c", &[]).await, 3);
        assert_eq!(pages.get("/written").await.unwrap().unwrap().body, 7);
    }
    if kind == Kind::Memory {
        assert_eq!(source.read(pages, "/b", &["back"]).await, 2);
    }
}

async fn an_invalidation_drops_absences_with_the_tag(kind: Kind) {
    let bench = Bench::open(kind, |_| {}).await;
    let (pages, source) = (&bench.pages, Source::new());
    let others = if kind == Kind::Shared { vec![bench.another().await.0] } else { Vec::new() };
    assert_eq!(loaded(pages, &source, Load::absent().ttl(MINUTE).tags(["front"])).await, None);
    pages.invalidate_tag("back").await.unwrap();
    for reader in others.iter().chain([pages]) {
        assert_eq!(kept(reader).await, None, "it has another tag");
    }
    pages.invalidate_tag("front").await.unwrap();
    assert_eq!(loaded(pages, &source, Load::value(page("/", 1)).ttl(MINUTE)).await, Some(1));
    bench.pass_freshness();
    for reader in &others {
        assert_eq!(kept(reader).await, Some(1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_memory_alone() {
    an_invalidation_drops_what_has_the_tag_and_nothing_else(Kind::Memory).await;
    an_invalidation_drops_absences_with_the_tag(Kind::Memory).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_shared_tier() {
    an_invalidation_drops_what_has_the_tag_and_nothing_else(Kind::Shared).await;
    an_invalidation_drops_absences_with_the_tag(Kind::Shared).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_instance_believes_a_tagged_slot_until_its_tag_is_invalidated() {
    let bench = Bench::open(Kind::Shared, |_| {}).await;
    let (other, _) = bench.another().await;
    let source = Numbered::default();
    // That there is no page does not say that pages have no tags.
    assert_eq!(loaded(&bench.pages, &Source::new(), Load::absent().ttl(MINUTE)).await, None);
    let body = source.read(&bench.pages, "/a", &["front", "x"]).await;
    assert_eq!(source.read(&other, "/a", &["front", "x"]).await, body, "from the slot");

    other.invalidate_tag("front").await.unwrap();
    let newer = source.read(&other, "/a", &["front", "x"]).await;
    assert!(newer > body);
    until("the first instance hears of it", async || source.read(&bench.pages, "/a", &["front", "x"]).await == newer).await;
    assert_eq!(source.asked(), newer, "the first instance took what the other loaded");

    // A process that has loaded without tags does not know when its first load with tags begins, so the others load that again.
    let (third, _) = bench.another().await;
    source.read(&third, "/c", &[]).await;
    let unknown = source.read(&third, "/d", &["x"]).await;
    assert_eq!(source.read(&third, "/d", &["x"]).await, unknown);
    let again = source.read(&other, "/d", &["x"]).await;
    assert!(again > unknown);
    assert_eq!(source.read(&bench.pages, "/d", &["x"]).await, again);

    // Nobody hears: the slot tells.
    bench.pages.invalidate_tag("front").await.unwrap();
    bench.pass_freshness();
    assert!(source.read(&other, "/a", &["front", "x"]).await > newer);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_an_invalidation_overtakes_is_kept_by_nobody() {
    for kind in [Kind::Memory, Kind::Shared] {
        let bench = Bench::open(kind, |_| {}).await;
        let source = super::Source::new();
        let load = super::held(&bench.pages, &source, Load::value(page("/", 1)).ttl(MINUTE).tags(["front"])).await;
        bench.pages.invalidate_tag("front").await.unwrap();
        source.release();
        assert_eq!(load.await.unwrap().unwrap().unwrap().body, 1, "who waited gets it");
        let second = super::Source::new();
        assert_eq!(super::loaded(&bench.pages, &second, Load::value(page("/", 2)).ttl(MINUTE)).await, Some(2), "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_an_invalidated_tag_made_out_of_date_takes_nothing_from_a_later_one() {
    let answers: [fn() -> Load<Page>; 6] = [
        || Load::value(page("/", 1)).tags(["front"]),
        || Load::value(page("/", 1)),
        || Load::value(page("/", 1)).do_not_keep(),
        || Load::value(page("/", 1)).ttl(Duration::ZERO),
        Load::absent,
        || Load::absent().ttl(MINUTE),
    ];
    for (number, answer) in answers.into_iter().enumerate() {
        let (bench, source) = (Bench::open(Kind::Memory, |_| {}).await, Source::new());
        let early = held(&bench.pages, &source, answer()).await;
        bench.pages.invalidate_tag("front").await.unwrap();
        assert_eq!(loaded(&bench.pages, &source, Load::value(page("/", 77))).await, Some(77));
        source.release();
        early.await.unwrap().unwrap();
        assert_eq!(bench.pages.get("/").await.unwrap().map(|page| page.body), Some(77), "answer {number}");
    }
}

//! Tags that a read gives to copies which are there already.

use std::time::Duration;

use strata::facet::Slot;
use strata::{ErrorKind, Freshness, Query, Role};

use super::{Instance, Shop, Storage, shop};
use store_tests::waiting::until;

/// A shop that an instance holds everywhere, without a tag of a call.
async fn plain(storage: &Storage) -> Instance {
    let one = storage.instance().await;
    one.shops.set(shop(1, "eu", 1)).await.unwrap();
    one.fill(storage, &[1]).await;
    storage.relayed(&one).await;
    one.fill(storage, &[1]).await;
    one
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_with_tags_gives_them_to_the_copies_that_are_there() {
    for way in 0..9 {
        let storage = Storage::new();
        let one = plain(&storage).await;
        let shown = one.shops.with_tags(["front"]);
        let level = match way {
            0 => shown.get(1).await.unwrap().unwrap().level,
            1 => shown.get_record(1).await.unwrap().unwrap().level,
            2 => shown.get_many([1]).await.unwrap()[0].as_ref().unwrap().level,
            3 => shown.read(1).await.unwrap().unwrap().record.level,
            4 => shown.from(Role::Shared).get(1).await.unwrap().unwrap().level,
            5 => shown.from(Role::Shared).get_many([1]).await.unwrap()[0].as_ref().unwrap().level,
            6 => shown.with_freshness(Freshness::Strong).get(1).await.unwrap().unwrap().level,
            7 => shown.with_freshness(Freshness::Strong).get_many([1]).await.unwrap()[0].as_ref().unwrap().level,
            _ => i64::try_from(shown.warm(None).await.unwrap()).unwrap(),
        };
        assert_eq!(level, 1, "way {way}");
        one.fill(&storage, &[1]).await;
        let before = one.truth_reads();
        assert_eq!(shown.get(1).await.unwrap().unwrap().level, 1);
        assert_eq!(shown.from(Role::Shared).get(1).await.unwrap().unwrap().level, 1);
        storage.change(1, 2).await;
        assert_eq!(one.level(1).await, Some(1), "the copies stay until the tag is invalidated");
        // What a read past the caches made of the slot is of its own.
        if way != 6 && way != 7 {
            assert_eq!(one.truth_reads(), before, "way {way}: both copies have the tag");
        }
        one.shops.invalidate_tag("front").await.unwrap();
        assert_eq!(one.shops.peek(1), None, "way {way}");
        assert_eq!(one.level(1).await, Some(2), "way {way}");
        assert_eq!(storage.instance().await.level(1).await, Some(2), "way {way}: the slot had the tag");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_without_the_tag_is_not_shown_to_a_read_that_gives_it() {
    let storage = Storage::new();
    let one = plain(&storage).await;
    let shown = one.shops.with_tags(["front"]);
    assert_eq!(shown.peek(1), None);
    assert_eq!(shown.peek_with(1, |_| ()), None);
    assert_eq!(one.shops.peek(1).map(|shop| shop.level), Some(1));
    // The copies are from before the invalidation, and nobody knew then that they would have the tag.
    storage.change(1, 2).await;
    one.shops.invalidate_tag("front").await.unwrap();
    assert_eq!(shown.get(1).await.unwrap().unwrap().level, 2);
    assert_eq!(one.level(1).await, Some(2), "it has taken the place of the older copy");
    assert_eq!(storage.instance().await.level(1).await, Some(2));
    // A search brings the tags of its call into memory.
    one.shops.invalidate(1).await.unwrap();
    one.fill(&storage, &[1]).await;
    assert_eq!(shown.search(Query::new()).await.unwrap()[0].level, 2);
    assert_eq!(shown.peek(1).map(|shop| shop.level), Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_keeps_the_tags_of_all_who_read_it() {
    for tag in ["front", "back", "region=eu"] {
        let storage = Storage::new();
        let one = plain(&storage).await;
        let (front, back) = (one.shops.with_tags(["front"]), one.shops.with_tags(["back"]));
        front.get(1).await.unwrap();
        back.get(1).await.unwrap();
        let (before, late) = (one.truth_reads(), storage.instance().await);
        for shops in [&front, &back, &one.shops, &front.with_tags(["back", "region=eu"])] {
            assert_eq!(shops.get(1).await.unwrap().unwrap().level, 1);
            assert_eq!(shops.from(Role::Shared).get(1).await.unwrap().unwrap().level, 1);
        }
        assert_eq!((late.level(1).await, late.truth_reads()), (Some(1), 0));
        assert_eq!(one.truth_reads(), before);
        storage.change(1, 2).await;
        one.shops.invalidate_tag(tag).await.unwrap();
        assert_eq!(one.level(1).await, Some(2), "{tag}");
        until("the other instance hears of it", async || late.level(1).await == Some(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_with_tags_share_the_load_that_brings_them() {
    let storage = Storage::new();
    let one = plain(&storage).await;
    let shown = one.shops.with_tags(["front"]);
    let before = one.truth_reads();
    let reads = (0..50).map(|_| {
        let shown = shown.clone();
        tokio::spawn(async move { shown.get(1).await.unwrap().unwrap().level })
    });
    for read in futures_util::future::join_all(reads).await {
        assert_eq!(read.unwrap(), 1);
    }
    assert_eq!(one.truth_reads(), before + 1);
    assert!(matches!(storage.slot(1).await, Slot::Record(_)));
}

/// What is answered in place of an error may lack the tag, as long as nobody invalidated it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_an_outage_a_copy_without_the_tag_counts_unless_the_tag_was_invalidated() {
    let storage = Storage::new();
    let one = storage.instance_with(|settings| settings.stale_on_error = Some(Duration::from_secs(3600))).await;
    one.shops.set_many([shop(1, "eu", 1), shop(2, "us", 1)]).await.unwrap();
    one.fill(&storage, &[1, 2]).await;
    one.shops.invalidate_tag("back").await.unwrap();
    one.truth.outage(store_testkit::Fault::FailBefore(ErrorKind::L3Unavailable));
    let level = async |tag: &str| one.shops.with_tags([tag]).get(1).await.map(|shop: Option<std::sync::Arc<Shop>>| shop.unwrap().level);
    assert_eq!(level("front").await.unwrap(), 1);
    assert_eq!(level("back").await.unwrap_err().kind(), ErrorKind::L3Unavailable);
}

//! Tags: what an invalidation drops, and what it leaves.

mod given;
mod servers;

use std::time::Duration;

use store_testkit::{FaultTier, Faults, ModelRecords, Operation};
use strata::facet::{Log, LogKind, Records, Slot, Wake, Wakes};
use strata::mem::MemTier;
use strata::{BoundSchema, Collection, ErrorKind, Freshness, Query, Role, Schema, Store, Tag, Tier};
use tempfile::TempDir;

use store_tests::stacks::open_sqlite;
use store_tests::waiting::until;

#[derive(Debug, Clone, PartialEq, Schema)]
struct Shop {
    #[schema(primary_key)]
    id: i64,
    #[schema(tag)]
    region: Option<String>,
    #[schema(tag)]
    open: bool,
    level: i64,
}

fn shop(id: i64, region: &str, level: i64) -> Shop {
    Shop { id, region: Some(region.to_owned()), open: true, level }
}

/// One storage, and what is in its shared tier.
struct Storage {
    directory: TempDir,
    shared: ModelRecords,
    /// Whether messages reach the instances.
    has_wakes: bool,
}

/// An instance: its store, and what its truth and its shared tier are asked.
struct Instance {
    store: Store,
    shops: Collection<Shop>,
    truth: Faults,
    shared: Faults,
}

impl Storage {
    fn new() -> Self {
        Storage { directory: tempfile::tempdir().unwrap(), shared: ModelRecords::new(), has_wakes: true }
    }

    fn without_wakes() -> Self {
        Storage { has_wakes: false, ..Self::new() }
    }

    async fn instance(&self) -> Instance {
        self.instance_with(|_| {}).await
    }

    async fn instance_with(&self, configure: impl FnOnce(&mut strata::Settings)) -> Instance {
        let (records, tables) = (FaultTier::new(self.shared.clone()), FaultTier::new(open_sqlite(&self.directory).await));
        let (shared, truth) = (records.faults(), tables.faults());
        let builder = Store::builder().near(MemTier::new()).tier(records).tier(tables).schema::<Shop>().configure(|settings| {
            settings.breaker.enabled = false;
            settings.retries = 0;
            settings.jitter = 0.0;
            settings.flight_wait = Duration::from_millis(10);
        });
        if !self.has_wakes {
            shared.always(Operation::Publish, store_testkit::Fault::FailBefore(ErrorKind::L2Unavailable));
            truth.always(Operation::Publish, store_testkit::Fault::FailBefore(ErrorKind::L3Unavailable));
        }
        let store = builder.configure(configure).build().await.unwrap();
        Instance { shops: store.collection().unwrap(), store, truth, shared }
    }

    /// Changes a row as another program does that tells nobody.
    async fn change(&self, id: i64, level: i64) {
        let path = self.directory.path().join("store.db");
        tokio::task::spawn_blocking(move || {
            let connection = rusqlite::Connection::open(path).unwrap();
            connection.busy_timeout(Duration::from_secs(5)).unwrap();
            assert_eq!(connection.execute("UPDATE shop SET level = ?2 WHERE id = ?1", [id, level]).unwrap(), 1);
        })
        .await
        .unwrap();
    }

    /// Waits until the relayer has told the shared tier of everything.
    async fn relayed(&self, instance: &Instance) {
        let schema = [std::sync::Arc::new(BoundSchema::standalone(Shop::definition()))];
        let end = instance.store.token().await.unwrap().unwrap();
        until("the mark has passed the end of the log", async || {
            let marks = self.shared.marks(&schema).await.unwrap().remove(0);
            marks.iter().flatten().any(|mark| mark.position == *end.place())
        })
        .await;
    }

    async fn slot(&self, id: i64) -> Slot {
        let schema = BoundSchema::standalone(Shop::definition());
        self.shared.fetch(&schema, &[id.to_string()], None).await.unwrap().remove(0)
    }
}

impl Instance {
    async fn level(&self, id: i64) -> Option<i64> {
        self.shops.get(id).await.unwrap().map(|shop| shop.level)
    }

    /// How many rows the truth was asked for until now.
    fn truth_reads(&self) -> u64 {
        let stats = self.store.stats();
        stats.l3_hits + stats.l3_misses
    }

    /// Lets the slots be filled with these records, and memory.
    async fn fill(&self, storage: &Storage, ids: &[i64]) {
        for &id in ids {
            until("the slot is filled", async || {
                self.shops.from(Role::Shared).get(id).await.unwrap();
                matches!(storage.slot(id).await, Slot::Record(_))
            })
            .await;
            self.shops.get(id).await.unwrap();
        }
    }
}

/// Two shops in two regions, each cached everywhere by two instances; the truth holds newer levels than the caches.
async fn behind(storage: &Storage) -> (Instance, Instance) {
    let (one, other) = (storage.instance().await, storage.instance().await);
    one.shops.set_many([shop(1, "eu", 1), shop(2, "us", 1)]).await.unwrap();
    one.fill(storage, &[1, 2]).await;
    other.fill(storage, &[1, 2]).await;
    for id in [1, 2] {
        storage.change(id, 2).await;
    }
    for instance in [&one, &other] {
        assert_eq!((instance.level(1).await, instance.level(2).await), (Some(1), Some(1)), "the caches do not know of the change");
    }
    (one, other)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_with_the_tag_of_a_field_are_dropped_everywhere_and_no_others() {
    let storage = Storage::new();
    let (one, other) = behind(&storage).await;
    one.shops.invalidate_tag(Shop::region().tag("eu")).await.unwrap();
    assert_eq!((one.level(1).await, one.level(2).await), (Some(2), Some(1)));
    until("the other instance hears of it", async || other.level(1).await == Some(2)).await;
    let before = other.truth_reads();
    assert_eq!(other.level(2).await, Some(1));
    assert_eq!(other.shops.from(Role::Shared).get(2).await.unwrap().unwrap().level, 1, "the slot of the other region is believed");
    assert_eq!(other.truth_reads(), before);
    // An instance that was not there has nothing but the slots to go by.
    let late = storage.instance().await;
    assert_eq!((late.level(1).await, late.level(2).await), (Some(2), Some(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_read_heeds_an_invalidation() {
    let storage = Storage::new();
    for way in 0..6 {
        let (one, _) = behind(&storage).await;
        one.shops.invalidate_tag("region=eu").await.unwrap();
        let level = |shop: Option<std::sync::Arc<Shop>>| shop.map(|shop| shop.level);
        match way {
            0 => assert_eq!(one.shops.peek(1), None),
            1 => assert_eq!(one.shops.peek_with(1, |_| ()), None),
            2 => assert_eq!(level(one.shops.get_many([1]).await.unwrap().remove(0)), Some(2)),
            3 => assert_eq!(level(one.shops.with_freshness(Freshness::Any).get(1).await.unwrap()), Some(2)),
            4 => assert_eq!(one.shops.read(1).await.unwrap().unwrap().record.level, 2),
            _ => assert_eq!(one.shops.from(Role::Shared).get(1).await.unwrap().unwrap().level, 2),
        }
        assert_eq!(one.level(1).await, Some(2));
        assert_eq!(one.shops.peek(2).map(|shop| shop.level), Some(1), "way {way}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_enough_to_hear_of_an_invalidation() {
    let storage = Storage::without_wakes();
    let (one, other) = behind(&storage).await;
    one.shops.invalidate_tag(Shop::open().tag(true)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    for instance in [&one, &other] {
        assert_eq!((instance.level(1).await, instance.level(2).await), (Some(2), Some(2)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tags_follow_what_is_written() {
    let storage = Storage::new();
    let (one, other) = (storage.instance().await, storage.instance().await);
    one.shops.set(shop(1, "eu", 1)).await.unwrap();
    one.fill(&storage, &[1]).await;
    one.shops.set(shop(1, "us", 2)).await.unwrap();
    other.fill(&storage, &[1]).await;
    assert_eq!((one.level(1).await, other.level(1).await), (Some(2), Some(2)));
    storage.change(1, 3).await;
    one.shops.invalidate_tag("region=eu").await.unwrap();
    until("the relayer has told the slots", async || other.shops.from(Role::Shared).get(1).await.unwrap().is_some()).await;
    assert_eq!((one.level(1).await, other.level(1).await), (Some(2), Some(2)), "the record has moved");
    one.shops.invalidate_tag("region=us").await.unwrap();
    assert_eq!(one.level(1).await, Some(3));
    until("the other instance hears of it", async || other.level(1).await == Some(3)).await;
    // NULL is no tag.
    one.shops.set(Shop { region: None, ..shop(1, "", 4) }).await.unwrap();
    assert_eq!(one.level(1).await, Some(4));
    storage.change(1, 5).await;
    one.shops.invalidate_tag("region=").await.unwrap();
    assert_eq!(one.level(1).await, Some(4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tags_of_a_call_are_those_of_what_it_caches() {
    let storage = Storage::new();
    let (one, other) = (storage.instance().await, storage.instance().await);
    one.shops.set_many([shop(1, "eu", 1), shop(2, "eu", 1), shop(3, "eu", 1)]).await.unwrap();
    one.store.token().await.unwrap();
    let late = storage.instance().await;
    let shown = late.shops.with_tags(["front"]).with_tags(["page", "front"]);
    until("the slot is filled", async || {
        shown.from(Role::Shared).get(1).await.unwrap();
        matches!(storage.slot(1).await, Slot::Record(_))
    })
    .await;
    assert_eq!(shown.get(1).await.unwrap().unwrap().level, 1);
    shown.set(shop(3, "eu", 2)).await.unwrap();
    other.level(1).await;
    late.level(2).await;
    for id in [1, 2, 3] {
        storage.change(id, 9).await;
    }
    one.shops.invalidate_tag("page").await.unwrap();
    late.shops.invalidate_tag("front").await.unwrap();
    assert_eq!((late.level(1).await, late.level(2).await, late.level(3).await), (Some(9), Some(1), Some(9)));
    until("an instance whose copy came from the slot hears of it", async || other.level(1).await == Some(9)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_give_tags_share_loads_among_themselves() {
    let storage = Storage::new();
    let one = storage.instance().await;
    one.shops.set(shop(1, "eu", 1)).await.unwrap();
    one.shops.invalidate(1).await.unwrap();
    let held = one.truth.hold_after(Operation::GetMany);
    let plain = tokio::spawn({
        let shops = one.shops.clone();
        async move { shops.get(1).await.unwrap().unwrap().level }
    });
    held.arrived().await;
    let shown = one.shops.with_tags(["front"]);
    let level = tokio::time::timeout(Duration::from_secs(20), shown.get(1)).await.expect("it joined a load without its tags");
    assert_eq!(level.unwrap().unwrap().level, 1);
    held.release();
    assert_eq!(plain.await.unwrap(), 1);
}

/// The load has the old content when the tag is invalidated.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_an_invalidation_overtakes_answers_nobody_later() {
    for point in 0..3 {
        let storage = Storage::new();
        let one = storage.instance().await;
        one.shops.set(shop(1, "eu", 1)).await.unwrap();
        one.shops.invalidate(1).await.unwrap();
        one.store.token().await.unwrap();
        if point == 0 {
            storage.instance().await.fill(&storage, &[1]).await;
        } else {
            let _ = one.shops.from(Role::Truth).get(1).await.unwrap();
        }
        let held = match point {
            0 => one.shared.hold_after(Operation::Fetch),
            1 => one.truth.hold_after(Operation::GetMany),
            _ => one.truth.hold_after(Operation::Select),
        };
        let loading = tokio::spawn({
            let shops = one.shops.clone();
            async move {
                if point == 2 {
                    shops.search(Query::new()).await.unwrap().first().map(|shop| shop.level)
                } else {
                    shops.get(1).await.unwrap().map(|shop| shop.level)
                }
            }
        });
        held.arrived().await;
        storage.change(1, 2).await;
        one.shops.invalidate_tag(Shop::region().tag("eu")).await.unwrap();
        let fresh = tokio::time::timeout(Duration::from_secs(20), one.level(1)).await;
        assert_eq!(fresh.expect("a later reader joined the load"), Some(2), "point {point}");
        held.release();
        let loaded = loading.await.unwrap();
        assert!(matches!(loaded, Some(1 | 2)), "point {point}: {loaded:?}");
        assert_eq!(one.level(1).await, Some(2), "point {point}");
        let late = storage.instance().await;
        assert_eq!(late.level(1).await, Some(2), "point {point}: the slot was filled with what was void");
    }
}

/// A fill that is delayed past the invalidation, the mark and everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fill_that_an_invalidation_overtakes_is_void() {
    let storage = Storage::new();
    let (one, other) = (storage.instance().await, storage.instance().await);
    one.shops.set(shop(1, "eu", 1)).await.unwrap();
    // The relayer voids no lease from here on.
    until("the relayer is through", async || {
        one.fill(&storage, &[1]).await;
        one.shops.invalidate(1).await.unwrap();
        storage.relayed(&one).await;
        matches!(storage.slot(1).await, Slot::Empty)
    })
    .await;
    let held = one.shared.hold_before(Operation::Fill);
    let loading = tokio::spawn({
        let shops = one.shops.clone();
        async move { shops.get(1).await.unwrap() }
    });
    held.arrived().await;
    storage.change(1, 2).await;
    other.shops.invalidate_tag("region=eu").await.unwrap();
    storage.relayed(&other).await;
    held.release();
    loading.await.unwrap();
    assert!(matches!(storage.slot(1).await, Slot::Record(_)), "nothing was filled, so nothing was tried");
    for instance in [&one, &other, &storage.instance().await] {
        assert_eq!(instance.level(1).await, Some(2));
    }
    // Its place is taken by what is not void.
    let late = storage.instance().await;
    let before = late.truth_reads();
    assert_eq!(late.level(1).await, Some(2));
    assert_eq!(late.truth_reads(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_tier_that_lost_the_tags_is_not_believed() {
    let storage = Storage::new();
    let (one, _) = behind(&storage).await;
    one.shops.invalidate_tag("region=eu").await.unwrap();
    // Under memory pressure the server forgets what was invalidated, and keeps the records.
    storage.shared.lose_tags(&BoundSchema::standalone(Shop::definition()));
    for _ in 0..20 {
        let late = storage.instance().await;
        assert_eq!(late.level(1).await, Some(2));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    storage.shared.lose_everything();
    storage.change(1, 3).await;
    one.shops.invalidate_tag("region=eu").await.unwrap();
    assert_eq!(one.level(1).await, Some(3));
    assert_eq!(storage.instance().await.level(1).await, Some(3));
}

/// The copy that takes over has the record and knows nothing of the invalidation, and eras are counted from there again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_tier_that_went_back_is_told_again() {
    let storage = Storage::new();
    let (one, other) = behind(&storage).await;
    storage.relayed(&one).await;
    let replica = storage.shared.copy();
    one.shops.invalidate_tag("region=eu").await.unwrap();
    one.shops.invalidate_tag("region=us").await.unwrap();
    storage.relayed(&one).await;
    for instance in [&one, &other] {
        instance.fill(&storage, &[1, 2]).await;
    }
    storage.shared.go_back(&replica);
    for level in 2..6 {
        for instance in [&one, &other, &storage.instance().await] {
            assert_eq!(instance.shops.from(Role::Shared).get(1).await.unwrap().unwrap().level, level);
        }
        storage.change(1, level + 1).await;
        one.shops.invalidate_tag("region=eu").await.unwrap();
        other.shops.with_freshness(Freshness::Bounded(Duration::ZERO)).get(1).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalidated_record_is_not_brought_back_by_an_outage() {
    let storage = Storage::new();
    let one = storage.instance_with(|settings| settings.stale_on_error = Some(Duration::from_secs(3600))).await;
    one.shops.set_many([shop(1, "eu", 1), shop(2, "us", 1)]).await.unwrap();
    one.fill(&storage, &[1, 2]).await;
    one.shops.invalidate_tag("region=eu").await.unwrap();
    one.truth.outage(store_testkit::Fault::FailBefore(ErrorKind::L3Unavailable));
    // The first of them looks at memory only once the truth has failed.
    for shops in [one.shops.with_freshness(Freshness::Bounded(Duration::ZERO)), one.shops.clone()] {
        assert_eq!(shops.get(1).await.unwrap_err().kind(), ErrorKind::L3Unavailable);
        assert_eq!(shops.get(2).await.unwrap().unwrap().level, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalidation_that_cannot_be_written_down_is_an_error_and_drops_what_is_here() {
    let storage = Storage::new();
    let (one, _) = behind(&storage).await;
    one.truth.next(Operation::LogAppend, store_testkit::Fault::FailBefore(ErrorKind::L3Unavailable));
    let error = one.shops.invalidate_tag("region=eu").await.unwrap_err();
    assert_eq!((error.kind(), error.schema(), error.operation()), (ErrorKind::L3Unavailable, Some("shop"), Some("invalidate_tag")));
    assert_eq!((one.level(1).await, one.level(2).await), (Some(2), Some(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_tag_of_the_schema_is_refused() {
    let one = Storage::new().instance().await;
    for (tag, kind) in [
        (Shop::level().tag(1), ErrorKind::InvalidQuery),
        (store_tests::models::City::country().tag("PE"), ErrorKind::InvalidQuery),
        (Tag::from("a\0b"), ErrorKind::InvalidValue),
    ] {
        assert_eq!(one.shops.invalidate_tag(tag.clone()).await.unwrap_err().kind(), kind, "{tag}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_knows_redis_alone_may_name_a_tag() {
    let storage = Storage::new();
    let (one, other) = behind(&storage).await;
    let channel = std::sync::Arc::new(storage.shared.clone()).facets().wakes.unwrap();
    let (schema, key) = ("shop".to_owned(), Some("region=eu".to_owned()));
    let wake = Wake { schema, key, kind: LogKind::InvalidateTag, version: None, origin: None };
    Wakes::publish(&*channel, &[wake]).await.unwrap();
    for instance in [&one, &other] {
        until("the message is heard", async || instance.level(1).await == Some(2)).await;
        assert_eq!(instance.level(2).await, Some(1));
    }
    assert_eq!(storage.instance().await.level(1).await, Some(2));
}

/// More tags than anything remembers: tagged copies may be dropped that nobody named, but none that was named stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_tags_than_are_remembered_drop_too_much_rather_than_too_little() {
    const TAGS: usize = 20_000;
    let storage = Storage::new();
    let (one, other) = behind(&storage).await;
    let sqlite = open_sqlite(&storage.directory).await;
    let entry = |tag: String| strata::facet::LogEntry {
        schema: "shop".into(),
        key: Some(tag),
        version: Default::default(),
        kind: LogKind::InvalidateTag,
        columns: None,
    };
    let entries: Vec<_> = std::iter::once("region=eu".to_owned()).chain((1..TAGS).map(|tag| tag.to_string())).map(entry).collect();
    sqlite.append(&entries).await.unwrap();
    for instance in [&one, &other] {
        until("the log is read", async || instance.level(1).await == Some(2)).await;
    }
    let late = storage.instance().await;
    assert_eq!(late.level(1).await, Some(2));
    // And tags go on to work.
    until("the shared tier is used again", async || {
        one.fill(&storage, &[1, 2]).await;
        storage.instance().await.level(1).await.is_some()
    })
    .await;
    storage.change(1, 3).await;
    one.shops.invalidate_tag("region=eu").await.unwrap();
    assert_eq!(one.level(1).await, Some(3));
    assert_eq!(storage.instance().await.level(1).await, Some(3));
}

/// What was written to the tier of truth is no copy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_cache_only_schema_copies_alone_are_dropped() {
    let shared = ModelRecords::new();
    let open = async || {
        let builder = Store::builder().near(MemTier::new()).tier(shared.clone());
        // Nothing but what it is told makes memory ask again.
        let builder = builder.configure(|settings| settings.freshness = Duration::from_secs(120));
        let store = builder.schema_with::<Shop>(|options| options.policies.cache_only = true).build().await.unwrap();
        (store.collection::<Shop>().unwrap(), store)
    };
    let ((one, _one), (other, other_store)) = (open().await, open().await);
    let shown = one.with_tags(["front"]);
    shown.set(shop(1, "eu", 1)).await.unwrap();
    assert_eq!(other.get(1).await.unwrap().unwrap().level, 1);
    let hits = |store: &Store| store.stats().l2_hits;
    let before = hits(&other_store);
    one.invalidate_tag("front").await.unwrap();
    until("the other instance asks again", async || {
        assert_eq!(other.get(1).await.unwrap().unwrap().level, 1, "what was written stays");
        hits(&other_store) > before
    })
    .await;
    assert_eq!(one.peek(1), None, "the copy in memory has the tag that the write gave it");
    assert_eq!(one.get(1).await.unwrap().unwrap().level, 1);

    let memory = Store::builder().near(MemTier::new()).schema_with::<Shop>(|options| options.policies.cache_only = true);
    let memory = memory.build().await.unwrap().collection::<Shop>().unwrap();
    memory.set(shop(1, "eu", 1)).await.unwrap();
    memory.invalidate_tag("region=eu").await.unwrap();
    assert_eq!(memory.peek(1).unwrap().level, 1, "memory is the truth of it");
}

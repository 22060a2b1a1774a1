//! What older versions of a model or document wrote.

mod caches;
mod documents;
mod encrypted;
mod journals;
mod random;

use std::time::{SystemTime, UNIX_EPOCH};

use store_testkit::ModelRecords;
use strata::mem::MemTier;
use strata::{Deferred, ErrorKind, Record, Role, Schema, Store, StoreBuilder, Upgrade, UpgradeError, UpgradePolicy};

use store_tests::stacks::redis;
use store_tests::waiting::until;

#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(name = "hero", cache_only)]
struct HeroV1 {
    #[schema(primary_key)]
    id: i64,
    name: String,
}

#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(name = "hero", cache_only, version = 2, upgrade_from = HeroV1)]
struct HeroV2 {
    #[schema(primary_key)]
    id: i64,
    first: String,
    last: String,
}

#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(cache_only, version = 3, upgrade_from = HeroV2)]
struct Hero {
    #[schema(primary_key)]
    id: i64,
    last: Option<String>,
    first: String,
    level: i64,
}

impl Upgrade<HeroV1> for HeroV2 {
    fn upgrade(old: HeroV1) -> Result<Self, UpgradeError> {
        let (first, last) = old.name.split_once(' ').ok_or("the name has one part")?;
        Ok(HeroV2 { id: old.id, first: first.into(), last: last.into() })
    }
}

impl Upgrade<HeroV2> for Hero {
    fn upgrade(old: HeroV2) -> Result<Self, UpgradeError> {
        assert_ne!(old.first, "Panic");
        let id = if old.first == "Other" { old.id + 1 } else { old.id };
        Ok(Hero { id, last: Some(old.last).filter(|last| !last.is_empty()), first: old.first, level: 1 })
    }
}

fn v1(id: i64, name: &str) -> HeroV1 {
    HeroV1 { id, name: name.to_owned() }
}

fn v2(id: i64, first: &str, last: &str) -> HeroV2 {
    HeroV2 { id, first: first.to_owned(), last: last.to_owned() }
}

fn hero(id: i64, first: &str, last: Option<&str>, level: i64) -> Hero {
    Hero { id, last: last.map(str::to_owned), first: first.to_owned(), level }
}

/// One Redis, which is the truth of several builds.
struct Shared(redis::Namespace);

impl Shared {
    async fn new() -> Self {
        Shared(redis::open().await.0)
    }

    async fn store<T: Schema>(&self) -> Store {
        self.store_with::<T>(UpgradePolicy::OnRead).await
    }

    async fn store_with<T: Schema>(&self, policy: UpgradePolicy) -> Store {
        Store::builder().tier(self.0.tier().await).schema::<T>().upgrade_policy(policy).build().await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_version_of_a_chain_is_read_from_redis() {
    let shared = Shared::new().await;
    let (first, second, third) = (shared.store::<HeroV1>().await, shared.store::<HeroV2>().await, shared.store::<Hero>().await);
    first.collection::<HeroV1>().unwrap().set(v1(1, "Ada Lovelace")).await.unwrap();
    second.collection::<HeroV2>().unwrap().set(v2(2, "Alan", "")).await.unwrap();
    let heroes = third.collection::<Hero>().unwrap();
    heroes.set(hero(3, "Grace", Some("Hopper"), 9)).await.unwrap();

    let expected = [hero(1, "Ada", Some("Lovelace"), 1), hero(2, "Alan", None, 1), hero(3, "Grace", Some("Hopper"), 9)];
    for expected in &expected {
        assert_eq!(*heroes.get(expected.id).await.unwrap().unwrap(), *expected);
        assert!(heroes.exists(expected.id).await.unwrap());
    }
    let found = heroes.get_many([1, 2, 3]).await.unwrap();
    assert!(found.iter().flatten().map(|hero| &**hero).eq(&expected));
    let between = second.collection::<HeroV2>().unwrap();
    assert_eq!(*between.get(1).await.unwrap().unwrap(), v2(1, "Ada", "Lovelace"));

    assert_eq!((third.stats().upgrades, third.stats().upgrades_written, third.stats().errors), (6, 0, 0));
    // Nothing was written back: who knows the old version alone reads it still. A newer one is a miss, as after a downgrade.
    let old = first.collection::<HeroV1>().unwrap();
    assert_eq!(*old.get(1).await.unwrap().unwrap(), v1(1, "Ada Lovelace"));
    assert_eq!((old.get(2).await.unwrap(), between.get(3).await.unwrap()), (None, None));
    assert_eq!((first.stats().errors, second.stats().errors), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_carries_an_older_record_over() {
    let shared = Shared::new().await;
    let (first, third) = (shared.store::<HeroV1>().await, shared.store::<Hero>().await);
    first.collection::<HeroV1>().unwrap().set(v1(1, "Ada Lovelace")).await.unwrap();
    let heroes = third.collection::<Hero>().unwrap();
    let version = heroes.get_record(1).await.unwrap().unwrap().version();
    let changed = heroes.update(1, |hero| hero.level += 4);
    assert_eq!(*changed.await.unwrap().unwrap(), hero(1, "Ada", Some("Lovelace"), 5));
    assert!(heroes.set_if_version(hero(1, "Eve", None, 1), version).await.is_err(), "the update was a write");
    assert_eq!(heroes.get(1).await.unwrap().unwrap().level, 5);
    assert_eq!(first.collection::<HeroV1>().unwrap().get(1).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_upgraded_is_an_error_and_stays() {
    let shared = Shared::new().await;
    let (first, third) = (shared.store::<HeroV1>().await, shared.store_with::<Hero>(UpgradePolicy::WriteBack).await);
    let (old, heroes) = (first.collection::<HeroV1>().unwrap(), third.collection::<Hero>().unwrap());
    for (id, name, said) in [(1, "Plato", "the name has one part"), (2, "Panic now", "panicked"), (3, "Other one", "changed the key")] {
        let version = old.set(v1(id, name)).await.unwrap().version();
        for error in [heroes.get(id).await.unwrap_err(), heroes.get_many([id]).await.unwrap_err()] {
            assert_eq!((error.kind(), error.schema(), error.key()), (ErrorKind::DecodeFailed, Some("hero"), Some(&*id.to_string())));
            let text = error.to_string();
            assert!(text.contains(&format!("of version {version}, which version 1 of the model wrote")) && text.contains(said), "{text}");
        }
        let error = heroes.patch(id, Hero::level().set(3)).await.unwrap_err();
        let text = error.to_string();
        assert!(
            error.kind() == ErrorKind::DecodeFailed && text.contains("which version 1 of the model wrote") && text.contains(said),
            "{text}"
        );
        assert_eq!(*old.get(id).await.unwrap().unwrap(), v1(id, name), "nothing is lost");
        heroes.set(hero(id, "New", None, 2)).await.unwrap();
        assert_eq!(heroes.get(id).await.unwrap().unwrap().level, 2);
    }
    assert_eq!((third.stats().upgrades, third.stats().upgrades_written), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upgraded_records_are_written_back_with_their_life_time() {
    let shared = Shared::new().await;
    let (first, third) = (shared.store::<HeroV1>().await, shared.store_with::<Hero>(UpgradePolicy::WriteBack).await);
    first.collection::<HeroV1>().unwrap().set_many((1..=5).map(|id| v1(id, "Ada Lovelace"))).await.unwrap();
    let heroes = third.collection::<Hero>().unwrap();
    until("all are written back", async || {
        assert_eq!(heroes.get_many(1..=5).await.unwrap().iter().flatten().count(), 5);
        third.stats().upgrades_written == 5
    })
    .await;
    let upgrades = third.stats().upgrades;
    assert_eq!(*heroes.get(4).await.unwrap().unwrap(), hero(4, "Ada", Some("Lovelace"), 1));
    assert_eq!((third.stats().upgrades, third.stats().errors), (upgrades, 0), "it is read as it is by now");
    assert_eq!(first.collection::<HeroV1>().unwrap().get(4).await.unwrap(), None);
    third.close().await.unwrap();
}

/// Of each record, old writers and new ones and those who write it back meet in one slot.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writing_back_overtakes_no_write() {
    const KEYS: i64 = 40;
    let shared = Shared::new().await;
    let first = shared.store::<HeroV1>().await;
    let old = first.collection::<HeroV1>().unwrap();
    let (reading, writing) = (shared.store_with::<Hero>(UpgradePolicy::WriteBack).await, shared.store::<Hero>().await);
    let (readers, writers) = (reading.collection::<Hero>().unwrap(), writing.collection::<Hero>().unwrap());
    for round in 0..10 {
        old.set_many((0..KEYS).map(|id| v1(id + 1, "Ada Lovelace"))).await.unwrap();
        let read = async {
            for id in 1..=KEYS {
                readers.get(id).await.unwrap();
            }
        };
        let write = async {
            for id in (1..=KEYS).rev() {
                if id % 3 == 0 {
                    old.set(v1(id, &format!("Ada {round}"))).await.unwrap();
                } else {
                    writers.set(hero(id, "Ada", None, round)).await.unwrap();
                }
            }
        };
        tokio::join!(read, write);
        for id in 1..=KEYS {
            let expected = if id % 3 == 0 { hero(id, "Ada", Some(&round.to_string()), 1) } else { hero(id, "Ada", None, round) };
            let found: Record<Hero> = writers.get_record(id).await.unwrap().unwrap();
            assert_eq!(*found, expected, "in round {round}");
        }
    }
    assert!(reading.stats().upgrades_written > 0);
    assert_eq!(reading.stats().errors, 0);
}

/// Two layouts of which neither build knows the other's.
#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(name = "scroll", cache_only)]
struct Scroll {
    #[schema(primary_key)]
    id: i64,
    #[schema(omit_l1)]
    text: Deferred<String>,
    #[schema(auto_now_add)]
    made_at: SystemTime,
}

#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(name = "scroll", cache_only)]
struct OtherScroll {
    #[schema(primary_key)]
    id: i64,
    author: String,
    #[schema(omit_l1)]
    text: Deferred<String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_loses_nothing_that_it_leaves_out_of_another_build_s_record() {
    let records = ModelRecords::new();
    let (one, other) = (on(&records).schema::<Scroll>(), on(&records).schema::<OtherScroll>());
    let (one, other) = (one.build().await.unwrap(), other.build().await.unwrap());
    let (scrolls, others) = (one.collection::<Scroll>().unwrap(), other.collection::<OtherScroll>().unwrap());
    let text = |text: &str| Deferred::Loaded(text.to_owned());
    let written = OtherScroll { id: 1, author: "Hypatia".to_owned(), text: text("long") };
    others.set(written.clone()).await.unwrap();
    let leaving_out = Scroll { id: 1, text: Deferred::NotLoaded, made_at: UNIX_EPOCH };
    let error = scrolls.set(leaving_out.clone()).await.unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::DecodeFailed, Some("1")), "{error}");
    assert!(error.to_string().contains("another build wrote the record"), "{error}");
    assert_eq!(**others.from(Role::Shared).get(1).await.unwrap().unwrap().model(), written);

    scrolls.set(Scroll { text: text("whole"), ..leaving_out.clone() }).await.unwrap();
    scrolls.set(leaving_out).await.unwrap();
    assert_eq!(scrolls.from(Role::Shared).get(1).await.unwrap().unwrap().text, text("whole"));
}

/// Builds on one model of Redis.
fn on(records: &ModelRecords) -> StoreBuilder<MemTier> {
    Store::builder().near(MemTier::new()).tier(records.clone())
}

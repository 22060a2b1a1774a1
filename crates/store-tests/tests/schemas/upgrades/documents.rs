//! Older documents in columns of JSON.

use std::time::SystemTime;

use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};
use strata::{Collection, Document, ErrorKind, Query, Schema, Store, StoreBuilder, Upgrade, UpgradeError, UpgradePolicy, Versioned};

use store_tests::stacks::{open_sqlite, postgres, sqlite};
use store_tests::waiting::until;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Document)]
#[document(version = 0)]
struct KitV0 {
    item: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Document)]
#[document(version = 1, upgrade_from = KitV0)]
struct KitV1 {
    items: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Document)]
#[document(version = 2, upgrade_from = KitV1)]
pub(super) struct Kit {
    pub(super) items: Vec<(String, u32)>,
}

impl Upgrade<KitV0> for KitV1 {
    fn upgrade(old: KitV0) -> Result<Self, UpgradeError> {
        Ok(KitV1 { items: vec![old.item] })
    }
}

impl Upgrade<KitV1> for Kit {
    fn upgrade(old: KitV1) -> Result<Self, UpgradeError> {
        match old.items.is_empty() {
            true => Err("the kit is empty".into()),
            false => Ok(Kit { items: old.items.into_iter().map(|item| (item, 1)).collect() }),
        }
    }
}

/// The rows as SQL has them.
#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(name = "knight")]
struct Raw {
    #[schema(primary_key)]
    id: i64,
    level: i64,
    kit: serde_json::Value,
    squires: Option<serde_json::Value>,
    other: serde_json::Value,
    updated_at: SystemTime,
}

/// What a build knows of a document of no version: less than is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Other {
    known: i64,
}

#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(name = "knight")]
struct Knight {
    #[schema(primary_key)]
    id: i64,
    level: i64,
    kit: Versioned<Kit>,
    squires: Option<Vec<Versioned<Kit>>>,
    other: Other,
    #[schema(auto_now)]
    updated_at: SystemTime,
}

fn raw(id: i64, kit: serde_json::Value, squires: Option<serde_json::Value>) -> Raw {
    let updated_at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(86_400);
    Raw { id, level: 0, kit, squires, other: serde_json::json!({"known": 1, "unknown": [2]}), updated_at }
}

fn kit(items: &[(&str, u32)]) -> Versioned<Kit> {
    Versioned(Kit { items: items.iter().map(|(item, count)| ((*item).to_owned(), *count)).collect() })
}

struct Bench {
    raw: Collection<Raw>,
    knights: Collection<Knight>,
    _raw: Store,
    store: Store,
}

impl Bench {
    async fn open(policy: UpgradePolicy, postgres: bool, check: impl AsyncFnOnce(Bench)) {
        let build = async |one: StoreBuilder, other: StoreBuilder| {
            let store = other.schema::<Knight>().upgrade_policy(policy).build().await.unwrap();
            let raw = one.schema::<Raw>().build().await.unwrap();
            Bench { raw: raw.collection().unwrap(), knights: store.collection().unwrap(), _raw: raw, store }
        };
        if postgres {
            let (database, tier) = postgres::open().await;
            check(build(Store::builder().tier(database.tier().await), Store::builder().tier(tier)).await).await;
        } else {
            let (directory, tier) = sqlite().await;
            check(build(Store::builder().tier(open_sqlite(&directory).await), Store::builder().tier(tier)).await).await;
        }
    }
}

async fn each_version_is_read(bench: Bench) {
    let Bench { raw: rows, knights, store, .. } = bench;
    rows.set(raw(1, serde_json::json!({"item": "axe"}), None)).await.unwrap();
    rows.set(raw(2, serde_json::json!({"_v": 1, "items": ["axe", "bow"]}), None)).await.unwrap();
    let squires = serde_json::json!([{"item": "cap"}, {"_v": 2, "items": [["hat", 3]]}]);
    rows.set(raw(3, serde_json::json!({"items": [["axe", 7]], "_v": 2}), Some(squires.clone()))).await.unwrap();
    assert_eq!(knights.get(1).await.unwrap().unwrap().kit, kit(&[("axe", 1)]));
    assert_eq!(knights.get(2).await.unwrap().unwrap().kit, kit(&[("axe", 1), ("bow", 1)]));
    let third = knights.get(3).await.unwrap().unwrap();
    assert_eq!((&third.kit, &third.squires), (&kit(&[("axe", 7)]), &Some(vec![kit(&[("cap", 1)]), kit(&[("hat", 3)])])));
    assert_eq!((store.stats().upgrades, store.stats().upgrades_written), (3, 0));
    let streamed: Vec<_> = knights.stream(Query::new().order_by(Knight::id())).unwrap().try_collect().await.unwrap();
    assert_eq!((streamed.len(), &streamed[2].kit), (3, &kit(&[("axe", 7)])));
    assert_eq!(store.stats().upgrades, 6, "each read that meets something old counts");
    let stored = rows.get(3).await.unwrap().unwrap();
    assert_eq!(stored.squires, Some(squires), "in memory alone");

    // As any write does.
    knights.set((*third).clone()).await.unwrap();
    let stored = rows.get(3).await.unwrap().unwrap();
    let squires = serde_json::json!([{"_v": 2, "items": [["cap", 1]]}, {"_v": 2, "items": [["hat", 3]]}]);
    assert_eq!((&stored.kit, &stored.squires), (&serde_json::json!({"_v": 2, "items": [["axe", 7]]}), &Some(squires)));

    for (id, document, said) in [
        (4, serde_json::json!({"_v": 1, "items": []}), "the upgrade from version 1 to 2 answered \"the kit is empty\""),
        (5, serde_json::json!({"_v": 3, "items": []}), "of version 3, and this build knows none above 2"),
        (6, serde_json::json!({"_v": "2", "items": []}), "`_v` is no version"),
        (7, serde_json::json!({"_v": 1, "item": "axe"}), "missing field `items`)"),
        (8, serde_json::json!({"items": [["axe", 1]]}), "missing field `item`, read as of version 0 since it has no `_v`)"),
    ] {
        rows.set(raw(id, document.clone(), None)).await.unwrap();
        let error = knights.get(id).await.unwrap_err();
        let text = error.to_string();
        assert_eq!(
            (error.kind(), error.schema(), error.key(), error.column()),
            (ErrorKind::DecodeFailed, Some("knight"), Some(&*id.to_string()), Some("kit"))
        );
        assert!(text.contains(said), "{text}");
        assert_eq!(rows.get(id).await.unwrap().unwrap().kit, document);
    }
}

async fn upgraded_documents_are_written_back_alone(bench: Bench) {
    let Bench { raw: rows, knights, store, .. } = bench;
    let before = raw(1, serde_json::json!({"item": "axe"}), Some(serde_json::json!([{"_v": 2, "items": []}])));
    rows.set(before.clone()).await.unwrap();
    let version = knights.get_record(1).await.unwrap().unwrap().version();
    until("the document is written back", async || store.stats().upgrades_written == 1).await;
    let kit = serde_json::json!({"_v": 2, "items": [["axe", 1]]});
    assert_eq!(*rows.get(1).await.unwrap().unwrap(), Raw { kit, ..before }, "neither what it does not know, nor the time");
    let now = knights.get_record(1).await.unwrap().unwrap();
    assert!(now.version() > version, "it is a write");
    assert_eq!((store.stats().upgrades, store.stats().errors), (1, 0));
}

/// What holds documents under a name of before, and one that is not written any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Pack {
    #[serde(alias = "old")]
    new: Versioned<Kit>,
    #[serde(default, skip_serializing)]
    gone: Option<Versioned<Kit>>,
}

#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(name = "knight")]
struct Packed {
    #[schema(primary_key)]
    id: i64,
    level: i64,
    kit: Versioned<Kit>,
    squires: Option<Vec<Versioned<Kit>>>,
    other: Pack,
    #[schema(auto_now)]
    updated_at: SystemTime,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_under_another_name_is_written_back_once_and_one_that_is_not_written_never() {
    let (directory, tier) = sqlite().await;
    let plain = Store::builder().tier(open_sqlite(&directory).await).schema::<Raw>().build().await.unwrap();
    let rows = plain.collection::<Raw>().unwrap();
    let newest = serde_json::json!({"_v": 2, "items": [["axe", 1]]});
    let with = |id, other| Raw { other, ..raw(id, newest.clone(), None) };
    rows.set(with(1, serde_json::json!({"old": {"item": "axe"}}))).await.unwrap();
    let unwritten = with(2, serde_json::json!({"new": newest, "gone": {"item": "bow"}}));
    let version = rows.set(unwritten.clone()).await.unwrap().version();

    let builder = Store::builder().tier(tier).schema::<Packed>().upgrade_policy(UpgradePolicy::WriteBack);
    let store = builder.build().await.unwrap();
    let packs = store.collection::<Packed>().unwrap();
    packs.get(2).await.unwrap();
    packs.get(1).await.unwrap();
    until("the document is written back", async || store.stats().upgrades_written == 1).await;
    assert_eq!(rows.get(1).await.unwrap().unwrap().other, serde_json::json!({"new": newest}));
    packs.get(1).await.unwrap();
    assert_eq!(store.stats().upgrades, 2, "it is none of before any more");
    // What is under way ends first.
    store.close().await.unwrap();
    let after = rows.get_record(2).await.unwrap().unwrap();
    assert_eq!((after.version(), &**after.model()), (version, &unwritten));
}

/// Each update counts one up, and each reset brings the old document back.
async fn writing_back_overtakes_no_update(bench: Bench) {
    let Bench { raw: rows, knights, store, .. } = bench;
    rows.set(raw(1, serde_json::json!({"item": "axe"}), None)).await.unwrap();
    let count = async |rows: Collection<Raw>| {
        for _ in 0..30 {
            let update = |row: &mut Raw| {
                row.level += 1;
                row.kit = serde_json::json!({"item": format!("axe {}", row.level)});
            };
            rows.update(1, update).await.unwrap();
        }
    };
    let counting = [tokio::spawn(count(rows.clone())), tokio::spawn(count(rows.clone()))];
    while !counting.iter().all(tokio::task::JoinHandle::is_finished) {
        knights.get(1).await.unwrap();
    }
    for count in counting {
        count.await.unwrap();
    }
    let last = knights.get(1).await.unwrap().unwrap();
    assert_eq!((last.level, &last.kit), (60, &kit(&[("axe 60", 1)])));
    until("one is written back", async || {
        knights.get(1).await.unwrap();
        store.stats().upgrades_written > 0
    })
    .await;
    assert_eq!((rows.get(1).await.unwrap().unwrap().level, store.stats().errors), (60, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_version_is_read_from_sqlite() {
    Bench::open(UpgradePolicy::OnRead, false, each_version_is_read).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_version_is_read_from_postgres() {
    Bench::open(UpgradePolicy::OnRead, true, each_version_is_read).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upgraded_documents_are_written_back_alone_to_sqlite() {
    Bench::open(UpgradePolicy::WriteBack, false, upgraded_documents_are_written_back_alone).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upgraded_documents_are_written_back_alone_to_postgres() {
    Bench::open(UpgradePolicy::WriteBack, true, upgraded_documents_are_written_back_alone).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writing_back_overtakes_no_update_in_sqlite() {
    Bench::open(UpgradePolicy::WriteBack, false, writing_back_overtakes_no_update).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writing_back_overtakes_no_update_in_postgres() {
    Bench::open(UpgradePolicy::WriteBack, true, writing_back_overtakes_no_update).await;
}

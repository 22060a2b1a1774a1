//! Secrets that were written in every way are found nowhere, where what is no secret is found.

use std::time::{Duration, Instant};

use strata::facet::NearTier;
use strata::{Query, Role, Schema, Store, StoreBuilder};
use tempfile::TempDir;

use super::{Badge, Behind, Encrypted, Patient, badge, behind, patient, patients, ring};
use store_tests::stacks::{Bench, Models, Stack, bytes_of_files};
use store_tests::waiting::until;

/// Writes patients in every way, and reads them in every way that fills a cache.
pub(super) async fn write_everything(store: &Store) {
    let patients = patients(store);
    patients.set(patient("set")).await.unwrap();
    patients.set_many([patient("many-1"), patient("many-2")]).await.unwrap();
    patients.insert_only(patient("inserted")).await.unwrap();
    patients.import((0..20).map(|number| patient(&format!("import-{number}")))).chunk(7).run().await.unwrap();
    store
        .transaction(async |tx| {
            tx.set(patient("tx")).await?;
            tx.insert_only(patient("tx-inserted")).await?;
            tx.patch::<Patient>("set", Patient::diagnosis().set(super::secret("patch", "tx"))).await?;
            tx.update::<Patient, _>("many-1", |patient| patient.visits.clear()).await?;
            assert_eq!(tx.get::<Patient>("tx").await?.map(|patient| patient.email), Some(super::secret("email", "tx")));
            Ok(())
        })
        .await
        .unwrap();
    store.tx().set(patient("queued")).patch::<Patient>("tx", Patient::weight().set(1.5)).commit().await.unwrap();
    patients
        .patch("set", [Patient::diagnosis().set(super::secret("patch", "set")), Patient::marker().set("the-marker-of-a-patch")])
        .await
        .unwrap();
    patients.update("many-2", |patient| patient.diagnosis = Some(super::secret("update", "many-2"))).await.unwrap();
    let version = patients.get_record("set").await.unwrap().unwrap().version();
    patients.set_if_version(patient("set"), version).await.unwrap();
    patients.update_where(Patient::email().eq(super::secret("email", "set")), Patient::ward().set(8)).await.unwrap();

    let query = Query::new().filter(Patient::email().one_of([super::secret("email", "set"), super::secret("email", "tx")]));
    for _ in 0..2 {
        assert_eq!(patients.search_cached(&query).await.unwrap().len(), 2);
        let shown = patients.select_cached(&query, (Patient::email(), Patient::visits())).await.unwrap();
        assert!(shown.contains(&(super::secret("email", "tx"), patient("tx").visits)), "{shown:?}");
    }
    patients.invalidate_all().await.unwrap();
    patients.warm(None).await.unwrap();
    for id in ["set", "many-1", "many-2", "inserted", "import-19", "tx", "tx-inserted", "queued"] {
        assert_eq!(patients.get(id).await.unwrap().unwrap().email, super::secret("email", id));
        assert_eq!(patients.from(Role::Truth).get(id).await.unwrap().unwrap().notes, patient(id).notes);
    }
}

/// Every way in which a part of a secret may be written.
fn traces() -> Vec<Vec<u8>> {
    let mut traces = vec![b"the-secret-".to_vec(), b"nights".to_vec()];
    let number = 0x1122_3344_5566_7788_i64;
    let microseconds = 0x0102_0304_0506_0708_i64;
    for number in [number, microseconds] {
        traces.extend([number.to_string().into_bytes(), number.to_be_bytes().to_vec(), number.to_le_bytes().to_vec()]);
    }
    let insurance = patient("").insurance;
    traces.extend([insurance.to_string().into_bytes(), insurance.as_bytes().to_vec()]);
    traces
}

/// Looks for secrets in what a place holds, which is shown to hold what is none.
pub(super) fn assert_no_secret(place: &str, content: &[u8], marker: &str) {
    let hexadecimal = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into_bytes();
    let holds = |part: &[u8]| content.windows(part.len()).any(|window| window == part);
    assert!(holds(marker.as_bytes()), "{place} lacks {marker}, so that this test would prove nothing");
    for trace in traces() {
        for trace in [hexadecimal(&trace), trace] {
            assert!(!holds(&trace), "{place} holds {}", String::from_utf8_lossy(&trace));
        }
    }
}

async fn assert_no_secrets(bench: &Bench, store: &Store) {
    match bench.stack {
        Stack::MemRedisPostgres => {
            assert_no_secret("PostgreSQL", bench.postgres().dump().await.as_bytes(), "the-marker-of-import-19");
            let marker = b"the-marker-of-import-19";
            // What the log tells of may empty a slot that was just filled.
            let limit = Instant::now() + Duration::from_secs(20);
            while !bench.redis().dump().windows(marker.len()).any(|window| window == marker) && Instant::now() < limit {
                patients(store).from(Role::Shared).get("import-19").await.unwrap();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert_no_secret("Redis", &bench.redis().dump(), "the-marker-of-import-19");
        }
        _ => assert_no_secret("SQLite", &bench.sqlite_files(), "the-marker-of-import-19"),
    }
}

async fn what_is_written_in_any_way_is_no_secret_to_anybody(stack: Stack) {
    let bench = super::open(stack).await;
    write_everything(&bench.store).await;
    assert_no_secrets(&bench, &bench.store).await;
    bench.store.close().await.unwrap();
    if stack == Stack::MemSqlite {
        assert_no_secrets(&bench, &bench.store).await;
    }
}

async fn what_is_pending_is_no_secret_either(stack: Stack) {
    let journals = TempDir::new().unwrap();
    let directory = journals.path().join("a");
    let models = Encrypted { keys: ring(1), journal: Some(directory.clone()) };
    let mut bench = stack.open_with(Duration::from_secs(120), &models).await;
    write_everything(&bench.store).await;
    let pending = bench.of::<Behind>();
    pending.set_many([behind(1, "one"), behind(2, "two")]).await.unwrap();
    let shown = pending.get_record(1).await.unwrap().unwrap();
    assert!(shown.is_pending() && *shown.model() == std::sync::Arc::new(behind(1, "one")));
    assert_no_secret("the journal", &bytes_of_files(&directory), "the-marker-of-1");

    // Another process goes on with what this one leaves.
    let copy = journals.path().join("b");
    std::fs::create_dir(&copy).unwrap();
    for file in std::fs::read_dir(&directory).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.join(file.file_name())).unwrap();
    }
    let next = bench.another_with(&Encrypted { keys: ring(1), journal: Some(copy.clone()) }).await;
    assert_eq!(next.collection::<Behind>().unwrap().get(2).await.unwrap().as_deref(), Some(&behind(2, "two")));
    next.flush().await.unwrap();
    let found = next.collection::<Behind>().unwrap().search(Behind::secret().eq(behind(1, "one").secret).into()).await.unwrap();
    assert_eq!(found.iter().map(|found| found.id).collect::<Vec<_>>(), [1]);

    // What the truth refuses becomes a dead letter.
    next.collection::<Behind>().unwrap().set(behind(3, "one")).await.unwrap();
    assert_no_secret("the journal", &bytes_of_files(&copy), "the-marker-of-3");
    next.flush().await.unwrap();
    let letters = next.dead_letters().list(None, 10).await.unwrap();
    assert_eq!(letters.iter().map(|letter| &*letter.key).collect::<Vec<_>>(), ["3"]);
    assert!(!letters[0].error.contains("`secret_blind`"), "{}", letters[0].error);
    assert_no_secret("a dead letter", format!("{letters:?}").as_bytes(), "behind");
    assert_no_secret("a dead letter's entry", &letters[0].entry, "the-marker-of-3");
    assert_no_secrets(&bench, &next).await;
    next.collection::<Behind>().unwrap().delete(1).await.unwrap();
    next.flush().await.unwrap();
    next.dead_letters().retry(&letters[0]).await.unwrap();
    assert_eq!(next.collection::<Behind>().unwrap().get(3).await.unwrap().as_deref(), Some(&behind(3, "one")));
    assert_no_secrets(&bench, &next).await;
}

#[tokio::test]
async fn a_field_that_is_plain_in_l2_is_the_only_one_there() {
    let mut bench = super::open(Stack::MemRedis).await;
    let badges = bench.of::<Badge>();
    badges.set_many([badge(1), badge(2)]).await.unwrap();
    badges.patch(2, Badge::number().set(None)).await.unwrap();
    badges.update(1, |badge| badge.number = Some(8)).await.unwrap();
    assert_no_secret("Redis", &bench.redis().dump(), "the-marker-of-2");
    let other = bench.another_with(&Encrypted::new(ring(1))).await;
    let found = other.collection::<Badge>().unwrap().get_many([1, 2]).await.unwrap();
    let found: Vec<_> = found.iter().map(|badge| Badge::clone(badge.as_deref().unwrap())).collect();
    assert_eq!(found, [Badge { number: Some(8), ..badge(1) }, Badge { number: None, ..badge(2) }]);
    let loaded = other.collection::<Badge>().unwrap().get_or_load(3, async |_| Ok(strata::Load::value(badge(3)))).await.unwrap();
    assert_eq!(loaded.as_deref(), Some(&badge(3)));
    assert_no_secret("Redis", &bench.redis().dump(), "the-marker-of-3");
}

/// A model of which the truth holds no field as it is, and Redis one.
#[derive(Debug, Clone, PartialEq, Schema)]
struct Pass {
    #[schema(primary_key)]
    id: i64,
    #[schema(encrypted, unique, plain_in_l2)]
    holder: String,
    #[schema(encrypted, plain_in_l2)]
    scan: Option<Vec<u8>>,
    #[schema(encrypted)]
    secret: String,
    marker: String,
}

/// Passes alone.
struct Passes;

impl Models for Passes {
    fn register<N: NearTier>(&self, _: Stack, builder: StoreBuilder<N>) -> StoreBuilder<N> {
        builder.schema::<Pass>().encryption(ring(1))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_field_that_is_plain_in_l2_is_sealed_in_the_truth() {
    let mut bench = Stack::MemRedisPostgres.open_with(Duration::from_secs(120), &Passes).await;
    let pass = |id: i64, scan: Option<&[u8]>| Pass {
        id,
        holder: format!("plain-holder-of-{id}"),
        scan: scan.map(<[u8]>::to_vec),
        secret: super::secret("pass", &id.to_string()),
        marker: format!("the-marker-of-{id}"),
    };
    let passes = bench.of::<Pass>();
    passes.set_many([pass(1, Some(b"plain-scan")), pass(2, None)]).await.unwrap();
    passes.patch(2, Pass::scan().set(Some(b"plain-scan".to_vec()))).await.unwrap();
    let expected = [pass(1, Some(b"plain-scan")), pass(2, Some(b"plain-scan"))];

    let dump = bench.postgres().dump().await;
    assert_no_secret("PostgreSQL", dump.as_bytes(), "the-marker-of-2");
    for plain in ["plain-holder", "plain-scan", "706c61696e2d"] {
        assert!(!dump.contains(plain), "PostgreSQL holds {plain}");
    }
    let other = bench.another_with(&Passes).await;
    let others = other.collection::<Pass>().unwrap();
    until("Redis holds both, the fields as they are", async || {
        let read = others.from(Role::Shared).get_many([1, 2]).await.unwrap();
        let found: Vec<_> = read.into_iter().map(|pass| Pass::clone(&pass.unwrap())).collect();
        assert_eq!(found, expected);
        let dump = bench.redis().dump();
        ["plain-holder-of-1", "plain-holder-of-2"].iter().all(|plain| dump.windows(plain.len()).any(|window| window == plain.as_bytes()))
    })
    .await;
    assert_no_secret("Redis", &bench.redis().dump(), "the-marker-of-2");
    let hits = other.stats().l2_hits;
    assert_eq!(others.from(Role::Shared).get(2).await.unwrap().as_deref(), Some(&expected[1]));
    assert_eq!(other.stats().l2_hits, hits + 1, "Redis answered it");
    let found = others.search(Pass::holder().eq("plain-holder-of-2").into()).await.unwrap();
    assert_eq!(found.iter().map(|found| found.id).collect::<Vec<_>>(), [2]);

    // A ciphertext of the key 1 that somebody changed in Redis costs a read of the truth.
    let changed = bench.redis().change_behind(&[1, 0, 0, 0, 1]);
    assert!(changed.starts_with(b":2\r\n"), "{}", String::from_utf8_lossy(&changed));
    let next = bench.another_with(&Passes).await;
    assert_eq!(next.collection::<Pass>().unwrap().get(2).await.unwrap().as_deref(), Some(&expected[1]));
    assert!(next.stats().errors > 0 && next.stats().l3_hits == 1, "{:?}", next.stats());
}

#[tokio::test]
async fn memory_alone_holds_what_it_is_given() {
    let bench = super::open(Stack::MemAlone).await;
    let badges = bench.of::<Badge>();
    badges.set(badge(1)).await.unwrap();
    badges.patch(1, Badge::secret().set("another")).await.unwrap();
    assert_eq!(badges.get(1).await.unwrap().as_deref(), Some(&Badge { secret: "another".into(), ..badge(1) }));
}

macro_rules! on {
    ($($module:ident $stack:ident),*) => {$(
        mod $module {
            use store_tests::stacks::Stack;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn what_is_written_in_any_way_is_no_secret_to_anybody() {
                super::what_is_written_in_any_way_is_no_secret_to_anybody(Stack::$stack).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn what_is_pending_is_no_secret_either() {
                super::what_is_pending_is_no_secret_either(Stack::$stack).await;
            }
        }
    )*};
}
on!(mem_sqlite MemSqlite, mem_redis_postgres MemRedisPostgres);

//! Hooks where tiers fail, callers give up, and entries leave.

use std::time::Duration;

use store_testkit::{Fault, Operation};
use strata::{Deferred, ErrorKind, Freshness, Hooks, Role, Schema};

use super::{Hero, Recorder, hero};
use store_tests::stacks::FaultyBench;

async fn open() -> (FaultyBench, Recorder) {
    open_with(|_| {}).await
}

async fn open_with(change: impl Fn(&mut strata::SchemaOptions<Hero>)) -> (FaultyBench, Recorder) {
    let recorder = Recorder::default();
    let hooks = recorder.clone();
    let bench = FaultyBench::open_with(|builder| {
        let builder = builder.schema_with::<Hero>(|options| {
            options.hooks(hooks);
            change(options);
        });
        builder.configure(|settings| settings.stale_on_error = Some(Duration::from_secs(3_600)))
    })
    .await;
    (bench, recorder)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_fails_is_told_of_by_nobody() {
    let (bench, recorder) = open().await;
    let heroes = bench.of::<Hero>();
    for fault in [Fault::FailBefore(ErrorKind::L3Unavailable), Fault::FailAfter(ErrorKind::L3Unavailable)] {
        bench.truth_faults.next(Operation::PutMany, fault);
        assert_eq!(heroes.set(hero("a", 1)).await.unwrap_err().kind(), ErrorKind::L3Unavailable);
        bench.truth_faults.next(Operation::DeleteMany, fault);
        assert_eq!(heroes.delete("a").await.unwrap_err().kind(), ErrorKind::L3Unavailable);
        assert_eq!(recorder.take(), (vec!["before_set a".to_owned(), "before_delete a".to_owned()], 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_tier_that_is_away_keeps_no_hook_from_its_calls() {
    let (bench, recorder) = open().await;
    let heroes = bench.of::<Hero>();
    bench.shared_faults.outage(Fault::FailBefore(ErrorKind::L2Unavailable));
    heroes.set(hero("a", 1)).await.unwrap();
    assert_eq!(heroes.from(Role::Shared).get("a").await.unwrap().unwrap().loads, 1);
    heroes.delete("a").await.unwrap();
    let calls = ["before_set a", "after_set a", "before_get a", "after_get a", "before_delete a", "after_delete a"];
    assert_eq!(recorder.take(), (calls.map(str::to_owned).to_vec(), 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_known_record_is_an_answer_too() {
    let (bench, recorder) = open_with(|options| options.policies.near.ttl = Duration::from_secs(10).into()).await;
    let heroes = bench.of::<Hero>();
    heroes.set(hero("a", 1)).await.unwrap();
    recorder.take();
    bench.shared_faults.outage(Fault::FailBefore(ErrorKind::L2Unavailable));
    bench.truth_faults.outage(Fault::FailBefore(ErrorKind::L3Unavailable));
    bench.clock.advance(Duration::from_secs(11));
    let answer = heroes.read("a").await.unwrap().unwrap();
    assert!(answer.is_stale && answer.loads == 1);
    assert_eq!(recorder.take(), (vec!["before_get a".to_owned(), "after_get a".to_owned()], 0));
    heroes.read("x").await.unwrap_err();
    assert_eq!(recorder.take(), (vec!["before_get x".to_owned()], 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_caller_gave_up_is_told_of_once_it_is_stored() {
    let (bench, recorder) = open().await;
    let heroes = bench.of::<Hero>();
    let held = bench.truth_faults.hold_after(Operation::PutMany);
    let write = tokio::spawn({
        let heroes = heroes.clone();
        async move { heroes.set(hero("a", 1)).await }
    });
    held.arrived().await;
    assert_eq!(recorder.take(), (vec!["before_set a".to_owned()], 0));
    write.abort();
    assert!(write.await.unwrap_err().is_cancelled());
    held.release();
    // Which waits for the write.
    bench.store.close().await.unwrap();
    assert_eq!(recorder.take(), (vec!["after_set a".to_owned()], 1));
    assert_eq!(heroes.set(hero("b", 1)).await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(recorder.take(), (Vec::new(), 0), "a closed store asks nobody");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_leaves_memory_on_its_own_is_told_of() {
    let (bench, recorder) = open_with(|options| {
        options.policies.near.max_entries = Some(2);
        options.policies.near.ttl = Duration::from_secs(10).into();
    })
    .await;
    let heroes = bench.of::<Hero>();
    let left = || recorder.take().0.into_iter().filter(|call| call.starts_with("e")).collect::<Vec<_>>();
    heroes.set(hero("a", 1)).await.unwrap();
    heroes.set(hero("b", 1)).await.unwrap();
    assert!(left().is_empty());
    heroes.set(hero("c", 1)).await.unwrap();
    assert_eq!(left(), ["evicted a"]);
    recorder.panic_at("evicted", "b");
    assert_eq!(heroes.set(hero("d", 1)).await.unwrap().level, 1);
    assert_eq!((left(), bench.store.stats().hook_panics), (vec!["evicted b".to_owned()], 1));
    heroes.set(hero("c", 2)).await.unwrap();
    heroes.delete("d").await.unwrap();
    heroes.invalidate("c").await.unwrap();
    assert!(left().is_empty(), "replaced, deleted and invalidated is not evicted");
    heroes.set(hero("e", 1)).await.unwrap();
    // It is kept beyond its end, for answers where tiers fail.
    bench.clock.advance(Duration::from_secs(10 + 3_600));
    assert!(heroes.with_freshness(Freshness::Any).peek("e").is_none());
    assert_eq!(left(), ["expired e"]);
}

#[derive(Debug, Schema)]
struct Dossier {
    #[schema(primary_key)]
    id: i64,
    #[schema(omit_l1)]
    pages: Deferred<i64>,
    #[schema(skip)]
    size: Option<i64>,
}

struct Size;

impl Hooks<Dossier> for Size {
    fn after_load(&self, dossier: &mut Dossier) {
        assert_eq!(dossier.size, None, "this instance was computed before");
        dossier.size = Some(match dossier.pages {
            Deferred::Loaded(pages) => pages * 2,
            Deferred::NotLoaded => -1,
        });
        if dossier.id == 666 {
            dossier.id = 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_model_of_a_record_is_computed_with_the_fields_that_it_has() {
    let bench = FaultyBench::open_with(|builder| {
        builder.schema_with::<Dossier>(|options| {
            options.hooks(Size);
        })
    })
    .await;
    let dossiers = bench.of::<Dossier>();
    let dossier = |id| Dossier { id, pages: Deferred::Loaded(4), size: None };
    assert_eq!(dossiers.set(dossier(1)).await.unwrap().size, Some(8));
    assert_eq!(dossiers.get(1).await.unwrap().unwrap().size, Some(-1));
    for role in [Role::Shared, Role::Truth] {
        assert_eq!(dossiers.from(role).get(1).await.unwrap().unwrap().size, Some(8));
    }

    let error = dossiers.set(dossier(666)).await.unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::DecodeFailed, Some("666")));
    assert!(error.to_string().contains("the write was stored") && error.to_string().contains("`after_load` changed the key"), "{error}");
    let rolled_back = bench.store.transaction(async |tx| tx.set(dossier(666)).await.map(drop)).await.unwrap_err();
    assert!(rolled_back.to_string().contains("the write is part of the transaction"), "{rolled_back}");
    assert_eq!(dossiers.get(666).await.unwrap_err().kind(), ErrorKind::DecodeFailed);
    assert_eq!(dossiers.search(strata::Query::new()).await.unwrap_err().key(), Some("666"));
    assert_eq!(dossiers.get(1).await.unwrap().unwrap().id, 1);
}

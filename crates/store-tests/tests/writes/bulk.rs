//! Writes of the records that a condition holds for, and of more than one transaction should hold.

use std::sync::Mutex;

use futures_util::stream;
use store_testkit::{Fault, Operation};
use strata::{Collection, Error, ErrorKind, Filter, Freshness, ImportError, Query, Role, params};

use store_tests::models::{City, Player, city, player};
use store_tests::on_stacks;
use store_tests::stacks::{Bench, FaultyBench, Stack};

/// What memory and the truth show of the populations of cities, which must be the same.
pub(crate) async fn populations(cities: &Collection<City>, ids: impl IntoIterator<Item = i64>) -> Vec<Option<i64>> {
    let ids: Vec<i64> = ids.into_iter().collect();
    let near: Vec<_> = cities.get_many(&ids).await.unwrap().into_iter().map(|city| city.map(|city| city.population)).collect();
    let truth = cities.from(Role::Truth).get_many(&ids).await.unwrap();
    assert_eq!(near, truth.into_iter().map(|city| city.map(|city| city.population)).collect::<Vec<_>>());
    near
}

async fn deletions_by_condition_leave_every_tier(bench: &Bench) {
    let cities = bench.of::<City>();
    cities.set_many((1..=12).map(city)).await.unwrap();
    let kept = bench.stack.has_near().then(|| cities.peek(1).unwrap());
    let mut gone = cities.delete_where(City::population().ge(8)).await.unwrap();
    gone.sort_unstable();
    assert_eq!(gone, [8, 9]);
    let raw = cities.delete_where(Query::new().where_sql("name LIKE $1", params!["City 1_"]).filter(City::id().gt(10))).await.unwrap();
    assert_eq!(raw.len(), 2);
    assert_eq!(populations(&cities, 7..=12).await, [Some(7), None, None, Some(0), None, None]);
    if let Some(kept) = kept {
        let present = cities.with_freshness(Freshness::Any).peek(1).unwrap();
        assert!(std::sync::Arc::ptr_eq(&present, &kept), "what was not deleted stays in memory");
    }
    assert_eq!(cities.delete_where(City::population().ge(8)).await.unwrap(), Vec::<i64>::new());
}

async fn updates_by_condition_reach_every_tier(bench: &Bench) {
    let players = bench.players();
    let before = players.set_many((1..=9).map(|level| player(&format!("p{level}"), level))).await.unwrap();
    let mut changed = players.update_where(Player::level().gt(6), [Player::level().set(50), Player::region().set(None)]).await.unwrap();
    changed.sort_unstable();
    assert_eq!(changed, ["p7", "p8", "p9"]);
    for before in before {
        let now = players.get_record(&before.id).await.unwrap().unwrap();
        if before.level <= 6 {
            assert_eq!((now.model(), now.version()), (before.model(), before.version()));
            continue;
        }
        let expected = Player { level: 50, region: None, updated_at: now.updated_at, ..Player::clone(before.model()) };
        assert!(**now.model() == expected && now.updated_at > before.updated_at && now.version() > before.version(), "{now:?}");
        assert_eq!(players.from(Role::Truth).get(&now.id).await.unwrap().unwrap().version(), now.version());
    }
}

async fn writes_by_condition_say_what_they_mean(bench: &Bench) {
    let players = bench.players();
    players.set(player("a", 1)).await.unwrap();
    let of_a = || Query::from(Player::id().eq("a"));
    for query in [Query::new(), of_a().limit(1), of_a().offset(1), of_a().order_by(Player::level()), Query::from(City::id().eq(1))] {
        assert_eq!(players.delete_where(query.clone()).await.unwrap_err().kind(), ErrorKind::InvalidQuery, "{query:?}");
        assert_eq!(players.update_where(query, Player::level().set(2)).await.unwrap_err().kind(), ErrorKind::InvalidQuery);
    }
    let error = players.update_where(of_a(), Player::id().set("b")).await.unwrap_err();
    assert_eq!((error.kind(), error.column()), (ErrorKind::InvalidQuery, Some("id")));
    assert_eq!(players.get_or_err("a").await.unwrap().level, 1);
    assert_eq!(players.delete_where(Filter::All(vec![])).await.unwrap(), ["a"]);
}

on_stacks!(with_tables: [
    deletions_by_condition_leave_every_tier,
    updates_by_condition_reach_every_tier,
    writes_by_condition_say_what_they_mean,
]);

async fn schemas_without_tables_refuse_writes_by_condition(bench: &Bench) {
    let error = bench.players().delete_where(Player::level().gt(1)).await.unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidQuery && error.to_string().contains("use keys"), "{error}");
}

on_stacks!(cache_only: [schemas_without_tables_refuse_writes_by_condition]);

/// Other instances drop exactly these, or all where the log has one row for too many.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_instances_hear_of_writes_by_condition() {
    for stack in [Stack::MemSqlite, Stack::MemModelSqlite, Stack::MemPostgres, Stack::MemRedisPostgres] {
        let mut bench = stack.open().await;
        let cities = bench.of::<City>();
        let other = bench.another().await.collection::<City>().unwrap();
        let strict = other.with_freshness(Freshness::Bounded(std::time::Duration::from_nanos(1)));
        cities.set_many((1..=1_100).map(city)).await.unwrap();
        for (below, level) in [(5, 77), (2_000, 78)] {
            assert_eq!(strict.get_many(1..=4).await.unwrap().len(), 4);
            let changed = cities.update_where(City::id().lt(below), City::population().set(level)).await.unwrap();
            assert_eq!(changed.len() as i64, (below - 1).min(1_100));
            for id in 1..=4 {
                assert_eq!(strict.get(id).await.unwrap().unwrap().population, level, "{stack:?} {id}");
            }
            assert_eq!(populations(&cities, 1..=4).await, [Some(level); 4]);
        }
        assert_eq!(cities.delete_where(City::id().gt(3)).await.unwrap().len(), 1_097);
        assert_eq!(strict.get_many([3, 4]).await.unwrap().iter().map(Option::is_some).collect::<Vec<_>>(), [true, false]);
        assert_eq!(populations(&cities, 3..=4).await, [Some(78), None]);
    }
}

/// Which records were touched is not known then, so every copy is in doubt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_by_condition_with_an_unknown_outcome_leave_no_copy_behind() {
    let bench = FaultyBench::open().await;
    let cities = bench.of::<City>();
    cities.set_many((1..=4).map(city)).await.unwrap();
    cities.from(Role::Shared).get_many(1..=4).await.unwrap();
    bench.truth_faults.next(Operation::UpdateWhere, Fault::FailAfter(ErrorKind::L3Unavailable));
    let failed = cities.update_where(City::id().le(2), City::population().set(99)).await.unwrap_err();
    assert_eq!((failed.kind(), failed.operation()), (ErrorKind::L3Unavailable, Some("update_where")));
    assert_eq!(populations(&cities, 1..=4).await, [Some(99), Some(99), Some(3), Some(4)]);
    bench.truth_faults.next(Operation::DeleteWhere, Fault::FailAfter(ErrorKind::Timeout));
    assert_eq!(cities.delete_where(City::id().le(2)).await.unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(populations(&cities, 1..=4).await, [None, None, Some(3), Some(4)]);
    bench.truth_faults.next(Operation::DeleteWhere, Fault::FailBefore(ErrorKind::L3Unavailable));
    assert_eq!(cities.delete_where(City::id().eq(3)).await.unwrap_err().kind(), ErrorKind::L3Unavailable);
    assert_eq!(populations(&cities, 3..=4).await, [Some(3), Some(4)]);
}

/// Each chunk is one write; what came before a failure stays, and the import goes on from there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_goes_on_where_it_failed() {
    let bench = FaultyBench::open().await;
    let cities = bench.of::<City>();
    let told = Mutex::new(Vec::new());
    bench.truth_faults.hold_after(Operation::PutMany).release();
    bench.truth_faults.hold_after(Operation::PutMany).release();
    bench.truth_faults.next(Operation::PutMany, Fault::FailBefore(ErrorKind::L3Unavailable));
    let import = cities.import((1..=25).map(city)).chunk(10).on_progress(|stored| told.lock().unwrap().push(stored));
    let failed: ImportError = import.run().await.unwrap_err();
    assert_eq!((failed.stored(), failed.error().kind()), (20, ErrorKind::L3Unavailable));
    assert!(
        failed.to_string().starts_with("the import ended behind 20 stored records: L3 truth tier unavailable during `import`"),
        "{failed}"
    );
    assert_eq!(cities.count(Query::new()).await.unwrap(), 20);
    let puts = bench.truth_faults.calls(Operation::PutMany);
    let resumed =
        cities.import((1..=25).map(city)).resume_at(failed.stored()).chunk(3).on_progress(|stored| told.lock().unwrap().push(stored));
    assert_eq!(resumed.run().await.unwrap(), 25);
    assert_eq!(bench.truth_faults.calls(Operation::PutMany) - puts, 2);
    assert_eq!(*told.lock().unwrap(), [10, 20, 23, 25]);
    assert_eq!(populations(&cities, 1..=25).await, (1..=25).map(|id| Some(id % 10)).collect::<Vec<_>>());
    assert_eq!(cities.import(Vec::new()).run().await.unwrap(), 0);
    assert_eq!(cities.import((1..=25).map(city)).resume_at(25).run().await.unwrap(), 25, "all of it was stored before");
    let shorter = cities.import((1..=3).map(city)).resume_at(7).run().await.unwrap_err();
    assert_eq!((shorter.stored(), shorter.error().kind()), (3, ErrorKind::InvalidQuery));
    assert!(shorter.to_string().contains("ended after 3 models"), "{shorter}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_stores_what_its_source_gave_before_it_failed() {
    let bench = FaultyBench::open().await;
    let cities = bench.of::<City>();
    let source = || {
        let broken = Err(Error::new(ErrorKind::DecodeFailed, "line 8 is torn"));
        stream::iter((1..=7).map(|id| Ok(city(id))).chain([broken]).chain((9..=12).map(|id| Ok(city(id)))))
    };
    let failed = cities.import_stream(source()).chunk(5).run().await.unwrap_err();
    assert_eq!((failed.stored(), failed.into_error().kind()), (7, ErrorKind::DecodeFailed));
    assert_eq!(cities.count(Query::new()).await.unwrap(), 7);
    let again = cities.import_stream(source()).resume_at(7).run().await.unwrap_err();
    assert_eq!((again.stored(), cities.count(Query::new()).await.unwrap()), (7, 7));
    let wrong = cities.import([city(20), City { id: 0, ..city(1) }]).run().await.unwrap_err();
    assert_eq!((wrong.stored(), wrong.error().kind()), (0, ErrorKind::MissingPrimaryKey));
}

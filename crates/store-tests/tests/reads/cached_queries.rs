//! Searches whose answers memory keeps.

mod instances;
mod life;
mod overtaken;
mod precise;
mod random;

use std::fmt::Debug;

use strata::{Collection, Query, Role, Store, params};

use store_tests::models::{City, Player, Standing, city, player};
use store_tests::on_stacks;
use store_tests::stacks::{Bench, Stack};

on_stacks!(with_tables: [
    an_answer_is_kept_until_a_write,
    every_write_shows_at_once,
    answers_are_those_of_a_search,
    no_query_is_taken_for_another,
    a_query_that_other_things_may_change_is_asked_each_time,
]);

/// Hits, misses, and answers that were voided.
pub(super) fn counts(store: &Store) -> (u64, u64, u64) {
    let stats = store.stats();
    (stats.query_hits, stats.query_misses, stats.queries_voided)
}

pub(super) async fn levels(players: &Collection<Player>, query: &Query<Player>) -> Vec<i64> {
    players.search_cached(query).await.unwrap().iter().map(|player| player.level).collect()
}

async fn an_answer_is_kept_until_a_write(bench: &Bench) {
    let players = bench.players();
    players.set_many([player("a", 1), player("b", 2), player("c", 3)]).await.unwrap();
    let query = Query::new().filter(Player::level().ge(2)).order_by(Player::level().desc());
    let before = counts(&bench.store);
    for _ in 0..3 {
        assert_eq!(levels(&players, &query).await, [3, 2]);
    }
    let (hits, misses, _) = counts(&bench.store);
    let expected = if bench.stack.has_near() { (2, 1) } else { (0, 0) };
    assert_eq!((hits - before.0, misses - before.1), expected, "{:?}", bench.stack);
    assert_eq!(bench.store.stats().query_entries, u64::from(bench.stack.has_near()));

    players.set(player("b", 7)).await.unwrap();
    assert_eq!(levels(&players, &query).await, [7, 3]);
    assert_eq!(counts(&bench.store).2 - before.2, u64::from(bench.stack.has_near()));
    players.set(player("b", 8)).await.unwrap();
    assert_eq!(bench.store.stats().query_entries, 0);
}

/// Each write, and the levels that it leaves of players `a` to `d` with the levels 1 to 4.
async fn every_write_shows_at_once(bench: &Bench) {
    let players = bench.players();
    let query = Query::new().filter(Player::level().lt(100)).order_by(Player::id());
    let writes = [
        "set",
        "insert",
        "set_many",
        "delete",
        "delete_many",
        "patch",
        "update",
        "set_if_version",
        "insert_only",
        "delete_where",
        "update_where",
        "import",
        "transaction",
        "queued",
    ];
    for write in writes {
        players.set_many([player("a", 1), player("b", 2), player("c", 3), player("d", 4)]).await.unwrap();
        players.delete_many(["e", "f"]).await.unwrap();
        assert_eq!(levels(&players, &query).await, [1, 2, 3, 4], "before {write}");
        let expected: &[i64] = match write {
            "set" => {
                players.set(player("b", 9)).await.unwrap();
                &[1, 9, 3, 4]
            }
            "insert" => {
                players.set(player("e", 5)).await.unwrap();
                &[1, 2, 3, 4, 5]
            }
            "set_many" => {
                players.set_many([player("a", 8), player("e", 5)]).await.unwrap();
                &[8, 2, 3, 4, 5]
            }
            "delete" => {
                assert!(players.delete("a").await.unwrap());
                &[2, 3, 4]
            }
            "delete_many" => {
                assert_eq!(players.delete_many(["a", "c"]).await.unwrap(), 2);
                &[2, 4]
            }
            "patch" => {
                players.patch("c", Player::level().set(100)).await.unwrap().unwrap();
                &[1, 2, 4]
            }
            "update" => {
                players.update("d", |player| player.level = 40).await.unwrap().unwrap();
                &[1, 2, 3, 40]
            }
            "set_if_version" => {
                let version = players.get_record("a").await.unwrap().unwrap().version();
                players.set_if_version(player("a", 11), version).await.unwrap();
                &[11, 2, 3, 4]
            }
            "insert_only" => {
                players.insert_only(player("f", 6)).await.unwrap();
                &[1, 2, 3, 4, 6]
            }
            "delete_where" => {
                assert_eq!(players.delete_where(Player::level().gt(2)).await.unwrap().len(), 2);
                &[1, 2]
            }
            "update_where" => {
                assert_eq!(players.update_where(Player::level().le(2), Player::level().set(7)).await.unwrap().len(), 2);
                &[7, 7, 3, 4]
            }
            "import" => {
                players.import([player("e", 5), player("f", 6)]).run().await.unwrap();
                &[1, 2, 3, 4, 5, 6]
            }
            "transaction" => {
                bench
                    .store
                    .transaction(async |tx| {
                        tx.set(player("a", 21)).await?;
                        tx.delete::<Player>("b").await?;
                        // It is not committed.
                        assert_eq!(levels(&players, &query).await, [1, 2, 3, 4]);
                        Ok(())
                    })
                    .await
                    .unwrap();
                &[21, 3, 4]
            }
            _ => {
                bench.store.tx().set(player("a", 31)).delete::<Player>("d").commit().await.unwrap();
                &[31, 2, 3]
            }
        };
        assert_eq!(levels(&players, &query).await, expected, "after {write}");
        assert_eq!(levels(&players, &query).await, expected, "after {write}, from memory");
    }
}

pub(super) async fn crowd(bench: &Bench) -> Collection<City> {
    let cities: Collection<City> = bench.of();
    cities.set_many((1..=30).map(city)).await.unwrap();
    cities
}

async fn answers_are_those_of_a_search(bench: &Bench) {
    let cities = crowd(bench).await;
    let first = cities.page(Query::new().order_by(City::population()).limit(7)).await.unwrap();
    for query in [
        Query::new(),
        Query::new().filter(City::population().ge(5)).order_by(City::name().desc()),
        Query::new().filter(City::country().is_null()).limit(3).offset(2),
        Query::new().where_sql("population > $1 AND name LIKE $2", params![2, "City 1%"]).no_limit(),
        Query::new().order_by(City::population()).limit(7).after(first.next.unwrap()),
    ] {
        let expected = cities.search(query.clone()).await.unwrap();
        let columns = cities.select(query.clone(), (City::name(), City::population(), City::name())).await.unwrap();
        for _ in 0..2 {
            assert_eq!(cities.search_cached(&query).await.unwrap(), expected);
            assert_eq!(cities.select_cached(&query, (City::name(), City::population(), City::name())).await.unwrap(), columns);
            for role in [Role::Near, Role::Shared, Role::Truth] {
                let found = cities.from(role).search_cached(&query).await.unwrap();
                assert_eq!(found.into_iter().map(strata::Record::into_model).collect::<Vec<_>>(), expected, "{role:?}");
            }
        }
    }

    let players = bench.players();
    players.set_many([player("a", 1), player("b", 2)]).await.unwrap();
    for _ in 0..2 {
        let standings: Vec<Standing> = players.select_as_cached(&Query::new().order_by(Player::level())).await.unwrap();
        assert_eq!(standings.iter().map(|standing| standing.username.as_str()).collect::<Vec<_>>(), ["user-a", "user-b"]);
    }
    let unknown = cities.search_cached(&Query::new().order_by("nothing")).await.unwrap_err();
    assert_eq!(unknown.kind(), strata::ErrorKind::InvalidQuery);
}

async fn no_query_is_taken_for_another(bench: &Bench) {
    let cities = crowd(bench).await;
    let base = || Query::new().filter(City::population().gt(3));
    let raw = |sql: &str, value: i64| Query::new().where_sql(sql, params![value]);
    let queries = [
        base(),
        Query::new().filter(City::population().gt(4)),
        Query::new().filter(City::population().ge(3)),
        Query::new().filter(City::id().gt(3)),
        Query::new().filter(!City::population().gt(3)),
        base().filter(City::country().is_null()),
        Query::new().filter(City::population().gt(3).or(City::country().is_null())),
        base().order_by(City::name()),
        base().order_by(City::name().desc()),
        base().order_by(City::population()).order_by(City::name()),
        base().order_by(City::name()).order_by(City::population()),
        base().limit(5),
        base().limit(6),
        base().offset(1),
        base().limit(5).offset(1),
        raw("population > $1", 3),
        raw("population > $1", 4),
        raw("population >= $1", 4),
        Query::new().filter(City::population().one_of([1, 23])),
        Query::new().filter(City::population().one_of([12, 3])),
        Query::new().filter(City::name().eq("3")),
        Query::new().filter(City::name().one_of(["a", "b"])),
        Query::new().filter(City::name().one_of(["ab"])),
    ];
    let before = counts(&bench.store);
    for query in &queries {
        assert_eq!(cities.search_cached(query).await.unwrap(), cities.search(query.clone()).await.unwrap(), "{query:?}");
    }
    let names = cities.select_cached(&base(), City::name()).await.unwrap();
    assert_eq!(names.len(), cities.select_cached(&base(), City::population()).await.unwrap().len());
    cities.with_tags(["front"]).search_cached(&base()).await.unwrap();
    let (hits, misses, _) = counts(&bench.store);
    let loads = if bench.stack.has_near() { queries.len() as u64 + 3 } else { 0 };
    assert_eq!((hits - before.0, misses - before.1), (0, loads));
    for query in &queries {
        cities.search_cached(query).await.unwrap();
    }
    let expected = if bench.stack.has_near() { queries.len() as u64 } else { 0 };
    assert_eq!(counts(&bench.store).0 - before.0, expected);
}

async fn a_query_that_other_things_may_change_is_asked_each_time(bench: &Bench) {
    let (cities, players) = (crowd(bench).await, bench.players());
    let query = Query::new().where_sql("id IN (SELECT level FROM player)", vec![]);
    players.set(player("a", 3)).await.unwrap();
    assert_eq!(cities.search_cached(&query).await.unwrap().len(), 1);
    players.set(player("b", 4)).await.unwrap();
    assert_eq!(cities.search_cached(&query).await.unwrap().len(), 2);
    assert_eq!(counts(&bench.store).1, 0);
    assert_eq!(bench.store.stats().query_entries, 0);
}

/// The stacks whose stores keep answers, in two instances.
pub(super) const KEEPING: [Stack; 4] = [Stack::MemSqlite, Stack::MemModelSqlite, Stack::MemPostgres, Stack::MemRedisPostgres];

/// Waits for tasks, and gives what they answer.
pub(super) async fn all<R: Debug + Send + 'static>(tasks: Vec<tokio::task::JoinHandle<R>>) -> Vec<R> {
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

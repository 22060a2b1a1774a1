//! Which writes leave which answers alone.

use strata::{Collection, Query, Record, Role, params};

use super::{counts, crowd};
use store_tests::models::{City, city};
use store_tests::on_stacks;
use store_tests::stacks::Bench;

on_stacks!(with_tables: [
    a_write_drops_what_it_could_change_and_nothing_else,
    a_reader_that_shows_versions_shows_the_newest,
]);

/// How a query is asked.
#[derive(Debug, Clone, Copy)]
enum Form {
    Records,
    Ids,
    Names,
}

async fn ask(cities: &Collection<City>, query: &Query<City>, form: Form) -> String {
    match form {
        Form::Records => format!("{:?}", cities.search_cached(query).await.unwrap()),
        Form::Ids => format!("{:?}", cities.select_cached(query, City::id()).await.unwrap()),
        Form::Names => format!("{:?}", cities.select_cached(query, City::name()).await.unwrap()),
    }
}

/// Thirty cities, whose populations are the last digits of their ids.
async fn a_write_drops_what_it_could_change_and_nothing_else(bench: &Bench) {
    let cities = crowd(bench).await;
    let all = Query::new;
    let large = || Query::new().filter(City::population().ge(5));
    let top = || Query::new().order_by(City::population().desc()).limit(3);
    let raw = || Query::new().where_sql("population > $1", params![4]);
    let named = |name: &str| Query::new().filter(City::name().eq(name));
    let with = |id: i64, population: i64| City { population, ..city(id) };
    let (void, stays) = (true, false);
    for (query, form, write, expected) in [
        (all(), Form::Names, "patch of a population", stays),
        (all(), Form::Names, "patch of a name", void),
        (all(), Form::Records, "patch of a population", void),
        (all(), Form::Ids, "patch of a name", stays),
        (all(), Form::Ids, "patch of all names", stays),
        (all(), Form::Names, "patch of all names", void),
        (all(), Form::Records, "the same again", stays),
        (all(), Form::Ids, "deletion of the first", void),
        (all().limit(3), Form::Ids, "deletion of the last", stays),
        (all().limit(3), Form::Ids, "a new last", stays),
        (all().no_limit(), Form::Ids, "a new last", void),
        (all().offset(1).limit(3), Form::Ids, "deletion of the last", void),
        (large(), Form::Records, "from 1 to 2", stays),
        (large(), Form::Records, "from 1 to 7", void),
        (large(), Form::Records, "from 7 to 1", void),
        (large(), Form::Ids, "from 7 to 8", stays),
        (large(), Form::Records, "from 7 to 8", void),
        (large(), Form::Records, "from 7 to 8 in a transaction", void),
        (large(), Form::Ids, "update of a name", stays),
        (top(), Form::Records, "from 1 to 2", stays),
        (top(), Form::Records, "from 1 to 9", void),
        (top(), Form::Ids, "from 9 to 10", void),
        (top(), Form::Records, "deletion of the first", stays),
        (top(), Form::Records, "a new last", stays),
        (top().offset(1), Form::Records, "from 1 to 2", void),
        (top().order_by(City::name()), Form::Records, "from 1 to 2", stays),
        (Query::new().order_by(City::name().desc()).limit(3), Form::Records, "a new last", void),
        (raw(), Form::Ids, "patch of a name", stays),
        (raw(), Form::Names, "patch of a name", void),
        (raw(), Form::Ids, "from 1 to 2", void),
        (named("City 3"), Form::Records, "a new last", stays),
        (named("CITY 31"), Form::Records, "a new last", void),
        (Query::new().filter(City::country().is_null()), Form::Ids, "from 7 to 8", stays),
        (Query::new().filter(!City::country().eq("C1")), Form::Ids, "a new last", stays),
    ] {
        let before = ask(&cities, &query, form).await;
        match write {
            "patch of a population" => drop(cities.patch(7, City::population().set(8)).await.unwrap()),
            "patch of a name" => drop(cities.patch(7, City::name().set("Seven")).await.unwrap()),
            "patch of all names" => drop(cities.update_where(City::id().gt(0), City::name().set("all")).await.unwrap()),
            "the same again" => drop(cities.set_many([city(7), city(8)]).await.unwrap()),
            "deletion of the first" => assert!(cities.delete(1).await.unwrap()),
            "deletion of the last" => assert!(cities.delete(30).await.unwrap()),
            "a new last" => drop(cities.set(with(31, -1)).await.unwrap()),
            "from 1 to 2" => drop(cities.set(with(11, 2)).await.unwrap()),
            "from 1 to 7" => drop(cities.set(with(11, 7)).await.unwrap()),
            "from 1 to 9" => drop(cities.set(with(11, 9)).await.unwrap()),
            "from 7 to 1" => drop(cities.set(with(7, 1)).await.unwrap()),
            "from 7 to 8" => drop(cities.set(with(7, 8)).await.unwrap()),
            "from 9 to 10" => drop(cities.set(with(9, 10)).await.unwrap()),
            "update of a name" => drop(cities.update(7, |city| city.name.push('!')).await.unwrap()),
            _ => bench.store.transaction(async |tx| tx.set(with(7, 8)).await.map(drop)).await.unwrap(),
        }
        let fresh = match form {
            Form::Records => format!("{:?}", cities.search(query.clone()).await.unwrap()),
            Form::Ids => format!("{:?}", cities.select(query.clone(), City::id()).await.unwrap()),
            Form::Names => format!("{:?}", cities.select(query.clone(), City::name()).await.unwrap()),
        };
        let misses = counts(&bench.store).1;
        assert_eq!(ask(&cities, &query, form).await, fresh, "{write}: {query:?} as {form:?}");
        let is_void = counts(&bench.store).1 > misses;
        assert_eq!(is_void, expected && bench.stack.has_near(), "{write}: {query:?} as {form:?}, which was {before}");
        cities.delete(31).await.unwrap();
        cities.set_many((1..=30).map(city)).await.unwrap();
    }
}

async fn a_reader_that_shows_versions_shows_the_newest(bench: &Bench) {
    let cities = crowd(bench).await;
    let query = Query::new().limit(2);
    for role in [Role::Near, Role::Shared, Role::Truth] {
        for _ in 0..2 {
            let version = cities.set(city(1)).await.unwrap().version();
            let shown = cities.from(role).search_cached(&query).await.unwrap();
            assert_eq!(shown.first().map(Record::version), Some(version));
        }
    }
    if bench.stack.has_near() {
        let before = counts(&bench.store);
        cities.search_cached(&query).await.unwrap();
        cities.from(Role::Shared).search_cached(&query).await.unwrap();
        cities.set(city(1)).await.unwrap();
        cities.search_cached(&query).await.unwrap();
        assert_eq!(counts(&bench.store).2 - before.2, 1, "what shows no versions stays");
    }
}

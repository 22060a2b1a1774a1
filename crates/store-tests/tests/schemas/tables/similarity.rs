//! How alike texts are, in PostgreSQL and in SQLite.

use std::fs::File;
use std::io::{BufRead, BufReader};

use flate2::read::GzDecoder;
use strata::{ErrorKind, Query, Schema};

use super::Truth;
use store_tests::stacks::postgres;

#[derive(Debug, Clone, PartialEq, Schema)]
struct City {
    #[schema(primary_key)]
    id: i64,
    #[schema(index(kind = "gin_trigram"))]
    name: String,
    alias: Option<String>,
}

/// Every fourth city: each query compares all of them.
fn cities() -> Vec<City> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/quickstart/data/cities15000.jsonl.gz");
    let lines = BufReader::new(GzDecoder::new(File::open(path).unwrap())).lines();
    lines
        .step_by(4)
        .zip(1..)
        .map(|(line, id)| {
            let city: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
            let name = city["name"].as_str().unwrap().to_owned();
            City { id, alias: (id % 2 == 0).then(|| name.clone()), name }
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_databases_find_the_same_in_the_same_order() {
    let cities = cities();
    let texts = [
        "San Jose",
        "zurich",
        "Zürich",
        "saint-petersbourg",
        "new  york!",
        "ÅRHUS",
        "北京",
        "x",
        "",
        "la la",
        "İstanbul",
        "Nizhniy Novgorod",
    ];
    let queries = || -> Vec<Query<City>> {
        let found = texts.iter().flat_map(|text| {
            let of = |least: f32| {
                let query: Query<City> = City::name().similar_to(text, least).into();
                query.order_by(City::name().by_similarity(text)).order_by(City::id()).no_limit()
            };
            [0.1, 0.3, 0.5, 0.7, 1.0].map(of)
        });
        let others = texts
            .iter()
            .map(|text| Query::from(!City::alias().similar(text)).order_by(City::alias().by_similarity(text)).order_by("id").limit(50));
        let raw = Query::new().where_sql("similarity(name, $1) > 0.8", strata::params!["Santa Maria"]);
        found.chain(others).chain([raw]).collect()
    };
    let mut answers = Vec::new();
    for truth in [Truth::Postgres(postgres::with_letters().await), Truth::Sqlite(tempfile::tempdir().unwrap())] {
        let store = truth.builder().await.schema::<City>().build().await.unwrap();
        let collection = store.collection::<City>().unwrap();
        for part in cities.chunks(5_000) {
            collection.set_many(part.to_vec()).await.unwrap();
        }
        let mut found = Vec::new();
        for query in queries() {
            found.push(collection.search(query).await.unwrap().iter().map(|city| (city.id, city.name.clone())).collect::<Vec<_>>());
        }
        answers.push(found);
        store.close().await.unwrap();
    }
    assert!(answers[0].iter().flatten().count() > 500);
    for (query, (postgres, sqlite)) in queries().iter().zip(answers[0].iter().zip(&answers[1])) {
        assert_eq!(postgres, sqlite, "{query:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_answer_is_void_when_a_name_changes() {
    for truth in Truth::both().await {
        let store = truth.builder().await.schema::<City>().build().await.unwrap();
        let cities = store.collection::<City>().unwrap();
        let alike = || Query::from(City::name().similar("cusco")).order_by(City::name().by_similarity("cusco"));
        let city = |id, name: &str| City { id, name: name.to_owned(), alias: None };
        cities.set_many([city(1, "Cusco"), city(2, "Lima")]).await.unwrap();
        let ids = async || cities.search_cached(&alike()).await.unwrap().iter().map(|city| city.id).collect::<Vec<_>>();
        assert_eq!((ids().await, ids().await), (vec![1], vec![1]));
        cities.set(city(2, "Cuzco")).await.unwrap();
        assert_eq!(ids().await, [1, 2]);
        cities.set(city(1, "Puno")).await.unwrap();
        assert_eq!(ids().await, [2]);
        for refused in [City::name().similar_to("a", 1.5), City::name().similar_to("a", f32::NAN), City::name().similar("a\0")] {
            assert_eq!(cities.search(refused.into()).await.unwrap_err().kind(), ErrorKind::InvalidQuery);
        }
        store.close().await.unwrap();
    }
}

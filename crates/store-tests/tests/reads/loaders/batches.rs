//! Loads of many keys.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use store_testkit::Operation;
use strata::{Collection, ErrorKind, Known, Load};

use super::{Bench, Kind, MINUTE, Page, Source, held, nobody, page};

/// What a batch was asked for.
type Asked = Arc<Mutex<Vec<Vec<String>>>>;

/// Loads keys with bodies of their lengths, and notes which were asked for.
async fn load_many(pages: &Collection<Page>, keys: &[&str], asked: &Asked) -> strata::Result<Vec<Option<i64>>> {
    let asked = Arc::clone(asked);
    let loader = |missing: Vec<(String, Option<Known<Page>>)>| async move {
        let mut keys: Vec<String> = missing.into_iter().map(|(key, _)| key).collect();
        let loads: HashMap<String, Load<Page>> =
            keys.iter().filter(|key| !key.starts_with("none")).map(|key| (key.clone(), Load::value(page(key, key.len() as i64)))).collect();
        keys.sort();
        asked.lock().unwrap().push(keys);
        Ok(loads)
    };
    let found = pages.get_or_load_many(keys, loader).await?;
    Ok(found.into_iter().map(|page| page.map(|page| page.body)).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_asks_once_for_what_is_missing() {
    for kind in [Kind::Shared, Kind::Memory] {
        let (bench, asked) = (Bench::open(kind, |_| {}).await, Asked::default());
        bench.pages.set(page("written", 100)).await.unwrap();
        let keys = ["bb", "none", "written", "a", "bb"];
        let expected = [Some(2), None, Some(100), Some(1), Some(2)];
        assert_eq!(load_many(&bench.pages, &keys, &asked).await.unwrap(), expected);
        assert_eq!(load_many(&bench.pages, &keys, &asked).await.unwrap(), expected);
        assert_eq!(*asked.lock().unwrap(), [vec!["a", "bb", "none"], vec!["none"]], "what it did not mention is absent");
        bench.pass_freshness();
        assert_eq!(load_many(&bench.pages, &["a"], &asked).await.unwrap(), [Some(1)]);
        assert_eq!(load_many(&bench.pages, &[], &asked).await.unwrap(), []);
        assert_eq!(asked.lock().unwrap().len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_shares_flights_with_single_loads_and_other_batches() {
    for kind in [Kind::Shared, Kind::Memory] {
        let (bench, asked) = (Bench::open(kind, |_| {}).await, Asked::default());
        let source = Source::new();
        let single = held(&bench.pages, &source, Load::value(page("/", 7))).await;
        let batch = tokio::spawn({
            let (pages, source, asked) = (bench.pages.clone(), source.clone(), Arc::clone(&asked));
            async move {
                let loader = |missing: Vec<(String, Option<Known<Page>>)>| async move {
                    asked.lock().unwrap().push(missing.into_iter().map(|(key, _)| key).collect());
                    source.pass().await;
                    Ok([("b".to_owned(), Load::value(page("b", 8)))])
                };
                pages.get_or_load_many(["/", "b"], loader).await
            }
        });
        source.arrived().await;
        assert_eq!(*asked.lock().unwrap(), [["b"]], "somebody is loading the other one");
        let joined = tokio::spawn({
            let pages = bench.pages.clone();
            async move { pages.get_or_load("b", nobody).await }
        });
        let second = tokio::spawn({
            let (pages, asked) = (bench.pages.clone(), Arc::clone(&asked));
            async move { load_many(&pages, &["b", "/", "c"], &asked).await }
        });
        store_tests::waiting::until("the second batch asks", async || asked.lock().unwrap().len() == 2).await;
        source.release();
        source.release();
        assert_eq!(single.await.unwrap().unwrap().unwrap().body, 7);
        let found: Vec<_> = batch.await.unwrap().unwrap().into_iter().map(|page| page.map(|page| page.body)).collect();
        assert_eq!(found, [Some(7), Some(8)]);
        assert_eq!(joined.await.unwrap().unwrap().unwrap().body, 8);
        assert_eq!(second.await.unwrap().unwrap(), [Some(8), Some(7), Some(1)]);
        assert_eq!(asked.lock().unwrap()[1], ["c"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_waits_for_what_another_instance_loads() {
    let (bench, asked) = (Bench::open(Kind::Shared, |_| {}).await, Asked::default());
    let (other, faults) = bench.another().await;
    let source = Source::new();
    let load = held(&bench.pages, &source, Load::value(page("/", 7))).await;
    let batch = tokio::spawn({
        let (other, asked) = (other.clone(), Arc::clone(&asked));
        async move { load_many(&other, &["a", "/"], &asked).await }
    });
    store_tests::waiting::until("it looks again", async || faults.calls(Operation::Fetch) > 2).await;
    assert_eq!(*asked.lock().unwrap(), [["a"]], "its own come first");
    assert_eq!(bench.pages.get_or_load("a", nobody).await.unwrap().unwrap().body, 1, "nobody waits for those");
    source.release();
    assert_eq!(batch.await.unwrap().unwrap(), [Some(1), Some(7)]);
    load.await.unwrap().unwrap();

    // In time it asks for them as well.
    let bench = Bench::open(Kind::Shared, |settings| settings.flight_wait = Duration::from_millis(10)).await;
    let (other, _) = bench.another().await;
    let load = held(&bench.pages, &source, Load::value(page("/", 7))).await;
    asked.lock().unwrap().clear();
    assert_eq!(load_many(&other, &["a", "/"], &asked).await.unwrap(), [Some(1), Some(1)]);
    assert_eq!(*asked.lock().unwrap(), [["a"], ["/"]]);
    source.release();
    load.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_of_a_batch_fails_alone_and_the_source_fails_for_all() {
    for kind in [Kind::Shared, Kind::Memory] {
        let (bench, asked) = (Bench::open(kind, |_| {}).await, Asked::default());
        let error = bench
            .pages
            .get_or_load_many(["a", "b"], |_| async {
                Ok([("a".to_owned(), Load::value(page("a", 1))), ("b".to_owned(), Load::value(page("c", 1)))])
            })
            .await
            .unwrap_err();
        assert_eq!((error.kind(), error.key(), error.operation()), (ErrorKind::LoadFailed, Some("b"), Some("get_or_load_many")));
        assert_eq!(bench.pages.get_or_load("a", nobody).await.unwrap().unwrap().body, 1);

        let error = bench.pages.get_or_load_many(["a", "d", "e"], |_| async { Err::<Vec<_>, _>("away".into()) }).await.unwrap_err();
        assert_eq!((error.kind(), error.key()), (ErrorKind::LoadFailed, Some("d")));
        assert_eq!(load_many(&bench.pages, &["d", "e"], &asked).await.unwrap(), [Some(1), Some(1)]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_told_what_is_known_of_each_key() {
    let bench = Bench::open(Kind::Shared, |_| {}).await;
    let first = |missing: Vec<(String, Option<Known<Page>>)>| async move {
        Ok(missing
            .into_iter()
            .map(|(key, _)| (key.clone(), Load::value(page(&key, 1)).source_tag(format!("tag of {key}")).ttl(MINUTE)))
            .collect::<Vec<_>>())
    };
    let many: Vec<String> = (0..6_000).map(|number| format!("page {number}")).collect();
    assert_eq!(bench.pages.get_or_load_many(&many, first).await.unwrap().len(), 6_000);
    bench.clock.advance(MINUTE);
    let second = |missing: Vec<(String, Option<Known<Page>>)>| async move {
        assert_eq!(missing.len(), 6_000);
        for (key, known) in &missing {
            assert_eq!(known.as_ref().unwrap().source_tag(), Some(&*format!("tag of {key}")));
        }
        Ok(missing.into_iter().map(|(key, _)| (key, Load::not_modified())).collect::<HashMap<_, _>>())
    };
    let renewed = bench.pages.get_or_load_many(&many, second).await.unwrap();
    assert!(renewed.iter().zip(&many).all(|(page, path)| page.as_ref().is_some_and(|page| page.path == *path)));
}

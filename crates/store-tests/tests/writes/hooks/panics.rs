//! Hooks that panic.

use futures_util::TryStreamExt;
use strata::{Error, ErrorKind, Load, Query, Role};

use super::{Stack, hero, open};
use store_tests::on_stacks;
use store_tests::stacks::Bench;

on_stacks!(with_tables: [
    a_hook_that_panics_before_a_write_keeps_it_from_happening,
    a_hook_that_panics_before_a_read_fails_it,
    a_hook_that_panics_over_a_loaded_model_fails_who_needs_it,
    an_observer_that_panics_harms_nobody,
    a_query_fails_where_a_hook_panics_over_a_model,
]);
on_stacks!(cache_only: [
    a_hook_that_panics_before_a_write_keeps_it_from_happening,
    a_hook_that_panics_before_a_read_fails_it,
    a_hook_that_panics_over_a_loaded_model_fails_who_needs_it,
    an_observer_that_panics_harms_nobody,
    a_load_fails_where_a_hook_panics_over_its_model,
]);

#[track_caller]
fn panicked(error: &Error, hook: &str, key: &str) {
    assert_eq!((error.kind(), error.key(), error.schema()), (ErrorKind::HookPanic, Some(key), Some("hero")), "{error}");
    assert!(error.to_string().contains(hook) && !error.is_retryable(), "{error}");
}

async fn a_hook_that_panics_before_a_write_keeps_it_from_happening(bench: &Bench) {
    let (bench, heroes, recorder) = open(bench.stack).await;
    recorder.panic_at("before_set", "b");
    panicked(&heroes.set(hero("b", 1)).await.unwrap_err(), "before_set", "b");
    panicked(&heroes.set_many([hero("a", 1), hero("b", 1)]).await.unwrap_err(), "before_set", "b");
    assert!(heroes.from(Role::Truth).get_many(["a", "b"]).await.unwrap().iter().all(Option::is_none));
    recorder.panic_at("before_delete", "b");
    heroes.set_many([hero("a", 1), hero("b", 1)]).await.unwrap();
    panicked(&heroes.delete("b").await.unwrap_err(), "before_delete", "b");
    panicked(&heroes.delete_many(["a", "b"]).await.unwrap_err(), "before_delete", "b");
    assert_eq!(heroes.get_many(["a", "b"]).await.unwrap().iter().flatten().count(), 2);
    assert_eq!(bench.store.stats().hook_panics, 4);
}

async fn a_hook_that_panics_before_a_read_fails_it(bench: &Bench) {
    let (bench, heroes, recorder) = open(bench.stack).await;
    heroes.set_many([hero("a", 1), hero("b", 1)]).await.unwrap();
    recorder.panic_at("before_get", "b");
    let errors = [
        heroes.get("b").await.unwrap_err(),
        heroes.get_record("b").await.unwrap_err(),
        heroes.get_or_err("b").await.unwrap_err(),
        heroes.get_many(["a", "b"]).await.unwrap_err(),
        heroes.read("b").await.unwrap_err(),
        heroes.from(Role::Shared).get("b").await.unwrap_err(),
        heroes.from(Role::Truth).get_many(["a", "b"]).await.unwrap_err(),
    ];
    errors.iter().for_each(|error| panicked(error, "before_get", "b"));
    assert!(heroes.peek("b").is_none() && heroes.peek_with("b", |_| ()).is_none());
    assert_eq!((bench.store.stats().hook_panics, bench.store.stats().errors), (9, 9));
    recorder.be_good();
    assert!(heroes.get("b").await.unwrap().is_some());
}

async fn a_hook_that_panics_over_a_loaded_model_fails_who_needs_it(bench: &Bench) {
    let (bench, heroes, recorder) = open(bench.stack).await;
    heroes.set_many([hero("a", 1), hero("b", 1)]).await.unwrap();
    recorder.panic_at("after_load", "b");
    recorder.take();
    let errors = [heroes.set(hero("b", 2)).await.unwrap_err(), heroes.set_many([hero("b", 2), hero("a", 2)]).await.unwrap_err()];
    let memory_is_truth = bench.stack == Stack::MemAlone;
    assert_eq!(recorder.take().0.contains(&"after_set a".to_owned()), !memory_is_truth, "what was stored is told of");
    for error in errors {
        panicked(&error, "after_load", "b");
        let told = if memory_is_truth { "nothing was written" } else { "the write was stored" };
        assert!(error.to_string().contains(told), "{error}");
    }
    let error = heroes.update("b", |hero| hero.level = 3).await.unwrap_err();
    panicked(&error, "after_load", "b");
    assert!(error.to_string().contains("nothing was written"), "{error}");
    if !memory_is_truth {
        let errors = [
            heroes.get("b").await.unwrap_err(),
            heroes.get_many(["a", "b"]).await.unwrap_err(),
            heroes.from(Role::Shared).get("b").await.unwrap_err(),
            heroes.from(Role::Truth).get("b").await.unwrap_err(),
            heroes.from(Role::Truth).get_many(["a", "b"]).await.unwrap_err(),
        ];
        errors.iter().for_each(|error| panicked(error, "after_load", "b"));
        assert!(heroes.peek("b").is_none(), "memory shows nothing that the truth does not hold any more");
    }
    recorder.take();
    recorder.be_good();
    let expected = if memory_is_truth { 1 } else { 2 };
    for found in [heroes.get_many(["a", "b"]).await.unwrap(), vec![heroes.get("a").await.unwrap(), heroes.get("b").await.unwrap()]] {
        assert_eq!(found.iter().flatten().map(|hero| hero.level).collect::<Vec<_>>(), [expected, expected], "all of a batch or none");
    }
}

async fn an_observer_that_panics_harms_nobody(bench: &Bench) {
    let (bench, heroes, recorder) = open(bench.stack).await;
    recorder.panic_at("after_set", "a");
    assert_eq!(heroes.set(hero("a", 1)).await.unwrap().level, 1);
    assert_eq!(heroes.set_many([hero("a", 2), hero("b", 2)]).await.unwrap().len(), 2);
    recorder.panic_at("after_get", "a");
    assert_eq!(heroes.get("a").await.unwrap().unwrap().level, 2);
    assert_eq!(heroes.get_many(["a", "b"]).await.unwrap().iter().flatten().count(), 2);
    assert_eq!(heroes.peek_with("a", |hero| hero.level), bench.stack.has_near().then_some(2));
    recorder.panic_at("after_delete", "a");
    assert_eq!(heroes.delete_many(["a", "b"]).await.unwrap(), 2);
    assert!(heroes.get("a").await.unwrap().is_none());
    let (calls, _) = recorder.take();
    assert!(
        calls.contains(&"after_set b".to_owned()) && calls.contains(&"after_delete b".to_owned()),
        "those behind it are called: {calls:?}"
    );
    let panics = if bench.stack.has_near() { 6 } else { 5 };
    assert_eq!((bench.store.stats().hook_panics, bench.store.stats().errors), (panics, 0));
}

async fn a_query_fails_where_a_hook_panics_over_a_model(bench: &Bench) {
    let (_bench, heroes, recorder) = open(bench.stack).await;
    heroes.set_many([hero("a", 1), hero("b", 1)]).await.unwrap();
    recorder.panic_at("after_load", "b");
    panicked(&heroes.search(Query::new()).await.unwrap_err(), "after_load", "b");
    panicked(&heroes.page(Query::new()).await.unwrap_err(), "after_load", "b");
    panicked(&heroes.stream(Query::new()).unwrap().try_collect::<Vec<_>>().await.unwrap_err(), "after_load", "b");
    assert_eq!(heroes.count(Query::new()).await.unwrap(), 2);
    recorder.be_good();
    assert_eq!(heroes.search(Query::new()).await.unwrap().len(), 2);
}

async fn a_load_fails_where_a_hook_panics_over_its_model(bench: &Bench) {
    let (_bench, heroes, recorder) = open(bench.stack).await;
    recorder.panic_at("after_load", "b");
    let load = |_| async { Ok(Load::value(hero("b", 1))) };
    panicked(&heroes.get_or_load("b", load).await.unwrap_err(), "after_load", "b");
    assert!(heroes.peek("b").is_none());
    recorder.be_good();
    assert_eq!(heroes.get_or_load("b", load).await.unwrap().unwrap().loads, 1);
}

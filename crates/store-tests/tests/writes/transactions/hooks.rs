//! Hooks within transactions.

use strata::{ErrorKind, Query};

use crate::hooks::{Hero, Recorder, hero, open, title};
use store_tests::on_stacks;
use store_tests::stacks::Bench;

#[track_caller]
fn passed(recorder: &Recorder, calls: &[&str]) {
    assert_eq!(recorder.take().0, calls);
}

async fn hooks_before_a_write_run_with_it_and_those_behind_it_with_the_commit(bench: &Bench) {
    let (bench, heroes, recorder) = open(bench.stack).await;
    heroes.set_many([hero("a", 1), hero("b", 1), hero("c", 1)]).await.unwrap();
    recorder.take();
    bench
        .store
        .transaction(async |tx| {
            let found = tx.get::<Hero>("a").await?.expect("it was written");
            assert_eq!((found.title, found.loads), (title("a", 1), 1));
            passed(&recorder, &["before_get a", "after_get a"]);
            assert_eq!(tx.set_many([hero("a", 2), hero("alias", 200)]).await?[1].level, 100);
            assert!(tx.delete::<Hero>("b").await? && !tx.delete::<Hero>("b").await?);
            passed(&recorder, &["before_set a", "before_set alias", "before_delete b", "before_delete b"]);
            let undone = tx.savepoint(async |tx| {
                tx.delete::<Hero>("c").await?;
                tx.set(hero("bad", 1)).await
            });
            assert_eq!(undone.await.unwrap_err().kind(), ErrorKind::Refused);
            assert_eq!(tx.delete::<Hero>("kept").await.unwrap_err().kind(), ErrorKind::Refused);
            passed(&recorder, &["before_delete c", "before_set bad", "before_delete kept"]);
            let stored = tx.set(hero("alias", 100)).await?;
            let moved = tx.set_if_version(hero("alias", 2), stored.version()).await.unwrap_err();
            assert_eq!((moved.kind(), moved.key(), moved.operation()), (ErrorKind::InvalidQuery, Some("alias"), Some("set_if_version")));
            assert!(moved.to_string().contains("`before_set` changed the key, to `a`"), "{moved}");
            passed(&recorder, &["before_set alias", "before_set alias"]);
            assert_eq!(tx.search(Query::<Hero>::new()).await?.len(), 2);
            passed(&recorder, &["after_get a", "after_get c"]);
            Ok(())
        })
        .await
        .unwrap();
    passed(&recorder, &["after_set a", "after_delete b"]);
    assert_eq!(heroes.get("a").await.unwrap().unwrap().level, 100);

    let refused = bench.store.tx().set(hero("a", 3)).set(hero("bad", 1)).commit().await.unwrap_err();
    assert_eq!((refused.kind(), refused.key()), (ErrorKind::Refused, Some("bad")));
    let calls = recorder.take().0;
    assert!(!calls.iter().any(|call| call.starts_with("after_set")), "{calls:?}");
}

on_stacks!(with_tables: [hooks_before_a_write_run_with_it_and_those_behind_it_with_the_commit]);

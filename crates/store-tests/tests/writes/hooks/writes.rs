//! Hooks that refuse or change what is written.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use store_testkit::ModelRecords;
use strata::mem::MemTier;
use strata::{Collection, ErrorKind, Hooks, Query, Role, Schema, Store};

use super::{Hero, hero, open};
use store_tests::on_stacks;
use store_tests::stacks::Bench;
use store_tests::waiting::until;

on_stacks!(everywhere: [
    what_a_hook_refuses_is_not_written,
    what_a_hook_refuses_to_delete_stays,
    a_hook_changes_model_and_key,
    conditional_writes_pass_the_hooks,
    a_write_on_a_condition_names_the_record_that_it_is_about,
], with_tables: [deletions_by_condition_are_told]);

async fn conditional_writes_pass_the_hooks(bench: &Bench) {
    let (_bench, heroes, recorder) = open(bench.stack).await;
    assert_eq!(heroes.insert_only(hero("bad", 1)).await.unwrap_err().kind(), ErrorKind::Refused);
    let first = heroes.insert_only(hero("a", 200)).await.unwrap();
    assert_eq!(first.level, 100, "as the hook changed it");
    let second = heroes.set_if_version(hero("a", 2), first.version()).await.unwrap();
    assert_eq!(heroes.set_if_version(hero("a", 3), first.version()).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(recorder.take().0, ["before_set bad", "before_set a", "after_set a", "before_set a", "after_set a", "before_set a"]);

    let change = |hero: &mut Hero| {
        assert_eq!((hero.loads, hero.level), (1, 2), "computed fields are there");
        hero.level = 300;
    };
    let updated = heroes.update("a", change).await.unwrap().unwrap();
    assert_eq!((updated.level, updated.version() > second.version()), (100, true));
    assert_eq!(recorder.take().0, ["before_set a", "after_set a"]);
    let moved = heroes.update("a", |hero| hero.title = "runaway".to_owned()).await.unwrap_err();
    assert!(moved.to_string().contains("`before_set` changed the key, to `b`"), "{moved}");
    assert_eq!(recorder.take().0, ["before_set a"]);
    assert_eq!(heroes.patch("a", Hero::level().set(7)).await.unwrap().unwrap().level, 7);
    assert_eq!(recorder.take().0, ["after_set a"], "there is no model before");
}

async fn a_write_on_a_condition_names_the_record_that_it_is_about(bench: &Bench) {
    let (_bench, heroes, _) = open(bench.stack).await;
    let inserted = heroes.insert_only(hero("alias", 1)).await.unwrap();
    assert_eq!(inserted.id, "a");
    let taken = heroes.insert_only(hero("alias", 2)).await.unwrap_err();
    assert_eq!((taken.kind(), taken.key()), (ErrorKind::Conflict, Some("a")), "{taken}");
    let moved = heroes.set_if_version(hero("alias", 2), inserted.version()).await.unwrap_err();
    assert_eq!((moved.kind(), moved.key(), moved.operation()), (ErrorKind::InvalidQuery, Some("alias"), Some("set_if_version")), "{moved}");
    assert!(moved.to_string().contains("`before_set` changed the key, to `a`"), "{moved}");
    let found = heroes.from(Role::Truth).get_many(["a", "alias"]).await.unwrap();
    assert_eq!(found.iter().map(|hero| hero.as_ref().map(|hero| hero.level)).collect::<Vec<_>>(), [Some(1), None]);
}

async fn deletions_by_condition_are_told(bench: &Bench) {
    let (_bench, heroes, recorder) = open(bench.stack).await;
    heroes.set_many([hero("a", 1), hero("b", 2), hero("c", 3)]).await.unwrap();
    recorder.take();
    heroes.update_where(Query::new().filter(Hero::level().eq(3)), Hero::level().set(4)).await.unwrap();
    assert_eq!(recorder.take().0, Vec::<String>::new());
    heroes.delete_where(Query::new().filter(Hero::level().gt(1))).await.unwrap();
    let mut calls = recorder.take().0;
    calls.sort();
    assert_eq!(calls, ["after_delete b", "after_delete c"]);
}

async fn what_a_hook_refuses_is_not_written(bench: &Bench) {
    let (bench, heroes, recorder) = open(bench.stack).await;
    let refused = heroes.set(hero("bad", 1)).await.unwrap_err();
    assert_eq!((refused.kind(), refused.key(), refused.operation()), (ErrorKind::Refused, Some("bad"), Some("set")));
    assert!(refused.to_string().contains("a bad one") && refused.to_string().contains("nothing was written"), "{refused}");
    assert_eq!(std::error::Error::source(&refused).unwrap().to_string(), "a bad one");
    assert!(!refused.is_retryable());

    let refused = heroes.set_many([hero("good", 1), hero("bad", 1), hero("later", 1)]).await.unwrap_err();
    assert_eq!((refused.kind(), refused.key(), refused.schema()), (ErrorKind::Refused, Some("bad"), Some("hero")));
    let (calls, loads) = recorder.take();
    assert_eq!((calls, loads), (["bad", "good", "bad"].map(|id| format!("before_set {id}")).to_vec(), 0));
    assert_eq!((bench.store.stats().sets, bench.store.stats().errors), (0, 2));
    for id in ["good", "bad", "later"] {
        assert!(heroes.get(id).await.unwrap().is_none());
        assert!(heroes.from(Role::Truth).get(id).await.unwrap().is_none());
    }
}

async fn what_a_hook_refuses_to_delete_stays(bench: &Bench) {
    let (bench, heroes, recorder) = open(bench.stack).await;
    heroes.set_many([hero("a", 1), hero("kept", 1)]).await.unwrap();
    recorder.take();
    let errors = [heroes.delete("kept").await.unwrap_err(), heroes.delete_many(["a", "kept"]).await.unwrap_err()];
    for error in errors {
        assert_eq!((error.kind(), error.key()), (ErrorKind::Refused, Some("kept")));
        let source = std::error::Error::source(&error).unwrap();
        assert_eq!(source.downcast_ref::<std::io::Error>().unwrap().to_string(), "this one is kept");
    }
    assert_eq!(recorder.take().0, ["before_delete kept", "before_delete a", "before_delete kept"]);
    assert_eq!(heroes.get_many(["a", "kept"]).await.unwrap().iter().flatten().count(), 2);
    assert_eq!(bench.store.stats().deletes, 0);
}

async fn a_hook_changes_model_and_key(bench: &Bench) {
    let (_bench, heroes, recorder) = open(bench.stack).await;
    // A changed field, a key that was missing, and two that become one.
    assert_eq!(heroes.set(hero("a", 200)).await.unwrap().level, 100);
    assert_eq!(heroes.set(hero("", 3)).await.unwrap().id, "new-3");
    let stored = heroes.set_many([hero("a", 1), hero("alias", 2)]).await.unwrap();
    assert_eq!(stored.iter().map(|hero| (&*hero.id, hero.level)).collect::<Vec<_>>(), [("a", 2), ("a", 2)]);
    let found = heroes.from(Role::Truth).get_many(["a", "new-3", "alias"]).await.unwrap();
    assert_eq!(found.iter().map(|hero| hero.as_ref().map(|hero| hero.level)).collect::<Vec<_>>(), [Some(2), Some(3), None]);

    recorder.take();
    let emptied =
        [heroes.set(hero("nameless", 1)).await.unwrap_err(), heroes.set_many([hero("b", 1), hero("nameless", 1)]).await.unwrap_err()];
    for error in emptied {
        assert_eq!(error.kind(), ErrorKind::MissingPrimaryKey, "{error}");
    }
    assert_eq!(recorder.take(), (["nameless", "b", "nameless"].map(|id| format!("before_set {id}")).to_vec(), 0));
    assert!(heroes.get("b").await.unwrap().is_none());
}

#[derive(Debug, Schema)]
#[schema(cache_only)]
struct Note {
    #[schema(primary_key)]
    id: i64,
    text: String,
}

/// Reads the store from within a read of it, and writes it from a task.
struct Curious(Arc<OnceLock<Collection<Note>>>, AtomicBool);

impl Hooks<Note> for Curious {
    fn after_get(&self, note: &Note) {
        let notes = self.0.get().unwrap().clone();
        if note.id == 1 && !self.1.swap(true, Ordering::SeqCst) {
            assert_eq!(notes.peek_with(1, |note| note.text.clone()).as_deref(), Some("one"));
            tokio::spawn(async move { notes.set(Note { id: 2, text: "from a hook".to_owned() }).await });
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_may_call_the_store() {
    let notes = Arc::new(OnceLock::new());
    let builder = Store::builder().near(MemTier::new()).tier(ModelRecords::new()).schema_with::<Note>(|options| {
        options.hooks(Curious(Arc::clone(&notes), AtomicBool::new(false)));
    });
    let store = builder.build().await.unwrap();
    let notes = notes.get_or_init(|| store.collection::<Note>().unwrap());
    notes.set(Note { id: 1, text: "one".to_owned() }).await.unwrap();
    assert!(notes.peek_with(1, |_| ()).is_some());
    until("the hook has written", async || notes.get(2).await.unwrap().is_some()).await;
}

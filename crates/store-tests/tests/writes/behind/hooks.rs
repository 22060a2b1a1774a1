//! The user's own code around what is pending.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use strata::{Acknowledge, ErrorKind, HookError, Hooks, Record, Store, Version};

use super::{Bench, acknowledged_by, level, on_truths, players, truth};
use store_tests::models::{Player, player};

/// Hooks that write down the writes that they are told of. Of a player of level 666 no model can be made: `after_load` panics, or changes the key.
#[derive(Clone, Default)]
struct Told(Arc<State>);

#[derive(Default)]
struct State {
    calls: Mutex<Vec<String>>,
    renames: AtomicBool,
}

impl Told {
    fn call(&self, hook: &str, id: &str) {
        self.0.calls.lock().unwrap().push(format!("{hook} {id}"));
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.calls.lock().unwrap())
    }
}

impl Hooks<Player> for Told {
    fn before_set(&self, player: &mut Player) -> Result<(), HookError> {
        self.call("before_set", &player.id);
        Ok(())
    }

    fn after_set(&self, player: &Record<Player>) {
        assert!(!player.is_pending(), "it has the version of the truth");
        self.call("after_set", &player.id);
    }

    fn before_delete(&self, id: &str) -> Result<(), HookError> {
        self.call("before_delete", id);
        Ok(())
    }

    fn after_delete(&self, id: &str, version: Option<Version>) {
        self.call(if version.is_some() { "after_delete" } else { "after_delete of nothing" }, id);
    }

    fn after_load(&self, player: &mut Player) {
        if player.level == 666 {
            assert!(self.0.renames.load(Ordering::Relaxed), "on purpose");
            player.id = "renamed".into();
        }
    }

    fn on_write_error(&self, id: &str, _: &strata::Error) {
        self.call("on_write_error", id);
    }
}

async fn open(bench: &Bench, acknowledge: Acknowledge) -> (Store, Told) {
    let told = Told::default();
    let hooks = told.clone();
    let store =
        bench.try_open("a", |builder| acknowledged_by(acknowledge)(builder).schema_with::<Player>(|options| _ = options.hooks(hooks)));
    (store.await.0.unwrap(), told)
}

async fn a_write_whose_model_cannot_be_made_is_not_taken(bench: &Bench) {
    for acknowledge in [Acknowledge::Journal, Acknowledge::Truth] {
        let (store, told) = open(bench, acknowledge).await;
        for (renames, kind) in [(false, ErrorKind::HookPanic), (true, ErrorKind::DecodeFailed)] {
            told.0.renames.store(renames, Ordering::Relaxed);
            let single = players(&store).set(player("b", 666)).await.unwrap_err();
            let batch = players(&store).set_many([player("a", 1), player("b", 666)]).await.unwrap_err();
            for error in [single, batch] {
                assert_eq!((error.kind(), error.key(), error.schema()), (kind, Some("b"), Some("player")), "{error}");
                assert!(error.to_string().contains("nothing was written") && error.to_string().contains("`after_load`"), "{error}");
            }
        }
        assert_eq!(store.stats().dirty_entries, 0);
        store.flush().await.unwrap();
        assert_eq!((truth(&store, "a").await, truth(&store, "b").await), (None, None));
        store.close().await.unwrap();
    }
}

async fn hooks_behind_a_write_run_with_its_flush(bench: &Bench) {
    let (store, told) = open(bench, Acknowledge::Journal).await;
    players(&store).set(player("a", 1)).await.unwrap();
    players(&store).set(player("a", 2)).await.unwrap();
    players(&store).set(player("b", 1)).await.unwrap();
    assert!(!players(&store).delete("x").await.unwrap());
    assert_eq!(told.take(), ["before_set a", "before_set a", "before_set b", "before_delete x"], "nothing is stored yet");
    store.flush().await.unwrap();
    let mut flushed = told.take();
    flushed.sort();
    assert_eq!(flushed, ["after_delete of nothing x", "after_set a", "after_set b"], "many writes of a key are one");

    assert!(players(&store).delete("a").await.unwrap());
    assert_eq!(told.take(), ["before_delete a"]);
    store.flush().await.unwrap();
    assert_eq!(told.take(), ["after_delete a"]);
}

async fn a_dead_letter_that_is_written_passes_the_hooks_behind_a_write_alone(bench: &Bench) {
    let (store, told) = open(bench, Acknowledge::Journal).await;
    let named = |id: &str| Player { username: "same".into(), ..player(id, 1) };
    players(&store).set_many([named("holder"), named("a"), named("b")]).await.unwrap();
    store.flush().await.unwrap();
    players(&store).delete("holder").await.unwrap();
    store.flush().await.unwrap();
    let letters = store.dead_letters().list(None, 10).await.unwrap();
    assert_eq!(letters.iter().map(|letter| letter.key.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    told.take();
    store.dead_letters().retry(&letters[0]).await.unwrap();
    assert_eq!(told.take(), ["after_set a"]);
    assert_eq!(store.dead_letters().retry(&letters[1]).await.unwrap_err().kind(), ErrorKind::UniqueViolation);
    assert_eq!(told.take(), Vec::<String>::new(), "the caller has the error");
    players(&store).delete("a").await.unwrap();
    store.flush().await.unwrap();
    told.take();
    store.dead_letters().overwrite(&letters[1]).await.unwrap();
    assert_eq!(told.take(), ["after_set b"]);
    assert_eq!(level(&players(&store), "b").await, Some(1));
}

async fn a_dead_letter_whose_model_cannot_be_made_stays(bench: &Bench) {
    let plain = bench.open("without hooks").await;
    let named = |id: &str, level| Player { username: "same".into(), ..player(id, level) };
    players(&plain).set_many([named("holder", 1), named("a", 666)]).await.unwrap();
    plain.flush().await.unwrap();
    players(&plain).delete("holder").await.unwrap();
    plain.flush().await.unwrap();
    let letters = plain.dead_letters().list(None, 10).await.unwrap();
    assert_eq!(letters.iter().map(|letter| letter.key.as_str()).collect::<Vec<_>>(), ["a"]);
    let (store, _) = open(bench, Acknowledge::Journal).await;
    for error in
        [store.dead_letters().retry(&letters[0]).await.unwrap_err(), store.dead_letters().overwrite(&letters[0]).await.unwrap_err()]
    {
        assert_eq!((error.kind(), error.key()), (ErrorKind::HookPanic, Some("a")), "{error}");
        assert!(error.to_string().contains("nothing was written") && error.to_string().contains("`after_load`"), "{error}");
    }
    assert_eq!((truth(&plain, "a").await, plain.dead_letters().list(None, 10).await.unwrap()), (None, letters));
}

on_truths![
    a_write_whose_model_cannot_be_made_is_not_taken,
    hooks_behind_a_write_run_with_its_flush,
    a_dead_letter_that_is_written_passes_the_hooks_behind_a_write_alone,
    a_dead_letter_whose_model_cannot_be_made_stays,
];

//! The user's own code around reads and writes.

mod failures;
mod panics;
mod paths;
mod writes;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use strata::facet::NearTier;
use strata::{Collection, EvictionCause, HookError, Hooks, Record, Schema, StoreBuilder, Version};

use store_tests::stacks::{Bench, Models, Stack};

/// A model with fields that no tier holds.
#[derive(Debug, Clone, PartialEq, Schema)]
pub(crate) struct Hero {
    #[schema(primary_key)]
    pub(crate) id: String,
    pub(crate) level: i64,
    /// Computed.
    #[schema(skip)]
    pub(crate) title: String,
    /// How often the model was computed.
    #[schema(skip)]
    pub(crate) loads: u32,
}

pub(crate) fn hero(id: &str, level: i64) -> Hero {
    Hero { id: id.to_owned(), level, title: "not yet computed".to_owned(), loads: 0 }
}

/// Hooks that write down every call, and do harm where a test says so.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorder(Arc<State>);

#[derive(Debug, Default)]
struct State {
    calls: Mutex<Vec<String>>,
    /// The hook that panics, and the key that it panics at.
    panics: Mutex<Option<(&'static str, &'static str)>>,
}

impl Recorder {
    fn call(&self, hook: &'static str, key: &str) {
        self.0.calls.lock().unwrap().push(format!("{hook} {key}"));
        let panics = *self.0.panics.lock().unwrap();
        assert!(panics != Some((hook, key)), "on purpose");
    }

    /// The calls since the last time, but for those of `after_load`, and how many those were.
    pub(crate) fn take(&self) -> (Vec<String>, usize) {
        let calls = std::mem::take(&mut *self.0.calls.lock().unwrap());
        let (loads, calls): (Vec<String>, Vec<String>) = calls.into_iter().partition(|call| call.starts_with("after_load"));
        (calls, loads.len())
    }

    pub(crate) fn panic_at(&self, hook: &'static str, key: &'static str) {
        *self.0.panics.lock().unwrap() = Some((hook, key));
    }

    pub(crate) fn be_good(&self) {
        *self.0.panics.lock().unwrap() = None;
    }
}

impl Hooks<Hero> for Recorder {
    fn before_set(&self, hero: &mut Hero) -> Result<(), HookError> {
        self.call("before_set", &hero.id);
        match hero.id.as_str() {
            "bad" => return Err("a bad one".into()),
            "nameless" => hero.id.clear(),
            "" => hero.id = format!("new-{}", hero.level),
            "alias" => hero.id = "a".to_owned(),
            _ if hero.title == "runaway" => hero.id = "b".to_owned(),
            _ => {}
        }
        hero.level = hero.level.min(100);
        Ok(())
    }

    fn after_set(&self, hero: &Record<Hero>) {
        assert_eq!(hero.loads, 1);
        self.call("after_set", &hero.id);
    }

    fn before_delete(&self, id: &str) -> Result<(), HookError> {
        self.call("before_delete", id);
        if id == "kept" { Err(std::io::Error::other("this one is kept").into()) } else { Ok(()) }
    }

    fn after_delete(&self, id: &str, version: Option<Version>) {
        self.call(if version.is_some() { "after_delete" } else { "after_delete of nothing" }, id);
    }

    fn before_get(&self, id: &str) {
        self.call("before_get", id);
    }

    fn after_get(&self, hero: &Hero) {
        self.call("after_get", &hero.id);
        assert_eq!((hero.loads, &hero.title), (1, &title(&hero.id, hero.level)));
    }

    fn after_load(&self, hero: &mut Hero) {
        hero.title = title(&hero.id, hero.level);
        hero.loads += 1;
        self.call("after_load", &hero.id);
    }

    fn on_evict(&self, id: &str, hero: &Arc<Hero>, cause: EvictionCause) {
        assert_eq!((hero.id.as_str(), hero.loads), (id, 1));
        self.call(if cause == EvictionCause::Size { "evicted" } else { "expired" }, id);
    }
}

pub(crate) fn title(id: &str, level: i64) -> String {
    format!("{id} of level {level}")
}

/// Heroes, with hooks or without.
pub(crate) struct Heroes(pub(crate) Option<Recorder>);

impl Models for Heroes {
    fn register<N: NearTier>(&self, stack: Stack, builder: StoreBuilder<N>) -> StoreBuilder<N> {
        builder.schema_with::<Hero>(|options| {
            options.policies.cache_only = !stack.has_tables();
            if let Some(recorder) = &self.0 {
                options.hooks(recorder.clone());
            }
        })
    }
}

/// A store of heroes on a stack.
pub(crate) async fn open(stack: Stack) -> (Bench, Collection<Hero>, Recorder) {
    let recorder = Recorder::default();
    let bench = stack.open_with(Duration::from_secs(120), &Heroes(Some(recorder.clone()))).await;
    let heroes = bench.of::<Hero>();
    (bench, heroes, recorder)
}

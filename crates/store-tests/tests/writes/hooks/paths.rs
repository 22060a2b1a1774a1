//! Which hooks a call passes, and how often.

use futures_util::{FutureExt, TryStreamExt};
use strata::mem::MemTier;
use strata::{ErrorKind, Hooks, Load, Query, Role, Store};

use super::{Hero, Heroes, Recorder, hero, open, title};
use store_tests::on_stacks;
use store_tests::stacks::Bench;

on_stacks!(with_tables: [
    every_read_and_write_by_key_passes_the_hooks,
    computed_fields_are_seen_from_every_tier_and_stored_in_none,
    every_query_passes_the_hooks,
]);
on_stacks!(cache_only: [
    every_read_and_write_by_key_passes_the_hooks,
    computed_fields_are_seen_from_every_tier_and_stored_in_none,
    a_loaded_record_passes_the_hooks_of_reads,
]);

/// Asks which hooks were called since the last time, `after_load` among them so many times.
#[track_caller]
fn passed(recorder: &Recorder, loads: usize, calls: &[&str]) {
    assert_eq!(recorder.take(), (calls.iter().map(|call| (*call).to_owned()).collect(), loads));
}

async fn every_read_and_write_by_key_passes_the_hooks(bench: &Bench) {
    let (bench, heroes, recorder) = open(bench.stack).await;
    let near = bench.stack.has_near();
    let below = |reads| if near { 0 } else { reads };

    let stored = heroes.set(hero("a", 1)).await.unwrap();
    assert_eq!((&*stored.title, stored.loads), (&*title("a", 1), 1));
    passed(&recorder, 1, &["before_set a", "after_set a"]);
    let stored = heroes.set_many([hero("b", 1), hero("c", 1), hero("b", 200)]).await.unwrap();
    assert_eq!(stored.iter().map(|hero| (hero.level, hero.loads)).collect::<Vec<_>>(), [(100, 1), (1, 1), (100, 1)]);
    passed(&recorder, 2, &["before_set b", "before_set c", "before_set b", "after_set c", "after_set b"]);
    assert_eq!(heroes.import([hero("b", 200), hero("c", 1)]).run().await.unwrap(), 2);
    passed(&recorder, 2, &["before_set b", "before_set c", "after_set b", "after_set c"]);
    let refused = heroes.import([hero("d", 1), hero("bad", 1)]).run().await.unwrap_err();
    assert_eq!((refused.error().kind(), refused.error().key()), (ErrorKind::Refused, Some("bad")));
    passed(&recorder, 0, &["before_set d", "before_set bad"]);
    assert!(!heroes.exists("d").await.unwrap());

    heroes.get("a").await.unwrap().unwrap();
    heroes.get_record("a").await.unwrap().unwrap();
    heroes.get_or_err("a").await.unwrap();
    heroes.read("a").await.unwrap().unwrap();
    passed(&recorder, below(4), &["before_get a", "after_get a"].repeat(4));
    assert_eq!(heroes.peek("a").is_some(), near);
    assert_eq!(heroes.peek_with("a", |hero| hero.loads), near.then_some(1));
    passed(&recorder, 0, &if near { ["before_get a", "after_get a"].repeat(2) } else { ["before_get a"].repeat(2) });

    heroes.get("x").await.unwrap();
    heroes.read("x").await.unwrap();
    heroes.get_or_err("x").await.unwrap_err();
    assert!(heroes.peek("x").is_none());
    passed(&recorder, 0, &["before_get x"].repeat(4));
    assert!(heroes.exists("a").await.unwrap());
    passed(&recorder, 0, &[]);

    let batch = ["before_get a", "before_get x", "before_get a", "before_get b", "after_get a", "after_get a", "after_get b"];
    heroes.get_many(["a", "x", "a", "b"]).await.unwrap();
    passed(&recorder, below(2), &batch);
    for role in [Role::Near, Role::Shared, Role::Truth] {
        heroes.from(role).get("a").await.unwrap().unwrap();
        let loads = usize::from(bench.stack != super::Stack::MemAlone);
        passed(&recorder, loads, &["before_get a", "after_get a"]);
        heroes.from(role).get_many(["a", "x", "a", "b"]).await.unwrap();
        let (calls, made) = recorder.take();
        assert_eq!(calls, batch);
        // What nobody shares may be made for each reader.
        assert!(made == 2 * loads || made == 3 * loads, "{made}");
    }

    assert!(heroes.delete("a").await.unwrap());
    assert_eq!(heroes.delete_many(["b", "x", "b"]).await.unwrap(), 1);
    let deleted =
        ["before_delete a", "after_delete a", "before_delete b", "before_delete x", "after_delete b", "after_delete of nothing x"];
    passed(&recorder, 0, &deleted);
    heroes.invalidate("c").await.unwrap();
    passed(&recorder, 0, &[]);
    heroes.get("c").await.unwrap().unwrap();
    passed(&recorder, usize::from(bench.stack != super::Stack::MemAlone), &["before_get c", "after_get c"]);
    assert_eq!(bench.store.stats().hook_panics, 0);
}

async fn every_query_passes_the_hooks(bench: &Bench) {
    let (bench, heroes, recorder) = open(bench.stack).await;
    heroes.set_many([hero("a", 1), hero("b", 2)]).await.unwrap();
    recorder.take();
    let all = || Query::new().order_by(Hero::id());
    let observed = ["after_get a", "after_get b"];

    heroes.search(all()).await.unwrap();
    passed(&recorder, 2, &observed);
    heroes.page(all()).await.unwrap();
    passed(&recorder, 2, &observed);
    heroes.stream(all()).unwrap().try_collect::<Vec<_>>().await.unwrap();
    passed(&recorder, 2, &observed);
    for role in [Role::Shared, Role::Truth] {
        heroes.from(role).search(all()).await.unwrap();
        passed(&recorder, 2, &observed);
        heroes.from(role).stream(all()).unwrap().try_collect::<Vec<_>>().await.unwrap();
        passed(&recorder, 2, &observed);
    }
    heroes.select(all(), Hero::level()).await.unwrap();
    heroes.count(all()).await.unwrap();
    passed(&recorder, 0, &[]);

    heroes.invalidate_all().await.unwrap();
    heroes.warm(None).await.unwrap();
    passed(&recorder, 2, &[]);
    heroes.get("a").await.unwrap().unwrap();
    passed(&recorder, usize::from(!bench.stack.has_near()), &["before_get a", "after_get a"]);
}

async fn computed_fields_are_seen_from_every_tier_and_stored_in_none(bench: &Bench) {
    let (mut bench, heroes, recorder) = open(bench.stack).await;
    heroes.set_many([hero("a", 1), hero("b", 2)]).await.unwrap();
    heroes.invalidate("b").await.unwrap();
    for id in ["a", "b"] {
        for _ in 0..2 {
            let read = heroes.get(id).await.unwrap().unwrap();
            assert_eq!((&*read.title, read.loads), (&*title(id, read.level), 1));
        }
        for role in [Role::Near, Role::Shared, Role::Truth] {
            let read = heroes.from(role).get(id).await.unwrap().unwrap();
            assert_eq!((&*read.title, read.loads), (&*title(id, read.level), 1));
        }
    }
    // A computed field that is written back is computed again.
    let read = heroes.get("a").await.unwrap().unwrap();
    let stored = heroes.set(Hero { level: 7, ..Hero::clone(&read) }).await.unwrap();
    assert_eq!((&*stored.title, stored.loads), (&*title("a", 7), 1));

    if bench.stack != super::Stack::MemAlone {
        recorder.take();
        let plain = bench.another_with(&Heroes(None)).await.collection::<Hero>().unwrap();
        for role in [Role::Near, Role::Shared, Role::Truth] {
            let read = plain.from(role).get("b").await.unwrap().unwrap();
            assert_eq!((&*read.title, read.loads), ("", 0));
        }
        passed(&recorder, 0, &[]);
    }
}

async fn a_loaded_record_passes_the_hooks_of_reads(bench: &Bench) {
    let (bench, heroes, recorder) = open(bench.stack).await;
    let below = usize::from(!bench.stack.has_near());
    let observed = ["before_get a", "after_get a"];
    let load = |_| async { Ok(Load::value(hero("a", 1))) };
    let loaded = heroes.get_or_load("a", load).await.unwrap().unwrap();
    assert_eq!((&*loaded.title, loaded.loads), (&*title("a", 1), 1));
    passed(&recorder, 1, &observed);
    heroes.get_or_load("a", load).await.unwrap().unwrap();
    heroes.read_or_load("a", load).await.unwrap().unwrap();
    heroes.get("a").await.unwrap().unwrap();
    passed(&recorder, 3 * below, &observed.repeat(3));

    let load_many = |missing: Vec<(String, _)>| async move {
        let loads = missing.into_iter().filter(|(id, _)| id != "x");
        Ok(loads.map(|(id, _)| (id.clone(), Load::value(hero(&id, 2)))).collect::<Vec<_>>())
    };
    let found = heroes.get_or_load_many(["b", "x", "a", "b"], load_many).await.unwrap();
    assert_eq!(found.iter().flatten().map(|hero| hero.loads).collect::<Vec<_>>(), [1, 1, 1]);
    let batch = ["before_get b", "before_get x", "before_get a", "before_get b", "after_get b", "after_get a", "after_get b"];
    passed(&recorder, 1 + below, &batch);
}

/// Hooks that do nothing.
struct Idle;

impl Hooks<Hero> for Idle {}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hit_in_memory_allocates_nothing_with_hooks_or_without() {
    for hooked in [false, true] {
        let builder = Store::builder().near(MemTier::new()).schema_with::<Hero>(|options| {
            options.policies.cache_only = true;
            if hooked {
                options.hooks(Idle);
            }
        });
        let store = builder.build().await.unwrap();
        let heroes = store.collection::<Hero>().unwrap();
        let id = "an id that no small-string trick could hold";
        heroes.set(hero(id, 1)).await.unwrap();
        let allocations = allocation_counter::measure(|| {
            assert!(heroes.get(id).now_or_never().unwrap().unwrap().is_some());
            assert!(heroes.get_record(id).now_or_never().unwrap().unwrap().is_some());
            assert!(heroes.peek(id).is_some());
            assert_eq!(heroes.peek_with(id, |hero| hero.level), Some(1));
        });
        assert_eq!(allocations.count_total, 0, "hooked: {hooked}");
    }
}

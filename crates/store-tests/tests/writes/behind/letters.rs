//! What the truth refuses for its own sake.

use std::sync::{Arc, Mutex};

use strata::{Acknowledge, Error, ErrorKind, Hooks, Query};

use super::{Bench, acknowledged_by, level, on_truths, players, truth};
use store_tests::models::{Player, player};

#[derive(Clone, Default)]
pub(super) struct Told(pub(super) Arc<Mutex<Vec<(String, ErrorKind)>>>);

impl Hooks<Player> for Told {
    fn on_write_error(&self, key: &str, error: &Error) {
        self.0.lock().unwrap().push((key.to_owned(), error.kind()));
    }
}

fn named(id: &str, username: &str) -> Player {
    Player { username: username.into(), ..player(id, 1) }
}

async fn one_refused_write_harms_no_other(bench: &Bench) {
    let (told, other) = (Told::default(), bench.open("b").await);
    let hooks = told.clone();
    let store = bench.try_open("a", |builder| builder.schema_with::<Player>(|options| _ = options.hooks(hooks)));
    let store = store.await.0.unwrap();
    players(&store).set_many((0..40).map(|number| player(&format!("p{number:02}"), number))).await.unwrap();
    players(&store).set(named("taken", "user-p07")).await.unwrap();
    players(&store).delete("nobody").await.unwrap();
    store.flush().await.unwrap();
    assert_eq!(store.stats().dirty_entries, 0);
    assert_eq!(players(&other).count(Query::new()).await.unwrap(), 40);
    assert_eq!((level(&players(&store), "taken").await, truth(&other, "p39").await), (None, Some(39)));
    assert_eq!(*told.0.lock().unwrap(), [("taken".to_owned(), ErrorKind::UniqueViolation)]);

    let letters = store.dead_letters().of::<Player>().list(None, 10).await.unwrap();
    assert_eq!((letters.len(), letters[0].key.as_str(), letters[0].schema.as_str()), (1, "taken", "player"));
    assert!(letters[0].error.contains("unique"), "{}", letters[0].error);
    assert!(store.dead_letters().list(Some(&letters[0]), 10).await.unwrap().is_empty());
    // It stays until there is room for it.
    assert_eq!(other.dead_letters().retry(&letters[0]).await.unwrap_err().kind(), ErrorKind::UniqueViolation);
    assert_eq!(store.dead_letters().list(None, 10).await.unwrap(), letters);
    players(&store).delete("p07").await.unwrap();
    store.flush().await.unwrap();
    other.dead_letters().retry(&letters[0]).await.unwrap();
    assert_eq!(truth(&store, "taken").await, Some(1));
    assert!(other.dead_letters().list(None, 10).await.unwrap().is_empty());
}

async fn a_retry_replaces_nothing_newer(bench: &Bench) {
    let (store, other) = (bench.open("a").await, bench.open("b").await);
    let found = players(&store);
    found.set_many([player("a", 1), player("b", 1), player("c", 1), named("holder", "same")]).await.unwrap();
    store.flush().await.unwrap();
    for id in ["a", "b", "c", "new"] {
        found.set(named(id, "same")).await.unwrap();
    }
    store.flush().await.unwrap();
    let letters = store.dead_letters().list(None, 10).await.unwrap();
    assert_eq!(letters.iter().map(|letter| letter.key.as_str()).collect::<Vec<_>>(), ["a", "b", "c", "new"]);
    found.delete("holder").await.unwrap();
    // Acknowledged after the letters fell, and pending; of the last one, another instance has written it meanwhile.
    assert!(found.set(player("a", 50)).await.unwrap().is_pending());
    found.delete("b").await.unwrap();
    players(&other).set(player("c", 70)).await.unwrap();
    other.flush().await.unwrap();
    for letter in &letters[..3] {
        let error = store.dead_letters().retry(letter).await.unwrap_err();
        assert_eq!((error.kind(), error.key(), error.is_retryable()), (ErrorKind::Conflict, Some(&*letter.key), false), "{error}");
        assert!(error.to_string().contains("`overwrite`"), "{error}");
    }
    assert_eq!((level(&found, "a").await, level(&found, "b").await), (Some(50), None));
    assert_eq!((truth(&other, "a").await, truth(&other, "b").await, truth(&other, "c").await), (Some(50), None, Some(70)));
    assert_eq!(store.dead_letters().list(None, 10).await.unwrap(), letters, "they are kept");
    store.dead_letters().overwrite(&letters[0]).await.unwrap();
    assert_eq!((level(&found, "a").await, truth(&other, "a").await), (Some(1), Some(1)));
    assert_eq!(store.dead_letters().list(None, 10).await.unwrap(), letters[1..]);
}

async fn a_retry_comes_after_what_is_pending_of_other_keys(bench: &Bench) {
    let store = bench.open("a").await;
    players(&store).set_many([named("a", "same"), named("b", "same")]).await.unwrap();
    store.flush().await.unwrap();
    let letters = store.dead_letters().list(None, 10).await.unwrap();
    players(&store).delete("a").await.unwrap();
    store.dead_letters().retry(&letters[0]).await.unwrap();
    assert_eq!((truth(&store, "a").await, truth(&store, "b").await), (None, Some(1)));
}

async fn of_two_letters_of_a_key_the_later_counts(bench: &Bench) {
    let store = bench.open("a").await;
    players(&store).set(named("holder", "same")).await.unwrap();
    for level in [1, 2] {
        players(&store).set(Player { level, ..named("a", "same") }).await.unwrap();
        store.flush().await.unwrap();
    }
    let letters = store.dead_letters().list(None, 10).await.unwrap();
    players(&store).delete("holder").await.unwrap();
    let error = store.dead_letters().retry(&letters[0]).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Conflict && error.to_string().contains("a later write"), "{error}");
    store.dead_letters().retry(&letters[1]).await.unwrap();
    assert_eq!(store.dead_letters().retry(&letters[0]).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(truth(&store, "a").await, Some(2));
}

async fn a_removed_letter_is_gone(bench: &Bench) {
    let store = bench.open("a").await;
    players(&store).set_many([named("a", "same"), named("b", "same")]).await.unwrap();
    store.flush().await.unwrap();
    let letters = store.dead_letters().list(None, 10).await.unwrap();
    assert_eq!((letters.len(), letters[0].key.as_str()), (1, "b"), "who came first has the name");
    assert!(store.dead_letters().remove(&letters[0]).await.unwrap());
    assert!(!store.dead_letters().remove(&letters[0]).await.unwrap());
    assert!(store.dead_letters().list(None, 10).await.unwrap().is_empty());
}

async fn what_another_write_makes_room_for_is_written(bench: &Bench) {
    let store = bench.open("a").await;
    players(&store).set_many([named("a", "x"), named("b", "y")]).await.unwrap();
    store.flush().await.unwrap();
    // They hand their names on.
    players(&store).set(named("a", "z")).await.unwrap();
    players(&store).set(named("b", "x")).await.unwrap();
    players(&store).set(named("c", "y")).await.unwrap();
    store.flush().await.unwrap();
    players(&store).set(named("d", "z")).await.unwrap();
    players(&store).delete("a").await.unwrap();
    store.flush().await.unwrap();
    let names = players(&store).select(Query::new().order_by(Player::id()), (Player::username(),)).await.unwrap();
    assert_eq!(names.iter().map(|(name,)| name.as_str()).collect::<Vec<_>>(), ["x", "y", "z"]);
    assert!(store.dead_letters().list(None, 10).await.unwrap().is_empty());
}

async fn who_waits_for_the_truth_is_told_himself(bench: &Bench) {
    let (store, _) = bench.open_with("a", acknowledged_by(Acknowledge::Truth)).await;
    players(&store).set(named("a", "same")).await.unwrap();
    let error = players(&store).set(named("b", "same")).await.unwrap_err();
    assert_eq!((error.kind(), error.key(), error.operation()), (ErrorKind::UniqueViolation, Some("b"), Some("set")), "{error}");
    assert!(store.dead_letters().list(None, 10).await.unwrap().is_empty(), "nobody relied on it");
}

on_truths![
    one_refused_write_harms_no_other,
    a_retry_replaces_nothing_newer,
    a_retry_comes_after_what_is_pending_of_other_keys,
    of_two_letters_of_a_key_the_later_counts,
    a_removed_letter_is_gone,
    what_another_write_makes_room_for_is_written,
    who_waits_for_the_truth_is_told_himself,
];

//! What the truth refuses for its own sake.

use std::sync::{Arc, Mutex};

use strata::{Acknowledge, Error, ErrorKind, Hooks, Query};

use super::{Bench, acknowledged_by, level, on_truths, players, truth};
use store_tests::models::{Player, player};

#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<(String, ErrorKind)>>>);

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
    a_removed_letter_is_gone,
    what_another_write_makes_room_for_is_written,
    who_waits_for_the_truth_is_told_himself,
];

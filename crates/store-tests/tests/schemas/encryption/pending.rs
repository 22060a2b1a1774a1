//! Writes that were pending, or refused by the truth, while another key encrypted.

use std::path::Path;
use std::time::Duration;

use strata::{ErrorKind, KeyRing, Store};
use tempfile::TempDir;

use super::{Behind, Encrypted, behind, key, ring};
use store_tests::stacks::{Bench, Stack};

fn models(keys: KeyRing, journal: &Path) -> Encrypted {
    Encrypted { keys, journal: Some(journal.to_owned()) }
}

/// A truth with the record 1 and a dead letter of the key 2, and a journal `copy`, as a killed process left it, of the keys 3 and 4: all of the first key.
async fn left_behind() -> (Bench, TempDir) {
    let journals = TempDir::new().unwrap();
    let bench = Stack::MemSqlite.open_with(Duration::from_secs(120), &models(ring(1), &journals.path().join("first"))).await;
    let old = bench.of::<Behind>();
    old.set_many([behind(1, "one"), behind(2, "one")]).await.unwrap();
    bench.store.flush().await.unwrap();
    assert_eq!(letters(&bench.store).await, ["2"]);
    old.set_many([behind(3, "three"), behind(4, "four")]).await.unwrap();
    let copy = journals.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    for file in std::fs::read_dir(journals.path().join("first")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.join(file.file_name())).unwrap();
    }
    (bench, journals)
}

/// The keys of the dead letters.
async fn letters(store: &Store) -> Vec<String> {
    store.dead_letters().list(None, 10).await.unwrap().into_iter().map(|letter| letter.key).collect()
}

/// Makes room for the dead letter of the key 2, and retries it and all others.
async fn retry_all(store: &Store) {
    let found = store.collection::<Behind>().unwrap();
    found.delete(1).await.unwrap();
    store.flush().await.unwrap();
    for letter in store.dead_letters().list(None, 10).await.unwrap() {
        store.dead_letters().retry(&letter).await.unwrap();
    }
    assert!(letters(store).await.is_empty());
    for (id, secret) in [(2, "one"), (3, "three"), (4, "four")] {
        assert_eq!(found.from(strata::Role::Truth).get(id).await.unwrap().as_deref(), Some(&behind(id, secret)));
    }
    let progress = found.reencrypt().progress().await.unwrap();
    assert_eq!((progress.done, progress.total, progress.unreadable), (0, 3, 0), "they keep the key that they were written with");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_are_opened_while_their_key_is_in_the_ring() {
    let (mut bench, journals) = left_behind().await;
    let next = bench.another_with(&models(ring(2), &journals.path().join("copy"))).await;
    let found = next.collection::<Behind>().unwrap();
    for (id, secret) in [(3, "three"), (4, "four")] {
        assert_eq!(found.get(id).await.unwrap().as_deref(), Some(&behind(id, secret)));
    }
    next.flush().await.unwrap();
    assert_eq!(letters(&next).await, ["2"]);
    retry_all(&next).await;
    next.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_wait_for_their_key_once_it_is_gone() {
    let (mut bench, journals) = left_behind().await;
    let alone = KeyRing::new(2, key(2)).with_index_key(key(99));
    let lacking = bench.another_with(&models(alone, &journals.path().join("copy"))).await;
    lacking.flush().await.unwrap();
    let told = "encrypted with the key number 1, which the store was not given";
    let found = lacking.dead_letters().list(None, 10).await.unwrap();
    assert_eq!(found.iter().map(|letter| &*letter.key).collect::<Vec<_>>(), ["2", "3", "4"]);
    assert!(found[1..].iter().all(|letter| letter.error.contains(told)), "{found:?}");
    for letter in &found {
        let error = lacking.dead_letters().retry(letter).await.unwrap_err();
        assert_eq!((error.kind(), error.key(), error.column()), (ErrorKind::DecodeFailed, Some(&*letter.key), Some("secret")), "{error}");
        assert!(error.to_string().contains(told) && !error.to_string().contains("the-secret"), "{error}");
    }
    assert_eq!(lacking.dead_letters().list(None, 10).await.unwrap(), found);
    lacking.close().await.unwrap();

    let both = bench.another_with(&models(ring(2), &journals.path().join("next"))).await;
    retry_all(&both).await;
    both.close().await.unwrap();
}

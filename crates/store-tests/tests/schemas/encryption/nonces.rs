//! With one key a nonce must never come twice.

use std::collections::HashSet;

use strata::{Schema, Store};

use super::ring;
use store_tests::stacks::sqlite;

/// The most records of a batch. All batches write the same ones.
const BATCH: i64 = 10_000;

#[derive(Debug, Clone, PartialEq, Schema)]
struct Vault {
    #[schema(primary_key)]
    id: i64,
    #[schema(encrypted)]
    secret: String,
}

/// `STRATA_ENCRYPTED_WRITES` says how many writes there are; `cargo xtask prove nonces` sets it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_nonce_comes_twice() {
    let writes: i64 = std::env::var("STRATA_ENCRYPTED_WRITES").map_or(20_000, |writes| writes.parse().expect("a number of writes"));
    let (directory, tier) = sqlite().await;
    let store = Store::builder().tier(tier).schema::<Vault>().encryption(ring(1)).build().await.unwrap();
    let vaults = store.collection::<Vault>().unwrap();
    let file = rusqlite::Connection::open(directory.path().join("store.db")).unwrap();
    let mut stored = file.prepare("SELECT substr(secret, 6, 12) FROM vault WHERE id <= ?1").unwrap();
    let mut nonces: HashSet<[u8; 12]> = HashSet::new();
    let mut left = writes;
    while left > 0 {
        let batch = left.min(BATCH);
        vaults.set_many((1..=batch).map(|id| Vault { id, secret: "the same in all".to_owned() })).await.unwrap();
        let found = stored.query_map([batch], |row| row.get(0)).unwrap().collect::<rusqlite::Result<Vec<[u8; 12]>>>().unwrap();
        assert_eq!(found.len(), usize::try_from(batch).unwrap());
        for nonce in found {
            assert!(nonces.insert(nonce), "{nonce:?} came twice within {} writes", writes - left + batch);
        }
        left -= batch;
    }
    println!("{} writes, {} nonces", writes, nonces.len());
    store.close().await.unwrap();
}

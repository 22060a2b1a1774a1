//! Two stores that both write one SQLite file.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use strata::mem::MemTier;
use strata::{Collection, Freshness, Role, Store};

use store_tests::models::{City, city};
use store_tests::stacks::{open_sqlite, sqlite};
use store_tests::waiting::until;

const KEYS: i64 = 3;
const WRITES: u64 = 60;

async fn write_and_read(own: Collection<City>, newest: Arc<[AtomicU64; KEYS as usize]>, seed: u64) {
    for number in 0..WRITES {
        let key = 1 + ((seed * 31 + number * 7) % KEYS as u64) as i64;
        let newest = &newest[key as usize - 1];
        let stored = own.set(City { population: number as i64, ..city(key) }).await.unwrap().version().get();
        newest.fetch_max(stored, Ordering::SeqCst);
        let shown = own.read(key).await.unwrap().unwrap().version().get();
        assert!(shown >= stored, "its own write at once: {stored}, and not {shown}");
        // Whatever any of them was acknowledged.
        let acknowledged = newest.load(Ordering::SeqCst);
        let fresh = own.with_freshness(Freshness::Bounded(Duration::ZERO));
        let shown = fresh.read(key).await.unwrap().unwrap().version().get();
        assert!(shown >= acknowledged, "{acknowledged} was acknowledged, and {shown} is shown");
        let again = own.read(key).await.unwrap().unwrap().version().get();
        assert!(again >= shown, "{shown} was shown, and then {again}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_see_their_own_writes_at_once_and_the_others_in_time() {
    let (directory, first) = sqlite().await;
    let open = async |tier| Store::builder().near(MemTier::new()).tier(tier).schema::<City>().build().await.unwrap();
    let stores = [open(first).await, open(open_sqlite(&directory).await).await];
    let cities: [Collection<City>; 2] = stores.each_ref().map(|store| store.collection().unwrap());
    let newest = Arc::new(<[AtomicU64; KEYS as usize]>::default());
    let writing: Vec<_> =
        (0..4).map(|number| tokio::spawn(write_and_read(cities[number % 2].clone(), Arc::clone(&newest), number as u64))).collect();
    for writer in writing {
        writer.await.unwrap();
    }
    for key in 1..=KEYS {
        let last = cities[0].from(Role::Truth).get(key).await.unwrap().unwrap().version();
        assert_eq!(last.get(), newest[key as usize - 1].load(Ordering::SeqCst));
        for cities in &cities {
            until("the last write show", async || cities.read(key).await.unwrap().unwrap().version() == last).await;
        }
    }
}

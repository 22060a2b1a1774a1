//! A machine whose timer ticks late, as a virtual one's does that has stood still.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use strata::mem::MemTier;
use strata::{Clock, Collection, Freshness, Settings, Store, SystemClock};

use store_tests::models::{City, city};
use store_tests::stacks::{open_sqlite, sqlite};

#[derive(Debug)]
struct LateTick;

impl Clock for LateTick {
    fn now(&self) -> SystemTime {
        SystemClock.now()
    }

    fn monotonic(&self) -> Duration {
        SystemClock.monotonic()
    }

    fn coarse(&self) -> Duration {
        SystemClock.monotonic().saturating_sub(Duration::from_millis(400))
    }
}

/// By the time of the last tick, every poll of late is still to come, and memory as fresh as anybody asks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bound_counts_from_the_true_time() {
    let (directory, first) = sqlite().await;
    let open = async |tier| {
        let settings = Settings { clock: Arc::new(LateTick), freshness: Duration::from_secs(120), ..Settings::default() };
        Store::builder().near(MemTier::new()).tier(tier).settings(settings).schema::<City>().build().await.unwrap()
    };
    let stores = [open(first).await, open(open_sqlite(&directory).await).await];
    let [writer, reader]: [Collection<City>; 2] = stores.each_ref().map(|store| store.collection().unwrap());
    let fresh = reader.with_freshness(Freshness::Bounded(Duration::ZERO));
    for population in 0..20 {
        writer.set(City { population, ..city(1) }).await.unwrap();
        assert_eq!(fresh.get(1).await.unwrap().unwrap().population, population);
    }
}

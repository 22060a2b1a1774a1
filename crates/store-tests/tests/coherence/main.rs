//! What a store never does, whatever comes between: show something older than it was told.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod absences;
mod cache_only;
mod cancelled;
mod distrusted;
mod dropped;
mod flights;
mod instances;
mod late_tick;
mod model;
mod neighbours;
mod outside_writers;
mod overtaken;
mod put_back;
mod redis_faults;
mod replicas;
mod restored;
mod soak;
mod stale;
mod stampedes;
mod tags;
mod told;
mod unknown;
mod unpublished;
mod verification;

use std::time::Duration;

use store_tests::models::Player;
use store_tests::stacks::{FaultyBench, open_sqlite};
use strata::{Collection, Store};

/// Past the life time of memory's entries, and well before that of the shared tier's records.
const PAST_L1: Duration = Duration::from_secs(5 * 60);

/// A store on the truth alone: another program.
async fn outside(bench: &FaultyBench) -> Collection<Player> {
    let store = Store::builder().tier(open_sqlite(&bench.directory).await).schema::<Player>().build().await;
    store.expect("the stack is sound").collection().expect("the store has the model")
}

//! What a store never does, whatever comes between: show something older than it was told.

mod absences;
mod cache_only;
mod cancelled;
mod distrusted;
mod dropped;
mod flights;
mod instances;
mod model;
mod neighbours;
mod overtaken;
mod put_back;
mod restored;
mod soak;
mod tags;
mod unknown;
mod unpublished;

use std::time::Duration;

use store_testkit::{Hold, ModelRecords};
use strata::facet::{Records, Slot};
use strata::{BoundSchema, Collection, Schema, Store};

use super::models::Player;
use super::stacks::{FaultyBench, open_sqlite};

/// Past the life time of memory's entries, and well before that of the shared tier's records.
const PAST_L1: Duration = Duration::from_secs(5 * 60);

/// A store on the truth alone: another program.
async fn outside(bench: &FaultyBench) -> Collection<Player> {
    let store = Store::builder().tier(open_sqlite(&bench.directory).await).schema::<Player>().build().await;
    store.expect("the stack is sound").collection().expect("the store has the model")
}

/// What is in a player's slot of the shared tier.
pub(crate) async fn slot(shared: &ModelRecords, id: &str) -> Slot {
    let schema = BoundSchema::standalone(Player::definition());
    shared.fetch(&schema, &[id.to_owned()], None).await.expect("the model answers").remove(0)
}

/// Gives a call up once it is held, and lets go on whatever it left behind.
pub(crate) async fn give_up(held: Hold, call: impl Future<Output: Send> + Send + 'static) {
    let calling = tokio::spawn(call);
    held.arrived().await;
    calling.abort();
    assert!(calling.await.is_err_and(|error| error.is_cancelled()), "the call ended before it was given up");
    held.release();
}

/// Waits for something that the store does in the background.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let patience = tokio::time::Instant::now() + Duration::from_secs(30);
    while !holds().await {
        assert!(tokio::time::Instant::now() < patience, "it never came that {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

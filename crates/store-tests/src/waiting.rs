//! Waiting for what a store does in the background, and calls that are given up half way.

use std::time::Duration;

use store_testkit::{Hold, ModelRecords};
use strata::facet::{Records, Slot};
use strata::{BoundSchema, Schema};

use crate::models::Player;

/// What is in a player's slot of the shared tier.
pub async fn slot(shared: &ModelRecords, id: &str) -> Slot {
    let schema = BoundSchema::standalone(Player::definition());
    shared.fetch(&schema, &[id.to_owned()], None).await.expect("the model answers").remove(0)
}

/// Gives a call up once it is held, and lets go on whatever it left behind.
pub async fn give_up(held: Hold, call: impl Future<Output: Send> + Send + 'static) {
    let calling = tokio::spawn(call);
    held.arrived().await;
    calling.abort();
    assert!(calling.await.is_err_and(|error| error.is_cancelled()), "the call ended before it was given up");
    held.release();
}

/// Waits for something that the store does in the background.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let patience = tokio::time::Instant::now() + Duration::from_secs(30);
    while !holds().await {
        assert!(tokio::time::Instant::now() < patience, "it never came that {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

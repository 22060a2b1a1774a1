//! Counts what is under way, so that closing can wait for it.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

const PLACES: u32 = 1 << 28;

/// Lets work in until it is closed, then waits for what is inside.
#[derive(Debug)]
pub(crate) struct Gate {
    places: Arc<Semaphore>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Gate { places: Arc::new(Semaphore::new(PLACES as usize)) }
    }

    /// A pass to hold while the work lasts; `None` once the gate is closing.
    pub(crate) fn enter(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// Lets nobody in any more, and waits until everybody has left.
    pub(crate) async fn close(&self) {
        // The only error is that the semaphore was closed, by an earlier call that saw everybody leave.
        if let Ok(all) = self.places.acquire_many(PLACES).await {
            all.forget();
            self.places.close();
        }
    }
}

/// Tells work that nobody should wait for when the store closes.
#[derive(Debug)]
pub(crate) struct Closing(watch::Sender<bool>);

impl Closing {
    pub(crate) fn new() -> Self {
        Closing(watch::Sender::new(false))
    }

    pub(crate) fn announce(&self) {
        self.0.send_replace(true);
    }

    /// Waits until the store is closing.
    pub(crate) async fn announced(&self) {
        // The sender lives as long as this does.
        let _ = self.0.subscribe().wait_for(|is_closing| *is_closing).await;
    }
}

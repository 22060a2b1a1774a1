//! A call that waits for the test.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

/// Longer than any call of a test takes to come; beyond it the test would hang for ever.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// One held call. Dropping this lets it go, as [`release`](Self::release) does.
#[derive(Debug)]
#[must_use = "dropping it lets the call go at once"]
pub struct Hold {
    gate: Gate,
}

impl Hold {
    pub(super) fn new() -> (Self, Gate) {
        let gate = Gate { arrived: Arc::new(Semaphore::new(0)), open: Arc::new(Semaphore::new(0)) };
        (Hold { gate: gate.clone() }, gate)
    }

    /// Waits until the call stands at the gate.
    ///
    /// # Panics
    ///
    /// If no such call comes within a minute.
    pub async fn arrived(&self) {
        let arrived = tokio::time::timeout(LONGEST_WAIT, self.gate.arrived.acquire()).await;
        arrived.expect("the call that the test holds never came").expect("the semaphore is never closed").forget();
    }

    /// Lets the call go, or lets it pass if it has not come yet.
    pub fn release(self) {}
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.gate.open.close();
    }
}

/// The call's side of a [`Hold`].
#[derive(Debug, Clone)]
pub(super) struct Gate {
    arrived: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Gate {
    pub(super) async fn pass(&self) {
        self.arrived.add_permits(1);
        // There are no permits: the wait ends when the semaphore is closed.
        let _ = self.open.acquire().await;
    }
}

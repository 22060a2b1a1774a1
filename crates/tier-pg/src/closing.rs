//! The end of a tier, for what goes on beside its calls.

use std::pin::pin;

use futures_util::future::{Either, select};
use store_core::{Error, ErrorKind, Role};
use tokio::sync::watch;

/// Ends everything that waits for it, when it is told or dropped.
#[derive(Debug)]
pub(crate) struct Closing(watch::Sender<bool>);

impl Closing {
    pub(crate) fn new() -> Self {
        Closing(watch::Sender::new(false))
    }

    pub(crate) fn close(&self) {
        self.0.send_replace(true);
    }

    pub(crate) fn watch(&self) -> Open {
        Open(self.0.subscribe())
    }
}

/// Knows whether a tier is open.
#[derive(Debug, Clone)]
pub(crate) struct Open(watch::Receiver<bool>);

impl Open {
    /// What the work gives, unless the tier is closed before.
    pub(crate) async fn run<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let closed = pin!(self.0.wait_for(|is_closed| *is_closed));
        match select(closed, pin!(work)).await {
            Either::Left(_) => None,
            Either::Right((value, _)) => Some(value),
        }
    }
}

pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the PostgreSQL tier was closed; connect anew").with_tier(Role::Truth)
}

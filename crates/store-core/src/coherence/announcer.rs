//! Telling the other instances of commits.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::facet::{Wake, Wakes};

/// Beyond this many messages that no server took yet, further ones are dropped: every instance polls the log anyway.
const MOST_WAITING: usize = 10_000;

/// Messages on their way to the other instances.
#[derive(Debug)]
pub(super) struct Announcer {
    waiting: Mutex<Vec<Wake>>,
    added: Notify,
}

impl Announcer {
    pub(super) fn new() -> Self {
        Announcer { waiting: Mutex::default(), added: Notify::new() }
    }

    pub(super) fn add(&self, wake: Wake) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < MOST_WAITING {
            waiting.push(wake);
        }
        drop(waiting);
        self.added.notify_one();
    }

    fn take(&self) -> Vec<Wake> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sends what waits: by the first channel, by the next where that fails.
    pub(super) async fn send(&self, channels: &[Arc<dyn Wakes>]) {
        let wakes = self.take();
        if wakes.is_empty() {
            return;
        }
        for channel in channels {
            match channel.publish(&wakes).await {
                Ok(()) => return,
                Err(error) => tracing::debug!(%error, "messages to other instances were not sent; they learn of the commits from the log"),
            }
        }
    }

    /// Sends what is added, until the future is dropped.
    pub(super) async fn run(&self, channels: &[Arc<dyn Wakes>]) {
        loop {
            self.added.notified().await;
            self.send(channels).await;
        }
    }
}

//! Messages between the clones of the model.

use std::sync::Arc;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::{FutureExt, StreamExt, stream};
use store_core::Result;
use store_core::facet::{Heard, Wake, Wakes};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

use super::ModelRecords;

/// How many messages a listener may lag behind before it loses some.
const CAPACITY: usize = 1_024;

/// What all clones send to.
#[derive(Debug, Clone)]
pub(super) struct Channel(broadcast::Sender<Wake>);

impl Default for Channel {
    fn default() -> Self {
        Channel(broadcast::Sender::new(CAPACITY))
    }
}

/// Whether one of the clones still listens. A clone of this begins anew.
#[derive(Debug)]
pub(super) struct Listening(watch::Sender<bool>);

impl Default for Listening {
    fn default() -> Self {
        Listening(watch::Sender::new(true))
    }
}

impl Clone for Listening {
    fn clone(&self) -> Self {
        Listening::default()
    }
}

impl Listening {
    pub(super) fn end(&self) {
        self.0.send_replace(false);
    }
}

#[async_trait]
impl Wakes for ModelRecords {
    async fn publish(&self, wakes: &[Wake]) -> Result<()> {
        for wake in wakes {
            // An error says that nobody listens.
            let _ = self.channel.0.send(wake.clone());
        }
        Ok(())
    }

    fn listen(self: Arc<Self>) -> BoxStream<'static, Heard> {
        let mut listening = self.listening.0.subscribe();
        let ended = async move {
            // An error says that the tier was dropped.
            let _ = listening.wait_for(|listening| !listening).await;
        };
        let heard = stream::unfold(self.channel.0.subscribe(), async |mut messages| {
            let heard = match messages.recv().await {
                Ok(wake) => Heard::Wake(wake),
                Err(RecvError::Lagged(_)) => Heard::Changed,
                Err(RecvError::Closed) => return None,
            };
            Some((heard, messages))
        });
        stream::once(async { Heard::Changed }).chain(heard).take_until(ended.boxed()).boxed()
    }
}

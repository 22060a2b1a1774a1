//! The wakes facet.

use std::sync::Arc;

use async_trait::async_trait;
use futures_core::stream::BoxStream;

use super::Guard;
use crate::error::Result;
use crate::facet::{Heard, Wake, Wakes};

#[derive(Debug)]
pub(super) struct GuardedWakes {
    pub(super) inner: Arc<dyn Wakes>,
    pub(super) guard: Guard,
}

#[async_trait]
impl Wakes for GuardedWakes {
    async fn publish(&self, wakes: &[Wake]) -> Result<()> {
        self.guard.once(self.inner.publish(wakes)).await
    }

    // The stream outlives lost connections by itself.
    fn listen(self: Arc<Self>) -> BoxStream<'static, Heard> {
        Arc::clone(&self.inner).listen()
    }
}

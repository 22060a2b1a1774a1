//! The wakes facet.

use std::sync::Arc;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use store_core::Result;
use store_core::facet::{Heard, Wake, Wakes};

use super::{Faults, Operation};

#[derive(Debug)]
pub(super) struct FaultyWakes {
    pub(super) inner: Arc<dyn Wakes>,
    pub(super) faults: Faults,
}

#[async_trait]
impl Wakes for FaultyWakes {
    async fn publish(&self, wakes: &[Wake]) -> Result<()> {
        self.faults.run(Operation::Publish, self.inner.publish(wakes)).await
    }

    fn listen(self: Arc<Self>) -> BoxStream<'static, Heard> {
        Arc::clone(&self.inner).listen()
    }
}

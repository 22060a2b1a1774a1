//! Work that its caller cannot cancel.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tokio::sync::oneshot;

use super::Shared;
use crate::error::{Error, ErrorKind, Result};

impl Shared {
    /// Does work that outlives its caller and that closing waits for, as it waits for the answer. Errors call the work by its name.
    pub(crate) async fn outlive<R: Send + 'static>(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<R>> + Send + 'static,
    ) -> Result<R> {
        let pass = self.writes.enter().ok_or_else(Error::closed)?;
        let (answer, answered) = oneshot::channel();
        let work = self.life.detacher().begin(async move {
            let panicked = |_| Err(Error::new(ErrorKind::Internal, format!("a {name} panicked; it may have taken effect all the same")));
            let result = AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(panicked);
            // Nobody may wait for the answer any more. It is there before the pass is given back, so that closing waits for answers too.
            let _ = answer.send(result);
            drop(pass);
        });
        work.wait(answered).await.unwrap_or_else(|_| Err(Error::runtime_ended()))
    }
}

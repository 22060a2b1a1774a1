//! Work that its caller cannot cancel.

use std::future::Future;

use tokio::sync::oneshot;

use super::Shared;
use crate::error::{Error, ErrorKind, Result};
use crate::sync::spawn;

impl Shared {
    /// Does work in a task that outlives its caller and that closing waits for, as it waits for the answer. Errors call the work by its name.
    pub(crate) async fn outlive<R: Send + 'static>(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<R>> + Send + 'static,
    ) -> Result<R> {
        let pass = self.writes.enter().ok_or_else(Error::closed)?;
        let (answer, answered) = oneshot::channel();
        let task = spawn(self.life.runtime(), async move {
            // Nobody may wait for the answer any more. It is there before the pass is given back, so that closing waits for answers too.
            let _ = answer.send(work.await);
            drop(pass);
        });
        match answered.await {
            Ok(result) => result,
            Err(_) if task.await.is_err_and(|ended| ended.is_panic()) => {
                Err(Error::new(ErrorKind::Internal, format!("a {name} panicked; it may have taken effect all the same")))
            }
            Err(_) => Err(Error::runtime_ended()),
        }
    }
}

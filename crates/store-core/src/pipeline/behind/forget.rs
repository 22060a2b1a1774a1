//! What is said in the journal before another write of this instance replaces what pending writes are based on.

use std::ops::Range;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::PendingWrites;
use crate::behind::{Forgotten, Staged};
use crate::error::{Error, Result};
use crate::pipeline::Pipeline;
use crate::schema::Schema;
use crate::sync::PoisonError;

impl<T: Schema> Pipeline<T> {
    /// To be called before a write of these keys, or with `None` of any, is committed, with its [doors](super::Doors) open. When it ends, the journal holds nothing of them
    /// that a crash behind the commit would take for a conflict with another instance. It waits only where the journal has such a write.
    ///
    /// # Errors
    ///
    /// What the journal says. Nothing may be committed then.
    pub(in crate::pipeline) async fn forget_bases(self: &Arc<Self>, keys: Option<&[T::Key]>) -> Result<()> {
        let Some(pending) = self.behind.as_ref().filter(|pending| pending.behind.has_journal()) else { return Ok(()) };
        let conditional = pending.lock().conditional(keys);
        if conditional.is_empty() {
            return Ok(());
        }
        Box::pin(self.tell_journal(pending, conditional)).await
    }

    async fn tell_journal(self: &Arc<Self>, pending: &PendingWrites<T>, keys: Vec<T::Key>) -> Result<()> {
        // What was announced before the doors were open is in the journal once nobody is on the way there: the notes come after it. What comes later is based on nothing.
        drop(pending.submitting.write().unwrap_or_else(PoisonError::into_inner));
        let definition = self.schema.definition();
        let notes: Vec<Vec<u8>> = keys.iter().map(|key| Forgotten::new(definition, &Self::text(key)).encode()).collect::<Result<_>>()?;
        let (landed, has_landed) = oneshot::channel();
        pending.behind.submit(&notes, true, Box::new(Notes { pipeline: Arc::clone(self), keys, landed }));
        has_landed.await.unwrap_or_else(|_| Err(Error::runtime_ended()))
    }
}

/// Notes on their way to the journal.
struct Notes<T: Schema> {
    pipeline: Arc<Pipeline<T>>,
    keys: Vec<T::Key>,
    landed: oneshot::Sender<Result<()>>,
}

impl<T: Schema> Staged for Notes<T> {
    fn len(&self) -> usize {
        self.keys.len()
    }

    fn apply(self: Box<Self>, _: Range<u64>) -> bool {
        if let Some(pending) = &self.pipeline.behind {
            let mut writes = pending.lock();
            self.keys.iter().for_each(|key| writes.note_unconditional(key));
        }
        // Nobody may wait for it any more.
        let _ = self.landed.send(Ok(()));
        false
    }

    fn refuse(self: Box<Self>, error: Error) {
        let _ = self.landed.send(Err(error));
    }
}

//! Who asked for a job, and when.

use std::sync::{Arc, Weak};
use std::time::Instant;

use store_core::facet::Caller;

/// Whoever handed a job over.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    caller: Caller,
    /// Held by the future that waits for the job.
    future: Weak<()>,
    since: Instant,
}

impl Asker {
    /// The one that runs this, and what it holds while it waits.
    pub(crate) fn of_this_task() -> (Self, Arc<()>) {
        let waiting = Arc::new(());
        (Asker { caller: Caller::of_this_task(), future: Arc::downgrade(&waiting), since: Instant::now() }, waiting)
    }

    /// Whether it still waits for the job's end.
    pub(crate) fn waits(&self) -> bool {
        self.future.strong_count() > 0 && self.caller.waits()
    }

    /// When it handed the job over.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }
}

//! Whether a write is still wanted when its turn comes.

use std::sync::{Arc, Weak};

tokio::task_local! {
    static CALLER: Caller;
}

/// Whoever asked for the write that the present task carries out.
///
/// A store carries writes out in tasks that outlive their callers, so that no tier is left behind another. A tier with a queue of its own asks, when a write's
/// turn comes, whether anybody still waits: what was told to have run out of time, and has not begun, must not overwrite later what others wrote meanwhile.
///
/// ```
/// use store_core::facet::Caller;
///
/// // In a task of the tier's own, nobody is known who could have given up.
/// assert!(Caller::of_this_task().waits());
/// ```
#[derive(Debug, Clone)]
pub struct Caller(Option<Weak<()>>);

impl Caller {
    /// The caller of the write that this task carries out. Ask before handing the write to another thread.
    #[must_use]
    pub fn of_this_task() -> Self {
        CALLER.try_with(Clone::clone).unwrap_or(Caller(None))
    }

    /// Whether it still waits for the write's end. A task that is not a store's write is always wanted.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.0.as_ref().is_none_or(|waiting| waiting.strong_count() > 0)
    }

    /// What a caller holds while it waits, and the work it waits for, which knows.
    pub(crate) fn wait_for<R>(work: impl Future<Output = R>) -> (Arc<()>, impl Future<Output = R>) {
        let waiting = Arc::new(());
        let caller = Caller(Some(Arc::downgrade(&waiting)));
        (waiting, CALLER.scope(caller, work))
    }
}

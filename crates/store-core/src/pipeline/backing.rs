//! What stands for the truth of a schema.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Mutex, MutexGuard};

use crate::facet::{Log, Records, Tables};
use crate::schema::Schema;
use crate::version::Version;

/// The tier that a schema's truth lives in.
#[derive(Debug)]
pub(crate) enum Backing<T: Schema> {
    /// SQL tables, with the log of commits.
    Tables {
        /// The rows.
        tables: Arc<dyn Tables>,
        /// The log.
        log: Arc<dyn Log>,
    },
    /// The shared tier, for schemas that are declared `cache_only`.
    Records(Arc<dyn Records>),
    /// This process's memory, for schemas that are declared `cache_only` in a store without a shared tier.
    Memory(MemoryVersions<T>),
}

/// Issues the versions of a schema whose truth is this process.
#[derive(Debug)]
pub(crate) struct MemoryVersions<T> {
    last: AtomicU64,
    /// What loaders brought under smaller versions was invalidated.
    loaded_from: AtomicU64,
    turn: Mutex<()>,
    model: std::marker::PhantomData<fn() -> T>,
}

impl<T> MemoryVersions<T> {
    pub(crate) fn new() -> Self {
        MemoryVersions { last: AtomicU64::new(0), loaded_from: AtomicU64::new(0), turn: Mutex::new(()), model: std::marker::PhantomData }
    }

    /// The right to compare what is there with what a write expects, and to replace it.
    pub(super) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    pub(crate) fn next(&self) -> Version {
        Version::new(self.last.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Invalidates all that loaders have brought so far.
    pub(super) fn invalidate_loaded(&self) {
        self.loaded_from.fetch_max(self.next().get(), Ordering::Release);
    }

    /// Whether what a loader brought under this version was invalidated since.
    pub(super) fn is_invalidated(&self, version: Version) -> bool {
        version.get() < self.loaded_from.load(Ordering::Acquire)
    }
}

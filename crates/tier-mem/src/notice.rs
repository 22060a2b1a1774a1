//! Telling the user of entries that left on their own.

use std::fmt::{self, Debug};
use std::panic::{AssertUnwindSafe, catch_unwind};

use store_core::facet::OnEvict;
use store_core::{EvictionCause, Record, Schema};

/// An entry that left on its own.
pub(crate) struct Departed<T: Schema> {
    pub(crate) key: T::Key,
    pub(crate) record: Record<T>,
    pub(crate) cause: EvictionCause,
}

/// A shelf's eviction notice.
pub(crate) struct Notice<T: Schema> {
    shelf: &'static str,
    on_evict: Option<OnEvict<T>>,
}

impl<T: Schema> Notice<T> {
    pub(crate) fn new(shelf: &'static str, on_evict: Option<OnEvict<T>>) -> Self {
        Notice { shelf, on_evict }
    }

    /// Calls the notice for each entry and drops the entry; no lock may be held, as both run the user's code.
    pub(crate) fn give(&self, departed: Vec<Departed<T>>) {
        for entry in departed {
            let Departed { key, record, cause } = entry;
            let call = || {
                if let Some(on_evict) = &self.on_evict {
                    on_evict(&key, record.model(), cause);
                }
                drop(record);
            };
            if catch_unwind(AssertUnwindSafe(call)).is_err() {
                tracing::error!(
                    schema = self.shelf,
                    ?cause,
                    "the eviction notice panicked; the entry left all the same, make the notice handle its errors"
                );
            }
        }
    }
}

impl<T: Schema> Debug for Notice<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notice").field("shelf", &self.shelf).field("on_evict", &self.on_evict.is_some()).finish()
    }
}

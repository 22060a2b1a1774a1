//! Write-behind: acknowledged writes are pending until a flush has brought them to the truth.
//!
//! A write gets its place in the [`journal`], and by it in its schema's [`pending`] writes, which every read looks at first. The [`flusher`] brings all that is pending to the
//! truth in one transaction ([`flush`]), which also says how far the journal is applied: so a restart applies nothing twice.

pub(crate) mod base;
mod conflict;
mod elsewhere;
mod entry;
mod flush;
mod flusher;
mod forgotten;
#[cfg(all(test, shuttle))]
mod interleavings;
mod item;
#[cfg(not(all(test, shuttle)))]
mod journal;
#[cfg(all(test, shuttle))]
#[path = "behind/interleavings/journal.rs"]
mod journal;
mod letters;
pub(crate) mod pending;
mod room;
mod settings;
mod start;

pub(crate) use base::Base;
pub use conflict::{OnConflict, WriteConflict};
pub(crate) use elsewhere::Elsewhere;
pub(crate) use entry::Entry;
pub(crate) use forgotten::Forgotten;
pub(crate) use item::{Batch, Item, Outcome, Over, Overlay, Resolution};
pub use letters::DeadLetters;
pub(crate) use room::{Admission, RoomWait};
pub use settings::{Acknowledge, WriteBehind};
pub(crate) use start::{Opened, open};

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::facet::{AppliedPlace, DeadLetter, Journals, Tables};
use crate::freshness::PendingPlace;
use crate::health::WriteBehindHealth;
use crate::sync::{Mutex, MutexGuard, PoisonError};
use flush::{Flushes, is_of_copy};
use flusher::Signals;
use journal::{Journal, Landing};
use room::Room;

/// Entries of one call on their way to their places: writes, or notes about what is pending.
pub(crate) trait Staged: Send {
    /// How many there are.
    fn len(&self) -> usize;

    /// They have their places. Whether it must be flushed at once.
    fn apply(self: Box<Self>, places: Range<u64>) -> bool;

    /// They have no places, and never will.
    fn refuse(self: Box<Self>, error: Error);
}

/// The write-behind of one store.
pub(crate) struct Behind {
    pub(crate) settings: WriteBehind,
    tables: Arc<dyn Tables>,
    journals: Arc<dyn Journals>,
    /// What the truth knows the places by.
    name: String,
    journal: Option<Journal>,
    runtime: Handle,
    clock: Arc<dyn Clock>,
    /// Of a flush's transaction.
    limit: Duration,
    order: Mutex<Order>,
    room: Arc<Room>,
    signals: Arc<Signals>,
    flushing: tokio::sync::Mutex<Flushes>,
    schemas: OnceLock<Vec<Weak<dyn Overlay>>>,
    trouble: Mutex<Trouble>,
    tasks: OnceLock<Vec<AbortHandle>>,
}

/// The places that were given.
#[derive(Debug, Default)]
struct Order {
    /// The last one that is pending, or was.
    last: AppliedPlace,
    /// What of the journal no schema of this build can read.
    letters: Vec<DeadLetter>,
}

/// How the last flushes went.
#[derive(Debug, Default)]
struct Trouble {
    failures: u32,
    error: Option<String>,
    /// The place up to which the users' hooks were told of what is pending.
    told: u64,
}

impl Behind {
    fn order(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether writes have a journal to go to.
    pub(crate) fn has_journal(&self) -> bool {
        self.journal.is_some()
    }

    /// How many writes are pending, or about to be.
    pub(crate) fn dirty(&self) -> usize {
        self.room.taken()
    }

    /// Waits for the right to make so many writes pending.
    pub(crate) async fn admit(&self, places: usize) -> Admission {
        self.room.admit(places, || self.hurry()).await
    }

    /// One more write is pending, whatever the bound: the journal held it.
    pub(crate) fn force(&self) {
        self.room.force(1);
    }

    /// So many writes are pending no more.
    pub(crate) fn free(&self, places: usize) {
        self.room.free(places);
    }

    /// Gives entries their places: at once, or when the journal has their entries and, if `synced`, they are durable. It waits for nothing.
    pub(crate) fn submit(&self, entries: &[Vec<u8>], synced: bool, staged: Box<dyn Staged>) {
        match &self.journal {
            Some(journal) => journal.append(entries, synced, staged),
            None => self.land(staged, None, None),
        }
    }

    /// `checksum` is that of the last of the entries.
    fn land(&self, staged: Box<dyn Staged>, places: Option<Range<u64>>, checksum: Option<u64>) {
        let mut order = self.order();
        let next = order.last.sequence + 1;
        let places = places.unwrap_or(next..next + staged.len() as u64);
        // A flush that takes what is pending takes it up to one place in all schemas.
        let last = places.end.saturating_sub(1);
        if last > order.last.sequence {
            order.last = AppliedPlace { sequence: last, checksum };
        }
        let is_urgent = staged.apply(places);
        drop(order);
        let (pending, enough) = (self.room.pending(), self.settings.flush_threshold);
        if is_urgent || pending >= enough.max(self.settings.max_pending / 2) {
            self.hurry();
        } else if pending >= enough {
            self.signals.enough();
        }
        self.signals.dirty();
    }

    /// Up to where writes are pending, if any are.
    pub(crate) fn place(&self) -> Option<PendingPlace> {
        (self.dirty() > 0).then(|| PendingPlace { journal: self.name.clone(), sequence: self.order().last.sequence })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Has what is pending flushed at once.
    pub(crate) fn hurry(&self) {
        self.signals.hurry();
    }

    fn overlays(&self) -> impl Iterator<Item = Arc<dyn Overlay>> {
        self.schemas.get().into_iter().flatten().filter_map(Weak::upgrade)
    }

    pub(crate) fn health(&self) -> WriteBehindHealth {
        let trouble = self.trouble();
        WriteBehindHealth { pending: self.dirty() as u64, failed_flushes: trouble.failures, last_error: trouble.error.clone() }
    }

    /// Flushes what is left, and closes the journal.
    pub(crate) async fn close(self: &Arc<Self>) -> Result<()> {
        let mut flushed = self.flush().await;
        for repeated in 1..=self.settings.max_retries {
            if flushed.as_ref().err().is_none_or(is_of_copy) {
                break;
            }
            tokio::time::sleep(flusher::pause(repeated, self.settings.flush_interval)).await;
            flushed = self.flush().await;
        }
        for task in self.tasks.get().into_iter().flatten() {
            task.abort();
        }
        let left = self.dirty();
        let flushed = flushed.map_err(|error| {
            let fate = if is_of_copy(&error) {
                "they stay in the journal, and no store flushes them"
            } else if self.has_journal() {
                "they are in the journal, and the next store on it flushes them"
            } else {
                "they are lost, as the store has no journal"
            };
            let message = format!("{left} writes could not be flushed ({}); {fate}", error.summary());
            Error::new(ErrorKind::WriteBehindMaxRetry, message).with_retryable(false).with_source(error)
        });
        if let Err(error) = &flushed {
            self.tell(error);
        }
        let closed = match &self.journal {
            Some(journal) => journal.close(&self.runtime).await,
            None => Ok(()),
        };
        flushed.and(closed)
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        self.tasks.get().into_iter().flatten().for_each(AbortHandle::abort);
    }
}

impl fmt::Debug for Behind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Behind").field("name", &self.name).field("settings", &self.settings).finish_non_exhaustive()
    }
}

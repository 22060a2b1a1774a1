//! The bound of what may be pending.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use crate::sync::{Mutex, MutexGuard, PoisonError};

/// Counts the pending writes of a store, and lets no more in than may be.
#[derive(Debug)]
pub(crate) struct Room {
    most: usize,
    places: Mutex<Places>,
    /// Who waits, one after the other.
    turn: tokio::sync::Mutex<()>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Places {
    /// Those that are pending, or about to be.
    taken: usize,
    /// Those of them that are pending.
    pending: usize,
}

/// The right to make so many writes pending. What is not [kept](Self::keep) is given back.
#[derive(Debug)]
pub(crate) struct Admission {
    room: Arc<Room>,
    places: usize,
}

/// Whether a call waits for room, and so has written nothing. Its caller looks at it once the call's time is over.
#[derive(Debug, Default)]
pub(crate) struct RoomWait(AtomicBool);

impl RoomWait {
    /// Waits for an admission.
    pub(crate) async fn during<R>(&self, admission: impl Future<Output = R>) -> R {
        self.0.store(true, Ordering::Relaxed);
        let admission = admission.await;
        self.0.store(false, Ordering::Relaxed);
        admission
    }

    /// Whether the wait has begun and not ended.
    pub(crate) fn goes_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Room {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Room { most, places: Mutex::new(Places::default()), turn: tokio::sync::Mutex::new(()), freed: Notify::new() })
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many are pending or about to be.
    pub(crate) fn taken(&self) -> usize {
        self.lock().taken
    }

    /// How many are pending.
    pub(crate) fn pending(&self) -> usize {
        self.lock().pending
    }

    /// Waits until so many more may be pending; `is_full` is called if there is no room for them. A batch that is larger than the bound waits until nothing is.
    pub(crate) async fn admit(self: &Arc<Self>, places: usize, is_full: impl Fn()) -> Admission {
        let _turn = self.turn.lock().await;
        loop {
            let freed = self.freed.notified();
            if self.try_take(places) {
                return Admission { room: Arc::clone(self), places };
            }
            is_full();
            freed.await;
        }
    }

    fn try_take(&self, places: usize) -> bool {
        let taken = &mut self.lock().taken;
        let fits = *taken == 0 || taken.saturating_add(places) <= self.most;
        if fits {
            *taken += places;
        }
        fits
    }

    /// As [`admit`](Self::admit) and [`keep`](Admission::keep), whatever the bound: what the journal held when the store was built.
    pub(crate) fn force(&self, places: usize) {
        let mut held = self.lock();
        held.taken += places;
        held.pending += places;
    }

    /// So many are pending no more.
    pub(crate) fn free(&self, places: usize) {
        self.settle(places, |held| held.pending = held.pending.saturating_sub(places));
    }

    /// Gives places back.
    fn settle(&self, unused: usize, change: impl FnOnce(&mut Places)) {
        let mut held = self.lock();
        change(&mut held);
        held.taken = held.taken.saturating_sub(unused);
        drop(held);
        if unused > 0 {
            self.freed.notify_one();
        }
    }
}

impl Admission {
    /// So many of them are pending from here on; the others are given back.
    pub(crate) fn keep(mut self, places: usize) {
        let unused = self.places.saturating_sub(places);
        self.places = 0;
        self.room.settle(unused, |held| held.pending += places);
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if self.places > 0 {
            self.room.settle(self.places, |_| {});
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn writes_wait_for_room_and_a_batch_beyond_the_bound_for_all_of_it() {
        let room = Room::new(3);
        let first = room.admit(2, || panic!("there is room")).now_or_never().unwrap();
        assert!(room.admit(2, || {}).now_or_never().is_none());
        first.keep(1);
        assert_eq!((room.taken(), room.pending()), (1, 1));
        room.admit(2, || panic!("there is room")).now_or_never().unwrap().keep(2);
        room.free(2);
        assert!(room.admit(9, || {}).now_or_never().is_none(), "one is left");
        room.free(1);
        let whole = room.admit(9, || {}).now_or_never().unwrap();
        assert_eq!((room.taken(), room.pending()), (9, 0), "what is admitted is not pending yet");
        drop(whole);
        assert_eq!(room.taken(), 0);
    }
}

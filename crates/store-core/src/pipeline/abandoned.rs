//! Writes that have begun, have not ended, and that nobody waits for any more. A later write of one of their keys comes after them: who was told that the first
//! ran out of time, and wrote again, must not find the first in place of the second.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;

use crate::sync::{Mutex, MutexGuard, PoisonError};

/// Those of one schema.
#[derive(Debug)]
pub(crate) struct Abandoned<K> {
    /// How many there are: almost always none.
    count: AtomicUsize,
    writes: Mutex<Vec<Write<K>>>,
}

#[derive(Debug)]
struct Write<K> {
    /// `None` if it may be any of the schema's.
    keys: Option<HashSet<K>>,
    running: watch::Receiver<()>,
}

impl<K: Eq + Hash> Write<K> {
    fn covers(&self, keys: Option<&[K]>) -> bool {
        match (&self.keys, keys) {
            (Some(covered), Some(keys)) => keys.iter().any(|key| covered.contains(key)),
            (None, Some(keys)) => !keys.is_empty(),
            (_, None) => true,
        }
    }

    /// Whether the task has not ended: it holds the other end.
    fn runs(&self) -> bool {
        self.running.has_changed().is_ok()
    }
}

/// What a caller holds while it waits for its write.
#[derive(Debug)]
pub(crate) struct Waiting<'a, K: Eq + Hash> {
    abandoned: &'a Abandoned<K>,
    keys: Option<Vec<K>>,
    running: watch::Receiver<()>,
}

impl<K: Eq + Hash> Abandoned<K> {
    pub(crate) fn new() -> Self {
        Abandoned { count: AtomicUsize::new(0), writes: Mutex::new(Vec::new()) }
    }

    /// Begins to wait for a write of these keys, or with `None` of any. Its task keeps what comes with it until it ends.
    pub(crate) fn wait_for(&self, keys: Option<Vec<K>>) -> (Waiting<'_, K>, watch::Sender<()>) {
        let (runs, running) = watch::channel(());
        (Waiting { abandoned: self, keys, running }, runs)
    }

    /// Waits until none of the writes that cover one of the keys goes on.
    pub(crate) async fn settled(&self, keys: &[K]) {
        self.settle(Some(keys)).await;
    }

    /// Waits until none of the writes goes on.
    pub(crate) async fn all_settled(&self) {
        self.settle(None).await;
    }

    async fn settle(&self, keys: Option<&[K]>) {
        // Those that are given up from here on are no earlier ones.
        for mut running in self.covering(keys) {
            // An error: the other end was dropped.
            let _ = running.changed().await;
        }
    }

    fn covering(&self, keys: Option<&[K]>) -> Vec<watch::Receiver<()>> {
        if self.count.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        let mut writes = self.lock();
        writes.retain(Write::runs);
        self.count.store(writes.len(), Ordering::Release);
        writes.iter().filter(|write| write.covers(keys)).map(|write| write.running.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Write<K>>> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Drop for Waiting<'_, K> {
    fn drop(&mut self) {
        if self.running.has_changed().is_err() || self.keys.as_ref().is_some_and(Vec::is_empty) {
            return;
        }
        let write = Write { keys: self.keys.take().map(HashSet::from_iter), running: self.running.clone() };
        let mut writes = self.abandoned.lock();
        writes.retain(Write::runs);
        writes.push(write);
        self.abandoned.count.store(writes.len(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_later_write_waits_for_those_that_were_given_up_and_cover_its_keys() {
        let abandoned = Abandoned::new();
        let (ended, runs) = abandoned.wait_for(Some(vec![1, 2]));
        drop(runs);
        drop(ended);
        assert!(abandoned.settled(&[1]).now_or_never().is_some(), "it had ended");

        let (waiting, first) = abandoned.wait_for(Some(vec![1, 2]));
        assert!(abandoned.settled(&[1]).now_or_never().is_some(), "somebody waits for it");
        drop(waiting);
        let (waiting, second) = abandoned.wait_for(Some(vec![2, 3]));
        drop(waiting);
        assert!(abandoned.settled(&[4]).now_or_never().is_some());
        assert!(abandoned.settled(&[4, 1]).now_or_never().is_none());
        drop(first);
        assert!(abandoned.settled(&[1]).now_or_never().is_some());
        assert!(abandoned.settled(&[2]).now_or_never().is_none());
        drop(second);
        assert!(abandoned.settled(&[2]).now_or_never().is_some());

        let (waiting, of_any) = abandoned.wait_for(None);
        drop(waiting);
        assert!(abandoned.settled(&[9]).now_or_never().is_none() && abandoned.all_settled().now_or_never().is_none());
        assert!(abandoned.settled(&[]).now_or_never().is_some(), "what writes no key waits for none");
        drop(of_any);
        assert!(abandoned.settled(&[9]).now_or_never().is_some() && abandoned.all_settled().now_or_never().is_some());
        assert_eq!(abandoned.count.load(Ordering::Relaxed), 0);
    }
}

//! A small note on each of the keys that were noted last.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use crate::key::Key;

/// The most keys of one schema that have a note of one kind.
pub(super) const MOST_NOTES: usize = 10_000;

/// Notes on keys of one schema, of which the oldest make room.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    notes: Mutex<Notes<K, V>>,
}

#[derive(Debug)]
struct Notes<K, V> {
    keys: HashMap<K, V>,
    /// In the order in which they were made; of a key that was noted again, each time.
    order: VecDeque<(K, V)>,
}

impl<K: Key, V: Clone + PartialEq> Recent<K, V> {
    pub(crate) fn new() -> Self {
        Recent { notes: Mutex::new(Notes { keys: HashMap::new(), order: VecDeque::new() }) }
    }

    fn with<R>(&self, run: impl FnOnce(&mut Notes<K, V>) -> R) -> R {
        run(&mut self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes something on a key, in place of what was noted.
    pub(super) fn learn(&self, key: K, note: V) {
        self.with(|notes| {
            while notes.order.len() >= MOST_NOTES
                && let Some((key, note)) = notes.order.pop_front()
            {
                if notes.keys.get::<K::Borrowed>(key.borrow()) == Some(&note) {
                    notes.keys.remove::<K::Borrowed>(key.borrow());
                }
            }
            notes.order.push_back((key.clone(), note.clone()));
            notes.keys.insert(key, note);
        });
    }

    pub(super) fn get(&self, key: &K::Borrowed) -> Option<V> {
        self.with(|notes| notes.keys.get(key).cloned())
    }

    pub(super) fn forget(&self, key: &K::Borrowed) {
        self.with(|notes| notes.keys.remove(key));
    }

    pub(super) fn forget_all(&self) {
        self.with(|notes| {
            notes.keys.clear();
            notes.order.clear();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_notes_make_room_and_a_key_noted_again_stays() {
        let notes = Recent::<i64, u64>::new();
        notes.learn(1, 1);
        notes.learn(2, 1);
        notes.learn(1, 2);
        for key in 3..=MOST_NOTES as i64 {
            notes.learn(key, 3);
        }
        assert_eq!(notes.get(&1), Some(2), "its older note made room");
        assert_eq!(notes.get(&2), Some(1));
        notes.learn(-1, 3);
        assert_eq!(notes.get(&2), None);
        assert_eq!(notes.with(|notes| notes.order.len()), MOST_NOTES);
        notes.forget(&1);
        assert_eq!(notes.get(&1), None);
        notes.forget_all();
        assert_eq!((notes.get(&-1), notes.with(|notes| notes.order.len())), (None, 0));
    }
}

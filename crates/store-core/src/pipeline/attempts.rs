//! How often it is tried to load a record anew ahead of its end.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::key::Key;

/// The pause after the first attempt; after each further one it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The most keys of one schema whose attempts are known.
const MOST_KEYS: usize = 10_000;

/// The latest attempts at the records of one schema.
#[derive(Debug)]
pub(crate) struct Attempts<K> {
    known: Mutex<HashMap<K, Attempt>>,
}

#[derive(Debug, Clone, Copy)]
struct Attempt {
    /// When the record ends that it is to replace. What it brings has another end.
    end: u128,
    pause: Duration,
    /// When the next one may begin.
    next: Duration,
}

impl<K: Key> Attempts<K> {
    pub(crate) fn new() -> Self {
        Attempts { known: Mutex::default() }
    }

    /// Whether a record may be loaded anew now, which then counts as an attempt. `end` tells it from later records of the key, in any unit; `now` is on the clock's
    /// monotonic scale.
    ///
    /// An attempt that succeeds replaces the record. So one that still has the same end after an attempt is one that could not be renewed.
    pub(crate) fn begin(&self, key: &K::Borrowed, end: u128, now: Duration) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = match known.get(key).filter(|earlier| earlier.end == end) {
            Some(earlier) if now < earlier.next => return false,
            Some(earlier) => earlier.pause.saturating_mul(2).min(LONGEST_PAUSE),
            None => FIRST_PAUSE,
        };
        if known.len() >= MOST_KEYS && !known.contains_key(key) {
            known.retain(|_, attempt| now < attempt.next);
            // To look through all of them again for each further key would take longer than what it spares.
            if known.len() > MOST_KEYS / 2 {
                known.clear();
            }
        }
        known.insert(key.to_owned(), Attempt { end, pause, next: now.saturating_add(pause) });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_at_one_record_become_rare_and_those_at_the_next_begin_anew() {
        let attempts = Attempts::<i64>::new();
        let begun = |end, seconds: u64| (0..seconds * 200).filter(|tick| attempts.begin(&1, end, Duration::from_millis(tick * 5))).count();
        assert_eq!(begun(60, 1), 4, "at 0, 100, 300 and 700 ms");
        assert_eq!(begun(61, 1), 4);
        assert!((120..=140).contains(&begun(62, 3_600)), "one in 30 seconds in the end");
    }

    #[test]
    fn keys_without_number_are_not_kept() {
        let attempts = Attempts::<i64>::new();
        for key in 0..3 * MOST_KEYS as i64 {
            assert!(attempts.begin(&key, 1, Duration::ZERO));
        }
        assert!(attempts.known.lock().unwrap().len() <= MOST_KEYS);
        assert!(!attempts.begin(&(3 * MOST_KEYS as i64 - 1), 1, Duration::ZERO));
    }
}

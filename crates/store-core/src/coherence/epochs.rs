//! Which tags an instance has heard to be invalidated, and whether an entry of memory is older than that.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use crate::facet::MOST_TAGS;

/// The invalidations of tags that one schema has heard of, counted.
///
/// An entry is stamped with the count before its load or write begins. It is void once one of its tags was invalidated at a higher count: nothing is swept, and
/// an entry without tags is never looked at.
#[derive(Debug)]
pub(crate) struct Epochs {
    /// Beyond this many tags, every entry with a tag is void that is older than the overflow.
    most_tags: usize,
    count: AtomicU64,
    heard: RwLock<Heard>,
}

#[derive(Debug, Clone, Default)]
struct Heard {
    /// Entries with tags and a lower stamp are void.
    floor: u64,
    /// The count at which each tag was invalidated last.
    at: HashMap<String, u64>,
}

impl Default for Epochs {
    fn default() -> Self {
        Self::new(MOST_TAGS)
    }
}

impl Epochs {
    fn new(most_tags: usize) -> Self {
        Epochs { most_tags, count: AtomicU64::new(0), heard: RwLock::default() }
    }

    /// What an entry is stamped with whose load or write begins now.
    pub(crate) fn stamp(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// Hears that a tag was invalidated.
    pub(crate) fn raise(&self, tag: &str) {
        let mut heard = self.heard.write().unwrap_or_else(PoisonError::into_inner);
        let count = self.count.load(Ordering::Relaxed) + 1;
        let has_room = heard.at.len() < self.most_tags;
        match heard.at.get_mut(tag) {
            Some(at) => *at = count,
            None if has_room => drop(heard.at.insert(tag.to_owned(), count)),
            None => *heard = Heard { floor: count, at: HashMap::new() },
        }
        self.count.store(count, Ordering::Release);
    }

    /// Whether none of an entry's tags was invalidated since it was stamped.
    pub(crate) fn holds(&self, tags: &[String], stamp: u64) -> bool {
        if tags.is_empty() || self.stamp() <= stamp {
            return true;
        }
        let heard = self.heard.read().unwrap_or_else(PoisonError::into_inner);
        heard.floor <= stamp && tags.iter().all(|tag| heard.at.get(tag).is_none_or(|at| *at <= stamp))
    }
}

#[cfg(test)]
impl Clone for Epochs {
    fn clone(&self) -> Self {
        let heard = self.heard.read().unwrap_or_else(PoisonError::into_inner).clone();
        Epochs { most_tags: self.most_tags, count: AtomicU64::new(self.stamp()), heard: RwLock::new(heard) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Invalidate(u8),
        Install(Vec<u8>),
    }

    fn step() -> impl Strategy<Value = Step> {
        let tag = 0_u8..6;
        prop_oneof![tag.clone().prop_map(Step::Invalidate), prop::collection::vec(tag, 0..4).prop_map(Step::Install)]
    }

    proptest! {
        /// The model keeps the entries themselves, and marks those that each invalidation meets.
        #[test]
        fn an_entry_is_void_once_one_of_its_tags_was_invalidated(most_tags in 1_usize..8, steps in prop::collection::vec(step(), 0..40)) {
            let epochs = Epochs::new(most_tags);
            // Tags, stamp, whether one of the tags was invalidated, and whether there were too many tags since.
            let mut entries: Vec<(Vec<String>, u64, bool, bool)> = Vec::new();
            let mut known: std::collections::HashSet<u8> = std::collections::HashSet::new();
            for step in steps {
                match step {
                    Step::Install(tags) => entries.push((tags.iter().map(u8::to_string).collect(), epochs.stamp(), false, false)),
                    Step::Invalidate(tag) => {
                        epochs.raise(&tag.to_string());
                        let overflows = !known.contains(&tag) && known.len() >= most_tags;
                        if overflows {
                            known.clear();
                        } else {
                            known.insert(tag);
                        }
                        for (tags, _, is_void, is_unsure) in &mut entries {
                            *is_void |= tags.contains(&tag.to_string());
                            *is_unsure |= overflows;
                        }
                    }
                }
                for (tags, stamp, is_void, is_unsure) in &entries {
                    let may_hold = !is_void;
                    let must_hold = tags.is_empty() || (may_hold && !is_unsure);
                    let holds = epochs.holds(tags, *stamp);
                    prop_assert!(!holds || may_hold, "a void entry is answered");
                    prop_assert!(holds || !must_hold, "an entry is dropped that no invalidation met");
                }
            }
        }
    }
}

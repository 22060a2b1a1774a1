//! The writes of one schema that the truth does not have yet: of each key the last.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

use super::base::Base;

/// The pending writes of one schema. `W` is a write, `A` whom to answer when it is flushed.
///
/// A write is announced by [`stage`](Self::stage), gets its place by [`apply`](Self::apply) and leaves by [`settle`](Self::settle). Meanwhile newer ones of its key may
/// take its place.
#[derive(Debug)]
pub(crate) struct Pending<K, W, A> {
    entries: HashMap<K, Entry<W, A>>,
    /// Other writes by this instance of which nobody knows the keys yet.
    doors: u32,
}

#[derive(Debug)]
struct Entry<W, A> {
    /// Writes that were announced and have no place yet.
    staged: u32,
    /// Other writes of the key by this instance whose outcome is on its way.
    doors: u32,
    base: Base,
    /// Whether a write of this instance had an unknown outcome: whatever else is heard may be older.
    is_forgotten: bool,
    /// Whether the journal may hold a write of the key that takes effect under a condition alone, if a crash comes.
    is_conditional: bool,
    last: Option<Last<W>>,
    waiting: Vec<(u64, A)>,
}

#[derive(Debug)]
struct Last<W> {
    write: W,
    /// The place of the first pending write of the key.
    first: u64,
    sequence: u64,
    /// Whether somebody relies on it, or on one whose place it took.
    is_acknowledged: bool,
}

/// One key's pending write, as a flush takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken<K, W> {
    pub(crate) key: K,
    pub(crate) write: W,
    /// The places of the key's first and last pending write.
    pub(crate) first: u64,
    pub(crate) sequence: u64,
    pub(crate) base: Base,
    pub(crate) is_acknowledged: bool,
}

/// What a flush leaves of a key.
#[derive(Debug)]
pub(crate) struct Settled<A> {
    /// Whom to answer.
    pub(crate) answered: Vec<A>,
    /// Whether nothing of the key is pending any more.
    pub(crate) is_gone: bool,
}

impl<W, A> Entry<W, A> {
    fn new(base: Base) -> Self {
        Entry { staged: 0, doors: 0, base, is_forgotten: false, is_conditional: false, last: None, waiting: Vec::new() }
    }

    fn forget_base(&mut self) {
        (self.base, self.is_forgotten, self.is_conditional) = (Base::Unknown, true, false);
    }

    fn is_idle(&self) -> bool {
        self.staged == 0 && self.doors == 0 && self.last.is_none()
    }
}

impl<K: Clone + Eq + Hash, W: Clone, A> Pending<K, W, A> {
    pub(crate) fn new() -> Self {
        Pending { entries: HashMap::new(), doors: 0 }
    }

    /// Announces a write. Answers what it is based on for the journal: `base` if nothing of the key is pending or announced, else what that leaves; and nothing known
    /// while another write of this instance may be about to replace that.
    pub(crate) fn stage(&mut self, key: &K, base: impl FnOnce() -> Base) -> Base {
        let entry = match self.entries.get_mut(key) {
            Some(entry) => entry,
            None => self.entries.entry(key.clone()).or_insert_with(|| Entry::new(base())),
        };
        let follows = entry.staged > 0 || entry.last.is_some() || entry.doors > 0 || self.doors > 0;
        entry.staged += 1;
        if follows {
            return Base::Unknown;
        }
        entry.is_conditional |= entry.base.condition().is_some();
        entry.base
    }

    /// Takes an announcement back.
    pub(crate) fn unstage(&mut self, key: &K) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.staged = entry.staged.saturating_sub(1);
        }
        self.drop_idle(key);
    }

    /// Gives an announced write its place. Whether it is the only pending one of its key.
    pub(crate) fn apply(&mut self, key: &K, sequence: u64, write: W, is_acknowledged: bool, waits: Option<A>) -> bool {
        let entry = self.entries.entry(key.clone()).or_insert_with(|| Entry::new(Base::Unknown));
        entry.staged = entry.staged.saturating_sub(1);
        entry.waiting.extend(waits.map(|waits| (sequence, waits)));
        match &mut entry.last {
            None => {
                entry.last = Some(Last { write, first: sequence, sequence, is_acknowledged });
                true
            }
            Some(last) => {
                last.is_acknowledged |= is_acknowledged;
                if last.sequence < sequence {
                    (last.write, last.sequence) = (write, sequence);
                }
                false
            }
        }
    }

    /// The pending write of a key.
    pub(crate) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&W>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key)?.last.as_ref().map(|last| &last.write)
    }

    /// The place of the pending write of a key.
    pub(crate) fn sequence<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<u64>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key)?.last.as_ref().map(|last| last.sequence)
    }

    /// The last place of all.
    pub(crate) fn last_sequence(&self) -> Option<u64> {
        self.entries.values().filter_map(|entry| entry.last.as_ref()).map(|last| last.sequence).max()
    }

    /// All pending writes, which stay.
    pub(crate) fn take(&self) -> Vec<Taken<K, W>> {
        let take = |(key, entry): (&K, &Entry<W, A>)| {
            let Last { write, first, sequence, is_acknowledged } = entry.last.as_ref()?;
            Some(Taken {
                key: key.clone(),
                write: write.clone(),
                first: *first,
                sequence: *sequence,
                base: entry.base,
                is_acknowledged: *is_acknowledged,
            })
        };
        self.entries.iter().filter_map(take).collect()
    }

    /// The key's writes up to a place are decided. What came later stays.
    pub(crate) fn settle(&mut self, key: &K, sequence: u64) -> Settled<A> {
        let Some(entry) = self.entries.get_mut(key) else { return Settled { answered: Vec::new(), is_gone: false } };
        let (answered, waiting) = std::mem::take(&mut entry.waiting).into_iter().partition(|(place, _)| *place <= sequence);
        entry.waiting = waiting;
        let is_gone = entry.last.as_ref().is_some_and(|last| last.sequence <= sequence);
        if is_gone {
            entry.last = None;
        } else if let Some(last) = &mut entry.last {
            last.first = last.sequence;
        }
        self.drop_idle(key);
        Settled { answered: answered.into_iter().map(|(_, waits): (u64, A)| waits).collect(), is_gone }
    }

    /// This instance has written the key: what is pending of it comes after that.
    pub(crate) fn rebase(&mut self, key: &K, base: Base) {
        if let Some(entry) = self.entries.get_mut(key)
            && !entry.is_forgotten
            && entry.base.is_before(base)
        {
            entry.base = base;
        }
    }

    /// What is pending of the key has not seen what this instance has just written.
    pub(crate) fn return_to_base(&mut self, key: &K, base: Base) {
        if let Some(entry) = self.entries.get_mut(key).filter(|entry| !entry.is_forgotten) {
            entry.base = base;
        }
    }

    /// What is pending of the key is based on nothing known, as long as anything is.
    pub(crate) fn forget_base(&mut self, key: &K) {
        self.entries.get_mut(key).into_iter().for_each(Entry::forget_base);
    }

    /// As [`forget_base`](Self::forget_base), for all keys.
    pub(crate) fn forget_bases(&mut self) {
        self.entries.values_mut().for_each(Entry::forget_base);
    }

    /// Those of some keys, or with `None` of all, of which the journal may hold a write that takes effect under a condition alone.
    pub(crate) fn conditional(&self, keys: Option<&[K]>) -> Vec<K> {
        let is_conditional = |key: &&K| self.entries.get(key).is_some_and(|entry| entry.is_conditional);
        match keys {
            Some(keys) => keys.iter().filter(is_conditional).cloned().collect(),
            None => self.entries.keys().filter(is_conditional).cloned().collect(),
        }
    }

    /// The journal says that what it holds of the key is based on nothing known.
    pub(crate) fn note_unconditional(&mut self, key: &K) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.is_conditional = false;
        }
    }

    /// What the key's pending writes are based on now.
    pub(crate) fn base(&self, key: &K) -> Option<Base> {
        self.entries.get(key).map(|entry| entry.base)
    }

    /// Another write of the key by this instance begins.
    pub(crate) fn open_door(&mut self, key: &K, base: impl FnOnce() -> Base) {
        match self.entries.get_mut(key) {
            Some(entry) => entry.doors += 1,
            None => self.entries.entry(key.clone()).or_insert_with(|| Entry::new(base())).doors += 1,
        }
    }

    /// It has ended.
    pub(crate) fn close_door(&mut self, key: &K) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.doors = entry.doors.saturating_sub(1);
        }
        self.drop_idle(key);
    }

    /// As [`open_door`](Self::open_door), for a write of which nobody knows the keys yet.
    pub(crate) fn open_any_door(&mut self) {
        self.doors += 1;
    }

    /// It has ended.
    pub(crate) fn close_any_door(&mut self) {
        self.doors = self.doors.saturating_sub(1);
    }

    /// Whether another write by this instance goes on that may be of the key.
    pub(crate) fn has_door(&self, key: &K) -> bool {
        self.doors > 0 || self.entries.get(key).is_some_and(|entry| entry.doors > 0)
    }

    fn drop_idle(&mut self, key: &K) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        if entry.is_idle() {
            self.entries.remove(key);
        } else if entry.staged == 0 && entry.last.is_none() {
            entry.is_conditional = false;
        }
    }
}

#[cfg(test)]
mod tests;

//! What a shelf with limits holds: entries by key, in the order in which they leave, and by deadline.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::time::Duration;

use hashbrown::HashTable;
use hashbrown::hash_table::OccupiedEntry;
use slab::Slab;
use store_core::{Eviction, EvictionCause, Key, Record, Schema, Version};

use crate::notice::Departed;
use crate::order::Order;

/// The most that a table may hold, at least one entry. Both limits count at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) entries: u64,
    pub(crate) weight: u64,
}

/// A key with its hash, which is taken outside the lock.
pub(crate) struct Lookup<'a, T: Schema> {
    pub(crate) key: &'a <T::Key as Key>::Borrowed,
    pub(crate) hash: u64,
}

/// An entry to install.
pub(crate) struct Newcomer<T: Schema> {
    pub(crate) key: T::Key,
    pub(crate) hash: u64,
    pub(crate) record: Record<T>,
    pub(crate) deadline: Option<Duration>,
    /// At most the limit.
    pub(crate) weight: u64,
}

struct Node<T: Schema> {
    key: T::Key,
    hash: u64,
    record: Record<T>,
    deadline: Option<Duration>,
    weight: u64,
}

impl<T: Schema> Node<T> {
    fn is_live(&self, now: Duration) -> bool {
        self.deadline.is_none_or(|deadline| now < deadline)
    }
}

/// Entries under limits. It runs no code of the user: what leaves is handed out, so that the caller drops it outside its lock.
pub(crate) struct Table<T: Schema> {
    nodes: Slab<Node<T>>,
    slots: HashTable<usize>,
    order: Order,
    deadlines: BTreeSet<(Duration, usize)>,
    weight: u64,
    limits: Limits,
}

impl<T: Schema> Table<T> {
    pub(crate) fn new(limits: Limits, eviction: Eviction) -> Self {
        Table { nodes: Slab::new(), slots: HashTable::new(), order: Order::new(eviction), deadlines: BTreeSet::new(), weight: 0, limits }
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The live record of a key, counted as a use. An expired one departs.
    pub(crate) fn get(&mut self, lookup: &Lookup<'_, T>, now: Duration, departed: &mut Vec<Departed<T>>) -> Option<&Record<T>> {
        let slot = self.find(lookup)?;
        if !self.nodes[slot].is_live(now) {
            self.evict(slot, EvictionCause::Expired, departed);
            return None;
        }
        self.order.touch(slot);
        Some(&self.nodes[slot].record)
    }

    pub(crate) fn version(&self, lookup: &Lookup<'_, T>, now: Duration) -> Option<Version> {
        let node = &self.nodes[self.find(lookup)?];
        node.is_live(now).then(|| node.record.version())
    }

    /// Puts a live entry in, after making room for it, and returns the record that it replaces.
    pub(crate) fn install(&mut self, newcomer: Newcomer<T>, now: Duration, departed: &mut Vec<Departed<T>>) -> Option<Record<T>> {
        let Newcomer { key, hash, record, deadline, weight } = newcomer;
        let present = self.find(&Lookup { key: key.borrow(), hash }).map(|slot| self.take(slot));
        // A use of an expired entry says nothing of the one that comes now: a sweep might have been there between them.
        let uses = present.as_ref().filter(|(node, _)| node.is_live(now)).map_or(0, |&(_, uses)| uses);
        let replaced = present.map(|(node, _)| node.record);

        while !self.has_room(weight) && self.evict_expired(now, departed) {}
        while !self.has_room(weight) {
            let Some(slot) = self.order.first() else { break };
            self.evict(slot, EvictionCause::Size, departed);
        }

        let slot = self.nodes.insert(Node { key, hash, record, deadline, weight });
        let nodes = &self.nodes;
        self.slots.insert_unique(hash, slot, |&slot| nodes[slot].hash);
        self.order.join(slot, uses);
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, slot));
        }
        self.weight += weight;
        replaced
    }

    /// Takes an entry out, and tells whether it was live.
    pub(crate) fn remove(&mut self, lookup: &Lookup<'_, T>, now: Duration) -> Option<(Record<T>, bool)> {
        let (node, _) = self.find(lookup).map(|slot| self.take(slot))?;
        let live = node.is_live(now);
        Some((node.record, live))
    }

    /// Lets the expired entry with the earliest deadline depart. Returns whether there was one.
    pub(crate) fn evict_expired(&mut self, now: Duration, departed: &mut Vec<Departed<T>>) -> bool {
        match self.deadlines.first() {
            Some(&(deadline, slot)) if deadline <= now => {
                self.evict(slot, EvictionCause::Expired, departed);
                true
            }
            _ => false,
        }
    }

    fn has_room(&self, weight: u64) -> bool {
        (self.nodes.len() as u64) < self.limits.entries && self.weight <= self.limits.weight - weight
    }

    fn find(&self, lookup: &Lookup<'_, T>) -> Option<usize> {
        self.slots.find(lookup.hash, |&slot| self.nodes[slot].key.borrow() == lookup.key).copied()
    }

    fn evict(&mut self, slot: usize, cause: EvictionCause, departed: &mut Vec<Departed<T>>) {
        let (node, _) = self.take(slot);
        departed.push(Departed { key: node.key, record: node.record, cause });
    }

    /// Takes an entry out of everything, and returns its uses with it.
    fn take(&mut self, slot: usize) -> (Node<T>, u64) {
        let node = self.nodes.remove(slot);
        if let Ok(entry) = self.slots.find_entry(node.hash, |&candidate| candidate == slot) {
            OccupiedEntry::remove(entry);
        }
        if let Some(deadline) = node.deadline {
            self.deadlines.remove(&(deadline, slot));
        }
        self.weight -= node.weight;
        (node, self.order.leave(slot))
    }
}

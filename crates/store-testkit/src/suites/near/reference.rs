//! The shelf that the others are checked against: a list, searched from front to back on every call.

use std::time::Duration;

use store_core::Eviction;

#[derive(Debug, Clone)]
struct Entry {
    key: String,
    version: u64,
    weight: u64,
    deadline: Option<Duration>,
    uses: u64,
    last_use: u64,
    installed: u64,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) eviction: Eviction,
    pub(super) max_entries: Option<u64>,
    pub(super) max_weight: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Reference {
    rules: Rules,
    live: Vec<Entry>,
    /// Keys and versions of the entries that expired and of which a notice is due, at any time until the sweep.
    expired: Vec<(String, u64)>,
    calls: u64,
}

impl Reference {
    pub(super) fn new(rules: Rules) -> Self {
        Reference { rules, live: Vec::new(), expired: Vec::new(), calls: 0 }
    }

    /// Moves the entries that have expired by now out of the live ones. Every call begins with it.
    pub(super) fn begin(&mut self, now: Duration) {
        self.calls += 1;
        let (live, expired) = self.live.drain(..).partition(|entry| entry.deadline.is_none_or(|deadline| now < deadline));
        self.live = live;
        self.expired.extend(Vec::into_iter(expired).map(|entry: Entry| (entry.key, entry.version)));
    }

    fn position(&self, key: &str) -> Option<usize> {
        self.live.iter().position(|entry| entry.key == key)
    }

    pub(super) fn version(&mut self, key: &str, now: Duration) -> Option<u64> {
        self.begin(now);
        self.position(key).map(|position| self.live[position].version)
    }

    pub(super) fn get(&mut self, key: &str, now: Duration) -> Option<u64> {
        self.begin(now);
        let calls = self.calls;
        let entry = self.live.iter_mut().find(|entry| entry.key == key)?;
        entry.uses += 1;
        entry.last_use = calls;
        Some(entry.version)
    }

    /// Installs an entry and returns the keys and versions of the victims in their order.
    pub(super) fn install(
        &mut self,
        key: &str,
        version: u64,
        weight: u64,
        deadline: Option<Duration>,
        now: Duration,
    ) -> Vec<(String, u64)> {
        self.begin(now);
        let uses = self.position(key).map_or(0, |position| self.live.remove(position).uses);
        let too_heavy = self.rules.max_weight.is_some_and(|limit| weight > limit);
        let too_late = deadline.is_some_and(|deadline| deadline <= now);
        if too_heavy || too_late || self.rules.max_entries == Some(0) {
            return Vec::new();
        }
        let mut victims = Vec::new();
        while self.is_over(weight) {
            let first = self.first();
            let victim = self.live.remove(first);
            victims.push((victim.key, victim.version));
        }
        let calls = self.calls;
        self.live.push(Entry { key: key.to_owned(), version, weight, deadline, uses: uses + 1, last_use: calls, installed: calls });
        victims
    }

    fn is_over(&self, weight: u64) -> bool {
        let total: u64 = self.live.iter().map(|entry| entry.weight).sum();
        self.rules.max_entries.is_some_and(|limit| self.live.len() as u64 >= limit)
            || self.rules.max_weight.is_some_and(|limit| total + weight > limit)
    }

    fn first(&self) -> usize {
        let rank = |entry: &Entry| match self.rules.eviction {
            Eviction::Lru => (0, entry.last_use),
            Eviction::Lfu => (entry.uses, entry.last_use),
            Eviction::Fifo => (0, entry.installed),
        };
        (0..self.live.len()).min_by_key(|&position| rank(&self.live[position])).unwrap_or_default()
    }

    pub(super) fn remove(&mut self, key: &str, now: Duration) -> bool {
        self.begin(now);
        self.position(key).map(|position| self.live.remove(position)).is_some()
    }

    pub(super) fn clear(&mut self) {
        self.live.clear();
        self.expired.clear();
    }

    /// Takes a notice of an expired entry down. Returns whether it was due.
    pub(super) fn note_expired(&mut self, key: &str, version: u64) -> bool {
        let due = self.expired.iter().position(|(expired, of)| expired == key && *of == version);
        due.map(|position| self.expired.remove(position)).is_some()
    }

    /// Drops a key's expired entries, which were replaced or removed before anything noticed them.
    pub(super) fn forget_expired(&mut self, key: &str) {
        self.expired.retain(|(expired, _)| expired != key);
    }

    /// How many entries a shelf may hold now: the live ones, and any of the expired ones.
    pub(super) fn entries(&self) -> std::ops::RangeInclusive<u64> {
        let live = self.live.len() as u64;
        live..=live + self.expired.len() as u64
    }
}

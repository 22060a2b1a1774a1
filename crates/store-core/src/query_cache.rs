//! Answers of searches that memory keeps, and when they are void.
//!
//! An answer is kept with what its query reads. Whatever this instance hears of the schema (its own writes, the log, messages, invalidations) voids the answers that
//! it could change, and with them the loads under way: those install nothing when they land. So an answer that is here is the one that the truth would give, but
//! for commits that this instance has not heard of; how long ago these can be is the freshness lease's to say, as for records.
//!
//! A read may show something of the schema before the log tells of it. From then on ([`QueryCache::tell`]) what was loaded before is believed only
//! once the log has been read.

mod key;
mod plain;

pub(crate) use key::{QueryKey, Shown};

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::flight::Flights;
use crate::record::Record;
use crate::sync::{Mutex, MutexGuard, PoisonError};
use crate::value::Row;

/// What a query found.
#[derive(Debug)]
pub(crate) enum Found<T> {
    /// Records.
    Records(Vec<Record<T>>),
    /// The values of some columns.
    Rows(Vec<Row<'static>>),
}

impl<T> Found<T> {
    fn len(&self) -> usize {
        match self {
            Found::Records(records) => records.len(),
            Found::Rows(rows) => rows.len(),
        }
    }
}

/// The most that one schema's answers may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueryLimits {
    /// Answers.
    pub(crate) entries: u64,
    /// Records, or rows of chosen columns, in all answers together.
    pub(crate) rows: u64,
}

/// The answers that memory keeps of one schema's searches.
#[derive(Debug)]
pub(crate) struct QueryCache<T> {
    state: Mutex<State<T>>,
    limits: QueryLimits,
    flights: Flights<QueryKey, Arc<Found<T>>>,
    /// How often a read told of something that the log may not have told of.
    told: AtomicU64,
    /// The number of the poll that brings all of that.
    needed_poll: AtomicU64,
}

#[derive(Debug)]
struct State<T> {
    entries: HashMap<QueryKey, Entry<T>>,
    /// The entries by when they were used last.
    used: BTreeMap<u64, QueryKey>,
    rows: u64,
    uses: u64,
    /// The loads under way, each by a number.
    loads: HashMap<u64, QueryKey>,
    loads_begun: u64,
}

#[derive(Debug)]
struct Entry<T> {
    found: Arc<Found<T>>,
    /// On the clock's monotonic scale; `None` for never.
    end: Option<Duration>,
    /// What reads had told when the load began.
    told: u64,
    used: u64,
}

/// An answer that memory keeps.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    pub(crate) found: Arc<Found<T>>,
    /// What reads had told when it was loaded.
    pub(crate) told: u64,
}

/// A load under way. Dropping it ends it without an answer.
#[derive(Debug)]
pub(crate) struct Loading<'a, T> {
    cache: &'a QueryCache<T>,
    number: u64,
    told: u64,
}

/// How many entries came, and how many left, for whatever reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Turnover {
    pub(crate) came: u64,
    pub(crate) left: u64,
}

/// What an event has made void.
#[derive(Debug, Default)]
pub(crate) struct Voided {
    /// How many entries.
    pub(crate) entries: u64,
    /// The queries whose loads under way install nothing, and are to be joined by no later reader.
    pub(crate) loads: Vec<QueryKey>,
}

impl<T: Send + Sync + 'static> QueryCache<T> {
    pub(crate) fn new(limits: QueryLimits) -> Self {
        let state = State { entries: HashMap::new(), used: BTreeMap::new(), rows: 0, uses: 0, loads: HashMap::new(), loads_begun: 0 };
        QueryCache { state: Mutex::new(state), limits, flights: Flights::new(), told: AtomicU64::new(0), needed_poll: AtomicU64::new(0) }
    }

    /// The loads that readers share.
    pub(crate) fn flights(&self) -> &Flights<QueryKey, Arc<Found<T>>> {
        &self.flights
    }

    /// The answer of a query, and how many entries left because their time was over.
    pub(crate) fn get(&self, key: &QueryKey, now: Duration) -> (Option<Kept<T>>, Turnover) {
        let mut state = self.lock();
        let state = &mut *state;
        let Some(entry) = state.entries.get_mut(key) else { return (None, Turnover::default()) };
        if entry.end.is_some_and(|end| end <= now) {
            state.remove(key);
            return (None, Turnover { came: 0, left: 1 });
        }
        state.uses += 1;
        if let Some(key) = state.used.remove(&entry.used) {
            state.used.insert(state.uses, key);
        }
        entry.used = state.uses;
        (Some(Kept { found: Arc::clone(&entry.found), told: entry.told }), Turnover::default())
    }

    /// To be called before a load reads anything.
    pub(crate) fn begin(&self, key: &QueryKey) -> Loading<'_, T> {
        let told = self.told();
        let mut state = self.lock();
        state.loads_begun += 1;
        let number = state.loads_begun;
        state.loads.insert(number, key.clone());
        drop(state);
        Loading { cache: self, number, told }
    }

    /// Voids every answer and every load under way for which the condition holds.
    pub(crate) fn void(&self, is_void: impl Fn(&QueryKey) -> bool) -> Voided {
        let mut state = self.lock();
        let loads: Vec<u64> = state.loads.iter().filter(|(_, key)| is_void(key)).map(|(number, _)| *number).collect();
        let loads = loads.into_iter().filter_map(|number| state.loads.remove(&number)).collect();
        let entries: Vec<QueryKey> = state.entries.keys().filter(|key| is_void(key)).cloned().collect();
        for key in &entries {
            state.remove(key);
        }
        Voided { entries: entries.len() as u64, loads }
    }
}

impl<T> QueryCache<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What reads have told so far.
    pub(crate) fn told(&self) -> u64 {
        self.told.load(Ordering::Acquire)
    }

    /// Hears that a read shows something that may be newer than what the log has told; `next_poll` is the number of a poll that begins from here on.
    pub(crate) fn tell(&self, next_poll: u64) {
        // First, so that whoever sees the one sees the other.
        self.needed_poll.fetch_max(next_poll, Ordering::AcqRel);
        self.told.fetch_add(1, Ordering::AcqRel);
    }

    /// The number of the poll that brings whatever reads have told so far.
    pub(crate) fn needed_poll(&self) -> u64 {
        self.needed_poll.load(Ordering::Acquire)
    }
}

impl<T> Loading<'_, T> {
    /// Keeps the answer until `end`, unless something heard meanwhile could have changed it (`false`) or it is too large to be kept. `own` is how often the load itself
    /// told of something.
    pub(crate) fn land(self, found: &Arc<Found<T>>, end: Option<Duration>, own: u64) -> (bool, Turnover) {
        let cache = self.cache;
        // Where others told of something as well, nobody knows in which order.
        let told = if cache.told() == self.told + own { self.told + own } else { self.told };
        let mut state = cache.lock();
        let Some(key) = state.loads.remove(&self.number) else { return (false, Turnover::default()) };
        let mut turnover = Turnover::default();
        if state.remove(&key) {
            turnover.left += 1;
        }
        let rows = found.len() as u64;
        if rows > cache.limits.rows {
            return (true, turnover);
        }
        while state.entries.len() as u64 >= cache.limits.entries || state.rows + rows > cache.limits.rows {
            let Some((_, oldest)) = state.used.first_key_value() else { break };
            let oldest = oldest.clone();
            state.remove(&oldest);
            turnover.left += 1;
        }
        state.uses += 1;
        let used = state.uses;
        state.rows += rows;
        state.used.insert(used, key.clone());
        state.entries.insert(key, Entry { found: Arc::clone(found), end, told, used });
        turnover.came += 1;
        (true, turnover)
    }
}

impl<T> Drop for Loading<'_, T> {
    fn drop(&mut self) {
        self.cache.lock().loads.remove(&self.number);
    }
}

impl<T> State<T> {
    fn remove(&mut self, key: &QueryKey) -> bool {
        let Some(entry) = self.entries.remove(key) else { return false };
        self.used.remove(&entry.used);
        self.rows -= entry.found.len() as u64;
        true
    }
}

//! Answers of searches that memory keeps, and when they are void.
//!
//! An answer is kept with what its query reads. Whatever this instance hears of the schema (its own writes, the log, messages, invalidations) voids the answers that
//! it could change. What is heard while a search is under way is noted with it, and judged when it lands. So an answer that is here is the one that the truth
//! would give, but for commits that this instance has not heard of; how long ago these can be is the freshness lease's to say, as for records.
//!
//! A read or a message may tell of a commit before the log does, and not of what it changed. From then on ([`QueryCache::tell`]) what was loaded before
//! is believed only once the log has been read.

mod evaluate;
mod key;
mod plain;
mod reads;

pub(crate) use key::{QueryKey, Shown};
pub(crate) use reads::{Effect, KeyChange, Reads};

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reads::Answer;

use crate::clock::Clock;
use crate::flight::Flights;
use crate::key::Key;
use crate::record::Record;
use crate::schema::Schema;
use crate::sync::{Mutex, MutexGuard, PoisonError};
use crate::value::Row;
use crate::version::Version;

/// Above so many writes of keys that were heard during one search, nobody looks which of them could have changed its answer.
const MOST_NOTED: usize = 256;

/// Above so many pairs of a write and an answer at once, nobody looks either.
const MOST_JUDGED: usize = 1 << 16;

/// What a query found.
#[derive(Debug)]
pub(crate) enum Found<T> {
    /// Records.
    Records {
        /// In their order.
        records: Vec<Record<T>>,
        /// Of each the values that the order is by, as the truth has them.
        order: Vec<Row<'static>>,
    },
    /// Rows with chosen columns, and those that the order is by. All others are unset.
    Rows(Vec<Row<'static>>),
}

impl<T> Found<T> {
    fn len(&self) -> usize {
        match self {
            Found::Records { records, .. } => records.len(),
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
pub(crate) struct QueryCache<T: Schema> {
    state: Mutex<State<T>>,
    limits: QueryLimits,
    flights: Flights<QueryKey, Arc<Found<T>>>,
    /// How often something was told of that the log may not have told of.
    told: AtomicU64,
    /// The number of the poll that brings all of that.
    needed_poll: AtomicU64,
}

#[derive(Debug)]
struct State<T: Schema> {
    entries: HashMap<QueryKey, Entry<T>>,
    /// The entries by when they were used last.
    used: BTreeMap<u64, QueryKey>,
    rows: u64,
    uses: u64,
    /// The loads under way, each by a number.
    loads: HashMap<u64, Load<T>>,
    loads_begun: u64,
    /// The keys that this instance is writing.
    writing: HashMap<T::Key, Writing>,
    /// Writes that the log has told of, of keys that this instance is writing. Until its write says whether it was that one, no answer is given.
    echoes: Vec<(T::Key, Version)>,
}

#[derive(Debug)]
struct Entry<T: Schema> {
    answer: Answer<T>,
    /// On the clock's monotonic scale; `None` for never.
    end: Option<Duration>,
    /// What was told when the load began.
    told: u64,
    used: u64,
}

/// The writes of one key that are under way.
#[derive(Debug, Default)]
struct Writing {
    count: usize,
    /// The versions that they drew, as far as that was heard.
    heard: Vec<Version>,
}

/// A search under way that nothing has voided yet.
#[derive(Debug)]
struct Load<T: Schema> {
    key: QueryKey,
    reads: Arc<Reads>,
    /// What was heard since it began, and may change its answer.
    heard: Vec<Arc<KeyChange<T::Key>>>,
}

/// An answer that memory keeps.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    pub(crate) found: Arc<Found<T>>,
    /// What was told when it was loaded.
    pub(crate) told: u64,
}

/// A load under way. Dropping it ends it without an answer.
#[derive(Debug)]
pub(crate) struct Loading<'a, T: Schema> {
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
    /// The queries whose loads under way are to be joined by no later reader.
    pub(crate) loads: Vec<QueryKey>,
}

impl<T: Schema> QueryCache<T> {
    pub(crate) fn new(limits: QueryLimits) -> Self {
        let state = State {
            entries: HashMap::new(),
            used: BTreeMap::new(),
            rows: 0,
            uses: 0,
            loads: HashMap::new(),
            loads_begun: 0,
            writing: HashMap::new(),
            echoes: Vec::new(),
        };
        QueryCache { state: Mutex::new(state), limits, flights: Flights::new(), told: AtomicU64::new(0), needed_poll: AtomicU64::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The loads that readers share.
    pub(crate) fn flights(&self) -> &Flights<QueryKey, Arc<Found<T>>> {
        &self.flights
    }

    /// The answer of a query, and how many entries left because their time was over.
    pub(crate) fn get(&self, key: &QueryKey, clock: &dyn Clock) -> (Option<Kept<T>>, Turnover) {
        let mut state = self.lock();
        let state = &mut *state;
        if !state.echoes.is_empty() {
            return (None, Turnover::default());
        }
        let Some(entry) = state.entries.get_mut(key) else { return (None, Turnover::default()) };
        if entry.end.is_some_and(|end| !clock.is_ahead(end)) {
            state.remove(key);
            return (None, Turnover { came: 0, left: 1 });
        }
        state.uses += 1;
        if let Some(key) = state.used.remove(&entry.used) {
            state.used.insert(state.uses, key);
        }
        entry.used = state.uses;
        (Some(Kept { found: Arc::clone(&entry.answer.found), told: entry.told }), Turnover::default())
    }

    /// To be called before a load reads anything.
    pub(crate) fn begin(&self, key: &QueryKey, reads: &Arc<Reads>) -> Loading<'_, T> {
        let told = self.told();
        let mut state = self.lock();
        state.loads_begun += 1;
        let number = state.loads_begun;
        state.loads.insert(number, Load { key: key.clone(), reads: Arc::clone(reads), heard: Vec::new() });
        drop(state);
        Loading { cache: self, number, told }
    }

    /// Whether there is nothing that could be void. What begins to load from here on sees what was committed before.
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.lock();
        state.entries.is_empty() && state.loads.is_empty()
    }

    /// Voids every answer and every load under way for which the condition holds.
    pub(crate) fn void(&self, is_void: impl Fn(&QueryKey) -> bool) -> Voided {
        let mut state = self.lock();
        let loads = state.loads.extract_if(|_, load| is_void(&load.key)).map(|(_, load)| load.key).collect();
        let entries: Vec<QueryKey> = state.entries.keys().filter(|key| is_void(key)).cloned().collect();
        state.remove_all(&entries);
        Voided { entries: entries.len() as u64, loads }
    }

    /// To be called before this instance writes keys. The log may tell of the write before its own answer has come, and knows less of it.
    pub(crate) fn begin_write(&self, keys: &[T::Key]) {
        let mut state = self.lock();
        keys.iter().for_each(|key| state.writing.entry(key.clone()).or_default().count += 1);
    }

    /// To be called when a write that was begun has been heard of, or has failed. What the log told meanwhile and was another's voids everything.
    pub(crate) fn end_write(&self, keys: &[T::Key]) -> Voided {
        let mut state = self.lock();
        let State { writing, echoes, .. } = &mut *state;
        for key in keys {
            let borrowed: &<T::Key as Key>::Borrowed = key.borrow();
            if let Some(writes) = writing.get_mut(borrowed) {
                writes.count -= 1;
                if writes.count == 0 {
                    writing.remove(borrowed);
                }
            }
        }
        let told = echoes.len();
        echoes.retain(|(key, _)| writing.contains_key::<<T::Key as Key>::Borrowed>(key.borrow()));
        if echoes.len() == told {
            return Voided::default();
        }
        drop(state);
        self.void(|_| true)
    }

    /// Hears that the log tells of a version of a key, and nothing more. That voids everything, unless this instance may be about to say what was written.
    pub(crate) fn hear_version(&self, key: T::Key, version: Version) -> Voided {
        let mut state = self.lock();
        match state.writing.get::<<T::Key as Key>::Borrowed>(key.borrow()) {
            Some(writing) if writing.heard.contains(&version) => return Voided::default(),
            Some(_) => {}
            None => {
                drop(state);
                return self.void(|_| true);
            }
        }
        state.echoes.push((key, version));
        Voided { entries: 0, loads: state.loads.drain().map(|(_, load)| load.key).collect() }
    }

    /// Hears of writes of keys: voids every answer that they could change, and has the loads under way look when they land.
    pub(crate) fn hear(&self, changes: Vec<KeyChange<T::Key>>) -> Voided {
        let changes: Vec<_> = changes.into_iter().map(Arc::new).collect();
        let mut state = self.lock();
        let is_told = |key: &T::Key, version: Version| changes.iter().any(|change| change.version == Some(version) && change.key == *key);
        state.echoes.retain(|(key, version)| !is_told(key, *version));
        for change in &changes {
            let writing = state.writing.get_mut::<<T::Key as Key>::Borrowed>(change.key.borrow());
            if let (Some(writing), Some(version)) = (writing, change.version) {
                writing.heard.push(version);
            }
        }
        if changes.len() * (state.entries.len() + state.loads.len()) > MOST_JUDGED {
            drop(state);
            return self.void(|_| true);
        }
        let mut loads = Vec::new();
        state.loads.retain(|_, load| {
            let before = load.heard.len();
            load.heard.extend(changes.iter().filter(|change| !load.reads.overlooks(change)).cloned());
            if load.heard.len() > before {
                loads.push(load.key.clone());
            }
            load.heard.len() <= MOST_NOTED
        });
        let may_change = |entry: &Entry<T>| changes.iter().any(|change| entry.answer.may_change_by(change));
        let entries: Vec<QueryKey> = state.entries.iter().filter(|(_, entry)| may_change(entry)).map(|(key, _)| key.clone()).collect();
        state.remove_all(&entries);
        Voided { entries: entries.len() as u64, loads }
    }

    /// What was told so far.
    pub(crate) fn told(&self) -> u64 {
        self.told.load(Ordering::Acquire)
    }

    /// Hears that there may be something newer than what the log has told of; `next_poll` is the number of a poll that begins from here on.
    pub(crate) fn tell(&self, next_poll: u64) {
        // First, so that whoever sees the one sees the other.
        self.needed_poll.fetch_max(next_poll, Ordering::AcqRel);
        self.told.fetch_add(1, Ordering::AcqRel);
    }

    /// The number of the poll that brings whatever was told so far.
    pub(crate) fn needed_poll(&self) -> u64 {
        self.needed_poll.load(Ordering::Acquire)
    }
}

impl<T: Schema> Loading<'_, T> {
    /// Keeps the answer until `end`, unless something heard meanwhile could have changed it (`false`) or it is too large to be kept. `own` is how often the load itself
    /// told of something.
    pub(crate) fn land(self, found: &Arc<Found<T>>, reads: &Arc<Reads>, end: Option<Duration>, own: u64) -> (bool, Turnover) {
        let cache = self.cache;
        let answer = Answer::new(Arc::clone(found), Arc::clone(reads));
        // Where others told of something as well, nobody knows in which order.
        let told = if cache.told() == self.told + own { self.told + own } else { self.told };
        let mut state = cache.lock();
        let load = state.loads.remove(&self.number);
        let valid = load.zip(answer).filter(|(load, answer)| !load.heard.iter().any(|change| answer.may_change_by(change)));
        let Some((Load { key, .. }, answer)) = valid else { return (false, Turnover::default()) };
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
        state.entries.insert(key, Entry { answer, end, told, used });
        turnover.came += 1;
        (true, turnover)
    }
}

impl<T: Schema> Drop for Loading<'_, T> {
    fn drop(&mut self) {
        self.cache.lock().loads.remove(&self.number);
    }
}

impl<T: Schema> State<T> {
    fn remove(&mut self, key: &QueryKey) -> bool {
        let Some(entry) = self.entries.remove(key) else { return false };
        self.used.remove(&entry.used);
        self.rows -= entry.answer.found.len() as u64;
        true
    }

    fn remove_all(&mut self, keys: &[QueryKey]) {
        for key in keys {
            self.remove(key);
        }
    }
}

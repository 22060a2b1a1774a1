//! Reading through: what no tier holds is loaded by the caller's own function.
//!
//! A load may store its answer only over what it saw in the key's slot before it began, which the shared tier checks, and in memory only while the key's fence
//! stands. To keep processes from renewing the same value at once there is a second slot beside the key's own, whose lease is a courtesy: nothing relies on it.

mod ask;
mod chain;
mod keep;
mod known;
mod slots;

use std::borrow::Borrow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join, join_all};

pub(crate) use ask::{LoadMany, LoadOne, Loader};

use self::chain::{Chain, Waiting};
use self::known::LastKnown;
use super::read::Loaded;
use super::tags::Tagging;
use super::{Backing, Borrowed, Pipeline};
use crate::coherence::Era;
use crate::error::{Error, ErrorKind, Result};
use crate::facet::{Records, Seen};
use crate::fence::FenceToken;
use crate::flight::{Flight, Flights, Landing};
use crate::freshness::Freshness;
use crate::record::Record;
use crate::schema::Schema;
use crate::tag::CallTags;
use crate::version::Version;

/// The generation of what a loader brought, in a shared tier that is the truth of what was put.
pub(super) const LOADED: u64 = 1;

/// What a flight of a loader brings.
#[derive(Debug)]
pub(crate) enum Landed<T> {
    Found(Option<Loaded<T>>),
    /// The load failed. `known` is what may be answered instead.
    Failed {
        error: Arc<Error>,
        known: Option<Loaded<T>>,
    },
}

impl<T> Clone for Landed<T> {
    fn clone(&self) -> Self {
        match self {
            Landed::Found(found) => Landed::Found(found.clone()),
            Landed::Failed { error, known } => Landed::Failed { error: Arc::clone(error), known: known.clone() },
        }
    }
}

/// A key that is to be loaded.
struct Wanted<T: Schema> {
    key: T::Key,
    text: String,
    landing: Landing<T::Key, Landed<T>>,
    fence: FenceToken,
    /// When the tiers were looked at, on the clock's monotonic scale.
    began: Duration,
    known: Option<LastKnown<T>>,
    /// What the key's slot held. `None` where the shared tier is away, or must not be filled.
    seen: Option<Seen>,
    /// Whether other processes were asked to wait for this one to renew the key.
    is_renewing: bool,
    /// The version of what is loaded where memory is the truth.
    version: Version,
    tagging: Tagging,
    /// The shared tier's, as it was before the load.
    era: Option<Era>,
}

/// Why a load runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// Memory holds nothing, unless an earlier flight has landed since.
    Missing,
    /// Memory must not answer.
    PastMemory,
    /// What memory holds comes to its end.
    Renewal,
}

impl<T: Schema> Pipeline<T> {
    /// The record in memory, if memory may answer a read that has a loader.
    pub(crate) fn peek_loaded(&self, key: &Borrowed<T>, freshness: &Freshness) -> Option<Record<T>> {
        if matches!(self.backing, Backing::Tables { .. }) {
            return None;
        }
        let found = self.fresh_near(freshness).and_then(|near| self.live(&**near, key));
        if found.is_some() {
            self.counters().l1_hits.add(1);
        } else {
            self.counters().l1_misses.add(1);
        }
        found
    }

    fn check_loadable(&self) -> Result<()> {
        self.check_open()?;
        if matches!(self.backing, Backing::Tables { .. }) {
            let message =
                "its truth is a table, so there is nothing to load from elsewhere; read it with `get`, or declare the schema `cache_only`";
            return Err(Error::new(ErrorKind::InvalidQuery, message));
        }
        Ok(())
    }

    /// Refuses loads of keys within loads that they would wait for, and notes the wait for the others until what it answers is dropped.
    ///
    /// A call that no running load is fresh enough for waits for none.
    fn check_waits_for_no_own(&self, keys: &[T::Key], freshness: &Freshness) -> Result<Option<Waiting>> {
        let Some(chain) = Chain::current() else { return Ok(None) };
        let refused = |key: &T::Key, message: &str| self.load_failed(message.to_owned()).with_key(Self::text(key));
        let texts: Vec<String> = keys.iter().map(Self::text).collect();
        if let Some(own) = texts.iter().position(|text| chain.holds(self.address(), text)) {
            let message = "the key's own loader asks for it, itself or through a load that it waits for, and so would wait for itself; let it read the source";
            return Err(refused(&keys[own], message));
        }
        if !self.is_fresh(freshness) {
            return Ok(None);
        }
        let runs = |position: usize| self.loads.join(&keys[position]).is_some() || self.renewals.join(&keys[position]).is_some();
        match chain.wait_for(self.address(), texts, runs) {
            Ok(waiting) => Ok(Some(waiting)),
            Err(position) => {
                let message = "its loader, which another call runs, waits for the load that asks for it, and so the two would wait for each other; let one \
                               of the loaders read the source";
                Err(refused(&keys[position], message))
            }
        }
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// The record from the tiers below memory, or from the loader.
    pub(crate) async fn get_or_load(
        self: &Arc<Self>,
        key: T::Key,
        loader: impl Loader<T>,
        freshness: &Freshness,
    ) -> Result<Option<Loaded<T>>> {
        self.check_loadable()?;
        self.check(key.borrow())?;
        if self.is_fresh(freshness) && self.remembers_absence(key.borrow(), &CallTags::default()) {
            return Ok(None);
        }
        let _waiting = self.check_waits_for_no_own(std::slice::from_ref(&key), freshness)?;
        let mut flights = self.board(vec![key.clone()], loader, freshness);
        let Some(flight) = flights.pop() else { return Ok(None) };
        let waiting = self.within_limit(self.landed(&key, flight, freshness));
        match waiting.await {
            Err(error) if error.kind() == ErrorKind::Timeout && self.allows_stale(freshness) => match self.last_loaded(&key).await {
                Some(known) => Ok(Some(known)),
                None => Err(error),
            },
            answer => answer,
        }
    }

    /// The records of many keys, in the order of the keys; a key may come twice.
    pub(crate) async fn get_or_load_many(
        self: &Arc<Self>,
        keys: Vec<T::Key>,
        loader: impl Loader<T>,
        freshness: &Freshness,
    ) -> Result<Vec<Option<Record<T>>>> {
        self.check_loadable()?;
        self.check_all(&keys)?;
        let mut found: HashMap<T::Key, Option<Record<T>>> = HashMap::with_capacity(keys.len());
        let mut missing = Vec::new();
        for key in &keys {
            if !found.contains_key::<Borrowed<T>>(key.borrow()) {
                let record = self.peek_loaded(key.borrow(), freshness);
                if record.is_none() && !(self.is_fresh(freshness) && self.remembers_absence(key.borrow(), &CallTags::default())) {
                    missing.push(key.clone());
                }
                found.insert(key.clone(), record);
            }
        }
        let _waiting = self.check_waits_for_no_own(&missing, freshness)?;
        let flights = self.board(missing.clone(), loader, freshness);
        let landed = join_all(missing.iter().zip(flights).map(|(key, flight)| self.landed(key, flight, freshness))).await;
        for (key, loaded) in missing.into_iter().zip(landed) {
            let loaded = loaded.map_err(|error| error.with_key(Self::text(&key)))?;
            found.insert(key, loaded.map(|loaded| loaded.record));
        }
        Ok(keys.iter().map(|key| found.get::<Borrowed<T>>(key.borrow()).cloned().flatten()).collect())
    }

    /// A place on each key's flight. Those that nobody is loading are loaded, all by one task.
    fn board(self: &Arc<Self>, keys: Vec<T::Key>, loader: impl Loader<T>, freshness: &Freshness) -> Vec<Flight<Landed<T>>> {
        if self.is_fresh(freshness) {
            return self.board_on(&self.loads, keys, loader, Reason::Missing);
        }
        // A flight may have begun when less was known. Where what it saw in the slot is still there, this load meets its lease and waits for it.
        self.board_on(&Flights::new(), keys, loader, Reason::PastMemory)
    }

    fn board_on(
        self: &Arc<Self>,
        board: &Flights<T::Key, Landed<T>>,
        keys: Vec<T::Key>,
        loader: impl Loader<T>,
        reason: Reason,
    ) -> Vec<Flight<Landed<T>>> {
        let mut wanted = Vec::new();
        let boarded = keys.into_iter().map(|key| {
            let (flight, landing) = board.board(key.clone());
            if let Some(landing) = landing {
                let (text, fence) = (Self::text(&key), self.fences.begin::<Borrowed<T>>(key.borrow()));
                let (began, version, tagging) = (Duration::ZERO, Version::default(), self.begin_tagging(&CallTags::default()));
                let (known, seen, is_renewing, era) = (None, None, false, None);
                wanted.push(Wanted { key, text, landing, fence, began, known, seen, is_renewing, version, tagging, era });
            }
            flight
        });
        let flights = boarded.collect();
        if !wanted.is_empty() {
            let pipeline = Arc::clone(self);
            // Nobody waits for a renewal.
            let chain = Chain::current().filter(|_| reason != Reason::Renewal);
            self.shared.life.runtime().spawn(Chain::run(chain, async move { pipeline.load_wanted(wanted, loader, reason).await }));
        }
        flights
    }

    /// Waits for a flight, up to the soft time limit where the last known value may be answered instead.
    async fn landed(&self, key: &T::Key, mut flight: Flight<Landed<T>>, freshness: &Freshness) -> Result<Option<Loaded<T>>> {
        let allows_stale = self.allows_stale(freshness);
        let mut landed = None;
        if let Some(limit) = self.shared.settings.soft_timeout.filter(|_| allows_stale) {
            match tokio::time::timeout(limit, flight.landed()).await {
                Ok(answer) => landed = Some(answer),
                Err(_) => {
                    if let Some(known) = self.last_loaded(key).await {
                        return Ok(Some(known));
                    }
                }
            }
        }
        let landed = match landed {
            Some(landed) => landed,
            None => flight.landed().await,
        };
        if !self.is_fresh(freshness) {
            // It may have answered what a running flight does not know of.
            self.forget_flights(key);
        }
        match landed? {
            Landed::Found(found) => Ok(found),
            Landed::Failed { error, known: Some(known) } if allows_stale => {
                self.tolerate_load(&error);
                Ok(Some(known))
            }
            Landed::Failed { error, .. } => Err(error.duplicate()),
        }
    }

    /// Whether a record in memory is to be loaded anew ahead of its end, now.
    pub(crate) fn begins_renewal(&self, key: &Borrowed<T>, record: &Record<T>) -> bool {
        let settings = &self.shared.settings;
        if settings.refresh_ahead <= 0.0 {
            return false;
        }
        let Some(notes) = record.notes().filter(|notes| !self.is_current(notes, Reason::Renewal)) else { return false };
        let end = notes.fresh_until.unwrap_or_default().unsigned_abs();
        self.renewal_attempts.begin(key, end.into(), settings.clock.coarse())
    }

    /// Loads a record anew in the background.
    pub(crate) fn renew(self: &Arc<Self>, key: T::Key, loader: impl Loader<T>) {
        // Where there are slots, those who come after its end find there what this brings.
        let board = if matches!(self.backing, Backing::Memory(_)) { &self.loads } else { &self.renewals };
        drop(self.board_on(board, vec![key], loader, Reason::Renewal));
    }

    async fn load_wanted(self: Arc<Self>, wanted: Vec<Wanted<T>>, mut loader: impl Loader<T>, reason: Reason) {
        let Some(_pass) = self.shared.writes.enter() else {
            return wanted.into_iter().for_each(|wanted| wanted.fail(Error::closed()));
        };
        let wanted = match reason {
            Reason::Missing => wanted.into_iter().filter_map(|wanted| self.land_from_memory(wanted)).collect(),
            Reason::PastMemory | Reason::Renewal => wanted,
        };
        match &self.backing {
            Backing::Records(records) => {
                let (mut renewing, mut others) = (Vec::new(), Vec::new());
                for wanted in wanted {
                    match self.renewals.join(&wanted.key).filter(|_| reason == Reason::Missing) {
                        Some(renewal) => renewing.push((wanted, renewal)),
                        None => others.push(wanted),
                    }
                }
                let renewed = self.join_renewals(&**records, renewing);
                let ((), left) = join(self.load_shared(&**records, others, reason, &mut loader), renewed).await;
                self.load_shared(&**records, left, reason, &mut loader).await;
            }
            Backing::Memory(versions) => {
                let ready = wanted.into_iter().map(|mut wanted| {
                    // Before anything else, so that every write which comes later has a later version.
                    wanted.version = versions.next();
                    wanted.fence = self.fences.begin::<Borrowed<T>>(wanted.key.borrow());
                    wanted.tagging = self.begin_tagging(&CallTags::default());
                    wanted.began = self.shared.settings.clock.monotonic();
                    wanted.known = self.known_in_memory(&wanted.key);
                    wanted
                });
                self.load_ready(None, ready.collect(), &mut loader).await;
            }
            Backing::Tables { .. } => {}
        }
    }

    /// Loads keys where the shared tier is the truth, unless other processes do.
    async fn load_shared(&self, records: &dyn Records, wanted: Vec<Wanted<T>>, reason: Reason, loader: &mut impl Loader<T>) {
        let (ready, busy) = self.look(records, wanted, reason).await;
        self.load_ready(Some(records), ready, loader).await;
        let ready = self.wait_for_loads(records, busy, reason).await;
        self.load_ready(Some(records), ready, loader).await;
    }

    /// Ends the flight with what memory holds, if it holds something.
    fn land_from_memory(&self, wanted: Wanted<T>) -> Option<Wanted<T>> {
        match self.near.as_ref().and_then(|near| self.live(&**near, wanted.key.borrow())) {
            Some(record) => {
                wanted.land(Some(self.loaded_near(record)));
                None
            }
            None if self.remembers_absence(wanted.key.borrow(), &CallTags::default()) => {
                wanted.land(None);
                None
            }
            None => Some(wanted),
        }
    }

    /// Loads, stores and answers keys.
    async fn load_ready(&self, records: Option<&dyn Records>, mut ready: Vec<Wanted<T>>, loader: &mut impl Loader<T>) {
        if ready.is_empty() {
            return;
        }
        if let Some(records) = records.filter(|_| self.tags.are_loaded()) {
            let eras = ready.iter().map(|wanted| async { self.begin_era(records, &wanted.text).await.ok() });
            let eras: Vec<Option<Era>> = join_all(eras).await;
            for (wanted, era) in ready.iter_mut().zip(eras) {
                wanted.era = era;
            }
        }
        let renewed: Vec<String> =
            ready.iter().filter(|wanted| wanted.is_renewing).map(|wanted| Self::right_to_renew(&wanted.text)).collect();
        match self.ask(&ready, loader).await {
            Ok(loads) => self.keep(records, ready, loads).await,
            Err(error) => self.fail(records, ready.into_iter().map(|wanted| (wanted, error.duplicate())).collect()).await,
        }
        if let Some(records) = records.filter(|_| !renewed.is_empty()) {
            self.give_rights_back(records, &renewed).await;
        }
    }

    /// Lets later readers of a key start loads of their own. Those who wait for one keep it.
    pub(super) fn forget_flights(&self, key: &T::Key) {
        self.flights.forget(key);
        self.loads.forget(key);
        self.renewals.forget(key);
    }

    /// As [`forget_flights`](Self::forget_flights), for every key.
    pub(super) fn forget_all_flights(&self) {
        self.flights.forget_all();
        self.loads.forget_all();
        self.renewals.forget_all();
    }
}

impl<T: Schema> Wanted<T> {
    fn land(self, found: Option<Loaded<T>>) {
        self.landing.land(Ok(Landed::Found(found)));
    }

    fn fail(self, error: Error) {
        self.landing.land(Err(error));
    }
}

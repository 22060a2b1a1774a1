//! Reading one record.

use std::borrow::Borrow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::SemaphorePermit;

use super::absent::{Absence, FoundAbsence};
use super::read_many::Sought;
use super::slots::Verdict;
use super::{Backing, Borrowed, Pipeline};
use crate::coherence::memory;
use crate::error::Result;
use crate::facet::{Fill, Records, Shelf};
use crate::fence::FenceToken;
use crate::freshness::Freshness;
use crate::key::Key;
use crate::notes::Notes;
use crate::record::{Record, StoredRow};
use crate::schema::{Residence, Schema};
use crate::tag::CallTags;
use crate::tier::Role;
use crate::value::Row;
use crate::verification::KeyEvent;
use crate::version::Version;

/// Which columns a read shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// Those that memory may hold: what every plain read answers, whichever tier it came from.
    Near,
    /// Those that the shared tier holds too.
    Shared,
    /// All of them.
    Truth,
}

impl View {
    pub(super) fn shows(self, residence: Residence) -> bool {
        match residence {
            Residence::Everywhere => true,
            Residence::NotNear => self != View::Near,
            Residence::TruthOnly => self == View::Truth,
        }
    }
}

/// A record on its way up the tiers.
pub(super) struct Found {
    pub(super) stored: StoredRow,
    /// The record's end in every tier, where the shared tier gave one.
    pub(super) deadline: Option<std::time::SystemTime>,
    /// Where it was found.
    pub(super) tier: Role,
    /// What was cached beside it.
    pub(super) notes: Option<Arc<Notes>>,
}

impl Found {
    pub(super) fn in_truth(stored: StoredRow) -> Self {
        Found { stored, deadline: None, tier: Role::Truth, notes: None }
    }
}

/// What a read found, and where and when.
#[derive(Debug)]
pub(crate) struct Loaded<T> {
    pub(crate) record: Record<T>,
    pub(crate) tier: Role,
    /// When the reading began, on the clock's monotonic scale.
    pub(crate) began: Duration,
    /// Whether this is the last known record, because the tiers failed.
    pub(crate) is_stale: bool,
}

impl<T> Clone for Loaded<T> {
    fn clone(&self) -> Self {
        Loaded { record: self.record.clone(), ..*self }
    }
}

/// What a load may do with the caches between memory and the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caches {
    /// Answer from them.
    Use,
    /// Read past them, since they may be too old, and fill memory.
    Fill,
}

impl<T: Schema> Pipeline<T> {
    /// The record as fresh as was asked for, through the key's flight where that is fresh enough; the last known one if the tiers fail and the user allows it.
    pub(crate) async fn get_below(self: &Arc<Self>, key: T::Key, freshness: &Freshness, tags: &CallTags) -> Result<Option<Loaded<T>>> {
        tags.check()?;
        self.check(key.borrow())?;
        if let Some(pending) = self.overlaid(key.borrow(), freshness) {
            return Ok(pending.map(|record| self.loaded_near(record)));
        }
        let found = self.or_last_known(&key, freshness, tags, self.within_limit(self.get_fresh(key.clone(), freshness, tags)));
        found.await
    }

    async fn get_fresh(self: &Arc<Self>, key: T::Key, freshness: &Freshness, tags: &CallTags) -> Result<Option<Loaded<T>>> {
        self.before_read(std::slice::from_ref(&key), freshness).await?;
        let was_fresh = self.is_fresh(freshness);
        if !was_fresh {
            if !self.may_use_caches(freshness).await {
                return self.load_alone(key, View::Near, Caches::Fill, tags).await;
            }
            if let Some(record) = self.near.as_ref().and_then(|near| self.live_with(&**near, key.borrow(), tags)) {
                return Ok(Some(self.loaded_near(record)));
            }
        }
        if self.is_known_absent(key.borrow(), tags) {
            return Ok(None);
        }
        if matches!(freshness, Freshness::Bounded(bound) if *bound < self.shared.settings.freshness) {
            // A flight may have begun when less was known.
            return self.load_alone(key, View::Near, Caches::Use, tags).await;
        }
        let load = {
            let (pipeline, key, freshness, tags) = (Arc::clone(self), key.clone(), freshness.clone(), tags.clone());
            move || async move {
                // An earlier flight may have landed since the caller looked into memory.
                let near = pipeline.fresh_near(&freshness);
                match near.and_then(|near| pipeline.live_with(&**near, key.borrow(), &tags)) {
                    Some(record) => Ok(Some(pipeline.loaded_near(record))),
                    None if near.is_some() && pipeline.is_known_absent(key.borrow(), &tags) => Ok(None),
                    None => pipeline.load(key, View::Near, Caches::Use, &tags).await,
                }
            }
        };
        self.flights.run(self.shared.life.runtime(), key, tags, load).await
    }

    /// The record from the shared tier or below, with the columns that memory leaves out.
    pub(crate) async fn get_from(self: &Arc<Self>, role: Role, key: T::Key, tags: &CallTags) -> Result<Option<Record<T>>> {
        tags.check()?;
        self.check(key.borrow())?;
        self.counters().direct_gets.add(1);
        if matches!(self.backing, Backing::Memory(_)) {
            return Ok(self.near.as_ref().and_then(|near| self.live(&**near, key.borrow())));
        }
        match role {
            Role::Near | Role::Shared => {
                let read = async {
                    self.flush_keys([&key]).await?;
                    let caches = self.caches_for(&self.usual_freshness()).await;
                    self.load_alone(key, View::Shared, caches, tags).await
                };
                Ok(self.within_limit(read).await?.map(|loaded| loaded.record))
            }
            Role::Truth | Role::Ledger => {
                let read = async {
                    self.flush_keys([&key]).await?;
                    let found = self.read_backing(&key).await?;
                    self.learn(&key, found.as_ref().map(|found| found.stored.version));
                    found.map(|found| self.record(found, View::Truth)).transpose()
                };
                self.within_limit(read).await
            }
        }
    }

    /// Loads from the shared tier or the truth, and fills the tiers above.
    pub(super) async fn load(self: &Arc<Self>, key: T::Key, view: View, caches: Caches, tags: &CallTags) -> Result<Option<Loaded<T>>> {
        let began = self.shared.settings.clock.monotonic();
        let token = self.fences.begin::<Borrowed<T>>(key.borrow());
        let tagging = self.begin_tagging(tags);
        let found = match &self.cache {
            Some(cache) if caches == Caches::Use => {
                self.find_many(&**cache, std::slice::from_ref(&key), tags).await?.pop().unwrap_or(Sought::Absent(None))
            }
            _ => self.read_backing(&key).await?.into(),
        };
        let found = match found {
            Sought::Found(found) => found,
            Sought::Absent(known_until) => {
                self.learn_absence(&key, Some(self.found_absence(token, &tagging, began, known_until)));
                // Who read through the shared tier has found nothing there.
                if caches == Caches::Fill && matches!(self.backing, Backing::Tables { .. }) {
                    self.remove_from_cache(vec![Self::text(&key)]).await;
                }
                return Ok(None);
            }
        };
        let (tier, deadline) = (found.tier, found.deadline);
        if tier == Role::Shared {
            self.sample(key.borrow(), found.stored.version);
        }
        self.hear_version(&key, found.stored.version);
        let tagging = self.united(key.borrow(), &tagging, tier);
        let notes = self.near_notes(&found.stored.row, found.notes, &tagging);
        let (near, answer) = self.records(found.stored, view)?;
        self.install(token, key, near.noted(notes), deadline, began);
        Ok(Some(Loaded { record: answer, tier, began, is_stale: false }))
    }

    /// Fills leased slots; a failure costs a later miss.
    pub(super) async fn fill(&self, cache: &dyn Records, fills: Vec<Fill>) {
        match cache.fill(&self.schema, &fills).await {
            Ok(filled) => {
                let refused = filled.iter().filter(|filled| !**filled).count();
                self.counters().fills_refused.add(refused as u64);
            }
            Err(error) => self.tolerate(Role::Shared, "the shared tier did not take a fill", &error),
        }
    }

    /// Empties slots whose lease will not be used, so that the next reader need not wait for its end.
    pub(super) async fn give_back(&self, cache: &dyn Records, keys: Vec<String>) {
        if keys.is_empty() {
            return;
        }
        if let Err(error) = cache.remove(&self.schema, &keys).await {
            self.tolerate(Role::Shared, "the shared tier did not take a lease back", &error);
        }
    }

    /// Waits for the right to read the truth by key.
    pub(super) async fn truth_permit(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.shared.truth_reads.acquire().await.ok()
    }

    /// Reads the truth.
    pub(super) async fn read_backing(&self, key: &T::Key) -> Result<Option<Found>> {
        let counters = self.counters();
        match &self.backing {
            Backing::Tables { tables, .. } => {
                let values: Row<'_> = <T::Key as Key>::to_values(key.borrow())?;
                let _permit = self.truth_permit().await;
                let stored = tables.get_many(&self.schema, &[values]).await?.into_iter().next().flatten();
                if stored.is_some() {
                    counters.l3_hits.add(1)
                } else {
                    counters.l3_misses.add(1)
                }
                Ok(stored.map(Found::in_truth))
            }
            Backing::Records(records) => {
                let text = [Self::text(key)];
                let slot = records.fetch(&self.schema, &text, None).await?.into_iter().next();
                let found = match slot {
                    Some(slot) => vec![self.found_in_slot(&text[0], slot)?],
                    None => vec![None],
                };
                let found = self.without_void(&**records, &text, found).await?.pop().flatten();
                if found.is_some() {
                    counters.l2_hits.add(1)
                } else {
                    counters.l2_misses.add(1)
                }
                Ok(found)
            }
            Backing::Memory(_) => Ok(None),
        }
    }

    /// The record as memory holds it, and as the caller asked to see it.
    pub(super) fn records(&self, stored: StoredRow, view: View) -> Result<(Record<T>, Record<T>)> {
        let StoredRow { row, version } = stored;
        if view == View::Near || !self.has_deferred() {
            let near = Record::new(Arc::new(self.read_model(row, View::Near)?), version);
            return Ok((near.clone(), near));
        }
        let near = Record::new(Arc::new(self.model(row.clone(), View::Near)?), version);
        let answer = Record::new(Arc::new(self.read_model(row, view)?), version);
        Ok((near, answer))
    }

    pub(super) fn record(&self, found: Found, view: View) -> Result<Record<T>> {
        let StoredRow { row, version } = found.stored;
        Ok(Record::new(Arc::new(self.read_model(row, view)?), version))
    }

    /// Installs into memory unless a write overtook the load.
    pub(super) fn install(
        &self,
        token: FenceToken,
        key: T::Key,
        record: Record<T>,
        deadline: Option<std::time::SystemTime>,
        began: Duration,
    ) {
        let Some(near) = &self.near else { return };
        let (deadline, version) = (self.near_deadline(deadline, began), record.version());
        if !self.fences.install_loaded(token, version, || self.install_newer(&**near, key.clone(), record, deadline)) {
            self.counters().fills_refused.add(1);
            self.drop_below(&key, version);
        }
    }

    /// Loads outside of the key's flight, which later readers must not join: it may answer something older.
    async fn load_alone(self: &Arc<Self>, key: T::Key, view: View, caches: Caches, tags: &CallTags) -> Result<Option<Loaded<T>>> {
        let loaded = self.load(key.clone(), view, caches, tags).await?;
        self.forget_flights(&key);
        if caches == Caches::Fill && loaded.is_some() {
            self.drop_untagged(std::slice::from_ref(&key), tags).await;
        }
        Ok(loaded)
    }

    /// Empties the slots of keys that were read past the shared tier by a read that gives tags, as they may lack them.
    pub(super) async fn drop_untagged(&self, keys: &[T::Key], tags: &CallTags) {
        if !tags.is_empty() && self.cache.is_some() {
            self.remove_from_cache(keys.iter().map(Self::text).collect()).await;
        }
    }

    /// Hears of a version that a read outside of the key's flight is about to answer: nobody is to read anything older from here on.
    /// Whether the version may be new to this instance.
    pub(super) fn hear_read(&self, key: &T::Key, version: Version) -> bool {
        self.forget_flights(key);
        self.hear_version(key, version)
    }

    /// Hears of a version that a read is about to answer: nothing older is read from the shared tier from here on. Whether the version may be new to this instance.
    fn hear_version(&self, key: &T::Key, version: Version) -> bool {
        if let Some(trust) = &self.trust {
            trust.hear_record(&Self::text(key), version);
        }
        let is_known = self.near.as_ref().is_some_and(|near| near.version(key.borrow()) == Some(version));
        if !is_known {
            self.shared.coherence.hear_news();
        }
        !is_known && self.tell_queries()
    }

    /// Lets memory forget what is older than a version that a read is about to answer and that was not installed, and voids loads that may bring it back.
    pub(super) fn drop_below(&self, key: &T::Key, version: Version) {
        let Some(near) = &self.near else { return };
        let borrowed: &Borrowed<T> = key.borrow();
        self.note(Some(borrowed), KeyEvent::Refused(version));
        self.fences.touch(borrowed, || {
            if near.version(borrowed).is_some_and(|present| present < version) {
                near.remove(borrowed);
            }
            self.note_answered(key, version);
        });
    }

    /// Learns from a read of the truth by key that installs nothing: of the version that it found, if any.
    pub(super) fn learn(&self, key: &T::Key, found: Option<Version>) {
        if matches!(self.backing, Backing::Memory(_)) {
            return;
        }
        match found {
            Some(version) => drop(self.learn_version(key, version)),
            None => {
                self.learn_absence(key, None);
                if let Some(trust) = &self.trust {
                    trust.doubt(&Self::text(key));
                }
            }
        }
    }

    /// Learns of a version that a read is about to show, and that it does not install. Whether the version may be new to this instance.
    pub(super) fn learn_version(&self, key: &T::Key, version: Version) -> bool {
        // Another program may have written a row that no reader can ask for.
        if <T::Key as Key>::is_empty(key.borrow()) {
            return false;
        }
        let is_new = self.hear_read(key, version);
        self.drop_below(key, version);
        is_new
    }

    /// Learns that the truth holds a key, though not which version of it.
    fn learn_presence(&self, key: &T::Key) {
        if self.negative_ttl().is_none() {
            return;
        }
        self.fences.touch::<Borrowed<T>>(key.borrow(), || self.forget_absence(key.borrow()));
        if let Some(trust) = &self.trust {
            trust.doubt(&Self::text(key));
        }
    }

    /// Hears that the truth was asked what tells of records without naming them: of those that a condition does not hold for any more, for one.
    pub(super) fn learn_of_any(&self) {
        self.shared.coherence.fall_behind();
    }

    /// Lets memory forget what the truth does not hold any more. A load that found that out and noted its fence remembers it until then, if at all.
    ///
    /// Memory may hold nothing of it yet: a load or a write that is under way must not bring back what was there before.
    pub(super) fn learn_absence(&self, key: &T::Key, found: Option<FoundAbsence>) {
        if matches!(self.backing, Backing::Memory(_)) {
            return;
        }
        self.flights.forget(key);
        self.shared.coherence.hear_news();
        self.tell_queries();
        let borrowed: &Borrowed<T> = key.borrow();
        self.fences.find_absent(borrowed, found.map(|found| found.fence), |is_newest| {
            if let Some(near) = &self.near {
                near.remove(borrowed);
            }
            self.forget_shown(borrowed);
            if let Some(FoundAbsence { fence, end: Some(end), stamp }) = found.filter(|_| is_newest) {
                self.remember_absence(key.clone(), Absence { fence, end, tags: CallTags::default(), stamp });
            }
        });
    }

    /// Installs unless another load brought a newer record meanwhile, or told of one.
    pub(super) fn install_newer(&self, near: &dyn Shelf<T>, key: T::Key, record: Record<T>, deadline: Option<Duration>) {
        self.forget_absence(key.borrow());
        let is_admitted = self.trust.as_ref().is_none_or(|trust| trust.admits_install(&Self::text(&key), record.version()));
        if !memory::takes_load(near.version(key.borrow()), record.version()) {
            return;
        }
        if is_admitted {
            let (record, deadline) = self.kept_beyond(record, deadline);
            self.note(Some(key.borrow()), KeyEvent::Installed(record.version()));
            let shown = self.behind.as_ref().map(|_| key.clone());
            near.install(key, record, deadline);
            if let Some(key) = shown {
                self.forget_shown(key.borrow());
            }
        } else {
            // What is there is older still.
            near.remove(key.borrow());
            self.note_answered(&key, record.version());
            self.note(Some(key.borrow()), KeyEvent::Refused(record.version()));
        }
    }

    /// Whether any tier holds the key.
    pub(crate) async fn exists(self: &Arc<Self>, key: T::Key, freshness: &Freshness) -> Result<bool> {
        self.check(key.borrow())?;
        if let Some(pending) = self.overlaid(key.borrow(), freshness) {
            return Ok(pending.is_some());
        }
        let look = async {
            self.before_read(std::slice::from_ref(&key), freshness).await?;
            if self.may_use_caches(freshness).await {
                if self.near.as_ref().is_some_and(|near| self.live(&**near, key.borrow()).is_some()) {
                    return Ok(true);
                }
                if self.is_known_absent(key.borrow(), &CallTags::default()) {
                    return Ok(false);
                }
                if self.is_in_cache(&Self::text(&key)).await {
                    return Ok(true);
                }
            }
            match &self.backing {
                Backing::Tables { tables, .. } => {
                    let values = <T::Key as Key>::to_values(key.borrow())?;
                    let exists = tables.exists_many(&self.schema, &[values]).await?.first().copied().unwrap_or(false);
                    if exists {
                        self.learn_presence(&key)
                    } else {
                        self.learn(&key, None)
                    }
                    Ok(exists)
                }
                Backing::Records(_) | Backing::Memory(_) => Ok(self.read_backing(&key).await?.is_some()),
            }
        };
        match self.within_limit(look).await {
            Err(error) => self.last_known_many(std::slice::from_ref(&key), freshness, &CallTags::default(), error).await.map(|_| true),
            answer => answer,
        }
    }

    async fn is_in_cache(&self, text: &String) -> bool {
        match &self.cache {
            Some(cache) => self.read_slot(&**cache, text, &CallTags::default()).await.is_some(),
            None => false,
        }
    }

    /// The record of a slot, if this instance can believe it, and a read that gives these tags may use it.
    pub(super) async fn read_slot(&self, cache: &dyn Records, text: &String, tags: &CallTags) -> Option<Found> {
        let trust = self.trust.as_ref()?;
        match cache.fetch_marked(&self.schema, std::slice::from_ref(text), None).await {
            Ok(fetched) => match self.judge_all(cache, trust, std::slice::from_ref(text), fetched, tags).await.pop() {
                Some(Verdict::Found(found)) => Some(found),
                _ => None,
            },
            Err(error) => {
                self.tolerate(Role::Shared, "the shared tier did not answer a read; asking the truth", &error);
                None
            }
        }
    }
}

//! Reading one record.

use std::borrow::Borrow;
use std::sync::Arc;

use super::{Backing, Borrowed, Pipeline};
use crate::error::Result;
use crate::facet::{Fill, FillLease, Records, Slot};
use crate::fence::FenceToken;
use crate::key::Key;
use crate::record::{Record, StoredRow};
use crate::schema::{Residence, Schema};
use crate::tier::Role;
use crate::value::Row;

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
}

impl<T: Schema> Pipeline<T> {
    /// The record in memory, if there is one.
    pub(crate) fn peek(&self, key: &Borrowed<T>) -> Option<Record<T>> {
        let near = self.near.as_ref().filter(|_| !self.is_closed());
        let found = near.and_then(|near| near.get(key));
        let counters = self.counters();
        if found.is_some() {
            counters.l1_hits.add(1)
        } else {
            counters.l1_misses.add(1)
        }
        found
    }

    /// The record below memory, through the key's flight.
    pub(crate) async fn get_below(self: &Arc<Self>, key: T::Key) -> Result<Option<Record<T>>> {
        self.check(key.borrow())?;
        let load = {
            let (pipeline, key) = (Arc::clone(self), key.clone());
            move || async move {
                // An earlier flight may have landed since the caller looked into memory.
                match pipeline.near.as_ref().and_then(|near| near.get(key.borrow())) {
                    Some(record) => Ok(Some(record)),
                    None => pipeline.load(key, View::Near).await,
                }
            }
        };
        self.within_limit(self.flights.run(&self.shared.runtime, key, load)).await
    }

    /// The record from the shared tier or below, with the columns that memory leaves out.
    pub(crate) async fn get_from(self: &Arc<Self>, role: Role, key: T::Key) -> Result<Option<Record<T>>> {
        self.check(key.borrow())?;
        self.counters().direct_gets.add(1);
        if matches!(self.backing, Backing::Memory(_)) {
            return Ok(self.near.as_ref().and_then(|near| near.get(key.borrow())));
        }
        match role {
            Role::Near | Role::Shared => self.within_limit(self.load(key, View::Shared)).await,
            Role::Truth | Role::Ledger => {
                let read = async {
                    let found = self.read_backing(&key).await?;
                    found.map(|found| self.record(found, View::Truth)).transpose()
                };
                self.within_limit(read).await
            }
        }
    }

    /// Loads from the shared tier or the truth, and fills the tiers above.
    async fn load(self: &Arc<Self>, key: T::Key, view: View) -> Result<Option<Record<T>>> {
        let token = self.fences.begin::<Borrowed<T>>(key.borrow());
        let Some(found) = self.find(&key).await? else { return Ok(None) };
        let (near, answer) = self.records(found.stored, view)?;
        self.install(token, key, near, found.deadline);
        Ok(Some(answer))
    }

    /// Loads below memory.
    async fn find(self: &Arc<Self>, key: &T::Key) -> Result<Option<Found>> {
        let Some(cache) = &self.cache else { return self.read_backing(key).await };
        let text = Self::text(key);
        let lease = match self.look_in_cache(&**cache, &text).await {
            Looked::Found(found) => return Ok(Some(found)),
            Looked::Leased(lease) => Some(lease),
            Looked::Missed => None,
        };
        let found = match self.read_backing(key).await {
            Ok(found) => found,
            Err(error) => {
                if lease.is_some() {
                    self.give_back(&**cache, vec![text]).await;
                }
                return Err(error);
            }
        };
        let Some(lease) = lease else { return Ok(found) };
        let Some(Found { stored, .. }) = found else {
            self.give_back(&**cache, vec![text]).await;
            return Ok(None);
        };
        let deadline = match self.encode(&stored.row, stored.version) {
            Ok(record) => {
                let deadline = record.deadline;
                self.fill(&**cache, vec![Fill { key: text, lease, record }]).await;
                deadline
            }
            Err(error) => {
                self.tolerate(Role::Shared, "a record cannot be encoded and is not cached", &error);
                self.give_back(&**cache, vec![text]).await;
                None
            }
        };
        Ok(Some(Found { stored, deadline }))
    }

    async fn look_in_cache(&self, cache: &dyn Records, text: &String) -> Looked {
        if self.repairs.is_pending(text) {
            self.counters().l2_misses.add(1);
            return Looked::Missed;
        }
        let lease = Some(self.shared.settings.fill_lease);
        let slot = match cache.fetch(&self.schema, std::slice::from_ref(text), lease).await {
            Ok(slots) => slots.into_iter().next().unwrap_or(Slot::Empty),
            Err(error) => {
                self.tolerate(Role::Shared, "the shared tier did not answer a read; asking the truth", &error);
                Slot::Empty
            }
        };
        let looked = match slot {
            Slot::Leased(lease) => Looked::Leased(lease),
            slot => self.found_in_slot(slot).map_or(Looked::Missed, Looked::Found),
        };
        // A write that began to mend the slot meanwhile may be younger than what was read.
        let looked = if self.repairs.is_pending(text) { Looked::Missed } else { looked };
        let counters = self.counters();
        if matches!(looked, Looked::Found(_)) {
            counters.l2_hits.add(1)
        } else {
            counters.l2_misses.add(1)
        }
        looked
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
        if let Err(error) = cache.remove(&self.schema, &keys).await {
            self.tolerate(Role::Shared, "the shared tier did not take a lease back", &error);
        }
    }

    /// Reads the truth.
    async fn read_backing(&self, key: &T::Key) -> Result<Option<Found>> {
        let counters = self.counters();
        match &self.backing {
            Backing::Tables { tables, .. } => {
                let values: Row<'_> = <T::Key as Key>::to_values(key.borrow())?;
                let stored = tables.get_many(&self.schema, &[values]).await?.into_iter().next().flatten();
                if stored.is_some() {
                    counters.l3_hits.add(1)
                } else {
                    counters.l3_misses.add(1)
                }
                Ok(stored.map(|stored| Found { stored, deadline: None }))
            }
            Backing::Records(records) => {
                let slot = records.fetch(&self.schema, &[Self::text(key)], None).await?.into_iter().next();
                let found = slot.and_then(|slot| self.found_in_slot(slot));
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
            let near = Record::new(Arc::new(self.model(row, View::Near)?), version);
            return Ok((near.clone(), near));
        }
        let near = Record::new(Arc::new(self.model(row.clone(), View::Near)?), version);
        let answer = Record::new(Arc::new(self.model(row, view)?), version);
        Ok((near, answer))
    }

    pub(super) fn record(&self, found: Found, view: View) -> Result<Record<T>> {
        let StoredRow { row, version } = found.stored;
        Ok(Record::new(Arc::new(self.model(row, view)?), version))
    }

    /// Installs into memory unless a write overtook the load.
    fn install(&self, token: FenceToken, key: T::Key, record: Record<T>, deadline: Option<std::time::SystemTime>) {
        let Some(near) = &self.near else { return };
        let deadline = self.near_deadline(deadline);
        if !self.fences.install(token, || near.install(key, record, deadline)) {
            self.counters().fills_refused.add(1);
        }
    }

    /// Whether any tier holds the key.
    pub(crate) async fn exists(self: &Arc<Self>, key: T::Key) -> Result<bool> {
        self.check(key.borrow())?;
        if self.near.as_ref().is_some_and(|near| near.version(key.borrow()).is_some()) {
            return Ok(true);
        }
        let look = async {
            let text = Self::text(&key);
            if let Some(cache) = self.cache.as_ref().filter(|_| !self.repairs.is_pending(&text)) {
                match cache.fetch(&self.schema, std::slice::from_ref(&text), None).await {
                    Ok(slots) if matches!(slots.first(), Some(Slot::Record(_))) && !self.repairs.is_pending(&text) => return Ok(true),
                    Ok(slots) if matches!(slots.first(), Some(Slot::Foreign)) => self.tolerate_foreign(),
                    Ok(_) => {}
                    Err(error) => self.tolerate(Role::Shared, "the shared tier did not answer a read; asking the truth", &error),
                }
            }
            match &self.backing {
                Backing::Tables { tables, .. } => {
                    let values = <T::Key as Key>::to_values(key.borrow())?;
                    Ok(tables.exists_many(&self.schema, &[values]).await?.first().copied().unwrap_or(false))
                }
                Backing::Records(_) | Backing::Memory(_) => Ok(self.read_backing(&key).await?.is_some()),
            }
        };
        self.within_limit(look).await
    }
}

enum Looked {
    Found(Found),
    Leased(FillLease),
    Missed,
}

//! Reading many records with one batched call to each tier.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::sync::Arc;

use super::read::Found;
use super::{Backing, Borrowed, Pipeline, View};
use crate::error::Result;
use crate::facet::{Fill, FillLease, Records, Slot};
use crate::key::Key;
use crate::record::Record;
use crate::schema::Schema;
use crate::tier::Role;
use crate::value::Row;

/// The most keys that one call to a tier carries.
const CHUNK: usize = 5_000;

impl<T: Schema> Pipeline<T> {
    /// The records of many keys, in the order of the keys; a key may come twice.
    pub(crate) async fn get_many(self: &Arc<Self>, keys: Vec<T::Key>) -> Result<Vec<Option<Record<T>>>> {
        for key in &keys {
            self.check(key.borrow())?;
        }
        let mut found: HashMap<T::Key, Option<Record<T>>> = HashMap::with_capacity(keys.len());
        let mut missing = Vec::new();
        for key in &keys {
            if !found.contains_key::<Borrowed<T>>(key.borrow()) {
                let record = self.peek(key.borrow());
                if record.is_none() {
                    missing.push(key.clone());
                }
                found.insert(key.clone(), record);
            }
        }
        for chunk in missing.chunks(CHUNK) {
            for (key, record) in chunk.iter().zip(self.load_chunk(chunk, View::Near).await?) {
                found.insert(key.clone(), record);
            }
        }
        Ok(keys.iter().map(|key| found.get::<Borrowed<T>>(key.borrow()).cloned().flatten()).collect())
    }

    /// The records of many keys from the shared tier or the truth, with the columns that memory leaves out.
    pub(crate) async fn get_many_from(self: &Arc<Self>, role: Role, keys: Vec<T::Key>) -> Result<Vec<Option<Record<T>>>> {
        for key in &keys {
            self.check(key.borrow())?;
        }
        self.counters().direct_gets.add(keys.len() as u64);
        if matches!(self.backing, Backing::Memory(_)) {
            return Ok(keys.iter().map(|key| self.near.as_ref().and_then(|near| near.get(key.borrow()))).collect());
        }
        let mut records = Vec::with_capacity(keys.len());
        let mut distinct: Vec<T::Key> = Vec::with_capacity(keys.len());
        let mut position_of: HashMap<T::Key, usize> = HashMap::with_capacity(keys.len());
        let positions: Vec<usize> = keys
            .into_iter()
            .map(|key| {
                *position_of.entry(key).or_insert_with_key(|key| {
                    distinct.push(key.clone());
                    distinct.len() - 1
                })
            })
            .collect();
        for chunk in distinct.chunks(CHUNK) {
            match role {
                Role::Near | Role::Shared => records.extend(self.load_chunk(chunk, View::Shared).await?),
                Role::Truth | Role::Ledger => {
                    for (key, found) in chunk.iter().zip(self.read_backing_many(chunk).await?) {
                        let record = found.map(|found| self.record(found, View::Truth)).transpose();
                        records.push(record.map_err(|error| error.with_key(Self::text(key)))?);
                    }
                }
            }
        }
        Ok(positions.into_iter().map(|position| records.get(position).cloned().flatten()).collect())
    }

    /// One batched call to each tier below memory, for distinct keys.
    async fn load_chunk(self: &Arc<Self>, keys: &[T::Key], view: View) -> Result<Vec<Option<Record<T>>>> {
        let mut snapshot = self.fences.begin_keys::<Borrowed<T>>(keys.iter().map(Borrow::borrow));
        let found = match &self.cache {
            Some(cache) => self.find_many(&**cache, keys).await?,
            None => self.read_backing_many(keys).await?,
        };
        let mut records = Vec::with_capacity(keys.len());
        for (key, found) in keys.iter().zip(found) {
            let Some(found) = found else {
                records.push(None);
                continue;
            };
            let deadline = found.deadline;
            let (near, answer) = self.records(found.stored, view).map_err(|error| error.with_key(Self::text(key)))?;
            if let Some(shelf) = &self.near {
                let deadline = self.near_deadline(deadline);
                let install = || shelf.install(key.clone(), near, deadline);
                if !self.fences.install_one::<Borrowed<T>>(&mut snapshot, key.borrow(), install) {
                    self.counters().fills_refused.add(1);
                }
            }
            records.push(Some(answer));
        }
        Ok(records)
    }

    async fn find_many(&self, cache: &dyn Records, keys: &[T::Key]) -> Result<Vec<Option<Found>>> {
        let texts: Vec<String> = keys.iter().map(Self::text).collect();
        let (mut found, leases) = self.look_in_cache_many(cache, &texts).await;
        let missing: Vec<usize> = (0..keys.len()).filter(|&position| found[position].is_none()).collect();
        if missing.is_empty() {
            return Ok(found);
        }
        let missing_keys: Vec<T::Key> = missing.iter().map(|&position| keys[position].clone()).collect();
        let rows = match self.read_backing_many(&missing_keys).await {
            Ok(rows) => rows,
            Err(error) => {
                let leased = leases.iter().zip(texts).filter(|(lease, _)| lease.is_some()).map(|(_, text)| text).collect();
                self.give_back(cache, leased).await;
                return Err(error);
            }
        };
        let (mut fills, mut unused) = (Vec::new(), Vec::new());
        for (&position, row) in missing.iter().zip(rows) {
            let text = &texts[position];
            let Some(mut row) = row else {
                if leases[position].is_some() {
                    unused.push(text.clone());
                }
                continue;
            };
            if let Some(lease) = leases[position] {
                match self.encode(&row.stored.row, row.stored.version) {
                    Ok(record) => {
                        row.deadline = record.deadline;
                        fills.push(Fill { key: text.clone(), lease, record });
                    }
                    Err(error) => {
                        self.tolerate(Role::Shared, "a record cannot be encoded and is not cached", &error);
                        unused.push(text.clone());
                    }
                }
            }
            found[position] = Some(row);
        }
        if !fills.is_empty() {
            self.fill(cache, fills).await;
        }
        if !unused.is_empty() {
            self.give_back(cache, unused).await;
        }
        Ok(found)
    }

    async fn look_in_cache_many(&self, cache: &dyn Records, texts: &[String]) -> (Vec<Option<Found>>, Vec<Option<FillLease>>) {
        let mut found: Vec<Option<Found>> = texts.iter().map(|_| None).collect();
        let mut leases = vec![None; texts.len()];
        let (positions, trusted): (Vec<usize>, Vec<String>) =
            texts.iter().cloned().enumerate().filter(|(_, text)| !self.repairs.is_pending(text)).unzip();
        let slots = if trusted.is_empty() {
            Ok(Vec::new())
        } else {
            cache.fetch(&self.schema, &trusted, Some(self.shared.settings.fill_lease)).await
        };
        let slots = slots.unwrap_or_else(|error| {
            self.tolerate(Role::Shared, "the shared tier did not answer a read; asking the truth", &error);
            Vec::new()
        });
        for (position, slot) in positions.into_iter().zip(slots) {
            match slot {
                Slot::Leased(lease) => leases[position] = Some(lease),
                // A write that began to mend the slot meanwhile may be younger than what was read.
                Slot::Record(_) if self.repairs.is_pending(&texts[position]) => {}
                slot => found[position] = self.found_in_slot(slot),
            }
        }
        let hits = found.iter().flatten().count() as u64;
        self.counters().l2_hits.add(hits);
        self.counters().l2_misses.add(texts.len() as u64 - hits);
        (found, leases)
    }

    async fn read_backing_many(&self, keys: &[T::Key]) -> Result<Vec<Option<Found>>> {
        match &self.backing {
            Backing::Tables { tables, .. } => {
                let values = keys.iter().map(|key| <T::Key as Key>::to_values(key.borrow())).collect::<Result<Vec<Row<'_>>>>()?;
                let rows = tables.get_many(&self.schema, &values).await?;
                let hits = rows.iter().flatten().count() as u64;
                self.counters().l3_hits.add(hits);
                self.counters().l3_misses.add(keys.len() as u64 - hits);
                Ok(rows.into_iter().map(|row| row.map(|stored| Found { stored, deadline: None })).collect())
            }
            Backing::Records(records) => {
                let texts: Vec<String> = keys.iter().map(Self::text).collect();
                let slots = records.fetch(&self.schema, &texts, None).await?;
                let found: Vec<Option<Found>> = slots.into_iter().map(|slot| self.found_in_slot(slot)).collect();
                let hits = found.iter().flatten().count() as u64;
                self.counters().l2_hits.add(hits);
                self.counters().l2_misses.add(keys.len() as u64 - hits);
                Ok(found)
            }
            Backing::Memory(_) => Ok(keys.iter().map(|_| None).collect()),
        }
    }
}

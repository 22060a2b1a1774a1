//! Reading many records with one batched call to each tier.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::read::{Caches, Found};
use super::slots::Verdict;
use super::{Backing, Borrowed, Pipeline, View};
use crate::coherence::Era;
use crate::error::Result;
use crate::facet::{Fill, FillLease, Records};
use crate::freshness::Freshness;
use crate::key::Key;
use crate::record::Record;
use crate::schema::Schema;
use crate::sync::sleep;
use crate::tag::CallTags;
use crate::tier::Role;
use crate::value::Row;

/// The most keys that one call to a tier carries.
pub(super) const CHUNK: usize = 5_000;
/// How often a reader looks for what another process is loading.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(2);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_millis(50);

impl<T: Schema> Pipeline<T> {
    /// The records of many keys, in the order of the keys; a key may come twice.
    pub(crate) async fn get_many(
        self: &Arc<Self>,
        keys: Vec<T::Key>,
        freshness: &Freshness,
        tags: &CallTags,
    ) -> Result<Vec<Option<Record<T>>>> {
        tags.check()?;
        self.check_all(&keys)?;
        self.before_read(&keys, freshness).await?;
        let caches = self.caches_for(freshness).await;
        // What the log has just been read for needs no second look.
        let near_freshness = if caches == Caches::Use { &Freshness::Any } else { &Freshness::Strong };
        let mut found: HashMap<T::Key, Option<Record<T>>> = HashMap::with_capacity(keys.len());
        let mut missing = Vec::new();
        for key in &keys {
            if !found.contains_key::<Borrowed<T>>(key.borrow()) {
                if let Some(pending) = self.overlaid(key.borrow(), freshness) {
                    self.counters().l1_hits.add(1);
                    found.insert(key.clone(), pending);
                    continue;
                }
                let record = self.peek(key.borrow(), near_freshness, tags);
                let is_absent = || caches == Caches::Use && self.is_known_absent(key.borrow(), tags);
                if record.is_none() && !is_absent() {
                    missing.push(key.clone());
                }
                found.insert(key.clone(), record);
            }
        }
        for chunk in missing.chunks(CHUNK) {
            let loaded = match self.load_chunk(chunk, View::Near, caches, tags).await {
                Err(error) => self.last_known_many(chunk, freshness, tags, error).await?,
                Ok(loaded) => loaded,
            };
            for (key, record) in chunk.iter().zip(loaded) {
                found.insert(key.clone(), record);
            }
        }
        Ok(keys.iter().map(|key| found.get::<Borrowed<T>>(key.borrow()).cloned().flatten()).collect())
    }

    /// The records of many keys from the shared tier or the truth, with the columns that memory leaves out.
    pub(crate) async fn get_many_from(self: &Arc<Self>, role: Role, keys: Vec<T::Key>, tags: &CallTags) -> Result<Vec<Option<Record<T>>>> {
        tags.check()?;
        self.check_all(&keys)?;
        self.counters().direct_gets.add(keys.len() as u64);
        if matches!(self.backing, Backing::Memory(_)) {
            return Ok(keys.iter().map(|key| self.near.as_ref().and_then(|near| self.live(&**near, key.borrow()))).collect());
        }
        self.flush_keys(&keys).await?;
        let caches = match role {
            Role::Near | Role::Shared => self.caches_for(&self.usual_freshness()).await,
            Role::Truth | Role::Ledger => Caches::Fill,
        };
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
                Role::Near | Role::Shared => records.extend(self.load_chunk(chunk, View::Shared, caches, tags).await?),
                Role::Truth | Role::Ledger => {
                    for (key, found) in chunk.iter().zip(self.read_backing_many(chunk).await?) {
                        self.learn(key, found.as_ref().map(|found| found.stored.version));
                        let record = found.map(|found| self.record(found, View::Truth)).transpose();
                        records.push(record.map_err(|error| error.with_key(Self::text(key)))?);
                    }
                }
            }
        }
        Ok(positions.into_iter().map(|position| records.get(position).cloned().flatten()).collect())
    }

    /// One batched call to each tier below memory, for distinct keys.
    async fn load_chunk(self: &Arc<Self>, keys: &[T::Key], view: View, caches: Caches, tags: &CallTags) -> Result<Vec<Option<Record<T>>>> {
        let began = self.shared.settings.clock.monotonic();
        let mut snapshot = self.fences.begin_keys::<Borrowed<T>>(keys.iter().map(Borrow::borrow));
        let tagging = self.begin_tagging(tags);
        let found = match &self.cache {
            Some(cache) if caches == Caches::Use => self.find_many(&**cache, keys, tags).await?,
            _ => self.read_backing_many(keys).await?.into_iter().map(Sought::from).collect(),
        };
        let mut records = Vec::with_capacity(keys.len());
        let mut absent = Vec::new();
        for (key, found) in keys.iter().zip(found) {
            let found = match found {
                Sought::Found(found) => found,
                Sought::Absent(known_until) => {
                    absent.push((key, known_until));
                    records.push(None);
                    continue;
                }
            };
            let (deadline, version) = (found.deadline, found.stored.version);
            self.hear_read(key, version);
            let tagging = self.united(key.borrow(), &tagging, found.tier);
            let notes = self.near_notes(&found.stored.row, found.notes, &tagging);
            let (near, answer) = self.records(found.stored, view).map_err(|error| error.with_key(Self::text(key)))?;
            if let Some(shelf) = &self.near {
                let deadline = self.near_deadline(deadline, began);
                let install = || self.install_newer(&**shelf, key.clone(), near.noted(notes), deadline);
                if !self.fences.install_one::<Borrowed<T>>(&mut snapshot, key.borrow(), version, install) {
                    self.counters().fills_refused.add(1);
                    self.drop_below(key, version);
                }
            }
            records.push(Some(answer));
        }
        // Only now: it voids installs of keys that share a fence, this batch's own among them.
        for (key, known_until) in absent {
            let fence = self.fences.token::<Borrowed<T>>(&mut snapshot, key.borrow());
            self.learn_absence(key, fence.map(|fence| self.found_absence(fence, &tagging, began, known_until)));
        }
        if caches == Caches::Fill {
            self.drop_untagged(keys, tags).await;
        }
        Ok(records)
    }

    /// Looks keys up in the shared tier, and in the truth where it holds nothing to use.
    pub(super) async fn find_many(&self, cache: &dyn Records, keys: &[T::Key], tags: &CallTags) -> Result<Vec<Sought>> {
        let found = self.find_or_wait(cache, keys, tags).await?;
        let hits = found.iter().filter(|found| matches!(found, Sought::Found(found) if found.tier == Role::Shared)).count() as u64;
        self.counters().l2_hits.add(hits);
        self.counters().l2_misses.add(keys.len() as u64 - hits);
        Ok(found)
    }

    /// Slots whose lease was granted are filled. What another process is loading is waited for.
    async fn find_or_wait(&self, cache: &dyn Records, keys: &[T::Key], tags: &CallTags) -> Result<Vec<Sought>> {
        let texts: Vec<String> = keys.iter().map(Self::text).collect();
        let mut looked = self.look_in_cache(cache, &texts, tags).await;
        if looked.busy.is_empty() {
            return self.find_missing(cache, keys, &texts, looked.found, looked.leases).await;
        }
        // Its own leases first: others wait for them.
        let waiting: Vec<(T::Key, String)> =
            looked.busy.iter().map(|&position| (keys[position].clone(), texts[position].clone())).collect();
        let (mut own, mut own_keys, mut own_texts, mut leases) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut found, mut known) = (keys.iter().map(|_| Sought::Absent(None)).collect::<Vec<_>>(), Vec::new());
        for (position, answer) in looked.found.into_iter().enumerate().filter(|(position, _)| !looked.busy.contains(position)) {
            own.push(position);
            own_keys.push(keys[position].clone());
            own_texts.push(texts[position].clone());
            leases.push(looked.leases[position].take());
            known.push(answer);
        }
        for (position, answer) in own.into_iter().zip(self.find_missing(cache, &own_keys, &own_texts, known, leases).await?) {
            found[position] = answer;
        }
        for (position, answer) in looked.busy.into_iter().zip(self.wait_for_others(cache, waiting, tags).await?) {
            found[position] = answer;
        }
        Ok(found)
    }

    /// Waits for other processes to fill slots; what they do not fill in time is read from the truth.
    async fn wait_for_others(&self, cache: &dyn Records, waiting: Vec<(T::Key, String)>, tags: &CallTags) -> Result<Vec<Sought>> {
        let (keys, texts): (Vec<T::Key>, Vec<String>) = waiting.into_iter().unzip();
        let begun = tokio::time::Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            sleep(pause).await;
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
            let looked = self.look_in_cache(cache, &texts, tags).await;
            let is_over = begun.elapsed() >= self.shared.settings.flight_wait;
            if looked.busy.is_empty() || is_over {
                // Who was loading has filled, has failed, or takes too long. In the last case its lease is voided, so that later readers need not wait.
                self.give_back(cache, looked.busy.iter().map(|&position| texts[position].clone()).collect()).await;
                return self.find_missing(cache, &keys, &texts, looked.found, looked.leases).await;
            }
        }
    }

    /// Reads from the truth what was not found, and fills slots whose lease was granted.
    async fn find_missing(
        &self,
        cache: &dyn Records,
        keys: &[T::Key],
        texts: &[String],
        mut found: Vec<Option<Sought>>,
        mut leases: Vec<Option<Granted>>,
    ) -> Result<Vec<Sought>> {
        let missing: Vec<usize> = (0..keys.len()).filter(|&position| found[position].is_none()).collect();
        if missing.is_empty() {
            return Ok(found.into_iter().flatten().collect());
        }
        let missing_keys: Vec<T::Key> = missing.iter().map(|&position| keys[position].clone()).collect();
        let rows = match self.read_backing_many(&missing_keys).await {
            Ok(rows) => rows,
            Err(error) => {
                let leased = leases.iter().zip(texts).filter(|(lease, _)| lease.is_some()).map(|(_, text)| text.clone()).collect();
                self.give_back(cache, leased).await;
                return Err(error);
            }
        };
        let (mut fills, mut unused) = (Vec::new(), Vec::new());
        for (&position, row) in missing.iter().zip(rows) {
            let text = &texts[position];
            found[position] = Some(row.into());
            let Some(Granted { lease, era, tags }) = leases[position].take() else { continue };
            let encoded = match &mut found[position] {
                Some(Sought::Found(row)) => {
                    let notes = self.shared_notes(&row.stored.row, None, &tags, era);
                    let encoded = self.encode(&row.stored.row, row.stored.version, era.generation, notes.as_deref());
                    if let Ok(record) = &encoded {
                        row.deadline = record.deadline;
                        row.notes = notes;
                    }
                    Some(encoded)
                }
                _ => self.encode_absence(era.generation),
            };
            match encoded {
                Some(Ok(record)) => fills.push(Fill { key: text.clone(), lease, record }),
                Some(Err(error)) => {
                    self.tolerate(Role::Shared, "a record cannot be encoded and is not cached", &error);
                    unused.push(text.clone());
                }
                None => unused.push(text.clone()),
            }
        }
        if !fills.is_empty() {
            self.fill(cache, fills).await;
        }
        self.give_back(cache, unused).await;
        Ok(found.into_iter().flatten().collect())
    }

    /// Reads slots, and takes leases where there is nothing to use.
    async fn look_in_cache(&self, cache: &dyn Records, texts: &[String], tags: &CallTags) -> Looked {
        let nothing = || texts.iter().map(|_| None);
        let mut looked = Looked { found: nothing().collect(), leases: texts.iter().map(|_| None).collect(), busy: Vec::new() };
        let Some(trust) = &self.trust else { return looked };
        let length = self.shared.settings.fill_lease;
        // Without a trusted mark no lease could be used.
        let fetched = cache.fetch_marked(&self.schema, texts, trust.generation().map(|_| length)).await.unwrap_or_else(|error| {
            self.tolerate(Role::Shared, "the shared tier did not answer a read; asking the truth", &error);
            Vec::new()
        });
        let verdicts = self.judge_all(cache, trust, texts, fetched, tags).await;
        let (mut unusable, mut dead) = (Vec::new(), Vec::new());
        for (position, verdict) in verdicts.into_iter().enumerate() {
            let text = &texts[position];
            match verdict {
                Verdict::Found(found) => looked.found[position] = Some(Sought::Found(found)),
                Verdict::Absent(known_until) => looked.found[position] = Some(Sought::Absent(known_until)),
                Verdict::Leased(lease, era) => looked.leases[position] = Some(Granted { lease, era, tags: tags.clone() }),
                Verdict::Unusable => unusable.push(text.clone()),
                Verdict::Dead(record, era) => dead.push((position, era, tags.clone(), (text.clone(), record))),
                Verdict::Lacking(record, era, others) => dead.push((position, era, tags.with(&others), (text.clone(), record))),
                Verdict::Busy => looked.busy.push(position),
                Verdict::Tagged(..) | Verdict::Missed => {}
            }
        }
        self.give_back(cache, unusable).await;
        if !dead.is_empty() {
            let records: Vec<_> = dead.iter().map(|(.., record)| record.clone()).collect();
            match cache.take_over(&self.schema, &records, length).await {
                Ok(leases) => {
                    for ((position, era, tags, _), lease) in dead.into_iter().zip(leases) {
                        looked.leases[position] = lease.map(|lease| Granted { lease, era, tags });
                    }
                }
                Err(error) => self.tolerate(Role::Shared, "the shared tier did not lease slots over records of no use", &error),
            }
        }
        looked
    }

    async fn read_backing_many(&self, keys: &[T::Key]) -> Result<Vec<Option<Found>>> {
        match &self.backing {
            Backing::Tables { tables, .. } => {
                let values = keys.iter().map(|key| <T::Key as Key>::to_values(key.borrow())).collect::<Result<Vec<Row<'_>>>>()?;
                let _permit = self.truth_permit().await;
                let rows = tables.get_many(&self.schema, &values).await?;
                let hits = rows.iter().flatten().count() as u64;
                self.counters().l3_hits.add(hits);
                self.counters().l3_misses.add(keys.len() as u64 - hits);
                Ok(rows.into_iter().map(|row| row.map(Found::in_truth)).collect())
            }
            Backing::Records(records) => {
                let texts: Vec<String> = keys.iter().map(Self::text).collect();
                let slots = records.fetch(&self.schema, &texts, None).await?;
                let found: Vec<Option<Found>> =
                    texts.iter().zip(slots).map(|(text, slot)| self.found_in_slot(text, slot)).collect::<Result<_>>()?;
                let found = self.without_void(&**records, &texts, found).await?;
                let hits = found.iter().flatten().count() as u64;
                self.counters().l2_hits.add(hits);
                self.counters().l2_misses.add(keys.len() as u64 - hits);
                Ok(found)
            }
            Backing::Memory(_) => Ok(keys.iter().map(|_| None).collect()),
        }
    }
}

/// What a read below memory finds of a key.
pub(super) enum Sought {
    Found(Found),
    /// The shared tier says, until that time, that there is no record; without one, the truth says so now.
    Absent(Option<SystemTime>),
}

impl From<Option<Found>> for Sought {
    fn from(found: Option<Found>) -> Self {
        found.map_or(Sought::Absent(None), Sought::Found)
    }
}

/// What the shared tier holds of some keys, in their order.
struct Looked {
    /// The record or its absence, where there is one to use.
    found: Vec<Option<Sought>>,
    leases: Vec<Option<Granted>>,
    /// The positions of those that somebody else is loading.
    busy: Vec<usize>,
}

/// The right to fill a slot, with a record of this era and these tags.
struct Granted {
    lease: FillLease,
    era: Era,
    tags: CallTags,
}

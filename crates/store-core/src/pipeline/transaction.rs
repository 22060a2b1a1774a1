//! What transactions do with the records of one schema, and what their commits make of the caches.

mod bulk;
mod conditional;

pub(crate) use bulk::TouchedKeys;

use std::any::Any;
use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::behind::Doors;
use super::tags::Tagging;
use super::write::{Unreadable, unreadable};
use super::{Backing, Borrowed, Pipeline, View, named_by_values};
use crate::coherence::Trust;
use crate::error::{Error, ErrorKind, Result};
use crate::facet::{Count, LogKind, ReadPreference, RowLock, Transaction};
use crate::fence::FenceSnapshot;
use crate::key::Key;
use crate::query::Query;
use crate::query_cache::{Effect, KeyChange};
use crate::record::{Record, StoredRow};
use crate::schema::Schema;
use crate::tag::CallTags;
use crate::timestamp::Timestamp;
use crate::value::Row;
use crate::version::Version;

/// What a transaction has written of one schema, as far as those need to know who do not know the model.
#[async_trait]
pub(crate) trait Change: fmt::Debug + Send {
    fn as_any(&mut self) -> &mut dyn Any;

    /// How many writes there are.
    fn len(&self) -> usize;

    /// Forgets all but the first writes: the others were taken back.
    fn truncate(&mut self, len: usize);

    /// To be called before the commit, which must not come if it fails: it readies the journal for what was written.
    async fn prepare(&mut self) -> Result<()>;

    /// Hears of the commit: from here on nothing older is read from the caches. It waits for nothing.
    fn hear(&mut self);

    /// Brings the caches up to date, once the commit was heard of.
    async fn publish(self: Box<Self>);

    /// Drops every copy of what may have been written.
    async fn doubt(self: Box<Self>);
}

/// What a transaction has written of one schema, and what it noted before the first of these writes.
pub(crate) struct Changes<T: Schema> {
    pipeline: Arc<Pipeline<T>>,
    began: Duration,
    tagging: Tagging,
    generation: Option<u64>,
    doors: Vec<Doors<T>>,
    fences: FenceSnapshot,
    writes: Vec<(T::Key, Outcome<T>)>,
    /// The keys of the first writes, as many as [`has_written`](Self::has_written) has looked at.
    written: HashSet<T::Key>,
    looked_at: usize,
}

enum Outcome<T> {
    Put(Put<T>),
    /// The version of a change whose result is not known here.
    Changed(Version),
    /// The version of the deletion, if there was a row.
    Deleted(Option<Version>),
}

/// A record that was written.
struct Put<T> {
    stored: StoredRow,
    /// If it can be read back, the record for memory and that with every column.
    records: Option<(Record<T>, Record<T>)>,
    /// Those that the call gave.
    tags: CallTags,
}

impl<T> Outcome<T> {
    fn version(&self) -> Option<Version> {
        match self {
            Outcome::Put(put) => Some(put.stored.version),
            Outcome::Changed(version) => Some(*version),
            Outcome::Deleted(version) => *version,
        }
    }
}

impl<T: Schema> Changes<T> {
    pub(crate) fn new(pipeline: &Arc<Pipeline<T>>) -> Self {
        Changes {
            began: pipeline.shared.settings.clock.monotonic(),
            tagging: pipeline.begin_tagging(&CallTags::default()),
            generation: pipeline.trust.as_ref().and_then(Trust::generation),
            doors: Vec::new(),
            fences: FenceSnapshot::Few(Vec::new()),
            writes: Vec::new(),
            written: HashSet::new(),
            looked_at: 0,
            pipeline: Arc::clone(pipeline),
        }
    }

    /// To be called before keys are written.
    fn note(&mut self, keys: &[T::Key]) {
        self.doors.extend(Doors::open(&self.pipeline, Some(keys)));
        keys.iter().for_each(|key| self.note_fence(key));
    }

    /// To be called before keys are written that only the truth will name.
    fn note_unknown(&mut self) {
        self.doors.extend(Doors::open(&self.pipeline, None));
    }

    /// To be called before a flush writes a key.
    pub(super) fn note_fence(&mut self, key: &T::Key) {
        self.pipeline.fences.note::<Borrowed<T>>(&mut self.fences, key.borrow());
    }

    /// The truth has deleted what a key held, under this version if there was a record.
    pub(super) fn add_deleted(&mut self, key: T::Key, version: Option<Version>) {
        self.writes.push((key, Outcome::Deleted(version)));
    }

    /// The truth has changed a record, whose copies are to be dropped.
    #[cfg(feature = "encryption")]
    pub(super) fn add_changed(&mut self, key: T::Key, version: Version) {
        self.writes.push((key, Outcome::Changed(version)));
    }

    /// Whether the transaction has written a key, and so sees of it what nobody else does.
    fn has_written(&mut self, key: &Borrowed<T>) -> bool {
        self.written.extend(self.writes.iter().skip(self.looked_at).map(|(key, _)| key.clone()));
        self.looked_at = self.writes.len();
        self.written.contains(key)
    }

    /// Keeps a record that was written, and answers it.
    pub(super) fn keep(&mut self, key: T::Key, stored: StoredRow, tags: &CallTags) -> Result<Record<T>> {
        let read = self.pipeline.records(stored.clone(), View::Truth);
        let read = read.map_err(|error| unreadable(error, Unreadable::InTransaction).with_key(Pipeline::<T>::text(&key)));
        let records = read.as_ref().ok().cloned();
        self.writes.push((key, Outcome::Put(Put { stored, records, tags: tags.clone() })));
        read.map(|(_, answer)| answer)
    }

    /// Drops the writes of keys that were written again, and gives the versions of all.
    fn settle(&mut self) -> Vec<Version> {
        let versions = self.writes.iter().filter_map(|(_, outcome)| outcome.version()).collect();
        let mut places: HashMap<T::Key, usize> = HashMap::with_capacity(self.writes.len());
        let mut last: Vec<(T::Key, Outcome<T>)> = Vec::with_capacity(self.writes.len());
        for (key, outcome) in self.writes.drain(..).rev() {
            match places.get::<Borrowed<T>>(key.borrow()) {
                // To delete what the transaction itself has deleted is no news, but the first deletion is.
                Some(&place) => {
                    if let Outcome::Deleted(version @ None) = &mut last[place].1 {
                        *version = outcome.version();
                    }
                }
                None => {
                    places.insert(key.clone(), last.len());
                    last.push((key, outcome));
                }
            }
        }
        last.reverse();
        self.writes = last;
        versions
    }
}

#[async_trait]
impl<T: Schema> Change for Changes<T> {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn len(&self) -> usize {
        self.writes.len()
    }

    fn truncate(&mut self, len: usize) {
        self.writes.truncate(len);
        self.written.clear();
        self.looked_at = 0;
    }

    async fn prepare(&mut self) -> Result<()> {
        if self.pipeline.behind.is_none() {
            return Ok(());
        }
        let keys: Vec<T::Key> = self.writes.iter().map(|(key, _)| key.clone()).collect();
        self.pipeline.forget_bases(Some(&keys)).await
    }

    fn hear(&mut self) {
        let versions = self.settle();
        let pipeline = Arc::clone(&self.pipeline);
        let (mut put, mut changed, mut deleted) = (Keys::default(), Keys::default(), Keys::default());
        for (key, outcome) in &self.writes {
            let keys = match outcome {
                Outcome::Put(_) => &mut put,
                Outcome::Changed(_) => &mut changed,
                Outcome::Deleted(_) => &mut deleted,
            };
            keys.push(key.clone(), outcome.version());
        }
        let changes = |is_wanted: fn(&Outcome<T>) -> bool| {
            let change = |(key, outcome): &(T::Key, Outcome<T>)| KeyChange {
                key: key.clone(),
                version: outcome.version(),
                effect: match outcome {
                    Outcome::Put(put) => Effect::Row(put.stored.row.clone(), None),
                    Outcome::Changed(_) => Effect::Columns((0..pipeline.schema.definition().columns().len()).collect()),
                    Outcome::Deleted(_) => Effect::Gone,
                },
            };
            self.writes.iter().filter(|(_, outcome)| is_wanted(outcome)).map(change).collect()
        };
        pipeline.hear_own(&put.keys, put.versions.iter().copied(), || changes(|outcome| matches!(outcome, Outcome::Put(_))));
        pipeline.hear_own(&changed.keys, changed.versions.iter().copied(), || changes(|outcome| !matches!(outcome, Outcome::Put(_))));
        pipeline.hear_own(&deleted.keys, deleted.versions.iter().copied(), Vec::new);
        for (kind, keys) in [(LogKind::Put, &put), (LogKind::Put, &changed), (LogKind::Delete, &deleted)] {
            pipeline.rebase(kind, &keys.keys, keys.versions.iter().copied());
        }
        for (key, version) in put.keys.iter().zip(put.versions.iter().flatten()) {
            pipeline.supersede(&mut self.fences, key, *version);
        }
        changed.keys.iter().chain(&deleted.keys).for_each(|key| pipeline.forget_near(key));
        // Memory holds nothing any more that is older than any of them.
        versions.into_iter().for_each(|version| pipeline.own.add(version));
        for (kind, keys) in [(LogKind::Put, put), (LogKind::Put, changed), (LogKind::Delete, deleted)] {
            pipeline.announce(kind, &keys.keys, keys.versions.iter().copied());
        }
    }

    async fn publish(mut self: Box<Self>) {
        let (mut put, mut left, mut deleted) = (Vec::new(), Vec::new(), Keys::default());
        for (key, outcome) in std::mem::take(&mut self.writes) {
            match outcome {
                Outcome::Put(written) => put.push((key, written)),
                Outcome::Changed(_) => left.push(key),
                Outcome::Deleted(version) => {
                    left.push(key.clone());
                    deleted.push(key, version);
                }
            }
        }
        let pipeline = Arc::clone(&self.pipeline);
        if !left.is_empty() {
            pipeline.distrust(&left).await;
        }
        let answers = self.publish_records(put).await;
        pipeline.after_set(&answers);
        pipeline.after_delete(&deleted.keys, &deleted.versions);
    }

    async fn doubt(mut self: Box<Self>) {
        self.settle();
        let keys: Vec<T::Key> = self.writes.iter().map(|(key, _)| key.clone()).collect();
        self.pipeline.doubt(&keys).await;
    }
}

impl<T: Schema> Changes<T> {
    /// Shows written records in the caches, and answers those that can be read back.
    async fn publish_records(&mut self, written: Vec<(T::Key, Put<T>)>) -> Vec<Record<T>> {
        let pipeline = Arc::clone(&self.pipeline);
        // One call of the shared tier for all that were given the same tags.
        let mut groups: Vec<(CallTags, Vec<T::Key>, Vec<StoredRow>)> = Vec::new();
        let mut records = Vec::with_capacity(written.len());
        for (key, Put { stored, records: read, tags }) in written {
            let tagging = self.tagging.with(&tags);
            let notes = pipeline.near_notes(&stored.row, None, &tagging);
            records.push((key.clone(), notes, read));
            match groups.iter_mut().find(|(of_group, ..)| *of_group == tags) {
                Some((_, keys, rows)) => {
                    keys.push(key);
                    rows.push(stored);
                }
                None => groups.push((tags, vec![key], vec![stored])),
            }
        }
        for (tags, keys, rows) in &groups {
            pipeline.update_cache(keys, rows, tags, self.generation).await;
        }
        let mut answers = Vec::with_capacity(records.len());
        for (key, notes, read) in records {
            match read {
                Some((near, answer)) => {
                    pipeline.publish(&mut self.fences, &key, near.noted(notes), self.began);
                    answers.push(answer);
                }
                None => pipeline.forget_near(&key),
            }
        }
        answers
    }
}

impl<T: Schema> fmt::Debug for Changes<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").field("schema", &self.pipeline.schema.name()).field("writes", &self.writes.len()).finish_non_exhaustive()
    }
}

/// Keys, each with its version.
struct Keys<K> {
    keys: Vec<K>,
    versions: Vec<Option<Version>>,
}

impl<K> Default for Keys<K> {
    fn default() -> Self {
        Keys { keys: Vec::new(), versions: Vec::new() }
    }
}

impl<K> Keys<K> {
    fn push(&mut self, key: K, version: Option<Version>) {
        self.keys.push(key);
        self.versions.push(version);
    }
}

impl<T: Schema> Pipeline<T> {
    /// Refuses schemas that no transaction can hold.
    pub(crate) fn check_transactional(&self) -> Result<()> {
        self.check_open()?;
        match &self.backing {
            Backing::Tables { .. } => Ok(()),
            Backing::Records(_) | Backing::Memory(_) => Err(Error::new(
                ErrorKind::InvalidConfig,
                "a `cache_only` schema has no table, and so no part in transactions; write it beside them, or give it a tier of truth",
            )
            .with_schema(self.schema.name())),
        }
    }

    /// Reads records within a transaction, past all caches, with every column.
    pub(crate) async fn get_within(
        &self,
        transaction: &mut dyn Transaction,
        mut changes: Option<&mut Changes<T>>,
        keys: &[T::Key],
        lock: RowLock,
    ) -> Result<Vec<Option<T>>> {
        self.check_all(keys)?;
        let distinct = Self::last_of_each(keys);
        let values =
            distinct.iter().map(|&position| <T::Key as Key>::to_values(keys[position].borrow())).collect::<Result<Vec<Row<'_>>>>()?;
        let mut found = transaction.get_many(&self.schema, &values, lock).await?;
        if found.len() < keys.len() {
            let places: HashMap<&T::Key, usize> = distinct.iter().enumerate().map(|(place, &position)| (&keys[position], place)).collect();
            found = keys.iter().map(|key| places.get(key).and_then(|&place| found[place].clone())).collect();
        }
        for (key, stored) in keys.iter().zip(&found) {
            self.learn_within(changes.as_deref_mut(), key, stored.as_ref().map(|stored| stored.version));
        }
        let models = found.into_iter().zip(keys).map(|(stored, key)| {
            let model = stored.map(|stored| self.model(stored.row, View::Truth)).transpose();
            model.map_err(|error| error.with_key(Self::text(key)))
        });
        models.collect()
    }

    /// Learns of what a transaction has read, unless it has written that itself.
    fn learn_within(&self, changes: Option<&mut Changes<T>>, key: &T::Key, found: Option<Version>) {
        if !changes.is_some_and(|changes| changes.has_written(key.borrow())) {
            self.learn(key, found);
        }
    }

    /// Writes records within a transaction. Of several with one key the last wins.
    pub(crate) async fn set_within(
        &self,
        transaction: &mut dyn Transaction,
        changes: &mut Changes<T>,
        models: Vec<T>,
        tags: &CallTags,
    ) -> Result<Vec<Record<T>>> {
        tags.check()?;
        let keys: Vec<T::Key> = models.iter().map(Schema::key).collect();
        self.check_written(&keys)?;
        self.counters().sets.add(models.len() as u64);
        let written = Self::last_of_each(&keys);
        let distinct: Vec<T::Key> = written.iter().map(|&position| keys[position].clone()).collect();
        changes.note(&distinct);
        let now = Timestamp::from_system_time(self.shared.settings.clock.now())?;
        let mut rows = Vec::with_capacity(written.len());
        for &position in &written {
            let row = self.to_write(&models[position], now).map_err(|error| error.with_key(Self::text(&keys[position])))?;
            rows.push(row);
        }
        let stored = transaction.put_many(&self.schema, &rows).await?;
        let (mut records, mut unreadable) = (HashMap::with_capacity(distinct.len()), Ok(()));
        for (key, stored) in distinct.into_iter().zip(stored) {
            match changes.keep(key.clone(), stored, tags) {
                Ok(answer) => drop(records.insert(key, answer)),
                Err(error) => unreadable = unreadable.and(Err(error)),
            }
        }
        unreadable?;
        Ok(keys.iter().filter_map(|key| records.get::<Borrowed<T>>(key.borrow()).cloned()).collect())
    }

    /// Deletes keys within a transaction, and answers how many had a record.
    pub(crate) async fn delete_within(
        &self,
        transaction: &mut dyn Transaction,
        changes: &mut Changes<T>,
        keys: Vec<T::Key>,
    ) -> Result<u64> {
        self.check_written(&keys)?;
        let mut seen = HashSet::with_capacity(keys.len());
        let distinct: Vec<T::Key> = keys.into_iter().filter(|key| seen.insert(key.clone())).collect();
        self.before_delete(&distinct)?;
        self.counters().deletes.add(distinct.len() as u64);
        changes.note(&distinct);
        let values = distinct.iter().map(|key| <T::Key as Key>::to_values(key.borrow())).collect::<Result<Vec<Row<'_>>>>()?;
        let versions = transaction.delete_many(&self.schema, &values).await?;
        drop(values);
        let deleted = versions.iter().flatten().count() as u64;
        changes.writes.extend(distinct.into_iter().zip(versions.into_iter().map(Outcome::Deleted)));
        Ok(deleted)
    }

    /// Runs a query within a transaction, past all caches, with every column.
    pub(crate) async fn search_within(
        &self,
        transaction: &mut dyn Transaction,
        mut changes: Option<&mut Changes<T>>,
        query: &Query<T>,
    ) -> Result<Vec<T>> {
        self.check_open()?;
        self.counters().searches.add(1);
        let query = self.sealed_query(query)?;
        let select = query.to_select(query.search_limit())?;
        let mut rows = transaction.select(&self.schema, &select).await?;
        self.learn_of_any();
        if let (Some(sealer), Some(filter)) = (&self.sealer, &select.filter) {
            rows.retain(|stored| sealer.may_hold(filter, &stored.row));
        }
        let models = rows.into_iter().map(|stored| {
            let (key, version) = (self.key_values(&stored.row), stored.version);
            let model = self.model(stored.row, View::Truth).map_err(|error| named_by_values(error, &key))?;
            self.learn_within(changes.as_deref_mut(), &model.key(), Some(version));
            Ok(model)
        });
        models.collect()
    }

    /// Counts within a transaction.
    pub(crate) async fn count_within(&self, transaction: &mut dyn Transaction, query: &Query<T>) -> Result<u64> {
        self.check_open()?;
        self.counters().searches.add(1);
        let count = Count { filter: self.sealed_query(query)?.condition(), preference: ReadPreference::Primary };
        let counted = transaction.count(&self.schema, &count).await?;
        self.learn_of_any();
        Ok(counted)
    }
}

//! Writing records: truth first, then the nearer tiers, with what the truth returned.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::MutexGuard;

use super::behind::Doors;
use super::tags::Tagging;
use super::{Backing, Borrowed, Pipeline, View};
use crate::behind::RoomWait;
use crate::coherence::{Era, Trust, memory};
use crate::error::{Error, ErrorKind, Result};
use crate::facet::{BULK_LOG_LIMIT, Caller, LogKind};
use crate::fence::FenceSnapshot;
use crate::query_cache::KeyChange;
use crate::record::{EncodedRecord, Record, StoredRow};
use crate::schema::{Schema, Stamp, WriteMode};
use crate::tag::CallTags;
use crate::tier::Role;
use crate::timestamp::Timestamp;
use crate::value::{Row, Value};
use crate::verification::KeyEvent;
use crate::version::Version;

impl<T: Schema> Pipeline<T> {
    /// Writes records and answers what is stored, in their order. Of several with one key the last wins.
    ///
    /// The work runs in a task of its own: a caller that gives up leaves no tier behind the others. In write-behind `room` is told of a wait for room.
    pub(crate) async fn set_many(self: &Arc<Self>, models: Vec<T>, tags: &CallTags, room: &RoomWait) -> Result<Vec<Record<T>>> {
        tags.check()?;
        let keys: Vec<T::Key> = models.iter().map(Schema::key).collect();
        self.check_written(&keys)?;
        if models.is_empty() {
            return Ok(Vec::new());
        }
        self.counters().sets.add(models.len() as u64);
        if let Some(pending) = self.writes_behind() {
            return self.set_behind(pending, keys, models, tags, room).await;
        }
        let (pipeline, tags) = (Arc::clone(self), tags.clone());
        self.in_task(keys.clone(), async move { pipeline.write(keys, models, &tags).await }).await
    }

    /// Runs a write of keys in a task that outlives its caller, and that closing waits for.
    ///
    /// Its turn is waited for by the caller: a write that nobody waits for any more never begins, and those that have begun are few. It comes after earlier writes of the
    /// keys that are still under way though their callers gave up, and after what is pending of them.
    ///
    /// The work lies on the heap, so that the futures around it do not copy it.
    pub(super) fn in_task<R: Send + 'static>(
        self: &Arc<Self>,
        keys: Vec<T::Key>,
        work: impl Future<Output = Result<R>> + Send + 'static,
    ) -> impl Future<Output = Result<R>> + Send {
        let work = Box::pin(work);
        async move {
            self.abandoned.settled(&keys).await;
            self.flush_keys(&keys).await?;
            let doors = Doors::open(self, Some(&keys));
            self.forget_bases(Some(&keys)).await?;
            self.run_task(Some(keys), behind_doors(doors, work)).await
        }
    }

    /// As [`in_task`](Self::in_task), for a write of keys that only the truth will name: it comes after earlier writes of any key, and later ones after it.
    pub(super) async fn in_task_on_any<R: Send + 'static>(
        self: &Arc<Self>,
        work: impl Future<Output = Result<R>> + Send + 'static,
    ) -> Result<R> {
        self.abandoned.all_settled().await;
        self.flush_all_keys().await?;
        let doors = Doors::open(self, None);
        self.forget_bases(None).await?;
        self.run_task(None, behind_doors(doors, work)).await
    }

    async fn run_task<R: Send + 'static>(
        &self,
        keys: Option<Vec<T::Key>>,
        work: impl Future<Output = Result<R>> + Send + 'static,
    ) -> Result<R> {
        let turns = match &self.backing {
            Backing::Tables { .. } => Some(&self.shared.truth_writes.tables),
            Backing::Records(_) => Some(&self.shared.truth_writes.records),
            Backing::Memory(_) => None,
        };
        let turn = match turns {
            // They are never closed.
            Some(turns) => Arc::clone(turns).acquire_owned().await.ok(),
            None => None,
        };
        let (waiting, work) = Caller::wait_for(work);
        let (_abandons, runs) = self.abandoned.wait_for(keys);
        let work = async move {
            let result = work.await;
            drop((turn, runs));
            result
        };
        let result = self.shared.outlive("write", work).await;
        drop(waiting);
        result
    }

    async fn write(self: Arc<Self>, keys: Vec<T::Key>, models: Vec<T>, tags: &CallTags) -> Result<Vec<Record<T>>> {
        let written = Self::last_of_each(&keys);
        let distinct: Vec<T::Key> = written.iter().map(|&position| keys[position].clone()).collect();

        let begun = self.begin_write(&distinct, tags).await;
        let _writing = self.writing(&distinct);
        let mut rows = Vec::with_capacity(written.len());
        let now = Timestamp::from_system_time(self.shared.settings.clock.now())?;
        for &position in &written {
            rows.push(self.to_write(&models[position], now)?);
        }
        let stored = match self.write_backing(&distinct, &rows, tags).await {
            Ok(stored) => stored,
            Err(error) => {
                if may_have_taken_effect(&error) {
                    self.doubt(&distinct).await;
                }
                return Err(error);
            }
        };
        let stored = self.finish_write(begun, &distinct, stored, tags).await?;
        let records: HashMap<&Borrowed<T>, Record<T>> = distinct.iter().map(Borrow::borrow).zip(stored).collect();
        Ok(keys.iter().filter_map(|key| records.get(key.borrow()).cloned()).collect())
    }

    /// The right to write where memory is the truth, and nothing but writes that take turns can compare what is there.
    pub(super) async fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        match &self.backing {
            Backing::Memory(versions) => Some(versions.turn().await),
            Backing::Tables { .. } | Backing::Records(_) => None,
        }
    }

    /// To be called before a write of keys reaches the truth.
    pub(super) async fn begin_write(&self, keys: &[T::Key], tags: &CallTags) -> Begun<'_> {
        Begun {
            turn: self.turn().await,
            at: self.shared.settings.clock.monotonic(),
            snapshot: self.fences.begin_keys::<Borrowed<T>>(keys.iter().map(Borrow::borrow)),
            tagging: self.begin_tagging(tags),
            generation: self.trust.as_ref().and_then(Trust::generation),
            columns: None,
        }
    }

    /// Brings every nearer tier up to what the truth has taken of keys, and answers it.
    pub(super) async fn finish_write(
        &self,
        begun: Begun<'_>,
        keys: &[T::Key],
        stored: Vec<StoredRow>,
        tags: &CallTags,
    ) -> Result<Vec<Record<T>>> {
        let Begun { turn, at, mut snapshot, tagging, generation, columns } = begun;
        let mut unpublished = Unpublished { pipeline: self, keys: keys.iter() };
        let versions = || stored.iter().map(|stored| Some(stored.version));
        self.hear_own(keys, versions(), || Self::row_changes(keys, &stored, columns.as_deref()));
        self.rebase(LogKind::Put, keys, versions());
        // Where the log has many entries of a batch, or one for all of it, hearing of them before memory has caught up would cost what memory is about to hold.
        if keys.len() > 1 {
            keys.iter().zip(versions().flatten()).for_each(|(key, version)| self.supersede(&mut snapshot, key, version));
        }
        self.announce(LogKind::Put, keys, versions());
        self.update_cache(keys, &stored, tags, generation).await;
        let memory_is_truth = matches!(self.backing, Backing::Memory(_));
        let became = if memory_is_truth { Unreadable::Refused } else { Unreadable::Stored };
        let (mut read_back, mut failed) = (Vec::with_capacity(keys.len()), Ok(()));
        for (key, stored) in keys.iter().zip(stored) {
            // What memory is the truth of is no copy.
            let notes = if memory_is_truth { None } else { self.near_notes(&stored.row, None, &tagging) };
            match self.records(stored, View::Truth) {
                Ok((near, answer)) => read_back.push(Some((near.noted(notes), answer))),
                Err(error) => {
                    failed = failed.and(Err(unreadable(error, became).with_key(Self::text(key))));
                    read_back.push(None);
                }
            }
        }
        if memory_is_truth && let Err(error) = failed {
            return Err(error);
        }
        let mut records = Vec::with_capacity(keys.len());
        for read in read_back {
            let Some(key) = unpublished.keys.next() else { break };
            match read {
                Some((near, answer)) => {
                    self.publish(&mut snapshot, key, near, at);
                    records.push(answer);
                }
                None => self.forget_near(key),
            }
        }
        drop((unpublished, turn));
        self.after_set(records.iter());
        failed.map(|()| records)
    }

    /// The positions of the keys that no later one is equal to.
    pub(super) fn last_of_each(keys: &[T::Key]) -> Vec<usize> {
        if keys.len() == 1 {
            return vec![0];
        }
        let mut last: HashMap<&Borrowed<T>, usize> = HashMap::with_capacity(keys.len());
        for (position, key) in keys.iter().enumerate() {
            last.insert(key.borrow(), position);
        }
        (0..keys.len()).filter(|&position| last.get(keys[position].borrow()) == Some(&position)).collect()
    }

    pub(super) fn stamped<'a>(&self, model: &'a T, now: Timestamp) -> Result<Row<'a>> {
        let mut row = self.row_of(model)?;
        self.stamp(&mut row, now);
        Ok(row)
    }

    /// The stamped row of a model as tiers hold it.
    pub(super) fn to_write<'a>(&self, model: &'a T, now: Timestamp) -> Result<Row<'a>> {
        self.sealed(self.stamped(model, now)?)
    }

    pub(super) fn stamp(&self, row: &mut Row<'_>, now: Timestamp) {
        for (value, column) in row.iter_mut().zip(self.schema.definition().columns()) {
            if column.stamp != Stamp::Never {
                *value = Value::Time(now);
            }
        }
    }

    async fn write_backing(&self, keys: &[T::Key], rows: &[Row<'_>], tags: &CallTags) -> Result<Vec<StoredRow>> {
        match &self.backing {
            Backing::Tables { tables, .. } => tables.put_many(&self.schema, rows).await,
            Backing::Records(records) => self.write_records(&**records, keys, rows, tags).await,
            Backing::Memory(versions) => {
                let rows = rows.iter().zip(keys).map(|(row, key)| {
                    let present = self.near.as_ref().and_then(|near| self.live(&**near, key.borrow()));
                    let present = present.map(|record| record.model().to_row().map(owned)).transpose()?;
                    Ok(StoredRow { row: self.merged(row, present), version: versions.next() })
                });
                rows.collect()
            }
        }
    }

    /// Hears of this instance's own commits, as of those of others: from here on nothing older is read from the shared tier,
    /// and no answer of a search is kept that the changes could make another.
    pub(super) fn hear_own(
        &self,
        keys: &[T::Key],
        versions: impl Iterator<Item = Option<Version>>,
        changes: impl FnOnce() -> Vec<KeyChange<T::Key>>,
    ) {
        self.hear_in_queries(changes);
        keys.iter().for_each(|key| self.forget_shown(key.borrow()));
        let Some(trust) = &self.trust else { return };
        for (key, version) in keys.iter().zip(versions) {
            if let Some(version) = version {
                trust.hear(Some(&Self::text(key)), version);
            }
        }
    }

    /// Tells the other instances of commits.
    pub(super) fn announce(&self, kind: LogKind, keys: &[T::Key], versions: impl Iterator<Item = Option<Version>>) {
        let coherence = &self.shared.coherence;
        match &self.backing {
            Backing::Memory(_) => {}
            // The log has one row for all of them, too.
            Backing::Tables { .. } if keys.len() > BULK_LOG_LIMIT => {
                coherence.announce(self.schema.name(), kind, [(None, versions.flatten().max())]);
            }
            Backing::Tables { .. } | Backing::Records(_) => {
                let written = keys.iter().zip(versions).filter(|(_, version)| version.is_some());
                coherence.announce(self.schema.name(), kind, written.map(|(key, version)| (Some(Self::text(key)), version)));
            }
        }
    }

    /// Tells the shared tier of newer records. Where it cannot be told, this instance reads past what it holds, and the relayer tells it later.
    ///
    /// `before` is the generation that was known before the write began.
    pub(super) async fn update_cache(&self, keys: &[T::Key], stored: &[StoredRow], tags: &CallTags, before: Option<u64>) {
        let (Some(cache), Some(trust)) = (&self.cache, &self.trust) else { return };
        let Some(generation) = trust.generation() else {
            return self.remove_from_cache(keys.iter().map(Self::text).collect()).await;
        };
        let mut records: Vec<(String, EncodedRecord)> = Vec::with_capacity(keys.len());
        let mut uncached = Vec::new();
        for (key, stored) in keys.iter().zip(stored) {
            // Of the era that was known the server may know nothing any more. So the record is of none, and void if one of its tags was ever invalidated in this
            // generation. If the generation began after the write, nobody knows which were before.
            let notes = self.shared_notes(&stored.row, None, tags, Era { generation, number: 0 });
            if notes.is_some() && before != Some(generation) {
                uncached.push(Self::text(key));
                continue;
            }
            match self.encode(&stored.row, stored.version, generation, notes.as_deref()) {
                Ok(record) => records.push((Self::text(key), record)),
                Err(error) => {
                    self.tolerate(Role::Shared, "a record cannot be encoded and is not cached", &error);
                    uncached.push(Self::text(key));
                }
            }
        }
        if !uncached.is_empty() {
            self.remove_from_cache(uncached).await;
        }
        if let Err(error) = cache.replace(&self.schema, &records).await {
            self.tolerate(Role::Shared, "the shared tier did not take a write; it is read past until the relayer has told it", &error);
        }
    }

    /// Empties slots of the shared tier; where that fails, the relayer does it.
    pub(super) async fn remove_from_cache(&self, keys: Vec<String>) {
        let Some(cache) = &self.cache else { return };
        if let Err(error) = cache.remove(&self.schema, &keys).await {
            self.tolerate(Role::Shared, "the shared tier did not take a removal; it is read past until the relayer has told it", &error);
        }
    }

    /// Lets memory forget what a write of this instance's own replaced, ahead of its record.
    pub(super) fn supersede(&self, snapshot: &mut FenceSnapshot, key: &T::Key, version: Version) {
        self.forget_flights(key);
        let Some(near) = self.near.as_ref().filter(|_| self.trust.is_some()) else { return };
        let borrowed: &Borrowed<T> = key.borrow();
        self.fences.publish(snapshot, borrowed, self.own.take_told(version), |_| {
            if !memory::outlasts(near.version(borrowed), LogKind::Put, Some(version)) {
                near.remove(borrowed);
            }
        });
        self.own.add(version);
    }

    /// Puts a written record into memory, and voids every load that began before.
    pub(super) fn publish(&self, snapshot: &mut FenceSnapshot, key: &T::Key, record: Record<T>, began: Duration) {
        self.forget_flights(key);
        let version = record.version();
        let borrowed: &Borrowed<T> = key.borrow();
        let Some(near) = &self.near else {
            self.fences.touch(borrowed, || {});
            return;
        };
        self.note(Some(borrowed), KeyEvent::Written(record.version()));
        let memory_is_truth = matches!(self.backing, Backing::Memory(_));
        let lazy = self.schema.write_mode() == WriteMode::WriteThroughLazyL1;
        let deadline = self.near_deadline(self.shared_deadline(), began);
        // The log may have told of this very write first, which touched the fence once.
        self.fences.publish(snapshot, borrowed, self.own.take_told(version), |undisturbed| {
            if memory_is_truth && self.written_version(&**near, borrowed).is_some_and(|present| present > version) {
                return;
            }
            let is_admitted = self.trust.as_ref().is_none_or(|trust| trust.admits_install(&Self::text(key), version));
            if memory_is_truth || (!lazy && is_admitted && memory::takes_write(near.version(borrowed), version, undisturbed)) {
                let (record, deadline) = self.kept_beyond(record, deadline);
                near.install(key.clone(), record, deadline);
            } else {
                near.remove(borrowed);
            }
            self.forget_shown(borrowed);
        });
        if self.trust.is_some() {
            self.own.add(version);
        }
    }

    /// Drops every copy of keys that a write with an unknown outcome may have changed, and reads past the shared tier until the log has told.
    pub(super) async fn doubt(&self, keys: &[T::Key]) {
        self.void_queries();
        self.forget_pending_bases(Some(keys));
        if let Some(trust) = &self.trust {
            keys.iter().for_each(|key| trust.doubt(&Self::text(key)));
        }
        self.distrust(keys).await;
    }

    /// Drops every copy that this instance and the shared tier hold of keys.
    pub(super) async fn distrust(&self, keys: &[T::Key]) {
        for key in keys {
            self.forget_near(key);
        }
        self.remove_from_cache(keys.iter().map(Self::text).collect()).await;
        // A load that read a slot before it was emptied is voided only now.
        for key in keys {
            self.forget_near(key);
        }
    }

    pub(super) fn forget_near(&self, key: &T::Key) {
        self.forget_flights(key);
        let borrowed: &Borrowed<T> = key.borrow();
        self.note(Some(borrowed), KeyEvent::Dropped);
        self.fences.touch(borrowed, || {
            if let Some(near) = &self.near {
                near.remove(borrowed);
            }
            self.forget_shown(borrowed);
        });
    }
}

/// What a write noted before it began, by which it is told what came between.
pub(super) struct Begun<'a> {
    turn: Option<MutexGuard<'a, ()>>,
    at: Duration,
    snapshot: FenceSnapshot,
    tagging: Tagging,
    generation: Option<u64>,
    /// Of a write that changes what is there: the columns that it sets, by position.
    pub(super) columns: Option<Vec<usize>>,
}

/// The keys of a write that the truth took and memory does not show yet. What is left of them when this is dropped, because a stored record cannot be
/// read back, leaves memory.
struct Unpublished<'a, T: Schema> {
    pipeline: &'a Pipeline<T>,
    keys: std::slice::Iter<'a, T::Key>,
}

impl<T: Schema> Drop for Unpublished<'_, T> {
    fn drop(&mut self) {
        // What memory is the truth of stays as it was.
        if !matches!(self.pipeline.backing, Backing::Memory(_)) {
            self.keys.by_ref().for_each(|key| self.pipeline.forget_near(key));
        }
    }
}

/// Whether a failed write may be stored all the same.
pub(crate) fn may_have_taken_effect(error: &Error) -> bool {
    !matches!(
        error.kind(),
        ErrorKind::UniqueViolation
            | ErrorKind::ConstraintViolation
            | ErrorKind::InvalidValue
            | ErrorKind::EncodeFailed
            | ErrorKind::SchemaMismatch
            | ErrorKind::AccessDenied
            | ErrorKind::TransactionFailed
            | ErrorKind::Conflict
            | ErrorKind::TransactionTimeout
            | ErrorKind::Closed
    )
}

/// Work whose end closes doors.
async fn behind_doors<T: Schema, R>(doors: Option<Doors<T>>, work: impl Future<Output = R>) -> R {
    let result = work.await;
    drop(doors);
    result
}

/// What became of a write whose records cannot be read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Nothing was written: memory is the truth, or the write was to become pending.
    Refused,
    /// Nothing was written: what was there was to be changed.
    Unchanged,
    Stored,
    InTransaction,
}

/// The error of a write whose records cannot be read back.
pub(super) fn unreadable(error: Error, became: Unreadable) -> Error {
    let what = match became {
        Unreadable::Refused => "nothing was written, since what would be stored cannot be read back",
        Unreadable::Unchanged => "nothing was written, since what is there cannot be read",
        Unreadable::Stored => "the write was stored, but what the truth holds now cannot be read back",
        Unreadable::InTransaction => {
            "the write is part of the transaction, which stores it with the commit unless this error is returned or a savepoint taken back, \
             but what it holds now cannot be read back"
        }
    };
    let told = Error::new(error.kind(), format!("{what}: {}", error.summary()));
    match error.column().map(str::to_owned) {
        Some(column) => told.with_column(column),
        None => told,
    }
    .with_source(error)
}

pub(super) fn owned(row: Row<'_>) -> Row<'static> {
    row.into_iter().map(Value::into_owned).collect()
}

//! Writes that are acknowledged before the truth has them, and what reads see of them.

mod batch;
mod doors;
mod forget;
mod letters;
mod reads;
mod shown;

pub(crate) use doors::Doors;

use std::borrow::Borrow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::recent::Recent;
use super::write::{Unreadable, owned, unreadable};
use super::{Borrowed, Pipeline, View};
use crate::behind::pending::Pending;
use crate::behind::{Acknowledge, Admission, Base, Batch, Behind, Entry, OnConflict, Over, Overlay, RoomWait, Staged};
use crate::error::{Error, ErrorKind, Result};
use crate::facet::{DeadLetter, LogKind};
use crate::key::Key;
use crate::record::Record;
use crate::schema::{BoundSchema, Schema, Stamp, WriteMode};
use crate::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use crate::tag::CallTags;
use crate::timestamp::Timestamp;
use crate::value::{Row, Value};
use crate::version::Version;
use batch::{Flushed, Taken};

/// A write that is pending.
#[derive(Debug)]
pub(crate) enum Write<T> {
    Set(Arc<PendingSet<T>>),
    Delete,
}

#[derive(Debug)]
pub(crate) struct PendingSet<T> {
    /// What the truth is to store.
    row: Arc<Row<'static>>,
    /// What reads see.
    record: Record<T>,
    tags: CallTags,
    /// Whether the key was deleted first.
    replaces: bool,
}

impl<T> Clone for Write<T> {
    fn clone(&self) -> Self {
        match self {
            Write::Set(set) => Write::Set(Arc::clone(set)),
            Write::Delete => Write::Delete,
        }
    }
}

type Waits<T> = oneshot::Sender<Result<Flushed<T>>>;
type Writes<T> = Pending<<T as Schema>::Key, Write<T>, Waits<T>>;

/// The pending writes of one schema, and how they are treated.
pub(crate) struct PendingWrites<T: Schema> {
    behind: Arc<Behind>,
    writes: Mutex<Writes<T>>,
    /// How many keys have a pending write. As long as none has, reads need not look.
    keys: AtomicUsize,
    /// Held to read from the announcement of writes until they are on their way to the journal.
    submitting: RwLock<()>,
    on_conflict: OnConflict<T>,
    acknowledge: Acknowledge,
    /// What memory held of keys until it heard of another instance's write.
    shown: Recent<T::Key, Base>,
}

impl<T: Schema> std::fmt::Debug for PendingWrites<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PendingWrites").field("keys", &self.keys).finish_non_exhaustive()
    }
}

impl<T: Schema> PendingWrites<T> {
    pub(crate) fn new(behind: Arc<Behind>, on_conflict: OnConflict<T>, acknowledge: Acknowledge) -> Self {
        PendingWrites {
            behind,
            writes: Mutex::new(Pending::new()),
            keys: AtomicUsize::new(0),
            submitting: RwLock::new(()),
            on_conflict,
            acknowledge,
            shown: Recent::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Writes<T>> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pending write of a key.
    fn get(&self, key: &Borrowed<T>) -> Option<Write<T>> {
        if self.keys.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.lock().get(key).cloned()
    }

    /// Makes a write pending; it comes after what is pending of its key. Whether it is the only one of it.
    fn add(&self, writes: &mut Writes<T>, pipeline: &Pipeline<T>, landing: Landing<T>, sequence: u64, is_acknowledged: bool) -> bool {
        let Landing { key, write, waits } = landing;
        let write = match write {
            Write::Set(set) if pipeline.keeps(&set.row) => match writes.get::<Borrowed<T>>(key.borrow()) {
                Some(earlier) => Write::Set(pipeline.after(set, earlier)),
                None => Write::Set(set),
            },
            write => write,
        };
        let is_first = writes.apply(&key, sequence, write, is_acknowledged, waits);
        if is_first {
            self.keys.fetch_add(1, Ordering::Release);
        }
        is_first
    }

    /// What is known now becomes the base of the key's pending writes.
    fn rebase(&self, kind: LogKind, keys: &[T::Key], versions: impl Iterator<Item = Option<Version>>) {
        let mut writes = self.lock();
        for (key, version) in keys.iter().zip(versions) {
            let Some(version) = version else { continue };
            writes.rebase(key, if kind == LogKind::Put { Base::put(version) } else { Base::Absent(version.get()) });
        }
    }
}

struct Landing<T: Schema> {
    key: T::Key,
    write: Write<T>,
    waits: Option<Waits<T>>,
}

/// Writes of one call on their way.
struct StagedWrites<T: Schema> {
    pipeline: Arc<Pipeline<T>>,
    writes: Vec<Landing<T>>,
    is_acknowledged: bool,
    admission: Option<Admission>,
    landed: Option<oneshot::Sender<Result<()>>>,
    /// Closing waits for it.
    _pass: OwnedSemaphorePermit,
}

impl<T: Schema> Staged for StagedWrites<T> {
    fn len(&self) -> usize {
        self.writes.len()
    }

    fn apply(mut self: Box<Self>, places: Range<u64>) -> bool {
        let Some(pending) = &self.pipeline.behind else { return false };
        let mut first = 0;
        let mut writes = pending.lock();
        for (landing, sequence) in std::mem::take(&mut self.writes).into_iter().zip(places) {
            first += usize::from(pending.add(&mut writes, &self.pipeline, landing, sequence, self.is_acknowledged));
        }
        drop(writes);
        if let Some(admission) = self.admission.take() {
            admission.keep(first);
        }
        if let Some(landed) = self.landed.take() {
            // Nobody may wait for it any more.
            let _ = landed.send(Ok(()));
        }
        !self.is_acknowledged
    }

    fn refuse(mut self: Box<Self>, error: Error) {
        let landed = self.landed.take();
        // It is taken back before anybody is told.
        drop(self);
        if let Some(landed) = landed {
            let _ = landed.send(Err(error));
        }
    }
}

/// What never got a place is taken back.
impl<T: Schema> Drop for StagedWrites<T> {
    fn drop(&mut self) {
        if let (Some(pending), false) = (&self.pipeline.behind, self.writes.is_empty()) {
            let mut writes = pending.lock();
            self.writes.iter().for_each(|landing| writes.unstage(&landing.key));
        }
    }
}

impl<T: Schema> Pipeline<T> {
    /// The schema's pending writes, if its mode is write-behind.
    pub(super) fn writes_behind(&self) -> Option<&PendingWrites<T>> {
        self.behind.as_ref().filter(|_| self.schema.write_mode() == WriteMode::WriteBehind)
    }

    /// Whether a write is acknowledged once a flush has brought it to the truth.
    pub(super) fn waits_for_flush(&self) -> bool {
        self.writes_behind().is_some_and(|pending| pending.acknowledge == Acknowledge::Truth)
    }

    /// Makes sets pending, and answers what they will store as far as it is known; at the level of the truth, what is stored.
    pub(super) async fn set_behind(
        self: &Arc<Self>,
        pending: &PendingWrites<T>,
        keys: Vec<T::Key>,
        models: Vec<T>,
        tags: &CallTags,
        room: &RoomWait,
    ) -> Result<Vec<Record<T>>> {
        let now = Timestamp::from_system_time(self.shared.settings.clock.now())?;
        let positions = Self::last_of_each(&keys);
        let (mut writes, mut records) = (Vec::with_capacity(positions.len()), Vec::with_capacity(positions.len()));
        for &position in &positions {
            let key = &keys[position];
            let named = |error: Error| error.with_key(Self::text(key));
            let row = owned(self.stamped(&models[position], now).map_err(named)?);
            let record = self.shown(key, &row).map_err(|error| named(unreadable(error, Unreadable::Refused)))?;
            let row = self.sealed(row).map_err(named)?;
            records.push(record.clone());
            let set = PendingSet { row: Arc::new(row), record, tags: tags.clone(), replaces: false };
            writes.push((key.clone(), Write::Set(Arc::new(set))));
        }
        drop(models);
        for ((_, flushed), record) in self.make_pending(pending, &keys, writes, room).await?.into_iter().zip(&mut records) {
            if let Flushed::Stored(stored) = flushed {
                *record = stored;
            }
        }
        if records.len() == keys.len() {
            return Ok(records);
        }
        let last: HashMap<&Borrowed<T>, Record<T>> = positions.iter().map(|&position| keys[position].borrow()).zip(records).collect();
        Ok(keys.iter().filter_map(|key| last.get(key.borrow()).cloned()).collect())
    }

    /// Makes deletions pending, and answers how many of the keys this instance knows a record of; at the level of the truth, how many there were.
    pub(super) async fn delete_behind(self: &Arc<Self>, pending: &PendingWrites<T>, keys: Vec<T::Key>, room: &RoomWait) -> Result<u64> {
        let is_known = |key: &&T::Key| match pending.get((*key).borrow()) {
            Some(write) => matches!(write, Write::Set(_)),
            None => self.near.as_ref().is_some_and(|near| self.live(&**near, (*key).borrow()).is_some()),
        };
        let known = keys.iter().filter(is_known).count() as u64;
        let writes = keys.iter().map(|key| (key.clone(), Write::Delete)).collect();
        let flushed = self.make_pending(pending, &keys, writes, room).await?;
        if pending.acknowledge < Acknowledge::Truth {
            return Ok(known);
        }
        Ok(flushed.iter().map(|(_, flushed)| u64::from(!matches!(flushed, Flushed::Deleted(false)))).sum())
    }

    /// Makes writes of distinct keys pending, all or none, and waits until they have reached their level. What was flushed by then is answered, in the order of the
    /// writes. `keys` are those of the writes; `room` is told of a wait for room.
    async fn make_pending(
        self: &Arc<Self>,
        pending: &PendingWrites<T>,
        keys: &[T::Key],
        writes: Vec<(T::Key, Write<T>)>,
        room: &RoomWait,
    ) -> Result<Vec<(T::Key, Flushed<T>)>> {
        self.abandoned.settled(keys).await;
        let admission = room.during(pending.behind.admit(writes.len())).await;
        // From here on nothing is waited for until all of it is on its way.
        let Some(pass) = self.shared.writes.enter() else {
            return Err(Error::new(ErrorKind::Closed, "`close` was called; build a new store"));
        };
        let is_acknowledged = pending.acknowledge < Acknowledge::Truth;
        let (mut landings, mut waiting) = (Vec::with_capacity(writes.len()), Vec::new());
        for (key, write) in writes {
            let waits = if is_acknowledged {
                None
            } else {
                let (waits, flushed) = oneshot::channel();
                waiting.push((key.clone(), flushed));
                Some(waits)
            };
            landings.push(Landing { key, write, waits });
        }
        let (landed, has_landed) = oneshot::channel();
        let staged = StagedWrites {
            pipeline: Arc::clone(self),
            writes: Vec::new(),
            is_acknowledged,
            admission: Some(admission),
            landed: Some(landed),
            _pass: pass,
        };
        self.submit(pending, landings, staged)?;
        has_landed.await.unwrap_or_else(|_| Err(Error::runtime_ended()))?;
        let mut flushed = Vec::with_capacity(waiting.len());
        for (key, answer) in waiting {
            let answer = answer.await.unwrap_or_else(|_| Err(Error::runtime_ended()));
            flushed.push((key.clone(), answer.map_err(|error| error.with_key(Self::text(&key)))?));
        }
        Ok(flushed)
    }

    /// Announces writes and sends them on their way.
    fn submit(&self, pending: &PendingWrites<T>, writes: Vec<Landing<T>>, mut staged: StagedWrites<T>) -> Result<()> {
        let _submitting = pending.submitting.read().unwrap_or_else(PoisonError::into_inner);
        let bases: Vec<Base> = {
            let mut pending = pending.lock();
            writes.iter().map(|landing| pending.stage(&landing.key, || self.known_base(&landing.key))).collect()
        };
        staged.writes = writes;
        let entries = if pending.behind.has_journal() { self.entries(&staged.writes, &bases)? } else { Vec::new() };
        pending.behind.submit(&entries, pending.acknowledge == Acknowledge::Journal, Box::new(staged));
        Ok(())
    }

    fn entries(&self, writes: &[Landing<T>], bases: &[Base]) -> Result<Vec<Vec<u8>>> {
        let encode = |(landing, base): (&Landing<T>, &Base)| {
            let text = Self::text(&landing.key);
            let (row, tags) = match &landing.write {
                Write::Set(set) => (Some(set.row.as_slice()), set.tags.as_slice()),
                Write::Delete => (None, [].as_slice()),
            };
            Entry::new(self.schema.definition(), &text, *base, tags, row).encode()
        };
        writes.iter().zip(bases).map(encode).collect()
    }

    /// What a read sees of a model's row that is to be written, as far as that is known before.
    fn shown(&self, key: &T::Key, row: &Row<'static>) -> Result<Record<T>> {
        let present = || match self.behind.as_ref().and_then(|pending| pending.get(key.borrow())) {
            Some(Write::Set(set)) => Some(set.record.clone()),
            Some(Write::Delete) => None,
            None => self.near.as_ref().and_then(|near| self.live(&**near, key.borrow())),
        };
        // Of a write that leaves nothing alone, nothing of what is there is seen.
        let present = if self.keeps(row) { present() } else { None };
        let present = present.map(|record| record.model().to_row().map(owned)).transpose()?;
        let model = self.model_of_open(self.seen(self.merged(row, present), View::Near))?;
        Ok(Record::new(Arc::new(model), Version::default()))
    }

    /// A set that leaves something alone and comes after what is pending of its key: that is what was written there.
    fn after(&self, set: Arc<PendingSet<T>>, earlier: &Write<T>) -> Arc<PendingSet<T>> {
        let PendingSet { row, record, tags, .. } = &*set;
        let (row, replaces) = match earlier {
            Write::Delete => (Arc::clone(row), true),
            Write::Set(earlier) => {
                let columns = self.schema.definition().columns();
                let mut row = Row::clone(row);
                for ((value, column), earlier) in row.iter_mut().zip(columns).zip(earlier.row.iter()) {
                    if matches!(value, Value::Unset) || (column.stamp == Stamp::OnInsert && !matches!(earlier, Value::Unset)) {
                        *value = earlier.clone();
                    }
                }
                (Arc::new(row), earlier.replaces)
            }
        };
        Arc::new(PendingSet { row, record: record.clone(), tags: tags.clone(), replaces })
    }

    /// Lets what is pending of keys, or with `None` of all, come after a write of this instance of which nobody knows the outcome.
    pub(super) fn forget_pending_bases(&self, keys: Option<&[T::Key]>) {
        let Some(pending) = &self.behind else { return };
        let mut writes = pending.lock();
        match keys {
            Some(keys) => keys.iter().for_each(|key| writes.forget_base(key)),
            None => writes.forget_bases(),
        }
    }

    /// Lets what is pending of keys come after a write of this instance.
    pub(super) fn rebase(&self, kind: LogKind, keys: &[T::Key], versions: impl Iterator<Item = Option<Version>>) {
        if let Some(pending) = &self.behind {
            pending.rebase(kind, keys, versions);
        }
    }
}

impl<T: Schema> Overlay for Pipeline<T> {
    fn schema(&self) -> &Arc<BoundSchema> {
        &self.schema
    }

    fn take(self: Arc<Self>) -> Result<Option<Box<dyn Batch>>> {
        let Some(pending) = &self.behind else { return Ok(None) };
        let taken = pending.lock().take();
        if taken.is_empty() {
            return Ok(None);
        }
        Ok(Some(Box::new(Taken::new(&self, taken)?)))
    }

    fn restore(&self, entry: Entry<'_>, sequence: u64) -> Result<()> {
        let Some(pending) = &self.behind else {
            return Err(Error::new(ErrorKind::Internal, "a journal's write came to a schema that none was expected for"));
        };
        let (key, write, base) = self.read_entry(entry)?;
        let mut writes = pending.lock();
        writes.stage(&key, || base);
        if pending.add(&mut writes, self, Landing { key, write, waits: None }, sequence, true) {
            pending.behind.force();
        }
        Ok(())
    }

    fn forget_base(&self, key: &str) -> Result<()> {
        let key = T::Key::from_text(key)?;
        if let Some(pending) = &self.behind {
            pending.lock().forget_base(&key);
        }
        Ok(())
    }

    fn tell(&self, error: &Error, behind: u64) {
        let Some(pending) = &self.behind else { return };
        let taken = pending.lock().take();
        let untold = taken.iter().filter(|taken| taken.sequence > behind);
        untold.for_each(|taken| self.on_write_error(taken.key.borrow(), error));
    }

    fn revive(self: Arc<Self>, letter: DeadLetter, over: Over) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move { self.write_letter(letter, over).await })
    }
}

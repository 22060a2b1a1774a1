//! What a flush has taken of one schema.

use std::borrow::Borrow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;

use super::{PendingWrites, Write};
use crate::behind::{Base, Batch, Entry, Item, OnConflict, Outcome, Resolution, WriteConflict, pending};
use crate::error::{Error, ErrorKind, Result};
use crate::key::Key;
use crate::pipeline::sealing::named_by_field;
use crate::pipeline::transaction::{Change, Changes};
use crate::pipeline::write::owned;
use crate::pipeline::{Pipeline, View};
use crate::record::{Record, StoredRow};
use crate::schema::{BoundSchema, Schema};
use crate::tag::CallTags;
use crate::timestamp::Timestamp;
use crate::value::{Row, Value};
use crate::version::Version;

/// What those learn who wait for a flush.
#[derive(Debug)]
pub(crate) enum Flushed<T> {
    Stored(Record<T>),
    /// Whether there was a record.
    Deleted(bool),
}

impl<T> Clone for Flushed<T> {
    fn clone(&self) -> Self {
        match self {
            Flushed::Stored(record) => Flushed::Stored(record.clone()),
            Flushed::Deleted(was_there) => Flushed::Deleted(*was_there),
        }
    }
}

pub(super) struct Taken<T: Schema> {
    pipeline: Arc<Pipeline<T>>,
    keys: Vec<T::Key>,
    items: Vec<Item>,
    writes: Vec<Write<T>>,
    outcomes: Vec<Option<Outcome>>,
    /// Which were merged with what another instance had written.
    merged: Vec<usize>,
    /// What the caches are to hear.
    changes: Changes<T>,
    records: Vec<Option<Record<T>>>,
}

impl<T: Schema> Taken<T> {
    /// To be called before anything is sent.
    pub(super) fn new(pipeline: &Arc<Pipeline<T>>, taken: Vec<pending::Taken<T::Key, Write<T>>>) -> Result<Self> {
        let count = taken.len();
        let (mut keys, mut items, mut writes) = (Vec::with_capacity(count), Vec::with_capacity(count), Vec::with_capacity(count));
        let mut changes = Changes::new(pipeline);
        for pending::Taken { key, write, first, sequence, base, is_acknowledged } in taken {
            let (row, replaces) = match &write {
                Write::Set(set) => (Some(Arc::clone(&set.row)), set.replaces),
                Write::Delete => (None, false),
            };
            let values: Row<'static> = <T::Key as Key>::to_values(key.borrow())?.into_iter().map(Value::into_owned).collect();
            items.push(Item { key: values, text: Pipeline::<T>::text(&key), row, replaces, base, first, sequence, is_acknowledged });
            changes.note_fence(&key);
            keys.push(key);
            writes.push(write);
        }
        let (outcomes, records) = (items.iter().map(|_| None).collect(), items.iter().map(|_| None).collect());
        Ok(Taken { pipeline: Arc::clone(pipeline), keys, items, writes, outcomes, merged: Vec::new(), changes, records })
    }

    fn pending(&self) -> Result<&PendingWrites<T>> {
        let pending = self.pipeline.behind.as_ref();
        pending.ok_or_else(|| Error::new(ErrorKind::Internal, "a flush took writes of a schema that has none"))
    }

    fn merged(
        &self,
        index: usize,
        stored: Option<StoredRow>,
        merge: &(dyn Fn(WriteConflict<T>) -> Option<T> + Send + Sync),
    ) -> Result<Option<Row<'static>>> {
        let model = |row: Row<'static>| self.pipeline.model(row, View::Truth);
        let pending = self.items[index].row.as_ref().map(|row| model(Row::clone(row))).transpose()?;
        let stored = stored.map(|stored| model(stored.row)).transpose()?;
        let merged = catch_unwind(AssertUnwindSafe(|| merge(WriteConflict { pending, stored }))).map_err(|_| {
            Error::new(
                ErrorKind::HookPanic,
                "the function that merges conflicts panicked, and nothing was written; the panic's own message says where",
            )
        })?;
        let Some(merged) = merged else { return Ok(None) };
        if merged.key() != self.keys[index] {
            let message = "the function that merges conflicts answered a record of another key; let it keep the key";
            return Err(Error::new(ErrorKind::Refused, message));
        }
        let now = Timestamp::from_system_time(self.pipeline.shared.settings.clock.now())?;
        self.pipeline.to_write(&merged, now).map(owned).map(Some)
    }

    /// Writes that became pending during a flush which merged the key have not seen what came of it: they stay based on what the earlier ones were based on, and are merged too.
    fn keep_bases_of_merged(&self) {
        let Some(pending) = self.pipeline.behind.as_ref().filter(|_| !self.merged.is_empty()) else { return };
        let mut writes = pending.lock();
        for &index in &self.merged {
            writes.return_to_base(&self.keys[index], self.items[index].base);
        }
    }

    fn refused(&self, index: usize, stored: Option<&StoredRow>) -> Error {
        let based_on = match self.items[index].base {
            Base::Version(version) => format!("version {version}"),
            Base::Absent(_) | Base::Unknown => "there being no record".to_owned(),
        };
        let present = match stored {
            Some(stored) => format!("the truth holds version {}", stored.version),
            None => "the truth holds no record".to_owned(),
        };
        let why = match (self.items[index].base, stored) {
            (Base::Version(base), Some(stored)) if stored.version.get() < base => "since the truth was put back to an older copy",
            _ => "since another instance wrote it meanwhile",
        };
        let message = format!(
            "the pending write was based on {based_on}, and {present}, {why}; look at both and retry or remove the dead letter, or choose another `on_conflict`"
        );
        Error::new(ErrorKind::Conflict, message)
    }
}

impl<T: Schema> Pipeline<T> {
    /// Whether a pending write that meets another record than it is based on becomes a dead letter.
    #[cfg(feature = "encryption")]
    pub(in crate::pipeline) fn rejects_conflicts(&self) -> bool {
        self.behind.as_ref().is_some_and(|pending| matches!(pending.on_conflict, OnConflict::Reject))
    }
}

#[async_trait]
impl<T: Schema> Batch for Taken<T> {
    fn schema(&self) -> &Arc<BoundSchema> {
        &self.pipeline.schema
    }

    fn items(&self) -> &[Item] {
        &self.items
    }

    fn is_contended(&self, index: usize) -> bool {
        let Ok(pending) = self.pending() else { return false };
        let (key, base) = (&self.keys[index], self.items[index].base);
        let writes = pending.lock();
        writes.has_door(key) || writes.base(key) != Some(base)
    }

    fn resolve(&self, index: usize, stored: Option<StoredRow>) -> Resolution {
        let policy = self.pending().map(|pending| &pending.on_conflict);
        match policy {
            Ok(OnConflict::LastFlushWins) => Resolution::Write(self.items[index].row.as_ref().map(|row| Row::clone(row))),
            Ok(OnConflict::Merge(merge)) => self.merged(index, stored, &**merge).map_or_else(Resolution::Refuse, Resolution::Merge),
            Ok(OnConflict::Reject) => Resolution::Refuse(self.refused(index, stored.as_ref())),
            Err(error) => Resolution::Refuse(error),
        }
    }

    fn entry(&self, index: usize, stored: Option<Version>) -> Result<Vec<u8>> {
        let item = &self.items[index];
        let (row, tags) = match &self.writes[index] {
            Write::Set(set) => (Some(set.row.as_slice()), set.tags.as_slice()),
            Write::Delete => (None, [].as_slice()),
        };
        let base = stored.map_or(Base::Absent(0), Base::put);
        Entry::new(self.pipeline.schema.definition(), &item.text, base, tags, row).encode()
    }

    fn outcome(&self, index: usize) -> Option<&Outcome> {
        self.outcomes[index].as_ref()
    }

    fn decide(&mut self, index: usize, outcome: Outcome) {
        self.outcomes[index] = Some(match outcome {
            Outcome::Refused(error) => Outcome::Refused(named_by_field(error, self.pipeline.schema.definition())),
            Outcome::Merged(outcome) => {
                self.merged.push(index);
                *outcome
            }
            outcome => outcome,
        });
    }

    fn hear(&mut self) {
        for (index, outcome) in self.outcomes.iter_mut().enumerate() {
            let key = self.keys[index].clone();
            match (outcome, &self.writes[index]) {
                (Some(Outcome::Stored(stored)), write) => {
                    let tags = if let Write::Set(set) = write { set.tags.clone() } else { CallTags::default() };
                    // Nobody asks for the row any more.
                    let stored = StoredRow { row: std::mem::take(&mut stored.row), version: stored.version };
                    match self.changes.keep(key, stored, &tags) {
                        Ok(record) => self.records[index] = Some(record),
                        Err(error) => {
                            let schema = self.pipeline.schema.name();
                            tracing::error!(schema, %error, "a pending write was stored, but what the truth holds now cannot be read back");
                        }
                    }
                }
                (Some(Outcome::Deleted(version)), _) => self.changes.add_deleted(key, *version),
                (Some(Outcome::Merged(_) | Outcome::Refused(_)) | None, _) => {}
            }
        }
        self.changes.hear();
        self.keep_bases_of_merged();
    }

    async fn publish(self: Box<Self>) {
        let Taken { pipeline, keys, items, outcomes, records, changes, .. } = *self;
        Box::new(changes).publish().await;
        let Some(pending) = &pipeline.behind else { return };
        let (mut gone, mut answers) = (0, Vec::new());
        let mut writes = pending.lock();
        for (index, outcome) in outcomes.iter().enumerate() {
            // What has no outcome stays pending.
            let Some(outcome) = outcome else { continue };
            let settled = writes.settle(&keys[index], items[index].sequence);
            gone += usize::from(settled.is_gone);
            let answer = |waits| (waits, told(outcome, records[index].as_ref()));
            answers.extend(settled.answered.into_iter().map(answer));
        }
        pending.keys.fetch_sub(gone, Ordering::Release);
        drop(writes);
        pending.behind.free(gone);
        for (index, outcome) in outcomes.into_iter().enumerate() {
            if let Some(Outcome::Refused(error)) = outcome {
                let key = &keys[index];
                pipeline.forget_near(key);
                if items[index].is_acknowledged {
                    let error = error.with_key(items[index].text.clone()).with_schema(pipeline.schema.name());
                    tracing::error!(schema = pipeline.schema.name(), %error, "the truth refused a pending write, which is a dead letter now");
                    pipeline.on_write_error(key.borrow(), &error);
                }
            }
        }
        for (waits, answer) in answers {
            // Nobody may wait for it any more.
            let _ = waits.send(answer);
        }
    }
}

fn told<T>(outcome: &Outcome, record: Option<&Record<T>>) -> Result<Flushed<T>> {
    match (outcome, record) {
        (Outcome::Stored(_), Some(record)) => Ok(Flushed::Stored(record.clone())),
        (Outcome::Stored(_), None) => {
            Err(Error::new(ErrorKind::DecodeFailed, "the write was stored, but what the truth holds now cannot be read back"))
        }
        (Outcome::Deleted(version), _) => Ok(Flushed::Deleted(version.is_some())),
        (Outcome::Merged(outcome), record) => told(outcome, record),
        (Outcome::Refused(error), _) => Err(error.duplicate()),
    }
}

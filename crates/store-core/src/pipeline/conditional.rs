//! Writing what is there as the writer expects it, and only then.

use std::borrow::Borrow;
use std::sync::Arc;
use std::time::Duration;

use super::kept::unreadable;
use super::write::{self, Unreadable, may_have_taken_effect, owned};
use super::{Backing, Pipeline, View};
use crate::breaker::random_part;
use crate::error::{Error, ErrorKind, Result};
use crate::facet::{Condition, PutOver, Records, Seen, Slot};
use crate::key::Key;
use crate::query::Changes;
use crate::record::{EncodedRecord, Record, StoredRow};
use crate::schema::{Schema, SchemaDefinition, Stamp};
use crate::tag::CallTags;
use crate::timestamp::Timestamp;
use crate::value::{Row, Value};
use crate::version::Version;

/// How often a write looks at a slot of the shared tier again, as its truth, because others changed it meanwhile.
const MOST_LOOKS: u32 = 32;

/// A repeated update waits up to this long, and up to twice as long each time, …
const FIRST_PAUSE: Duration = Duration::from_millis(2);
/// … but no longer than this.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// What stands in a slot of the shared tier, as the truth.
struct Present {
    version: Version,
    /// Fails where another build wrote it, or a version that cannot be upgraded.
    row: Result<Row<'static>>,
}

impl<T: Schema> Pipeline<T> {
    /// Writes a record if what is there is as expected. If it is not, the error tells what is there.
    pub(crate) async fn set_if(self: &Arc<Self>, model: T, condition: Condition, tags: &CallTags) -> Result<Record<T>> {
        tags.check()?;
        let model = self.before_set_if(model, condition)?;
        let (key, row) = (model.key(), self.sealed(owned(self.row_of(&model)?))?);
        self.counters().sets.add(1);
        let written = match self.put_if(key.clone(), row, condition, tags).await {
            Ok(Some(record)) => Ok(record),
            Ok(None) => Err(self.conflict(&key, condition).await),
            Err(error) => Err(error),
        };
        // Not that which the caller gave, if the hook changed it.
        written.map_err(|error| error.with_key(Self::text(&key)))
    }

    /// Lets the hook check and change a model that is written on a condition: its key only where that is no condition on a record that is there.
    pub(crate) fn before_set_if(&self, model: T, condition: Condition) -> Result<T> {
        let (key, mut models) = (model.key(), [model]);
        self.before_set(&mut models)?;
        let [model] = models;
        if condition != Condition::Absent {
            keeps_key("`before_set`", &key, &model).map_err(|error| error.with_key(Self::text(&key)))?;
        }
        Ok(model)
    }

    /// Changes some columns of a record, if there is one.
    pub(crate) async fn patch(self: &Arc<Self>, key: T::Key, changes: Changes<T>, tags: &CallTags) -> Result<Option<Record<T>>> {
        tags.check()?;
        let definition = self.schema.definition();
        let key_values = <T::Key as Key>::to_values(key.borrow())?;
        let key_values = definition.key_positions().iter().copied().zip(key_values.into_iter().map(Value::into_owned));
        let row = self.sealed(partial_row(definition, key_values.chain(changes.into_values(definition)?)))?;
        self.counters().sets.add(1);
        let patched = self.put_if(key.clone(), row, Condition::Present, tags).await?;
        if patched.is_none() {
            self.learn_gone(&key).await;
        }
        Ok(patched)
    }

    /// Reads a record from the truth, changes it and writes it, anew whenever another write came between.
    pub(crate) async fn update(
        self: &Arc<Self>,
        key: T::Key,
        tags: &CallTags,
        mut change: impl FnMut(&mut T) -> Result<()>,
    ) -> Result<Option<Record<T>>> {
        tags.check()?;
        self.check_written(std::slice::from_ref(&key))?;
        self.counters().sets.add(1);
        let retries = self.shared.settings.update_retries;
        for retry in 0..=retries {
            if retry > 0 {
                pause(retry).await;
            }
            self.flush_keys([&key]).await?;
            let Some(StoredRow { row, version }) = self.read_whole(&key).await? else { return Ok(None) };
            let row = self.changed(&key, row, &mut change)?;
            if let Some(record) = self.put_if(key.clone(), row, Condition::Version(version), tags).await? {
                return Ok(Some(record));
            }
        }
        let message = format!(
            "others wrote the record during each of {} attempts; try again later, raise `update_retries`, or change single columns with `patch`",
            u64::from(retries) + 1
        );
        Err(Error::new(ErrorKind::Conflict, message).with_retryable(true))
    }

    /// A row as a change of its model leaves it, under the same key.
    pub(super) fn changed(&self, key: &T::Key, row: Row<'static>, change: impl FnOnce(&mut T) -> Result<()>) -> Result<Row<'static>> {
        let read = self.model(row, View::Truth);
        let mut model = read.map_err(|error| write::unreadable(error, Unreadable::Unchanged).with_key(Self::text(key)))?;
        change(&mut model)?;
        keeps_key("the function given to `update`", key, &model)?;
        let model = self.before_set_if(model, Condition::Present)?;
        self.sealed(owned(self.row_of(&model)?))
    }

    /// Writes a row if the condition holds, and treats the caches as any write does; `None` if it does not hold.
    async fn put_if(self: &Arc<Self>, key: T::Key, row: Row<'static>, condition: Condition, tags: &CallTags) -> Result<Option<Record<T>>> {
        self.check_written(std::slice::from_ref(&key))?;
        let (pipeline, tags) = (Arc::clone(self), tags.clone());
        self.in_task(vec![key.clone()], async move { pipeline.write_if(key, row, condition, &tags).await }).await
    }

    async fn write_if(
        self: Arc<Self>,
        key: T::Key,
        mut row: Row<'static>,
        condition: Condition,
        tags: &CallTags,
    ) -> Result<Option<Record<T>>> {
        let keys = [key];
        let mut begun = self.begin_write(&keys, tags).await;
        let _writing = self.writing(&keys);
        self.stamp(&mut row, Timestamp::from_system_time(self.shared.settings.clock.now())?);
        begun.columns = (condition != Condition::Absent).then(|| set_columns(self.schema.definition(), &row));
        match self.write_backing_if(&keys[0], row, condition, tags).await {
            Ok(Some(stored)) => Ok(self.finish_write(begun, &keys, vec![stored], tags).await?.pop()),
            Ok(None) => Ok(None),
            Err(error) => {
                if may_have_taken_effect(&error) {
                    self.doubt(&keys).await;
                }
                Err(error)
            }
        }
    }

    async fn write_backing_if(&self, key: &T::Key, row: Row<'static>, condition: Condition, tags: &CallTags) -> Result<Option<StoredRow>> {
        match &self.backing {
            Backing::Tables { tables, .. } => tables.put_if(&self.schema, &row, condition).await,
            Backing::Records(records) => self.write_record_if(&**records, key, &row, condition, tags).await,
            Backing::Memory(versions) => {
                let present = self.in_memory(key)?;
                if !condition.holds(present.as_ref().map(|present| present.version)) {
                    return Ok(None);
                }
                let row = self.merged(&row, present.map(|present| present.row));
                Ok(Some(StoredRow { row, version: versions.next() }))
            }
        }
    }

    /// Writes to the shared tier as the truth: over exactly what was looked at, or not at all.
    async fn write_record_if(
        &self,
        records: &dyn Records,
        key: &T::Key,
        row: &Row<'static>,
        condition: Condition,
        tags: &CallTags,
    ) -> Result<Option<StoredRow>> {
        let text = [Self::text(key)];
        // Only who holds its lease can fill an empty slot without overwriting what another puts there.
        let lease = (condition == Condition::Absent).then_some(self.shared.settings.fill_lease);
        for look in 0..MOST_LOOKS {
            let slot = records.fetch(&self.schema, &text, lease).await?.pop().unwrap_or(Slot::Empty);
            let (present, seen) = match slot {
                Slot::Record(record) => {
                    let present = self.present_in(records, &text, &record).await?;
                    (present, Some(Seen::Record(EncodedRecord { payload: Vec::new().into(), ..record })))
                }
                Slot::Leased(lease) => (None, Some(Seen::Lease(lease))),
                // Another insert or a load is under way. The one ends soon, the other is voided by a write; a record that was put meanwhile stays.
                Slot::Busy if lease.is_some() => {
                    if look % 2 == 0 {
                        pause(1).await;
                    } else {
                        records.drop_loaded(&self.schema, Some(&text)).await?;
                    }
                    continue;
                }
                Slot::Empty | Slot::Foreign if lease.is_some() => return Err(unleased()),
                Slot::Busy | Slot::Empty | Slot::Foreign => (None, None),
            };
            if !condition.holds(present.as_ref().map(|present| present.version)) {
                return Ok(None);
            }
            let Some(seen) = seen else { return Ok(None) };
            let present = match present.map(|present| present.row) {
                Some(Err(error)) if self.keeps(row) => return Err(error),
                present => present.and_then(Result::ok),
            };
            let merged = self.merged(row, present);
            let notes = self.with_tags(&merged, None, tags);
            let record = self.encode(&merged, Version::default(), 0, notes.as_deref())?;
            let put = PutOver { key: text[0].clone(), seen, record };
            if let Some(version) = records.put_over(&self.schema, &[put]).await?.pop().flatten() {
                return Ok(Some(StoredRow { row: merged, version }));
            }
        }
        let message = format!("others changed its slot during each of {MOST_LOOKS} attempts; try again later");
        Err(Error::new(ErrorKind::Conflict, message).with_retryable(true))
    }

    /// What a plain read would find in a record of a slot, and what another build wrote there.
    async fn present_in(&self, records: &dyn Records, text: &[String], record: &EncodedRecord) -> Result<Option<Present>> {
        let version = record.version;
        let found = match self.found_in_slot(&text[0], Slot::Record(record.clone())) {
            Ok(found) => found,
            // It may still be replaced as a whole.
            Err(error) => return Ok(Some(Present { version, row: Err(error) })),
        };
        let is_readable = found.is_some();
        let found = self.without_void(records, text, vec![found]).await?.pop().flatten();
        Ok(match found {
            Some(found) => Some(Present { version, row: Ok(found.stored.row) }),
            // What a loader brought is a copy, and counts for nothing once it is void or over.
            None if is_readable || record.generation != 0 => None,
            None => Some(Present { version, row: Err(unreadable()) }),
        })
    }

    /// The record that memory holds as the truth.
    fn in_memory(&self, key: &T::Key) -> Result<Option<StoredRow>> {
        let Some(record) = self.near.as_ref().and_then(|near| self.live(&**near, key.borrow())) else { return Ok(None) };
        Ok(Some(StoredRow { row: owned(record.model().to_row()?), version: record.version() }))
    }

    /// The record as the truth holds it, with all columns. Memory learns of it.
    async fn read_whole(&self, key: &T::Key) -> Result<Option<StoredRow>> {
        if matches!(self.backing, Backing::Memory(_)) {
            return self.in_memory(key);
        }
        let found = self.read_backing(key).await?;
        match &found {
            Some(_) => self.learn(key, found.as_ref().map(|found| found.stored.version)),
            None => self.learn_gone(key).await,
        }
        Ok(found.map(|found| found.stored))
    }

    /// Lets every cache forget what the truth does not hold any more.
    async fn learn_gone(&self, key: &T::Key) {
        self.learn(key, None);
        self.remove_from_cache(vec![Self::text(key)]).await;
    }

    /// The error of a write whose condition did not hold. What is there is read, so that the caller's next read shows no less.
    async fn conflict(&self, key: &T::Key, condition: Condition) -> Error {
        let message = match self.read_whole(key).await {
            Ok(present) => told(condition, present.map(|present| present.version)),
            Err(error) => format!("what is there could not be read ({}); read it and decide", error.summary()),
        };
        Error::new(ErrorKind::Conflict, message)
    }
}

/// What is there, and what to do.
pub(super) fn told(condition: Condition, present: Option<Version>) -> String {
    match (condition, present) {
        (Condition::Absent, Some(version)) => {
            format!("there is a record, of version {version}; change that with `update`, or replace whatever is there with `set`")
        }
        (Condition::Version(expected), Some(version)) => {
            format!("its version is {version}, not {expected}; read it again and repeat the change, or let `update` do both")
        }
        (Condition::Present | Condition::Version(_), None) => {
            "there is no record; insert it with `insert_only`, or use `set` if that does not matter".to_owned()
        }
        (Condition::Absent, None) => "there was a record that is gone by now; try again".to_owned(),
        (Condition::Present, Some(version)) => format!("there was no record, and now there is one, of version {version}; try again"),
    }
}

/// Refuses a write of a record that is there, if its model has another key by now.
fn keeps_key<T: Schema>(who: &str, key: &T::Key, model: &T) -> Result<()> {
    let changed = model.key();
    if changed == *key {
        return Ok(());
    }
    let message = format!(
        "{who} changed the key, to `{}`, and a record that is updated keeps its key; write the other record with `set` and delete this one",
        changed.to_text()
    );
    Err(Error::new(ErrorKind::InvalidQuery, message))
}

fn unleased() -> Error {
    let message = "the shared tier grants no lease of the slot: it is out of memory, or another program or version of Strata has written there; \
                   use `set` to write whatever is there";
    Error::new(ErrorKind::L2Unavailable, message)
}

/// Waits at random, so that writers who met do not meet again.
async fn pause(retry: u32) {
    let longest = FIRST_PAUSE.saturating_mul(1 << (retry - 1).min(10)).min(LONGEST_PAUSE);
    crate::sync::sleep(longest.mul_f64(random_part())).await;
}

/// The columns that an update of a row sets, by position.
pub(super) fn set_columns(definition: &SchemaDefinition, row: &[Value<'_>]) -> Vec<usize> {
    let is_set = |position: &usize| {
        let column = &definition.columns()[*position];
        !matches!(row[*position], Value::Unset) && !column.is_key && column.stamp != Stamp::OnInsert
    };
    (0..row.len()).filter(is_set).collect()
}

/// A row with some columns set, of which a write leaves the others alone.
pub(super) fn partial_row(definition: &SchemaDefinition, values: impl Iterator<Item = (usize, Value<'static>)>) -> Row<'static> {
    let mut row: Row<'static> = vec![Value::Unset; definition.columns().len()];
    for (position, value) in values {
        row[position] = value;
    }
    row
}

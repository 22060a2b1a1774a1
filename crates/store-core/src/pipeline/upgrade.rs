//! Reading what older versions of a model wrote, and writing it back.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, Weak};

use tokio::sync::Semaphore;

use super::sealing::without_content;
use super::slots::Decoded;
use super::write::owned;
use super::{Backing, Pipeline};
use crate::crypto::{KeyRing, Sealer};
use crate::document;
use crate::error::{Error, ErrorKind, Result};
use crate::facet::{Condition, PutOver, Seen, Slot};
use crate::key::Key;
use crate::notes::Notes;
use crate::record::EncodedRecord;
use crate::schema::{BoundSchema, Residence, Schema};
use crate::sync::{Mutex, spawn};
use crate::tag::CallTags;
use crate::tier::Role;
use crate::upgrade::{OlderVersion, UpgradePolicy};
use crate::value::{ColumnType, Row, Value};
use crate::version::Version;

/// The most records of one schema that are written back at one time. Others wait for a later read.
const MOST_WRITE_BACKS: usize = 8;

/// The older versions of a model, as the shared tier may hold them.
pub(super) struct OlderVersions<T: Schema> {
    layouts: Vec<Layout<T>>,
    pipeline: std::sync::OnceLock<Weak<Pipeline<T>>>,
    turns: Arc<Semaphore>,
    /// The keys that are being written back.
    busy: Mutex<HashSet<String>>,
}

/// A key that is being written back. It is free again when this is dropped, however the work ends.
struct Busy<T: Schema> {
    pipeline: Arc<Pipeline<T>>,
    key: String,
}

impl<T: Schema> Busy<T> {
    /// `None` while the key is being written back already.
    fn begin(pipeline: Arc<Pipeline<T>>, key: String) -> Option<Self> {
        let is_free = pipeline.older.busy.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        is_free.then(|| Busy { pipeline, key })
    }
}

impl<T: Schema> Drop for Busy<T> {
    fn drop(&mut self) {
        self.pipeline.older.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

/// An older version of a model.
pub(super) struct Layout<T> {
    fingerprint: u64,
    pub(super) version: OlderVersion<T>,
    /// `None` if it has no encrypted columns.
    sealer: Option<Sealer>,
    pub(super) shared_types: Vec<ColumnType>,
    pub(super) shared_positions: Vec<usize>,
    /// Whether a record of it holds all that one of this version does. If not, the truth alone knows the rest.
    is_whole: bool,
}

impl<T: Schema> OlderVersions<T> {
    pub(super) fn new(schema: &BoundSchema, keys: Option<&Arc<KeyRing>>) -> Self {
        let definition = schema.definition();
        let layouts = T::upgrades().0.into_iter().map(|version| {
            let columns = version.definition.columns();
            let is_shared = |position: &usize| columns[*position].residence != Residence::TruthOnly;
            let shared_positions: Vec<usize> = (0..columns.len()).filter(is_shared).collect();
            let holds = |name| shared_positions.iter().any(|&position| columns[position].name == name);
            Layout {
                // Under the name of the newest: its records and the older ones stand under the same keys.
                fingerprint: schema.fingerprint_of(version.definition),
                shared_types: shared_positions.iter().map(|&position| columns[position].shared_type()).collect(),
                is_whole: schema.shared_positions().iter().all(|&position| holds(definition.columns()[position].name)),
                shared_positions,
                sealer: keys.and_then(|keys| Sealer::of_version(version.definition, schema, keys)),
                version,
            }
        });
        OlderVersions {
            layouts: layouts.collect(),
            pipeline: std::sync::OnceLock::new(),
            turns: Arc::new(Semaphore::new(MOST_WRITE_BACKS)),
            busy: Mutex::new(HashSet::new()),
        }
    }

    /// The layout of that version.
    pub(super) fn of_version(&self, version: u32) -> Option<&Layout<T>> {
        self.layouts.iter().find(|layout| layout.version.definition.version() == version)
    }
}

impl<T: Schema> Layout<T> {
    /// The model for a row of this version as tiers hold it.
    fn upgrade(&self, row: Row<'static>) -> Result<T> {
        let row = match &self.sealer {
            Some(sealer) => sealer.open(row)?,
            None => row,
        };
        self.version.upgrade(row).map_err(|error| without_content(error, self.version.definition))
    }
}

impl<T: Schema> std::fmt::Debug for OlderVersions<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.layouts.iter().map(|layout| layout.version.definition.version())).finish()
    }
}

impl<T: Schema> Pipeline<T> {
    /// Lets the pipeline begin tasks of its own.
    pub(crate) fn know(self: &Arc<Self>) {
        let _ = self.older.pipeline.set(Arc::downgrade(self));
    }

    /// The older version that a record of the shared tier has, if it is one that can be upgraded.
    pub(super) fn older_layout(&self, fingerprint: u64) -> Option<&Layout<T>> {
        let layout = self.older.layouts.iter().find(|layout| layout.fingerprint == fingerprint)?;
        // Beside a cache, the truth has what the older version lacks, and another build may have written it there.
        let may_be_used = layout.is_whole || self.schema.upgrades_incomplete() || matches!(self.backing, Backing::Records(_));
        may_be_used.then_some(layout)
    }

    /// The row of this version for that of a record of an older one.
    pub(super) fn upgraded_row(&self, key: &str, layout: &Layout<T>, version: Version, row: Row<'static>) -> Result<Row<'static>> {
        let upgraded = self.upgrade_row(key, layout, row).and_then(|mut row| {
            for (value, column) in row.iter_mut().zip(self.schema.definition().columns()) {
                match (column.residence, &value) {
                    (Residence::TruthOnly, _) => *value = Value::Unset,
                    (_, Value::Unset) => {
                        let message = "the upgrade leaves the field not loaded; give it a value, as the shared tier holds it";
                        return Err(Error::new(ErrorKind::DecodeFailed, message).with_column(column.name));
                    }
                    _ => {}
                }
            }
            Ok(row)
        });
        upgraded.map_err(|error| self.of_older(error, key, layout.version.definition.version(), version))
    }

    /// The row of this version for one of an older version, both as tiers hold them. Columns of deferred fields may be unset.
    pub(super) fn upgrade_row(&self, key: &str, layout: &Layout<T>, row: Row<'static>) -> Result<Row<'static>> {
        let model = layout.upgrade(row)?;
        if Self::text(&model.key()) != key {
            return Err(Error::new(ErrorKind::DecodeFailed, "the upgrade changed the key, and a record keeps its key"));
        }
        self.sealed(owned(self.row_of(&model)?))
    }

    /// The error of an upgrade. A write that is pending has no version yet.
    pub(super) fn of_older(&self, error: Error, key: &str, layout: u32, version: Version) -> Error {
        let record =
            if version == Version::default() { "the pending record".to_owned() } else { format!("the record of version {version}") };
        let message = format!("{record}, which version {layout} of the model wrote, cannot be upgraded: {}", error.summary());
        let column = error.column().map(str::to_owned);
        let told = Error::new(ErrorKind::DecodeFailed, message).with_source(error).with_schema(self.schema.name()).with_key(key);
        match column {
            Some(column) => told.with_column(column),
            None => told,
        }
    }

    /// Writes what was upgraded back in the background, if it is to be: the row under this key, or the record that the shared tier holds.
    pub(super) fn write_back(&self, key: String, place: Role) {
        if self.schema.upgrade_policy() != UpgradePolicy::WriteBack {
            return;
        }
        let is_row = place == Role::Truth && matches!(self.backing, Backing::Tables { .. });
        // A write that is pending would find another version than it expects.
        if matches!(self.backing, Backing::Memory(_)) || (is_row && self.behind.is_some()) {
            return;
        }
        let Some(pipeline) = self.older.pipeline.get().and_then(Weak::upgrade) else { return };
        let Ok(turn) = Arc::clone(&self.older.turns).try_acquire_owned() else { return };
        let Some(pass) = self.shared.writes.enter() else { return };
        let Some(busy) = Busy::begin(pipeline, key) else { return };
        let work = async move {
            let _held = (turn, pass);
            busy.pipeline.write_back_now(&busy.key, is_row).await;
        };
        drop(spawn(self.shared.life.runtime(), work));
    }

    async fn write_back_now(&self, key: &str, is_row: bool) {
        let limit = self.shared.settings.operation_timeout;
        let outcome =
            tokio::time::timeout(limit, async { if is_row { self.write_back_row(key).await } else { self.write_back_record(key).await } });
        let schema = self.schema.name();
        match outcome.await {
            Ok(Ok(true)) => {
                self.counters().upgrades_written.add(1);
                tracing::debug!(schema, key, "what an older version wrote was upgraded and written back");
            }
            Ok(Ok(false)) => tracing::trace!(schema, key, "what was to be written back was written by another meanwhile"),
            Ok(Err(error)) => {
                self.counters().errors.add(1);
                tracing::warn!(schema, key, %error, "an upgraded record was not written back; a later read tries again");
            }
            Err(_) => {
                self.counters().errors.add(1);
                tracing::warn!(schema, key, ?limit, "an upgraded record was not written back in time; a later read tries again");
            }
        }
    }

    /// Writes the upgraded documents of a row, if it still has the version that they were read in.
    async fn write_back_row(&self, key: &str) -> Result<bool> {
        let Backing::Tables { tables, .. } = &self.backing else { return Ok(false) };
        let key = T::Key::from_text(key)?;
        let values: Row<'_> = <T::Key as Key>::to_values(std::borrow::Borrow::borrow(&key))?;
        let permit = self.truth_permit().await;
        let found = tables.get_many(&self.schema, &[values]).await?.into_iter().next().flatten();
        drop(permit);
        let Some(stored) = found else { return Ok(false) };
        let Some(upgraded) = self.with_documents_upgraded(&stored.row)? else { return Ok(false) };
        let definition = self.schema.definition();
        // What the row says besides, and its times, stay.
        let kept =
            upgraded.into_iter().zip(stored.row).enumerate().map(|(position, (value, before))| {
                if definition.columns()[position].is_key || value != before { value } else { Value::Unset }
            });
        let row: Row<'static> = kept.collect();
        let _turn = self.shared.truth_writes.tables.acquire().await;
        Ok(tables.put_if(&self.schema, &row, Condition::Version(stored.version)).await?.is_some())
    }

    /// Writes an upgraded record over exactly the one that it was made of.
    async fn write_back_record(&self, key: &str) -> Result<bool> {
        let (records, is_truth) = match (&self.cache, &self.backing) {
            (Some(cache), _) => (cache, false),
            (None, Backing::Records(records)) => (records, true),
            _ => return Ok(false),
        };
        let texts = [key.to_owned()];
        let Some(Slot::Record(present)) = records.fetch(&self.schema, &texts, None).await?.pop() else { return Ok(false) };
        let is_older = present.fingerprint != self.schema.fingerprint();
        let Some(Decoded::Record(row, notes)) = self.decode_alone(key, &present)? else { return Ok(false) };
        let row = match self.with_documents_upgraded(&row)? {
            Some(upgraded) if is_truth => upgraded,
            _ if is_older => row,
            _ => return Ok(false),
        };
        let notes: Option<Arc<Notes>> = self.with_tags(&row, notes, &CallTags::default());
        let record = self.encode(&row, present.version, present.generation, notes.as_deref())?;
        let record = EncodedRecord { deadline: present.deadline, ..record };
        if !is_truth {
            // The slot takes it in place of the same version in another layout, and of no other.
            return Ok(records.replace(&self.schema, &[(texts[0].clone(), record)]).await?.into_iter().any(|done| done));
        }
        let seen = Seen::Record(EncodedRecord { payload: Vec::new().into(), ..present });
        let _turn = self.shared.truth_writes.records.acquire().await;
        let put = PutOver { key: texts[0].clone(), seen, record };
        Ok(records.put_over(&self.schema, &[put]).await?.into_iter().flatten().next().is_some())
    }

    /// A row with the columns that hold an older document upgraded, as tiers hold it; `None` if that changes none.
    fn with_documents_upgraded(&self, row: &Row<'static>) -> Result<Option<Row<'static>>> {
        let open = self.opened(row.clone())?;
        let (model, is_upgraded) = document::watch(|| self.read_open(|| T::from_row(open.clone())));
        if !is_upgraded {
            return Ok(None);
        }
        let upgraded = owned(self.row_of(&model?)?);
        let columns = self.schema.definition().columns();
        let changed = open.iter().zip(upgraded).zip(columns).map(|((before, after), column)| match (before, &after) {
            (Value::Json(old), Value::Json(new)) => {
                let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
                let is_upgraded = parsed(old).zip(parsed(new)).is_some_and(|(old, new)| document::differs(&old, &new));
                if is_upgraded { after } else { Value::Unset }
            }
            // Ciphertexts are bound to it.
            _ if column.is_key => before.clone(),
            _ => Value::Unset,
        });
        let changed: Row<'static> = changed.collect();
        if changed.iter().zip(columns).all(|(value, column)| column.is_key || matches!(value, Value::Unset)) {
            return Ok(None);
        }
        let changed = self.sealed(changed)?;
        let kept = |(value, stored): (Value<'static>, &Value<'static>)| if matches!(value, Value::Unset) { stored.clone() } else { value };
        Ok(Some(changed.into_iter().zip(row).map(kept).collect()))
    }

    /// Warns of a record that is lost to this build though it could be upgraded.
    pub(super) fn tolerate_failed_upgrade(&self, error: &Error) {
        self.counters().errors.add(1);
        tracing::warn!(schema = self.schema.name(), tier = %Role::Shared, %error, "an older record counts as a miss");
    }
}

//! Writes that come back from a journal or a dead letter.

use std::borrow::Borrow;
use std::sync::Arc;

use super::{PendingSet, Write};
use crate::behind::{Base, Entry, Over};
use crate::error::{Error, ErrorKind, Result};
use crate::facet::{Begin, Condition, DeadLetter, Isolation, RowLock, Transaction};
use crate::key::Key;
use crate::pipeline::transaction::{Change, Changes};
use crate::pipeline::write::{Unreadable, unreadable};
use crate::pipeline::{Pipeline, View, may_have_taken_effect};
use crate::record::Record;
use crate::schema::{DefaultValue, Residence, Schema, SchemaDefinition};
use crate::tag::CallTags;
use crate::value::{ColumnType, Row, Value};
use crate::version::Version;

impl<T: Schema> Pipeline<T> {
    /// What an entry of a journal holds.
    pub(super) fn read_entry(&self, entry: Entry<'_>) -> Result<(T::Key, Write<T>, Base)> {
        let key = T::Key::from_text(&entry.key)?;
        self.check_storable(&key)?;
        let (base, tags) = (entry.base, CallTags::new(entry.tags.iter().map(|tag| tag.clone().into_owned())));
        let Some(row) = self.row_of_entry(entry)? else { return Ok((key, Write::Delete, base)) };
        // Also what is not shown, so that nothing goes to the truth that cannot be read there.
        let open = self.opened(completed(self.schema.definition(), &row))?;
        let model = self.model_of_open(self.seen(open, View::Near))?;
        if model.key() != key {
            let message = "the journal's entry has a record of another key than it says";
            return Err(Error::new(ErrorKind::DecodeFailed, message).with_schema(self.schema.name()));
        }
        let record = Record::new(Arc::new(model), Version::default());
        Ok((key, Write::Set(Arc::new(PendingSet { row: Arc::new(row), record, tags, replaces: false })), base))
    }

    /// The row that an entry writes, upgraded where an older version of the model wrote it; `None` for a deletion.
    fn row_of_entry(&self, entry: Entry<'_>) -> Result<Option<Row<'static>>> {
        let (definition, version) = (self.schema.definition(), entry.version);
        if version > definition.version() {
            let message = format!(
                "the journal's entry is of version {version} of the model, and this build knows none above {}; flush with the build that wrote it",
                definition.version()
            );
            return Err(Error::new(ErrorKind::SchemaMismatch, message).with_schema(self.schema.name()));
        }
        let older = if version == definition.version() { None } else { self.older.of_version(version) };
        // Without an upgrade, the names of the columns are what the versions share.
        let Some(older) = older else { return entry.into_row(definition) };
        let key = entry.key.clone().into_owned();
        let Some(row) = entry.into_row(older.version.definition)? else { return Ok(None) };
        let upgraded = self.upgrade_row(&key, older, completed(older.version.definition, &row));
        let row = upgraded.map_err(|error| self.of_older(error, &key, version, Version::default()))?;
        self.counters().upgrades.add(1);
        Ok(Some(row))
    }

    /// Writes what a dead letter holds, and removes the letter.
    pub(super) async fn write_letter(self: &Arc<Self>, letter: DeadLetter, over: Over) -> Result<()> {
        let tables = Arc::clone(self.tables()?);
        let entry = self.read_entry(Entry::decode(&letter.entry)?);
        let (key, write, base) = entry.map_err(|error| unreadable(error, Unreadable::Refused))?;
        self.check(key.borrow())?;
        let base = (over == Over::Same).then_some(base);
        let pipeline = Arc::clone(self);
        self.in_task(vec![key.clone()], async move {
            let mut changes = Changes::new(&pipeline);
            changes.note_fence(&key);
            let begin = Begin { isolation: Isolation::ReadCommitted, limit: pipeline.shared.settings.transaction_timeout };
            let mut transaction = tables.begin(&begin).await?;
            if let Err(error) = pipeline.send_letter(&mut *transaction, &mut changes, &letter, (&key, &write), base).await {
                // It is dropped where that fails, which rolls back too.
                let _ = transaction.rollback().await;
                return Err(error);
            }
            let committed = transaction.commit().await;
            match &committed {
                Ok(()) => {
                    changes.hear();
                    Box::new(changes).publish().await;
                }
                Err(error) if may_have_taken_effect(error) => Box::new(changes).doubt().await,
                Err(_) => {}
            }
            committed
        })
        .await
    }

    /// Only over what it is based on, if that is given.
    async fn send_letter(
        &self,
        transaction: &mut dyn Transaction,
        changes: &mut Changes<T>,
        letter: &DeadLetter,
        (key, write): (&T::Key, &Write<T>),
        base: Option<Base>,
    ) -> Result<()> {
        if !transaction.remove_dead_letter(&letter.journal, letter.sequence).await? {
            return Err(Error::new(ErrorKind::NotFound, "the dead letter is gone; it was retried or removed already")
                .with_schema(self.schema.name()));
        }
        let values = [<T::Key as Key>::to_values(key.borrow())?];
        // A letter that came here without anybody having looked into the truth replaces nothing.
        let condition = base.map(|base| base.condition().unwrap_or(Condition::Absent));
        if let (Some(base), Some(condition)) = (base, condition) {
            let present =
                transaction.get_many(&self.schema, &values, RowLock::ForUpdate).await?.pop().flatten().map(|stored| stored.version);
            let is_gone = present.is_none() && matches!(write, Write::Delete);
            if !is_gone && !condition.holds(present) {
                return Err(self.overtaken(base, present));
            }
        }
        match write {
            Write::Set(set) => {
                let row: Row<'_> = set.row.iter().map(Value::as_borrowed).collect();
                let stored = match condition {
                    // What is not there could not be locked.
                    Some(condition) => transaction.put_many_if(&self.schema, &[row], &[condition]).await?.pop().flatten(),
                    None => transaction.put_many(&self.schema, &[row]).await?.pop(),
                };
                let stored = stored.ok_or_else(|| {
                    let error = Error::new(ErrorKind::Conflict, "another wrote the record meanwhile; the dead letter is kept");
                    error.with_retryable(true).with_schema(self.schema.name())
                })?;
                drop(changes.keep(key.clone(), stored, &set.tags));
            }
            Write::Delete => {
                for version in transaction.delete_many(&self.schema, &values).await? {
                    changes.add_deleted(key.clone(), version);
                }
            }
        }
        Ok(())
    }

    /// The error of a letter whose key was written after it.
    fn overtaken(&self, base: Base, present: Option<Version>) -> Error {
        let present = present.map_or("no record".to_owned(), |version| format!("version {version}"));
        let then = match base {
            Base::Version(version) => format!("it held version {version} when it refused the letter's write"),
            Base::Absent(_) => "it held no record when it refused the letter's write".to_owned(),
            Base::Unknown => "what it held when the write became a dead letter is not known".to_owned(),
        };
        let message = format!(
            "the truth holds {present}, and {then}; a retry replaces nothing newer: look at both, then `overwrite` with the letter, or `remove` it"
        );
        Error::new(ErrorKind::Conflict, message).with_schema(self.schema.name())
    }
}

/// A row as reads see it before the truth has put its defaults where an older build knew no column.
fn completed(definition: &SchemaDefinition, row: &Row<'static>) -> Row<'static> {
    let columns = definition.columns().iter();
    let complete = row.iter().zip(columns).map(|(value, column)| match value {
        Value::Unset if column.residence == Residence::Everywhere => match column.default {
            Some(DefaultValue::Bool(value)) => Value::Bool(value),
            Some(DefaultValue::Integer(value)) => Value::Integer(value),
            Some(DefaultValue::Double(value)) => Value::Double(value),
            Some(DefaultValue::Text(value)) => Value::Text(value.into()),
            None if column.nullable => Value::Null,
            None if column.column_type == ColumnType::Json => (column.filler)().map_or(Value::Unset, |json| Value::Json(json.into())),
            None => Value::Unset,
        },
        value => value.clone(),
    });
    complete.collect()
}

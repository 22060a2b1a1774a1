//! Writing what is there as the writer expects it, within a transaction.

use std::borrow::Borrow;

use super::Changes;
use crate::error::{Error, ErrorKind, Result};
use crate::facet::{Condition, RowLock, Transaction};
use crate::key::Key;
use crate::pipeline::Pipeline;
use crate::pipeline::conditional::{partial_row, told};
use crate::query;
use crate::record::{Record, StoredRow};
use crate::schema::Schema;
use crate::tag::CallTags;
use crate::timestamp::Timestamp;
use crate::value::{Row, Value};

impl<T: Schema> Pipeline<T> {
    /// Writes a record if what is there is as expected. If it is not, the error tells what is there.
    pub(crate) async fn set_if_within(
        &self,
        transaction: &mut dyn Transaction,
        changes: &mut Changes<T>,
        model: T,
        condition: Condition,
        tags: &CallTags,
    ) -> Result<Record<T>> {
        let key = model.key();
        let written = self.put_if_within(transaction, changes, key.clone(), self.sealed(self.row_of(&model)?)?, condition, tags).await?;
        match written {
            Some(record) => Ok(record),
            None => {
                let present = self.row_within(transaction, changes, &key, RowLock::None).await?;
                let message = told(condition, present.map(|present| present.version));
                Err(Error::new(ErrorKind::Conflict, message).with_key(Self::text(&key)))
            }
        }
    }

    /// Changes some columns of a record, if there is one.
    pub(crate) async fn patch_within(
        &self,
        transaction: &mut dyn Transaction,
        changes: &mut Changes<T>,
        key: T::Key,
        columns: query::Changes<T>,
        tags: &CallTags,
    ) -> Result<Option<Record<T>>> {
        let definition = self.schema.definition();
        let key_values = <T::Key as Key>::to_values(key.borrow())?;
        let key_values = definition.key_positions().iter().copied().zip(key_values.into_iter().map(Value::into_owned));
        let row = self.sealed(partial_row(definition, key_values.chain(columns.into_values(definition)?)))?;
        self.put_if_within(transaction, changes, key, row, Condition::Present, tags).await
    }

    /// Reads a record with its lock, changes it and writes it, if there is one.
    pub(crate) async fn update_within(
        &self,
        transaction: &mut dyn Transaction,
        changes: &mut Changes<T>,
        key: T::Key,
        tags: &CallTags,
        change: impl FnOnce(&mut T) -> Result<()>,
    ) -> Result<Option<Record<T>>> {
        tags.check()?;
        self.check_written(std::slice::from_ref(&key))?;
        let Some(StoredRow { row, version }) = self.row_within(transaction, changes, &key, RowLock::ForUpdate).await? else {
            return Ok(None);
        };
        let row = self.changed(&key, row, change)?;
        self.put_if_within(transaction, changes, key, row, Condition::Version(version), tags).await
    }

    async fn row_within(
        &self,
        transaction: &mut dyn Transaction,
        changes: &mut Changes<T>,
        key: &T::Key,
        lock: RowLock,
    ) -> Result<Option<StoredRow>> {
        let values = <T::Key as Key>::to_values(key.borrow())?;
        let found = transaction.get_many(&self.schema, &[values], lock).await?.pop().flatten();
        self.learn_within(Some(changes), key, found.as_ref().map(|found| found.version));
        Ok(found)
    }

    async fn put_if_within(
        &self,
        transaction: &mut dyn Transaction,
        changes: &mut Changes<T>,
        key: T::Key,
        mut row: Row<'_>,
        condition: Condition,
        tags: &CallTags,
    ) -> Result<Option<Record<T>>> {
        tags.check()?;
        self.check_written(std::slice::from_ref(&key))?;
        self.counters().sets.add(1);
        changes.note(std::slice::from_ref(&key));
        self.stamp(&mut row, Timestamp::from_system_time(self.shared.settings.clock.now())?);
        let stored = transaction.put_many_if(&self.schema, &[row], &[condition]).await?.pop().flatten();
        stored.map(|stored| changes.keep(key, stored, tags)).transpose()
    }
}

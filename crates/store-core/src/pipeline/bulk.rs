//! Writes of the records that a condition holds for.

use std::sync::Arc;

use super::conditional::{partial_row, set_columns};
use super::write::{Unreadable, may_have_taken_effect, unreadable};
use super::{Pipeline, named_by_values};
use crate::error::{Error, ErrorKind, Result};
use crate::facet::{LogKind, Touched};
use crate::key::Key;
use crate::query::{Changes, Query};
use crate::schema::{Schema, Stamp};
use crate::timestamp::Timestamp;
use crate::value::{Row, Value};
use crate::version::Version;

impl<T: Schema> Pipeline<T> {
    /// Deletes the records that the query's conditions hold for, and answers their keys.
    pub(crate) async fn delete_where(self: &Arc<Self>, query: Query<T>) -> Result<Vec<T::Key>> {
        let (tables, filter) = (Arc::clone(self.tables()?), self.sealed_filter(query.into_sole_condition()?)?);
        let pipeline = Arc::clone(self);
        let deleted = self.in_task_on_any(async move {
            let touched = tables.delete_where(&pipeline.schema, &filter).await;
            pipeline.follow_where(LogKind::Delete, touched, None).await
        });
        let deleted = deleted.await?;
        self.counters().deletes.add(deleted.len() as u64);
        Ok(deleted)
    }

    /// Sets columns of the records that the query's conditions hold for, and answers their keys.
    pub(crate) async fn update_where(self: &Arc<Self>, query: Query<T>, changes: Changes<T>) -> Result<Vec<T::Key>> {
        let (tables, filter) = (Arc::clone(self.tables()?), self.sealed_filter(query.into_sole_condition()?)?);
        let mut row = self.changed_columns(changes)?;
        let pipeline = Arc::clone(self);
        let updated = self.in_task_on_any(async move {
            pipeline.stamp_changed(&mut row)?;
            let touched = tables.update_where(&pipeline.schema, &row, &filter).await;
            pipeline.follow_where(LogKind::Put, touched, Some(&set_columns(pipeline.schema.definition(), &row))).await
        });
        let updated = updated.await?;
        self.counters().sets.add(updated.len() as u64);
        Ok(updated)
    }

    /// A row with the columns that are to be set.
    pub(super) fn changed_columns(&self, changes: Changes<T>) -> Result<Row<'static>> {
        let definition = self.schema.definition();
        let values = changes.into_values(definition)?;
        if let Some(encrypted) =
            values.iter().map(|(position, _)| &definition.columns()[*position]).find(|column| column.encryption.is_some())
        {
            let message = "the field is encrypted, and what it is encrypted to belongs to one record, while `update_where` sets one value in many; \
                           change each record with `update` or `patch`";
            return Err(Error::new(ErrorKind::InvalidQuery, message).with_column(encrypted.name));
        }
        Ok(partial_row(definition, values.into_iter()))
    }

    /// Stamps a row of columns that are about to be set.
    pub(super) fn stamp_changed(&self, row: &mut Row<'_>) -> Result<()> {
        let now = Timestamp::from_system_time(self.shared.settings.clock.now())?;
        for (value, column) in row.iter_mut().zip(self.schema.definition().columns()) {
            if column.stamp == Stamp::OnWrite {
                *value = Value::Time(now);
            }
        }
        Ok(())
    }

    /// Drops every copy of what the truth has touched, and answers the keys.
    async fn follow_where(&self, kind: LogKind, touched: Result<Vec<Touched>>, columns: Option<&[usize]>) -> Result<Vec<T::Key>> {
        let followed = match touched {
            Ok(touched) => self.keys_of(touched),
            Err(error) if may_have_taken_effect(&error) => Err(error),
            Err(error) => return Err(error),
        };
        match followed {
            Ok((keys, versions)) => {
                let versions: Vec<Option<Version>> = versions.into_iter().map(Some).collect();
                self.leave_caches(kind, &keys, &versions, columns).await;
                if kind == LogKind::Delete {
                    self.after_delete(&keys, &versions);
                }
                Ok(keys)
            }
            Err(error) => {
                // Which records were touched is not known.
                self.forget_pending_bases(None);
                if let Some(trust) = &self.trust {
                    trust.doubt_all();
                }
                self.forget_all_near();
                Err(error)
            }
        }
    }

    pub(super) fn keys_of(&self, touched: Vec<Touched>) -> Result<(Vec<T::Key>, Vec<Version>)> {
        let read = |Touched { key, version }: Touched| {
            let read = T::Key::from_values(key.clone()).map_err(|error| named_by_values(unreadable(error, Unreadable::Stored), &key))?;
            Ok((read, version))
        };
        touched.into_iter().map(read).collect()
    }
}

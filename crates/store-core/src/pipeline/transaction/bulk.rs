//! Writes of the records that a condition holds for, within a transaction.

use super::{Changes, Outcome};
use crate::error::Result;
use crate::facet::Transaction;
use crate::pipeline::Pipeline;
use crate::query::{self, Query};
use crate::schema::Schema;

/// The keys that a write by condition touched, or why they cannot be told: then nobody can bring the caches up to date behind a commit.
pub(crate) type TouchedKeys<T> = Result<Vec<<T as Schema>::Key>>;

impl<T: Schema> Pipeline<T> {
    /// Deletes the records that the query's conditions hold for.
    pub(crate) async fn delete_where_within(
        &self,
        transaction: &mut dyn Transaction,
        changes: &mut Changes<T>,
        query: Query<T>,
    ) -> Result<TouchedKeys<T>> {
        let filter = self.sealed_filter(query.into_sole_condition()?)?;
        changes.note_unknown();
        let touched = transaction.delete_where(&self.schema, &filter).await?;
        self.counters().deletes.add(touched.len() as u64);
        Ok(self.keys_of(touched).map(|(keys, versions)| {
            changes.writes.extend(keys.iter().cloned().zip(versions.into_iter().map(|version| Outcome::Deleted(Some(version)))));
            keys
        }))
    }

    /// Sets columns of the records that the query's conditions hold for.
    pub(crate) async fn update_where_within(
        &self,
        transaction: &mut dyn Transaction,
        changes: &mut Changes<T>,
        query: Query<T>,
        columns: query::Changes<T>,
    ) -> Result<TouchedKeys<T>> {
        let filter = self.sealed_filter(query.into_sole_condition()?)?;
        let mut row = self.changed_columns(columns)?;
        self.stamp_changed(&mut row)?;
        changes.note_unknown();
        let touched = transaction.update_where(&self.schema, &row, &filter).await?;
        self.counters().sets.add(touched.len() as u64);
        Ok(self.keys_of(touched).map(|(keys, versions)| {
            changes.writes.extend(keys.iter().cloned().zip(versions.into_iter().map(Outcome::Changed)));
            keys
        }))
    }
}

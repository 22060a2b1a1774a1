//! Writes of the records that a condition holds for.

use super::{Transaction, changes};
use crate::error::{Error, ErrorKind, Result};
use crate::pipeline::{Pipeline, TouchedKeys};
use crate::query::{Changes, Query};
use crate::schema::Schema;

impl Transaction {
    /// Deletes the records that the conditions hold for, with one statement. Answers their keys.
    ///
    /// # Errors
    ///
    /// [`InvalidQuery`](ErrorKind::InvalidQuery) for a query without conditions, and one with an order, limit, offset or cursor. Else as [`set`](Self::set).
    ///
    /// ```
    /// # #[derive(store_derive::Schema)] struct Item { #[schema(primary_key)] id: i64, owner: i64 }
    /// # #[derive(store_derive::Schema)] struct Player { #[schema(primary_key)] id: i64 }
    /// use store_core::{Result, Transaction};
    ///
    /// /// Deletes a player with all that is theirs.
    /// async fn remove(tx: &mut Transaction, player: i64) -> Result<usize> {
    ///     let items = tx.delete_where::<Item>(Item::owner().eq(player)).await?;
    ///     tx.delete::<Player>(player).await?;
    ///     Ok(items.len())
    /// }
    /// # let _ = remove;
    /// ```
    pub async fn delete_where<T: Schema>(&mut self, query: impl Into<Query<T>>) -> Result<Vec<T::Key>> {
        let pipeline = self.pipeline::<T>("delete_where")?;
        let changes = changes(&mut self.changes, &pipeline)?;
        let deleted = pipeline.delete_where_within(&mut *self.inner, changes, query.into()).await;
        self.touched(&pipeline, "delete_where", deleted)
    }

    /// Sets columns of the records that the conditions hold for, with one statement. Answers their keys.
    ///
    /// The store's stamps are set as by any write. The copies of exactly these records leave the caches with the commit.
    ///
    /// # Errors
    ///
    /// As [`delete_where`](Self::delete_where) and [`patch`](Self::patch).
    ///
    /// ```
    /// # #[derive(store_derive::Schema)] struct Item { #[schema(primary_key)] id: i64, owner: i64 }
    /// use store_core::{Result, Transaction};
    ///
    /// async fn hand_over(tx: &mut Transaction, from: i64, to: i64) -> Result<usize> {
    ///     Ok(tx.update_where(Item::owner().eq(from), Item::owner().set(to)).await?.len())
    /// }
    /// # let _ = hand_over;
    /// ```
    pub async fn update_where<T: Schema>(&mut self, query: impl Into<Query<T>>, columns: impl Into<Changes<T>>) -> Result<Vec<T::Key>> {
        let pipeline = self.pipeline::<T>("update_where")?;
        let changes = changes(&mut self.changes, &pipeline)?;
        let updated = pipeline.update_where_within(&mut *self.inner, changes, query.into(), columns.into()).await;
        self.touched(&pipeline, "update_where", updated)
    }

    fn touched<T: Schema>(&mut self, pipeline: &Pipeline<T>, operation: &'static str, touched: Result<TouchedKeys<T>>) -> TouchedKeys<T> {
        let keys = self.told(pipeline, operation, touched)?;
        if keys.is_err() {
            let message = "a write by condition touched records whose keys cannot be read; begin another transaction";
            self.lost = Some(Error::new(ErrorKind::TransactionFailed, message));
        }
        keys.map_err(|error| pipeline.report(operation, error))
    }
}

//! Writes that depend on what is there, and changes of a part of a record.

use super::{Transaction, changes};
use crate::collection::UpdateOutcome;
use crate::error::Result;
use crate::facet::Condition;
use crate::key::AsKey;
use crate::query::Changes;
use crate::record::Record;
use crate::schema::Schema;
use crate::version::Version;

impl Transaction {
    /// Writes a record that is not there yet, and answers it as it is stored.
    ///
    /// # Errors
    ///
    /// [`Conflict`](crate::ErrorKind::Conflict) if there is a record of the key, be it one that was committed meanwhile; nothing is written then, and the transaction goes on
    /// as before. Else as [`set`](Self::set).
    ///
    /// ```
    /// # #[derive(store_derive::Schema)] struct Coupon { #[schema(primary_key)] code: String, player: i64 }
    /// use store_core::{ErrorKind, Result, Transaction};
    ///
    /// /// Redeems a coupon, unless somebody has.
    /// async fn redeem(tx: &mut Transaction, code: &str, player: i64) -> Result<bool> {
    ///     match tx.insert_only(Coupon { code: code.into(), player }).await {
    ///         Err(error) if error.kind() == ErrorKind::Conflict => Ok(false),
    ///         redeemed => redeemed.map(|_| true),
    ///     }
    /// }
    /// # let _ = redeem;
    /// ```
    pub async fn insert_only<T: Schema>(&mut self, model: T) -> Result<Record<T>> {
        self.set_if("insert_only", model, Condition::Absent).await
    }

    /// Writes a record if the one that is there has this version, and answers it as it is stored.
    ///
    /// # Errors
    ///
    /// [`Conflict`](crate::ErrorKind::Conflict) if there is no record, or one of another version, which the message tells; nothing is written then, and the transaction goes on
    /// as before. [`InvalidQuery`](crate::ErrorKind::InvalidQuery) if [`Hooks::before_set`](crate::Hooks::before_set) changes the key, with the same outcome. Else as
    /// [`set`](Self::set).
    ///
    /// ```
    /// # #[derive(store_derive::Schema)] struct Page { #[schema(primary_key)] id: i64, text: String }
    /// use store_core::{Record, Result, Transaction};
    ///
    /// /// Saves a page as it was edited, unless somebody else has saved it since it was read.
    /// async fn save(tx: &mut Transaction, read: &Record<Page>, text: String) -> Result<()> {
    ///     tx.set_if_version(Page { id: read.id, text }, read.version()).await.map(drop)
    /// }
    /// # let _ = save;
    /// ```
    pub async fn set_if_version<T: Schema>(&mut self, model: T, version: Version) -> Result<Record<T>> {
        self.set_if("set_if_version", model, Condition::Version(version)).await
    }

    async fn set_if<T: Schema>(&mut self, operation: &'static str, model: T, condition: Condition) -> Result<Record<T>> {
        let pipeline = self.pipeline::<T>(operation)?;
        let model = pipeline.before_set_if(model, condition).map_err(|error| pipeline.report(operation, error))?;
        let changes = changes(&mut self.changes, &pipeline)?;
        let stored = pipeline.set_if_within(&mut *self.inner, changes, model, condition, &self.tags).await;
        self.told(&*pipeline, operation, stored)
    }

    /// Sets some columns of a record, and leaves the others to whoever else writes them. Answers what is stored then, or `None` if there is no record.
    ///
    /// The store's stamps are set as by any write; without changes, only they are.
    ///
    /// # Errors
    ///
    /// [`InvalidQuery`](crate::ErrorKind::InvalidQuery) for a key column or a stamped one, a column that is set twice or is another model's. Else as [`set`](Self::set).
    ///
    /// ```
    /// # #[derive(store_derive::Schema)] struct City { #[schema(primary_key)] id: i64, name: String, population: i64 }
    /// # async fn example(store: store_core::Store) -> store_core::Result<()> {
    /// let city = store.transaction(async |tx| tx.patch(7, City::population().set(10_092_000)).await).await?;
    /// println!("{}", city.map_or("nothing", |_| "done"));
    /// # Ok(()) } let _ = example;
    /// ```
    pub async fn patch<T: Schema>(&mut self, key: impl AsKey<T::Key>, columns: impl Into<Changes<T>>) -> Result<Option<Record<T>>> {
        self.patch_key(key.as_key().into_owned(), columns.into()).await
    }

    pub(super) async fn patch_key<T: Schema>(&mut self, key: T::Key, columns: Changes<T>) -> Result<Option<Record<T>>> {
        let pipeline = self.pipeline::<T>("patch")?;
        let changes = changes(&mut self.changes, &pipeline)?;
        let patched = pipeline.patch_within(&mut *self.inner, changes, key, columns, &self.tags).await;
        self.told(&*pipeline, "patch", patched)
    }

    /// Reads a record with all its columns, so that nobody else may write it before the transaction ends, lets `change` change it, and writes it. Answers what
    /// is stored then, or `None` if there is no record.
    ///
    /// # Errors
    ///
    /// [`Refused`](crate::ErrorKind::Refused) if `change` answers an error, which is its source, [`InvalidQuery`](crate::ErrorKind::InvalidQuery) if it, or a hook, changes the key; nothing is
    /// written then, and the transaction goes on. Else as [`set`](Self::set).
    ///
    /// ```
    /// # #[derive(store_derive::Schema)] struct Account { #[schema(primary_key)] id: i64, balance: i64 }
    /// use store_core::{Result, Transaction};
    ///
    /// async fn move_money(tx: &mut Transaction, from: i64, to: i64, amount: i64) -> Result<()> {
    ///     tx.update::<Account, _>(from, |account| {
    ///         account.balance = account.balance.checked_sub(amount).filter(|left| *left >= 0).ok_or("not so much is there")?;
    ///         Ok::<(), &str>(())
    ///     })
    ///     .await?;
    ///     tx.update::<Account, _>(to, |account| account.balance += amount).await?;
    ///     Ok(())
    /// }
    /// # let _ = move_money;
    /// ```
    pub async fn update<T: Schema, R: UpdateOutcome>(
        &mut self,
        key: impl AsKey<T::Key>,
        change: impl FnOnce(&mut T) -> R,
    ) -> Result<Option<Record<T>>> {
        let (pipeline, key) = (self.pipeline::<T>("update")?, key.as_key().into_owned());
        let changes = changes(&mut self.changes, &pipeline)?;
        let change = |model: &mut T| change(model).into_result();
        let updated = pipeline.update_within(&mut *self.inner, changes, key, &self.tags, change).await;
        self.told(&*pipeline, "update", updated)
    }
}

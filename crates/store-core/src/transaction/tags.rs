//! Tags of what a transaction writes.

use std::fmt;
use std::ops::{Deref, DerefMut};

use super::Transaction;
use crate::tag::CallTags;

impl Transaction {
    /// The same transaction, whose writes give these tags to the copies that they leave in the caches, as those of
    /// [`Collection::with_tags`](crate::Collection::with_tags) do. It ends with what is returned here.
    ///
    /// A copy has the tags of the last write of its record. Reads within a transaction leave no copies, and so heed no tags.
    ///
    /// ```
    /// # #[derive(store_derive::Schema)] struct City { #[schema(primary_key)] id: i64, name: String }
    /// # async fn example(store: store_core::Store) -> store_core::Result<()> {
    /// store
    ///     .transaction(async |tx| {
    ///         tx.with_tags(["front-page"]).set(City { id: 7, name: "Lima".into() }).await?;
    ///         tx.set(City { id: 8, name: "Cusco".into() }).await
    ///     })
    ///     .await?;
    /// store.collection::<City>()?.invalidate_tag("front-page").await // Drops the copy of one of them.
    /// # } let _ = example;
    /// ```
    pub fn with_tags<G: Into<String>>(&mut self, tags: impl IntoIterator<Item = G>) -> TaggedTransaction<'_> {
        let before = self.tags.clone();
        self.tags = CallTags::new(tags.into_iter().map(Into::into)).with(&before);
        TaggedTransaction { transaction: self, before }
    }
}

/// A transaction whose writes give tags: see [`Transaction::with_tags`].
///
/// ```
/// # #[derive(store_derive::Schema)] struct City { #[schema(primary_key)] id: i64, name: String }
/// use store_core::{Result, Transaction};
///
/// async fn rename(tx: &mut Transaction, id: i64, name: &str) -> Result<()> {
///     let mut shown = tx.with_tags(["front-page"]);
///     shown.update::<City, _>(id, |city| city.name = name.into()).await?;
///     Ok(())
/// }
/// # let _ = rename;
/// ```
#[must_use = "the tags are given by calls of what is returned"]
pub struct TaggedTransaction<'a> {
    transaction: &'a mut Transaction,
    before: CallTags,
}

impl Deref for TaggedTransaction<'_> {
    type Target = Transaction;

    fn deref(&self) -> &Transaction {
        self.transaction
    }
}

impl DerefMut for TaggedTransaction<'_> {
    fn deref_mut(&mut self) -> &mut Transaction {
        self.transaction
    }
}

impl Drop for TaggedTransaction<'_> {
    fn drop(&mut self) {
        self.transaction.tags = std::mem::take(&mut self.before);
    }
}

impl fmt::Debug for TaggedTransaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaggedTransaction").field("transaction", &self.transaction).field("tags", &self.transaction.tags).finish()
    }
}

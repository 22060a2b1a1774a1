//! The user's own code at fixed points of every read and write.

use std::error::Error;
use std::sync::Arc;

use crate::facet::EvictionCause;
use crate::key::Key;
use crate::record::Record;
use crate::schema::Schema;
use crate::version::Version;

/// Why a hook refused a write: any error, or a text.
pub type HookError = Box<dyn Error + Send + Sync + 'static>;

/// The user's own code at fixed points of every read and write of one schema, set by [`SchemaOptions::hooks`](crate::SchemaOptions::hooks). Every method has a
/// default that does nothing.
///
/// - Batches count one by one: each method is called for every record or key of one.
/// - Hooks are synchronous, and run on the thread that reads or writes, `after_set` and `after_delete` on that of the write's own task. They hold up the call, so
///   they should be quick. What has to wait, for the store as well, goes to a channel or a task. `after_set` and `after_delete` run in the store's runtime; the
///   others wherever the call is polled, so that one which spawns there needs a [`Handle`](tokio::runtime::Handle) if that may be outside of any.
/// - A panic goes no further. One of `before_set`, `before_delete`, `before_get` or `after_load` fails the call with
///   [`HookPanic`](crate::ErrorKind::HookPanic); one of the others is logged. [`Stats::hook_panics`](crate::Stats::hook_panics) counts both. Where panics abort
///   the program nothing can be caught.
/// - Copies that are dropped ([`invalidate`](crate::Collection::invalidate)) are neither written nor deleted, and pass no hook.
/// - [`patch`](crate::Collection::patch), [`update_where`](crate::Collection::update_where) and [`delete_where`](crate::Collection::delete_where) have no model or
///   key in hand before the truth has done its work: they pass no `before_set` or `before_delete`. `patch` passes `after_set` and `delete_where` `after_delete`.
/// - In a [`transaction`](crate::Store::transaction), `before_set` and `before_delete` run with each call; `after_set` and `after_delete` once it is committed, of the last
///   write of each key.
/// - Loaders ([`get_or_load`](crate::Collection::get_or_load)) read: what they bring passes `after_load` and `after_get`, and no `before_set`.
/// - In [write-behind](crate::WriteMode::WriteBehind), `before_set` and `before_delete` run in the call, `after_set` and `after_delete` with the flush that has brought the write to the truth, once
///   for all pending writes of a key. A [dead letter](crate::DeadLetters) that is retried or overwritten passes `after_set` or `after_delete`, and none of the hooks before.
///
/// All methods, as a program writes them:
///
/// ```
/// use std::sync::Arc;
/// use store_core::{Error, EvictionCause, HookError, Hooks, Record, Store, Version};
/// # use store_derive::Schema;
/// # use store_testkit::ModelRecords;
///
/// #[derive(Debug, Schema)]
/// #[schema(cache_only)]
/// struct Order {
///     #[schema(primary_key)]
///     id: i64,
///     cents: i64,
///     #[schema(skip)]
///     label: String,
/// }
///
/// struct OrderHooks {
///     told: tokio::sync::mpsc::UnboundedSender<String>,
/// }
///
/// impl OrderHooks {
///     fn tell(&self, what: String) {
///         let _ = self.told.send(what);
///     }
/// }
///
/// impl Hooks<Order> for OrderHooks {
///     fn before_set(&self, order: &mut Order) -> Result<(), HookError> {
///         if order.cents < 0 { Err("an order costs at least nothing".into()) } else { Ok(()) }
///     }
///
///     fn after_set(&self, order: &Record<Order>) {
///         self.tell(format!("{} is stored", order.id));
///     }
///
///     fn before_delete(&self, id: &i64) -> Result<(), HookError> {
///         if *id == 1 { Err("the first order is kept".into()) } else { Ok(()) }
///     }
///
///     fn after_delete(&self, id: &i64, version: Option<Version>) {
///         self.tell(if version.is_some() { format!("{id} is deleted") } else { format!("{id} was not there") });
///     }
///
///     fn on_write_error(&self, id: &i64, error: &Error) {
///         self.tell(format!("{id} is not stored: {error}"));
///     }
///
///     fn before_get(&self, id: &i64) {
///         self.tell(format!("{id} is asked for"));
///     }
///
///     fn after_get(&self, order: &Order) {
///         self.tell(format!("{} is read", order.id));
///     }
///
///     fn after_load(&self, order: &mut Order) {
///         order.label = format!("{}.{:02}", order.cents / 100, order.cents % 100);
///     }
///
///     fn on_evict(&self, id: &i64, order: &Arc<Order>, cause: EvictionCause) {
///         self.tell(format!("{id}, of {}, leaves memory: {cause:?}", order.label));
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> store_core::Result<()> {
/// # let redis = ModelRecords::new();
/// let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
/// let store = Store::builder().tier(redis).schema_with::<Order>(|options| {
///     options.hooks(OrderHooks { told });
/// });
/// let store = store.build().await?;
/// let orders = store.collection::<Order>()?;
///
/// let written = orders.set(Order { id: 7, cents: 1250, label: String::new() }).await?;
/// assert_eq!(written.label, "12.50");
/// assert_eq!(heard.recv().await.as_deref(), Some("7 is stored"));
///
/// orders.delete(8).await?;
/// assert_eq!(heard.recv().await.as_deref(), Some("8 was not there"));
///
/// let refused = orders.set(Order { id: 8, cents: -1, label: String::new() }).await.unwrap_err();
/// assert_eq!(refused.kind(), store_core::ErrorKind::Refused);
/// # Ok(()) }
/// ```
pub trait Hooks<T: Schema>: Send + Sync + 'static {
    /// Checks or changes a model before it is stamped and written. The key may be changed, and given: it is read again afterwards. Only
    /// [`update`](crate::Collection::update) and [`set_if_version`](crate::Collection::set_if_version), in transactions too, are about one record that is there: they refuse a changed key with
    /// [`InvalidQuery`](crate::ErrorKind::InvalidQuery), and write nothing.
    ///
    /// It runs in the caller's own call. Of several models of a batch with one key, each passes.
    ///
    /// # Errors
    ///
    /// An error fails the call with [`Refused`](crate::ErrorKind::Refused), of which it is the source, and nothing is written: of a batch, no record at all.
    fn before_set(&self, model: &mut T) -> Result<(), HookError> {
        let _ = model;
        Ok(())
    }

    /// Is told of a record as it is stored, once the truth has taken it and the caches show it. Of several models of a batch with one key, the last is stored.
    ///
    /// It is called even if the caller has given up meanwhile. It is not called where the outcome of the write is unknown, or what was stored cannot be read back.
    fn after_set(&self, record: &Record<T>) {
        let _ = record;
    }

    /// Checks a key before its record is deleted, in the caller's own call. Of a key that a batch has twice it is called once.
    ///
    /// # Errors
    ///
    /// An error fails the call with [`Refused`](crate::ErrorKind::Refused), of which it is the source, and nothing is deleted: of a batch, no record at all.
    fn before_delete(&self, key: &<T::Key as Key>::Borrowed) -> Result<(), HookError> {
        let _ = key;
        Ok(())
    }

    /// Is told of a deleted key, once the truth has deleted it and the caches show nothing of it. `version` is that of the deletion, which is newer than any that the record had;
    /// `None` if there was no record to delete.
    ///
    /// It is called, and not called, as [`after_set`](Self::after_set).
    fn after_delete(&self, key: &<T::Key as Key>::Borrowed, version: Option<Version>) {
        let _ = (key, version);
    }

    /// Is told of a pending write of write-behind that the truth did not take: for good, and then it is a [dead letter](crate::Store::dead_letters), or for the time being, as
    /// flushes have failed more than [`max_retries`](crate::WriteBehind::max_retries) times in a row. Then the error's kind is
    /// [`WriteBehindMaxRetry`](crate::ErrorKind::WriteBehindMaxRetry), the write stays pending, and flushing goes on; where [`Store::close`](crate::Store::close) gives up, the next store on the journal
    /// flushes it.
    fn on_write_error(&self, key: &<T::Key as Key>::Borrowed, error: &crate::Error) {
        let _ = (key, error);
    }

    /// Is told of every key that a record is asked for by, before any tier is looked at: of a key that a batch has twice, twice.
    ///
    /// Searches and streams ask for no key, and [`exists`](crate::Collection::exists) for no record. If this panics, `peek` and `peek_with` answer that memory
    /// does not hold the record.
    fn before_get(&self, key: &<T::Key as Key>::Borrowed) {
        let _ = key;
    }

    /// Is told of every model that a read answers, whichever tier it comes from: by key, by a search, a page or a stream, from a loader, or the last known one
    /// where the tiers fail. Projections (`select`) answer no model.
    fn after_get(&self, model: &T) {
        let _ = model;
    }

    /// Fills fields that are computed of others, before anybody else sees the model: fields that are not stored (`#[schema(skip)]`).
    ///
    /// It is called exactly once for each model that is made of what a tier holds or a write stored: on a hit in memory it has been called long before. A model may
    /// be made for memory alone, or for no reader at all. Deferred fields may be absent. Stored fields must stay as they are: what memory then showed would be
    /// neither what the truth holds nor what other instances show. A changed key fails the call with [`DecodeFailed`](crate::ErrorKind::DecodeFailed).
    ///
    /// If it panics over what a write stored, or would store, the error says what became of the write: that it was stored, that the transaction holds it, or that nothing was written. So it
    /// is where memory is the truth and in [write-behind](crate::WriteMode::WriteBehind), as the model is made before the write is taken.
    fn after_load(&self, model: &mut T) {
        let _ = model;
    }

    /// Is told of every entry that leaves memory because the shelf was full or its life time over, and not of replacements, deletions and invalidations.
    ///
    /// It runs on the thread that caused it, while writes of some other keys wait.
    fn on_evict(&self, key: &<T::Key as Key>::Borrowed, model: &Arc<T>, cause: EvictionCause) {
        let _ = (key, model, cause);
    }
}

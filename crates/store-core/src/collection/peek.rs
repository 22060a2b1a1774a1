//! Reads of memory alone.

use std::sync::Arc;

use super::Collection;
use crate::key::AsKey;
use crate::record::Record;
use crate::schema::Schema;

impl<T: Schema> Collection<T> {
    /// The record of a key if memory holds it; no other tier is asked. `None` as well if [`before_get`](crate::Hooks::before_get) panics, which is logged.
    pub fn peek(&self, key: impl AsKey<T::Key>) -> Option<Arc<T>> {
        let key = key.as_key();
        self.pipeline.before_get("peek", &key).ok()?;
        let found = self.pipeline.peek(&key, &self.freshness, &self.tags);
        self.pipeline.after_get_records(&found);
        found.map(Record::into_model)
    }

    /// Shows the record of a key to `visit` if memory holds it, without touching a reference count, as far as the schema has no [`Hooks`](crate::Hooks).
    ///
    /// `visit` must be quick and must not call the store: the shelf may be locked meanwhile.
    ///
    /// ```
    /// # #[derive(store_derive::Schema)] struct City { #[schema(primary_key)] id: i64, name: String, population: i64 }
    /// # async fn example(cities: store_core::Collection<City>) -> store_core::Result<()> {
    /// if let Some(length) = cities.peek_with(7, |city| city.name.len()) {
    ///     println!("in memory, a name of {length} bytes");
    /// }
    /// # Ok(()) } let _ = example;
    /// ```
    pub fn peek_with<R>(&self, key: impl AsKey<T::Key>, visit: impl FnOnce(&T) -> R) -> Option<R> {
        if self.pipeline.has_hooks() {
            // A hook may call the store, and so must not run within the shelf.
            return self.peek(key).map(|model| visit(&model));
        }
        let mut answer = None;
        self.pipeline.peek_with(&key.as_key(), &self.freshness, &self.tags, |model| answer = Some(visit(model)));
        answer
    }
}

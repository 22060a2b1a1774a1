//! Reads that say how fresh their answer must be, or how fresh it was.

use std::borrow::Borrow;
use std::ops::Deref;
use std::time::Duration;

use crate::collection::Collection;
use crate::error::Result;
use crate::freshness::{Freshness, Token};
use crate::key::{AsKey, Key};
use crate::record::Record;
use crate::schema::Schema;
use crate::store::Store;
use crate::tier::Role;

/// A record with what is known of its freshness. It dereferences to the record, and so to the model.
///
/// ```
/// use store_core::Role;
/// # use store_core::Store;
/// # #[derive(store_derive::Schema)]
/// # #[schema(cache_only)]
/// # struct Session { #[schema(primary_key)] id: String, user: i64 }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> store_core::Result<()> {
/// # let redis = store_testkit::ModelRecords::new();
/// # let store = Store::builder().tier(redis).schema::<Session>().build().await?;
/// let sessions = store.collection::<Session>()?;
/// sessions.set(Session { id: "s1".into(), user: 7 }).await?;
/// let answer = sessions.read("s1").await?.expect("it was written");
/// assert_eq!((answer.user, answer.tier, answer.is_stale), (7, Role::Shared, false));
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Answer<T> {
    /// The model and its version.
    pub record: Record<T>,
    /// The tier that answered.
    pub tier: Role,
    /// Every commit made longer ago than this is in the answer, as far as this instance knows.
    pub age: Duration,
    /// Whether the tiers failed and this is the last known record ([`Settings::stale_on_error`](crate::Settings::stale_on_error)).
    pub is_stale: bool,
    /// Whether the write of it is pending: this instance shows it, and the truth does not have it yet ([`WriteMode::WriteBehind`](crate::WriteMode::WriteBehind)).
    pub is_pending: bool,
}

impl<T> Deref for Answer<T> {
    type Target = Record<T>;

    fn deref(&self) -> &Record<T> {
        &self.record
    }
}

impl<T: Schema> Collection<T> {
    /// The same records, read with another freshness than the store's [`Settings::freshness`](crate::Settings::freshness).
    ///
    /// It holds for every read by key, and decides which replica may answer a search or a count. What memory is the truth of is always fresh.
    ///
    /// ```
    /// # #[derive(store_derive::Schema)] struct City { #[schema(primary_key)] id: i64, population: i64 }
    /// use store_core::Freshness;
    ///
    /// # async fn example(cities: store_core::Collection<City>) -> store_core::Result<()> {
    /// let now = cities.with_freshness(Freshness::Strong).get(7).await?;
    /// println!("{:?}", now.map(|city| city.population));
    /// # Ok(()) } let _ = example;
    /// ```
    #[must_use]
    pub fn with_freshness(&self, freshness: Freshness) -> Self {
        let mut collection = self.clone();
        collection.freshness = freshness;
        collection
    }

    /// The record of a key with its version, the tier that answered, and how old the answer may be.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub async fn read(&self, key: impl AsKey<T::Key>) -> Result<Option<Answer<T>>> {
        let key = key.as_key().into_owned();
        let text = key.to_text();
        let pipeline = self.pipeline();
        pipeline.before_get("read", key.borrow())?;
        let found = match pipeline.peek(key.borrow(), &self.freshness, &self.tags) {
            Some(record) => Some(pipeline.loaded_near(record)),
            None => pipeline.call_for("read", text, pipeline.get_below(key, &self.freshness, &self.tags)).await?,
        };
        pipeline.after_get_records(found.as_ref().map(|loaded| &loaded.record));
        Ok(found.map(|loaded| pipeline.answer(loaded)))
    }
}

impl Store {
    /// The present place in the log of commits, for a session to carry: every write and read that has ended when this is called is before it.
    ///
    /// Reads with [`Freshness::Session`] on any instance then see them all. `None` in a store whose truth has no log.
    ///
    /// # Errors
    ///
    /// As the tier of truth answers.
    pub async fn token(&self) -> Result<Option<Token>> {
        self.check_open("token")?;
        let shared = self.shared();
        // Before the log: what is flushed in between is told of twice.
        let pending = shared.behind.as_ref().and_then(|behind| behind.place());
        let place = shared.life.within(shared.coherence.end()).await;
        let place = place.map_err(|error| error.with_tier(Role::Truth).with_operation("token"))?;
        Ok(place.map(|place| Token::new(place, pending)))
    }
}

//! The whole stack.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use futures_util::future::join_all;

use crate::behind::Overlay;
use crate::breaker::Breaker;
use crate::builder::StoreBuilder;
use crate::collection::Collection;
use crate::error::{Error, ErrorKind, Result};
use crate::facet::{Journals, Near, NoNear, Tables};
use crate::health::{Health, TierHealth};
use crate::migration::Migrator;
use crate::pipeline::{Follow, Pipeline, Shared};
use crate::schema::Schema;
use crate::stats::Stats;
use crate::tier::{Role, Tier};
use crate::verification::Verification;

/// A stack of tiers and the schemas that travel through it. Cheap to clone; all clones are one store.
///
/// ```
/// use store_core::{ErrorKind, Store};
/// # use store_derive::Schema;
/// # use store_testkit::ModelRecords;
///
/// #[derive(Schema)]
/// #[schema(cache_only)]
/// struct Session {
///     #[schema(primary_key)]
///     id: String,
///     user: i64,
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> store_core::Result<()> {
/// # let redis = ModelRecords::new();
/// let store = Store::builder().tier(redis).schema::<Session>().build().await?;
/// store.ping().await?;
///
/// let sessions = store.collection::<Session>()?;
/// sessions.set(Session { id: "s1".into(), user: 7 }).await?;
/// assert_eq!(store.stats().sets, 1);
///
/// store.close().await?;
/// let refused = sessions.get("s1").await.map_err(|error| error.kind());
/// assert!(matches!(refused, Err(ErrorKind::Closed)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Store {
    inner: Arc<Parts>,
}

/// What a store is made of.
pub(crate) struct Parts {
    /// From near to far.
    pub(crate) tiers: Vec<Arc<dyn Tier>>,
    /// Those of the tiers below memory, from near to far.
    pub(crate) breakers: Vec<Arc<Breaker>>,
    pub(crate) near: Option<Arc<dyn Near>>,
    pub(crate) pipelines: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
    /// The same pipelines, for those who need not know the models.
    pub(crate) schemas: Vec<Arc<dyn Follow>>,
    /// And their pending writes.
    pub(crate) overlays: Vec<Arc<dyn Overlay>>,
    /// Of the tier of truth, if there is one.
    pub(crate) tables: Option<Arc<dyn Tables>>,
    /// What migrates it.
    pub(crate) migrator: Option<Migrator>,
    pub(crate) journals: Option<Arc<dyn Journals>>,
    pub(crate) shared: Arc<Shared>,
}

impl Store {
    /// Starts a store from tiers and schemas.
    pub fn builder() -> StoreBuilder<NoNear> {
        StoreBuilder::new()
    }

    pub(crate) fn new(parts: Parts) -> Self {
        Store { inner: Arc::new(parts) }
    }

    /// The handle of one model.
    ///
    /// # Errors
    ///
    /// [`SchemaNotFound`](ErrorKind::SchemaNotFound) if the builder was not given the model.
    pub fn collection<T: Schema>(&self) -> Result<Collection<T>> {
        self.pipeline().map(Collection::new)
    }

    pub(crate) fn pipeline<T: Schema>(&self) -> Result<Arc<Pipeline<T>>> {
        let pipeline = self.inner.pipelines.get(&TypeId::of::<T>()).cloned().and_then(|pipeline| pipeline.downcast::<Pipeline<T>>().ok());
        pipeline.ok_or_else(|| {
            let model = std::any::type_name::<T>();
            let name = model.rsplit("::").next().unwrap_or(model);
            let message = format!("the builder of this store was not given `{model}`; add `.schema::<{name}>()` to it");
            Error::new(ErrorKind::SchemaNotFound, message).with_schema(T::definition().name())
        })
    }

    /// What the store has done since it was built.
    pub fn stats(&self) -> Stats {
        let l1_entries = self.inner.near.as_ref().map_or(0, |near| near.entries());
        Stats { dirty_entries: self.dirty(), ..self.inner.shared.counters.view(l1_entries) }
    }

    /// What the verifier of caches has found since the store was built; nothing unless [`Settings::verify`](crate::Settings::verify) is set.
    pub fn verification(&self) -> Verification {
        self.inner.shared.findings.view()
    }

    pub(crate) fn schemas(&self) -> &[Arc<dyn Follow>] {
        &self.inner.schemas
    }

    pub(crate) fn tables(&self) -> Option<&Arc<dyn Tables>> {
        self.inner.tables.as_ref()
    }

    pub(crate) fn overlays(&self) -> &[Arc<dyn Overlay>] {
        &self.inner.overlays
    }

    pub(crate) fn journals(&self) -> Option<&Arc<dyn Journals>> {
        self.inner.journals.as_ref()
    }

    pub(crate) fn migrator(&self) -> Option<&Migrator> {
        self.inner.migrator.as_ref()
    }

    fn dirty(&self) -> u64 {
        self.inner.shared.behind.as_ref().map_or(0, |behind| behind.dirty() as u64)
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.inner.shared
    }

    pub(crate) fn check_open(&self, operation: &'static str) -> Result<()> {
        self.inner.shared.life.check().map_err(|error| error.with_operation(operation))
    }

    /// What is known of the tiers, without asking them: whether calls reach each of them, how long ago the log of commits was read, and whether the store
    /// serves calls at all.
    ///
    /// ```
    /// use store_core::Store;
    /// # use store_derive::Schema;
    /// # use store_testkit::ModelRecords;
    /// # #[derive(Schema)]
    /// # #[schema(cache_only)]
    /// # struct Session {
    /// #     #[schema(primary_key)]
    /// #     id: String,
    /// #     user: i64,
    /// # }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> store_core::Result<()> {
    /// # let redis = ModelRecords::new();
    /// let store = Store::builder().tier(redis).schema::<Session>().build().await?;
    /// for tier in store.health().tiers {
    ///     println!("{} ({}): {}", tier.name, tier.role, tier.state);
    /// }
    /// assert!(store.health().is_healthy());
    /// # store.close().await
    /// # }
    /// ```
    pub fn health(&self) -> Health {
        let mut tiers: Vec<TierHealth> = self.inner.breakers.iter().map(|breaker| breaker.health()).collect();
        if let Some(tables) = &self.inner.tables {
            tiers.iter_mut().filter(|tier| tier.role == Role::Truth).for_each(|tier| tier.replicas = tables.replicas());
        }
        let write_behind = self.inner.shared.behind.as_ref().map(|behind| behind.health());
        Health { tiers, write_behind, freshness_age: self.inner.shared.coherence.age(), is_open: self.inner.shared.life.is_open() }
    }

    /// Brings every pending write of write-behind to the truth, and waits for it. What the truth refuses for its own sake is pending no more either: it is a
    /// [dead letter](Self::dead_letters) then.
    ///
    /// # Errors
    ///
    /// What the truth says, if anything is left that was pending when this was called: it stays pending, and the store goes on trying.
    ///
    /// ```
    /// # #[derive(store_derive::Schema)] struct Score { #[schema(primary_key)] id: i64, points: i64 }
    /// # async fn example(store: store_core::Store) -> store_core::Result<()> {
    /// store.collection::<Score>()?.set(Score { id: 7, points: 100 }).await?;
    /// store.flush().await?;
    /// assert_eq!(store.stats().dirty_entries, 0);
    /// # Ok(()) } let _ = example;
    /// ```
    pub async fn flush(&self) -> Result<()> {
        self.check_open("flush")?;
        let shared = &self.inner.shared;
        let Some(behind) = &shared.behind else { return Ok(()) };
        shared.life.within(behind.flush()).await.map_err(|error| error.with_operation("flush"))
    }

    /// Asks every tier for a sign of life, all at once, also one whose breaker is open.
    ///
    /// # Errors
    ///
    /// What the nearest tier that does not answer said; [`Closed`](ErrorKind::Closed) after [`close`](Self::close).
    pub async fn ping(&self) -> Result<()> {
        self.check_open("ping")?;
        let pings = async { Ok(join_all(self.inner.tiers.iter().map(|tier| tier.ping())).await) };
        let answers = self.inner.shared.life.within(pings).await.map_err(|error| error.with_operation("ping"))?;
        for (tier, answer) in self.inner.tiers.iter().zip(answers) {
            answer.map_err(|error| error.with_tier(tier.role()).with_operation("ping"))?;
        }
        Ok(())
    }

    /// Waits for the writes under way, flushes what is pending and stops the loads of `get_or_load`, then releases every tier. Later calls fail with [`Closed`](ErrorKind::Closed). Closing again does
    /// nothing, or what a call whose future was dropped left to do. A store whose runtime has ended can still be closed.
    ///
    /// # Errors
    ///
    /// [`WriteBehindMaxRetry`](ErrorKind::WriteBehindMaxRetry) if pending writes could not be flushed; it says what becomes of them. What the first tier that did not close in order said; the others are closed all the same.
    pub async fn close(&self) -> Result<()> {
        let life = &self.inner.shared.life;
        life.close();
        life.within_or_after(self.release()).await
    }

    async fn release(&self) -> Result<()> {
        let shared = &self.inner.shared;
        shared.closing.announce();
        shared.writes.close().await;
        let drained = match &shared.behind {
            Some(behind) if !shared.life.is_stranded() => behind.close().await.map_err(|error| error.with_operation("close")),
            _ => Ok(()),
        };
        if let Some(tasks) = shared.tasks.get() {
            tasks.close(&shared.life).await;
        }
        let mut first_error = drained;
        for tier in &self.inner.tiers {
            let closed = tier.close().await.map_err(|error| error.with_tier(tier.role()).with_operation("close"));
            first_error = first_error.and(closed);
        }
        if let Some(near) = &self.inner.near {
            near.clear();
        }
        first_error
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tiers: Vec<_> = self.inner.tiers.iter().map(|tier| tier.name()).collect();
        f.debug_struct("Store").field("tiers", &tiers).field("schemas", &self.inner.pipelines.len()).finish_non_exhaustive()
    }
}

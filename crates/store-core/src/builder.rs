//! Putting a store together.

mod checks;
mod registration;

pub use registration::SchemaOptions;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::runtime::Handle;

use crate::codec::{self, Codec};
use crate::error::{Error, ErrorKind, Result};
use crate::facet::{NearTier, NoNear};
use crate::gate::Gate;
use crate::pipeline::Shared;
use crate::schema::Schema;
use crate::settings::Settings;
use crate::stats::Counters;
use crate::store::Store;
use crate::tier::{Role, Tier};
use registration::{Context, Registration, Typed};

/// Collects tiers, schemas and settings; [`build`](Self::build) checks that they make a stack.
///
/// Tiers are given from near to far: [`near`](Self::near) first, then [`tier`](Self::tier) for the shared tier and the truth. Mistakes are told by `build`,
/// all in one error.
///
/// ```
/// use std::time::Duration;
/// use store_core::{ErrorKind, Store};
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
/// let store = Store::builder()
///     .tier(redis)
///     .schema::<Session>()
///     .configure(|settings| settings.operation_timeout = Duration::from_secs(2))
///     .build()
///     .await?;
/// # store.close().await?;
///
/// let mistake = Store::builder().schema::<Session>().build().await.unwrap_err();
/// assert_eq!(mistake.kind(), ErrorKind::InvalidConfig);
/// # Ok(())
/// # }
/// ```
pub struct StoreBuilder<N: NearTier = NoNear> {
    near: Option<Arc<N>>,
    tiers: Vec<Arc<dyn Tier>>,
    schemas: Vec<Box<dyn Registration<N>>>,
    settings: Settings,
    read_codecs: Vec<Arc<dyn Codec>>,
    problems: Vec<String>,
}

impl StoreBuilder<NoNear> {
    pub(crate) fn new() -> Self {
        StoreBuilder {
            near: None,
            tiers: Vec::new(),
            schemas: Vec::new(),
            settings: Settings::default(),
            read_codecs: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Adds the memory tier. It comes before every other tier and schema. An `Arc` of one will do as well.
    #[must_use]
    pub fn near<N: NearTier>(mut self, tier: N) -> StoreBuilder<N> {
        if !self.tiers.is_empty() || !self.schemas.is_empty() {
            self.problems.push("`near` must come before `tier` and `schema`: tiers are given from near to far".to_owned());
        }
        StoreBuilder {
            near: Some(Arc::new(tier)),
            tiers: self.tiers,
            schemas: Vec::new(),
            settings: self.settings,
            read_codecs: self.read_codecs,
            problems: self.problems,
        }
    }
}

impl<N: NearTier> StoreBuilder<N> {
    /// Adds the shared tier or the tier of truth, in this order. An `Arc` of one will do as well.
    #[must_use]
    pub fn tier(mut self, tier: impl Tier) -> Self {
        self.tiers.push(Arc::new(tier));
        self
    }

    /// Adds a model, with the policies that it declares.
    #[must_use]
    pub fn schema<T: Schema>(self) -> Self {
        self.schema_with::<T>(|_| {})
    }

    /// Adds a model, and changes its policies or adds what only code can say: a weigher, an eviction notice.
    #[must_use]
    pub fn schema_with<T: Schema>(mut self, change: impl FnOnce(&mut SchemaOptions<T>)) -> Self {
        let mut options = SchemaOptions::new();
        change(&mut options);
        self.schemas.push(Box::new(Typed::new(options)));
        self
    }

    /// Replaces all settings.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Changes some settings.
    #[must_use]
    pub fn configure(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Lets the store read records that were written with a codec of the program's own, beside the one in the settings.
    #[must_use]
    pub fn read_codec(mut self, codec: impl Codec) -> Self {
        self.read_codecs.push(Arc::new(codec));
        self
    }

    /// Checks the stack, makes missing tables unless [`Settings::create_tables`] is off, and gives the store. Needs a tokio runtime, which the store keeps using.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](ErrorKind::InvalidConfig) or [`SchemaDuplicate`](ErrorKind::SchemaDuplicate) with every mistake that was found;
    /// what the truth says when it makes tables.
    pub async fn build(self) -> Result<Store> {
        let runtime = Handle::try_current().map_err(|_| {
            Error::new(
                ErrorKind::InvalidConfig,
                "a store needs a tokio runtime; call `build` within one (`#[tokio::main]`, `Runtime::block_on`)",
            )
        })?;
        if std::panic::catch_unwind(|| drop(tokio::time::sleep(std::time::Duration::ZERO))).is_err() {
            return Err(Error::new(
                ErrorKind::InvalidConfig,
                "a store needs a tokio runtime with its timer on; add `enable_time` or `enable_all` to the runtime's builder",
            ));
        }
        let StoreBuilder { near, tiers, schemas, settings, read_codecs, mut problems } = self;
        problems.extend(settings.problems());
        let stack = checks::stack(near.is_some(), &tiers, &mut problems);
        let bound: Vec<_> = schemas.iter().map(|schema| schema.bind(&settings)).collect();
        checks::schemas(&schemas, &bound, &stack, near.is_some(), &mut problems);
        let given = std::iter::once(Arc::clone(&settings.codec)).chain(read_codecs).collect();
        let codecs = checks::codecs(given, codec::built_in(), &mut problems);
        if !problems.is_empty() {
            return Err(Error::new(ErrorKind::InvalidConfig, problems.join("; ")));
        }
        checks::duplicates(&schemas, &bound)?;
        if let Some(tables) = stack.tables.as_ref().filter(|_| settings.create_tables) {
            let stored: Vec<_> = bound.iter().filter(|schema| !schema.is_cache_only()).cloned().collect();
            tables.prepare(&stored).await.map_err(|error| error.with_tier(Role::Truth).with_operation("build"))?;
        }
        let shared = Arc::new(Shared {
            settings,
            counters: Counters::default(),
            codecs,
            runtime,
            closed: AtomicBool::new(false),
            writes: Gate::new(),
        });
        let context = Context { near: near.as_ref(), stack: &stack, shared: &shared };
        let pipelines = schemas.into_iter().zip(bound).map(|(schema, bound)| schema.register(bound, &context)).collect();
        let near_facet = near.as_ref().and_then(|near| Arc::clone(near).facets().near);
        let all = near.into_iter().map(|near| near as Arc<dyn Tier>).chain(tiers).collect();
        Ok(Store::new(all, near_facet, pipelines, shared))
    }
}

impl<N: NearTier> fmt::Debug for StoreBuilder<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreBuilder")
            .field("near", &self.near)
            .field("tiers", &self.tiers)
            .field("schemas", &self.schemas.iter().map(|schema| schema.definition().name()).collect::<Vec<_>>())
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

//! Putting a store together.

mod assemble;
pub(crate) mod checks;
mod references;
mod registration;

pub use registration::SchemaOptions;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::behind::WriteBehind;
use crate::codec::Codec;
#[cfg(feature = "encryption")]
use crate::crypto::KeyProvider;
use crate::diagnosis::Diagnosis;
use crate::error::Result;
use crate::facet::{NearTier, NoNear};
use crate::health::{HealthChange, HealthListener};
use crate::migration::Migrator;
use crate::schema::{Schema, WriteMode};
use crate::settings::Settings;
use crate::store::Store;
use crate::tier::Tier;
use crate::upgrade::UpgradePolicy;
use assemble::migrator;
use registration::{Registration, Typed};

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
    health_listener: Option<HealthListener>,
    #[cfg(feature = "encryption")]
    key_provider: Option<Arc<dyn KeyProvider>>,
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
            health_listener: None,
            #[cfg(feature = "encryption")]
            key_provider: None,
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
            health_listener: self.health_listener,
            #[cfg(feature = "encryption")]
            key_provider: self.key_provider,
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

    /// Lets writes travel so in every schema that says nothing itself: [`Settings::write_mode`].
    #[must_use]
    pub fn write_mode(mut self, write_mode: WriteMode) -> Self {
        self.settings.write_mode = write_mode;
        self
    }

    /// Says what becomes of what was upgraded while it was read, in every schema that says nothing itself: [`Settings::upgrade_policy`].
    #[must_use]
    pub fn upgrade_policy(mut self, policy: UpgradePolicy) -> Self {
        self.settings.upgrade_policy = policy;
        self
    }

    /// Keeps the writes of write-behind in a journal in this directory until the truth has them: [`Settings::journal`].
    ///
    /// The directory is the store's own, on a disk of this machine. It is made if it is missing. The next store on it flushes what an earlier one left there.
    #[must_use]
    pub fn journal(mut self, directory: impl Into<PathBuf>) -> Self {
        self.settings.journal = Some(directory.into());
        self
    }

    /// Says how write-behind gathers, acknowledges and flushes: [`Settings::write_behind`].
    #[must_use]
    pub fn write_behind(mut self, write_behind: WriteBehind) -> Self {
        self.settings.write_behind = write_behind;
        self
    }

    /// Lets the store read records that were written with a codec of the program's own, beside the one in the settings.
    #[must_use]
    pub fn read_codec(mut self, codec: impl Codec) -> Self {
        self.read_codecs.push(Arc::new(codec));
        self
    }

    /// Gives the keys of encrypted fields: a [`KeyRing`](crate::KeyRing), or what knows where keys are kept. A second call takes the place of the first.
    ///
    /// ```
    /// use store_core::{EncryptionKey, KeyRing, Store};
    /// # use store_derive::Schema;
    /// # use store_testkit::ModelRecords;
    /// #[derive(Schema)]
    /// #[schema(cache_only)]
    /// struct Session {
    ///     #[schema(primary_key)]
    ///     id: String,
    ///     #[schema(encrypted)]
    ///     token: String,
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> store_core::Result<()> {
    /// # let (redis, key) = (ModelRecords::new(), EncryptionKey::generate()?);
    /// let store = Store::builder().tier(redis).schema::<Session>().encryption(KeyRing::new(1, key)).build().await?;
    /// let sessions = store.collection::<Session>()?;
    /// sessions.set(Session { id: "a".into(), token: "secret".into() }).await?;
    /// assert_eq!(sessions.get("a").await?.map(|session| session.token.clone()).as_deref(), Some("secret"));
    /// # store.close().await
    /// # }
    /// ```
    #[cfg(feature = "encryption")]
    #[must_use]
    pub fn encryption(mut self, keys: impl KeyProvider) -> Self {
        self.key_provider = Some(Arc::new(keys));
        self
    }

    /// Lets the program hear when a tier's breaker opens, tries the tier, or closes. A second call takes the place of the first.
    ///
    /// It runs within the call that met the change, on whichever thread that is and with no lock held: keep it quick, and hand anything that waits to a
    /// task. A panic in it is logged and harms nothing.
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
    /// let builder = Store::builder().tier(redis).schema::<Session>();
    /// let store = builder.on_health_change(|change| eprintln!("{}: {} → {}", change.name, change.from, change.to)).build().await?;
    /// # store.close().await
    /// # }
    /// ```
    #[must_use]
    pub fn on_health_change(mut self, listener: impl Fn(&HealthChange) + Send + Sync + 'static) -> Self {
        self.health_listener = Some(Arc::new(listener));
        self
    }

    /// Checks the stack, makes missing tables unless [`Settings::create_tables`] is off, and gives the store.
    ///
    /// It needs a Tokio runtime with its timer on, in which the store does its work: when that runtime ends, every call answers
    /// [`Closed`](crate::ErrorKind::Closed). In one without a timer Tokio panics; that is caught and told as an error, but the panic's message is printed.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) or [`SchemaDuplicate`](crate::ErrorKind::SchemaDuplicate) with every mistake that was found;
    /// what the truth says when it makes tables; [`SchemaMismatch`](crate::ErrorKind::SchemaMismatch) with the names of those, and of the unique indexes, that
    /// are missing where it may not.
    pub async fn build(self) -> Result<Store> {
        // On the heap, so that a caller's own future does not grow by all of it.
        Box::pin(self.assemble()).await
    }

    /// Lets each tier look at its server: versions, clocks, distance, rights, settings. No store is built, and nothing is made or changed.
    pub async fn diagnose(&self) -> Vec<Diagnosis> {
        let near = self.near.iter().map(|near| Arc::clone(near) as Arc<dyn Tier>);
        let mut diagnoses = Vec::new();
        for tier in near.chain(self.tiers.iter().cloned()) {
            diagnoses.push(Diagnosis { role: tier.role(), name: tier.name().to_owned(), findings: tier.diagnose().await });
        }
        diagnoses
    }

    /// Checks the stack, and gives what migrates its tier of truth: for a deploy that migrates before any store runs, or a program whose stores may make no
    /// tables. No store is made, and nothing is asked of a tier yet.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) or [`SchemaDuplicate`](crate::ErrorKind::SchemaDuplicate) as [`build`](Self::build), and where no tier has tables.
    pub fn migrator(self) -> Result<Migrator> {
        // A migration needs no keys.
        let checked = self.check(|_, _| None)?;
        let migrator = migrator(&checked.stack, &checked.bound, &checked.settings).ok_or_else(Migrator::missing)?;
        Ok(migrator.with_tiers(checked.tiers))
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

/// Programs build stores in tasks that they spawn, whatever features they choose.
const _: fn(StoreBuilder) = |builder| {
    fn is_send(_: impl Send) {}
    is_send(builder.diagnose());
    is_send(builder.build());
};

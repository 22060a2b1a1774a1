//! The shortest ways to a store.

#[cfg(feature = "sqlite")]
use std::path::Path;

use store_core::{Result, Store, StoreBuilder};

use tier_mem::MemTier;

/// The ways to start a [`Store`] that know its tiers by name. Bring it into scope with the [`prelude`](crate::prelude).
pub trait Setup {
    /// Starts the embedded store: memory, and SQLite in one file.
    ///
    /// Add schemas and call `build`, which makes the file if it is missing; its directory must exist.
    ///
    /// # Errors
    ///
    /// What SQLite says when the file cannot be opened.
    ///
    /// ```
    /// use strata::prelude::*;
    /// # #[derive(Schema)] struct Player { #[schema(primary_key)] id: String, level: i64 }
    /// # #[tokio::main] async fn main() -> strata::Result<()> {
    /// # let directory = tempfile::tempdir().expect("a temporary directory");
    /// # let path = directory.path().join("game.db");
    ///
    /// let store = Store::open(path).await?.schema::<Player>().build().await?;
    /// assert_eq!(store.collection::<Player>()?.count(Query::new()).await?, 0);
    /// # store.close().await?;
    /// # Ok(()) }
    /// ```
    #[cfg(feature = "sqlite")]
    fn open(path: impl AsRef<Path> + Send) -> impl Future<Output = Result<StoreBuilder<MemTier>>> + Send;

    /// Starts a store from the environment: memory, Redis if `REDIS_URL` is set, and the truth that `DATABASE_URL` names (`postgres://…` or `sqlite:FILE`).
    /// Every other setting has a variable of its own, `STRATA_…`; an unknown one, or one of a server that is not named, is an error.
    ///
    /// A Redis that cannot be reached is no error where there is a truth: reads go past it until it can, as the log and [`Store::health`] tell.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](store_core::ErrorKind::InvalidConfig) for variables that are missing, unknown or malformed, or that need a feature this build lacks;
    /// what a server says that cannot be reached.
    ///
    /// ```
    /// use strata::prelude::*;
    /// # #[derive(Schema)] struct Player { #[schema(primary_key)] id: String, level: i64 }
    /// # async fn example() -> strata::Result<()> {
    ///
    /// let store = Store::from_env().await?.schema::<Player>().build().await?;
    /// store.ping().await?;
    /// # Ok(()) } let _ = example;
    /// ```
    fn from_env() -> impl Future<Output = Result<StoreBuilder<MemTier>>> + Send;

    /// As [`from_env`](Self::from_env), from variables that come from elsewhere: a file, or the environment with changes. Those that are not Strata's are passed over.
    ///
    /// # Errors
    ///
    /// As `from_env`.
    ///
    /// ```
    /// use strata::prelude::*;
    /// # #[derive(Schema)] #[schema(cache_only)] struct Visit { #[schema(primary_key)] id: i64, page: String }
    /// # #[tokio::main] async fn main() -> strata::Result<()> {
    ///
    /// let variables = [("STRATA_L1_TTL".to_owned(), "5m".to_owned())];
    /// let store = Store::from_variables(variables).await?.schema::<Visit>().build().await?;
    /// # store.close().await?;
    /// # Ok(()) }
    /// ```
    fn from_variables(
        variables: impl IntoIterator<Item = (String, String)> + Send,
    ) -> impl Future<Output = Result<StoreBuilder<MemTier>>> + Send;
}

impl Setup for Store {
    #[cfg(feature = "sqlite")]
    async fn open(path: impl AsRef<Path> + Send) -> Result<StoreBuilder<MemTier>> {
        let sqlite = tier_sqlite::SqliteTier::open(path.as_ref()).await?;
        Ok(Store::builder().near(MemTier::new()).tier(sqlite))
    }

    async fn from_env() -> Result<StoreBuilder<MemTier>> {
        crate::environment::builder().await
    }

    async fn from_variables(variables: impl IntoIterator<Item = (String, String)> + Send) -> Result<StoreBuilder<MemTier>> {
        crate::environment::builder_of(crate::environment::Variables::new(variables)).await
    }
}

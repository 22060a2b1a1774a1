//! The shortest ways to a store.

use std::path::Path;

use store_core::{Result, Store, StoreBuilder};

#[cfg(feature = "mem")]
use tier_mem::MemTier;

/// The ways to start a [`Store`] that know its tiers by name. Bring it into scope with the [`prelude`](crate::prelude).
pub trait Setup {
    /// Starts the embedded store: memory, and SQLite in one file.
    ///
    /// The file is made if it is missing, its directory is not. Add schemas and call `build`.
    ///
    /// # Errors
    ///
    /// What SQLite says when the file cannot be opened.
    #[cfg(all(feature = "mem", feature = "sqlite"))]
    fn open(path: impl AsRef<Path>) -> Result<StoreBuilder<MemTier>>;

    /// Starts a store from the environment: memory, Redis if `REDIS_URL` is set, and the truth that `DATABASE_URL` names (`postgres://…` or `sqlite:FILE`).
    /// Every other setting has a variable of its own, `STRATA_…`; an unknown one is an error.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](store_core::ErrorKind::InvalidConfig) for variables that are missing, unknown or malformed, or that need a feature this build lacks;
    /// what a server says that cannot be reached.
    #[cfg(feature = "mem")]
    fn from_env() -> impl Future<Output = Result<StoreBuilder<MemTier>>> + Send;
}

impl Setup for Store {
    #[cfg(all(feature = "mem", feature = "sqlite"))]
    fn open(path: impl AsRef<Path>) -> Result<StoreBuilder<MemTier>> {
        let sqlite = tier_sqlite::SqliteTier::open(path.as_ref())?;
        Ok(Store::builder().near(MemTier::new()).tier(sqlite))
    }

    #[cfg(feature = "mem")]
    async fn from_env() -> Result<StoreBuilder<MemTier>> {
        crate::environment::builder().await
    }
}

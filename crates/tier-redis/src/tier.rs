//! The tier itself.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use store_core::{Facets, Finding, Result, Role, Tier};
use tokio::sync::Mutex;

use crate::command::Command;
use crate::config::RedisConfig;
use crate::diagnosis;
use crate::keys::Keys;
use crate::marks::KnownMarks;
use crate::pool::Pool;
use crate::relay::Kept;

/// The shared tier (L2) on Redis or Valkey.
///
/// The connections are kept up in the background: one that is lost, or on which nothing comes back within the time limit, is opened anew, with delays
/// that double from 50 ms to 2 s, for ever. While none is up, every call fails at once with
/// [`L2Unavailable`](store_core::ErrorKind::L2Unavailable), or with the reason why connecting fails. Nothing is queued or sent twice.
///
/// Dropping the tier closes its connections, as [`close`](Tier::close) does.
///
/// ```no_run
/// use tier_redis::{RedisConfig, RedisTier};
///
/// # async fn connect() -> store_core::Result<()> {
/// let tier = RedisTier::connect(RedisConfig::from_url("redis://127.0.0.1:6379")?).await?;
/// # let _ = tier;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RedisTier {
    pub(crate) pool: Pool,
    pub(crate) keys: Keys,
    /// The channel of messages between instances.
    pub(crate) channel: String,
    pub(crate) known_marks: KnownMarks,
    pub(crate) kept: Mutex<Kept>,
    pub(crate) read_timeout: Duration,
    pub(crate) write_timeout: Duration,
}

impl RedisTier {
    /// Connects, within the dial limit.
    ///
    /// Dropping the future gives up.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](store_core::ErrorKind::InvalidConfig) for settings that cannot work, among them a database that the server does not have;
    /// [`AccessDenied`](store_core::ErrorKind::AccessDenied) if the server refuses the credentials;
    /// [`L2Unavailable`](store_core::ErrorKind::L2Unavailable) or [`Timeout`](store_core::ErrorKind::Timeout) if no connection comes up.
    pub async fn connect(config: RedisConfig) -> Result<Self> {
        let tier = Self::connect_lazily(config)?;
        tier.pool.first_attempts().await?;
        Ok(tier)
    }

    /// As [`connect`](Self::connect), but goes on trying in the background where Redis cannot be reached. What time does not mend, such as wrong credentials,
    /// is an error all the same.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](store_core::ErrorKind::InvalidConfig) and [`AccessDenied`](store_core::ErrorKind::AccessDenied) as with `connect`, and whatever else is
    /// not worth another try.
    pub async fn connect_or_keep_trying(config: RedisConfig) -> Result<Self> {
        let tier = Self::connect_lazily(config)?;
        match tier.pool.first_attempts().await {
            Err(error) if !error.is_retryable() => Err(error),
            Ok(()) | Err(_) => Ok(tier),
        }
    }

    /// Connects in the background, so that a process can start while Redis is down.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](store_core::ErrorKind::InvalidConfig) for settings that cannot work, and outside of a Tokio runtime.
    pub fn connect_lazily(config: RedisConfig) -> Result<Self> {
        config.validate()?;
        let pool = Pool::start(&config)?;
        let keys = Keys::new(config.key_root);
        Ok(RedisTier {
            pool,
            channel: config.invalidation_channel.unwrap_or_else(|| keys.channel()),
            keys,
            known_marks: KnownMarks::default(),
            kept: Mutex::default(),
            read_timeout: config.read_timeout,
            write_timeout: config.write_timeout,
        })
    }
}

#[async_trait]
impl Tier for RedisTier {
    fn name(&self) -> &str {
        "redis"
    }

    fn role(&self) -> Role {
        Role::Shared
    }

    fn facets(self: Arc<Self>) -> Facets {
        Facets { records: Some(Arc::clone(&self) as _), wakes: Some(self), ..Facets::default() }
    }

    async fn ping(&self) -> Result<()> {
        self.pool.link()?.run_one(Command::new("PING", None, Vec::new()), self.read_timeout).await.map(drop)
    }

    async fn diagnose(&self) -> Vec<Finding> {
        diagnosis::diagnose(self).await
    }

    async fn close(&self) -> Result<()> {
        self.pool.close().await;
        self.close_lines().await;
        Ok(())
    }
}

//! What a store knows of its tiers without asking them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::breaker::BreakerState;
use crate::tier::Role;

/// How a store's tiers are doing, as [`Store::health`](crate::Store::health) saw it.
///
/// ```
/// use store_core::{BreakerState, Role, Store};
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
/// # let store = Store::builder().tier(redis).schema::<Session>().build().await?;
/// let health = store.health();
/// assert!(health.is_healthy());
/// let shared = health.tier(Role::Shared).expect("the store has a shared tier");
/// assert_eq!((shared.state, shared.consecutive_failures), (BreakerState::Closed, 0));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// The tiers below memory, from near to far. Memory is part of the process and has no breaker.
    pub tiers: Vec<TierHealth>,
    /// How long ago memory certainly reflected every commit: the age of the last completed reading of the log. `None` before the first, and in a store
    /// without a tier of truth.
    pub freshness_age: Option<Duration>,
    /// How write-behind is doing, in a store that has it.
    pub write_behind: Option<WriteBehindHealth>,
    /// Whether the store serves calls. It does not once it was closed, nor once the runtime that it was built in has ended: every call then answers
    /// [`Closed`](crate::ErrorKind::Closed).
    pub is_open: bool,
}

impl Health {
    /// Whether the store serves calls, the breaker of every tier is closed, and the last flush of write-behind succeeded.
    pub fn is_healthy(&self) -> bool {
        let flushes = self.write_behind.as_ref().is_none_or(|behind| behind.failed_flushes == 0);
        self.is_open && flushes && self.tiers.iter().all(|tier| tier.state == BreakerState::Closed)
    }

    /// The tier of a role, where the store has one below memory.
    pub fn tier(&self, role: Role) -> Option<&TierHealth> {
        self.tiers.iter().find(|tier| tier.role == role)
    }
}

/// How write-behind is doing; part of [`Health`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriteBehindHealth {
    /// Writes that are pending, or about to be.
    pub pending: u64,
    /// Flushes that failed since one succeeded.
    pub failed_flushes: u32,
    /// What the last of them said.
    pub last_error: Option<String>,
}

/// How one tier is doing; part of [`Health`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TierHealth {
    /// The tier's name, such as `"redis"`.
    pub name: String,
    /// The tier's place in the stack.
    pub role: Role,
    /// Whether calls reach the tier.
    pub state: BreakerState,
    /// When that state was entered.
    pub since: SystemTime,
    /// What the last failure was, also of one that is over; `None` if there was none.
    pub last_error: Option<String>,
    /// Failures since the tier answered last.
    pub consecutive_failures: u64,
    /// The tier's read replicas, in the order of its settings. One that is not used makes no tier unhealthy: others answer, or the primary.
    pub replicas: Vec<ReplicaHealth>,
}

/// How one read replica is doing; part of [`TierHealth`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaHealth {
    /// Its host and port.
    pub address: String,
    /// Whether it is given reads: it answers, and is not too far behind.
    pub is_used: bool,
    /// How far behind its primary it is at most; `None` where that is not known.
    pub lag: Option<Duration>,
    /// Reads of this process that are under way.
    pub reads: u64,
    /// What the last failure was, also of one that is over; `None` if there was none.
    pub last_error: Option<String>,
}

/// A change of one tier's breaker, as [`StoreBuilder::on_health_change`](crate::StoreBuilder::on_health_change) tells it.
///
/// ```
/// use store_core::{BreakerState, HealthChange, Store};
///
/// fn alarm(change: &HealthChange) -> Option<String> {
///     let is_new = change.from == BreakerState::Closed;
///     is_new.then(|| format!("{} is away: {}", change.name, change.last_error.as_deref().unwrap_or_default()))
/// }
///
/// let builder = Store::builder().on_health_change(|change| {
///     if let Some(alarm) = alarm(change) {
///         eprintln!("{alarm}");
///     }
/// });
/// # drop(builder);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HealthChange {
    /// The tier's name, such as `"redis"`.
    pub name: String,
    /// The tier's place in the stack.
    pub role: Role,
    /// The state that was left.
    pub from: BreakerState,
    /// The state that was entered.
    pub to: BreakerState,
    /// What the tier's last failure was.
    pub last_error: Option<String>,
}

/// Whom changes are told to.
pub(crate) type HealthListener = Arc<dyn Fn(&HealthChange) + Send + Sync>;

//! How a schema behaves in each tier.

use std::time::Duration;

use crate::upgrade::UpgradePolicy;

/// How long an entry lives in a cache.
///
/// ```
/// use std::time::Duration;
/// use store_core::Lifetime;
///
/// let minute = Duration::from_secs(60);
/// assert_eq!(Lifetime::Inherit.resolve(Some(minute)), Some(minute));
/// assert_eq!(Lifetime::Never.resolve(Some(minute)), None);
/// assert_eq!(Lifetime::from(2 * minute).resolve(Some(minute)), Some(2 * minute));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lifetime {
    /// As long as the store's default for the tier says.
    #[default]
    Inherit,
    /// Until it is evicted or replaced.
    Never,
    /// That long after it was installed.
    For(Duration),
}

impl Lifetime {
    /// The duration, with the store's default in place of [`Inherit`](Self::Inherit); `None` for entries that do not expire.
    pub fn resolve(self, default: Option<Duration>) -> Option<Duration> {
        match self {
            Lifetime::Inherit => default,
            Lifetime::Never => None,
            Lifetime::For(duration) => Some(duration),
        }
    }
}

impl From<Duration> for Lifetime {
    fn from(duration: Duration) -> Self {
        Lifetime::For(duration)
    }
}

/// Which entry leaves when a shelf is full.
///
/// ```
/// use store_core::{Eviction, Schema};
/// # use store_derive::Schema;
///
/// #[derive(Schema)]
/// #[schema(l1(max_entries = 50_000, eviction = "lfu"))]
/// struct Player {
///     #[schema(primary_key)]
///     id: String,
/// }
///
/// assert_eq!(Player::definition().policies().near.eviction, Some(Eviction::Lfu));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Eviction {
    /// The one not used for the longest time.
    #[default]
    Lru,
    /// The one used least often; among equals the one not used for the longest time.
    Lfu,
    /// The one installed first.
    Fifo,
}

/// How writes travel through the tiers.
///
/// ```
/// use store_core::{Schema, WriteMode};
/// # use store_derive::Schema;
///
/// #[derive(Schema)]
/// #[schema(write_mode = "write_through_lazy_l1")]
/// struct Measurement {
///     #[schema(primary_key)]
///     id: i64,
/// }
///
/// assert_eq!(Measurement::definition().policies().write_mode, Some(WriteMode::WriteThroughLazyL1));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WriteMode {
    /// Truth, then the shared tier, then memory, all before the call returns.
    #[default]
    WriteThrough,
    /// Truth and the shared tier; memory is filled by the next read.
    WriteThroughLazyL1,
    /// Acknowledged before the truth has it, at the level that [`Acknowledge`](crate::Acknowledge) says, and flushed in the background with the other pending writes.
    ///
    /// - This instance reads its own pending writes; others see them once they are flushed. Writes of one key keep their order, those of several keys are flushed together.
    /// - An answer of a pending record has no version yet ([`Record::is_pending`](crate::Record::is_pending)). A rule of the database that a write breaks is told when it is flushed:
    ///   the write becomes a [dead letter](crate::Store::dead_letters), and [`Hooks::on_write_error`](crate::Hooks::on_write_error) hears of it.
    /// - If another instance has written the record meanwhile, [`OnConflict`](crate::OnConflict) decides.
    /// - Searches, strong reads, conditional writes, `update`, `patch` and transactions flush first what they might meet.
    WriteBehind,
}

/// The memory tier's policy for one schema.
///
/// ```
/// use std::time::Duration;
/// use store_core::{Eviction, NearPolicy};
///
/// let policy = NearPolicy { ttl: Duration::from_secs(60).into(), max_entries: Some(50_000), ..NearPolicy::default() };
/// assert_eq!(policy.eviction.unwrap_or_default(), Eviction::Lru);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NearPolicy {
    /// How long entries live.
    pub ttl: Lifetime,
    /// The most entries held in total; `None` takes the store's default, which is unlimited unless set.
    pub max_entries: Option<u64>,
    /// Which entry leaves first; `None` takes the store's default.
    pub eviction: Option<Eviction>,
}

/// The shared tier's policy for one schema.
///
/// ```
/// use store_core::{Lifetime, SharedPolicy};
///
/// let policy = SharedPolicy { ttl: Lifetime::Never, key_prefix: Some("p".into()) };
/// assert_ne!(policy, SharedPolicy::default());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SharedPolicy {
    /// How long records live.
    pub ttl: Lifetime,
    /// What stands in place of the schema's name in keys.
    pub key_prefix: Option<String>,
}

/// The truth tier's policy for one schema.
///
/// ```
/// use store_core::{BoundSchema, Schema, TruthPolicy};
/// # use store_derive::Schema;
///
/// #[derive(Schema)]
/// #[schema(l3(table = "people"))]
/// struct Person {
///     #[schema(primary_key)]
///     id: i64,
/// }
///
/// assert_eq!(Person::definition().policies().truth, TruthPolicy { table: Some("people".into()) });
/// assert_eq!(BoundSchema::standalone(Person::definition()).table(), "people");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TruthPolicy {
    /// What stands in place of the schema's name as table.
    pub table: Option<String>,
}

/// What becomes of records that an older version of the model wrote.
///
/// ```
/// use store_core::{Schema, UpgradePolicies, UpgradePolicy};
/// # use store_derive::Schema;
///
/// #[derive(Schema)]
/// #[schema(upgrade_policy = "write_back")]
/// struct City {
///     #[schema(primary_key)]
///     id: i64,
/// }
///
/// let declared = UpgradePolicies { policy: Some(UpgradePolicy::WriteBack), incomplete: false };
/// assert_eq!(City::definition().policies().upgrades, declared);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UpgradePolicies {
    /// Whether what was upgraded is written back; `None` takes the store's default.
    pub policy: Option<UpgradePolicy>,
    /// Whether a record in L2 above a table is upgraded though its layout lacks columns of this one. Only where the new columns follow from the old
    /// ones, or no older build writes any more: what stands in the new columns of the row is not asked for.
    pub incomplete: bool,
}

/// All policies of one schema. The model declares them; the builder can change them.
///
/// ```
/// use std::time::Duration;
/// use store_core::{Eviction, Policies};
///
/// let mut policies = Policies::default();
/// policies.near.ttl = Duration::from_secs(60).into();
/// policies.near.max_entries = Some(50_000);
/// policies.near.eviction = Some(Eviction::Lfu);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policies {
    /// L1.
    pub near: NearPolicy,
    /// L2.
    pub shared: SharedPolicy,
    /// L3.
    pub truth: TruthPolicy,
    /// How long an absence is remembered; `None` takes the store's default, which is not at all unless set.
    pub negative_ttl: Option<Duration>,
    /// How writes travel; `None` takes the store's default.
    pub write_mode: Option<WriteMode>,
    /// Whether the schema has no truth tier on purpose: what its caches lose is lost.
    pub cache_only: bool,
    /// What becomes of what older versions of the model wrote.
    pub upgrades: UpgradePolicies,
}

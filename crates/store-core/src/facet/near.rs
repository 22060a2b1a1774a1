//! The memory tier: typed shelves, synchronous.

use std::convert::Infallible;
use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::super::tier::{Facets, Role, Tier};
use crate::clock::Clock;
use crate::error::Result;
use crate::key::Key;
use crate::record::Record;
use crate::schema::{Eviction, Schema};
use crate::version::Version;

/// What can be asked of all shelves of a memory tier without knowing their models.
pub trait Near: Debug + Send + Sync {
    /// The entries on all shelves, expired ones that no sweep has met included.
    fn entries(&self) -> u64;

    /// Empties every shelf, without calling the eviction notices.
    fn clear(&self);

    /// Drops expired entries from every shelf and returns how many.
    fn sweep(&self) -> u64;
}

/// A memory tier. The builder asks it for one shelf for each model, so it is generic where [`Tier`] is an object.
pub trait NearTier: Tier {
    /// Makes the shelf of one model.
    fn shelf<T: Schema>(&self, name: &'static str, options: ShelfOptions<T>) -> Arc<dyn Shelf<T>>;
}

/// How heavy an entry is, in units of the user's choice.
pub type Weigher<T> = Arc<dyn Fn(&<T as Schema>::Key, &T) -> u64 + Send + Sync>;

/// Called after an entry left a shelf for a reason other than replacement or invalidation.
///
/// It runs on the thread that caused the eviction, outside the shelf's locks; it should be quick.
pub type OnEvict<T> = Arc<dyn Fn(&<T as Schema>::Key, &Arc<T>, EvictionCause) + Send + Sync>;

/// Why an entry left a shelf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EvictionCause {
    /// The shelf was full.
    Size,
    /// The entry's life time was over.
    Expired,
}

/// How one shelf behaves.
pub struct ShelfOptions<T: Schema> {
    /// The most entries in total; `None` for no limit.
    pub max_entries: Option<u64>,
    /// The most weight in total, together with a weigher; `None` for no limit.
    pub max_weight: Option<u64>,
    /// How heavy an entry is; every entry weighs 1 without it.
    pub weigher: Option<Weigher<T>>,
    /// Which entry leaves first.
    pub eviction: Eviction,
    /// Told of every entry that leaves on its own.
    pub on_evict: Option<OnEvict<T>>,
    /// What deadlines are measured against.
    pub clock: Arc<dyn Clock>,
}

impl<T: Schema> Debug for ShelfOptions<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShelfOptions")
            .field("max_entries", &self.max_entries)
            .field("max_weight", &self.max_weight)
            .field("weigher", &self.weigher.is_some())
            .field("eviction", &self.eviction)
            .field("on_evict", &self.on_evict.is_some())
            .finish_non_exhaustive()
    }
}

/// L1's table for one model. Every call is synchronous and short; none panics or blocks on I/O.
///
/// A shelf stores what it is told to. Whether a record may be installed at all (the fence) is decided by the pipeline that calls it.
pub trait Shelf<T: Schema>: Debug + Send + Sync {
    /// The live entry of a key, counted as a use. Expired entries are misses.
    fn get(&self, key: &<T::Key as Key>::Borrowed) -> Option<Record<T>>;

    /// Shows the live entry of a key to `visit`, counted as a use, without touching a reference count. Returns whether there was one.
    ///
    /// `visit` must not call the shelf.
    fn peek_with(&self, key: &<T::Key as Key>::Borrowed, visit: &mut dyn FnMut(&T, Version)) -> bool;

    /// The version of the live entry of a key, not counted as a use.
    fn version(&self, key: &<T::Key as Key>::Borrowed) -> Option<Version>;

    /// Puts an entry in place of the key's present one, and evicts others if the shelf is over its limits.
    ///
    /// `deadline` is on the clock's monotonic scale; `None` lives until evicted. An entry heavier than the whole shelf is not kept,
    /// and the key's present one leaves all the same.
    fn install(&self, key: T::Key, record: Record<T>, deadline: Option<Duration>);

    /// Takes the entry of a key out, without an eviction notice. Returns whether there was one.
    fn remove(&self, key: &<T::Key as Key>::Borrowed) -> bool;

    /// Takes all entries out, without eviction notices.
    fn clear(&self);

    /// The number of entries, expired ones that no sweep has met included.
    fn entries(&self) -> u64;
}

/// The absence of a memory tier, as the builder's type parameter.
#[derive(Debug, Clone, Copy)]
pub enum NoNear {
    #[doc(hidden)]
    Never(Infallible),
}

#[async_trait]
impl Tier for NoNear {
    fn name(&self) -> &str {
        "none"
    }

    fn role(&self) -> Role {
        Role::Near
    }

    fn facets(self: Arc<Self>) -> Facets {
        Facets::default()
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

impl NearTier for NoNear {
    fn shelf<T: Schema>(&self, _: &'static str, _: ShelfOptions<T>) -> Arc<dyn Shelf<T>> {
        match *self {
            NoNear::Never(never) => match never {},
        }
    }
}

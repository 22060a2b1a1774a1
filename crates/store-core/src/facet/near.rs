//! The memory tier: typed shelves, synchronous.

use std::convert::Infallible;
use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::super::tier::{Facets, Role, Tier};
use crate::clock::Clock;
use crate::diagnosis::Finding;
use crate::error::Result;
use crate::key::Key;
use crate::record::Record;
use crate::schema::{Eviction, Schema};
use crate::version::Version;

/// What can be asked of all shelves of a memory tier without knowing their models.
///
/// ```
/// use store_core::facet::Near;
///
/// /// Memory that keeps nothing.
/// #[derive(Debug)]
/// struct Cold;
///
/// impl Near for Cold {
///     fn entries(&self) -> u64 {
///         0
///     }
///
///     fn clear(&self) {}
///
///     fn sweep(&self) -> u64 {
///         0
///     }
/// }
///
/// assert_eq!(Cold.sweep(), 0);
/// ```
pub trait Near: Debug + Send + Sync {
    /// The entries on all shelves, expired ones that no sweep has met included.
    fn entries(&self) -> u64;

    /// Empties every shelf, without calling the eviction notices.
    fn clear(&self);

    /// Drops expired entries from every shelf and returns how many.
    fn sweep(&self) -> u64;
}

/// A memory tier. The builder asks it for one shelf for each model, so it is generic where [`Tier`] is an object.
///
/// ```
/// use std::sync::Arc;
/// use store_core::facet::{NearTier, Shelf, ShelfOptions};
/// use store_core::{Facets, Result, Role, Schema, Store, Tier};
///
/// /// Memory that keeps nothing: a [`Near`] whose shelves are all empty.
/// #[derive(Debug)]
/// struct Cold;
/// # use std::time::Duration;
/// # use store_core::facet::Near;
/// # use store_core::{Key, Record, Version};
/// # impl<T: Schema> Shelf<T> for Cold {
/// #     fn get(&self, _: &<T::Key as Key>::Borrowed) -> Option<Record<T>> { None }
/// #     fn peek_with(&self, _: &<T::Key as Key>::Borrowed, _: &mut dyn FnMut(&Record<T>)) -> bool { false }
/// #     fn version(&self, _: &<T::Key as Key>::Borrowed) -> Option<Version> { None }
/// #     fn install(&self, _: T::Key, _: Record<T>, _: Option<Duration>) {}
/// #     fn remove(&self, _: &<T::Key as Key>::Borrowed) -> bool { false }
/// #     fn clear(&self) {}
/// #     fn entries(&self) -> u64 { 0 }
/// # }
/// # impl Near for Cold {
/// #     fn entries(&self) -> u64 { 0 }
/// #     fn clear(&self) {}
/// #     fn sweep(&self) -> u64 { 0 }
/// # }
///
/// #[async_trait::async_trait]
/// impl Tier for Cold {
/// #     fn name(&self) -> &str { "cold" }
/// #     async fn ping(&self) -> Result<()> { Ok(()) }
/// #     async fn diagnose(&self) -> Vec<store_core::Finding> { Vec::new() }
/// #     async fn close(&self) -> Result<()> { Ok(()) }
///     fn role(&self) -> Role {
///         Role::Near
///     }
///
///     fn facets(self: Arc<Self>) -> Facets {
///         Facets { near: Some(self), ..Facets::default() }
///     }
///     // And `name`, `ping` and `close`.
/// }
///
/// impl NearTier for Cold {
///     fn shelf<T: Schema>(&self, _name: &'static str, _options: ShelfOptions<T>) -> Arc<dyn Shelf<T>> {
///         Arc::new(Cold)
///     }
/// }
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
/// let store = Store::builder().near(Cold).tier(redis).schema::<Session>().build().await?;
/// assert_eq!(store.stats().l1_entries, 0);
/// # Ok(())
/// # }
/// ```
pub trait NearTier: Tier {
    /// Makes the shelf of one model.
    fn shelf<T: Schema>(&self, name: &'static str, options: ShelfOptions<T>) -> Arc<dyn Shelf<T>>;
}

/// How heavy an entry is, in units of the user's choice.
///
/// ```
/// use std::sync::Arc;
/// use store_core::facet::Weigher;
/// # #[derive(store_derive::Schema)] struct City { #[schema(primary_key)] id: i64, name: String }
///
/// let bytes: Weigher<City> = Arc::new(|_, city| 64 + city.name.len() as u64);
/// assert_eq!(bytes(&7, &City { id: 7, name: "Lima".into() }), 68);
/// ```
pub type Weigher<T> = Arc<dyn Fn(&<T as Schema>::Key, &T) -> u64 + Send + Sync>;

/// Called after an entry left a shelf for a reason other than replacement or invalidation.
///
/// It runs on the thread that caused the eviction, outside the shelf's locks, so it may call the shelf. It should be quick and must not wait
/// for the store, which may be keeping a fence meanwhile. A panic in it is logged and goes no further.
///
/// ```
/// use std::sync::Arc;
/// use store_core::facet::OnEvict;
/// # #[derive(store_derive::Schema)] struct City { #[schema(primary_key)] id: i64, name: String }
///
/// let notice: OnEvict<City> = Arc::new(|id, city, cause| println!("{id} ({}) left memory: {cause:?}", city.name));
/// # let _ = notice;
/// ```
pub type OnEvict<T> = Arc<dyn Fn(&<T as Schema>::Key, &Arc<T>, EvictionCause) + Send + Sync>;

/// Why an entry left a shelf.
///
/// ```
/// use store_core::EvictionCause;
///
/// let reason = match EvictionCause::Expired {
///     EvictionCause::Size => "the shelf was full",
///     EvictionCause::Expired => "its time was over",
///     _ => "another",
/// };
/// assert_eq!(reason, "its time was over");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EvictionCause {
    /// The shelf was full.
    Size,
    /// The entry's life time was over.
    Expired,
}

/// How one shelf behaves.
///
/// ```
/// use std::sync::Arc;
/// use store_core::facet::ShelfOptions;
/// use store_core::{Eviction, SystemClock};
/// # use store_derive::Schema;
/// # #[derive(Schema)]
/// # struct City {
/// #     #[schema(primary_key)]
/// #     id: i64,
/// #     name: String,
/// #     population: i64,
/// # }
///
/// let options: ShelfOptions<City> = ShelfOptions {
///     max_entries: Some(50_000),
///     max_weight: Some(8 << 20),
///     weigher: Some(Arc::new(|_, city| city.name.len() as u64)),
///     eviction: Eviction::Lru,
///     on_evict: None,
///     clock: Arc::new(SystemClock),
/// };
/// assert_eq!(options.max_weight, Some(8_388_608));
/// ```
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

/// L1's table for one model. Every call is synchronous and short; none panics or blocks on I/O. Models are dropped outside the shelf's locks.
///
/// A shelf stores what it is told to. Whether a record may be installed at all (the fence) is decided by the pipeline that calls it.
///
/// ```
/// use std::time::Duration;
/// use store_core::facet::Shelf;
/// use store_core::{Key, Record, Schema, Version};
///
/// /// A shelf that keeps nothing, so that every read goes below.
/// #[derive(Debug)]
/// struct Cold;
///
/// impl<T: Schema> Shelf<T> for Cold {
///     fn get(&self, _: &<T::Key as Key>::Borrowed) -> Option<Record<T>> {
///         None
///     }
///
///     fn peek_with(&self, _: &<T::Key as Key>::Borrowed, _: &mut dyn FnMut(&Record<T>)) -> bool {
///         false
///     }
///
///     fn version(&self, _: &<T::Key as Key>::Borrowed) -> Option<Version> {
///         None
///     }
///
///     fn install(&self, _: T::Key, _: Record<T>, _: Option<Duration>) {}
///
///     fn remove(&self, _: &<T::Key as Key>::Borrowed) -> bool {
///         false
///     }
///
///     fn clear(&self) {}
///
///     fn entries(&self) -> u64 {
///         0
///     }
/// }
/// # use store_derive::Schema;
/// # #[derive(Schema)]
/// # struct City {
/// #     #[schema(primary_key)]
/// #     id: i64,
/// #     name: String,
/// #     population: i64,
/// # }
///
/// let shelf: &dyn Shelf<City> = &Cold;
/// assert!(shelf.get(&7).is_none());
/// ```
pub trait Shelf<T: Schema>: Debug + Send + Sync {
    /// The live entry of a key, counted as a use. An expired one is a miss, and leaves: an entry is live until its deadline and expired from
    /// the deadline on.
    fn get(&self, key: &<T::Key as Key>::Borrowed) -> Option<Record<T>>;

    /// Shows the live entry of a key to `visit`, counted as a use, without touching a reference count. Returns whether there was one; as in
    /// [`get`](Self::get), an expired one leaves.
    ///
    /// `visit` must not call the shelf. If it panics, the panic reaches the caller, and the shelf stays usable.
    fn peek_with(&self, key: &<T::Key as Key>::Borrowed, visit: &mut dyn FnMut(&Record<T>)) -> bool;

    /// The version of the live entry of a key, not counted as a use.
    fn version(&self, key: &<T::Key as Key>::Borrowed) -> Option<Version>;

    /// Puts an entry in place of the key's present one, and evicts others if the shelf is over its limits.
    ///
    /// `deadline` is on the clock's monotonic scale; `None` lives until evicted. Expired entries are evicted before live ones, and the new
    /// entry is never a victim of its own. It is not kept if it is heavier than the whole shelf, if its deadline has passed, or if the weigher
    /// panics; the key's present one leaves all the same.
    ///
    /// An install is a use of the key. For [`Lfu`](Eviction::Lfu) it adds to the uses of the entry that it replaces; for
    /// [`Fifo`](Eviction::Fifo) the replacement is the newest.
    fn install(&self, key: T::Key, record: Record<T>, deadline: Option<Duration>);

    /// Takes the entry of a key out, without an eviction notice. Returns whether there was a live one.
    fn remove(&self, key: &<T::Key as Key>::Borrowed) -> bool;

    /// Takes all entries out, without eviction notices.
    fn clear(&self);

    /// The number of entries, expired ones that no sweep has met included.
    fn entries(&self) -> u64;
}

/// The absence of a memory tier, as the builder's type parameter.
///
/// ```
/// use store_core::{NoNear, Store, StoreBuilder};
///
/// let without_memory: StoreBuilder<NoNear> = Store::builder();
/// # let _ = without_memory;
/// ```
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

    async fn diagnose(&self) -> Vec<Finding> {
        Vec::new()
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

impl<N: NearTier> NearTier for Arc<N> {
    fn shelf<T: Schema>(&self, name: &'static str, options: ShelfOptions<T>) -> Arc<dyn Shelf<T>> {
        (**self).shelf(name, options)
    }
}

impl NearTier for NoNear {
    fn shelf<T: Schema>(&self, _: &'static str, _: ShelfOptions<T>) -> Arc<dyn Shelf<T>> {
        match *self {
            NoNear::Never(never) => match never {},
        }
    }
}

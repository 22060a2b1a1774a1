//! The tier: it makes shelves and keeps them swept.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use store_core::facet::{Near, Shelf, ShelfOptions};
use store_core::{Facets, Finding, NearTier, Result, Role, Schema, Tier};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::limited::LimitedShelf;
use crate::sweep::{ErasedShelf, Shelves, sweep_regularly};
use crate::unlimited::UnlimitedShelf;

/// The memory of this process as a tier.
///
/// Expired entries leave when a read meets them, when room is needed, and in a sweep every 30 seconds. Where a shelf is made within a tokio
/// runtime, whose timer must be enabled, a task of that runtime sweeps; without one the shelf's own installs do, a short step each.
///
/// ```
/// use std::sync::Arc;
///
/// use store_core::facet::ShelfOptions;
/// use store_core::{Eviction, NearTier, Record, SystemClock, Version};
/// # use store_testkit::models::Player;
/// use tier_mem::MemTier;
///
/// let options = ShelfOptions::<Player> {
///     max_entries: Some(50_000),
///     max_weight: None,
///     weigher: None,
///     eviction: Eviction::Lfu,
///     on_evict: None,
///     clock: Arc::new(SystemClock),
/// };
/// let shelf = MemTier::new().shelf("player", options);
///
/// let player = Player { id: "p1".into(), level: 7 };
/// shelf.install(player.id.clone(), Record::new(Arc::new(player), Version::new(1)), None);
/// assert_eq!(shelf.get("p1").map(|player| player.level), Some(7));
/// ```
#[derive(Debug, Default)]
pub struct MemTier {
    shelves: Arc<Shelves>,
    sweeper: Mutex<Sweeper>,
}

impl MemTier {
    /// A tier without shelves.
    pub fn new() -> Self {
        Self::default()
    }

    fn sweeper(&self) -> std::sync::MutexGuard<'_, Sweeper> {
        self.sweeper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ensure_sweeping(&self) {
        let mut sweeper = self.sweeper();
        // A runtime that was shut down took its task with it.
        let idle = match &*sweeper {
            Sweeper::Idle => true,
            Sweeper::Running(task) => task.is_finished(),
            Sweeper::Closed => false,
        };
        if idle && let Ok(runtime) = Handle::try_current() {
            *sweeper = Sweeper::Running(runtime.spawn(sweep_regularly(Arc::downgrade(&self.shelves))));
        }
    }
}

#[async_trait]
impl Tier for MemTier {
    fn name(&self) -> &str {
        "memory"
    }

    fn role(&self) -> Role {
        Role::Near
    }

    fn facets(self: Arc<Self>) -> Facets {
        Facets { near: Some(self), ..Facets::default() }
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }

    async fn diagnose(&self) -> Vec<Finding> {
        Vec::new()
    }

    async fn close(&self) -> Result<()> {
        *self.sweeper() = Sweeper::Closed;
        Ok(())
    }
}

impl Near for MemTier {
    fn entries(&self) -> u64 {
        self.shelves.in_use().iter().map(|shelf| shelf.entries()).sum()
    }

    fn clear(&self) {
        self.shelves.in_use().iter().for_each(|shelf| shelf.clear());
    }

    fn sweep(&self) -> u64 {
        self.shelves.sweep()
    }
}

impl NearTier for MemTier {
    fn shelf<T: Schema>(&self, name: &'static str, options: ShelfOptions<T>) -> Arc<dyn Shelf<T>> {
        self.ensure_sweeping();
        if options.max_entries.is_none() && options.max_weight.is_none() {
            self.add(UnlimitedShelf::new(name, options))
        } else {
            self.add(LimitedShelf::new(name, options))
        }
    }
}

impl MemTier {
    fn add<T: Schema, S: Shelf<T> + ErasedShelf + 'static>(&self, shelf: S) -> Arc<dyn Shelf<T>> {
        let shelf = Arc::new(shelf);
        let erased: Arc<dyn ErasedShelf> = Arc::clone(&shelf) as _;
        self.shelves.add(Arc::downgrade(&erased));
        shelf
    }
}

/// The background task; dropping it ends the task.
#[derive(Debug, Default)]
enum Sweeper {
    #[default]
    Idle,
    Running(JoinHandle<()>),
    Closed,
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        if let Sweeper::Running(task) = self {
            task.abort();
        }
    }
}

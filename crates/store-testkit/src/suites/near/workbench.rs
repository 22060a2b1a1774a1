//! What the cases have in common: a tier with a clock to turn, and its shelves' notices to look at.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use store_core::facet::{Near, Shelf, ShelfOptions};
use store_core::{Clock, Eviction, EvictionCause, NearTier, Record, Version};

use crate::ManualClock;
use crate::models::Player;

/// An eviction notice: key, version and cause.
pub(super) type Noticed = (String, u64, EvictionCause);

#[derive(Debug, Clone, Default)]
pub(super) struct Notices(Arc<Mutex<Vec<Noticed>>>);

impl Notices {
    pub(super) fn push(&self, notice: Noticed) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(notice);
    }

    /// The notices since the last call, in their order.
    pub(super) fn take(&self) -> Vec<Noticed> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

pub(super) struct Workbench<N> {
    pub(super) tier: Arc<N>,
    pub(super) clock: ManualClock,
    pub(super) notices: Notices,
}

impl<N: NearTier> Workbench<N> {
    pub(super) fn new(make: impl Fn() -> N) -> Self {
        Workbench { tier: Arc::new(make()), clock: ManualClock::new(), notices: Notices::default() }
    }

    /// Options of a shelf without limits whose notices are recorded. The models' `level` is the version they are installed with.
    pub(super) fn options(&self) -> ShelfOptions<Player> {
        let notices = self.notices.clone();
        ShelfOptions {
            max_entries: None,
            max_weight: None,
            weigher: None,
            eviction: Eviction::Lru,
            on_evict: Some(Arc::new(move |key, player: &Arc<Player>, cause| {
                notices.push((key.clone(), player.level.unsigned_abs(), cause));
            })),
            clock: Arc::new(self.clock.clone()),
        }
    }

    pub(super) fn shelf(&self, change: impl FnOnce(&mut ShelfOptions<Player>)) -> Bench {
        let mut options = self.options();
        change(&mut options);
        Bench(self.tier.shelf("player", options))
    }

    pub(super) fn near(&self) -> Arc<dyn Near> {
        Arc::clone(&self.tier).facets().near.expect("a near tier has the near facet")
    }

    /// The deadline of an entry that lives so many seconds from now.
    pub(super) fn after(&self, seconds: u64) -> Option<Duration> {
        Some(self.clock.monotonic() + Duration::from_secs(seconds))
    }

    pub(super) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

/// Runs a case on a shelf of every kind that a tier may build in a way of its own, none of them so small that a few entries meet a limit.
pub(super) fn on_every_shelf<N: NearTier>(make: impl Fn() -> N, case: impl Fn(&Workbench<N>, &Bench)) {
    for limited in [false, true] {
        for eviction in [Eviction::Lru, Eviction::Lfu, Eviction::Fifo] {
            let workbench = Workbench::new(&make);
            let shelf = workbench.shelf(|options| {
                options.eviction = eviction;
                options.max_entries = limited.then_some(100);
            });
            println!("on a shelf with {eviction:?}, {}", if limited { "limited" } else { "unlimited" });
            case(&workbench, &shelf);
        }
    }
}

/// A shelf with the calls that the cases make.
#[derive(Clone)]
pub(super) struct Bench(pub(super) Arc<dyn Shelf<Player>>);

impl Bench {
    pub(super) fn install_until(&self, key: &str, version: u64, deadline: Option<Duration>) {
        self.0.install(key.to_owned(), record(key, version), deadline);
    }

    pub(super) fn install(&self, key: &str, version: u64) {
        self.install_until(key, version, None);
    }

    pub(super) fn install_all(&self, keys: &str) {
        for key in keys.split_whitespace() {
            self.install(key, 1);
        }
    }

    pub(super) fn version(&self, key: &str) -> Option<u64> {
        self.0.version(key).map(Version::get)
    }

    /// The version by `get`, which counts as a use.
    pub(super) fn get(&self, key: &str) -> Option<u64> {
        self.0.get(key).map(|record| record.version().get())
    }

    /// The version by `peek_with`, which counts as a use.
    pub(super) fn peek(&self, key: &str) -> Option<u64> {
        let mut seen = None;
        let found = self.0.peek_with(key, &mut |record| seen = Some(record.version().get()));
        assert_eq!(found, seen.is_some(), "peek_with must say whether it showed an entry");
        seen
    }

    /// Those of the keys that are there.
    pub(super) fn present<'a>(&self, keys: &'a str) -> Vec<&'a str> {
        keys.split_whitespace().filter(|key| self.version(key).is_some()).collect()
    }
}

pub(super) fn record(key: &str, version: u64) -> Record<Player> {
    let level = i64::try_from(version).expect("a test's versions are small");
    Record::new(Arc::new(Player { id: key.to_owned(), level }), Version::new(version))
}

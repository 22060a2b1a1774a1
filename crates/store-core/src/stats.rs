//! What the store has done, in numbers.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

const CELLS: usize = 16;

/// A counter that threads raise without meeting on one cache line.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    cells: [Cell; CELLS],
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Cell(AtomicU64);

thread_local! {
    static CELL: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed) % CELLS
    };
}

impl Counter {
    pub(crate) fn add(&self, amount: u64) {
        let cell = CELL.try_with(|cell| *cell).unwrap_or(0);
        self.cells[cell].0.fetch_add(amount, Ordering::Relaxed);
    }

    pub(crate) fn total(&self) -> u64 {
        self.cells.iter().map(|cell| cell.0.load(Ordering::Relaxed)).sum()
    }
}

/// The store's counters.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) l1_hits: Counter,
    pub(crate) l1_misses: Counter,
    pub(crate) l2_hits: Counter,
    pub(crate) l2_misses: Counter,
    pub(crate) l3_hits: Counter,
    pub(crate) l3_misses: Counter,
    pub(crate) direct_gets: Counter,
    pub(crate) sets: Counter,
    pub(crate) deletes: Counter,
    pub(crate) searches: Counter,
    pub(crate) fills_refused: Counter,
    pub(crate) errors: Counter,
    pub(crate) stale_answers: Counter,
    pub(crate) negative_hits: Counter,
    pub(crate) loads: Counter,
    pub(crate) hook_panics: Counter,
    pub(crate) query_hits: Counter,
    pub(crate) query_misses: Counter,
    pub(crate) queries_voided: Counter,
    pub(crate) queries_kept: Counter,
    pub(crate) upgrades: Counter,
    pub(crate) upgrades_written: Counter,
    /// Those that were kept and are no longer, for whatever reason.
    pub(crate) queries_left: Counter,
}

/// A moment's view of what the store has done since it was built. Records count one by one, also in batches.
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
/// # let store = Store::builder().tier(redis).schema::<Session>().build().await?;
/// let sessions = store.collection::<Session>()?;
/// sessions.set(Session { id: "s1".into(), user: 7 }).await?;
/// sessions.get_many(["s1", "s2"]).await?;
///
/// let stats = store.stats();
/// assert_eq!((stats.sets, stats.gets, stats.errors), (1, 2, 0));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Records asked for by `get`, `get_many` and `peek`.
    pub gets: u64,
    /// Records written.
    pub sets: u64,
    /// Keys deleted.
    pub deletes: u64,
    /// Searches, streams, pages, projections and counts.
    pub searches: u64,
    /// Failures of tiers and calls, those that another tier made good included.
    pub errors: u64,
    /// Answers from memory.
    pub l1_hits: u64,
    /// Keys that memory did not hold.
    pub l1_misses: u64,
    /// Answers from the shared tier.
    pub l2_hits: u64,
    /// Keys that the shared tier did not hold.
    pub l2_misses: u64,
    /// Answers from the tier of truth.
    pub l3_hits: u64,
    /// Keys that the tier of truth did not hold.
    pub l3_misses: u64,
    /// Installs into a cache that were refused because a write overtook the load.
    pub fills_refused: u64,
    /// Last known records that were answered because the tiers failed or took too long.
    pub stale_answers: u64,
    /// Keys that memory knew to be absent (`negative_ttl`). They count among the misses of memory too.
    pub negative_hits: u64,
    /// Records that loaders were asked for.
    pub loads: u64,
    /// Panics of hooks.
    pub hook_panics: u64,
    /// Cached searches that memory answered.
    pub query_hits: u64,
    /// Cached searches that the tier of truth was asked for, or a load of another caller; those whose answers are never kept are not among them.
    pub query_misses: u64,
    /// Answers of cached searches that were dropped because a write or an invalidation could have changed them.
    pub queries_voided: u64,
    /// Records of an older version of their model that were upgraded while they were read, and records that hold such a [document](crate::Document).
    pub upgrades: u64,
    /// Of these, those that were written back.
    pub upgrades_written: u64,
    /// Answers of cached searches in memory now.
    pub query_entries: u64,
    /// Entries in memory now.
    pub l1_entries: u64,
    /// Writes that the tier of truth has not confirmed yet, in write-behind; several of one key count once.
    pub dirty_entries: u64,
}

impl Counters {
    pub(crate) fn view(&self, l1_entries: u64) -> Stats {
        let l1_hits = self.l1_hits.total();
        let l1_misses = self.l1_misses.total();
        Stats {
            gets: l1_hits + l1_misses + self.direct_gets.total(),
            sets: self.sets.total(),
            deletes: self.deletes.total(),
            searches: self.searches.total(),
            errors: self.errors.total(),
            l1_hits,
            l1_misses,
            l2_hits: self.l2_hits.total(),
            l2_misses: self.l2_misses.total(),
            l3_hits: self.l3_hits.total(),
            l3_misses: self.l3_misses.total(),
            fills_refused: self.fills_refused.total(),
            stale_answers: self.stale_answers.total(),
            negative_hits: self.negative_hits.total(),
            loads: self.loads.total(),
            hook_panics: self.hook_panics.total(),
            query_hits: self.query_hits.total(),
            query_misses: self.query_misses.total(),
            queries_voided: self.queries_voided.total(),
            upgrades: self.upgrades.total(),
            upgrades_written: self.upgrades_written.total(),
            query_entries: self.queries_kept.total().saturating_sub(self.queries_left.total()),
            l1_entries,
            dirty_entries: 0,
        }
    }
}

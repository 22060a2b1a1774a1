//! How write-behind gathers, acknowledges and flushes.

use std::time::Duration;

/// What a write of write-behind has reached when its call answers.
///
/// ```
/// use store_core::Acknowledge;
///
/// assert!(Acknowledge::Memory < Acknowledge::Journal && Acknowledge::Journal < Acknowledge::Truth);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Acknowledge {
    /// This process's memory: a crash of the process loses what was not flushed. In a store with a journal the operating system has the write too, so that only
    /// a crash of the machine loses it.
    Memory,
    /// The journal, on the disk: a crash of the machine loses nothing, only the loss of the disk does.
    #[default]
    Journal,
    /// The tier of truth: the call answers what is stored, with its version. Calls that wait at the same time share a flush.
    Truth,
}

/// How write-behind works: see [`WriteMode::WriteBehind`](crate::WriteMode::WriteBehind).
///
/// ```
/// use std::time::Duration;
/// use store_core::{Acknowledge, WriteBehind};
///
/// let write_behind = WriteBehind { flush_interval: Duration::from_millis(50), ..WriteBehind::default() };
/// assert_eq!((write_behind.flush_threshold, write_behind.max_retries, write_behind.max_pending), (100, 5, 10_000));
/// assert_eq!(write_behind.acknowledge, Acknowledge::Journal);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteBehind {
    /// How long a write waits for others to share its flush. Default: 500 ms.
    pub flush_interval: Duration,
    /// How many pending writes are flushed without waiting for the interval's end. Where there are so many again behind a flush, the next one begins three times as long
    /// after it as it took, at the interval's end at the latest, and at once where half of `max_pending` is reached. Default: 100.
    pub flush_threshold: usize,
    /// How often a flush that failed is repeated before [`Hooks::on_write_error`](crate::Hooks::on_write_error) is told. It goes on being repeated all the same,
    /// with growing pauses of at most 10 seconds: while the truth is away nothing is given up. Default: 5.
    pub max_retries: u32,
    /// The most writes that may be pending; further ones wait for a flush. Several of one key count once. A call that still waits when its
    /// [`operation_timeout`](crate::Settings::operation_timeout) passes fails as [`Timeout`](crate::ErrorKind::Timeout), and has written nothing, as its error says; batches below the level
    /// [`Truth`](Acknowledge::Truth) wait without a limit. Default: 10,000.
    pub max_pending: usize,
    /// The most bytes that the journal takes on the disk, at least 4,096. A write that finds no room there is refused, and flushes make room. Default: 1 GiB.
    pub journal_bytes: u64,
    /// The last damaged entry of the journal that may be given up, though the truth has not applied it; `build()` names it where it meets one. What the truth has applied is
    /// never missed. To be set for one start alone. Default: 0, none.
    pub skip_damage_up_to: u64,
    /// What a write has reached when its call answers, in a schema that says nothing itself. Default: the journal.
    pub acknowledge: Acknowledge,
}

impl Default for WriteBehind {
    fn default() -> Self {
        WriteBehind {
            flush_interval: Duration::from_millis(500),
            flush_threshold: 100,
            max_retries: 5,
            max_pending: 10_000,
            journal_bytes: 1 << 30,
            skip_damage_up_to: 0,
            acknowledge: Acknowledge::default(),
        }
    }
}

//! Time, behind a trait so that tests can turn the hands.

use std::fmt::Debug;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

/// Where the store takes the time from.
pub trait Clock: Debug + Send + Sync + 'static {
    /// The time of day, for stamps and for deadlines that leave the process.
    fn now(&self) -> SystemTime;

    /// Time that never goes back, since any fixed moment, for life times within the process.
    fn monotonic(&self) -> Duration;
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn monotonic(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }
}

//! The store's settings beyond its tiers.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::codec::{Codec, PostcardCodec};
use crate::schema::{Eviction, WriteMode};

/// What every schema of a store inherits, and how long things may take. `Default` is what a new store uses.
///
/// ```
/// use std::time::Duration;
/// use store_core::Settings;
///
/// let settings = Settings { l1_ttl: Some(Duration::from_secs(60)), ..Settings::default() };
/// assert_eq!(settings.l2_ttl, Some(Duration::from_secs(30 * 60)));
/// ```
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long memory keeps an entry of a schema that says nothing itself; `None` until evicted. Default: 5 minutes.
    pub l1_ttl: Option<Duration>,
    /// The most entries that memory holds of a schema that says nothing itself; `None` for no limit. Default: no limit.
    pub l1_max_entries: Option<u64>,
    /// Which entry leaves memory first. Default: the least recently used.
    pub l1_eviction: Eviction,
    /// How long the shared tier keeps a record of a schema that says nothing itself; `None` until evicted. Default: 30 minutes.
    pub l2_ttl: Option<Duration>,
    /// How writes travel in a schema that says nothing itself. Default: write-through.
    pub write_mode: WriteMode,
    /// How long a reader that missed in the shared tier keeps the right to fill the slot. Longer than any read of the truth should take. Default: 10 seconds.
    pub fill_lease: Duration,
    /// The most time that one call on a single record may take. Default: 15 seconds.
    pub operation_timeout: Duration,
    /// Whether [`build`](crate::StoreBuilder::build) makes missing tables and indexes. Default: yes.
    pub create_tables: bool,
    /// The codec that records are written with. Records of every other codec that this build knows are read all the same. Default: postcard.
    pub codec: Arc<dyn Codec>,
    /// Where time comes from. Default: the machine's clocks.
    pub clock: Arc<dyn Clock>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            l1_ttl: Some(Duration::from_secs(5 * 60)),
            l1_max_entries: None,
            l1_eviction: Eviction::Lru,
            l2_ttl: Some(Duration::from_secs(30 * 60)),
            write_mode: WriteMode::WriteThrough,
            fill_lease: Duration::from_secs(10),
            operation_timeout: Duration::from_secs(15),
            create_tables: true,
            codec: Arc::new(PostcardCodec),
            clock: Arc::new(SystemClock),
        }
    }
}

impl Settings {
    /// What is wrong with them.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let durations = [
            ("l1_ttl", self.l1_ttl),
            ("l2_ttl", self.l2_ttl),
            ("fill_lease", Some(self.fill_lease)),
            ("operation_timeout", Some(self.operation_timeout)),
        ];
        for (name, duration) in durations {
            if let Some(problem) = duration.and_then(out_of_range) {
                problems.push(format!("the setting `{name}` {problem}; `None` means no end where the setting takes it"));
            }
        }
        if self.l1_max_entries == Some(0) {
            problems
                .push("the setting `l1_max_entries` is 0; give `None` for no limit, or build the store without a memory tier".to_owned());
        }
        problems
    }
}

const SHORTEST: Duration = Duration::from_millis(1);
/// A century: what is added to a moment stays within every clock.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 24 * 3_600);

/// What is wrong with a time, if something is.
pub(crate) fn out_of_range(duration: Duration) -> Option<&'static str> {
    if duration < SHORTEST {
        Some("is below a millisecond; give a longer time")
    } else if duration > LONGEST {
        Some("is above a century; give a shorter time")
    } else {
        None
    }
}

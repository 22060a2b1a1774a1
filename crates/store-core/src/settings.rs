//! The store's settings beyond its tiers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::behind::WriteBehind;
use crate::breaker::BreakerSettings;
use crate::clock::{Clock, SystemClock};
use crate::codec::{Codec, PostcardCodec};
use crate::migration::MigrationSettings;
use crate::schema::{Eviction, WriteMode};
use crate::upgrade::UpgradePolicy;

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
    /// The most answers of [`search_cached`](crate::Collection::search_cached) that memory keeps of one schema. The least recently used one leaves first. Default: 1,000.
    pub query_max_entries: u64,
    /// The most records, or rows of chosen columns, in all of these answers of one schema. An answer with more is not kept. Default: 100,000.
    pub query_max_rows: u64,
    /// How long memory and the shared tier remember that the truth holds no record of a key, for a schema that says nothing itself; `None` for not at all. A
    /// write of the record ends it at once; one that the log does not tell of is not seen before its end. Default: not at all.
    pub negative_ttl: Option<Duration>,
    /// How writes travel in a schema that says nothing itself. Default: write-through.
    pub write_mode: WriteMode,
    /// What becomes of what an older version of a model or document wrote, once it is upgraded, in a schema that says nothing itself. Default: it is
    /// upgraded at each read, and stays as it is where it is stored.
    pub upgrade_policy: UpgradePolicy,
    /// How write-behind gathers, acknowledges and flushes.
    pub write_behind: WriteBehind,
    /// The directory of the journal that write-behind keeps its writes in until the truth has them; it is made if it is missing, and belongs to one store at a time.
    /// Default: none, for which write-behind may acknowledge nothing by the journal.
    pub journal: Option<PathBuf>,
    /// How long a reader that missed in the shared tier keeps the right to fill the slot. Longer than any read of the truth should take. Default: 10 seconds.
    pub fill_lease: Duration,
    /// How stale memory may be: a read whose [`Freshness`](crate::Freshness) says nothing else reflects every commit made longer ago than this, whichever
    /// instance made it. The log of commits is read four times in this time, at least once a second and at most every 10 ms. Default: 1 second.
    pub freshness: Duration,
    /// Whether a read whose tiers fail, or that takes longer than the soft time limit, is answered by the last known record, and for how long after the record's
    /// end or the loss of touch with the log. What was deleted or invalidated is never answered. Default: never.
    pub stale_on_error: Option<Duration>,
    /// After this long, a read for which the last known record may be answered (`stale_on_error`) is, while the load goes on. Default: no such limit.
    pub soft_timeout: Option<Duration>,
    /// How long before its end a record in memory that is read is loaded anew in the background, as a part of its life time, from 0 (never) to below 1. What fails is
    /// tried again after pauses that double from 100 ms to 30 seconds. It does nothing in a store without memory. Default: 0.
    pub refresh_ahead: f64,
    /// By how much life times differ at random, as a part of them, from 0 (not at all) to below 1, so that what was loaded together does not expire together:
    /// each is shortened by up to this part. Default: 0.1.
    pub jitter: f64,
    /// Which part of the answers of caches, from 0 to 1, is compared with the truth in the background, two freshness bounds later: 0.001 is one in a
    /// thousand. [`Store::verification`](crate::Store::verification) tells what was found, and each inconsistency is an event of the level error. Only for
    /// schemas with a tier of truth, and for reads by key: answers of cached searches are not looked at. Default: 0, none.
    pub verify: f64,
    /// The most reads of the truth at one time that single-record reads and batches of this store make; others wait. Default: 256.
    pub truth_reads: usize,
    /// The most writes, deletes and invalidations of this store at one time, a batch counting as one; others wait, and one whose caller gives up or whose time
    /// is over by then never begins. Default: 256.
    pub truth_writes: usize,
    /// How long the log of commits is kept. An instance that was away longer drops its caches. At least ten minutes. Default: 15 minutes.
    pub log_retention: Duration,
    /// How long a reader waits for another process that is loading the same record, before it asks the truth as well: to be
    /// longer than the truth takes to answer. Default: 1 second.
    pub flight_wait: Duration,
    /// The most time that one run of a loader (`get_or_load`) may take. Its callers have their own time limits; this one ends the load itself, and other
    /// processes may fill the slot this long and the fill lease after it began. Default: 30 seconds.
    pub load_timeout: Duration,
    /// The most time that one call on a single record may take, and one batch or chunk that waits for its [flush](crate::Acknowledge::Truth). Default: 15 seconds.
    pub operation_timeout: Duration,
    /// The most time that a transaction takes whose options say nothing else, from its beginning until its commit. Default: 30 seconds.
    pub transaction_timeout: Duration,
    /// When a tier that fails is left alone, and for how long.
    pub breaker: BreakerSettings,
    /// How often a call that a tier refused or lost is made again, 5 to 25 ms later, where repeating it is safe: reads, and telling the shared tier of
    /// writes. Calls that ran into a time limit are not. At most 10. Default: 1.
    pub retries: u32,
    /// How often [`update`](crate::Collection::update) begins again because another write came between. At most 1,000. Default: 10.
    pub update_retries: u32,
    /// Whether [`build`](crate::StoreBuilder::build) migrates the database as [`Store::migrate`](crate::Store::migrate) does: it makes tables, columns and
    /// indexes that are missing, and checks those that are there. If not, it refuses to go on without a table, a column or a unique index of the models, warns
    /// of other indexes that are missing, and makes no database file. Default: yes.
    pub create_tables: bool,
    /// How long migrations wait for others, and from when on a table counts as large.
    pub migration: MigrationSettings,
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
            query_max_entries: 1_000,
            query_max_rows: 100_000,
            negative_ttl: None,
            write_mode: WriteMode::WriteThrough,
            upgrade_policy: UpgradePolicy::OnRead,
            write_behind: WriteBehind::default(),
            journal: None,
            fill_lease: Duration::from_secs(10),
            freshness: Duration::from_secs(1),
            stale_on_error: None,
            soft_timeout: None,
            refresh_ahead: 0.0,
            jitter: 0.1,
            verify: 0.0,
            truth_reads: 256,
            truth_writes: 256,
            log_retention: Duration::from_secs(15 * 60),
            flight_wait: Duration::from_secs(1),
            load_timeout: Duration::from_secs(30),
            operation_timeout: Duration::from_secs(15),
            transaction_timeout: Duration::from_secs(30),
            breaker: BreakerSettings::default(),
            retries: 1,
            update_retries: 10,
            create_tables: true,
            migration: MigrationSettings::default(),
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
            ("negative_ttl", self.negative_ttl),
            ("fill_lease", Some(self.fill_lease)),
            ("freshness", Some(self.freshness)),
            ("log_retention", Some(self.log_retention)),
            ("stale_on_error", self.stale_on_error),
            ("soft_timeout", self.soft_timeout),
            ("flight_wait", Some(self.flight_wait)),
            ("load_timeout", Some(self.load_timeout)),
            ("operation_timeout", Some(self.operation_timeout)),
            ("transaction_timeout", Some(self.transaction_timeout)),
            ("write_behind.flush_interval", Some(self.write_behind.flush_interval)),
            ("migration.migrator_wait", Some(self.migration.migrator_wait)),
            ("migration.lock_timeout", Some(self.migration.lock_timeout)),
            ("migration.patience", Some(self.migration.patience)),
            ("breaker.cool_down", Some(self.breaker.cool_down)),
            ("breaker.longest_cool_down", Some(self.breaker.longest_cool_down)),
        ];
        for (name, duration) in durations {
            if let Some(problem) = duration.and_then(out_of_range) {
                problems.push(format!("the setting `{name}` {problem}{}", instead(name)));
            }
        }
        for (name, part) in [("refresh_ahead", self.refresh_ahead), ("jitter", self.jitter)] {
            if !(0.0..1.0).contains(&part) {
                problems.push(format!("the setting `{name}` is {part}; give a part of the life time, from 0 to below 1"));
            }
        }
        if !(0.0..=1.0).contains(&self.verify) {
            problems
                .push(format!("the setting `verify` is {}; give the part of answers to compare with the truth, from 0 to 1", self.verify));
        }
        if self.truth_reads == 0 {
            problems.push(
                "the setting `truth_reads` is 0, so that nothing could be read; give the most reads of the truth at one time".to_owned(),
            );
        }
        if self.truth_writes == 0 {
            problems.push("the setting `truth_writes` is 0, so that nothing could be written; give the most writes at one time".to_owned());
        }
        let WriteBehind { flush_threshold, max_retries, max_pending, journal_bytes, .. } = self.write_behind;
        if flush_threshold == 0 || max_pending == 0 {
            problems
                .push("the settings `write_behind.flush_threshold` and `write_behind.max_pending` are at least 1; raise them".to_owned());
        }
        if journal_bytes < LEAST_JOURNAL {
            problems.push(format!("the setting `write_behind.journal_bytes` is below {LEAST_JOURNAL}; give the journal more room"));
        }
        if max_retries > MOST_RETRIES {
            problems.push(format!(
                "the setting `write_behind.max_retries` is above {MOST_RETRIES}; give fewer, what is pending is kept all the same"
            ));
        }
        if self.soft_timeout.is_some() && self.stale_on_error.is_none() {
            problems.push(
                "the setting `soft_timeout` has no effect without `stale_on_error`, which says what may be answered instead; set both"
                    .to_owned(),
            );
        }
        if self.log_retention < LEAST_LOG_RETENTION {
            problems.push(
                "the setting `log_retention` is below ten minutes; a follower that is away for a moment would lose its caches".to_owned(),
            );
        }
        if self.breaker.failures == 0 {
            problems
                .push("the setting `breaker.failures` is 0; give at least 1, or turn the breakers off with `breaker.enabled`".to_owned());
        }
        if self.breaker.longest_cool_down < self.breaker.cool_down {
            problems.push("the setting `breaker.longest_cool_down` is below `breaker.cool_down`; give a longer time".to_owned());
        }
        if self.retries > MOST_RETRIES {
            problems.push(format!("the setting `retries` is above {MOST_RETRIES}; give fewer, the breakers wait for a tier that is away"));
        }
        if self.update_retries > MOST_UPDATE_RETRIES {
            problems.push(format!(
                "the setting `update_retries` is above {MOST_UPDATE_RETRIES}; give fewer, or have fewer writers of one record"
            ));
        }
        for (name, most) in [("query_max_entries", self.query_max_entries), ("query_max_rows", self.query_max_rows)] {
            if most == 0 {
                problems.push(format!("the setting `{name}` is 0, so that no answer could be kept; give a limit, or use `search`"));
            }
        }
        if self.l1_max_entries == Some(0) {
            problems
                .push("the setting `l1_max_entries` is 0; give `None` for no limit, or build the store without a memory tier".to_owned());
        }
        problems
    }
}

/// What else may be meant by a time that is out of range, where there is something.
fn instead(name: &str) -> &'static str {
    match name {
        "l1_ttl" | "l2_ttl" => ", or `None` for no end",
        "negative_ttl" => ", or `None` to remember no absence",
        "stale_on_error" => ", or `None` to answer nothing stale",
        "soft_timeout" => ", or `None` for no such limit",
        "freshness" => "; what must show every commit is read with `Freshness::Strong`",
        _ => "",
    }
}

const LEAST_LOG_RETENTION: Duration = Duration::from_secs(10 * 60);
const LEAST_JOURNAL: u64 = 4_096;
const MOST_RETRIES: u32 = 10;
const MOST_UPDATE_RETRIES: u32 = 1_000;
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

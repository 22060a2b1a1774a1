//! When an instance believes the shared tier.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

use super::floors::Floors;
use crate::facet::{Log, LogCursor, Mark};
use crate::protection::Protection;
use crate::sync::{Mutex, MutexGuard, PoisonError};
use crate::version::Version;

/// Above this many floors a schema reads past the shared tier until the relayer has caught up.
const MOST_FLOORS: usize = 100_000;

/// What an instance must know to believe the shared tier's slots of one schema: what it has heard, and how far the relayer has come.
#[derive(Debug)]
pub(crate) struct Trust {
    log: Arc<dyn Log>,
    belief: Mutex<Belief>,
    /// Told when a generation is met that waits for the log to be read.
    met: Arc<Notify>,
    /// The generation that it was told of last.
    told: AtomicU64,
}

/// What a tag's floor stands under among those of keys: no key's text form holds a control character.
fn floor_of_tag(tag: &str) -> String {
    format!("\0{tag}")
}

/// The state of [`Trust`], and its transitions. `covers` says whether the first place in the log has passed the second.
#[derive(Debug, Clone)]
#[cfg_attr(test, derive(Hash))]
pub(super) struct Belief {
    floors: Floors,
    /// The mark that was judged last, and whether it was trusted.
    judged: Option<(Arc<Mark>, bool)>,
    /// The generation of whose marks one is known to stand on the log that is followed. That of a truth which was put back to an older copy may seem to: the
    /// places of two histories look alike.
    confirmed: Option<u64>,
    /// A mark of another generation, that was met since the log was last asked.
    unconfirmed: Option<Arc<Mark>>,
}

impl Belief {
    /// Trusts nothing until [`start`](Self::start).
    pub(super) fn new(most_floors: usize) -> Self {
        let mut floors = Floors::new(most_floors);
        floors.distrust_all();
        Belief { floors, judged: None, confirmed: None, unconfirmed: None }
    }

    pub(super) fn start(&mut self, place: LogCursor) {
        self.floors.start(place);
        (self.judged, self.confirmed, self.unconfirmed) = (None, None, None);
    }

    pub(super) fn begin_poll(&mut self) {
        self.floors.begin_poll();
    }

    pub(super) fn end_poll<'a>(&mut self, brought: impl IntoIterator<Item = (Option<&'a str>, Version)>, end: LogCursor) {
        self.floors.end_poll(brought, end);
    }

    pub(super) fn hear(&mut self, key: Option<&str>, version: Version) {
        self.floors.hear(key, version);
    }

    pub(super) fn judge(&mut self, mark: Option<&Arc<Mark>>, covers: impl Fn(&LogCursor, &LogCursor) -> bool) -> Option<u64> {
        let Some(mark) = mark else { return Protection::Mark.is_off().then_some(0) };
        let known = self.judged.as_ref().filter(|(judged, _)| Arc::ptr_eq(judged, mark) || judged == mark).map(|(_, trusted)| *trusted);
        let is_trusted = known.unwrap_or_else(|| {
            let is_of_this_log = self.confirmed == Some(mark.generation) || Protection::Mark.is_off();
            if !is_of_this_log {
                self.unconfirmed = Some(Arc::clone(mark));
            }
            let trusted = is_of_this_log && self.floors.trusts(|place| covers(&mark.position, place)) || Protection::Mark.is_off();
            self.judged = is_of_this_log.then(|| (Arc::clone(mark), trusted));
            trusted
        });
        if is_trusted {
            self.floors.pass(|place| covers(&mark.position, place));
        }
        is_trusted.then_some(mark.generation)
    }

    /// The generation that waits for the log to be read.
    fn unconfirmed(&self) -> Option<u64> {
        self.unconfirmed.as_ref().map(|mark| mark.generation)
    }

    /// The mark of a generation that the log is to be asked for.
    pub(super) fn take_unconfirmed(&mut self) -> Option<Arc<Mark>> {
        self.unconfirmed.take()
    }

    /// The log could be read from a mark of the generation on.
    pub(super) fn confirm(&mut self, generation: u64) {
        self.confirmed = Some(generation);
    }

    pub(super) fn generation(&self) -> Option<u64> {
        self.judged.as_ref().filter(|(_, trusted)| *trusted).map(|(mark, _)| mark.generation)
    }

    pub(super) fn admits(&self, key: &str, version: Version) -> bool {
        self.floors.admits(key, version)
    }

    pub(super) fn hear_tag(&mut self, tag: &str) {
        self.floors.doubt(&floor_of_tag(tag));
    }

    pub(super) fn admits_tag(&self, tag: &str) -> bool {
        // Below the floors of tags, and above those of the whole schema that a version has.
        self.admits(&floor_of_tag(tag), Version::new(u64::MAX - 1))
    }

    /// The generations that were met last, trusted or not.
    #[cfg(test)]
    pub(super) fn known_generations(&self) -> impl Iterator<Item = u64> {
        let judged = self.judged.as_ref().map(|(mark, _)| mark);
        judged.into_iter().chain(&self.unconfirmed).map(|mark| mark.generation).chain(self.confirmed)
    }

    /// Whether a floor has not been covered by a poll yet.
    #[cfg(test)]
    pub(super) fn awaits_poll(&self) -> bool {
        self.floors.awaits_poll()
    }
}

impl Trust {
    /// Trusts nothing until [`start`](Self::start). `met` is told of each generation that is not believed before the log is read.
    pub(crate) fn new(log: Arc<dyn Log>, met: Arc<Notify>) -> Self {
        Trust { log, belief: Mutex::new(Belief::new(MOST_FLOORS)), met, told: AtomicU64::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, Belief> {
        self.belief.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts to follow the log from a place; what the shared tier says counts once the mark has reached it.
    pub(crate) fn start(&self, place: LogCursor) {
        self.lock().start(place);
    }

    /// To be called before a poll of the log is sent.
    pub(crate) fn begin_poll(&self) {
        self.lock().begin_poll();
    }

    /// Hears what a poll brought.
    pub(crate) fn end_poll<'a>(&self, brought: impl IntoIterator<Item = (Option<&'a str>, Version)>, end: LogCursor) {
        self.lock().end_poll(brought, end);
    }

    /// Hears of a commit from elsewhere than the log.
    pub(crate) fn hear(&self, key: Option<&str>, version: Version) {
        self.lock().hear(key, version);
    }

    /// Hears that a key may have been written, by a write whose outcome is not known.
    pub(crate) fn doubt(&self, key: &str) {
        self.lock().floors.doubt(key);
    }

    /// Hears that any key may have been written.
    pub(crate) fn doubt_all(&self) {
        self.lock().floors.distrust_all();
    }

    /// Hears that a tag was invalidated: records with it are not read from the shared tier until the mark has passed that place in the log.
    ///
    /// Versions say nothing here, as two invalidations of one tag may commit in any order. So the floor is the highest, and stays until a poll that begins
    /// after this has ended.
    pub(crate) fn hear_tag(&self, tag: &str) {
        self.lock().hear_tag(tag);
    }

    /// Whether no invalidation of the tag was heard of that the shared tier may not have been told of.
    pub(crate) fn admits_tag(&self, tag: &str) -> bool {
        self.lock().admits_tag(tag)
    }

    /// Hears of a record, by its own version.
    pub(crate) fn hear_record(&self, key: &str, version: Version) {
        self.lock().floors.hear_record(key, version);
    }

    /// Whether a loaded or written record is no older than one that was seen.
    pub(crate) fn admits_install(&self, key: &str, version: Version) -> bool {
        self.lock().floors.admits_install(key, version)
    }

    /// Whether the shard that holds this mark can be read; of which generation its records must be. Floors that the mark has passed are dropped.
    pub(crate) fn judge(&self, mark: Option<&Arc<Mark>>) -> Option<u64> {
        let mut belief = self.lock();
        let generation = belief.judge(mark, |place, earlier| self.log.covers(place, earlier));
        // Once for each: that of another history is met again and again until the relayer has begun a new one.
        if let Some(unconfirmed) = belief.unconfirmed()
            && self.told.swap(unconfirmed, Ordering::Relaxed) != unconfirmed
        {
            self.met.notify_one();
        }
        generation
    }

    /// A mark that is not believed because its generation was not met before: it is, once the log was read from there on.
    pub(crate) fn take_unconfirmed(&self) -> Option<Arc<Mark>> {
        self.lock().take_unconfirmed()
    }

    /// The log could be read from this mark on: its generation is believed from here on.
    pub(crate) fn confirm(&self, mark: &Arc<Mark>) {
        self.lock().confirm(mark.generation);
        self.judge(Some(mark));
    }

    /// Drops the floors of completed polls, where there is no shared tier that may not have been told.
    pub(crate) fn pass_all(&self) {
        self.lock().floors.pass(|_| true);
    }

    /// The generation of the mark that was judged last.
    pub(crate) fn generation(&self) -> Option<u64> {
        self.lock().generation()
    }

    /// Whether a record of a slot is no older than what was heard of its key.
    pub(crate) fn admits(&self, key: &str, version: Version) -> bool {
        self.lock().admits(key, version)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;

    use super::*;
    use crate::error::Result;
    use crate::facet::{LogBatch, LogEntry};

    /// A log of which only places are compared.
    #[derive(Debug)]
    struct Places;

    #[async_trait::async_trait]
    impl Log for Places {
        async fn end(&self) -> Result<LogCursor> {
            unreachable!("nobody asks")
        }

        async fn read(&self, _: &LogCursor) -> Result<LogBatch> {
            unreachable!("nobody reads")
        }

        fn covers(&self, place: &LogCursor, earlier: &LogCursor) -> bool {
            place.as_str() >= earlier.as_str()
        }

        async fn append(&self, _: &[LogEntry]) -> Result<Vec<Version>> {
            unreachable!("nobody appends")
        }

        async fn prune(&self, _: Duration) -> Result<u64> {
            unreachable!("nobody prunes")
        }

        async fn lead(&self, _: &[String]) -> Result<Vec<bool>> {
            unreachable!("nobody leads")
        }
    }

    #[test]
    fn each_generation_that_is_met_has_the_log_read_once() {
        let met = Arc::new(Notify::new());
        let trust = Trust::new(Arc::new(Places), Arc::clone(&met));
        trust.start(LogCursor::new("1"));
        let mark = |generation| Arc::new(Mark { generation, era: 1, position: LogCursor::new("2") });
        for generation in [7, 8] {
            assert_eq!(trust.judge(Some(&mark(generation))), None);
            assert!(met.notified().now_or_never().is_some(), "a new generation has the log read");
            assert_eq!(trust.judge(Some(&mark(generation))), None);
            assert!(met.notified().now_or_never().is_none(), "once is enough");
            trust.confirm(&trust.take_unconfirmed().unwrap());
            assert_eq!(trust.judge(Some(&mark(generation))), Some(generation));
            assert!(met.notified().now_or_never().is_none(), "what is believed needs no look at the log");
        }
    }
}

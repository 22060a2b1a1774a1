//! Following the log of commits.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Mutex as AsyncMutex;

use super::lease::FreshnessLease;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::facet::{Log, LogCursor, LogEntry};
use crate::pipeline::Follow;

/// After this long without a poll, reading what was missed would cost more than starting anew with empty caches.
const LONGEST_ABSENCE: Duration = Duration::from_secs(60);

/// An instance's place in the log, and the polls that move it.
#[derive(Debug)]
pub(crate) struct Follower {
    log: Arc<dyn Log>,
    clock: Arc<dyn Clock>,
    pub(super) lease: FreshnessLease,
    /// What is told; set once, when the store is built. Whoever uses a schema keeps it, and this with it.
    followed: OnceLock<Vec<Weak<dyn Follow>>>,
    /// How many polls have begun.
    begun: AtomicU64,
    /// The number of the last one that was applied.
    completed: AtomicU64,
    /// Held while a poll is under way.
    polling: AsyncMutex<Attempt>,
    place: Mutex<Option<LogCursor>>,
    /// How often this instance was told something.
    news: AtomicU64,
    /// How often before the poll was sent that moved the place there.
    news_before_place: AtomicU64,
}

/// A poll as it was sent.
#[derive(Debug, Clone, Copy)]
struct Sent {
    number: u64,
    at: Duration,
    /// How often this instance had been told something.
    news: u64,
}

/// The last poll that ended.
#[derive(Debug, Default)]
struct Attempt {
    number: u64,
    failure: Option<Error>,
    succeeded: Option<Instant>,
}

impl Follower {
    pub(super) fn new(log: Arc<dyn Log>, clock: Arc<dyn Clock>) -> Self {
        Follower {
            log,
            clock,
            lease: FreshnessLease::default(),
            followed: OnceLock::new(),
            begun: AtomicU64::new(0),
            completed: AtomicU64::new(0),
            polling: AsyncMutex::default(),
            place: Mutex::default(),
            news: AtomicU64::new(0),
            news_before_place: AtomicU64::new(0),
        }
    }

    pub(super) fn follow(&self, followed: Vec<Weak<dyn Follow>>) {
        // A store is built once.
        let _ = self.followed.set(followed);
    }

    fn followed(&self) -> impl Iterator<Item = Arc<dyn Follow>> {
        self.followed.get().into_iter().flatten().filter_map(Weak::upgrade).filter(|schema| schema.follows_log())
    }

    /// The log.
    pub(crate) fn log(&self) -> &Arc<dyn Log> {
        &self.log
    }

    /// Up to where the log has been read.
    pub(crate) fn place(&self) -> Option<LogCursor> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// This instance was told something that may lie behind its place.
    pub(super) fn hear_news(&self) {
        self.news.fetch_add(1, Ordering::AcqRel);
    }

    /// The place, if all that this instance was told of lies before it.
    pub(super) fn place_of_told(&self) -> Option<LogCursor> {
        // The place is read last: it only moves on.
        let before_place = self.news_before_place.load(Ordering::Acquire);
        if before_place == self.news.load(Ordering::Acquire) { self.place() } else { None }
    }

    /// The number of the first poll that begins after this call, at the earliest.
    pub(super) fn next_poll(&self) -> u64 {
        self.begun.load(Ordering::Acquire) + 1
    }

    /// The number of the last poll that was applied.
    pub(super) fn completed(&self) -> u64 {
        self.completed.load(Ordering::Acquire)
    }

    /// Reads the log, unless somebody else does who began no earlier than this call. Dropping the call's future leaves the place as it was.
    pub(crate) async fn poll(&self) -> Result<()> {
        let asked = self.begun.load(Ordering::Acquire);
        let mut attempt = self.polling.lock().await;
        if attempt.number > asked {
            return attempt.failure.as_ref().map_or(Ok(()), |failure| Err(failure.duplicate()));
        }
        let number = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
        let started = Instant::now();
        let is_near = attempt.succeeded.is_some_and(|succeeded| started.duration_since(succeeded) <= LONGEST_ABSENCE);
        let outcome = self.read(number, self.place().filter(|_| is_near)).await;
        if outcome.is_ok() {
            self.confirm_marks().await;
        }
        let failure = outcome.as_ref().err().map(Error::duplicate);
        if failure.is_none() {
            self.completed.store(number, Ordering::Release);
        }
        let succeeded = if failure.is_none() { Some(started) } else { attempt.succeeded };
        *attempt = Attempt { number, failure, succeeded };
        outcome
    }

    async fn read(&self, number: u64, place: Option<LogCursor>) -> Result<()> {
        let sent = Sent { number, at: self.clock.monotonic(), news: self.news.load(Ordering::Acquire) };
        for schema in self.followed() {
            schema.begin_poll();
        }
        let Some(place) = place else { return self.start(self.log.end().await?, sent) };
        match self.log.read(&place).await {
            Ok(batch) if batch.gap => {
                tracing::warn!("the log of commits lost its thread (pruned, or another server took over); every cached copy is dropped");
                self.start(batch.cursor, sent)
            }
            Ok(batch) => {
                self.apply(&batch.entries, batch.cursor, sent);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::InvalidQuery => {
                tracing::warn!(%error, "the place in the log cannot be read any more; every cached copy is dropped");
                self.start(self.log.end().await?, sent)
            }
            Err(error) => Err(error),
        }
    }

    /// Sees whether new generations of marks stand on this log. Those of which it cannot be said now are met again.
    async fn confirm_marks(&self) {
        let mut asked: Vec<(LogCursor, bool)> = Vec::new();
        for schema in self.followed() {
            let Some(mark) = schema.take_unconfirmed() else { continue };
            let known = asked.iter().find(|(position, _)| *position == mark.position).map(|(_, is_of_this_log)| *is_of_this_log);
            let is_of_this_log = match known {
                Some(known) => known,
                None => self.log.read(&mark.position).await.is_ok_and(|batch| !batch.gap),
            };
            if is_of_this_log {
                schema.confirm(&mark);
            }
            asked.push((mark.position.clone(), is_of_this_log));
        }
    }

    fn start(&self, place: LogCursor, sent: Sent) -> Result<()> {
        for schema in self.followed() {
            schema.start(&place);
        }
        self.arrive(place, sent);
        Ok(())
    }

    fn apply(&self, entries: &[LogEntry], end: LogCursor, sent: Sent) {
        for schema in self.followed() {
            let name = schema.schema().name();
            let own: Vec<&LogEntry> = entries.iter().filter(|entry| entry.schema == name).collect();
            schema.end_poll(&own, &end);
        }
        self.arrive(end, sent);
    }

    /// Everything up to here has been applied, by the poll that was sent so.
    fn arrive(&self, place: LogCursor, sent: Sent) {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = Some(place);
        self.news_before_place.store(sent.news, Ordering::Release);
        self.lease.renew(sent.number, sent.at);
    }
}

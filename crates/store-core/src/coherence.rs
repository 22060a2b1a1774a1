//! Keeping an instance's caches no older than what it was told, and no staler than the bound.
//!
//! The log of commits is in the tier of truth. Each instance follows it itself ([`follower`]) and so renews its freshness lease ([`lease`]); messages only wake it
//! early ([`tasks`]). The shared tier is told by writers, and by the relayer of what writers left undone ([`relayer`]); what an instance has heard of and the
//! shared tier may not have been told yet is a floor under the key ([`floors`], [`trust`]).

mod announcer;
mod epochs;
mod floors;
mod follower;
#[cfg(all(test, shuttle))]
pub(crate) mod interleavings;
mod lease;
pub(crate) mod memory;
#[cfg(test)]
mod model;
mod own;
mod relayer;
mod tag_eras;
mod tasks;
mod trust;
mod verdict;

pub(crate) use epochs::Epochs;
pub(crate) use own::OwnCommits;
pub(crate) use tag_eras::{Era, KnownTagEras, TagVerdict};
pub(crate) use tasks::Tasks;
pub(crate) use trust::Trust;
pub(crate) use verdict::{Verdict, verdict};

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Weak};
use std::time::Duration;

use announcer::Announcer;
use follower::Follower;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::error::Result;
use crate::facet::{Log, LogCursor, LogKind, Wake};
use crate::pipeline::Follow;
use crate::version::Version;

/// What one store knows of the commits of all.
#[derive(Debug)]
pub(crate) struct Coherence {
    /// Tells this store's messages from those of others.
    origin: u64,
    clock: Arc<dyn Clock>,
    follower: Option<Follower>,
    announcer: Announcer,
    /// Told when a schema meets a generation of the shared tier that it does not believe before the log is read.
    generations_met: Arc<Notify>,
}

impl Coherence {
    pub(crate) fn new(log: Option<Arc<dyn Log>>, clock: Arc<dyn Clock>) -> Self {
        let follower = log.map(|log| Follower::new(log, Arc::clone(&clock)));
        let origin = RandomState::new().hash_one(std::process::id());
        Coherence { origin, clock, follower, announcer: Announcer::new(), generations_met: Arc::default() }
    }

    /// What to tell of generations that wait for the log to be read.
    pub(crate) fn generations_met(&self) -> Arc<Notify> {
        Arc::clone(&self.generations_met)
    }

    /// Sets what is told of commits; once, before [`Tasks::start`].
    pub(crate) fn follow(&self, followed: Vec<Weak<dyn Follow>>) {
        if let Some(follower) = &self.follower {
            follower.follow(followed);
        }
    }

    /// Whether memory reflects every commit made longer than `bound` ago.
    pub(crate) fn is_fresh(&self, bound: Duration) -> bool {
        let Some(follower) = &self.follower else { return true };
        follower.lease.end(bound).is_some_and(|end| self.clock.is_ahead(end))
    }

    /// How long ago memory certainly reflected every commit.
    pub(crate) fn age(&self) -> Option<Duration> {
        self.follower.as_ref().and_then(|follower| follower.lease.age(self.clock.monotonic()))
    }

    /// Reads the log, so that memory reflects every commit made before this call.
    pub(crate) async fn poll(&self) -> Result<()> {
        match &self.follower {
            Some(follower) => follower.poll().await,
            None => Ok(()),
        }
    }

    /// Hears that there may be commits which memory and the shared tier do not reflect: neither answers until the log has been read.
    pub(crate) fn fall_behind(&self) {
        if let Some(follower) = &self.follower {
            follower.hear_news();
            follower.lease.void(follower.next_poll());
        }
    }

    /// The number of the first poll that begins after this call, at the earliest.
    pub(crate) fn next_poll(&self) -> u64 {
        self.follower.as_ref().map_or(0, Follower::next_poll)
    }

    /// Whether the poll with this number, or a later one, has been applied.
    pub(crate) fn has_polled(&self, number: u64) -> bool {
        self.follower.as_ref().is_none_or(|follower| follower.completed() >= number)
    }

    /// The present end of the log.
    pub(crate) async fn end(&self) -> Result<Option<LogCursor>> {
        match &self.follower {
            Some(follower) => follower.log().end().await.map(Some),
            None => Ok(None),
        }
    }

    /// Hears that this instance was told something: by a write or a read of its own, or by another instance.
    pub(crate) fn hear_news(&self) {
        if let Some(follower) = &self.follower {
            follower.hear_news();
        }
    }

    /// The place up to which the log has been read, if all that this instance was told of lies before it.
    pub(crate) fn place_of_told(&self) -> Option<LogCursor> {
        self.follower.as_ref().and_then(Follower::place_of_told)
    }

    /// That of two places which the other lies before; `None` if neither does.
    pub(crate) fn later_of(&self, one: LogCursor, other: &LogCursor) -> Option<LogCursor> {
        let log = self.follower.as_ref()?.log();
        if log.covers(&one, other) { Some(one) } else { Some(other.clone()).filter(|other| log.covers(other, &one)) }
    }

    /// Whether this instance has read the log up to a place.
    pub(crate) fn has_reached(&self, place: &LogCursor) -> bool {
        let Some(follower) = &self.follower else { return false };
        follower.place().is_some_and(|own| follower.log().covers(&own, place))
    }

    /// Tells the other instances of commits. It neither waits nor fails: messages are hints.
    pub(crate) fn announce(
        &self,
        schema: &'static str,
        kind: LogKind,
        written: impl IntoIterator<Item = (Option<String>, Option<Version>)>,
    ) {
        self.hear_news();
        for (key, version) in written {
            self.announcer.add(Wake { schema: schema.to_owned(), key, kind, version, origin: Some(self.origin) });
        }
    }
}

//! Which caches a read may use, by how old its answer may be.

use std::sync::Arc;
use std::time::Duration;

use super::read::{Caches, Loaded};
use super::{Backing, Borrowed, Pipeline, View};
use crate::answer::Answer;
use crate::error::Result;
use crate::facet::{ReadPreference, Shelf};
use crate::freshness::Freshness;
use crate::record::Record;
use crate::schema::Schema;
use crate::tag::CallTags;
use crate::tier::Role;

impl<T: Schema> Pipeline<T> {
    /// Memory, if it is as fresh as a read wants without another look at the log.
    pub(crate) fn fresh_near(&self, freshness: &Freshness) -> Option<&Arc<dyn Shelf<T>>> {
        self.near.as_ref().filter(|_| self.shared.life.is_open() && self.is_fresh(freshness))
    }

    /// What memory holds of a key within its life time, if a read that gives these tags may use it.
    pub(crate) fn live_with(&self, near: &dyn Shelf<T>, key: &Borrowed<T>, tags: &CallTags) -> Option<Record<T>> {
        self.live(near, key).filter(|record| self.has_tags(record, tags))
    }

    /// What memory holds of a key within its life time.
    pub(crate) fn live(&self, near: &dyn Shelf<T>, key: &Borrowed<T>) -> Option<Record<T>> {
        let record = near.get(key).filter(|record| self.is_live(record))?;
        if !self.holds(&record) {
            self.drop_void(near, key);
            return None;
        }
        Some(record)
    }

    fn is_live(&self, record: &Record<T>) -> bool {
        record.expires().is_none_or(|end| self.shared.settings.clock.is_ahead(end)) && !self.is_invalidated(record)
    }

    /// Shows a live record of memory to `visit`, if memory is as fresh as the read wants.
    pub(crate) fn peek_with(&self, key: &Borrowed<T>, freshness: &Freshness, tags: &CallTags, visit: impl FnOnce(&T)) {
        if let Some(pending) = self.overlaid(key, freshness) {
            self.counters().l1_hits.add(1);
            if let Some(record) = pending {
                visit(record.model());
            }
            return;
        }
        let (mut visit, mut is_void) = (Some(visit), false);
        if let Some(near) = self.fresh_near(freshness) {
            near.peek_with(key, &mut |record| {
                is_void = !self.holds(record);
                if !is_void
                    && self.is_live(record)
                    && self.has_tags(record, tags)
                    && let Some(visit) = visit.take()
                {
                    visit(record.model());
                }
            });
            if is_void {
                self.drop_void(&**near, key);
            }
        }
        let counters = self.counters();
        if visit.is_none() { counters.l1_hits.add(1) } else { counters.l1_misses.add(1) }
    }

    /// The record in memory, if memory is as fresh as the read wants.
    pub(crate) fn peek(self: &Arc<Self>, key: &Borrowed<T>, freshness: &Freshness, tags: &CallTags) -> Option<Record<T>> {
        if let Some(pending) = self.overlaid(key, freshness) {
            self.counters().l1_hits.add(1);
            return pending;
        }
        let found = self.fresh_near(freshness).and_then(|near| self.live_with(&**near, key, tags));
        let counters = self.counters();
        match &found {
            Some(record) => {
                counters.l1_hits.add(1);
                self.sample(key, record.version());
                self.refresh_ahead(key, record);
            }
            None => counters.l1_misses.add(1),
        }
        found
    }

    /// Whether the caches are as fresh as a read wants, without another look at the log.
    pub(super) fn is_fresh(&self, freshness: &Freshness) -> bool {
        let usual = self.shared.settings.freshness;
        match (freshness, &self.backing) {
            (_, Backing::Memory(_)) | (Freshness::Any, _) => true,
            (Freshness::Strong, _) => false,
            (Freshness::Bounded(bound), Backing::Tables { .. }) => self.shared.coherence.is_fresh(*bound),
            // What memory holds of records lives no longer than the usual bound.
            (Freshness::Bounded(bound), Backing::Records(_)) => *bound >= usual,
            (Freshness::Session(token), Backing::Tables { .. }) => {
                token.pending().is_none_or(|place| self.shared.elsewhere.has_seen(place))
                    && self.shared.coherence.has_reached(token.place())
                    && self.shared.coherence.is_fresh(Duration::MAX)
            }
            (Freshness::Session(_), Backing::Records(_)) => false,
        }
    }

    /// Whether the caches are as fresh as a read wants, once the log has been read if need be.
    pub(super) async fn may_use_caches(&self, freshness: &Freshness) -> bool {
        if self.is_fresh(freshness) {
            return true;
        }
        if matches!(freshness, Freshness::Strong)
            || !matches!(self.backing, Backing::Tables { .. })
            || (self.near.is_none() && self.cache.is_none())
        {
            return false;
        }
        match self.shared.coherence.poll().await {
            // The poll began within this read, so it is fresh for any bound. A place that it has not reached is of another history.
            Ok(()) => matches!(freshness, Freshness::Bounded(_)) || self.is_fresh(freshness),
            Err(error) => {
                self.tolerate(Role::Truth, "the log of commits cannot be read, so the caches may be too old; asking the truth", &error);
                false
            }
        }
    }

    /// What a load may do with the caches, once the log has been read if need be.
    pub(super) async fn caches_for(&self, freshness: &Freshness) -> Caches {
        if self.may_use_caches(freshness).await { Caches::Use } else { Caches::Fill }
    }

    /// What a read asks for that says nothing else.
    pub(super) fn usual_freshness(&self) -> Freshness {
        Freshness::Bounded(self.shared.settings.freshness)
    }

    /// Which server may answer a query. Nothing but [`Freshness::Any`] lets a replica answer what is older than this instance was told.
    pub(super) async fn read_preference(&self, view: View, freshness: &Freshness) -> Result<ReadPreference> {
        if view == View::Truth || !self.tables()?.reads_from_replica() {
            return Ok(ReadPreference::Primary);
        }
        let coherence = &self.shared.coherence;
        let bound = match freshness {
            Freshness::Any => return Ok(ReadPreference::Replica),
            Freshness::Strong => return Ok(ReadPreference::Primary),
            // What was pending was flushed behind the token's place.
            Freshness::Session(token) if token.is_pending() => return Ok(ReadPreference::Primary),
            Freshness::Session(_) => Duration::MAX,
            Freshness::Bounded(bound) => *bound,
        };
        let told = match coherence.place_of_told().filter(|_| coherence.is_fresh(bound)) {
            Some(place) => Some(place),
            None => match coherence.poll().await {
                Ok(()) => coherence.place_of_told(),
                Err(error) => {
                    self.tolerate(
                        Role::Truth,
                        "the log of commits cannot be read, so replicas may lag too far behind; asking the primary",
                        &error,
                    );
                    None
                }
            },
        };
        let wanted = match (told, freshness) {
            (Some(told), Freshness::Session(token)) => coherence.later_of(told, token.place()),
            (told, _) => told,
        };
        Ok(wanted.map_or(ReadPreference::Primary, ReadPreference::Replayed))
    }

    /// What memory holds of a key, as an answer.
    pub(crate) fn loaded_near(&self, record: Record<T>) -> Loaded<T> {
        Loaded { record, tier: Role::Near, began: self.shared.settings.clock.monotonic(), is_stale: false }
    }

    /// An answer, with its age.
    pub(crate) fn answer(&self, loaded: Loaded<T>) -> Answer<T> {
        let Loaded { record, tier, began, is_stale } = loaded;
        let now = self.shared.settings.clock.monotonic();
        let usual = self.shared.settings.freshness;
        let is_pending = record.is_pending() && matches!(self.backing, Backing::Tables { .. });
        let age = match (&self.backing, tier) {
            _ if is_pending => Duration::ZERO,
            (Backing::Memory(_), _) => Duration::ZERO,
            (Backing::Tables { .. }, Role::Near | Role::Shared) => {
                self.shared.coherence.age().map_or(usual, |age| age.max(now.saturating_sub(began)))
            }
            (Backing::Records(_), Role::Near) => usual,
            _ => now.saturating_sub(began),
        };
        Answer { record, tier, age, is_stale, is_pending }
    }
}

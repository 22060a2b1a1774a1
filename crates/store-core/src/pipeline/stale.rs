//! Answering the last known record where the tiers fail or take too long, and loading anew before a record's end.

use std::borrow::Borrow;
use std::sync::Arc;
use std::time::Duration;

use super::read::{Caches, Loaded};
use super::{Backing, Borrowed, Pipeline, View};
use crate::error::{Error, ErrorKind, Result};
use crate::freshness::Freshness;
use crate::record::Record;
use crate::schema::Schema;
use crate::tag::CallTags;
use crate::tier::Role;

impl<T: Schema> Pipeline<T> {
    /// Runs a load, and answers the last known record instead where it fails or takes too long, and the user allows that.
    pub(super) async fn or_last_known(
        self: &Arc<Self>,
        key: &T::Key,
        freshness: &Freshness,
        tags: &CallTags,
        load: impl Future<Output = Result<Option<Loaded<T>>>>,
    ) -> Result<Option<Loaded<T>>> {
        let settings = &self.shared.settings;
        let (Some(kept), Freshness::Any | Freshness::Bounded(_)) = (settings.stale_on_error, freshness) else { return load.await };
        let mut load = std::pin::pin!(load);
        if let Some(limit) = settings.soft_timeout
            && self.near.as_ref().is_some_and(|near| near.version(key.borrow()).is_some())
        {
            match tokio::time::timeout(limit, load.as_mut()).await {
                Ok(Err(error)) => return self.last_known(key, kept, tags, error).await,
                Ok(answer) => return answer,
                Err(_) => {
                    if let Some(known) = self.last_in_memory(key, kept, tags) {
                        return Ok(Some(known));
                    }
                }
            }
        }
        match load.await {
            Err(error) => self.last_known(key, kept, tags, error).await,
            answer => answer,
        }
    }

    /// What memory or the shared tier still knows; the error if neither knows anything.
    async fn last_known(&self, key: &T::Key, kept: Duration, tags: &CallTags, error: Error) -> Result<Option<Loaded<T>>> {
        if !matches!(error.kind(), ErrorKind::L2Unavailable | ErrorKind::L3Unavailable | ErrorKind::Timeout | ErrorKind::Unavailable) {
            return Err(error);
        }
        let known = match self.last_in_memory(key, kept, tags) {
            Some(known) => Some(known),
            None => self.last_in_cache(key, kept, tags).await,
        };
        match known {
            Some(known) => {
                self.tolerate(error.tier().unwrap_or(Role::Truth), "the last known record is answered", &error);
                Ok(Some(known))
            }
            None => Err(error),
        }
    }

    /// What memory or the shared tier still knows of each key, where the user allows it; the error if neither knows anything of one of them.
    pub(super) async fn last_known_many(
        &self,
        keys: &[T::Key],
        freshness: &Freshness,
        tags: &CallTags,
        error: Error,
    ) -> Result<Vec<Option<Record<T>>>> {
        let (Some(kept), Freshness::Any | Freshness::Bounded(_)) = (self.shared.settings.stale_on_error, freshness) else {
            return Err(error);
        };
        let mut records = Vec::with_capacity(keys.len());
        for key in keys {
            let known = self.last_known(key, kept, tags, error.duplicate()).await?;
            records.push(known.map(|known| known.record));
        }
        Ok(records)
    }

    fn last_in_memory(&self, key: &T::Key, kept: Duration, tags: &CallTags) -> Option<Loaded<T>> {
        let near = self.near.as_ref().filter(|_| self.is_in_touch(kept))?;
        let record = near.get(key.borrow()).filter(|record| self.holds_with(record, tags))?;
        self.counters().stale_answers.add(1);
        Some(Loaded { is_stale: true, ..self.loaded_near(record) })
    }

    /// Whether the caches have lacked word of commits for no longer than last known records may be answered beyond the usual bound.
    fn is_in_touch(&self, kept: Duration) -> bool {
        self.shared.coherence.age().unwrap_or_default() <= kept.saturating_add(self.shared.settings.freshness)
    }

    /// The slot's record, unless this instance has heard of something newer.
    async fn last_in_cache(&self, key: &T::Key, kept: Duration, tags: &CallTags) -> Option<Loaded<T>> {
        let began = self.shared.settings.clock.monotonic();
        let (cache, _) = self.cache.as_ref().zip(self.trust.as_ref()).filter(|_| self.is_in_touch(kept))?;
        let found = self.read_slot(&**cache, &Self::text(key), tags).await?;
        let tier = found.tier;
        let record = self.record(found, View::Near).ok()?;
        self.counters().stale_answers.add(1);
        Some(Loaded { record, tier, began, is_stale: true })
    }

    /// Loads a record anew in the background if its end is near. A write that comes between voids the load, as it does every other.
    pub(super) fn refresh_ahead(self: &Arc<Self>, key: &Borrowed<T>, record: &Record<T>) {
        let settings = &self.shared.settings;
        if settings.refresh_ahead <= 0.0 {
            return;
        }
        let (Some(end), Some(life)) = (record.expires(), self.schema.near_ttl()) else { return };
        let now = settings.clock.coarse();
        if now.saturating_add(life.mul_f64(settings.refresh_ahead)) < end || !self.refresh_attempts.begin(key, end.as_nanos(), now) {
            return;
        }
        let (pipeline, key, tags) = (Arc::clone(self), key.to_owned(), self.given_tags(record));
        let load = {
            let (pipeline, key, tags) = (Arc::clone(&pipeline), key.clone(), tags.clone());
            move || async move {
                // The shared tier's record ends when this one does, so only the truth has a newer end.
                pipeline.load(key, View::Near, Caches::Fill, &tags).await
            }
        };
        pipeline.flights.start(self.shared.life.runtime(), key, &tags, load);
    }

    /// When memory forgets a record whose life time ends, and the record with that end, where it is kept beyond or loaded ahead of it.
    pub(super) fn kept_beyond(&self, record: Record<T>, deadline: Option<Duration>) -> (Record<T>, Option<Duration>) {
        let settings = &self.shared.settings;
        let is_watched = settings.stale_on_error.is_some() || settings.refresh_ahead > 0.0;
        match deadline.filter(|_| is_watched && !matches!(self.backing, Backing::Memory(_))) {
            Some(end) => {
                let kept = settings.stale_on_error.unwrap_or_default();
                (record.expiring(Some(end)), end.checked_add(kept))
            }
            None => (record, deadline),
        }
    }
}

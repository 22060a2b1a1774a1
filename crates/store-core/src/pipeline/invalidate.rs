//! Dropping cached copies.

use std::borrow::Borrow;
use std::sync::Arc;

use super::{Backing, Pipeline};
use crate::error::Result;
use crate::facet::{LogEntry, LogKind};
use crate::schema::Schema;
use crate::tier::Role;
use crate::verification::KeyEvent;
use crate::version::Version;

impl<T: Schema> Pipeline<T> {
    /// Drops the cached copies of one key, on every instance.
    pub(crate) async fn invalidate(self: &Arc<Self>, key: T::Key) -> Result<()> {
        self.check(key.borrow())?;
        // What memory is the truth of is no copy, unless a loader brought it.
        if matches!(self.backing, Backing::Memory(_)) {
            self.forget_loaded(&key);
            return Ok(());
        }
        let pipeline = Arc::clone(self);
        self.in_task(Vec::new(), async move {
            pipeline.void_queries();
            pipeline.forget_near(&key);
            let text = Self::text(&key);
            let dropped = pipeline.drop_loaded(Some(std::slice::from_ref(&text))).await;
            let logged = pipeline.log_invalidation(Some(&text)).await;
            pipeline.remove_from_cache(vec![text]).await;
            // A load that read the slot before it was emptied is voided only now.
            pipeline.forget_near(&key);
            pipeline.applied_invalidation(logged).and(dropped.map(drop))
        })
        .await
    }

    /// Drops the cached copies of every record of the schema, on every instance, and answers how many the shared tier held.
    pub(crate) async fn invalidate_all(self: &Arc<Self>) -> Result<u64> {
        self.check_open()?;
        let pipeline = Arc::clone(self);
        self.in_task(Vec::new(), async move {
            pipeline.forget_all_near();
            let dropped = pipeline.drop_loaded(None).await;
            let logged = pipeline.log_invalidation(None).await;
            let emptied = match &pipeline.cache {
                Some(cache) => cache.clear(&pipeline.schema).await.unwrap_or_else(|error| {
                    pipeline.tolerate(
                        Role::Shared,
                        "the shared tier was not emptied; it is read past until the relayer has done it",
                        &error,
                    );
                    0
                }),
                None => 0,
            };
            pipeline.forget_all_near();
            pipeline.applied_invalidation(logged)?;
            Ok(emptied + dropped?)
        })
        .await
    }

    /// Writes an invalidation to the log, from which every instance and the relayer learn of it. Answers its version, where there is a log.
    async fn log_invalidation(&self, key: Option<&str>) -> Result<Option<Version>> {
        let (key, kind) = (key.map(str::to_owned), LogKind::Invalidate);
        let mut version = None;
        if let Backing::Tables { log, .. } = &self.backing {
            let entry =
                LogEntry { schema: self.schema.name().to_owned(), key: key.clone(), version: Version::default(), kind, columns: None };
            version = log.append(&[entry]).await?.into_iter().next();
            if let (Some(version), Some(trust)) = (version, &self.trust) {
                trust.hear(key.as_deref(), version);
            }
        }
        self.shared.coherence.announce(self.schema.name(), kind, [(key, version)]);
        Ok(version)
    }

    /// Nothing that this instance holds is older than an invalidation of its own: the log need not tell it of that.
    fn applied_invalidation(&self, logged: Result<Option<Version>>) -> Result<()> {
        if let Some(version) = logged? {
            self.own.add(version);
        }
        Ok(())
    }

    pub(crate) fn forget_all_near(&self) {
        // What memory is the truth of is no copy.
        if matches!(self.backing, Backing::Memory(_)) {
            return;
        }
        self.note(None, KeyEvent::Dropped);
        self.void_queries();
        self.forget_all_flights();
        self.fences.touch_all();
        if let Some(near) = &self.near {
            near.clear();
        }
        self.forget_all_shown();
    }
}

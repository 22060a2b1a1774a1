//! What reads see of pending writes, and what they flush first.

use std::borrow::Borrow;
use std::sync::atomic::Ordering;

use super::{PendingWrites, Write};
use crate::error::Result;
use crate::freshness::{Freshness, Token};
use crate::pipeline::{Backing, Borrowed, Pipeline};
use crate::record::Record;
use crate::schema::Schema;

impl<T: Schema> Pipeline<T> {
    /// What a read that asks for no more than this freshness sees of a key's pending write; `None` if nothing is pending.
    #[inline]
    pub(in crate::pipeline) fn overlaid(&self, key: &Borrowed<T>, freshness: &Freshness) -> Option<Option<Record<T>>> {
        let pending = self.behind.as_ref()?;
        self.look_at(pending, key, freshness)
    }

    #[inline(never)]
    fn look_at(&self, pending: &PendingWrites<T>, key: &Borrowed<T>, freshness: &Freshness) -> Option<Option<Record<T>>> {
        if matches!(freshness, Freshness::Strong) || !self.shared.life.is_open() {
            return None;
        }
        pending.get(key).map(|write| match write {
            Write::Set(set) => Some(set.record.clone()),
            Write::Delete => None,
        })
    }

    /// Brings what is pending of keys to the truth, before it is asked or written by another way.
    pub(in crate::pipeline) async fn flush_keys<'a>(&self, keys: impl IntoIterator<Item = &'a T::Key>) -> Result<()> {
        let Some(pending) = self.behind.as_ref().filter(|pending| pending.keys.load(Ordering::Acquire) > 0) else { return Ok(()) };
        let last = {
            let writes = pending.lock();
            keys.into_iter().filter_map(|key| writes.sequence::<Borrowed<T>>(key.borrow())).max()
        };
        match last {
            Some(last) => pending.behind.flush_to(last).await,
            None => Ok(()),
        }
    }

    /// Brings all that is pending of the schema to the truth, before it is asked for more than a key.
    pub(crate) async fn flush_all_keys(&self) -> Result<()> {
        let Some(pending) = self.behind.as_ref().filter(|pending| pending.keys.load(Ordering::Acquire) > 0) else { return Ok(()) };
        let last = pending.lock().last_sequence();
        match last {
            Some(last) => pending.behind.flush_to(last).await,
            None => Ok(()),
        }
    }

    /// What a read does first that wants more than caches and pending writes can answer.
    pub(in crate::pipeline) async fn before_read(&self, keys: &[T::Key], freshness: &Freshness) -> Result<()> {
        match freshness {
            Freshness::Strong => self.flush_keys(keys).await,
            Freshness::Session(token) => self.await_elsewhere(token).await,
            Freshness::Any | Freshness::Bounded(_) => Ok(()),
        }
    }

    /// What a query does first.
    pub(in crate::pipeline) async fn before_query(&self, freshness: &Freshness) -> Result<()> {
        self.flush_all_keys().await?;
        match freshness {
            Freshness::Session(token) => self.await_elsewhere(token).await,
            _ => Ok(()),
        }
    }

    async fn await_elsewhere(&self, token: &Token) -> Result<()> {
        match (token.pending(), &self.backing) {
            (Some(place), Backing::Tables { .. }) => {
                let limit = self.shared.settings.operation_timeout / 2;
                self.shared.elsewhere.wait(place, &self.shared.coherence, limit).await
            }
            _ => Ok(()),
        }
    }
}

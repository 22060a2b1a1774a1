//! What a schema does with what its store hears from the log and from other instances.

use std::borrow::Borrow;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{Backing, Borrowed, Pipeline};
use crate::coherence::memory;
use crate::error::Result;
use crate::facet::{LogCursor, LogEntry, LogKind, Mark, Records};
use crate::key::Key;
use crate::schema::{BoundSchema, Schema};
use crate::verification::KeyEvent;
use crate::version::Version;

/// A schema's caches, as the follower of the log and the relayer see them.
pub(crate) trait Follow: Send + Sync {
    fn schema(&self) -> &Arc<BoundSchema>;

    /// The shared tier, where it is a cache of this schema.
    fn cache(&self) -> Option<&Arc<dyn Records>>;

    /// Whether the truth tier's log tells of this schema's commits.
    fn follows_log(&self) -> bool;

    /// To be called before a poll of the log is sent.
    fn begin_poll(&self);

    /// Applies what a poll brought, up to its end.
    fn end_poll(&self, entries: &[&LogEntry], end: &LogCursor);

    /// The mark of a shard, as the relayer knows it.
    fn see_mark(&self, mark: &Arc<Mark>);

    /// A mark of a generation that was not met before.
    fn take_unconfirmed(&self) -> Option<Arc<Mark>>;

    /// The log could be read from this mark on: it is the log that the mark's generation stands on.
    fn confirm(&self, mark: &Arc<Mark>);

    /// Starts to follow the log from a place, with nothing known of what came before: every copy is dropped.
    fn start(&self, place: &LogCursor);

    /// What checks a sample of the caches' answers, where the settings ask for it; once.
    fn verification(self: Arc<Self>) -> Option<BoxFuture<'static, ()>>;

    /// Applies what another instance or program said; `version` where it said which.
    fn hear(&self, key: Option<&str>, version: Option<Version>, kind: LogKind);

    /// Drops every copy of every tier, and has the log say so: what wrote to the truth did not.
    fn void(self: Arc<Self>) -> BoxFuture<'static, Result<()>>;

    /// Waits until none of the writes goes on that nobody waits for any more.
    fn settled(&self) -> BoxFuture<'_, ()>;

    /// Has a tag invalidated that a program named which writes no row of the log.
    fn invalidate_tag_from_outside(&self, tag: String) -> BoxFuture<'_, Result<()>>;
}

impl<T: Schema> Follow for Pipeline<T> {
    fn schema(&self) -> &Arc<BoundSchema> {
        &self.schema
    }

    fn cache(&self) -> Option<&Arc<dyn Records>> {
        self.cache.as_ref()
    }

    fn follows_log(&self) -> bool {
        matches!(self.backing, Backing::Tables { .. })
    }

    fn begin_poll(&self) {
        self.own.begin_poll();
        if let Some(trust) = &self.trust {
            trust.begin_poll();
        }
    }

    fn end_poll(&self, entries: &[&LogEntry], end: &LogCursor) {
        // Floors come before fences: a load that begins between the two sees the floor, one that began before them installs nothing.
        if let Some(trust) = &self.trust {
            let is_of_tag = |entry: &&&LogEntry| entry.kind == LogKind::InvalidateTag && entry.key.is_some();
            entries.iter().filter(is_of_tag).flat_map(|entry| entry.key.as_deref()).for_each(|tag| trust.hear_tag(tag));
            let others = entries.iter().filter(|entry| !is_of_tag(entry));
            trust.end_poll(others.map(|entry| (entry.key.as_deref(), entry.version)), end.clone());
            if self.cache.is_none() {
                // From here on the fences say what a floor would.
                trust.pass_all();
            }
        }
        for entry in entries {
            self.own.hear(entry.version, || {
                self.hear_entry_in_queries(entry);
                self.drop_older(entry.key.as_deref(), Some(entry.version), entry.kind);
            });
        }
        self.own.end_poll();
    }

    fn see_mark(&self, mark: &Arc<Mark>) {
        if let Some(trust) = &self.trust {
            trust.judge(Some(mark));
        }
    }

    fn take_unconfirmed(&self) -> Option<Arc<Mark>> {
        self.trust.as_ref()?.take_unconfirmed()
    }

    fn confirm(&self, mark: &Arc<Mark>) {
        if let Some(trust) = &self.trust {
            trust.confirm(mark);
        }
    }

    fn start(&self, place: &LogCursor) {
        self.own.start();
        if let Some(trust) = &self.trust {
            trust.start(place.clone());
        }
        self.forget_all_near();
    }

    fn verification(self: Arc<Self>) -> Option<BoxFuture<'static, ()>> {
        Pipeline::verification(&self)
    }

    fn hear(&self, key: Option<&str>, version: Option<Version>, kind: LogKind) {
        self.shared.coherence.hear_news();
        match (&self.trust, key, kind) {
            (Some(trust), Some(tag), LogKind::InvalidateTag) => trust.hear_tag(tag),
            (Some(trust), _, _) => {
                if let Some(version) = version {
                    trust.hear(key, version);
                }
            }
            (None, _, _) => {}
        }
        match (kind, version) {
            // The log says what it was, and it need not be void before anybody asks for it.
            (LogKind::Put | LogKind::Delete, Some(_)) => drop(self.tell_queries()),
            (LogKind::InvalidateTag, _) => {}
            _ => self.void_queries(),
        }
        self.drop_older(key, version, kind);
    }

    fn void(self: Arc<Self>) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move { self.invalidate_all().await.map(drop) })
    }

    fn settled(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.abandoned.all_settled())
    }

    fn invalidate_tag_from_outside(&self, tag: String) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { self.tell_tag(&tag).await.map(drop) })
    }
}

impl<T: Schema> Pipeline<T> {
    /// Drops what memory holds of a key, unless it is at least as new as a write that was heard of, and voids the loads that began before and bring something older.
    fn drop_older(&self, key: Option<&str>, version: Option<Version>, kind: LogKind) {
        if matches!(self.backing, Backing::Memory(_)) {
            return;
        }
        if let (Some(tag), LogKind::InvalidateTag) = (key, kind) {
            return self.hear_tag(tag);
        }
        // A key that this build cannot read may be one that it calls otherwise.
        let Some(key) = key.and_then(|text| T::Key::from_text(text).ok()) else { return self.forget_all_near() };
        self.forget_flights(&key);
        let borrowed: &Borrowed<T> = key.borrow();
        self.note(Some(borrowed), KeyEvent::Heard(kind, version));
        let held = self.base_in_memory(borrowed);
        self.fences.hear(borrowed, kind, version, || {
            let Some(near) = &self.near else { return };
            if !memory::outlasts(near.version(borrowed), kind, version) {
                self.note_shown(&key, held, kind);
                near.remove(borrowed);
            }
        });
    }
}

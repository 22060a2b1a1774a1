//! What readers were shown of keys that memory does not hold: because it has heard since that another instance had written them, or heard it while they were read.
//!
//! What a reader makes of a record and writes is based on what was shown, whether the news came before that or after.

use std::borrow::Borrow;

use crate::behind::Base;
use crate::facet::LogKind;
use crate::pipeline::{Borrowed, Pipeline};
use crate::schema::Schema;
use crate::tag::CallTags;
use crate::version::Version;

impl<T: Schema> Pipeline<T> {
    /// What memory holds of a key, where writes of it may become pending.
    pub(in crate::pipeline) fn base_in_memory(&self, key: &Borrowed<T>) -> Base {
        if self.behind.is_none() {
            return Base::Unknown;
        }
        match self.near.as_ref().and_then(|near| near.version(key)) {
            Some(version) => Base::put(version),
            None if self.is_known_absent(key, &CallTags::default()) => Base::Absent(0),
            None => Base::Unknown,
        }
    }

    /// Notes what memory held of a key that it forgets for news of this kind.
    pub(in crate::pipeline) fn note_shown(&self, key: &T::Key, held: Base, kind: LogKind) {
        let Some(pending) = &self.behind else { return };
        match kind {
            LogKind::Put | LogKind::Delete if held == Base::Unknown => {}
            LogKind::Put | LogKind::Delete => pending.shown.learn(key.clone(), held),
            _ => pending.shown.forget(key.borrow()),
        }
    }

    /// Notes a version that a read is about to answer, and that memory does not take in.
    pub(in crate::pipeline) fn note_answered(&self, key: &T::Key, version: Version) {
        let Some(pending) = &self.behind else { return };
        let answered = Base::put(version);
        if pending.shown.get(key.borrow()).is_none_or(|noted| noted.is_before(answered)) {
            pending.shown.learn(key.clone(), answered);
        }
    }

    /// Memory, a reader or a writer of this instance knows something newer of a key.
    pub(in crate::pipeline) fn forget_shown(&self, key: &Borrowed<T>) {
        if let Some(pending) = &self.behind {
            pending.shown.forget(key);
        }
    }

    /// As [`forget_shown`](Self::forget_shown), of all keys.
    pub(in crate::pipeline) fn forget_all_shown(&self) {
        if let Some(pending) = &self.behind {
            pending.shown.forget_all();
        }
    }

    /// What a write that becomes pending is based on.
    pub(in crate::pipeline) fn known_base(&self, key: &T::Key) -> Base {
        // Who installs forgets the note behind that, and who notes does it before memory forgets.
        let held = self.base_in_memory(key.borrow());
        match held {
            Base::Unknown => self.behind.as_ref().and_then(|pending| pending.shown.get(key.borrow())).unwrap_or(held),
            held => held,
        }
    }
}

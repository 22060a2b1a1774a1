//! The commits that this instance made itself.

use std::collections::HashMap;

use crate::sync::{Mutex, MutexGuard, PoisonError};
use crate::version::Version;

/// Versions that this instance drew and whose copies in memory it has brought up to date. When the log tells of them, they say nothing new: dropping the copies
/// once more would only cost reads.
#[derive(Debug, Default)]
pub(crate) struct OwnCommits {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    polls_begun: u64,
    /// Each with the number of polls that had begun when it was added: a poll that begins later brings it, or an earlier one has.
    versions: HashMap<Version, u64>,
    /// What polls brought that was not among them, each with the poll's number: it may be a commit that is just on its way back to this instance.
    strangers: HashMap<Version, u64>,
}

impl OwnCommits {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be called before a poll of the log is sent.
    pub(crate) fn begin_poll(&self) {
        self.lock().polls_begun += 1;
    }

    /// A version of this instance that memory does not fall behind any more.
    ///
    /// Not before: whoever reads after a poll that brought the commit must not find what it replaced.
    pub(crate) fn add(&self, version: Version) {
        let mut state = self.lock();
        let begun = state.polls_begun;
        state.versions.insert(version, begun);
    }

    /// Whether the log told of a version, and what it told was applied, before the version was added. It says so once.
    pub(crate) fn take_told(&self, version: Version) -> bool {
        self.lock().strangers.remove(&version).is_some()
    }

    /// Applies what the log tells of a version, unless the version is one of them.
    pub(crate) fn hear(&self, version: Version, apply: impl FnOnce()) {
        if self.lock().versions.contains_key(&version) {
            return;
        }
        apply();
        // Not before: who knows that it was told relies on its having been applied.
        let mut state = self.lock();
        let begun = state.polls_begun;
        state.strangers.insert(version, begun);
    }

    /// Forgets what the poll that ends here, and the one before it, have brought.
    pub(crate) fn end_poll(&self) {
        let mut state = self.lock();
        let number = state.polls_begun;
        state.versions.retain(|_, begun| *begun >= number);
        state.strangers.retain(|_, poll| *poll + 1 >= number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_own(own: &OwnCommits, version: u64) -> bool {
        let mut applied = false;
        own.hear(Version::new(version), || applied = true);
        !applied
    }

    #[test]
    fn a_commit_is_known_until_a_poll_that_began_after_it_has_ended() {
        let own = OwnCommits::default();
        own.begin_poll();
        own.add(Version::new(3));
        own.end_poll();
        assert!(is_own(&own, 3), "the poll may have been answered before the commit");
        own.begin_poll();
        assert!(is_own(&own, 3));
        own.end_poll();
        assert!(!is_own(&own, 3));
    }

    #[test]
    fn a_commit_that_the_log_told_of_first_is_told_apart_once_that_is_applied() {
        let own = OwnCommits::default();
        own.begin_poll();
        own.hear(Version::new(3), || assert!(!own.take_told(Version::new(3))));
        own.end_poll();
        assert!(own.take_told(Version::new(3)));
        assert!(!own.take_told(Version::new(3)), "what it touched counts once");
        assert!(!own.take_told(Version::new(4)));
    }
}

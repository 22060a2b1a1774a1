//! The commits that this instance made itself.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::version::Version;

/// Versions that this instance drew and applied to its caches when it drew them. When the log tells of them, they say nothing new: dropping the copies once
/// more would only cost reads.
#[derive(Debug, Default)]
pub(crate) struct OwnCommits {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    polls_begun: u64,
    /// Each with the number of polls that had begun when it was applied: a poll that begins later brings it, or an earlier one has.
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

    /// A version that was committed, and whose key's copy this instance is about to bring up to date. Answers whether the log told of it before.
    pub(crate) fn add(&self, version: Version) -> bool {
        let mut state = self.lock();
        let begun = state.polls_begun;
        state.versions.insert(version, begun);
        state.strangers.contains_key(&version)
    }

    /// Whether a version that the log tells of is one of them.
    pub(crate) fn hear(&self, version: Version) -> bool {
        let mut state = self.lock();
        let begun = state.polls_begun;
        let is_own = state.versions.contains_key(&version);
        if !is_own {
            state.strangers.insert(version, begun);
        }
        is_own
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

    #[test]
    fn a_commit_is_known_until_a_poll_that_began_after_it_has_ended() {
        let own = OwnCommits::default();
        let version = Version::new(3);
        own.begin_poll();
        assert!(!own.add(version));
        own.end_poll();
        assert!(own.hear(version), "the poll may have been answered before the commit");
        own.begin_poll();
        assert!(own.hear(version));
        own.end_poll();
        assert!(!own.hear(version));
    }

    #[test]
    fn a_commit_that_the_log_told_of_first_is_told_apart() {
        let own = OwnCommits::default();
        own.begin_poll();
        assert!(!own.hear(Version::new(3)));
        own.end_poll();
        assert!(own.add(Version::new(3)));
        assert!(!own.add(Version::new(4)));
    }
}

//! The commits that this instance made itself.

use std::collections::BTreeMap;

use crate::sync::{Mutex, MutexGuard, PoisonError};
use crate::version::Version;

/// Versions that this instance drew and whose copies in memory it has brought up to date. When the log tells of them, they say nothing new: dropping the copies
/// once more would only cost reads.
#[derive(Debug, Default)]
pub(crate) struct OwnCommits(Mutex<Own>);

/// The state of [`OwnCommits`], and its transitions.
#[derive(Debug, Clone, Default)]
pub(super) struct Own {
    polls_begun: u64,
    /// Each with the number of polls that had begun when it was added: a poll that begins later brings it, or an earlier one has.
    versions: BTreeMap<Version, u64>,
    /// What polls brought that was not among them, each with the poll's number: it may be a commit that is just on its way back to this instance.
    strangers: BTreeMap<Version, u64>,
}

impl Own {
    pub(super) fn begin_poll(&mut self) {
        self.polls_begun += 1;
    }

    pub(super) fn add(&mut self, version: Version) {
        self.versions.insert(version, self.polls_begun);
    }

    pub(super) fn take_told(&mut self, version: Version) -> bool {
        self.strangers.remove(&version).is_some()
    }

    pub(super) fn is_own(&self, version: Version) -> bool {
        self.versions.contains_key(&version)
    }

    /// What the log told of a version that is none of its own has been applied.
    pub(super) fn applied(&mut self, version: Version) {
        self.strangers.insert(version, self.polls_begun);
    }

    pub(super) fn start(&mut self) {
        self.versions.clear();
        self.strangers.clear();
    }

    pub(super) fn end_poll(&mut self) {
        let number = self.polls_begun;
        self.versions.retain(|_, begun| *begun >= number);
        self.strangers.retain(|_, poll| *poll + 1 >= number);
    }
}

/// How many polls there were does not tell states apart, only how many since.
#[cfg(test)]
impl std::hash::Hash for Own {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        for numbers in [&self.versions, &self.strangers] {
            numbers.len().hash(state);
            numbers.iter().for_each(|(version, begun)| (version, self.polls_begun - begun).hash(state));
        }
    }
}

impl OwnCommits {
    fn lock(&self) -> MutexGuard<'_, Own> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be called before a poll of the log is sent.
    pub(crate) fn begin_poll(&self) {
        self.lock().begin_poll();
    }

    /// A version of this instance that memory does not fall behind any more.
    ///
    /// Not before: whoever reads after a poll that brought the commit must not find what it replaced.
    pub(crate) fn add(&self, version: Version) {
        self.lock().add(version);
    }

    /// Whether the log told of a version, and what it told was applied, before the version was added. It says so once.
    pub(crate) fn take_told(&self, version: Version) -> bool {
        self.lock().take_told(version)
    }

    /// Applies what the log tells of a version, unless the version is one of them.
    pub(crate) fn hear(&self, version: Version, apply: impl FnOnce()) {
        if self.lock().is_own(version) {
            return;
        }
        apply();
        // Not before: who knows that it was told relies on its having been applied.
        self.lock().applied(version);
    }

    /// Starts to follow the log from a place: it may be another log, which gives the same versions to other commits.
    pub(crate) fn start(&self) {
        self.lock().start();
    }

    /// Forgets what the poll that ends here, and the one before it, have brought.
    pub(crate) fn end_poll(&self) {
        self.lock().end_poll();
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
    fn a_new_start_takes_no_commit_for_an_earlier_one_of_the_same_version() {
        let own = OwnCommits::default();
        own.begin_poll();
        own.add(Version::new(3));
        own.hear(Version::new(4), || {});
        own.start();
        own.begin_poll();
        assert!(!own.take_told(Version::new(4)));
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

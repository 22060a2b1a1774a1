//! What an instance has heard of each key and the shared tier may not have been told yet.
//!
//! A floor is the newest version of a key that this instance heard of, from its own write or from the log. Until the relayer's mark has passed the place in
//! the log where it stands, a record in the shared tier below the floor is older than what the instance was told, and is a miss.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::facet::LogCursor;
use crate::protection::Protection;
use crate::version::Version;

/// Above every version that a tier issues.
const ABOVE_ALL: Version = Version::new(u64::MAX);

/// Where a floor stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In no poll yet that is known to have covered it; it was heard when this many polls had begun.
    AfterPoll(u64),
    /// Before the end of this poll.
    InPoll(u64),
}

#[derive(Debug, Clone, Copy)]
struct Floor {
    /// Nothing below it is read from the shared tier.
    version: Version,
    /// The newest version that a record of the key was seen to have. A deletion or an invalidation has a version, and no record of it.
    seen: Version,
    place: Place,
}

/// A completed poll: the floors up to here may go when the mark has passed its end.
#[derive(Debug, Clone)]
struct Poll {
    number: u64,
    end: LogCursor,
    keys: Vec<Arc<str>>,
}

/// The floors of one schema.
#[derive(Debug, Clone)]
pub(crate) struct Floors {
    most_keys: usize,
    keys: HashMap<Arc<str>, Floor>,
    /// A floor under every key.
    all: Option<Floor>,
    /// Keys whose floor has no poll yet.
    waiting: Vec<Arc<str>>,
    polls_begun: u64,
    polls: VecDeque<Poll>,
    /// The newest place whose floors were dropped. A mark below it is one that went back.
    dropped: Option<LogCursor>,
}

impl Floors {
    /// No floors; with more than `most_keys` of them, one stands under every key instead.
    pub(crate) fn new(most_keys: usize) -> Self {
        Floors { most_keys, keys: HashMap::new(), all: None, waiting: Vec::new(), polls_begun: 0, polls: VecDeque::new(), dropped: None }
    }

    /// Starts from a place in the log, which the poll under way has answered: nothing before it was heard, so nothing below a mark before it can be trusted.
    /// What was heard while the poll ran may stand behind the place, and stays.
    pub(crate) fn start(&mut self, place: LogCursor) {
        let stays = |floor: &Floor| floor.place == Place::AfterPoll(self.polls_begun);
        self.keys.retain(|_, floor| stays(floor));
        self.all = self.all.filter(stays);
        self.waiting.retain(|key| self.keys.contains_key(key));
        self.polls.clear();
        self.dropped = Some(place);
    }

    /// To be called before a poll of the log is sent.
    pub(crate) fn begin_poll(&mut self) {
        self.polls_begun += 1;
    }

    /// Hears of a version of a key, or of every key.
    pub(crate) fn hear(&mut self, key: Option<&str>, version: Version) {
        let place = Place::AfterPoll(self.polls_begun);
        let Some(key) = key else {
            let version = self.all.map_or(version, |all| all.version.max(version));
            self.all = Some(Floor { version, seen: Version::new(0), place });
            return;
        };
        if self.all.is_some_and(|all| all.version == ABOVE_ALL) {
            // Under the highest floor no other counts, but it has to stay for as long as they would.
            self.all = Some(Floor { version: ABOVE_ALL, seen: Version::new(0), place });
            return;
        }
        if let Some(floor) = self.keys.get_mut(key) {
            // Under the highest floor nothing says which versions were heard, so it has to stay for as long as theirs would.
            if floor.version < version || floor.version == ABOVE_ALL {
                let is_waiting = matches!(floor.place, Place::AfterPoll(_));
                *floor = Floor { version: floor.version.max(version), place, ..*floor };
                if !is_waiting {
                    self.waiting.push(key.into());
                }
            }
            return;
        }
        if self.keys.len() >= self.most_keys {
            self.distrust_all();
            return;
        }
        let key: Arc<str> = key.into();
        self.keys.insert(Arc::clone(&key), Floor { version, seen: Version::new(0), place });
        self.waiting.push(key);
    }

    /// Hears that a key may have been written, by a write whose outcome is not known.
    pub(crate) fn doubt(&mut self, key: &str) {
        self.hear(Some(key), ABOVE_ALL);
    }

    /// Hears of a record, by its own version: a load that brings an older one comes too late.
    pub(crate) fn hear_record(&mut self, key: &str, version: Version) {
        self.hear(Some(key), version);
        if let Some(floor) = self.keys.get_mut(key) {
            floor.seen = floor.seen.max(version);
        }
    }

    /// Whether a loaded or written record is no older than one that was seen. What was deleted or invalidated is the fence's to say.
    pub(crate) fn admits_install(&self, key: &str, version: Version) -> bool {
        self.keys.get(key).is_none_or(|floor| version >= floor.seen)
    }

    /// Distrusts every record of the shared tier until the mark has passed what the next poll reads.
    pub(crate) fn distrust_all(&mut self) {
        self.keys.clear();
        self.waiting.clear();
        self.all = Some(Floor { version: ABOVE_ALL, seen: Version::new(0), place: Place::AfterPoll(self.polls_begun) });
    }

    /// Ends the poll that was begun last: everything heard before it began, and everything that it brought, stands before `end`.
    ///
    /// What the poll brought is given here. What was heard from elsewhere while it ran may stand behind its end, and waits for the next one.
    pub(crate) fn end_poll<'a>(&mut self, brought: impl IntoIterator<Item = (Option<&'a str>, Version)>, end: LogCursor) {
        let number = self.polls_begun;
        for (key, version) in brought {
            self.hear(key, version);
            if let Some(floor) = self.floor_mut(key).filter(|floor| floor.version <= version && matches!(floor.place, Place::AfterPoll(_)))
            {
                floor.place = Place::InPoll(number);
            }
        }
        let covered =
            |floor: &Floor| matches!(floor.place, Place::AfterPoll(begun) if begun < number) || floor.place == Place::InPoll(number);
        let mut keys = Vec::new();
        let mut still_waiting = Vec::new();
        for key in std::mem::take(&mut self.waiting) {
            match self.keys.get_mut(&key) {
                Some(floor) if covered(floor) => {
                    floor.place = Place::InPoll(number);
                    keys.push(key);
                }
                Some(_) => still_waiting.push(key),
                None => {}
            }
        }
        self.waiting = still_waiting;
        if let Some(all) = self.all.as_mut().filter(|all| covered(all)) {
            all.place = Place::InPoll(number);
        }
        let has_floors = !keys.is_empty() || self.all.is_some_and(|all| all.place == Place::InPoll(number));
        if has_floors {
            self.polls.push_back(Poll { number, end, keys });
        }
    }

    fn floor_mut(&mut self, key: Option<&str>) -> Option<&mut Floor> {
        match key {
            Some(key) if self.keys.contains_key(key) => self.keys.get_mut(key),
            _ => self.all.as_mut(),
        }
    }

    /// Whether a mark can be trusted: it has not gone back behind floors that were dropped.
    pub(crate) fn trusts(&self, covers: impl Fn(&LogCursor) -> bool) -> bool {
        self.dropped.as_ref().is_none_or(covers)
    }

    /// Drops the floors that the mark has passed.
    pub(crate) fn pass(&mut self, covers: impl Fn(&LogCursor) -> bool) {
        while let Some(poll) = self.polls.pop_front_if(|poll| covers(&poll.end)) {
            for key in &poll.keys {
                if self.keys.get(key).is_some_and(|floor| floor.place == Place::InPoll(poll.number)) {
                    self.keys.remove(key);
                }
            }
            self.all = self.all.filter(|all| all.place != Place::InPoll(poll.number));
            self.dropped = Some(poll.end);
        }
    }

    /// Whether a record of the shared tier is no older than what was heard of its key.
    pub(crate) fn admits(&self, key: &str, version: Version) -> bool {
        let is_new = self.all.is_none_or(|all| version >= all.version) && self.keys.get(key).is_none_or(|floor| version >= floor.version);
        is_new || Protection::Floor.is_off()
    }
}

#[cfg(test)]
impl Floors {
    /// Whether a floor has not been covered by a poll yet.
    pub(super) fn awaits_poll(&self) -> bool {
        self.keys.values().chain(&self.all).any(|floor| matches!(floor.place, Place::AfterPoll(_)))
    }
}

/// Alike for floors that behave alike: polls are told apart by which came first, not by their numbers.
#[cfg(test)]
impl std::hash::Hash for Floors {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let floor = |floor: &Floor| match floor.place {
            Place::AfterPoll(begun) => (floor.version, None, begun == self.polls_begun),
            Place::InPoll(number) => (floor.version, self.polls.iter().position(|poll| poll.number == number), false),
        };
        let mut keys: Vec<_> = self.keys.iter().map(|(key, known)| (key, floor(known))).collect();
        keys.sort_unstable();
        (keys, self.all.as_ref().map(floor), &self.waiting, &self.dropped).hash(state);
        self.polls.iter().for_each(|poll| (&poll.end, &poll.keys).hash(state));
        self.polls.len().hash(state);
    }
}

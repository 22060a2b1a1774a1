//! What an instance knows of the eras in which the shared tier was told of invalidated tags.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use crate::facet::{LogEntry, LogKind, Mark, TagEras, TagInvalidation};
use crate::notes::Notes;
use crate::schema::BoundSchema;

/// Beyond this many tags an instance forgets what it was told, and asks again.
const MOST_TAGS: usize = 20_000;

/// A moment in the count of the shared tier's invalidations of tags. What is loaded after it was read, is stamped with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
pub(crate) struct Era {
    /// What the number counts from.
    pub(crate) generation: u64,
    pub(crate) number: u64,
}

/// Whether a shared record's tags were invalidated after its load began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TagVerdict {
    Holds,
    Void,
    /// The shared tier has to be asked.
    Unknown,
}

/// What the shared tier has answered about the tags of one schema.
#[derive(Debug, Default)]
pub(crate) struct KnownTagEras(Mutex<Known>);

#[derive(Debug, Clone, Default)]
struct Known {
    /// The era that it is known of. Of a later one nothing is known, and neither of an earlier one: a server that lost the later one may have come to it anew.
    at: Option<Era>,
    /// In which era each tag was invalidated last.
    tags: HashMap<String, u64>,
}

impl KnownTagEras {
    /// Judges a record of a slot whose shard had this era.
    pub(crate) fn judge(&self, notes: Option<&Notes>, present: Era) -> TagVerdict {
        let Some(notes) = notes else { return TagVerdict::Holds };
        if notes.tags.is_empty() || notes.era >= present.number {
            return TagVerdict::Holds;
        }
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.at != Some(present) {
            return TagVerdict::Unknown;
        }
        let mut verdict = TagVerdict::Holds;
        for tag in &notes.tags {
            match known.tags.get(tag) {
                Some(invalidated) if *invalidated > notes.era => return TagVerdict::Void,
                Some(_) => {}
                None => verdict = TagVerdict::Unknown,
            }
        }
        verdict
    }

    /// Learns what a shard answered about tags.
    pub(crate) fn learn(&self, tags: &[String], told: &TagEras) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = Some(Era { generation: told.generation, number: told.era });
        if known.at != at || known.tags.len() > MOST_TAGS {
            *known = Known { at, tags: HashMap::new() };
        }
        known.tags.extend(tags.iter().cloned().zip(told.of.iter().copied()));
    }
}

#[cfg(test)]
impl Clone for KnownTagEras {
    fn clone(&self) -> Self {
        KnownTagEras(Mutex::new(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()))
    }
}

#[cfg(test)]
impl std::hash::Hash for KnownTagEras {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tags: Vec<_> = known.tags.iter().collect();
        tags.sort_unstable();
        (known.at, tags).hash(state);
    }
}

/// Where the shards' lists of tags of one schema stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Eras {
    highest: u64,
    agree: bool,
}

impl Eras {
    /// `None` where a shard has no list, or has counted so far that its generation should end.
    pub(crate) fn of(marks: &[Option<Mark>]) -> Option<Self> {
        let mut eras = marks.iter().map(|mark| mark.as_ref().map(|mark| mark.era).filter(|era| (1..u64::MAX / 2).contains(era)));
        let first = eras.next()??;
        eras.try_fold(Eras { highest: first, agree: true }, |known, era| {
            era.map(|era| Eras { highest: known.highest.max(era), agree: known.agree && era == first })
        })
    }

    /// The era that begins, if one does: at random above the highest, so that none is come to twice where a server loses the later ones.
    pub(super) fn next(self, has_tags: bool, random: u64) -> Option<u64> {
        (has_tags || !self.agree).then(|| self.highest + 1 + (random >> 32))
    }

    /// The era that lasts.
    #[cfg(test)]
    pub(super) fn present(self) -> u64 {
        self.highest
    }

    /// What every shard is told of the log's entries, if anything; and the era of the marks that are set then. Shards that fell out of step, because a relayer
    /// reached only some of them, begin an era together.
    pub(crate) fn advance(self, schema: &Arc<BoundSchema>, generation: u64, entries: &[LogEntry]) -> (Option<TagInvalidation>, u64) {
        let invalidated = entries.iter().filter(|entry| entry.schema == schema.name() && entry.kind == LogKind::InvalidateTag);
        let mut tags: Vec<String> = invalidated.filter_map(|entry| entry.key.clone()).collect();
        tags.sort_unstable();
        tags.dedup();
        let Some(era) = self.next(!tags.is_empty(), RandomState::new().hash_one(self.highest)) else { return (None, self.highest) };
        (Some(TagInvalidation { schema: Arc::clone(schema), generation, era, tags }), era)
    }
}

/// What every shard is told at the beginning of a generation.
pub(crate) fn first_era(schema: &Arc<BoundSchema>, generation: u64) -> TagInvalidation {
    TagInvalidation { schema: Arc::clone(schema), generation, era: 1, tags: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facet::LogCursor;

    fn record(tags: &[&str], era: u64) -> Notes {
        Notes { tags: tags.iter().map(|tag| (*tag).to_owned()).collect(), era, ..Notes::default() }
    }

    fn told(generation: u64, era: u64, of: &[u64]) -> TagEras {
        TagEras { generation, era, of: of.to_vec() }
    }

    #[test]
    fn a_shard_is_asked_once_an_era_and_tag() {
        let known = KnownTagEras::default();
        let present = Era { generation: 7, number: 3 };
        let tags = ["a".to_owned(), "b".to_owned()];
        assert_eq!(known.judge(Some(&record(&[], 0)), present), TagVerdict::Holds, "it has no tags");
        assert_eq!(known.judge(Some(&record(&["a"], 3)), present), TagVerdict::Holds, "nothing was invalidated since");
        assert_eq!(known.judge(Some(&record(&["a"], 1)), present), TagVerdict::Unknown);
        known.learn(&tags, &told(7, 3, &[2, 0]));
        assert_eq!(known.judge(Some(&record(&["a"], 1)), present), TagVerdict::Void);
        assert_eq!(known.judge(Some(&record(&["a", "b"], 2)), present), TagVerdict::Holds);
        assert_eq!(known.judge(Some(&record(&["b", "c"], 2)), present), TagVerdict::Unknown);
        for number in [2, 4] {
            let other = Era { number, ..present };
            assert_eq!(known.judge(Some(&record(&["a"], 1)), other), TagVerdict::Unknown, "it is known of era 3 alone");
        }
        let anew = Era { generation: 8, number: 2 };
        assert_eq!(known.judge(Some(&record(&["a"], 1)), anew), TagVerdict::Unknown);
        known.learn(&tags, &told(8, 2, &[0, 0]));
        assert_eq!(known.judge(Some(&record(&["a"], 1)), anew), TagVerdict::Holds);
    }

    #[test]
    fn shards_that_fell_out_of_step_begin_an_era_together() {
        let mark = |era| Some(Mark { generation: 7, era, position: LogCursor::new("1") });
        assert_eq!(Eras::of(&[mark(2), None]), None);
        assert_eq!(Eras::of(&[mark(2), mark(0)]), None, "it has no list");
        assert_eq!(Eras::of(&[mark(2), mark(2)]), Some(Eras { highest: 2, agree: true }));
        for marks in [[mark(2), mark(3)], [mark(3), mark(2)]] {
            assert_eq!(Eras::of(&marks), Some(Eras { highest: 3, agree: false }));
        }
        assert_eq!(Eras::of(&[mark(u64::MAX / 2)]), None, "it has counted far enough");
    }
}

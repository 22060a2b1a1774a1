//! The lists of invalidated tags.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use store_core::facet::{MOST_TAGS, Mark, TagEras, TagInvalidation};
use store_core::{Error, ErrorKind, Result, Role};

/// What a shard knows of one schema's invalidated tags.
#[derive(Debug, Clone, Default)]
pub(super) struct TagList {
    generation: u64,
    era: u64,
    /// In which era each was invalidated last.
    of: HashMap<String, u64>,
}

impl TagList {
    /// The mark with the era of its list; `None` where that was lost, or is full.
    pub(super) fn era_of_mark(list: Option<&TagList>, mark: &Mark) -> Option<Mark> {
        match list.filter(|list| list.generation == mark.generation) {
            Some(list) => (list.era >= mark.era && list.of.len() <= MOST_TAGS).then(|| Mark { era: list.era, ..mark.clone() }),
            None => (mark.era == 0).then(|| mark.clone()),
        }
    }

    pub(super) fn relay(lists: &mut HashMap<String, TagList>, told: &TagInvalidation) -> Result<()> {
        let prefix = told.schema.key_prefix();
        if told.era == 1 {
            lists.insert(prefix.to_owned(), TagList { generation: told.generation, ..TagList::default() });
        }
        let list = lists.get_mut(prefix).filter(|list| list.generation == told.generation && list.era < told.era);
        let Some(list) = list else {
            return Err(Error::new(ErrorKind::L2Unavailable, "the list of tags is another relayer's").with_tier(Role::Shared));
        };
        list.begin(told.era, &told.tags);
        Ok(())
    }

    pub(super) fn invalidate(lists: &mut HashMap<String, TagList>, prefix: &str, tags: &[String]) {
        let list = lists.entry(prefix.to_owned()).or_default();
        if list.generation == 0 || list.of.len() > MOST_TAGS {
            *list = TagList { generation: RandomState::new().hash_one(0) | 1, ..TagList::default() };
        }
        list.begin(list.era + 1, tags);
    }

    fn begin(&mut self, era: u64, tags: &[String]) {
        self.era = era;
        self.of.extend(tags.iter().map(|tag| (tag.clone(), era)));
    }

    pub(super) fn eras(&self, tags: &[String]) -> TagEras {
        let of = tags.iter().map(|tag| self.of.get(tag).copied().unwrap_or_default()).collect();
        TagEras { generation: self.generation, era: self.era, of }
    }
}

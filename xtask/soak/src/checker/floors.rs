//! What is known of a number that is kept elsewhere, only grows, and is invalidated after each change.

use std::collections::BTreeMap;

use crate::history::Spell;

/// The changes of one key whose invalidation was acknowledged, as far back as an answer may still depend on them.
#[derive(Debug, Default)]
pub(super) struct Floors(BTreeMap<u64, Spell>);

impl Floors {
    /// The number was this one when an invalidation of the key began.
    pub(super) fn add(&mut self, number: u64, invalidation: Spell) {
        let earlier = self.0.get(&number).is_some_and(|known| known.to <= invalidation.to);
        if !earlier {
            self.0.insert(number, invalidation);
        }
    }

    /// The newest number whose invalidation was acknowledged before a moment, and did not overlap what was lost.
    pub(super) fn newest(&self, moment: u64, lost: &[Spell]) -> Option<(u64, Spell)> {
        let counts = |invalidation: &Spell| invalidation.to < moment && !lost.iter().any(|lost| lost.overlaps(invalidation));
        self.0.iter().rev().find(|(_, invalidation)| counts(invalidation)).map(|(number, invalidation)| (*number, *invalidation))
    }

    /// Forgets what no answer depends on any more that must reflect every invalidation acknowledged before `horizon`.
    pub(super) fn forget(&mut self, horizon: u64, lost: &[Spell]) {
        if let Some((newest, _)) = self.newest(horizon, lost) {
            self.0 = self.0.split_off(&newest);
        }
        self.0.retain(|_, invalidation| invalidation.to >= horizon || !lost.iter().any(|lost| lost.overlaps(invalidation)));
    }

    /// How much is remembered.
    pub(super) fn size(&self) -> usize {
        self.0.len()
    }
}

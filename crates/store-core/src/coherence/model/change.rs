//! A write, a deletion or an invalidation, from its transaction to the caches.

use super::instance::{KEY, Operation, TAG};
use super::rules::{Fault, Protection, Rules, Sight, Sights};
use super::shared::{decode, encode};
use super::state::{State, Step, Steps};
use super::truth::{Phase, Row, is_invalidation};
use crate::coherence::Era;
use crate::facet::{LogKind, SlotState};
use crate::fence::Fence;
use crate::version::Version;

/// A change under way.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) noted: Fence,
    /// What it was stamped with, as what it writes gets the tag.
    pub(super) stamp: u64,
    /// The generation that was known before it began, where that matters.
    pub(super) before: Option<u64>,
    /// Its row of the log.
    pub(super) entry: usize,
    /// Whether the writer was not told how its transaction ended.
    pub(super) is_unknown: bool,
    pub(super) step: Changing,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Changing {
    /// To commit.
    Commit,
    /// To raise the own floor, and to tell the other instances.
    Hear,
    /// To tell the slot of the row that was written; with no trusted mark, to empty it.
    Replace { row: Row, generation: Option<u64> },
    /// The same, of which nothing more depends.
    ReplaceLate { row: Row, generation: Option<u64> },
    /// To put the row that was written into memory.
    Publish(Row),
    /// To drop what memory holds, before the slot is emptied.
    Forget,
    /// To empty the slot.
    Remove,
    /// To drop what memory holds, after the slot was emptied.
    ForgetAgain,
}

impl Changing {
    pub(super) fn generation(&self) -> Option<u64> {
        match self {
            Changing::Replace { generation, .. } | Changing::ReplaceLate { generation, .. } => *generation,
            _ => None,
        }
    }
}

impl Change {
    pub(super) fn is_open(&self) -> bool {
        self.step == Changing::Commit
    }
}

impl State {
    pub(super) fn beginning_changes(&self, number: usize, rules: &Rules, steps: &mut Steps) {
        if self.changes_left == 0 {
            return;
        }
        for &kind in rules.kinds {
            let has_its_row = kind != LogKind::Delete || self.truth.row.is_some();
            if (!is_invalidation(kind) && self.truth.is_locked()) || !has_its_row {
                continue;
            }
            let mut next = self.clone();
            next.changes_left -= 1;
            let instance = self.instance(number);
            let (noted, stamp, before) = (instance.fence, instance.stamp(), instance.belief.generation().filter(|_| rules.tags));
            let entry = next.truth.begin(kind, rules);
            let change = Change { noted, stamp, before, entry, is_unknown: false, step: Changing::Commit };
            next.change(number, |instance| {
                if kind == LogKind::Invalidate {
                    instance.forget(rules);
                }
                if kind == LogKind::InvalidateTag {
                    instance.hear_tag(rules);
                }
                instance.operations.push(Operation::Change(change));
            });
            let what = match kind {
                LogKind::Put => "begins a write",
                LogKind::Delete => "begins a deletion",
                LogKind::Invalidate => "begins an invalidation",
                LogKind::InvalidateTag => "begins an invalidation of the tag",
            };
            steps.push((Step { who: "instance", number, what }, next));
        }
    }

    pub(super) fn change_steps(&self, number: usize, index: usize, change: &Change, rules: &Rules, sights: &mut Sights, steps: &mut Steps) {
        let entry = &self.truth.log[change.entry];
        let mut push = |what: &'static str, mut next: State, changed: Option<Change>| {
            match changed {
                Some(change) => next.set(number, index, Operation::Change(change)),
                None => next.end(number, index),
            }
            steps.push((Step { who: "instance", number, what }, next));
        };
        let mut next = self.clone();
        if change.step == Changing::Commit {
            let unknown = Change { is_unknown: true, step: Changing::Forget, ..change.clone() };
            if entry.phase == Phase::RolledBack {
                return push("learns that its transaction is lost", next, Some(unknown));
            }
            for commits in [true, false] {
                if rules.may(Fault::UnknownOutcome) && self.faults_left > 0 {
                    let mut next = self.clone();
                    next.faults_left -= 1;
                    if commits {
                        next.truth.commit(change.entry, self.now)
                    } else {
                        next.truth.roll_back(change.entry)
                    }
                    push(if commits { "commits and is not told" } else { "rolls back and is not told" }, next, Some(unknown.clone()));
                }
            }
        }
        let mut step = |what: &'static str, next: State, changing: Option<Changing>| {
            push(what, next, changing.map(|step| Change { step, ..change.clone() }));
        };
        match change.step {
            Changing::Commit => {
                let mut back = self.clone();
                back.truth.roll_back(change.entry);
                if entry.kind == LogKind::Put {
                    step("rolls back", back, None);
                }
                if entry.kind == LogKind::Put && !rules.has(Protection::CommitFirst) {
                    let row = Row { version: entry.version, as_of: entry.as_of + 1 };
                    let mut early = self.clone();
                    early.change(number, |instance| instance.publish(row, (change.noted, change.stamp), rules, sights));
                    step("publishes before it commits", early, Some(Changing::Commit));
                }
                next.truth.commit(change.entry, self.now);
                step("commits", next, Some(Changing::Hear));
            }
            Changing::Hear => {
                let version = Version::new(entry.version);
                let generation = next.change(number, |instance| {
                    if entry.kind == LogKind::InvalidateTag {
                        instance.belief.hear_tag(TAG);
                        instance.tell(entry.as_of);
                    } else {
                        instance.belief.hear(Some(KEY), version);
                    }
                    if !rules.has(Protection::OwnApplied) {
                        instance.add_own(version);
                    }
                    instance.belief.generation()
                });
                if rules.wakes {
                    next.change(1 - number, |instance| instance.wakes |= 1 << change.entry);
                }
                let changing = match entry.kind {
                    LogKind::Put => Changing::Replace { row: Row { version: entry.version, as_of: entry.as_of }, generation },
                    LogKind::Delete if rules.is_fine => Changing::Forget,
                    LogKind::Delete => {
                        let as_of = entry.as_of;
                        next.change(number, |instance| {
                            instance.forget(rules);
                            instance.tell(as_of);
                        });
                        Changing::Remove
                    }
                    LogKind::Invalidate => Changing::Remove,
                    LogKind::InvalidateTag => {
                        next.change(number, |instance| {
                            if rules.has(Protection::TagHeardAgain) {
                                instance.hear_tag(rules);
                            }
                            instance.add_own(version);
                        });
                        return step("hears of the tag again", next, None);
                    }
                };
                step("hears of its own commit", next, Some(changing));
            }
            Changing::Replace { row, generation } => {
                if rules.may(Fault::Timeout) && self.faults_left > 0 {
                    next.faults_left -= 1;
                    step("cannot reach the slot", next.clone(), Some(Changing::Publish(row)));
                    next.change(number, |instance| instance.publish(row, (change.noted, change.stamp), rules, sights));
                    step("publishes before the slot is told", next, Some(Changing::ReplaceLate { row, generation }));
                    next = self.clone();
                }
                next.replace(row, generation.filter(|_| !rules.tags || change.before == generation), rules, sights);
                step("tells the slot", next, Some(Changing::Publish(row)));
            }
            Changing::ReplaceLate { row, generation } => {
                next.replace(row, generation.filter(|_| !rules.tags || change.before == generation), rules, sights);
                step("has told the slot", next, None);
            }
            Changing::Publish(row) => {
                next.change(number, |instance| instance.publish(row, (change.noted, change.stamp), rules, sights));
                step("publishes", next, None);
            }
            Changing::Forget if entry.kind == LogKind::InvalidateTag => {
                next.change(number, |instance| {
                    instance.belief.hear_tag(TAG);
                    instance.hear_tag(rules);
                });
                step("hears of the tag again", next, None);
            }
            Changing::Forget | Changing::ForgetAgain => {
                let as_of = entry.as_of;
                let (is_known, version) = (!change.is_unknown, Version::new(entry.version));
                next.change(number, |instance| {
                    instance.forget(rules);
                    if is_known {
                        instance.tell(as_of);
                    }
                    if is_known && change.step == Changing::ForgetAgain {
                        instance.add_own(version);
                    }
                });
                step("forgets", next, (change.step == Changing::Forget).then_some(Changing::Remove));
            }
            Changing::Remove => {
                if rules.may(Fault::Timeout) && self.faults_left > 0 {
                    let mut next = self.clone();
                    next.faults_left -= 1;
                    step("cannot reach the slot", next, Some(Changing::ForgetAgain));
                }
                next.shared.primary.slot.remove();
                step("empties the slot", next, Some(Changing::ForgetAgain));
            }
        }
    }

    fn replace(&mut self, row: Row, generation: Option<u64>, rules: &Rules, sights: &mut Sights) {
        let slot = &mut self.shared.primary.slot;
        let Some(generation) = generation else { return slot.remove() };
        let before = slot.clone();
        // Of the era that was known the server may know nothing any more, so the record is of none.
        let record = encode(row, Era { generation, number: 0 });
        slot.replace(&record);
        let held_absence =
            matches!(&before, SlotState::Record(present) if present.generation == generation && decode(present).is_absence());
        if held_absence {
            sights.add(Sight::AbsenceMetByWriter);
        }
        if (before == SlotState::Empty && !rules.has(Protection::NoCreate)) || (held_absence && !rules.has(Protection::AbsenceEmptied)) {
            *slot = SlotState::Record(record);
        } else if before != SlotState::Empty && *slot == SlotState::Empty {
            sights.add(Sight::EmptiedByWriter);
        }
    }
}

//! A read: the mark, the slot, the truth, the fill, memory.

use std::sync::Arc;

use super::instance::{Instance, KEY, Marked, Operation, TAG};
use super::rules::{Protection, Rules, Sight, Sights};
use super::shared::{TagList, decode, encode, notes};
use super::state::{State, Step, Steps};
use super::truth::{Row, covers};
use crate::coherence::{Era, TagVerdict, Verdict, verdict};
use crate::facet::{FillLease, Mark, Slot, SlotState};
use crate::fence::Fence;
use crate::record::EncodedRecord;

/// A load, and the readers that wait for it.
#[derive(Debug, Clone)]
pub(super) struct Read {
    pub(super) noted: Fence,
    /// What it was stamped with, as it gets the tag.
    pub(super) stamp: u64,
    /// The oldest change that may be missing from the answer is the one after this.
    pub(super) required: u8,
    pub(super) can_be_joined: bool,
    pub(super) step: Reading,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Reading {
    /// The mark, without which no lease would be of use.
    Mark {
        wants_lease: bool,
    },
    /// The slot, under the mark that was read before. Over a broken connection that fails.
    Slot {
        mark: Marked,
        wants_lease: bool,
        is_broken: bool,
    },
    /// The mark after the slot, which is wrong.
    LateMark {
        slot: Slot,
        is_broken: bool,
    },
    Judge {
        slot: Slot,
        mark: Marked,
    },
    /// To give a lease back that is of no use.
    GiveBack,
    /// To ask the shared tier when the tag was invalidated.
    AskTag(EncodedRecord, Era),
    TakeOver(EncodedRecord, Era),
    Truth(Option<(FillLease, Era)>),
    Fill {
        row: Row,
        lease: FillLease,
        era: Era,
    },
    /// To give a lease back, as there is nothing to fill the slot with.
    GiveUp,
    Install(Row),
}

impl Reading {
    pub(super) fn lease(&self) -> Option<FillLease> {
        match self {
            Reading::Truth(lease) => lease.map(|(lease, _)| lease),
            Reading::Fill { lease, .. } => Some(*lease),
            Reading::Judge { slot: Slot::Leased(lease), .. } | Reading::LateMark { slot: Slot::Leased(lease), .. } => Some(*lease),
            _ => None,
        }
    }

    pub(super) fn generations(&self) -> Vec<u64> {
        let of_slot = |slot: &Slot| match slot {
            Slot::Record(record) => Some(record.generation),
            _ => None,
        };
        let of_mark = |mark: &Marked| mark.as_ref().map(|mark: &Arc<Mark>| mark.generation);
        let known = match self {
            Reading::Slot { mark, .. } => [of_mark(mark), None],
            Reading::LateMark { slot, .. } => [of_slot(slot), None],
            Reading::Judge { slot, mark } => [of_slot(slot), of_mark(mark)],
            Reading::TakeOver(record, era) | Reading::AskTag(record, era) => [Some(record.generation), Some(era.generation)],
            Reading::Truth(lease) => [lease.map(|(_, era)| era.generation), None],
            Reading::Fill { era, .. } => [Some(era.generation), None],
            _ => [None, None],
        };
        known.into_iter().flatten().collect()
    }

    pub(super) fn break_connection(&mut self) {
        if let Reading::Slot { is_broken, .. } | Reading::LateMark { is_broken, .. } = self {
            *is_broken = true;
        }
    }
}

impl State {
    /// Reads that begin, because memory has evicted what it held, or past memory and all caches. A read that memory answers changes nothing.
    pub(super) fn beginning_reads(&self, number: usize, rules: &Rules, steps: &mut Steps) {
        let instance = self.instance(number);
        let (noted, stamp) = (instance.fence, instance.stamp());
        let read = Read { noted, stamp, required: instance.told, can_be_joined: true, step: Reading::Truth(None) };
        let mut begin = |what: &'static str, evicts: bool, read: Read| {
            let mut next = self.clone();
            next.change(number, |instance| {
                if evicts {
                    instance.evict();
                }
                instance.operations.push(Operation::Read(read));
            });
            steps.push((Step { who: "instance", number, what }, next));
        };
        let from_shared = Read { step: Reading::Mark { wants_lease: instance.belief.generation().is_some() }, ..read.clone() };
        begin("reads", true, from_shared.clone());
        if rules.is_fine {
            if instance.memory.is_some() {
                begin("reads past memory", false, from_shared);
            }
            begin("reads the truth", false, Read { step: Reading::Truth(None), can_be_joined: false, ..read });
        }
    }

    pub(super) fn read_steps(&self, number: usize, index: usize, read: &Read, rules: &Rules, sights: &mut Sights, steps: &mut Steps) {
        let required = self.instance(number).told;
        if read.can_be_joined && read.required < required {
            let mut next = self.clone();
            next.set(number, index, Operation::Read(Read { required, ..read.clone() }));
            steps.push((Step { who: "instance", number, what: "joins a load" }, next));
        }
        let mut next = self.clone();
        let mut step = |what: &'static str, mut next: State, reading: Option<Reading>| {
            match reading {
                Some(step) => next.set(number, index, Operation::Read(Read { step, ..read.clone() })),
                None => next.end(number, index),
            }
            steps.push((Step { who: "instance", number, what }, next));
        };
        match &read.step {
            Reading::Mark { wants_lease } if rules.has(Protection::MarkFirst) => {
                let mark = self.shared.primary.mark.clone();
                step("fetches the mark", next, Some(Reading::Slot { mark, wants_lease: *wants_lease, is_broken: false }));
            }
            Reading::Mark { wants_lease } => {
                let slot = next.fetch(*wants_lease);
                step("fetches the slot", next, Some(Reading::LateMark { slot, is_broken: false }));
            }
            Reading::LateMark { is_broken: true, .. } | Reading::Slot { is_broken: true, .. } => {
                step("fails to fetch", next, Some(Reading::Truth(None)));
            }
            Reading::LateMark { slot, .. } => {
                step("fetches the mark", next, Some(Reading::Judge { slot: slot.clone(), mark: self.shared.primary.mark.clone() }));
            }
            Reading::Slot { mark, wants_lease, .. } => {
                let slot = next.fetch(*wants_lease);
                step("fetches the slot", next, Some(Reading::Judge { slot, mark: mark.clone() }));
            }
            Reading::Judge { slot, mark } => match next.judge(number, slot, mark, rules, sights) {
                Some(Reading::Install(row)) if !rules.is_fine => {
                    next.install(number, row, read, rules, sights);
                    step("judges, installs and answers", next, None);
                }
                Some(reading) => step("judges", next, Some(reading)),
                None => {
                    let wants_lease = next.instance(number).belief.generation().is_some();
                    step("waits", next.clone(), Some(Reading::Mark { wants_lease }));
                    step("does not wait", next, Some(Reading::Truth(None)));
                }
            },
            Reading::GiveBack => {
                next.shared.primary.slot.remove();
                step("gives a lease back", next, Some(Reading::Truth(None)));
            }
            Reading::GiveUp => {
                next.shared.primary.slot.remove();
                step("gives a lease back", next, None);
            }
            Reading::AskTag(record, present) => {
                let told = next.shared.primary.tags.map(TagList::told);
                let reading = next.change(number, |instance| {
                    if let Some(told) = &told {
                        instance.known.learn(&[TAG.to_owned()], told);
                    }
                    match instance.judge_tag(record, *present, rules, sights) {
                        Reading::AskTag(..) => Reading::Truth(None),
                        settled => settled,
                    }
                });
                step("asks of the tag", next, Some(reading));
            }
            Reading::TakeOver(record, era) => {
                let lease = self.unused_lease();
                let taken = next.shared.primary.slot.take_over(record, lease);
                step("takes a slot over", next, Some(Reading::Truth(taken.then_some((lease, *era)))));
            }
            Reading::Truth(lease) => {
                let reading = match (self.truth.found(rules), lease) {
                    (Some(row), Some((lease, era))) => Some(Reading::Fill { row, lease: *lease, era: *era }),
                    (Some(row), None) => Some(Reading::Install(row)),
                    (None, Some(_)) => Some(Reading::GiveUp),
                    (None, None) => None,
                };
                step("reads the row", next, reading);
            }
            Reading::Fill { row, lease, era } => {
                let record = encode(*row, *era);
                let slot = &mut next.shared.primary.slot;
                if !slot.fill(*lease, &record) {
                    sights.add(Sight::RefusedFill);
                    if !rules.has(Protection::FillLease) {
                        *slot = SlotState::Record(record);
                    }
                }
                if rules.is_fine {
                    return step("fills", next, Some(Reading::Install(*row)));
                }
                next.install(number, *row, read, rules, sights);
                step("fills, installs and answers", next, None);
            }
            Reading::Install(row) => {
                next.install(number, *row, read, rules, sights);
                step("installs and answers", next, None);
            }
        }
    }

    fn fetch(&mut self, wants_lease: bool) -> Slot {
        let lease = self.unused_lease();
        let slot = &mut self.shared.primary.slot;
        if wants_lease { slot.lease(lease) } else { slot.read() }
    }

    fn install(&mut self, number: usize, row: Row, read: &Read, rules: &Rules, sights: &mut Sights) {
        if row.as_of < read.required {
            self.broken = Some("an answer is older than what the instance was told before it was asked");
        }
        let before = self.instance(number).memory.into_iter().chain(self.instance(number).known_absence(rules)).max_by_key(|row| row.as_of);
        let is_kept = self.change(number, |instance| {
            if row.is_absence() {
                return instance.find_absent(row, read.noted, rules);
            }
            instance.install(row, (read.noted, read.stamp), rules, sights);
            instance.memory == Some(row)
        });
        let is_overtaken = before.is_some_and(|before| before.as_of > row.as_of && before.is_absence() != row.is_absence());
        if is_kept && is_overtaken {
            self.broken = Some("a load took the place of something newer");
        }
    }

    /// What to do about a slot; `None` where somebody else is loading.
    fn judge(&mut self, number: usize, slot: &Slot, mark: &Marked, rules: &Rules, sights: &mut Sights) -> Option<Reading> {
        self.change(number, |instance| {
            let mut generation = instance.belief.judge(mark.as_ref(), covers);
            if generation.is_none() && mark.is_some() {
                sights.add(Sight::MarkWentBack);
                if !rules.has(Protection::MarkCheck) {
                    generation = mark.as_ref().map(|mark| mark.generation);
                }
            }
            let admits = |version| instance.belief.admits(KEY, version) || !rules.has(Protection::Floor);
            let number = mark.as_ref().map_or(0, |mark| mark.era);
            let era = |generation| Era { generation, number };
            let reading = match verdict(slot.clone(), generation, admits) {
                Verdict::Record(record, generation) if rules.tags => {
                    if !instance.belief.admits_tag(TAG) {
                        sights.add(Sight::TagFloor);
                        if rules.has(Protection::TagFloor) {
                            return Some(Reading::Truth(None));
                        }
                    }
                    instance.judge_tag(&record, era(generation), rules, sights)
                }
                Verdict::Record(record, _) => {
                    let row = decode(&record);
                    sights.add(if row.is_absence() { Sight::SharedAbsence } else { Sight::SharedHit });
                    Reading::Install(row)
                }
                Verdict::Leased(lease, generation) => Reading::Truth(Some((lease, era(generation)))),
                Verdict::Unusable => Reading::GiveBack,
                Verdict::Dead(record, generation) => {
                    sights.add(Sight::DeadRecord);
                    Reading::TakeOver(record, era(generation))
                }
                Verdict::Busy => return None,
                Verdict::Missed | Verdict::Foreign => {
                    if matches!(slot, Slot::Record(_)) && generation.is_some() {
                        sights.add(Sight::Floor);
                    }
                    Reading::Truth(None)
                }
            };
            Some(reading)
        })
    }
}

impl Instance {
    /// What to do about a record with the tag. `present` is the era of the mark that was read before it.
    fn judge_tag(&self, record: &EncodedRecord, present: Era, rules: &Rules, sights: &mut Sights) -> Reading {
        let notes = notes(record);
        let verdict = self.known.judge(Some(&notes), present);
        match verdict {
            TagVerdict::Holds if notes.era < present.number => sights.add(Sight::EarlierEra),
            TagVerdict::Void => sights.add(Sight::SharedVoidByTag),
            _ => {}
        }
        match verdict {
            TagVerdict::Void if rules.has(Protection::TagEra) => Reading::TakeOver(record.clone(), present),
            TagVerdict::Unknown if rules.has(Protection::TagEra) => Reading::AskTag(record.clone(), present),
            _ => {
                sights.add(Sight::SharedHit);
                Reading::Install(decode(record))
            }
        }
    }
}

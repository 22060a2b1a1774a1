//! A relayer at work.

use std::sync::Arc;

use super::rules::{Protection, Rules, Sight, Sights};
use super::shared::TagList;
use super::state::{State, Step, Steps};
use super::truth::{Place, covers, entries_in};
use crate::coherence::relayer::{Standing, below, both, standing};
use crate::coherence::tag_eras::Eras;
use crate::facet::{LogKind, Mark};
use crate::version::Version;

/// Where a relayer is in its step.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Relaying {
    Idle,
    /// It has read the mark, and reads the log next. What it does then goes over the same connection.
    Reading {
        mark: Option<Arc<Mark>>,
        is_broken: bool,
    },
    /// It has read the log, and removes next.
    Removing {
        from: Arc<Mark>,
        entries: u8,
        to: Place,
        is_broken: bool,
    },
    /// It has removed, and moves the mark next.
    Marking {
        from: Arc<Mark>,
        to: Place,
        era: u64,
        is_broken: bool,
    },
    /// It begins a new generation next.
    Renewing(Place),
}

impl Relaying {
    pub(super) fn generation(&self) -> Option<u64> {
        match self {
            Relaying::Reading { mark, .. } => mark.as_ref().map(|mark| mark.generation),
            Relaying::Removing { from, .. } | Relaying::Marking { from, .. } => Some(from.generation),
            Relaying::Idle | Relaying::Renewing(_) => None,
        }
    }

    pub(super) fn break_connection(&mut self) {
        if let Relaying::Reading { is_broken, .. } | Relaying::Removing { is_broken, .. } | Relaying::Marking { is_broken, .. } = self {
            *is_broken = true;
        }
    }
}

impl State {
    pub(super) fn relayer_steps(&self, number: usize, rules: &Rules, sights: &mut Sights, steps: &mut Steps) {
        let mut step = |what: &'static str, next: State| steps.push((Step { who: "relayer", number, what }, next));
        let mut next = self.clone();
        match &self.relayers[number] {
            Relaying::Idle => {
                let primary = &self.shared.primary;
                let mark = primary.mark_of_relayer();
                let end = self.truth.end(Some(rules)).cursor();
                // To read it before the next commit would be the same as after it.
                if self.faults_left == 0 && mark.as_ref().is_some_and(|mark| mark.position == end) {
                    return;
                }
                next.relayers[number] = Relaying::Reading { mark: mark.map(Arc::new), is_broken: false };
                step("reads the mark", next);
            }
            &Relaying::Reading { ref mark, is_broken } => {
                let mark = mark.as_deref().cloned();
                next.relayers[number] = match standing(&[mark], covers) {
                    Standing::Lost => Relaying::Renewing(self.truth.end(Some(rules))),
                    Standing::At(mark) => {
                        let batch = self.truth.read(Place::of(&mark.position), rules);
                        if batch.gap {
                            Relaying::Renewing(self.truth.end(Some(rules)))
                        } else if batch.end.cursor() == mark.position {
                            Relaying::Idle
                        } else if rules.is_fine {
                            Relaying::Removing { from: Arc::new(mark), entries: batch.entries, to: batch.end, is_broken }
                        } else {
                            let from = Arc::new(mark);
                            let done = next.relayer_removes(
                                number,
                                &from,
                                batch.entries,
                                batch.end,
                                is_broken && rules.has(Protection::ConnectionOfMark),
                            );
                            return step(if done { "reads the log and removes" } else { "has lost its connection" }, next);
                        }
                    }
                };
                step("reads the log", next);
            }
            &Relaying::Removing { ref from, entries, to, is_broken } => {
                let done = next.relayer_removes(number, from, entries, to, is_broken && rules.has(Protection::ConnectionOfMark));
                step(if done { "removes" } else { "has lost its connection" }, next);
            }
            Relaying::Marking { from, to, era, is_broken } => {
                next.relayers[number] = Relaying::Idle;
                let refused = *is_broken && rules.has(Protection::SameConnection);
                if refused {
                    sights.add(Sight::RefusedMark);
                } else {
                    next.shared.primary.mark = Some(Arc::new(Mark { generation: from.generation, era: *era, position: to.cursor() }));
                }
                step(if refused { "cannot move the mark" } else { "moves the mark" }, next);
            }
            Relaying::Renewing(place) => {
                sights.add(Sight::NewGeneration);
                let generation = self.unused_generation();
                next.shared.primary.tags = rules.tags.then(|| TagList::new(generation));
                next.shared.primary.mark = Some(Arc::new(Mark { generation, era: rules.tags.into(), position: place.cursor() }));
                next.relayers[number] = Relaying::Idle;
                step("begins a generation", next);
            }
        }
    }

    /// Removes, unless its connection is refused. Returns whether it did.
    fn relayer_removes(&mut self, number: usize, from: &Arc<Mark>, entries: u8, to: Place, is_refused: bool) -> bool {
        if is_refused {
            self.relayers[number] = Relaying::Idle;
            return false;
        }
        let entries = || entries_in(entries).map(|index| &self.truth.log[index]);
        let of_rows = entries().filter(|entry| entry.kind != LogKind::InvalidateTag);
        let removal = of_rows.map(|entry| below(entry.kind, Version::new(entry.version))).reduce(both);
        let is_told = entries().any(|entry| entry.kind == LogKind::InvalidateTag);
        let slot = &mut self.shared.primary.slot;
        match removal {
            Some(Some(version)) => slot.remove_older(version),
            Some(None) => slot.remove(),
            None => {}
        }
        let mut era = from.era;
        if from.era > 0
            && let Some(eras) = Eras::of(&[Some(Mark::clone(from))])
            && let Some(_) = eras.next(is_told, 0)
        {
            // Another relayer was faster, or the list is lost.
            let list = self.shared.primary.tags.filter(|list| list.generation == from.generation && list.era == eras.present());
            let Some(list) = list else {
                self.relayers[number] = Relaying::Idle;
                return false;
            };
            self.eras += 1;
            era = self.eras;
            self.shared.primary.tags = Some(TagList { era, invalidated: era, ..list });
        }
        self.relayers[number] = Relaying::Marking { from: Arc::clone(from), to, era, is_broken: false };
        true
    }
}

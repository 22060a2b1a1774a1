//! The shared tier: a slot and a mark, with a replica; and what goes wrong.

use std::sync::Arc;

use super::instance::TAG;
use super::relay::Relaying;
use super::rules::{Fault, Rules};
use super::state::{State, Step, Steps};
use super::truth::{Phase, Place, Row};
use crate::coherence::Era;
use crate::facet::{FillLease, Mark, SlotState, TagEras};
use crate::notes::Notes;
use crate::record::EncodedRecord;
use crate::version::Version;

/// When the tag was invalidated, as a server knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TagList {
    pub(super) generation: u64,
    pub(super) era: u64,
    /// The era in which it was, or 0.
    pub(super) invalidated: u64,
}

impl TagList {
    pub(super) fn new(generation: u64) -> Self {
        TagList { generation, era: 1, invalidated: 0 }
    }

    /// As [`Records::tag_eras`](crate::facet::Records::tag_eras).
    pub(super) fn told(self) -> TagEras {
        TagEras { generation: self.generation, era: self.era, of: vec![self.invalidated] }
    }
}

/// What one server holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Server {
    pub(super) slot: SlotState,
    pub(super) mark: Option<Arc<Mark>>,
    pub(super) tags: Option<TagList>,
}

impl Server {
    /// As [`Records::marks`](crate::facet::Records::marks).
    pub(super) fn mark_of_relayer(&self) -> Option<Mark> {
        let mark = self.mark.as_deref()?;
        if mark.era == 0 {
            return Some(mark.clone());
        }
        let list = self.tags.filter(|list| list.generation == mark.generation && list.era >= mark.era)?;
        Some(Mark { era: list.era, ..mark.clone() })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Shared {
    pub(super) primary: Server,
    /// What the primary held at some earlier time.
    replica: Server,
}

const CHANGES: [u8; 32] =
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31];

/// A row as the shared tier holds it, which was loaded in an era.
pub(super) fn encode(row: Row, era: Era) -> EncodedRecord {
    let Era { generation, number } = era;
    let change = usize::from(row.as_of);
    let payload = match u8::try_from(number) {
        Ok(0) | Err(_) => CHANGES[change..=change].into(),
        Ok(number) => vec![row.as_of, number].into(),
    };
    EncodedRecord { version: Version::new(row.version), generation, fingerprint: 1, codec: 1, deadline: None, payload }
}

pub(super) fn decode(record: &EncodedRecord) -> Row {
    Row { version: record.version.get(), as_of: record.payload[0] }
}

/// The notes of a tagged row that the shared tier holds.
pub(super) fn notes(record: &EncodedRecord) -> Notes {
    let era = record.payload.get(1).copied().unwrap_or_default().into();
    Notes { tags: vec![TAG.to_owned()], era, ..Notes::default() }
}

impl Shared {
    /// With a row in its slot, or none.
    pub(super) fn new(place: Place, row: Option<Row>, rules: &Rules) -> Self {
        let era = Era { generation: 1, number: rules.tags.into() };
        let mark = Arc::new(Mark { generation: 1, era: era.number, position: place.cursor() });
        Shared {
            primary: Server {
                slot: row.map_or(SlotState::Empty, |row| SlotState::Record(encode(row, era))),
                mark: Some(mark),
                tags: rules.tags.then(|| TagList::new(1)),
            },
            replica: Server::default(),
        }
    }

    pub(super) fn summary(&self) -> String {
        let slot = match &self.primary.slot {
            SlotState::Record(record) => format!("{:?} of generation {}", (record.version.get(), record.payload[0]), record.generation),
            slot => format!("{slot:?}"),
        };
        let mark = self.primary.mark.as_ref().map(|mark| (mark.generation, Place::of(&mark.position)));
        format!("{slot} under mark {mark:?}")
    }
}

impl State {
    fn servers(&self) -> [&Server; 2] {
        [&self.shared.primary, &self.shared.replica]
    }

    /// A lease that nobody remembers.
    pub(super) fn unused_lease(&self) -> FillLease {
        let in_slots = self.servers().into_iter().filter_map(|server| match server.slot {
            SlotState::Leased(lease) => Some(lease),
            _ => None,
        });
        let known: Vec<FillLease> = in_slots.chain(self.instances().flat_map(|instance| instance.leases())).collect();
        (1..).map(FillLease::new).find(|lease| !known.contains(lease)).unwrap_or(FillLease::new(0))
    }

    /// A generation that nobody remembers.
    pub(super) fn unused_generation(&self) -> u64 {
        let mut known: Vec<u64> = Vec::new();
        for server in self.servers() {
            known.extend(server.mark.as_ref().map(|mark| mark.generation));
            known.extend(server.tags.map(|list| list.generation));
            if let SlotState::Record(record) = &server.slot {
                known.push(record.generation);
            }
        }
        known.extend(self.instances().flat_map(|instance| instance.generations()));
        known.extend(self.relayers.iter().filter_map(Relaying::generation));
        (1..).find(|generation| !known.contains(generation)).unwrap_or(0)
    }

    /// Whatever the rules let go wrong.
    pub(super) fn fault_steps(&self, rules: &Rules, steps: &mut Steps) {
        let may_fail_over = self.faults_left > 0 && rules.may(Fault::FailOver);
        if may_fail_over && self.shared.replica != self.shared.primary {
            let mut next = self.clone();
            next.shared.replica = next.shared.primary.clone();
            steps.push((Step { who: "shared tier", number: 0, what: "replicates" }, next));
        }
        if self.faults_left == 0 {
            return;
        }
        let mut fault = |number: usize, what: &'static str, happen: &dyn Fn(&mut State)| {
            let mut next = self.clone();
            next.faults_left -= 1;
            happen(&mut next);
            if next.faults_left == 0 {
                // Nobody will see it again.
                next.shared.replica = Server::default();
            }
            steps.push((Step { who: "fault", number, what }, next));
        };
        let primary = &self.shared.primary;
        if rules.may(Fault::Evict) && primary.slot != SlotState::Empty {
            fault(0, "slot evicted", &|next| next.shared.primary.slot.remove());
        }
        if rules.may(Fault::LoseMark) && primary.mark.is_some() {
            fault(0, "mark lost", &|next| next.shared.primary.mark = None);
        }
        if rules.may(Fault::LoseTags) && primary.tags.is_some() {
            fault(0, "list of tags lost", &|next| next.shared.primary.tags = None);
        }
        if rules.may(Fault::Flush) && *primary != Server::default() {
            fault(0, "shared tier flushed", &|next| next.shared.primary = Server::default());
        }
        if may_fail_over && self.shared.replica != *primary {
            fault(0, "shared tier fails over", &|next| {
                next.shared.primary = next.shared.replica.clone();
                next.break_connections();
            });
        }
        if rules.may(Fault::Prune) && self.truth.can_be_pruned() {
            fault(0, "log pruned", &|next| next.truth.prune());
        }
        if rules.may(Fault::TruthFailOver) && self.truth.log.iter().any(|entry| entry.phase == Phase::Committed) {
            fault(0, "truth fails over", &|next| next.truth.fail_over());
        }
        for number in (0..2).filter(|_| rules.may(Fault::RelayerDeath)) {
            if self.relayers[number] != Relaying::Idle {
                fault(number, "relayer ends", &|next| next.relayers[number] = Relaying::Idle);
            }
        }
        for number in (0..2).filter(|_| rules.may(Fault::Crash)) {
            fault(number, "instance ends", &|next| next.crash(number, rules));
        }
    }

    fn break_connections(&mut self) {
        self.relayers.iter_mut().for_each(Relaying::break_connection);
        for number in 0..2 {
            self.change(number, |instance| instance.break_connections());
        }
    }
}

//! An instance: its memory, what it believes of the shared tier, and its place in the log.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use super::change::Change;
use super::read::Read;
use super::rules::{Protection, Rules, Sight, Sights};
use super::state::{State, Step, Steps};
use super::truth::{Batch, Entry, Place, Row, Truth, covers, entries_in};
use crate::coherence::lease::FreshnessLease;
use crate::coherence::memory;
use crate::coherence::own::Own;
use crate::coherence::trust::Belief;
use crate::coherence::{Epochs, KnownTagEras};
use crate::facet::{FillLease, LogKind, Mark};
use crate::fence::Fence;
use crate::version::Version;

/// The one key.
pub(super) const KEY: &str = "k";
/// The one tag.
pub(super) const TAG: &str = "t";
/// The freshness bound, in ticks.
pub(super) const BOUND: u8 = 2;

/// A read or a change under way.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    Read(Read),
    Change(Change),
}

/// Where a poll of the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Stage {
    Sent,
    Answered(Batch),
    /// Its floors are raised, and memory is told next.
    Floored(Batch),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Poll {
    sent: u8,
    /// What the log told when it was sent.
    logged: u8,
    stage: Stage,
}

#[derive(Debug, Clone)]
pub(super) struct Instance {
    pub(super) memory: Option<Row>,
    /// That there is no row, with the fence that was noted before that was read.
    absent: Option<(Row, Fence)>,
    /// What it has heard of the tag, and what memory's entry was stamped with.
    epochs: Epochs,
    stamp: u64,
    /// What the shared tier has told of the tag.
    pub(super) known: KnownTagEras,
    pub(super) fence: Fence,
    pub(super) belief: Belief,
    /// Its own commits that memory has caught up with, if it both writes and follows the log.
    pub(super) own: Option<Own>,
    pub(super) place: Option<Place>,
    /// When the last completed poll was sent.
    polled: Option<u8>,
    /// The newest change that memory was told of.
    pub(super) told: u8,
    poll: Option<Poll>,
    pub(super) operations: Vec<Operation>,
    /// Messages on their way to here, of these entries.
    pub(super) wakes: u8,
}

impl Hash for Instance {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.absent.map(|(row, noted)| (row, self.fence.is_untouched(noted))).hash(state);
        (self.holds(self.stamp), &self.known).hash(state);
        (self.memory, &self.belief, &self.own, self.place, self.polled, self.told, self.poll, self.wakes).hash(state);
        // In which order operations began is the same to all, and how often a fence was touched.
        let one = |operation: &Operation| {
            let mut hasher = DefaultHasher::new();
            match operation {
                Operation::Read(read) => {
                    (0, self.fence.since_load(read.noted), self.holds(read.stamp), read.required, read.can_be_joined, &read.step)
                        .hash(&mut hasher)
                }
                Operation::Change(change) => (
                    1,
                    self.fence.since_write(change.noted),
                    self.holds(change.stamp),
                    change.before,
                    change.entry,
                    change.is_unknown,
                    change.step,
                )
                    .hash(&mut hasher),
            }
            hasher.finish()
        };
        let mut operations: Vec<u64> = self.operations.iter().map(one).collect();
        operations.sort_unstable();
        operations.hash(state);
    }
}

impl Instance {
    /// One that has just been started, and has not yet read the log.
    pub(super) fn new() -> Self {
        Instance {
            memory: None,
            absent: None,
            epochs: Epochs::default(),
            stamp: 0,
            known: KnownTagEras::default(),
            fence: Fence::default(),
            belief: Belief::new(10),
            own: None,
            place: None,
            polled: None,
            told: 0,
            poll: None,
            operations: Vec::new(),
            wakes: 0,
        }
    }

    /// One that follows the log from a place, and holds nothing yet.
    pub(super) fn started(place: Place, now: u8, logged: u8, mark: &Marked) -> Self {
        let mut instance = Instance::new();
        instance.belief.begin_poll();
        instance.belief.start(place.cursor());
        if let Some(mark) = mark {
            instance.belief.confirm(mark.generation);
        }
        instance.belief.judge(mark.as_ref(), covers);
        Instance { place: Some(place), polled: Some(now), told: logged, ..instance }
    }

    /// Whether memory may answer a read that asks for the bound.
    pub(super) fn is_fresh(&self, now: u8) -> bool {
        let seconds = |ticks: u8| Duration::from_secs(ticks.into());
        let lease = FreshnessLease::default();
        if let Some(polled) = self.polled {
            lease.renew(1, seconds(polled));
        }
        lease.end(seconds(BOUND)).is_some_and(|end| seconds(now) < end)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.operations.is_empty() && self.poll.is_none()
    }

    pub(super) fn leases(&self) -> impl Iterator<Item = FillLease> {
        self.operations.iter().filter_map(|operation| match operation {
            Operation::Read(read) => read.step.lease(),
            Operation::Change(_) => None,
        })
    }

    pub(super) fn generations(&self) -> Vec<u64> {
        let mut generations: Vec<u64> = self.belief.known_generations().collect();
        for operation in &self.operations {
            match operation {
                Operation::Read(read) => generations.extend(read.step.generations()),
                Operation::Change(change) => generations.extend(change.step.generation()),
            }
        }
        generations
    }

    pub(super) fn break_connections(&mut self) {
        for operation in &mut self.operations {
            if let Operation::Read(read) = operation {
                read.step.break_connection();
            }
        }
    }

    /// Drops what memory holds, and voids every load that began before.
    pub(super) fn forget(&mut self, rules: &Rules) {
        self.forget_flights(rules);
        self.fence.touch();
        self.memory = None;
    }

    pub(super) fn forget_flights(&mut self, rules: &Rules) {
        for operation in &mut self.operations {
            if let Operation::Read(read) = operation {
                read.can_be_joined &= !rules.has(Protection::FlightForgotten);
            }
        }
    }

    pub(super) fn tell(&mut self, change: u8) {
        self.told = self.told.max(change);
    }

    /// What an entry is stamped with whose load or write begins now.
    pub(super) fn stamp(&self) -> u64 {
        self.epochs.stamp()
    }

    /// Whether a tagged entry with this stamp is not void.
    fn holds(&self, stamp: u64) -> bool {
        self.epochs.holds(&[TAG.to_owned()], stamp)
    }

    /// What memory may answer.
    pub(super) fn held(&self, rules: &Rules) -> Option<Row> {
        self.memory.filter(|_| !rules.tags || !rules.has(Protection::TagEpoch) || self.holds(self.stamp))
    }

    /// Memory hears that the tag was invalidated. No load that is under way is void for that alone.
    pub(super) fn hear_tag(&mut self, rules: &Rules) {
        self.forget_flights(rules);
        self.epochs.raise(TAG);
    }

    /// Floors of what was heard of.
    fn raise_floor(&mut self, entry: &Entry) {
        if entry.kind == LogKind::InvalidateTag {
            self.belief.hear_tag(TAG);
        } else {
            self.belief.hear(Some(KEY), Version::new(entry.version));
        }
    }

    /// Memory hears of a commit of another.
    fn drop_older(&mut self, entry: &Entry, rules: &Rules) {
        if entry.kind == LogKind::InvalidateTag {
            self.hear_tag(rules);
            return self.tell(entry.as_of);
        }
        self.forget_flights(rules);
        let version = Some(Version::new(entry.version));
        self.fence.hear(entry.kind, version);
        if !memory::outlasts(self.memory.map(|row| Version::new(row.version)), entry.kind, version) {
            self.memory = None;
        }
        self.tell(entry.as_of);
    }

    /// Takes a row that was written here, or drops what is there; either voids every load that began before.
    pub(super) fn publish(&mut self, row: Row, (mut noted, stamp): (Fence, u64), rules: &Rules, sights: &mut Sights) {
        self.forget_flights(rules);
        let version = Version::new(row.version);
        if self.own.as_mut().is_some_and(|own| own.take_told(version)) {
            sights.add(Sight::ToldOfOwn);
            noted.touch();
        }
        let undisturbed = self.fence.publish(Some(&mut noted)) || !rules.has(Protection::Fence);
        let present = self.memory.map(|row| Version::new(row.version));
        let takes = memory::takes_write(present, version, undisturbed);
        if !takes {
            sights.add(Sight::RefusedInstall);
        }
        (self.memory, self.stamp) = (takes.then_some(row), stamp);
        self.tell(row.as_of);
        self.add_own(version);
    }

    /// Memory has caught up with a commit of its own.
    pub(super) fn add_own(&mut self, version: Version) {
        if let Some(own) = &mut self.own {
            own.add(version);
        }
    }

    /// Takes a row that was loaded, unless something overtook the load.
    pub(super) fn install(&mut self, row: Row, (noted, stamp): (Fence, u64), rules: &Rules, sights: &mut Sights) {
        let version = Version::new(row.version);
        let is_admitted =
            if rules.has(Protection::AbsenceVoids) { self.fence.admits(noted, version) } else { self.fence.is_untouched(noted) };
        if !is_admitted {
            sights.add(Sight::RefusedInstall);
            if rules.has(Protection::Fence) {
                return;
            }
        }
        if memory::takes_load(self.memory.map(|row| Version::new(row.version)), version) {
            (self.memory, self.stamp) = (Some(row), stamp);
        }
        if rules.absences {
            self.absent = None;
            self.fence.installed();
        }
    }

    /// Learns from a load that there is no row. Returns whether that is remembered.
    pub(super) fn find_absent(&mut self, row: Row, noted: Fence, rules: &Rules) -> bool {
        self.forget_flights(rules);
        self.memory = None;
        let is_newest = self.fence.find_absent(Some(noted)) || !rules.has(Protection::AbsenceNewest);
        if is_newest {
            self.absent = Some((row, noted));
        }
        is_newest
    }

    /// The absence that memory may answer.
    pub(super) fn known_absence(&self, rules: &Rules) -> Option<Row> {
        let counts = |noted| self.fence.is_untouched(noted) || !rules.has(Protection::AbsenceFence);
        self.absent.filter(|(_, noted)| counts(*noted)).map(|(row, _)| row)
    }

    /// Memory loses what it holds.
    pub(super) fn evict(&mut self) {
        (self.memory, self.absent) = (None, None);
    }

    fn raise_floors(&mut self, batch: &Batch, truth: &Truth) {
        if batch.gap {
            self.belief.start(batch.end.cursor());
        } else {
            let entries = || entries_in(batch.entries).map(|index| &truth.log[index]);
            entries().filter(|entry| entry.kind == LogKind::InvalidateTag).for_each(|_| self.belief.hear_tag(TAG));
            let of_rows = entries().filter(|entry| entry.kind != LogKind::InvalidateTag);
            let brought = of_rows.map(|entry| (Some(KEY), Version::new(entry.version)));
            self.belief.end_poll(brought, batch.end.cursor());
        }
    }

    /// Tells memory what a poll brought. The poll is over then. Returns whether it brought all that the log told when it was sent.
    fn arrive(&mut self, poll: Poll, batch: &Batch, state: &State, rules: &Rules, sights: &mut Sights) -> bool {
        if batch.gap {
            self.forget(rules);
            self.tell(batch.as_of);
        } else {
            for entry in entries_in(batch.entries).map(|index| &state.truth.log[index]) {
                let version = Version::new(entry.version);
                if self.own.as_ref().is_some_and(|own| own.is_own(version)) {
                    sights.add(Sight::OwnSkipped);
                    continue;
                }
                self.drop_older(entry, rules);
                if let Some(own) = &mut self.own {
                    own.applied(version);
                }
            }
            if let Some(own) = &mut self.own {
                own.end_poll();
            }
        }
        let is_of_this_log = |mark: &Mark| !state.truth.read(Place::of(&mark.position), rules).gap;
        if let Some(mark) = self.belief.take_unconfirmed().filter(|mark| is_of_this_log(mark)) {
            self.belief.confirm(mark.generation);
        }
        let counted_from = if rules.has(Protection::LeaseFromSending) { poll.sent } else { state.now };
        self.polled = self.polled.max(Some(counted_from));
        (self.place, self.poll) = (Some(batch.end), None);
        self.told >= poll.logged
    }

    pub(super) fn summary(&self) -> String {
        let memory = self.memory.map(|row| (row.version, row.as_of));
        format!("memory {memory:?} told {} polled {:?}", self.told, self.polled)
    }
}

impl State {
    pub(super) fn instance_steps(&self, number: usize, rules: &Rules, sights: &mut Sights, steps: &mut Steps) {
        let instance = self.instance(number);
        if instance.operations.len() < rules.operations {
            if rules.reads[number] {
                self.beginning_reads(number, rules, steps);
            }
            if rules.writes[number] {
                self.beginning_changes(number, rules, steps);
            }
        }
        for (index, operation) in instance.operations.iter().enumerate() {
            match operation {
                Operation::Read(read) => self.read_steps(number, index, read, rules, sights, steps),
                Operation::Change(change) => self.change_steps(number, index, change, rules, sights, steps),
            }
        }
        if rules.polls[number] {
            self.poll_step(number, rules, sights, steps);
        }
        for index in entries_in(instance.wakes) {
            let mut next = self.clone();
            let entry = self.truth.log[index].clone();
            next.change(number, |instance| {
                instance.wakes &= !(1 << index);
                instance.raise_floor(&entry);
                instance.drop_older(&entry, rules);
            });
            steps.push((Step { who: "instance", number, what: "hears a message" }, next));
        }
    }

    fn poll_step(&self, number: usize, rules: &Rules, sights: &mut Sights, steps: &mut Steps) {
        let instance = self.instance(number);
        let mut next = self.clone();
        let what = match instance.poll {
            None => {
                let is_behind = instance.place != Some(self.truth.end(Some(rules)));
                let is_over =
                    rules.has(Protection::SnapshotCursor) && self.changes_left == 0 && self.faults_left == 0 && !self.truth.is_open();
                // It would bring nothing, renew no lease and move no floor.
                if is_over && !is_behind && instance.polled == Some(self.now) && !instance.belief.awaits_poll() {
                    return;
                }
                let poll = Poll { sent: self.now, logged: self.truth.logged(), stage: Stage::Sent };
                next.change(number, |instance| {
                    instance.own.as_mut().into_iter().for_each(Own::begin_poll);
                    instance.belief.begin_poll();
                    instance.poll = Some(poll);
                });
                "polls"
            }
            Some(poll @ Poll { stage: Stage::Sent, .. }) => {
                let batch = match instance.place {
                    Some(place) => self.truth.read(place, rules),
                    None => self.truth.start(rules),
                };
                if batch.gap {
                    sights.add(Sight::Gap);
                }
                next.change(number, |instance| instance.poll = Some(Poll { stage: Stage::Answered(batch), ..poll }));
                "is answered by the log"
            }
            Some(poll @ Poll { stage: Stage::Answered(batch), .. }) => {
                next.change(number, |instance| {
                    instance.raise_floors(&batch, &self.truth);
                    instance.poll = Some(Poll { stage: Stage::Floored(batch), ..poll });
                });
                if !rules.is_fine {
                    next.arrive(number, poll, &batch, rules, sights);
                }
                "raises floors"
            }
            Some(poll @ Poll { stage: Stage::Floored(batch), .. }) => {
                next.arrive(number, poll, &batch, rules, sights);
                "tells memory"
            }
        };
        steps.push((Step { who: "instance", number, what }, next));
    }

    fn arrive(&mut self, number: usize, poll: Poll, batch: &Batch, rules: &Rules, sights: &mut Sights) {
        let before = self.clone();
        if !self.change(number, |instance| instance.arrive(poll, batch, &before, rules, sights)) {
            self.broken = Some("a poll of the log brought less than what was committed before it was sent");
        }
    }

    /// The process ends, and another takes its place.
    pub(super) fn crash(&mut self, number: usize, rules: &Rules) {
        let open: Vec<usize> = self.instance(number).operations.iter().filter_map(Operation::open_transaction).collect();
        open.into_iter().for_each(|index| self.truth.roll_back(index));
        self.change(number, |instance| *instance = Instance { own: rules.own(number), ..Instance::new() });
    }

    /// Changes an operation of an instance.
    pub(super) fn set(&mut self, number: usize, index: usize, operation: Operation) {
        self.change(number, |instance| instance.operations[index] = operation);
    }

    /// An operation is over.
    pub(super) fn end(&mut self, number: usize, index: usize) {
        self.change(number, |instance| instance.operations.remove(index));
    }
}

impl Operation {
    fn open_transaction(&self) -> Option<usize> {
        match self {
            Operation::Change(change) if change.is_open() => Some(change.entry),
            _ => None,
        }
    }
}

/// A mark as a reader holds it.
pub(super) type Marked = Option<Arc<Mark>>;

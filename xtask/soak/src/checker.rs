//! Whether every read kept its promise.
//!
//! Nothing is assumed of what is not known: a write that was begun and never acknowledged may have been committed at any time since, or never. So what is
//! reported is wrong for certain.

mod floors;
mod known;
#[cfg(test)]
mod tests;
mod told;

use std::collections::{HashMap, VecDeque};
use std::ops::AddAssign;

use floors::Floors;
use known::{Answer, Known};
use told::Told;

use crate::history::{Event, Kind, Promise, Spell, Stats, Way};
use crate::model::{FIRST, SECOND};

/// For how long it is remembered what an answer may depend on, in nanoseconds. Longer than any call takes.
const MEMORY: u64 = 40_000_000_000;
/// No more violations than these are kept with their texts.
const KEPT: usize = 200;

/// A promise that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) key: u64,
    /// When the read was answered.
    pub(crate) at: u64,
    pub(crate) text: String,
}

/// How much was checked, and how it came out.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) reads: u64,
    /// Reads that took so long, or were told of so late, that what they depend on was forgotten.
    pub(crate) unchecked: u64,
    /// Those of the reads that were of tagged records, and loads.
    pub(crate) tagged: u64,
    pub(crate) loaded: u64,
    pub(crate) writes: u64,
    /// Those of the writes that were in batches, conditional, in transactions, and by condition.
    pub(crate) batched: u64,
    pub(crate) conditional: u64,
    pub(crate) transacted: u64,
    pub(crate) by_condition: u64,
    /// Writes that were refused or rolled back.
    pub(crate) never: u64,
    /// Reads of two keys in a transaction.
    pub(crate) pairs: u64,
    /// Changes behind the store's back whose invalidation was acknowledged, one for each key.
    pub(crate) invalidated: u64,
    pub(crate) failures: u64,
    /// Reads that ran beside a write of their key.
    pub(crate) overlaps: u64,
    pub(crate) violations: u64,
}

impl Counts {
    /// How many calls were checked.
    pub(crate) fn operations(&self) -> u64 {
        self.reads + self.writes
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        let Counts { reads, unchecked, tagged, loaded, writes, batched, conditional, transacted, by_condition, never, pairs, .. } = other;
        let Counts { invalidated, failures, overlaps, violations, .. } = other;
        self.reads += reads;
        self.unchecked += unchecked;
        self.tagged += tagged;
        self.loaded += loaded;
        self.writes += writes;
        self.batched += batched;
        self.conditional += conditional;
        self.transacted += transacted;
        self.by_condition += by_condition;
        self.never += never;
        self.pairs += pairs;
        self.invalidated += invalidated;
        self.failures += failures;
        self.overlaps += overlaps;
        self.violations += violations;
    }
}

/// What the check found.
#[derive(Debug, Default, Clone)]
pub(crate) struct Verdict {
    pub(crate) counts: Counts,
    /// What the stores counted.
    pub(crate) stats: Stats,
    /// The first violations.
    pub(crate) first: Vec<Violation>,
}

impl Verdict {
    /// Adds what was found in another run.
    pub(crate) fn add(&mut self, other: Verdict) {
        self.counts += other.counts;
        self.stats += other.stats;
        self.first.extend(other.first);
    }

    fn note(&mut self, key: u64, at: u64, text: String) {
        self.counts.violations += 1;
        if self.first.len() < KEPT {
            self.first.push(Violation { key, at, text });
        }
    }
}

/// Checks the histories of the instances while they are written, and forgets what nothing depends on any more.
#[derive(Debug)]
pub(crate) struct Checker {
    /// How stale a plain read may be, in nanoseconds.
    bound: u64,
    known: HashMap<u64, Known>,
    floors: HashMap<u64, Floors>,
    /// When Redis lost what it was told.
    lost: Vec<Spell>,
    instances: Vec<Instance>,
    horizon: u64,
    pub(crate) verdict: Verdict,
}

/// What is known of one instance.
#[derive(Debug, Default)]
struct Instance {
    /// What it wrote down and was not checked yet.
    events: VecDeque<Event>,
    /// The newest versions that it was told of.
    told: HashMap<u64, Told>,
    /// When its newest deletions began, and other writes of which the version was not told.
    unversioned: HashMap<u64, Told>,
    /// What it invalidated itself.
    floors: HashMap<u64, Floors>,
}

impl Checker {
    pub(crate) fn new(bound: u64) -> Self {
        Checker {
            bound,
            known: HashMap::new(),
            floors: HashMap::new(),
            lost: Vec::new(),
            instances: Vec::new(),
            horizon: 0,
            verdict: Verdict::default(),
        }
    }

    /// Takes up what an instance wrote down, in its order.
    pub(crate) fn add(&mut self, instance: usize, events: &[Event]) {
        if self.instances.len() <= instance {
            self.instances.resize_with(instance + 1, Instance::default);
        }
        for event in events {
            match *event {
                Event::Began { key, number, at } => self.known.entry(key).or_default().begin(instance, number, at),
                Event::Acknowledged { key, number, began, at, version, way } => {
                    self.verdict.counts.writes += 1;
                    match way {
                        Way::Alone => {}
                        Way::Batch => self.verdict.counts.batched += 1,
                        Way::Insert | Way::Update { .. } => self.verdict.counts.conditional += 1,
                        Way::Transaction => self.verdict.counts.transacted += 1,
                        Way::Condition { .. } => self.verdict.counts.by_condition += 1,
                    }
                    self.known.entry(key).or_default().acknowledge(instance, number, began, at, version);
                }
                Event::WriteFailed { key, number, began, at } => {
                    self.verdict.counts.failures += 1;
                    self.known.entry(key).or_default().fail(instance, number, began, at);
                }
                Event::Invalidated { key, number, invalidation } => {
                    self.verdict.counts.invalidated += 1;
                    self.floors.entry(key).or_default().add(number, invalidation);
                    self.instances[instance].floors.entry(key).or_default().add(number, invalidation);
                }
                Event::Lost(spell) => {
                    self.lost.retain(|known| known.from != spell.from);
                    self.lost.push(spell);
                }
                Event::Never { key, number, began, at } => {
                    self.verdict.counts.never += 1;
                    self.known.entry(key).or_default().never(instance, number, began, at);
                }
                Event::Failed => self.verdict.counts.failures += 1,
                Event::Ended(stats) => self.verdict.stats += stats,
                Event::Read { .. } | Event::Pair { .. } => {}
            }
            if matches!(event, Event::Acknowledged { .. } | Event::Read { .. } | Event::Pair { .. }) {
                self.instances[instance].events.push_back(*event);
            }
        }
    }

    /// Checks the reads that were answered until a moment, before which every write that has begun by then has been taken up.
    pub(crate) fn advance(&mut self, until: u64) {
        let mut instances = std::mem::take(&mut self.instances);
        for (index, instance) in instances.iter_mut().enumerate() {
            while let Some(event) = instance.events.front().copied().filter(|event| ended(event) <= until) {
                instance.events.pop_front();
                match event {
                    Event::Acknowledged { way: Way::Condition { touched: false }, .. } => {}
                    Event::Acknowledged { key, version: 0, began, at, .. } => {
                        instance.unversioned.entry(key).or_default().add(at, began, event);
                    }
                    Event::Acknowledged { key, at, version, way, .. } => {
                        instance.told.entry(key).or_default().add(at, version, event);
                        if let (Way::Update { of }, Some(known)) = (way, self.known.get(&key))
                            && let Some(lost) = known.lost(of, version)
                        {
                            self.verdict.note(key, at, format!("{event:?}: it overwrote {lost:?} unseen"));
                        }
                    }
                    Event::Pair { .. } => self.check_pair(&event),
                    Event::Read { key, version, at, .. } => {
                        self.check(index, instance, &event);
                        if version > 0 && Kind::of_key(key) == Kind::Item {
                            instance.told.entry(key).or_default().add(at, version, event);
                        }
                    }
                    _ => {}
                }
            }
        }
        self.horizon = self.horizon.max(until.saturating_sub(MEMORY));
        for known in self.known.values_mut() {
            known.forget(self.horizon, MEMORY);
        }
        for instance in &mut instances {
            instance.told.values_mut().chain(instance.unversioned.values_mut()).for_each(|told| told.forget(self.horizon));
        }
        let lost = |key: &u64| lost(&self.lost, *key);
        for (key, floors) in self.floors.iter_mut().chain(instances.iter_mut().flat_map(|instance| &mut instance.floors)) {
            floors.forget(self.horizon, lost(key));
        }
        // An invalidation that it overlaps may have taken as long as anything is remembered.
        self.lost.retain(|lost| lost.to >= self.horizon.saturating_sub(MEMORY));
        self.instances = instances;
    }

    fn check(&mut self, index: usize, instance: &Instance, read: &Event) {
        let Event::Read { key, began, at, promise, .. } = *read else { return };
        let limit = if promise == Promise::Bounded { began.saturating_sub(self.bound) } else { began };
        let counts = &mut self.verdict.counts;
        if limit < self.horizon {
            counts.unchecked += 1;
            return;
        }
        counts.reads += 1;
        match Kind::of_key(key) {
            Kind::Item => counts.overlaps += u64::from(self.known.get(&key).is_some_and(|known| known.overlaps(began, at))),
            Kind::Tagged => counts.tagged += 1,
            Kind::Loaded => counts.loaded += 1,
        }
        let problem = match Kind::of_key(key) {
            Kind::Item => self.problem(index, instance, read, limit),
            Kind::Tagged | Kind::Loaded => self.problem_of_number(instance, read, limit),
        };
        if let Some(problem) = problem {
            self.verdict.note(key, at, format!("instance {index}: {read:?}: {problem}"));
        }
    }

    /// Checks that a transaction saw another whole or not at all.
    fn check_pair(&mut self, read: &Event) {
        let Event::Pair { key, first, second, at, .. } = *read else { return };
        self.verdict.counts.pairs += 1;
        for (shown, other, of) in [(first, second, key + 1), (second, first, key)] {
            let partner = shown ^ (FIRST | SECOND);
            let is_of_pair = shown & (FIRST | SECOND) != 0 && other != partner;
            if is_of_pair && self.known.get(&of).is_some_and(|known| known.lacks(other, partner, at)) {
                self.verdict.note(key, at, format!("{read:?}: {shown} and {partner} were written by one transaction"));
            }
        }
    }

    /// What is wrong with a read of what changes behind the store's back.
    fn problem_of_number(&self, instance: &Instance, read: &Event, limit: u64) -> Option<String> {
        let Event::Read { key, number, began, .. } = *read else { return None };
        let lost = lost(&self.lost, key);
        let of_any = self.floors.get(&key).and_then(|floors| floors.newest(limit, lost)).map(|floor| (floor, "in time"));
        let own = instance.floors.get(&key).and_then(|floors| floors.newest(began, lost)).map(|floor| (floor, "by this process, before"));
        let ((floor, invalidation), when) = [of_any, own].into_iter().flatten().find(|((floor, _), _)| *floor > number)?;
        Some(format!("though {floor} was invalidated {when}: {invalidation:?}"))
    }

    /// What is wrong with a read of an item.
    fn problem(&self, index: usize, instance: &Instance, read: &Event, limit: u64) -> Option<String> {
        let Event::Read { key, number, version, began, at, .. } = *read else { return None };
        let Some(known) = self.known.get(&key) else {
            return (number > 0).then(|| "nobody wrote this key".to_owned());
        };
        if let Some(problem) = known.problem(Answer { number, version, at, limit }) {
            return Some(problem);
        }
        if let Some((newest, event)) = instance.told.get(&key).and_then(|told| told.before(began)) {
            let is_older = match (number, event) {
                (0, Event::Read { number, .. } | Event::Acknowledged { number, .. }) => {
                    known.put(number).is_some_and(|put| !known.may_be_deleted(put, at))
                }
                _ => version > 0 && newest > version,
            };
            if is_older {
                return Some(format!("though this process was told of something newer before: {event:?}"));
            }
        }
        let (replaced, event) = instance.unversioned.get(&key)?.before(began)?;
        known.precedes(number, index, replaced).then(|| format!("though this process had replaced or deleted it before: {event:?}"))
    }

    /// How many events, writes and versions are remembered.
    pub(crate) fn size(&self) -> usize {
        let instances = self.instances.iter();
        let told: usize = instances
            .map(|instance| {
                let told = instance.told.values().chain(instance.unversioned.values());
                instance.events.len() + told.map(Told::size).sum::<usize>()
            })
            .sum();
        let floors = self.floors.values().chain(self.instances.iter().flat_map(|instance| instance.floors.values()));
        told + floors.map(Floors::size).sum::<usize>() + self.known.values().map(Known::size).sum::<usize>()
    }
}

/// What was lost of the invalidations of a key.
fn lost(lost: &[Spell], key: u64) -> &[Spell] {
    if Kind::of_key(key) == Kind::Loaded { lost } else { &[] }
}

fn ended(event: &Event) -> u64 {
    match *event {
        Event::Acknowledged { at, .. } | Event::Read { at, .. } | Event::Pair { at, .. } => at,
        _ => 0,
    }
}

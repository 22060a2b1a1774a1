//! Whether every read kept its promise.
//!
//! Nothing is assumed of what is not known: a write that was begun and never acknowledged may have been committed at any time since, or never. So what is
//! reported is wrong for certain.

mod floors;
mod known;
mod told;

use std::collections::{HashMap, VecDeque};

use floors::Floors;
use known::Known;
use told::Told;

use crate::history::{Event, Kind, Promise, Spell};

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

/// What the check found.
#[derive(Debug, Default, Clone)]
pub(crate) struct Verdict {
    pub(crate) reads: u64,
    /// Reads that took so long, or were told of so late, that what they depend on was forgotten.
    pub(crate) unchecked: u64,
    /// Those of them that were of tagged records, and loads.
    pub(crate) tagged: u64,
    pub(crate) loaded: u64,
    pub(crate) writes: u64,
    /// Changes behind the store's back whose invalidation was acknowledged, one for each key.
    pub(crate) invalidated: u64,
    pub(crate) failures: u64,
    /// Reads that ran beside a write of their key.
    pub(crate) overlaps: u64,
    pub(crate) refused: u64,
    pub(crate) l1_hits: u64,
    pub(crate) l2_hits: u64,
    pub(crate) l3_hits: u64,
    pub(crate) violations: u64,
    /// The first violations.
    pub(crate) first: Vec<Violation>,
}

impl Verdict {
    /// Adds what was found in another run.
    pub(crate) fn add(&mut self, other: Verdict) {
        self.reads += other.reads;
        self.unchecked += other.unchecked;
        self.tagged += other.tagged;
        self.loaded += other.loaded;
        self.writes += other.writes;
        self.invalidated += other.invalidated;
        self.failures += other.failures;
        self.overlaps += other.overlaps;
        self.refused += other.refused;
        self.l1_hits += other.l1_hits;
        self.l2_hits += other.l2_hits;
        self.l3_hits += other.l3_hits;
        self.violations += other.violations;
        self.first.extend(other.first);
    }

    /// How many calls were made.
    pub(crate) fn operations(&self) -> u64 {
        self.reads + self.unchecked + self.writes + self.failures
    }

    fn note(&mut self, key: u64, at: u64, text: String) {
        self.violations += 1;
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
    told: HashMap<u64, Told>,
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
                Event::Began { key, number, at } => self.known.entry(key).or_default().begin(number, at),
                Event::Acknowledged { key, number, began, at, version } => {
                    self.verdict.writes += 1;
                    self.known.entry(key).or_default().acknowledge(number, began, at, version);
                }
                Event::Invalidated { key, number, invalidation } => {
                    self.verdict.invalidated += 1;
                    self.floors.entry(key).or_default().add(number, invalidation);
                    self.instances[instance].floors.entry(key).or_default().add(number, invalidation);
                }
                Event::Lost(spell) => {
                    self.lost.retain(|known| known.from != spell.from);
                    self.lost.push(spell);
                }
                Event::Failed => self.verdict.failures += 1,
                Event::Ended { refused, l1_hits, l2_hits, l3_hits, .. } => {
                    self.verdict.refused += refused;
                    self.verdict.l1_hits += l1_hits;
                    self.verdict.l2_hits += l2_hits;
                    self.verdict.l3_hits += l3_hits;
                }
                Event::Read { .. } => {}
            }
            if matches!(event, Event::Acknowledged { .. } | Event::Read { .. }) {
                self.instances[instance].events.push_back(*event);
            }
        }
    }

    /// Checks the reads that were answered until a moment, before which every write that has begun by then has been taken up.
    pub(crate) fn advance(&mut self, until: u64) {
        let mut instances = std::mem::take(&mut self.instances);
        for instance in &mut instances {
            while let Some(event) = instance.events.front().copied().filter(|event| ended(event) <= until) {
                instance.events.pop_front();
                match event {
                    Event::Acknowledged { key, at, version, .. } if version > 0 => {
                        instance.told.entry(key).or_default().add(at, version, event);
                    }
                    Event::Read { key, .. } if Kind::of_key(key) != Kind::Item => self.check_number(&event, instance.floors.get(&key)),
                    Event::Read { key, number, version, began, at, promise } => {
                        let limit = if promise == Promise::Bounded { began.saturating_sub(self.bound) } else { began };
                        self.check(&event, limit, instance.told.get(&key).and_then(|told| told.before(began)));
                        if number > 0 {
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
            instance.told.values_mut().for_each(|told| told.forget(self.horizon));
        }
        let lost = |key: &u64| lost(&self.lost, *key);
        for (key, floors) in self.floors.iter_mut().chain(instances.iter_mut().flat_map(|instance| &mut instance.floors)) {
            floors.forget(self.horizon, lost(key));
        }
        // An invalidation that it overlaps may have taken as long as anything is remembered.
        self.lost.retain(|lost| lost.to >= self.horizon.saturating_sub(MEMORY));
        self.instances = instances;
    }

    /// Checks a read of what changes behind the store's back.
    fn check_number(&mut self, read: &Event, own: Option<&Floors>) {
        let Event::Read { key, number, began, at, promise, .. } = *read else { return };
        let limit = if promise == Promise::Bounded { began.saturating_sub(self.bound) } else { began };
        if limit < self.horizon {
            self.verdict.unchecked += 1;
            return;
        }
        self.verdict.reads += 1;
        match Kind::of_key(key) {
            Kind::Loaded => self.verdict.loaded += 1,
            _ => self.verdict.tagged += 1,
        }
        let lost = lost(&self.lost, key);
        let of_any = self.floors.get(&key).and_then(|floors| floors.newest(limit, lost)).map(|floor| (floor, "in time"));
        let own = own.and_then(|floors| floors.newest(began, lost)).map(|floor| (floor, "by this process, before"));
        if let Some(((floor, invalidation), when)) = [of_any, own].into_iter().flatten().find(|((floor, _), _)| *floor > number) {
            let kind = Kind::of_key(key);
            self.verdict.note(key, at, format!("{kind:?}: {read:?}, though {floor} was invalidated {when}: {invalidation:?}"));
        }
    }

    fn check(&mut self, read: &Event, limit: u64, told: Option<(u64, Event)>) {
        let Event::Read { key, number, version, began, at, promise } = *read else { return };
        if limit < self.horizon {
            self.verdict.unchecked += 1;
            return;
        }
        self.verdict.reads += 1;
        let Some(known) = self.known.get(&key) else {
            if number > 0 {
                self.verdict.note(key, at, format!("{read:?}: nobody wrote this key"));
            }
            return;
        };
        self.verdict.overlaps += u64::from(known.overlaps(began, at));
        if let Some(text) = known.problem(number, version, at, limit) {
            self.verdict.note(key, at, format!("{promise:?} read of key {key} at {began}..{at}: {text}"));
        } else if let Some((_, newest)) = told.filter(|(newest, _)| number > 0 && *newest > version) {
            self.verdict.note(key, at, format!("{read:?}, though this process was told of a newer version before: {newest:?}"));
        }
    }

    /// How many events, writes and versions are remembered.
    pub(crate) fn size(&self) -> usize {
        let instances = self.instances.iter();
        let told: usize = instances.map(|instance| instance.events.len() + instance.told.values().map(Told::size).sum::<usize>()).sum();
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
        Event::Acknowledged { at, .. } | Event::Read { at, .. } => at,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: u64 = 100;

    fn write(number: u64, version: u64, began: u64, at: u64) -> [Event; 2] {
        [Event::Began { key: 1, number, at: began }, Event::Acknowledged { key: 1, number, began, at, version }]
    }

    fn read(number: u64, version: u64, began: u64, promise: Promise) -> Event {
        Event::Read { key: 1, number, version, began, at: began + 5, promise }
    }

    fn violations(writer: &[Event], reader: &[Event]) -> u64 {
        let mut checker = Checker::new(BOUND);
        [writer, reader].into_iter().enumerate().for_each(|(instance, events)| checker.add(instance, events));
        checker.advance(u64::MAX);
        checker.verdict.violations
    }

    #[test]
    fn a_read_may_be_as_old_as_its_promise() {
        let history = [write(7, 1, 10, 20), write(8, 2, 30, 40)].concat();
        for (began, promise, expected) in [
            (35, Promise::Latest, 0),
            (41, Promise::Latest, 1),
            (41, Promise::Bounded, 0),
            (140, Promise::Bounded, 0),
            (141, Promise::Bounded, 1),
        ] {
            assert_eq!(violations(&history, &[read(7, 1, began, promise)]), expected, "{began} {promise:?}");
        }
        assert_eq!(violations(&history, &[read(8, 2, 500, Promise::Latest)]), 0);
    }

    #[test]
    fn a_read_shows_what_was_written_and_nothing_else() {
        let history = write(7, 1, 10, 20);
        assert_eq!(violations(&history, &[read(9, 1, 50, Promise::Bounded)]), 1, "nobody wrote it");
        assert_eq!(violations(&history, &[read(7, 1, 1, Promise::Bounded)]), 1, "it had not begun");
        assert_eq!(violations(&history, &[read(7, 5, 50, Promise::Bounded)]), 1, "another version");
        assert_eq!(violations(&history, &[read(0, 0, 50, Promise::Latest)]), 1, "it was not deleted");
        assert_eq!(violations(&history, &[read(0, 0, 50, Promise::Bounded)]), 0);
    }

    #[test]
    fn deletions_count_once_they_are_certain() {
        let history = [write(7, 1, 10, 20), write(0, 0, 30, 40)].concat();
        assert_eq!(violations(&history, &[read(7, 1, 50, Promise::Latest)]), 1);
        assert_eq!(violations(&history, &[read(0, 0, 50, Promise::Latest)]), 0);
        let overlapping = [write(7, 1, 10, 35), write(0, 0, 30, 40)].concat();
        assert_eq!(violations(&overlapping, &[read(7, 1, 50, Promise::Latest)]), 0, "either may have been first");
        let unknown = [write(7, 1, 10, 20).as_slice(), &[Event::Began { key: 1, number: 0, at: 30 }]].concat();
        assert_eq!(violations(&unknown, &[read(7, 1, 50, Promise::Latest)]), 0);
        assert_eq!(violations(&unknown, &[read(0, 0, 50, Promise::Latest)]), 0);
    }

    #[test]
    fn a_process_never_reads_less_than_it_was_told() {
        let history = [write(7, 1, 10, 20), write(8, 2, 30, 40)].concat();
        let reads = [read(8, 2, 50, Promise::Bounded), read(7, 1, 60, Promise::Bounded)];
        assert_eq!(violations(&history, &reads), 1);
        assert_eq!(violations(&history, &[reads[1], reads[0]]), 0);
    }

    #[test]
    fn what_changes_behind_the_stores_back_shows_after_its_invalidation() {
        let invalidated = |key, number, from, to| Event::Invalidated { key, number, invalidation: Spell { from, to } };
        let read = |key, number, began, promise| Event::Read { key, number, version: 0, began, at: began + 5, promise };
        for kind in [Kind::Tagged, Kind::Loaded] {
            let key = kind.key(1);
            let history = [invalidated(key, 2, 10, 20), invalidated(key, 3, 30, 40)];
            for (number, began, promise, expected) in [
                (1, 15, Promise::Latest, 0),
                (1, 21, Promise::Latest, 1),
                (2, 21, Promise::Latest, 0),
                (2, 140, Promise::Bounded, 0),
                (2, 141, Promise::Bounded, 1),
                (4, 141, Promise::Bounded, 0),
            ] {
                assert_eq!(violations(&history, &[read(key, number, began, promise)]), expected, "{number} at {began} {promise:?}");
            }
            let own = [history.as_slice(), &[read(key, 2, 41, Promise::Bounded)]].concat();
            assert_eq!(violations(&own, &[]), 1, "its own invalidation shows at once");
            let lossy =
                [history.as_slice(), &[Event::Lost(Spell { from: 35, to: u64::MAX }), Event::Lost(Spell { from: 35, to: 50 })]].concat();
            let is_lost = u64::from(kind == Kind::Tagged);
            assert_eq!(violations(&lossy, &[read(key, 2, 60, Promise::Latest)]), is_lost, "{kind:?}");
            assert_eq!(violations(&lossy, &[read(key, 1, 60, Promise::Latest)]), 1, "the first one was told before");
        }
    }

    #[test]
    fn what_is_forgotten_does_not_matter() {
        let mut checker = Checker::new(BOUND);
        let mut size = 0;
        for round in 1..200_u64 {
            let at = round * MEMORY / 10;
            checker.add(0, &write(2 * round, 2 * round, at, at + 10));
            checker.add(0, &write(0, 0, at + 20, at + 30));
            checker.add(0, &[Event::Began { key: 1, number: 2 * round + 1, at: at + 40 }, Event::Began { key: 1, number: 0, at: at + 45 }]);
            checker
                .add(1, &[read(2 * round, 2 * round, at, Promise::Latest), read(2 * round + 1, 2 * round + 1, at + 50, Promise::Latest)]);
            checker.advance(at + 60);
            size = size.max(checker.size());
        }
        assert_eq!((checker.verdict.reads, checker.verdict.violations), (398, 0), "{:?}", checker.verdict.first);
        assert!(size < 300, "{size} remembered");
        let now = 200 * MEMORY / 10;
        checker.add(1, &[read(2, 2, now, Promise::Bounded), read(2, 2, now - 2 * MEMORY, Promise::Bounded)]);
        checker.advance(now + 10);
        assert_eq!((checker.verdict.violations, checker.verdict.unchecked), (1, 1));
    }
}

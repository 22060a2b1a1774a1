//! The whole: the truth, the shared tier, two instances and the relayers.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::instance::Instance;
use super::relay::Relaying;
use super::rules::{Rules, Sights};
use super::shared::Shared;
use super::truth::Truth;

/// Who does what; the name of the step for the trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) who: &'static str,
    pub(super) number: usize,
    pub(super) what: &'static str,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.who, self.number, self.what)
    }
}

/// The steps that can follow a state, each with the state that it leads to.
pub(super) type Steps = Vec<(Step, State)>;

#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) now: u8,
    pub(super) truth: Truth,
    pub(super) shared: Shared,
    /// Each with its own fingerprint.
    instances: [(Arc<Instance>, u64); 2],
    pub(super) relayers: [Relaying; 2],
    pub(super) changes_left: u8,
    pub(super) faults_left: u8,
    /// How many eras have begun: none is come to twice.
    pub(super) eras: u64,
    is_symmetric: bool,
    /// A promise that the last step broke.
    pub(super) broken: Option<&'static str>,
}

fn fingerprint(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

impl State {
    pub(super) fn new(rules: &Rules) -> Self {
        let truth = Truth::new(rules);
        let shared = Shared::new(truth.end(None), truth.found(rules).filter(|_| rules.is_warm), rules);
        let instances = [0, 1].map(|number| {
            let mut instance = Instance::started(truth.end(None), 1, truth.logged(), &shared.primary.mark);
            instance.own = rules.own(number);
            let hash = fingerprint(&instance);
            (Arc::new(instance), hash)
        });
        State {
            now: 1,
            is_symmetric: rules.is_symmetric(),
            truth,
            shared,
            instances,
            relayers: [Relaying::Idle, Relaying::Idle],
            changes_left: rules.changes,
            faults_left: rules.faults,
            eras: 1,
            broken: None,
        }
    }

    pub(super) fn instance(&self, number: usize) -> &Instance {
        &self.instances[number].0
    }

    pub(super) fn instances(&self) -> impl Iterator<Item = &Instance> {
        self.instances.iter().map(|(instance, _)| &**instance)
    }

    /// The instances that poll the log.
    pub(super) fn followers(&self, rules: &Rules) -> impl Iterator<Item = &Instance> {
        self.instances().zip(rules.polls).filter(|(_, polls)| *polls).map(|(instance, _)| instance)
    }

    /// Changes an instance.
    pub(super) fn change<R>(&mut self, number: usize, change: impl FnOnce(&mut Instance) -> R) -> R {
        let (instance, hash) = &mut self.instances[number];
        let result = change(Arc::make_mut(instance));
        *hash = fingerprint(&**instance);
        result
    }

    /// The state's identity: relayers can be exchanged, and instances that may do the same.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut instances = [self.instances[0].1, self.instances[1].1];
        let mut relayers = [fingerprint(&self.relayers[0]), fingerprint(&self.relayers[1])];
        if self.is_symmetric {
            instances.sort_unstable();
        }
        relayers.sort_unstable();
        let rest = (self.now, &self.truth, &self.shared, self.changes_left, self.faults_left, self.eras, self.broken.is_some());
        fingerprint(&(instances, relayers, rest))
    }

    /// Every step that can follow.
    pub(super) fn steps(&self, rules: &Rules, sights: &mut Sights, steps: &mut Steps) {
        for number in 0..self.instances.len() {
            self.instance_steps(number, rules, sights, steps);
        }
        for number in 0..rules.relayers {
            self.relayer_steps(number, rules, sights, steps);
        }
        self.fault_steps(rules, steps);
        if self.now <= rules.ticks {
            let mut next = self.clone();
            next.now += 1;
            steps.push((Step { who: "time", number: 0, what: "goes on" }, next));
        }
    }

    /// A state in few words.
    pub(super) fn summary(&self) -> String {
        let instances: Vec<String> = self.instances().map(Instance::summary).collect();
        format!("truth {:?}, slot {}, {}", self.truth.row.map(|row| (row.version, row.as_of)), self.shared.summary(), instances.join(", "))
    }
}

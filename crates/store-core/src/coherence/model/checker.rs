//! Looking at every state that a run can reach, nearest first.
//!
//! The existing crate for this, `stateright`, cannot be had without its web server and compares states as they are; here two states are one if they only
//! differ in numbers that nobody compares.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};

use super::properties;
use super::rules::{Rules, Sights};
use super::state::{State, Step};

/// What a run found.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) states: usize,
    pub(super) depth: usize,
    /// Whether it saw every state within the bounds of the run.
    pub(super) is_complete: bool,
    pub(super) sights: Sights,
    pub(super) violation: Option<Violation>,
}

#[derive(Debug)]
pub(super) struct Violation {
    pub(super) of: &'static str,
    pub(super) trace: Vec<String>,
}

/// Fingerprints are hashes already.
#[derive(Debug, Default)]
struct Unchanged(u64);

impl Hasher for Unchanged {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only numbers are hashed");
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// The states that were reached, each with the one that it was reached from.
type Reached = HashMap<u64, u64, BuildHasherDefault<Unchanged>>;

pub(super) fn explore(rules: &Rules) -> Outcome {
    let mut sights = Sights::default();
    let mut reached = Reached::default();
    let mut layer = vec![State::new(rules)];
    let mut steps: Vec<(Step, State)> = Vec::new();
    let mut depth = 0;
    let first = layer[0].fingerprint();
    reached.insert(first, first);
    while !layer.is_empty() && reached.len() < rules.most_states {
        let mut next = Vec::new();
        for state in layer {
            let from = state.fingerprint();
            state.steps(rules, &mut sights, &mut steps);
            for (_, state) in steps.drain(..) {
                let fingerprint = state.fingerprint();
                let Entry::Vacant(place) = reached.entry(fingerprint) else { continue };
                place.insert(from);
                if let Some(of) = properties::violation(&state, rules, &mut sights) {
                    let violation = Violation { of, trace: trace(&reached, rules, fingerprint) };
                    return Outcome { states: reached.len(), depth: depth + 1, is_complete: false, sights, violation: Some(violation) };
                }
                next.push(state);
            }
        }
        layer = next;
        depth += 1;
    }
    Outcome { states: reached.len(), depth, is_complete: layer.is_empty(), sights, violation: None }
}

/// The steps to a state, each with what it led to.
fn trace(reached: &Reached, rules: &Rules, to: u64) -> Vec<String> {
    let mut path = vec![to];
    while let Some(&from) = path.last().and_then(|last| reached.get(last)).filter(|&from| Some(from) != path.last()) {
        path.push(from);
    }
    let mut state = State::new(rules);
    let mut trace = vec![format!("start: {}", state.summary())];
    for fingerprint in path.into_iter().rev().skip(1) {
        let mut steps = Vec::new();
        state.steps(rules, &mut Sights::default(), &mut steps);
        let Some((step, next)) = steps.into_iter().find(|(_, next)| next.fingerprint() == fingerprint) else { break };
        trace.push(format!("{step}: {}", next.summary()));
        state = next;
    }
    trace
}

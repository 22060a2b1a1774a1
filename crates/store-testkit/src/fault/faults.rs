//! What is to go wrong, and when.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use store_core::{ErrorKind, Role};

use super::hold::{Gate, Hold};
use super::{Fault, Operation};

/// Orders the faults of a [`FaultTier`](super::FaultTier) and counts its calls. Clones are one handle.
///
/// A call takes the first of: what was scripted for its operation, a standing fault, a random one.
#[derive(Debug, Clone)]
pub struct Faults {
    role: Role,
    plan: Arc<Mutex<Plan>>,
}

#[derive(Debug, Default)]
struct Plan {
    scripted: HashMap<Operation, VecDeque<Ordered>>,
    standing: HashMap<Operation, Fault>,
    outage: Option<Fault>,
    random: Option<Random>,
    calls: HashMap<Operation, u64>,
}

/// What happens to one call.
#[derive(Debug, Clone)]
pub(super) enum Ordered {
    Fail(Fault),
    HoldBefore(Gate),
    HoldAfter(Gate),
}

#[derive(Debug)]
struct Random {
    state: u64,
    percent: u64,
    operations: Vec<Operation>,
    kind: ErrorKind,
}

impl Faults {
    pub(super) fn new(role: Role) -> Self {
        Faults { role, plan: Arc::default() }
    }

    pub(super) fn role(&self) -> Role {
        self.role
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn script(&self, operation: Operation, ordered: Ordered) {
        self.plan().scripted.entry(operation).or_default().push_back(ordered);
    }

    /// The next call of an operation that nothing else was scripted for goes wrong.
    pub fn next(&self, operation: Operation, fault: Fault) {
        self.script(operation, Ordered::Fail(fault));
    }

    /// The next calls of an operation go wrong, so many of them.
    pub fn next_times(&self, times: usize, operation: Operation, fault: Fault) {
        for _ in 0..times {
            self.next(operation, fault);
        }
    }

    /// The next call of an operation waits before it does anything.
    pub fn hold_before(&self, operation: Operation) -> Hold {
        let (hold, gate) = Hold::new();
        self.script(operation, Ordered::HoldBefore(gate));
        hold
    }

    /// The next call of an operation takes effect, and waits before it answers.
    pub fn hold_after(&self, operation: Operation) -> Hold {
        let (hold, gate) = Hold::new();
        self.script(operation, Ordered::HoldAfter(gate));
        hold
    }

    /// Every call of an operation goes wrong until [`heal`](Self::heal).
    pub fn always(&self, operation: Operation, fault: Fault) {
        self.plan().standing.insert(operation, fault);
    }

    /// Every call of every operation goes wrong until [`heal`](Self::heal).
    pub fn outage(&self, fault: Fault) {
        self.plan().outage = Some(fault);
    }

    /// So many in a hundred calls of these operations fail with `kind`, one half before and one half after they took effect. One seed gives one series.
    pub fn random(&self, seed: u64, percent: u8, operations: &[Operation], kind: ErrorKind) {
        // The generator stands still at zero.
        let state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        self.plan().random = Some(Random { state, percent: percent.into(), operations: operations.to_vec(), kind });
    }

    /// Ends every fault that was ordered; calls that are held stay held.
    pub fn heal(&self) {
        let mut plan = self.plan();
        let calls = std::mem::take(&mut plan.calls);
        *plan = Plan { calls, ..Plan::default() };
    }

    /// How many calls of an operation came, those that failed included.
    pub fn calls(&self, operation: Operation) -> u64 {
        self.plan().calls.get(&operation).copied().unwrap_or_default()
    }

    /// Counts a call and says what is to happen to it.
    pub(super) fn draw(&self, operation: Operation) -> Option<Ordered> {
        let mut plan = self.plan();
        *plan.calls.entry(operation).or_default() += 1;
        if let Some(ordered) = plan.scripted.get_mut(&operation).and_then(VecDeque::pop_front) {
            return Some(ordered);
        }
        let standing = plan.standing.get(&operation).copied().or(plan.outage);
        standing.or_else(|| plan.random.as_mut()?.draw(operation)).map(Ordered::Fail)
    }
}

impl Random {
    fn draw(&mut self, operation: Operation) -> Option<Fault> {
        if !self.operations.contains(&operation) {
            return None;
        }
        // xorshift64
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let after = self.state & 1 == 1;
        let hit = (self.state >> 8) % 100 < self.percent;
        hit.then_some(if after { Fault::FailAfter(self.kind) } else { Fault::FailBefore(self.kind) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTAGE: Fault = Fault::FailBefore(ErrorKind::L2Unavailable);

    fn draws(faults: &Faults, operation: Operation, calls: usize) -> Vec<Option<Fault>> {
        let fault = |ordered| match ordered {
            Ordered::Fail(fault) => fault,
            held => panic!("{held:?}"),
        };
        (0..calls).map(|_| faults.draw(operation).map(fault)).collect()
    }

    #[test]
    fn scripted_faults_come_first_and_in_order() {
        let faults = Faults::new(Role::Shared);
        let lost = Fault::FailAfter(ErrorKind::Timeout);
        faults.next(Operation::Fill, lost);
        faults.next_times(2, Operation::Fill, OUTAGE);
        assert_eq!(draws(&faults, Operation::Fetch, 1), [None]);
        assert_eq!(draws(&faults, Operation::Fill, 4), [Some(lost), Some(OUTAGE), Some(OUTAGE), None]);
        faults.outage(OUTAGE);
        faults.always(Operation::Fill, lost);
        assert_eq!(draws(&faults, Operation::Fill, 1), [Some(lost)]);
        assert_eq!(draws(&faults, Operation::Fetch, 1), [Some(OUTAGE)]);
        faults.heal();
        assert_eq!(draws(&faults, Operation::Fill, 1), [None]);
        assert_eq!((faults.calls(Operation::Fill), faults.calls(Operation::Fetch)), (6, 2));
    }

    #[test]
    fn one_seed_gives_one_series_of_both_kinds_at_about_the_given_rate() {
        let series = |seed| {
            let faults = Faults::new(Role::Shared);
            faults.random(seed, 20, &[Operation::Fill], ErrorKind::Timeout);
            assert_eq!(draws(&faults, Operation::Fetch, 100), vec![None; 100]);
            draws(&faults, Operation::Fill, 1_000)
        };
        assert_eq!(series(7), series(7));
        assert_ne!(series(7), series(8));
        let before = series(7).iter().filter(|fault| **fault == Some(Fault::FailBefore(ErrorKind::Timeout))).count();
        let after = series(7).iter().filter(|fault| **fault == Some(Fault::FailAfter(ErrorKind::Timeout))).count();
        assert!((50..150).contains(&before) && (50..150).contains(&after), "{before} before, {after} after");
    }
}

//! A crash at every operation of random work: what was acknowledged is there, in order, whole, and nothing else.

use proptest::prelude::*;

use super::simulated::{Fault, Simulated, Survival};
use super::workload::{History, config, open, steps};
use crate::{LogError, LogErrorKind};

fn survivals(seed: u64) -> impl Iterator<Item = Survival> {
    [Survival::Nothing, Survival::Everything].into_iter().chain((0..3).map(move |more| Survival::Random(seed.wrapping_add(more << 32))))
}

/// How many cases are tried: `STRATA_CRASHES`, or few.
fn cases(few: u32) -> ProptestConfig {
    let cases = std::env::var("STRATA_CRASHES").map_or(few, |text| text.parse().expect("a number"));
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(16))]

    #[test]
    fn a_crash_of_the_machine_loses_nothing_acknowledged(steps in steps(14), fill: bool, seed: u64) {
        let (disk, config) = (Simulated::default(), config(fill));
        let mut history = History::default();
        history.run(&disk, &config, &steps).expect("nothing fails");
        for crash in 0..=disk.operations() {
            for survival in survivals(seed) {
                let disk = disk.crash(crash, survival);
                let log = open(&disk, &config).unwrap_or_else(|error| panic!("after {crash} operations, {survival:?}: {error}"));
                history.check(&log, crash, true);
            }
        }
    }

    #[test]
    fn a_crash_while_opening_or_soon_after_loses_no_more(before in steps(8), after in steps(4), fill: bool, seed: u64) {
        let (disk, config) = (Simulated::default(), config(fill));
        let mut history = History::default();
        history.run(&disk, &config, &before).expect("nothing fails");
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..6 {
            let crash = random.usize(0..=disk.operations());
            let disk = disk.crash(crash, Survival::Random(random.u64(..)));
            let mut history = history.clone();
            history.crash(crash);
            history.note_opened(&open(&disk, &config).expect("it opens"), &disk);
            history.run(&disk, &config, &after).expect("nothing fails");
            for again in 0..=disk.operations() {
                let disk = disk.crash(again, Survival::Random(random.u64(..)));
                let log = open(&disk, &config).unwrap_or_else(|error| panic!("after {crash} and {again} operations: {error}"));
                history.check(&log, crash + again, true);
            }
        }
    }
}

proptest! {
    // Each case tries every fault at every operation.
    #![proptest_config(cases(5))]

    #[test]
    fn a_failed_operation_leaves_what_was_answered(steps in steps(8), fill: bool, seed: u64) {
        let config = config(fill);
        for fault in [Fault::DiskFull, Fault::Broken, Fault::Short] {
            for at in 0.. {
                let disk = Simulated::default();
                disk.fail(at, fault);
                let mut history = History::default();
                let result = history.run(&disk, &config, &steps);
                if disk.is_fault_ahead() {
                    break;
                }
                prop_assert!(result.as_ref().err().map(LogError::kind) != Some(LogErrorKind::Corrupt), "{:?}", result);
                // The process starts anew, then the machine.
                let operations = disk.operations();
                let log = open(&disk, &config).unwrap_or_else(|error| panic!("{fault:?} at {at}: {error}"));
                history.check(&log, operations, false);
                history.note_opened(&log, &disk);
                drop(log);
                for survival in survivals(seed) {
                    let crash = disk.operations();
                    let log = open(&disk.crash(crash, survival), &config).unwrap_or_else(|error| panic!("{fault:?} at {at}: {error}"));
                    history.check(&log, crash, true);
                    let log = open(&disk.crash(operations, survival), &config).unwrap_or_else(|error| panic!("{fault:?} at {at}: {error}"));
                    history.check(&log, operations, true);
                }
            }
        }
    }
}

//! An exhaustive model of the protocol, for one key.
//!
//! The truth has one row and its log of commits, the shared tier one slot, its mark and a replica that lags. Two instances read, write, delete, invalidate and
//! follow the log, relayers relay, and things go wrong, in every order that is possible within the bounds of a run; in every state that is reached, the promises
//! hold ([`properties`]). The transitions are those of the code itself: [`SlotState`](crate::facet::SlotState), `Belief` with its floors, `verdict`, `memory`, `Own`, `Epochs`, `KnownTagEras`,
//! `Fence`, `FreshnessLease`, `standing` and what the relayer removes. The model's own are the order of steps between them, the log, and time.
//!
//! A run with a protection turned off must find a broken promise, so that the runs with all of them are known to be able to.
//!
//! With `STRATA_MODEL=large` the bounds are wider, each run ending after `STRATA_MODEL_STATES` states, nearest first (a million if not set, some minutes in all; 20 million take hours and a few gigabytes of memory).

mod change;
mod checker;
mod instance;
mod properties;
mod read;
mod relay;
mod rules;
mod shared;
mod state;
mod truth;

use checker::explore;
use rules::{Fault, Protection, Rules, Sight, Sights};

use crate::facet::LogKind;

const ALL_KINDS: &[LogKind] = &[LogKind::Put, LogKind::Delete, LogKind::Invalidate];
const PUTS: &[LogKind] = &[LogKind::Put];
const TAGS: &[LogKind] = &[LogKind::InvalidateTag];
const BOTH: [bool; 2] = [true, true];
const NONE: [bool; 2] = [false, false];
const FIRST: [bool; 2] = [true, false];
const SECOND: [bool; 2] = [false, true];

/// The first instance reads and follows the log, the second writes once.
fn few(name: &'static str) -> Rules {
    Rules {
        name,
        without: None,
        changes: 1,
        kinds: PUTS,
        absences: false,
        begins_absent: false,
        tags: false,
        operations: 1,
        reads: FIRST,
        writes: SECOND,
        polls: FIRST,
        is_warm: true,
        relayers: 1,
        faults: 0,
        fault_kinds: &[],
        ticks: 0,
        wakes: false,
        is_fine: false,
        most_states: usize::MAX,
    }
}

/// Both instances do everything.
fn many(name: &'static str) -> Rules {
    Rules { reads: BOTH, writes: BOTH, polls: BOTH, kinds: ALL_KINDS, is_warm: false, ..few(name) }
}

/// There is no row at first, and the caches know.
fn absent(name: &'static str) -> Rules {
    Rules { absences: true, begins_absent: true, ..few(name) }
}

/// The row has a tag, which the second instance invalidates.
fn tagged(name: &'static str) -> Rules {
    Rules { tags: true, kinds: TAGS, ..few(name) }
}

fn without(protection: Protection) -> Rules {
    without_of(few, protection)
}

fn without_of(rules: fn(&'static str) -> Rules, protection: Protection) -> Rules {
    Rules { without: Some(protection), ..rules("one protection is off") }
}

const ONE_FAULT: [(&str, &[Fault]); 10] = [
    ("eviction", &[Fault::Evict]),
    ("flush", &[Fault::Flush]),
    ("fail-over of the shared tier", &[Fault::FailOver]),
    ("mark lost", &[Fault::LoseMark]),
    ("relayer ends", &[Fault::RelayerDeath]),
    ("log pruned", &[Fault::Prune]),
    ("instance ends", &[Fault::Crash]),
    ("timeouts", &[Fault::Timeout]),
    ("unknown outcomes", &[Fault::UnknownOutcome]),
    ("fail-over of the truth", &[Fault::TruthFailOver]),
];

const TAG_FAULTS: &[Fault] = &[Fault::LoseTags, Fault::FailOver];

const ALL_FAULTS: &[Fault] = &[
    Fault::Evict,
    Fault::Flush,
    Fault::FailOver,
    Fault::LoseMark,
    Fault::RelayerDeath,
    Fault::Prune,
    Fault::Crash,
    Fault::Timeout,
    Fault::UnknownOutcome,
    Fault::TruthFailOver,
    Fault::LoseTags,
];

fn small_runs() -> Vec<Rules> {
    let mut runs = vec![
        Rules { kinds: ALL_KINDS, polls: BOTH, ..few("a change of another instance") },
        Rules { changes: 2, ..few("two writes of another instance") },
        Rules { writes: FIRST, changes: 2, ..few("two writes of an instance by itself") },
        Rules { writes: FIRST, kinds: ALL_KINDS, operations: 2, ..few("two operations at a time") },
        Rules { is_fine: true, ..few("fine steps") },
        Rules { ticks: 3, relayers: 0, ..few("time") },
        Rules { wakes: true, is_warm: false, ..few("messages") },
    ];
    runs.extend([
        absent("an insert after an absence"),
        Rules { operations: 2, relayers: 0, ..absent("two reads and an insert") },
        Rules { begins_absent: false, kinds: &[LogKind::Delete], operations: 2, relayers: 0, ..absent("two reads and a deletion") },
        Rules { kinds: &[LogKind::Put, LogKind::Delete], changes: 2, relayers: 0, ..absent("a row that comes and goes") },
        Rules { writes: FIRST, is_warm: false, ..absent("an insert after an absence of its own") },
        Rules { ticks: 3, relayers: 0, ..absent("absences in time") },
    ]);
    runs.extend([
        tagged("an invalidation of a tag"),
        Rules { wakes: true, is_warm: false, ..tagged("messages of tags") },
        Rules { operations: 2, writes: FIRST, ..tagged("an invalidation of a tag by the reader") },
        Rules {
            changes: 2,
            relayers: 0,
            kinds: &[LogKind::Put, LogKind::InvalidateTag],
            ..tagged("a write and an invalidation of its tag")
        },
        Rules { ticks: 3, relayers: 0, ..tagged("tags in time") },
        Rules { faults: 1, fault_kinds: TAG_FAULTS, ..tagged("tags and a fault") },
    ]);
    runs.extend(ONE_FAULT.map(|(name, fault_kinds)| Rules { faults: 1, fault_kinds, ..few(name) }));
    runs
}

fn large_runs() -> Vec<Rules> {
    let most_states = std::env::var("STRATA_MODEL_STATES").ok().and_then(|number| number.parse().ok()).unwrap_or(1_000_000);
    let with_fault = |(name, fault_kinds)| {
        let one = Rules { faults: 1, fault_kinds, ..few(name) };
        [
            Rules { changes: 2, relayers: 2, ..one.clone() },
            Rules { kinds: ALL_KINDS, polls: BOTH, ..one },
            Rules { faults: 1, fault_kinds, ..many(name) },
        ]
    };
    let mut runs: Vec<Rules> = ONE_FAULT.into_iter().flat_map(with_fault).collect();
    runs.extend([
        many("one change"),
        Rules { writes: FIRST, changes: 2, kinds: ALL_KINDS, ..few("two changes of an instance by itself") },
        Rules { changes: 2, ..many("two changes") },
        Rules { changes: 3, kinds: PUTS, ..many("three writes") },
        Rules { is_fine: true, kinds: PUTS, ..many("fine steps") },
        Rules { wakes: true, ..many("messages") },
        Rules { ticks: 4, changes: 2, relayers: 0, ..many("time") },
        Rules { operations: 2, ..many("two operations at a time") },
        Rules { absences: true, begins_absent: true, changes: 2, kinds: &[LogKind::Put, LogKind::Delete], ..many("absences") },
        Rules { kinds: &[LogKind::Put, LogKind::Delete], changes: 2, operations: 2, ..absent("two reads while a row comes and goes") },
        Rules { faults: 1, fault_kinds: ALL_FAULTS, ..absent("absences and any fault") },
        Rules { tags: true, kinds: TAGS, changes: 2, ..many("tags") },
        Rules { tags: true, kinds: &[LogKind::Put, LogKind::InvalidateTag], changes: 2, wakes: true, ..many("tags, writes and messages") },
        Rules { faults: 1, fault_kinds: ALL_FAULTS, relayers: 2, ..tagged("tags and any fault") },
        Rules { faults: 2, fault_kinds: TAG_FAULTS, changes: 2, ..tagged("tags and two faults") },
        Rules { changes: 2, kinds: &[LogKind::Put, LogKind::InvalidateTag], ..tagged("a write and an invalidation of its tag") },
        Rules { relayers: 2, faults: 2, fault_kinds: ALL_FAULTS, kinds: ALL_KINDS, polls: BOTH, ..few("two relayers and two faults") },
        Rules { faults: 3, fault_kinds: ALL_FAULTS, ..few("three faults") },
    ]);
    runs.iter_mut().for_each(|run| run.most_states = most_states);
    runs
}

/// The sights of a run that breaks no promise.
fn sights(rules: &Rules) -> Sights {
    let started = std::time::Instant::now();
    let outcome = explore(rules);
    let extent = if outcome.is_complete { "all" } else { "the nearest" };
    println!("{}: {extent} {} states, {} steps deep, in {:.1?}", rules.name, outcome.states, outcome.depth, started.elapsed());
    if let Some(violation) = &outcome.violation {
        panic!("{}: {}\n{}", rules.name, violation.of, violation.trace.join("\n"));
    }
    outcome.sights
}

#[test]
fn every_promise_holds_in_every_state() {
    let is_large = std::env::var("STRATA_MODEL").is_ok_and(|size| size == "large");
    let runs = if is_large { large_runs() } else { small_runs() };
    let met = runs.iter().map(sights).fold(Sights::default(), Sights::and);
    for sight in Sight::ALL {
        assert!(met.has(sight), "no run met {sight:?}, so they prove nothing of it");
    }
}

/// Without the protection, some promise is broken.
fn assert_needed(rules: &Rules) {
    let outcome = explore(rules);
    let violation = outcome.violation.unwrap_or_else(|| panic!("nothing breaks without {:?}, in {} states", rules.without, outcome.states));
    println!("without {:?}, after {} states: {}", rules.without, outcome.states, violation.of);
    println!("    {}", violation.trace.join("\n    "));
    let with_it = explore(&Rules { without: None, most_states: outcome.states, ..rules.clone() });
    assert!(with_it.violation.is_none(), "the protection does not help: {:?}", with_it.violation);
}

#[test]
fn a_load_that_was_overtaken_must_not_be_installed() {
    assert_needed(&Rules { is_warm: false, relayers: 0, ..without(Protection::Fence) });
}

#[test]
fn a_void_lease_must_not_fill() {
    assert_needed(&Rules { is_warm: false, ..without(Protection::FillLease) });
}

#[test]
fn a_writer_must_not_create_a_slot() {
    assert_needed(&Rules { is_warm: false, changes: 2, writes: BOTH, ..without(Protection::NoCreate) });
}

#[test]
fn a_writer_must_not_take_the_place_of_an_absence() {
    let kinds = &[LogKind::Put, LogKind::Delete];
    let rules = without_of(absent, Protection::AbsenceEmptied);
    assert_needed(&Rules { changes: 2, kinds, reads: SECOND, polls: NONE, operations: 2, is_warm: false, ..rules });
}

#[test]
fn what_is_older_than_was_heard_of_must_not_be_read() {
    assert_needed(&Rules { relayers: 0, ..without(Protection::Floor) });
}

#[test]
fn a_mark_that_went_back_must_not_be_believed() {
    assert_needed(&Rules { faults: 1, fault_kinds: &[Fault::FailOver], ..without(Protection::MarkCheck) });
}

#[test]
fn the_mark_must_be_read_before_the_slot() {
    assert_needed(&without(Protection::MarkFirst));
}

#[test]
fn the_mark_must_be_moved_where_the_removals_were_done() {
    assert_needed(&Rules { faults: 1, fault_kinds: &[Fault::FailOver], ..without(Protection::SameConnection) });
}

#[test]
fn a_relayer_must_not_remove_elsewhere_than_it_read_the_mark() {
    let fault_kinds = &[Fault::FailOver];
    assert_needed(&Rules { changes: 2, reads: NONE, polls: NONE, faults: 1, fault_kinds, ..without(Protection::ConnectionOfMark) });
}

#[test]
fn the_log_must_be_followed_by_snapshot() {
    let kinds = &[LogKind::Put, LogKind::Invalidate];
    assert_needed(&Rules { changes: 2, kinds, writes: BOTH, relayers: 0, ..without(Protection::SnapshotCursor) });
}

#[test]
fn a_freshness_lease_must_count_from_when_the_poll_was_sent() {
    assert_needed(&Rules { ticks: 2, relayers: 0, ..without(Protection::LeaseFromSending) });
}

#[test]
fn a_load_from_before_a_commit_must_not_be_joined_after_it() {
    assert_needed(&Rules { is_warm: false, relayers: 0, ..without(Protection::FlightForgotten) });
}

#[test]
fn the_caches_must_not_be_told_before_the_commit() {
    assert_needed(&Rules { relayers: 0, ..without(Protection::CommitFirst) });
}

#[test]
fn an_own_commit_must_not_be_skipped_before_memory_has_caught_up() {
    assert_needed(&Rules { writes: FIRST, operations: 2, relayers: 0, ..without(Protection::OwnApplied) });
}

#[test]
fn an_absence_must_not_outlast_its_fence() {
    assert_needed(&Rules { relayers: 0, ..without_of(absent, Protection::AbsenceFence) });
}

#[test]
fn an_absence_must_not_be_remembered_after_a_row_was_installed() {
    assert_needed(&Rules { operations: 2, relayers: 0, is_warm: false, ..without_of(absent, Protection::AbsenceNewest) });
}

#[test]
fn an_absence_must_void_the_loads_that_began_before() {
    let kinds = &[LogKind::Delete];
    assert_needed(&Rules {
        begins_absent: false,
        kinds,
        operations: 2,
        relayers: 0,
        is_warm: false,
        ..without_of(absent, Protection::AbsenceVoids)
    });
}

#[test]
fn a_copy_in_memory_must_not_outlast_its_tag() {
    assert_needed(&Rules { relayers: 0, ..without_of(tagged, Protection::TagEpoch) });
}

#[test]
fn a_tag_must_be_heard_of_after_the_commit_too() {
    assert_needed(&Rules { operations: 2, relayers: 0, writes: FIRST, ..without_of(tagged, Protection::TagHeardAgain) });
}

#[test]
fn what_has_an_invalidated_tag_must_not_be_read_before_the_relayer_has_told() {
    assert_needed(&Rules { relayers: 0, ..without_of(tagged, Protection::TagFloor) });
}

#[test]
fn a_slot_must_not_outlast_its_tag() {
    assert_needed(&without_of(tagged, Protection::TagEra));
}

#[test]
fn a_standby_of_the_truth_must_not_issue_the_same_versions_again() {
    let fault_kinds = &[Fault::TruthFailOver];
    assert_needed(&Rules { changes: 2, writes: FIRST, faults: 1, fault_kinds, ..without(Protection::NewVersions) });
}

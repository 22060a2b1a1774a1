//! What must hold in every state, by the names of the promises.

use std::sync::Arc;

use super::instance::{BOUND, Instance, KEY, TAG};
use super::relay::Relaying;
use super::rules::{Protection, Rules, Sight, Sights};
use super::shared::{decode, notes};
use super::state::State;
use super::truth::{Phase, Place, Row, covers};
use crate::coherence::trust::Belief;
use crate::coherence::{Era, TagVerdict, Verdict, verdict};
use crate::facet::Mark;
use crate::record::EncodedRecord;

/// The promise that a state breaks.
pub(super) fn violation(state: &State, rules: &Rules, sights: &mut Sights) -> Option<&'static str> {
    if state.broken.is_some() {
        return state.broken;
    }
    for instance in state.instances() {
        let absence = instance.known_absence(rules);
        if instance.memory.is_some() && instance.held(rules).is_none() {
            sights.add(Sight::VoidByTag);
        }
        let Some(row) = instance.held(rules).or(absence) else { continue };
        if absence.is_some_and(|absence| absence.as_of < instance.told) {
            return Some("memory knows of an absence from before what it was told");
        }
        if !state.truth.has_committed(row) {
            return Some("memory holds what was never committed");
        }
        if row.as_of < instance.told {
            return Some("memory holds something older than it was told");
        }
        if !instance.is_fresh(state.now) {
            continue;
        }
        sights.add(if row.is_absence() { Sight::Absence } else { Sight::MemoryHit });
        let committed = state.truth.log.iter().filter(|entry| entry.phase == Phase::Committed);
        if committed.into_iter().any(|entry| row.as_of < entry.as_of && state.now - entry.at >= BOUND) {
            return Some("memory answers within its lease, without a commit from longer ago than the bound");
        }
    }
    if is_quiet(state, rules) {
        sights.add(Sight::Quiet);
        return quiet_violation(state, rules);
    }
    None
}

/// Whether nothing is under way, everybody has read the log to its end, and the relayer has done its work.
fn is_quiet(state: &State, rules: &Rules) -> bool {
    let end = state.truth.end(Some(rules));
    !state.truth.log.is_empty()
        && state.instances().all(Instance::is_idle)
        && state.followers(rules).all(|instance| instance.place == Some(end))
        && state.relayers.iter().all(|relayer| *relayer == Relaying::Idle)
        && state.shared.primary.mark.as_ref().is_some_and(|mark| Place::of(&mark.position) == end)
}

/// Whether the tag of a slot's record is known to have been invalidated, or will be found out to have.
fn is_void(record: &EncodedRecord, state: &State, instance: &Instance, belief: &Belief, rules: &Rules) -> bool {
    let Some(mark) = &state.shared.primary.mark else { return true };
    let known = instance.known.clone();
    if let Some(list) = state.shared.primary.tags {
        known.learn(&[TAG.to_owned()], &list.told());
    }
    let is_floored = !belief.admits_tag(TAG) && rules.has(Protection::TagFloor);
    let present = Era { generation: mark.generation, number: mark.era };
    is_floored || (known.judge(Some(&notes(record)), present) != TagVerdict::Holds && rules.has(Protection::TagEra))
}

/// When all is quiet, no cache holds anything but the row, and the shared tier is believed.
fn quiet_violation(state: &State, rules: &Rules) -> Option<&'static str> {
    let logged = state.truth.logged();
    let is_old = |row: Row| row.as_of < logged || state.truth.row.map_or(0, |truth| truth.version) != row.version;
    if state.followers(rules).any(|instance| instance.held(rules).or(instance.known_absence(rules)).is_some_and(is_old)) {
        return Some("all is quiet, and memory holds something older than the truth");
    }
    let newcomer = Instance::started(state.truth.end(Some(rules)), state.now, logged, &None);
    for instance in state.followers(rules).chain([&newcomer]) {
        let mut belief = instance.belief.clone();
        let mark = state.shared.primary.mark.as_ref();
        // As the next read and poll do.
        belief.judge(mark, covers);
        let is_of_this_log = |mark: &Arc<Mark>| !state.truth.read(Place::of(&mark.position), rules).gap;
        if let Some(mark) = belief.take_unconfirmed().filter(is_of_this_log) {
            belief.confirm(mark.generation);
        }
        let generation = belief.judge(mark, covers);
        if generation.is_none() && rules.has(Protection::MarkCheck) {
            return Some("all is quiet, and the shared tier is not believed");
        }
        let admits = |version| belief.admits(KEY, version) || !rules.has(Protection::Floor);
        if let Verdict::Record(record, _) = verdict(state.shared.primary.slot.read(), generation, admits)
            && is_old(decode(&record))
            && !(rules.tags && is_void(&record, state, instance, &belief, rules))
        {
            return Some("all is quiet, and the shared tier answers with something older than the truth");
        }
    }
    None
}

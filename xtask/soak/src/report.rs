//! The whole soak: its runs one after the other, and what they found.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use strata::protection::Protection;

use crate::arguments::Plan;
use crate::checker::{Counts, Verdict};
use crate::conductor::{self, Outcome};
use crate::redis::Kind;

/// How many violations are shown in full.
const SHOWN: usize = 20;
/// Faults so recent are shown with a violation.
const RECENT: Duration = Duration::from_secs(10);
/// Of so many reads not one may be too late to check, or count from before it began since the machine stood still.
const LATE: u64 = 100;

/// Runs what was planned. `true` if every promise was kept and the run was whole and had teeth; where protections are left out, if each was missed.
pub(crate) async fn run(plan: &Plan) -> Result<bool> {
    println!("soak: {} processes, {} keys, {}, seed {}", plan.processes, plan.keys, plan.length, plan.seed);
    if plan.without.is_empty() { run_whole(plan).await } else { run_without_each(plan).await }
}

async fn run_whole(plan: &Plan) -> Result<bool> {
    let mut whole = Outcome {
        verdict: Verdict::default(),
        faults: BTreeMap::new(),
        timeline: Vec::new(),
        workers: 0,
        first: None,
        took: Duration::ZERO,
        is_interrupted: false,
    };
    for redis in &plan.redis {
        let run = conductor::run(plan, *redis, plan.length / plan.redis.len() as u32, None).await?;
        if plan.redis.len() > 1 {
            show(&run);
        }
        whole.verdict.add(run.verdict);
        run.faults.into_iter().for_each(|(fault, count)| *whole.faults.entry(fault).or_default() += count);
        whole.timeline.extend(run.timeline);
        whole.workers += run.workers;
        whole.took += run.took;
        whole.is_interrupted = run.is_interrupted;
        if whole.is_interrupted {
            break;
        }
    }
    if plan.redis.len() > 1 {
        println!("in all");
    }
    show(&whole);
    if whole.is_interrupted {
        println!("the run was interrupted, and shows nothing");
    }
    Ok(whole.verdict.counts.violations == 0 && !whole.is_interrupted && has_teeth(&whole.verdict))
}

async fn run_without_each(plan: &Plan) -> Result<bool> {
    let redis = plan.redis.first().copied().unwrap_or(Kind::Single);
    let mut found: Vec<(Protection, Option<Duration>)> = Vec::new();
    for &protection in &plan.without {
        println!("without {}", protection.name());
        let outcome = conductor::run(plan, redis, plan.length, Some(protection)).await?;
        if plan.without.len() == 1 {
            show(&outcome);
        } else if let Some(violation) = outcome.verdict.first.iter().min_by_key(|violation| violation.at) {
            println!("  {}", violation.text);
        }
        found.push((protection, outcome.first));
        if outcome.is_interrupted {
            break;
        }
    }
    println!("without     first violation");
    for (protection, first) in &found {
        let first = first.map_or_else(|| "none".to_owned(), |first| format!("after {:.1} s", first.as_secs_f64()));
        println!("{:<11} {first}", protection.name());
    }
    Ok(found.len() == plan.without.len() && found.iter().all(|(_, first)| first.is_some()))
}

fn show(outcome: &Outcome) {
    let Outcome { verdict, faults, timeline, workers, first, took, .. } = outcome;
    let Verdict { counts, stats, .. } = verdict;
    let operations = counts.operations();
    println!("operations      {operations} in {} s, {:.0} a second", took.as_secs(), operations as f64 / took.as_secs_f64().max(1.0));
    println!("reads checked   {}, {} too late to check", counts.reads, counts.unchecked);
    println!("                of tagged records {}, of loads {}", counts.tagged, counts.loaded);
    println!("                of pairs of keys in a transaction {}", counts.pairs);
    println!("writes          {}, {} more were refused or rolled back", counts.writes, counts.never);
    let Counts { batched, conditional, transacted, by_condition, .. } = counts;
    println!("                in batches {batched}, conditional {conditional}, in transactions {transacted}, by condition {by_condition}");
    println!("invalidated     {} after a change that nothing else tells of", counts.invalidated);
    println!("calls failed    {}", counts.failures);
    println!("hits            L1 {}, L2 {}, L3 {}", stats.l1_hits, stats.l2_hits, stats.l3_hits);
    println!("fills refused   {}", stats.refused);
    println!("overlaps        {}", counts.overlaps);
    println!("workers started {workers}");
    let faults: Vec<String> = faults.iter().map(|(fault, count)| format!("{fault} {count}")).collect();
    println!("faults          {}", if faults.is_empty() { "none".to_owned() } else { faults.join(", ") });
    let first = first.map(|first| format!(", the first after {:.1} s", first.as_secs_f64())).unwrap_or_default();
    println!("violations      {}{first}", counts.violations);
    for violation in verdict.first.iter().take(SHOWN) {
        println!("  {}", violation.text);
        let ago = |at: u64| Duration::from_nanos(violation.at.saturating_sub(at)).as_secs_f64();
        let before = timeline.iter().filter(|(began, ended, _)| *began < violation.at && violation.at < *ended + RECENT.as_nanos() as u64);
        let before: Vec<String> =
            before.map(|(began, ended, fault)| format!("{fault} {:.1} to {:.1} s ago", ago(*began), ago(*ended))).collect();
        println!("    at {}, after: {}", violation.at, if before.is_empty() { "no fault".to_owned() } else { before.join(", ") });
    }
}

/// A run in which nothing overlapped or was refused shows nothing, nor does one of whose reads many were not checked.
fn has_teeth(verdict: &Verdict) -> bool {
    let Verdict { counts, stats, .. } = verdict;
    let needed = [
        ("writes", counts.writes),
        ("batches", counts.batched),
        ("conditional writes", counts.conditional),
        ("transactions", counts.transacted),
        ("writes by condition", counts.by_condition),
        ("refused writes", counts.never),
        ("reads in transactions", counts.pairs),
        ("invalidations", counts.invalidated),
        ("reads of tagged records", counts.tagged),
        ("reads of loads", counts.loaded),
        ("overlaps", counts.overlaps),
        ("refused fills", stats.refused),
        ("hits in L1", stats.l1_hits),
        ("hits in L2", stats.l2_hits),
    ];
    let missing: Vec<&str> = needed.iter().filter(|(_, count)| *count == 0).map(|(what, _)| *what).collect();
    if !missing.is_empty() {
        println!("the run had no teeth: no {}", missing.join(", no "));
    }
    let is_late = counts.unchecked * LATE >= counts.reads;
    if is_late {
        println!("the run had no teeth: one read of {LATE} or more came too late to check");
    }
    missing.is_empty() && !is_late
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Stats;

    #[test]
    fn a_run_that_left_something_out_has_no_teeth() {
        let counts = Counts {
            reads: 1_000,
            unchecked: 9,
            tagged: 1,
            loaded: 1,
            writes: 1,
            batched: 1,
            conditional: 1,
            transacted: 1,
            by_condition: 1,
            never: 1,
            pairs: 1,
            invalidated: 1,
            overlaps: 1,
            ..Counts::default()
        };
        let stats = Stats { refused: 1, l1_hits: 1, l2_hits: 1, ..Stats::default() };
        let verdict = Verdict { counts, stats, first: Vec::new() };
        assert!(has_teeth(&verdict));
        let lacking: [fn(&mut Verdict); 15] = [
            |verdict| verdict.counts.unchecked = 10,
            |verdict| verdict.counts.tagged = 0,
            |verdict| verdict.counts.loaded = 0,
            |verdict| verdict.counts.writes = 0,
            |verdict| verdict.counts.batched = 0,
            |verdict| verdict.counts.conditional = 0,
            |verdict| verdict.counts.transacted = 0,
            |verdict| verdict.counts.by_condition = 0,
            |verdict| verdict.counts.never = 0,
            |verdict| verdict.counts.pairs = 0,
            |verdict| verdict.counts.invalidated = 0,
            |verdict| verdict.counts.overlaps = 0,
            |verdict| verdict.stats.refused = 0,
            |verdict| verdict.stats.l1_hits = 0,
            |verdict| verdict.stats.l2_hits = 0,
        ];
        for lack in lacking {
            let mut verdict = verdict.clone();
            lack(&mut verdict);
            assert!(!has_teeth(&verdict), "{verdict:?}");
        }
    }
}

//! The whole soak: its runs one after the other, and what they found.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use strata::protection::Protection;

use crate::arguments::Plan;
use crate::checker::Verdict;
use crate::conductor::{self, Outcome};
use crate::redis::Kind;

/// How many violations are shown in full.
const SHOWN: usize = 20;

/// Runs what was planned. `true` if every promise was kept and the run had teeth; where each protection is left out in turn, if each was missed.
pub(crate) async fn run(plan: &Plan) -> Result<bool> {
    println!("soak: {} processes, {} keys, {}, seed {}", plan.processes, plan.keys, plan.length, plan.seed);
    match *plan.without.as_slice() {
        [] => run_whole(plan).await,
        [protection] => {
            let outcome = run_without(plan, protection).await?;
            show(&outcome);
            Ok(outcome.verdict.violations == 0)
        }
        _ => run_without_each(plan).await,
    }
}

async fn run_whole(plan: &Plan) -> Result<bool> {
    let mut whole = Outcome {
        verdict: Verdict::default(),
        faults: BTreeMap::new(),
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
        whole.workers += run.workers;
        whole.took += run.took;
        if run.is_interrupted {
            break;
        }
    }
    if plan.redis.len() > 1 {
        println!("in all");
    }
    show(&whole);
    Ok(whole.verdict.violations == 0 && has_teeth(&whole.verdict))
}

async fn run_without(plan: &Plan, protection: Protection) -> Result<Outcome> {
    println!("without {}", protection.name());
    let redis = plan.redis.first().copied().unwrap_or(Kind::Single);
    conductor::run(plan, redis, plan.length, Some(protection)).await
}

async fn run_without_each(plan: &Plan) -> Result<bool> {
    let mut found: Vec<(Protection, Option<Duration>)> = Vec::new();
    for &protection in &plan.without {
        let outcome = run_without(plan, protection).await?;
        if let Some(violation) = outcome.verdict.first.iter().min_by_key(|violation| violation.at) {
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
    let Outcome { verdict, faults, workers, first, took, .. } = outcome;
    let operations = verdict.operations();
    println!("operations      {operations} in {} s, {:.0} a second", took.as_secs(), operations as f64 / took.as_secs_f64().max(1.0));
    println!("reads checked   {}, {} too late to check", verdict.reads, verdict.unchecked);
    println!("                of tagged records {}, of loads {}", verdict.tagged, verdict.loaded);
    println!("writes          {}", verdict.writes);
    println!("invalidated     {} after a change that nothing else tells of", verdict.invalidated);
    println!("calls failed    {}", verdict.failures);
    println!("hits            L1 {}, L2 {}, L3 {}", verdict.l1_hits, verdict.l2_hits, verdict.l3_hits);
    println!("fills refused   {}", verdict.refused);
    println!("overlaps        {}", verdict.overlaps);
    println!("workers started {workers}");
    let faults: Vec<String> = faults.iter().map(|(fault, count)| format!("{fault} {count}")).collect();
    println!("faults          {}", if faults.is_empty() { "none".to_owned() } else { faults.join(", ") });
    let first = first.map(|first| format!(", the first after {:.1} s", first.as_secs_f64())).unwrap_or_default();
    println!("violations      {}{first}", verdict.violations);
    for violation in verdict.first.iter().take(SHOWN) {
        println!("  {}", violation.text);
    }
}

/// A run in which nothing overlapped or was refused shows nothing.
fn has_teeth(verdict: &Verdict) -> bool {
    let has = verdict.overlaps > 0 && verdict.refused > 0 && verdict.l2_hits > 0 && verdict.l1_hits > 0;
    if !has {
        println!("the run had no teeth: no overlaps, no refused fills, or no hits");
    }
    has
}

//! The whole proof: one kill after the other, and what they found.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

use crate::arguments::Plan;
use crate::checker::Counts;
use crate::conductor::{End, Run, Stage};

/// How often a run tells how far it has come, where no terminal shows it.
const NEWS: Duration = Duration::from_secs(10);
/// How many violations, and how many kinds of failures, are shown in full.
const SHOWN: usize = 20;

#[derive(Debug, Default)]
struct Summary {
    kills: u64,
    opening: u64,
    replaying: u64,
    with_pending: u64,
    pending: usize,
}

impl Summary {
    fn add(&mut self, run: Run) {
        self.kills += 1;
        self.opening += u64::from(matches!(run.end, End::Opening | End::Replaying));
        self.replaying += u64::from(run.end == End::Replaying);
        self.with_pending += u64::from(run.pending > 0);
        self.pending += run.pending;
    }
}

/// Runs what was planned. `true` if nothing was lost or applied twice, and the run had teeth.
pub(crate) async fn run(plan: &Plan) -> Result<bool> {
    println!("kill: {} runs, seed {}", plan.runs, plan.seed);
    let begun = Instant::now();
    let mut stages = vec![Stage::sqlite().await?, Stage::postgres().await?];
    let mut summary = Summary::default();
    let ended = tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => {
            println!("interrupted");
            Ok(false)
        }
        killed = kill_all(plan, &mut stages, &mut summary) => killed.map(|()| true),
    };
    let is_kept = show(&summary, &stages, begun.elapsed());
    for stage in stages {
        if ended.is_err() || !stage.checker.violations.is_empty() {
            let truth = stage.truth.name();
            println!("{truth}: the journal, and SQLite's database, are kept in {}", stage.keep().display());
        }
    }
    ended.map(|is_whole| is_whole && is_kept)
}

async fn kill_all(plan: &Plan, stages: &mut [Stage], summary: &mut Summary) -> Result<()> {
    let mut random = fastrand::Rng::with_seed(plan.seed);
    let bar = bar(plan.runs);
    let mut told = Instant::now();
    let count = stages.len() as u64;
    for number in 0..plan.runs {
        let stage = &mut stages[(number % count) as usize];
        let run = stage.kill_one(number + 1, &mut random).await?;
        summary.add(run);
        let violations: usize = stages.iter().map(|stage| stage.checker.violations.len()).sum();
        bar.inc(1);
        bar.set_message(format!("kills, {} of them with writes pending, {violations} violations", summary.with_pending));
        if bar.is_hidden() && told.elapsed() >= NEWS {
            println!("{:>6} kills, {} of them with writes pending, {violations} violations", summary.kills, summary.with_pending);
            told = Instant::now();
        }
    }
    for (number, stage) in stages.iter_mut().enumerate() {
        stage.finish(plan.runs + 1 + number as u64).await?;
    }
    bar.finish_and_clear();
    Ok(())
}

fn bar(runs: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(runs).with_style(style)
}

/// Shows what was found. `true` if it is as it should be.
fn show(summary: &Summary, stages: &[Stage], took: Duration) -> bool {
    let mut acknowledged = Counts::new();
    let mut failures: BTreeMap<String, u64> = BTreeMap::new();
    for stage in stages {
        stage.checker.acknowledged.iter().for_each(|(kind, count)| *acknowledged.entry(kind).or_default() += count);
        stage.checker.failures.iter().for_each(|(error, count)| *failures.entry(error.clone()).or_default() += count);
    }
    let Summary { kills, opening, replaying, with_pending, pending } = summary;
    println!("kills           {kills} in {} s, by turns on SQLite and PostgreSQL", took.as_secs());
    println!("                {opening} while the store was opened, {replaying} of them with writes to replay");
    println!("                {with_pending} with acknowledged writes pending, of {pending} keys in all");
    let total: u64 = acknowledged.values().sum();
    let kinds: Vec<String> = acknowledged.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    println!("acknowledged    {total} calls: {}", kinds.join(", "));
    println!("calls failed    {}", failures.values().sum::<u64>());
    failures.iter().take(SHOWN).for_each(|(error, count)| println!("  {count} times: {error}"));
    println!("replayed        {} keys", stages.iter().map(|stage| stage.checker.replayed).sum::<usize>());
    let violations: usize = stages.iter().map(|stage| stage.checker.violations.len()).sum();
    println!("violations      {violations}");
    for stage in stages {
        stage.checker.violations.iter().take(SHOWN).for_each(|violation| println!("  {}: {violation}", stage.truth.name()));
    }
    let has_teeth = *with_pending > 0;
    if !has_teeth {
        println!("the run had no teeth: no kill hit pending writes");
    }
    violations == 0 && has_teeth
}

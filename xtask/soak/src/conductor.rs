//! One run on one kind of Redis: servers and workers are started, faults are let loose, and what the workers wrote down is checked.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use strata::protection::Protection;
use tokio::process::{Child, Command};

use crate::arguments::{Length, Plan};
use crate::checker::Verdict;
use crate::faults::{Fault, Pack, Servers};
use crate::history::{Journal, now};
use crate::losses::Losses;
use crate::model::{BOUND, DEAF_TRIGGER, SLOW_COMMIT_TRIGGER};
use crate::observer::{Observer, Progress};
use crate::outside;
use crate::postgres::Postgres;
use crate::redis::{Kind, Redis};

/// How often a run tells how far it has come.
const NEWS: Duration = Duration::from_secs(15);
/// How long workers stand still while Redis has gone back: long enough for the others to connect to it again.
const STANDSTILL: Duration = Duration::from_millis(2_500);
/// How long the workers may take to start.
const START: Duration = Duration::from_secs(60);

pub(crate) struct Conductor<'a> {
    plan: &'a Plan,
    length: Length,
    without: Option<Protection>,
    redis: Kind,
    servers: Servers,
    observer: Observer,
    /// What Redis loses.
    losses: Losses,
    directory: Histories,
    workers: Vec<Child>,
    /// How many workers were started.
    started: u32,
    pack: Pack,
    faults: BTreeMap<Fault, u64>,
    timeline: Vec<(u64, u64, Fault)>,
    random: fastrand::Rng,
}

/// The directory of the histories, which goes when the run is over.
struct Histories(PathBuf);

impl Histories {
    fn make() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("strata-soak-{}-{}", std::process::id(), now()));
        std::fs::create_dir_all(&path)?;
        Ok(Histories(path))
    }
}

impl Drop for Histories {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What came of a run.
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    pub(crate) faults: BTreeMap<Fault, u64>,
    /// When each began and ended.
    pub(crate) timeline: Vec<(u64, u64, Fault)>,
    pub(crate) workers: u32,
    /// How long after its beginning the run met its first violation.
    pub(crate) first: Option<Duration>,
    /// How long the workers were at it.
    pub(crate) took: Duration,
    pub(crate) is_interrupted: bool,
}

/// Runs for so long, or so many operations; without a protection, until the first violation.
pub(crate) async fn run(plan: &Plan, redis: Kind, length: Length, without: Option<Protection>) -> Result<Outcome> {
    println!("starting PostgreSQL and Redis ({})", redis.name());
    let servers = Servers { postgres: Postgres::start(plan.has_standby).await?, redis: Redis::start(redis)? };
    let directory = Histories::make()?;
    let mut conductor = Conductor {
        plan,
        length,
        without,
        redis,
        servers,
        losses: Losses::new(redis, Journal::create(&directory.0.join("conductor.history"))?),
        observer: Observer::start(directory.0.clone(), BOUND.as_nanos() as u64),
        directory,
        workers: Vec::new(),
        started: 0,
        pack: Pack::new(redis, plan.has_standby),
        faults: BTreeMap::new(),
        timeline: Vec::new(),
        random: fastrand::Rng::with_seed(plan.seed),
    };
    let began = now();
    for _ in 0..plan.processes {
        let worker = conductor.start_worker()?;
        conductor.workers.push(worker);
    }
    conductor.furnish().await?;
    let is_interrupted = conductor.let_loose().await?;
    let took = Duration::from_nanos(now() - began);
    conductor.stop().await?;
    let verdict = conductor.observer.finish()?;
    let first = verdict.first.iter().map(|violation| violation.at.saturating_sub(began)).min().map(Duration::from_nanos);
    Ok(Outcome { verdict, faults: conductor.faults, timeline: conductor.timeline, workers: conductor.started, first, took, is_interrupted })
}

impl Conductor<'_> {
    fn start_worker(&mut self) -> Result<Child> {
        self.started += 1;
        let number = self.started;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("worker").args([number.to_string(), self.plan.keys.to_string(), self.servers.postgres.url(), self.servers.redis.url()]);
        command.arg(&self.directory.0).stdin(Stdio::piped()).kill_on_drop(true);
        match self.without {
            Some(protection) => command.env("STRATA_WITHOUT", protection.name()),
            None => command.env_remove("STRATA_WITHOUT"),
        };
        command.spawn().context("a worker cannot be started")
    }

    /// Waits for the workers to make their tables, puts the triggers on one that hold writes up, and rows into the other.
    async fn furnish(&mut self) -> Result<()> {
        let begun = Instant::now();
        let are_made = "SELECT to_regclass('soak_item') IS NOT NULL AND to_regclass('soak_tagged') IS NOT NULL";
        while self.servers.postgres.query(are_made)? != "t" {
            self.look_after_workers()?;
            if begun.elapsed() > START {
                bail!("the workers do not make their tables");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.servers.postgres.query(SLOW_COMMIT_TRIGGER)?;
        self.servers.postgres.query(DEAF_TRIGGER)?;
        Ok(self.servers.postgres.query(&outside::make_rows()).map(drop)?)
    }

    /// Answers whether it was interrupted.
    async fn let_loose(&mut self) -> Result<bool> {
        let (end, what) = match self.length {
            Length::Time(time) => (time.as_secs(), "s"),
            Length::Operations(operations) => (operations, "operations"),
        };
        let bar = ProgressBar::new(end);
        if let Ok(style) = ProgressStyle::with_template(&format!("{{bar:40}} {{pos}}/{{len}} {what} {{msg}}")) {
            bar.set_style(style);
        }
        let begun = Instant::now();
        let mut told = Instant::now();
        let interrupted = tokio::signal::ctrl_c();
        tokio::pin!(interrupted);
        let is_interrupted = loop {
            let pause = Duration::from_millis(self.random.u64(200..900)).min(self.left(begun));
            tokio::select! {
                _ = &mut interrupted => {
                    println!("interrupted; checking what was done so far");
                    break true;
                }
                () = tokio::time::sleep(pause) => {}
            }
            self.look_after_workers()?;
            self.losses.look(self.servers.redis.agrees()?)?;
            let progress = self.observer.progress();
            bar.set_position(if let Length::Time(_) = self.length { begun.elapsed().as_secs() } else { progress.operations });
            if told.elapsed() >= NEWS {
                let (seconds, Progress { operations, violations, remembered }) = (begun.elapsed().as_secs(), progress);
                println!("{seconds:>6} s {operations:>10} operations checked, {violations} violations, {remembered} facts remembered");
                told = Instant::now();
            }
            if self.left(begun).is_zero() || (self.without.is_some() && progress.violations > 0) || self.observer.is_gone() {
                break false;
            }
            if !self.plan.calm && self.left(begun) > Duration::from_secs(1) {
                self.fault(&bar).await?;
            }
        };
        bar.finish_and_clear();
        Ok(is_interrupted)
    }

    /// How long it may still go on.
    fn left(&self, begun: Instant) -> Duration {
        match self.length {
            Length::Time(time) => time.saturating_sub(begun.elapsed()),
            Length::Operations(operations) if self.observer.progress().operations >= operations => Duration::ZERO,
            Length::Operations(_) => Duration::MAX,
        }
    }

    async fn fault(&mut self, bar: &ProgressBar) -> Result<()> {
        let Some(fault) = self.pack.deal(&mut self.random) else { return Ok(()) };
        bar.set_message(fault.to_string());
        let index = self.random.usize(..self.workers.len());
        let began = now();
        let happened = match fault {
            Fault::KillWorker => {
                self.workers[index].kill().await?;
                self.workers[index] = self.start_worker()?;
                true
            }
            Fault::PauseWorker => {
                let length = Duration::from_millis(self.random.u64(50..1_500));
                if let Some(id) = self.workers[index].id() {
                    signal(id, "STOP")?;
                    tokio::time::sleep(length).await;
                    signal(id, "CONT")?;
                }
                true
            }
            fault => tokio::task::block_in_place(|| self.suffer(fault, index))
                .with_context(|| format!("the fault `{fault}` could not be made"))?,
        };
        if happened {
            *self.faults.entry(fault).or_default() += 1;
            self.timeline.push((began, now(), fault));
        }
        Ok(())
    }

    /// Lets a fault of the servers happen. Where Redis goes back, mostly all workers but one stand still for a while: he who could mend it is likely among them.
    fn suffer(&mut self, fault: Fault, index: usize) -> Result<bool> {
        if fault.loses(self.redis) {
            self.losses.begin()?;
        }
        let others = self.workers.iter().enumerate().filter(|(other, _)| *other != index).filter_map(|(_, worker)| worker.id());
        let still: Vec<u32> = if fault.goes_back() && self.random.u32(..4) > 0 { others.collect() } else { Vec::new() };
        let mut is_still = false;
        let happened = self.servers.suffer(fault, &mut self.random, || {
            is_still = true;
            still.iter().try_for_each(|id| signal(*id, "STOP"))
        });
        if is_still && !still.is_empty() {
            std::thread::sleep(STANDSTILL);
            still.iter().try_for_each(|id| signal(*id, "CONT"))?;
        }
        if fault.loses(self.redis) {
            self.losses.end()?;
        }
        happened
    }

    /// A worker that ended by itself is a failure of the run.
    fn look_after_workers(&mut self) -> Result<()> {
        for worker in &mut self.workers {
            if let Some(status) = worker.try_wait()? {
                bail!("a worker ended by itself: {status}");
            }
        }
        Ok(())
    }

    async fn stop(&mut self) -> Result<()> {
        for worker in &mut self.workers {
            drop(worker.stdin.take());
        }
        for worker in &mut self.workers {
            let status = tokio::time::timeout(START, worker.wait()).await.context("a worker does not end")??;
            anyhow::ensure!(status.success(), "a worker failed: {status}");
        }
        Ok(())
    }
}

fn signal(id: u32, name: &str) -> Result<()> {
    let status = std::process::Command::new("kill").args([format!("-{name}"), id.to_string()]).status()?;
    anyhow::ensure!(status.success(), "the signal {name} cannot be sent to a worker");
    Ok(())
}

//! The run: servers and workers are started, faults are let loose, and in the end every read is checked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use store_testkit::servers::{PostgresOptions, PostgresServer, RedisOptions, RedisServer};
use tokio::process::{Child, Command};

use crate::arguments::Plan;
use crate::checker::{Verdict, check};
use crate::faults::{FAULTS, Fault, Servers};
use crate::history;
use crate::model::BOUND;

/// How many violations are shown in full.
const SHOWN: usize = 20;

struct Conductor {
    plan: Plan,
    servers: Servers,
    directory: PathBuf,
    workers: Vec<Child>,
    /// How many workers were started.
    started: u32,
    faults: BTreeMap<Fault, u64>,
    random: fastrand::Rng,
}

/// Runs the soak; `true` if every promise was kept and the run had teeth.
pub(crate) async fn run(plan: Plan) -> Result<bool> {
    println!("soak: {} processes, {} keys, {:?}, seed {}", plan.processes, plan.keys, plan.duration, plan.seed);
    println!("starting PostgreSQL and Redis");
    let servers =
        Servers { postgres: PostgresServer::start(&PostgresOptions::default())?, redis: RedisServer::start(&RedisOptions::default())? };
    let directory = servers.postgres.directory().join("soak");
    std::fs::create_dir_all(&directory)?;
    let random = fastrand::Rng::with_seed(plan.seed);
    let mut conductor = Conductor { plan, servers, directory, workers: Vec::new(), started: 0, faults: BTreeMap::new(), random };
    for _ in 0..conductor.plan.processes {
        let worker = conductor.start_worker()?;
        conductor.workers.push(worker);
    }
    conductor.let_loose().await?;
    conductor.stop().await?;
    let begun = Instant::now();
    let verdict = check(&conductor.histories()?, BOUND.as_nanos() as u64);
    conductor.report(&verdict, begun.elapsed());
    Ok(verdict.violations.is_empty() && conductor.has_teeth(&verdict))
}

impl Conductor {
    fn start_worker(&mut self) -> Result<Child> {
        self.started += 1;
        let number = self.started;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("worker").args([number.to_string(), self.plan.keys.to_string(), self.servers.postgres.url(), self.servers.redis.url()]);
        command.arg(self.directory.join(format!("{number}.history"))).stdin(Stdio::piped()).kill_on_drop(true);
        command.spawn().context("a worker cannot be started")
    }

    async fn let_loose(&mut self) -> Result<()> {
        let bar = ProgressBar::new(self.plan.duration.as_secs());
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} s {msg}") {
            bar.set_style(style);
        }
        let begun = Instant::now();
        let interrupted = tokio::signal::ctrl_c();
        tokio::pin!(interrupted);
        loop {
            let left = self.plan.duration.saturating_sub(begun.elapsed());
            bar.set_position(begun.elapsed().as_secs());
            if left.is_zero() {
                break;
            }
            let pause = Duration::from_millis(self.random.u64(200..900)).min(left);
            tokio::select! {
                _ = &mut interrupted => {
                    println!("interrupted; checking what was done so far");
                    break;
                }
                () = tokio::time::sleep(pause) => {}
            }
            self.look_after_workers()?;
            if !self.plan.calm && self.plan.duration.saturating_sub(begun.elapsed()) > Duration::from_secs(1) {
                self.fault(&bar).await?;
            }
        }
        bar.finish_and_clear();
        Ok(())
    }

    async fn fault(&mut self, bar: &ProgressBar) -> Result<()> {
        // A kill of PostgreSQL costs seconds of recovery.
        let fault = if self.random.u32(0..40) == 0 { Fault::KillPostgres } else { FAULTS[self.random.usize(..FAULTS.len())] };
        bar.set_message(fault.to_string());
        *self.faults.entry(fault).or_default() += 1;
        let index = self.random.usize(..self.workers.len());
        match fault {
            Fault::KillWorker => {
                self.workers[index].kill().await?;
                self.workers[index] = self.start_worker()?;
            }
            Fault::PauseWorker => {
                let length = Duration::from_millis(self.random.u64(50..1_500));
                if let Some(id) = self.workers[index].id() {
                    signal(id, "STOP")?;
                    tokio::time::sleep(length).await;
                    signal(id, "CONT")?;
                }
            }
            fault => tokio::task::block_in_place(|| self.servers.suffer(fault, &mut self.random))?,
        }
        Ok(())
    }

    /// A worker that ended by itself is a failure of the run.
    fn look_after_workers(&mut self) -> Result<()> {
        for worker in &mut self.workers {
            if let Some(status) = worker.try_wait()? {
                anyhow::bail!("a worker ended by itself: {status}");
            }
        }
        Ok(())
    }

    async fn stop(&mut self) -> Result<()> {
        for worker in &mut self.workers {
            drop(worker.stdin.take());
        }
        for worker in &mut self.workers {
            let status = tokio::time::timeout(Duration::from_secs(60), worker.wait()).await.context("a worker does not end")??;
            anyhow::ensure!(status.success(), "a worker failed: {status}");
        }
        Ok(())
    }

    fn histories(&self) -> Result<Vec<Vec<history::Event>>> {
        let read = |number: u32| -> Result<Vec<history::Event>> {
            let path = self.directory.join(format!("{number}.history"));
            // One that was killed before it began has written nothing.
            if !Path::new(&path).exists() {
                return Ok(Vec::new());
            }
            history::read(&std::fs::read_to_string(path)?)
        };
        (1..=self.started).map(read).collect()
    }

    fn report(&self, verdict: &Verdict, elapsed: Duration) {
        println!("operations      {}", verdict.reads + verdict.writes + verdict.failures);
        println!("reads checked   {} (in {elapsed:.1?})", verdict.reads);
        println!("writes          {}", verdict.writes);
        println!("calls failed    {}", verdict.failures);
        println!("hits            L1 {}, L2 {}, L3 {}", verdict.l1_hits, verdict.l2_hits, verdict.l3_hits);
        println!("fills refused   {}", verdict.refused);
        println!("overlaps        {}", verdict.overlaps);
        println!("workers started {}", self.started);
        let faults: Vec<String> = self.faults.iter().map(|(fault, count)| format!("{fault} {count}")).collect();
        println!("faults          {}", if faults.is_empty() { "none".to_owned() } else { faults.join(", ") });
        println!("violations      {}", verdict.violations.len());
        for violation in verdict.violations.iter().take(SHOWN) {
            println!("  {}", violation.text);
        }
    }

    /// A run in which nothing overlapped or was refused shows nothing.
    fn has_teeth(&self, verdict: &Verdict) -> bool {
        let has = verdict.overlaps > 0 && verdict.refused > 0 && verdict.l2_hits > 0 && verdict.l1_hits > 0;
        if !has {
            println!("the run had no teeth: no overlaps, no refused fills, or no hits");
        }
        has
    }
}

fn signal(id: u32, name: &str) -> Result<()> {
    let status = std::process::Command::new("kill").args([format!("-{name}"), id.to_string()]).status()?;
    anyhow::ensure!(status.success(), "the signal {name} cannot be sent to a worker");
    Ok(())
}

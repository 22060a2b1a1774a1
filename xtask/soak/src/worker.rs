//! One process: an instance that reads and writes at random, and one that drills.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use strata::Query;
use tokio::io::AsyncReadExt;

use crate::arguments::Task;
use crate::drill;
use crate::history::Promise;
use crate::instance::{Instance, Purpose};

const TASKS: usize = 6;

struct Worker {
    instance: Instance,
    keys: u64,
    stopped: AtomicBool,
}

/// Works until its standard input is closed.
pub(crate) async fn run(task: Task) -> Result<()> {
    let (random, drilled) = tokio::try_join!(Instance::open(&task, Purpose::Random), Instance::open(&task, Purpose::Drill))?;
    let worker = Arc::new(Worker { instance: random, keys: task.keys, stopped: AtomicBool::new(false) });
    let drilled = Arc::new(drilled);
    let mut running: Vec<_> = (0..TASKS)
        .map(|_| {
            let worker = Arc::clone(&worker);
            tokio::spawn(async move { worker.work().await })
        })
        .collect();
    running.push(tokio::spawn({
        let (worker, drilled) = (Arc::clone(&worker), Arc::clone(&drilled));
        async move { drill::run(&drilled, worker.keys, &worker.stopped).await }
    }));
    let _ = tokio::io::stdin().read(&mut [0; 16]).await;
    worker.stopped.store(true, Ordering::Relaxed);
    for task in running {
        task.await.context("a task of the worker panicked")??;
    }
    worker.instance.close().await?;
    drilled.close().await
}

impl Worker {
    async fn work(&self) -> Result<()> {
        let instance = &self.instance;
        while !self.stopped.load(Ordering::Relaxed) {
            // Some keys are much hotter than others.
            let key = (fastrand::f64().powi(3) * self.keys as f64) as u64 + 1;
            // In parts of a thousand.
            match fastrand::u32(0..1_000) {
                0..880 => instance.read(key, Promise::Bounded).await?,
                880..895 => instance.read(key, Promise::Latest).await?,
                895..910 => {
                    let keys: Vec<u64> = (0..5).map(|_| fastrand::u64(1..=self.keys)).collect();
                    instance.read_shared(&keys).await?;
                }
                910..920 => {
                    // Its side effect on memory is what counts.
                    if instance.items.search(Query::new().limit(20)).await.is_err() {
                        instance.fail().await?;
                    }
                }
                920..975 => instance.put(key).await?,
                975..985 => instance.delete(key).await?,
                _ => instance.invalidate(key).await?,
            }
        }
        Ok(())
    }
}

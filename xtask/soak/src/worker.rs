//! One process: an instance that reads and writes at random, and one that drills.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use strata::Query;
use tokio::io::AsyncReadExt;

use crate::arguments::Task;
use crate::history::Promise;
use crate::instance::{Instance, Purpose};
use crate::outside::Outside;
use crate::{drill, loaded, tagged};

const TASKS: usize = 6;

struct Worker {
    instance: Instance,
    /// What loads look at, and what changes rows.
    source: Arc<Outside>,
    outside: Outside,
    keys: u64,
    stopped: AtomicBool,
}

/// Works until its standard input is closed.
pub(crate) async fn run(task: Task) -> Result<()> {
    let (random, drilled) = tokio::try_join!(Instance::open(&task, Purpose::Random), Instance::open(&task, Purpose::Drill))?;
    let worker = Arc::new(Worker {
        instance: random,
        source: Arc::new(Outside::new(&task.database)),
        outside: Outside::new(&task.database),
        keys: task.keys,
        stopped: AtomicBool::new(false),
    });
    let drilled = Arc::new(drilled);
    let mut running: Vec<_> = (0..TASKS)
        .map(|_| {
            let worker = Arc::clone(&worker);
            tokio::spawn(async move { worker.work().await })
        })
        .collect();
    for part in [Part::ReadTagged, Part::ChangeTagged, Part::ReadLoaded, Part::ReadLoaded, Part::ChangeLoaded] {
        let worker = Arc::clone(&worker);
        running.push(tokio::spawn(async move { worker.play(part).await }));
    }
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

/// What a task does with what changes behind the store's back.
#[derive(Debug, Clone, Copy)]
enum Part {
    ReadTagged,
    ChangeTagged,
    ReadLoaded,
    ChangeLoaded,
}

impl Worker {
    async fn play(&self, part: Part) -> Result<()> {
        match part {
            Part::ReadTagged => tagged::read(&self.instance, &self.stopped).await,
            Part::ChangeTagged => tagged::change(&self.instance, &self.outside, &self.stopped).await,
            Part::ReadLoaded => loaded::read(&self.instance, &self.source, &self.stopped).await,
            Part::ChangeLoaded => loaded::change(&self.instance, &self.outside, &self.stopped).await,
        }
    }

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
                910..920 => instance.search(Query::new().limit(20)).await?,
                920..950 => instance.put(key).await?,
                950..956 => {
                    let keys: BTreeSet<u64> = (0..4).map(|_| fastrand::u64(1..=self.keys)).collect();
                    instance.put_many(keys).await?;
                }
                956..962 => instance.insert(key).await?,
                962..968 => instance.update(key).await?,
                968..974 => instance.put_pair(first_of_pair(key), fastrand::u32(..4) == 0).await?,
                974..980 => instance.read_pair(first_of_pair(key)).await?,
                980..986 => instance.delete(key).await?,
                986..988 => instance.delete_where(key, (key + 2).min(self.keys)).await?,
                988..990 => instance.update_where(key, (key + 2).min(self.keys)).await?,
                _ => instance.invalidate(key).await?,
            }
        }
        Ok(())
    }
}

/// Transactions write an odd key and the next one.
fn first_of_pair(key: u64) -> u64 {
    (key - 1) | 1
}

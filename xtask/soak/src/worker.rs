//! One instance: a store with a memory of its own, and tasks that read and write through it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use strata::mem::MemTier;
use strata::pg::{PgConfig, PgTier};
use strata::redis::{RedisConfig, RedisTier};
use strata::{Collection, Freshness, Query, Record, Role, Store};
use tokio::io::AsyncReadExt;

use crate::arguments::Task;
use crate::history::{Event, Journal, Promise, now};
use crate::model::{BOUND, Item};

const TASKS: usize = 6;
/// How long a server may be away before a worker gives up on starting.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a task waits after a call that failed.
const AFTER_FAILURE: Duration = Duration::from_millis(5);
const LIMIT: Duration = Duration::from_secs(1);

struct Worker {
    items: Collection<Item>,
    journal: Journal,
    keys: u64,
    numbers: AtomicU64,
    stopped: AtomicBool,
}

/// Works until its standard input is closed.
pub(crate) async fn run(task: Task) -> Result<()> {
    let store = open(&task).await?;
    let worker = Arc::new(Worker {
        items: store.collection()?,
        journal: Journal::create(&task.history)?,
        keys: task.keys,
        // No two workers of a run, nor two lives of one, share a number.
        numbers: AtomicU64::new(u64::from(task.number) << 32 | 1),
        stopped: AtomicBool::new(false),
    });
    let running: Vec<_> = (0..TASKS)
        .map(|_| {
            let worker = Arc::clone(&worker);
            tokio::spawn(async move { worker.work().await })
        })
        .collect();
    let _ = tokio::io::stdin().read(&mut [0; 16]).await;
    worker.stopped.store(true, Ordering::Relaxed);
    for task in running {
        task.await.context("a task of the worker panicked")??;
    }
    let stats = store.stats();
    worker.journal.write(Event::Ended {
        refused: stats.fills_refused,
        errors: stats.errors,
        l1_hits: stats.l1_hits,
        l2_hits: stats.l2_hits,
        l3_hits: stats.l3_hits,
    })?;
    let _ = tokio::time::timeout(LIMIT, store.close()).await;
    Ok(())
}

async fn open(task: &Task) -> Result<Store> {
    let begun = tokio::time::Instant::now();
    loop {
        match try_open(task).await {
            Ok(store) => return Ok(store),
            // The servers may be down just now.
            Err(error) if begun.elapsed() > PATIENCE => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn try_open(task: &Task) -> Result<Store> {
    let redis =
        RedisConfig::from_url(&task.redis)?.with_pool_size(2).with_dial_timeout(LIMIT).with_read_timeout(LIMIT).with_write_timeout(LIMIT);
    let redis = RedisTier::connect(redis).await?;
    let postgres = PgTier::connect(PgConfig::from_url(&task.database)?).await?;
    let builder = Store::builder().near(MemTier::new()).tier(redis).tier(postgres).schema::<Item>();
    Ok(builder.configure(|settings| settings.freshness = BOUND).build().await?)
}

impl Worker {
    async fn work(&self) -> Result<()> {
        while !self.stopped.load(Ordering::Relaxed) {
            // Some keys are much hotter than others.
            let key = (fastrand::f64().powi(3) * self.keys as f64) as u64 + 1;
            match fastrand::u32(0..100) {
                0..60 => self.read(key, Promise::Bounded).await?,
                60..66 => self.read(key, Promise::Latest).await?,
                66..72 => self.read_many().await?,
                72..75 => {
                    // Its side effect on memory is what counts.
                    if self.items.search(Query::new().limit(20)).await.is_err() {
                        self.fail().await?;
                    }
                }
                75..93 => self.write(key, false).await?,
                93..97 => self.write(key, true).await?,
                _ => {
                    if self.items.invalidate(key as i64).await.is_err() {
                        self.fail().await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn read(&self, key: u64, promise: Promise) -> Result<()> {
        let items = match (promise, fastrand::bool()) {
            (Promise::Bounded, _) => self.items.clone(),
            (Promise::Latest, true) => self.items.with_freshness(Freshness::Strong),
            (Promise::Latest, false) => self.items.with_freshness(Freshness::Bounded(Duration::ZERO)),
        };
        let began = now();
        match items.read(key as i64).await {
            Ok(answer) => self.note(key, answer.as_ref().map(|answer| &answer.record), began, promise),
            Err(_) => self.fail().await,
        }
    }

    /// Notes a failure, and lets the servers come back.
    async fn fail(&self) -> Result<()> {
        self.journal.write(Event::Failed)?;
        tokio::time::sleep(AFTER_FAILURE).await;
        Ok(())
    }

    async fn read_many(&self) -> Result<()> {
        let keys: Vec<u64> = (0..5).map(|_| fastrand::u64(1..=self.keys)).collect();
        let began = now();
        match self.items.from(Role::Shared).get_many(keys.iter().map(|key| *key as i64)).await {
            Ok(records) => keys.iter().zip(records).try_for_each(|(key, record)| self.note(*key, record.as_ref(), began, Promise::Bounded)),
            Err(_) => self.fail().await,
        }
    }

    fn note(&self, key: u64, record: Option<&Record<Item>>, began: u64, promise: Promise) -> Result<()> {
        let (number, version) = record.map_or((0, 0), |record| (record.number.unsigned_abs(), record.version().get()));
        self.journal.write(Event::Read { key, number, version, began, at: now(), promise })
    }

    async fn write(&self, key: u64, delete: bool) -> Result<()> {
        let number = if delete { 0 } else { self.numbers.fetch_add(1, Ordering::Relaxed) };
        let began = now();
        self.journal.write(Event::Began { key, number, at: began })?;
        let version = if delete {
            self.items.delete(key as i64).await.map(|_| 0)
        } else {
            self.items.set(Item { id: key as i64, number: number as i64 }).await.map(|record| record.version().get())
        };
        match version {
            Ok(version) => self.journal.write(Event::Acknowledged { key, number, began, at: now(), version }),
            Err(_) => self.fail().await,
        }
    }
}

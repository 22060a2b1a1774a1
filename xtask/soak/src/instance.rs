//! One instance: a store with a memory of its own, and the history of what it was asked and answered.

mod writes;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::Result;
use store_testkit::{FaultTier, Faults};
use strata::mem::MemTier;
use strata::pg::{PgConfig, PgTier};
use strata::redis::{RedisConfig, RedisTier};
use strata::{Collection, Freshness, Query, Record, Role, Schema, Store};

use crate::arguments::Task;
use crate::history::{Event, Journal, Kind, Promise, Spell, Stats, now};
use crate::model::{BOUND, Item, Loaded, STATEMENT, Tagged};
use crate::outside::Outside;
use crate::{line, loaded};

/// How long a server may be away before a worker gives up on starting.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a task waits after a call that failed.
const AFTER_FAILURE: Duration = Duration::from_millis(5);
const LIMIT: Duration = Duration::from_secs(1);

/// What an instance is for; no two of them write the same numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Random,
    Drill,
}

pub(crate) struct Instance {
    store: Store,
    pub(crate) items: Collection<Item>,
    pub(crate) tagged: Collection<Tagged>,
    pub(crate) loaded: Collection<Loaded>,
    journal: Journal,
    numbers: AtomicU64,
    pub(crate) redis: Faults,
    pub(crate) postgres: Faults,
}

impl Instance {
    pub(crate) async fn open(task: &Task, purpose: Purpose) -> Result<Self> {
        let begun = tokio::time::Instant::now();
        let database = match purpose {
            Purpose::Random => task.database.clone(),
            Purpose::Drill => line::lay(&task.database).await?,
        };
        loop {
            match Self::try_open(task, purpose, &database).await {
                Ok(instance) => return Ok(instance),
                // The servers may be down just now.
                Err(error) if begun.elapsed() > PATIENCE => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    async fn try_open(task: &Task, purpose: Purpose, database: &str) -> Result<Self> {
        let redis = RedisConfig::from_url(&task.redis)?.with_pool_size(2);
        let redis = redis.with_dial_timeout(LIMIT).with_read_timeout(LIMIT).with_write_timeout(LIMIT);
        let redis = FaultTier::new(RedisTier::connect(redis).await?);
        let postgres = FaultTier::new(PgTier::connect(PgConfig::from_url(database)?.with_statement_timeout(STATEMENT)).await?);
        let (redis_faults, postgres_faults) = (redis.faults(), postgres.faults());
        let builder = Store::builder().near(MemTier::new()).tier(redis).tier(postgres);
        let builder = builder.schema::<Item>().schema::<Tagged>().schema::<Loaded>();
        let store = builder.configure(|settings| settings.freshness = BOUND).build().await?;
        let (name, kind) = match purpose {
            Purpose::Random => ("random", 0),
            Purpose::Drill => ("drill", 1 << 31),
        };
        Ok(Instance {
            items: store.collection()?,
            tagged: store.collection()?,
            loaded: store.collection()?,
            store,
            journal: Journal::create(&task.directory.join(format!("{}-{name}.history", task.number)))?,
            numbers: AtomicU64::new(u64::from(task.number) << 32 | kind | 1),
            redis: redis_faults,
            postgres: postgres_faults,
        })
    }

    /// Notes what the store counted, and closes it.
    pub(crate) async fn close(&self) -> Result<()> {
        let stats = self.store.stats();
        let (refused, l1_hits, l2_hits, l3_hits) = (stats.fills_refused, stats.l1_hits, stats.l2_hits, stats.l3_hits);
        self.journal.write(Event::Ended(Stats { refused, l1_hits, l2_hits, l3_hits }))?;
        let _ = tokio::time::timeout(LIMIT, self.store.close()).await;
        Ok(())
    }

    pub(crate) async fn read(&self, key: u64, promise: Promise) -> Result<()> {
        let began = now();
        match promised(&self.items, promise).read(key as i64).await {
            Ok(answer) => self.note(key, answer.as_ref().map(|answer| &answer.record), began, promise),
            Err(_) => self.fail().await,
        }
    }

    /// Reads past memory.
    pub(crate) async fn read_shared(&self, keys: &[u64]) -> Result<()> {
        let began = now();
        match self.items.from(Role::Shared).get_many(keys.iter().map(|key| *key as i64)).await {
            Ok(records) => keys.iter().zip(records).try_for_each(|(key, record)| self.note(*key, record.as_ref(), began, Promise::Bounded)),
            Err(_) => self.fail().await,
        }
    }

    /// A search answers from the truth, and its side effect is on memory: it fills it, or it tells of versions that memory must not be older than.
    pub(crate) async fn search(&self, query: Query<Item>) -> Result<()> {
        let began = now();
        if fastrand::bool() {
            return match self.items.from(Role::Truth).search(query).await {
                Ok(found) => found.iter().try_for_each(|item| self.note(item.id.unsigned_abs(), Some(item), began, Promise::Latest)),
                Err(_) => self.fail().await,
            };
        }
        match self.items.search(query).await {
            Ok(found) => found.iter().try_for_each(|item| {
                let (key, number) = (item.id.unsigned_abs(), item.number.unsigned_abs());
                self.journal.write(Event::Read { key, number, version: 0, began, at: now(), promise: Promise::Bounded })
            }),
            Err(_) => self.fail().await,
        }
    }

    pub(crate) async fn read_tagged(&self, items: &Collection<Tagged>, key: u64, promise: Promise) -> Result<()> {
        let began = now();
        match promised(items, promise).get(key as i64).await {
            Ok(found) => self.note_number(Kind::Tagged, key, found.map(|found| found.number), began, promise),
            Err(_) => self.fail().await,
        }
    }

    /// Reads past memory.
    pub(crate) async fn read_tagged_shared(&self, items: &Collection<Tagged>, keys: &[u64]) -> Result<()> {
        let began = now();
        match items.from(Role::Shared).get_many(keys.iter().map(|key| *key as i64)).await {
            Ok(found) => keys.iter().zip(found).try_for_each(|(key, found)| {
                self.note_number(Kind::Tagged, *key, found.map(|found| found.number), began, Promise::Bounded)
            }),
            Err(_) => self.fail().await,
        }
    }

    pub(crate) async fn search_tagged(&self, items: &Collection<Tagged>, query: Query<Tagged>) -> Result<()> {
        let began = now();
        match items.search(query).await {
            Ok(page) => page
                .iter()
                .try_for_each(|found| self.note_number(Kind::Tagged, found.id.unsigned_abs(), Some(found.number), began, Promise::Bounded)),
            Err(_) => self.fail().await,
        }
    }

    pub(crate) async fn read_loaded(&self, key: u64, promise: Promise, source: &Arc<Outside>) -> Result<()> {
        let began = now();
        let source = Arc::clone(source);
        let loader = move |known| async move {
            let loads = loaded::load(source, vec![(key as i64, known)]).await?;
            loads.into_iter().map(|(_, load)| load).next().ok_or_else(|| "nothing was said of the key".into())
        };
        match promised(&self.loaded, promise).get_or_load(key as i64, loader).await {
            Ok(found) => self.note_number(Kind::Loaded, key, found.map(|found| found.number), began, promise),
            Err(_) => self.fail().await,
        }
    }

    pub(crate) async fn read_loaded_many(&self, keys: &[u64], source: &Arc<Outside>) -> Result<()> {
        let began = now();
        let source = Arc::clone(source);
        let loader = move |keys| loaded::load(Arc::clone(&source), keys);
        match self.loaded.get_or_load_many(keys.iter().map(|key| *key as i64), loader).await {
            Ok(found) => keys.iter().zip(found).try_for_each(|(key, found)| {
                self.note_number(Kind::Loaded, *key, found.map(|found| found.number), began, Promise::Bounded)
            }),
            Err(_) => self.fail().await,
        }
    }

    fn note_number(&self, kind: Kind, key: u64, number: Option<i64>, began: u64, promise: Promise) -> Result<()> {
        let number = number.unwrap_or_default().unsigned_abs();
        self.journal.write(Event::Read { key: kind.key(key), number, version: 0, began, at: now(), promise })
    }

    /// Invalidates what has changed, and notes the numbers that must show from then on.
    pub(crate) async fn invalidate_changed(
        &self,
        kind: Kind,
        changed: &[(u64, u64)],
        invalidate: impl Future<Output = strata::Result<()>>,
    ) -> Result<()> {
        let from = now();
        if invalidate.await.is_err() {
            return self.fail().await;
        }
        let invalidation = Spell { from, to: now() };
        changed.iter().try_for_each(|&(key, number)| self.journal.write(Event::Invalidated { key: kind.key(key), number, invalidation }))
    }

    fn note(&self, key: u64, record: Option<&Record<Item>>, began: u64, promise: Promise) -> Result<()> {
        let (number, version) = record.map_or((0, 0), |record| (record.number.unsigned_abs(), record.version().get()));
        self.journal.write(Event::Read { key, number, version, began, at: now(), promise })
    }

    pub(crate) async fn invalidate(&self, key: u64) -> Result<()> {
        match self.items.invalidate(key as i64).await {
            Ok(_) => Ok(()),
            Err(_) => self.fail().await,
        }
    }

    /// Notes a failure, and lets the servers come back.
    pub(crate) async fn fail(&self) -> Result<()> {
        self.journal.write(Event::Failed)?;
        tokio::time::sleep(AFTER_FAILURE).await;
        Ok(())
    }
}

fn promised<T: Schema>(collection: &Collection<T>, promise: Promise) -> Collection<T> {
    match (promise, fastrand::bool()) {
        (Promise::Bounded, _) => collection.clone(),
        (Promise::Latest, true) => collection.with_freshness(Freshness::Strong),
        (Promise::Latest, false) => collection.with_freshness(Freshness::Bounded(Duration::ZERO)),
    }
}

//! The interleavings of whole pipelines: two instances over one truth, with and without a shared tier between, with the very code that a store runs. Its tasks, locks
//! and choices are the explorer's; the tiers are as plain as can be.

pub(crate) mod tiers;

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use shuttle::future::{block_on, spawn};
use shuttle::rand::{Rng, thread_rng};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use self::tiers::{Counter, PlainMemory, PlainRecords, PlainTables};
use super::relayer::Relayer;
use super::{Coherence, Follow};
use crate::behind::{Behind, Elsewhere};
use crate::facet::{Log, LogKind, Records, Tables};
use crate::freshness::Freshness;
use crate::gate::{Closing, Gate};
use crate::life::Life;
use crate::pipeline::{Backing, Pipeline, Shared, WriteTurns};
use crate::schema::{BoundSchema, Schema};
use crate::settings::Settings;
use crate::stats::Counters;
use crate::sync::explore;
use crate::tag::CallTags;
use crate::tier::Role;
use crate::version::Version;
use crate::{Collection, Record, codec};

const KEYS: [i64; 2] = [1, 2];

/// One store.
struct Instance {
    pipeline: Arc<Pipeline<Counter>>,
    /// By key, the newest commit that this instance was told of, or told a caller of.
    told: [AtomicUsize; 2],
}

/// Two stores, and what they share.
struct World {
    truth: Arc<PlainTables>,
    instances: [Instance; 2],
    relayer: Option<Relayer>,
}

/// What the pipelines of an explored store share.
pub(crate) fn shared(settings: Settings, log: &Arc<dyn Log>, behind: Option<Arc<Behind>>, elsewhere: Elsewhere) -> Arc<Shared> {
    Arc::new(Shared {
        keys: None,
        coherence: Arc::new(Coherence::new(Some(Arc::clone(log)), Arc::clone(&settings.clock))),
        tasks: OnceLock::new(),
        behind,
        elsewhere,
        truth_reads: Semaphore::new(10),
        truth_writes: WriteTurns::new(10),
        counters: Counters::default(),
        codecs: codec::built_in(),
        life: Arc::new(Life::new(Handle::current())),
        closing: Closing::new(),
        writes: Gate::new(),
        findings: Default::default(),
        settings,
    })
}

impl Instance {
    async fn open(truth: &Arc<PlainTables>, cache: Option<Arc<PlainRecords>>) -> Self {
        let negative_ttl = thread_rng().gen_bool(0.5).then_some(Duration::from_secs(60));
        let settings = Settings { flight_wait: Duration::ZERO, jitter: 0.0, negative_ttl, ..Settings::default() };
        let schema = Arc::new(BoundSchema::bind(Counter::definition(), Counter::definition().policies(), &settings));
        let (tables, log): (Arc<dyn Tables>, Arc<dyn Log>) = (Arc::clone(truth) as _, Arc::clone(truth) as _);
        let shared = shared(settings, &log, None, Elsewhere::new(None, None));
        let coherence = Arc::clone(&shared.coherence);
        let cache = cache.map(|cache| cache as Arc<dyn Records>);
        let near = Some(Arc::new(PlainMemory::default()) as _);
        let pipeline = Arc::new(Pipeline::new(schema, None, None, near, cache, Backing::Tables { tables, log }, shared));
        let follow: Arc<dyn Follow> = Arc::clone(&pipeline) as _;
        coherence.follow(vec![Arc::downgrade(&follow)]);
        coherence.poll().await.expect("the log can be read");
        Instance { pipeline, told: Default::default() }
    }

    fn counters(&self, freshness: Option<Freshness>) -> Collection<Counter> {
        let counters = Collection::new(Arc::clone(&self.pipeline));
        freshness.map(|freshness| counters.with_freshness(freshness)).unwrap_or(counters)
    }

    fn told(&self, key: i64) -> &AtomicUsize {
        &self.told[key as usize - 1]
    }
}

impl World {
    async fn new(with_cache: bool) -> Arc<Self> {
        let truth = Arc::new(PlainTables::default());
        let cache = with_cache.then(|| Arc::new(PlainRecords::default()));
        let instances = [Instance::open(&truth, cache.clone()).await, Instance::open(&truth, cache).await];
        let log: Arc<dyn Log> = Arc::clone(&truth) as _;
        let relayer = Relayer::new(&log, &[Arc::clone(&instances[0].pipeline) as Arc<dyn Follow>]);
        let world = World { truth, instances, relayer };
        world.relay().await;
        Arc::new(world)
    }

    async fn relay(&self) {
        if let Some(relayer) = &self.relayer {
            relayer.step(relayer.schemas()).await.expect("the shared tier does not fail");
            for mark in relayer.marks().await.expect("the shared tier does not fail").into_iter().flatten().flatten() {
                self.instances.iter().for_each(|instance| instance.pipeline.see_mark(&Arc::new(mark.clone())));
            }
        }
    }

    /// Where in the key's history an answer stands; what is missing stands where the key was last missing.
    fn place(&self, key: i64, answer: Option<Version>) -> usize {
        let history = self.truth.history(key);
        history
            .iter()
            .rposition(|(version, number)| match answer {
                Some(answer) => *version == answer,
                None => number.is_none(),
            })
            .unwrap_or_else(|| panic!("key {key} never was at {answer:?}"))
    }

    async fn read(&self, number: usize) {
        let instance = &self.instances[number];
        let (key, way) = (KEYS[thread_rng().gen_range(0..2)], thread_rng().gen_range(0..6));
        let committed = self.truth.history(key).len() - 1;
        let told = instance.told(key).load(Ordering::SeqCst);
        let now = Some(Freshness::Bounded(Duration::ZERO));
        let version = |record: Option<Record<Counter>>| record.map(|record| record.version());
        let (answer, least) = match way {
            0 => (version(instance.counters(None).get_record(key).await.expect("nothing fails")), told),
            1 => (version(instance.counters(now).get_record(key).await.expect("nothing fails")), committed.max(told)),
            2 => {
                let end = instance.pipeline.shared.coherence.end().await.expect("nothing fails").expect("there is a log");
                let token = Some(Freshness::Session(crate::Token::new(end, None)));
                (version(instance.counters(token).get_record(key).await.expect("nothing fails")), committed.max(told))
            }
            3 => (
                version(instance.pipeline.get_from(Role::Truth, key, &CallTags::default()).await.expect("nothing fails")),
                committed.max(told),
            ),
            4 => (version(instance.pipeline.get_from(Role::Shared, key, &CallTags::default()).await.expect("nothing fails")), told),
            _ => {
                let found = instance
                    .pipeline
                    .get_many(vec![1, 2], &Freshness::Bounded(Duration::from_secs(1)), &CallTags::default())
                    .await
                    .expect("nothing fails");
                (version(found[key as usize - 1].clone()), told)
            }
        };
        let place = self.place(key, answer);
        assert!(
            place >= least,
            "instance {number}, way {way}: key {key} was known to be at {least}, and was answered {answer:?}, which is {place}"
        );
        instance.told(key).fetch_max(place, Ordering::SeqCst);
    }

    async fn write(&self, number: usize) {
        let instance = &self.instances[number];
        let key = KEYS[thread_rng().gen_range(0..2)];
        let counters = instance.counters(None);
        match thread_rng().gen_range(0..6) {
            0 => {
                let before = self.truth.history(key).len();
                if counters.delete(key).await.expect("nothing fails") {
                    let deleted = self.truth.history(key).iter().skip(before).position(|(_, number)| number.is_none());
                    instance.told(key).fetch_max(before + deleted.expect("it was deleted"), Ordering::SeqCst);
                }
            }
            1 => counters.invalidate(key).await.expect("nothing fails"),
            2 => {
                let stored = counters.set_many([Counter { id: 1, number: 5 }, Counter { id: 2, number: 5 }]).await.expect("nothing fails");
                for record in stored {
                    let place = self.place(record.id, Some(record.version()));
                    instance.told(record.id).fetch_max(place, Ordering::SeqCst);
                }
            }
            _ => {
                let stored = counters.set(Counter { id: key, number: 7 }).await.expect("nothing fails");
                let place = self.place(key, Some(stored.version()));
                instance.told(key).fetch_max(place, Ordering::SeqCst);
                // A message to the other instance.
                let other = &self.instances[1 - number];
                other.pipeline.hear(Some(&key.to_string()), Some(stored.version()), LogKind::Put);
                other.told(key).fetch_max(place, Ordering::SeqCst);
            }
        }
    }

    async fn follow(&self, number: usize) {
        self.instances[number].pipeline.shared.coherence.poll().await.expect("the log can be read");
        self.relay().await;
    }

    /// When all is done and told, every instance shows what is stored, also from memory alone.
    async fn settle(&self) {
        for instance in &self.instances {
            instance.pipeline.shared.coherence.poll().await.expect("the log can be read");
        }
        self.relay().await;
        for instance in &self.instances {
            for key in KEYS {
                let (stored, number) = *self.truth.history(key).last().expect("it begins with nothing");
                let stored = number.map(|_| stored);
                let kept = instance.pipeline.peek(&key, &Freshness::Any, &CallTags::default()).map(|record| record.version());
                assert!(kept.is_none() || kept == stored, "memory keeps {kept:?} of key {key}, and {stored:?} is stored");
                let shown = instance.counters(None).get_record(key).await.expect("nothing fails").map(|record| record.version());
                assert_eq!(shown, stored, "key {key}");
            }
        }
    }
}

/// Tasks of random steps.
fn run(with_cache: bool) {
    block_on(async move {
        let world = World::new(with_cache).await;
        let mut tasks = Vec::new();
        for task in 0..5 {
            let world = Arc::clone(&world);
            tasks.push(spawn(async move {
                for _ in 0..3 {
                    let number = if task < 3 { 0 } else { 1 };
                    match (task, thread_rng().gen_range(0..5)) {
                        (0, 0..4) | (_, 0) => world.write(number).await,
                        (2, 1..4) | (_, 1) => world.follow(number).await,
                        _ => world.read(number).await,
                    }
                }
            }));
        }
        for task in tasks {
            task.await.expect("no task is aborted");
        }
        world.settle().await;
    });
}

#[test]
fn no_instance_shows_less_than_it_was_told() {
    explore(|| run(false));
}

#[test]
fn no_instance_shows_less_than_it_was_told_with_a_shared_tier() {
    explore(|| run(true));
}

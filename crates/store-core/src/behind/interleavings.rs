//! The interleavings of write-behind: writers, readers and flushes of one instance over a truth whose commits fail, and crashes in the middle of it all. The code is
//! that of a store; tasks, locks and choices are the explorer's, and so are the truth and the journal.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use futures_util::future::poll_fn;
use shuttle::future::{block_on, spawn, yield_now};
use shuttle::rand::{Rng, thread_rng};
use tokio::runtime::Handle;

use super::{Acknowledge, Behind, Elsewhere, OnConflict, Overlay, WriteBehind, flusher, journal, open};
use crate::Collection;
use crate::coherence::interleavings::shared;
use crate::coherence::interleavings::tiers::{Counter, PlainMemory, PlainTables};
use crate::error::Result;
use crate::facet::{Begin, Isolation, Journals, Log, Tables};
use crate::freshness::Freshness;
use crate::pipeline::{Backing, Change, Changes, Follow, PendingWrites, Pipeline, may_have_taken_effect};
use crate::schema::{BoundSchema, Schema, WriteMode};
use crate::settings::Settings;
use crate::sync::explore;
use crate::tag::CallTags;

const KEYS: [i64; 2] = [1, 2];

/// A write of a key: the number that it sets, or nothing for a deletion.
#[derive(Debug, Clone)]
struct Write {
    key: i64,
    number: Option<i64>,
    begun: usize,
    /// `None` as long as nobody was told that it succeeded.
    ended: Option<usize>,
}

/// All writes, and when they were.
#[derive(Debug, Default)]
struct History {
    now: AtomicUsize,
    writes: Mutex<Vec<Write>>,
}

impl History {
    fn tick(&self) -> usize {
        self.now.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn writes(&self) -> std::sync::MutexGuard<'_, Vec<Write>> {
        self.writes.lock().expect("no step is made while it is locked")
    }

    /// A write begins; each sets a number of its own.
    fn begin(&self, key: i64, is_deletion: bool) -> (usize, i64) {
        let begun = self.tick();
        let mut writes = self.writes();
        let number = writes.len() as i64 + 100;
        writes.push(Write { key, number: (!is_deletion).then_some(number), begun, ended: None });
        (writes.len() - 1, number)
    }

    fn end(&self, write: usize) {
        let ended = self.tick();
        self.writes()[write].ended = Some(ended);
    }

    /// What was seen of a key by someone who began to look then must be of a write that no other one was known to have replaced.
    fn check(&self, key: i64, seen: Option<i64>, looked: usize, what: &str) {
        let writes: Vec<Write> = self.writes().iter().filter(|write| write.key == key).cloned().collect();
        let is_replaced = |ended: Option<usize>| {
            let later = |other: &Write| ended.is_some_and(|ended| ended < other.begun) && other.ended.is_some_and(|ended| ended < looked);
            writes.iter().any(later)
        };
        let beginning = (seen.is_none()).then_some(Some(0));
        let mut candidates = writes.iter().filter(|write| write.number == seen).map(|write| write.ended).chain(beginning);
        assert!(candidates.any(|ended| !is_replaced(ended)), "{what}: key {key} was {seen:?} at {looked}, after {writes:?}");
    }

    /// What the truth took: nothing twice, and nothing behind what came after it.
    fn check_truth(&self, truth: &PlainTables, what: &str) {
        let writes = self.writes();
        for key in KEYS {
            let stored: Vec<&Write> = truth
                .history(key)
                .into_iter()
                .filter_map(|(_, number)| writes.iter().find(|write| number.is_some() && write.number == number))
                .collect();
            for (at, write) in stored.iter().enumerate() {
                for earlier in &stored[..at] {
                    assert_ne!(earlier.number, write.number, "{what}: applied twice");
                    let is_older = write.ended.is_some_and(|ended| ended < earlier.begun);
                    assert!(!is_older, "{what}: {write:?} replaced {earlier:?}");
                }
            }
        }
        assert_eq!(truth.letters(), 0, "{what}: no other instance writes");
    }
}

/// One store.
struct Instance {
    truth: Arc<PlainTables>,
    pipeline: Arc<Pipeline<Counter>>,
    behind: Arc<Behind>,
}

impl Instance {
    async fn open(truth: Arc<PlainTables>, journal: Option<&Path>, acknowledge: Acknowledge) -> Self {
        let write_behind = WriteBehind { acknowledge, flush_threshold: 2, max_pending: 3, ..WriteBehind::default() };
        let settings = Settings {
            flight_wait: Duration::ZERO,
            jitter: 0.0,
            write_mode: WriteMode::WriteBehind,
            write_behind,
            journal: journal.map(Path::to_owned),
            ..Settings::default()
        };
        let (tables, log): (Arc<dyn Tables>, Arc<dyn Log>) = (Arc::clone(&truth) as _, Arc::clone(&truth) as _);
        let journals: Arc<dyn Journals> = Arc::clone(&truth) as _;
        let opened = open(&settings, Arc::clone(&tables), Arc::clone(&journals), &Handle::current()).await.expect("the truth answers");
        let behind = Arc::clone(&opened.behind);
        let schema = Arc::new(BoundSchema::bind(Counter::definition(), Counter::definition().policies(), &settings));
        let elsewhere = Elsewhere::new(Some(journals), Some(behind.name().to_owned()));
        let shared = shared(settings, &log, Some(Arc::clone(&behind)), elsewhere);
        let coherence = Arc::clone(&shared.coherence);
        let near = Some(Arc::new(PlainMemory::default()) as _);
        let pending = PendingWrites::new(Arc::clone(&behind), OnConflict::default(), acknowledge);
        let pipeline = Arc::new(Pipeline::new(schema, None, Some(pending), near, None, Backing::Tables { tables, log }, shared));
        let follow: Arc<dyn Follow> = Arc::clone(&pipeline) as _;
        coherence.follow(vec![Arc::downgrade(&follow)]);
        coherence.poll().await.expect("the log can be read");
        let landing = opened.restore(&[Arc::clone(&pipeline) as Arc<dyn Overlay>]).expect("the journal can be read");
        // They go on as long as the store is kept.
        drop(spawn(flusher::run(Arc::downgrade(&behind), Arc::clone(&behind.signals))));
        if let Some(landing) = landing {
            drop(spawn(landing.run(Arc::downgrade(&behind))));
        }
        Instance { truth, pipeline, behind }
    }

    fn counters(&self) -> Collection<Counter> {
        Collection::new(Arc::clone(&self.pipeline))
    }

    async fn read(&self, history: &History) {
        let (key, is_strong) = (KEYS[thread_rng().gen_range(0..2)], thread_rng().gen_range(0..4) == 0);
        let counters = if is_strong { self.counters().with_freshness(Freshness::Strong) } else { self.counters() };
        let looked = history.tick();
        // A strong read flushes, which may fail.
        if let Ok(found) = counters.get_record(key).await {
            history.check(key, found.map(|record| record.number), looked, "a read");
        }
    }

    async fn write(&self, history: &History) {
        let (key, counters) = (KEYS[thread_rng().gen_range(0..2)], self.counters());
        match thread_rng().gen_range(0..8) {
            0 | 1 => {
                let (write, _) = history.begin(key, true);
                if counters.delete(key).await.is_ok() {
                    history.end(write);
                }
            }
            2 => {
                let ((first, one), (second, two)) = (history.begin(1, false), history.begin(2, false));
                if counters.set_many([Counter { id: 1, number: one }, Counter { id: 2, number: two }]).await.is_ok() {
                    history.end(first);
                    history.end(second);
                }
            }
            3 => self.update(history, key).await,
            4 => self.transact(history, key).await,
            5 => {
                let (_, number) = history.begin(key, false);
                // Its caller gives up, and is told nothing.
                let (mut call, mut left) = (pin!(counters.set(Counter { id: key, number })), thread_rng().gen_range(1..4));
                poll_fn(|context| {
                    left -= 1;
                    let ended = call.as_mut().poll(context).is_ready();
                    if ended || left == 0 { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
            }
            _ => drop(self.set(history, key).await),
        }
    }

    async fn set(&self, history: &History, key: i64) -> bool {
        let (write, number) = history.begin(key, false);
        let is_set = self.counters().set(Counter { id: key, number }).await.is_ok();
        if is_set {
            history.end(write);
        }
        is_set
    }

    async fn update(&self, history: &History, key: i64) {
        let (write, number) = history.begin(key, false);
        if self.counters().update(key, |counter| counter.number = number).await.is_ok_and(|updated| updated.is_some()) {
            history.end(write);
        }
    }

    async fn transact(&self, history: &History, key: i64) {
        let (write, number) = history.begin(key, false);
        if self.write_in_transaction(key, number).await.is_ok() {
            history.end(write);
        }
    }

    /// As a store's transaction does it.
    async fn write_in_transaction(&self, key: i64, number: i64) -> Result<()> {
        self.behind.flush().await?;
        let begin = Begin { isolation: Isolation::ReadCommitted, limit: Duration::MAX };
        let mut transaction = Tables::begin(&*self.truth, &begin).await?;
        let mut changes = Box::new(Changes::new(&self.pipeline));
        self.pipeline.set_within(&mut *transaction, &mut changes, vec![Counter { id: key, number }], &CallTags::default()).await?;
        yield_now().await;
        changes.prepare().await?;
        let committed = transaction.commit().await;
        match &committed {
            Ok(()) => {
                changes.hear();
                changes.publish().await;
            }
            Err(error) if may_have_taken_effect(error) => changes.doubt().await,
            Err(_) => {}
        }
        committed
    }

    /// When all is flushed, memory shows what is stored, and that is what was written last.
    async fn settle(&self, history: &History, looked: usize, what: &str) {
        self.truth.fails.store(false, Ordering::SeqCst);
        self.behind.flush().await.expect("nothing fails any more");
        history.check_truth(&self.truth, what);
        for key in KEYS {
            let (_, stored) = *self.truth.history(key).last().expect("it begins with nothing");
            history.check(key, stored, looked, what);
            let kept = self.pipeline.peek(&key, &Freshness::Any, &CallTags::default()).map(|record| record.number);
            assert!(kept.is_none() || kept == stored, "{what}: memory keeps {kept:?} of key {key}, and {stored:?} is stored");
            let shown = self.counters().get_record(key).await.expect("nothing fails").map(|record| record.number);
            assert_eq!(shown, stored, "{what}: key {key}");
        }
    }
}

/// The store on a copy of all that a crash leaves has what was acknowledged until then, and applies nothing twice.
async fn crash(instance: &Instance, history: &History, directory: &Path, acknowledge: Acknowledge) {
    let next = directory.with_extension("next");
    let (truth, (crashed, known)) = instance.truth.crashed(|| {
        journal::crash(directory, &next, acknowledge >= Acknowledge::Journal);
        let crashed = history.tick();
        (crashed, History { now: AtomicUsize::new(crashed), writes: Mutex::new(history.writes().clone()) })
    });
    let restarted = Instance::open(Arc::new(truth), Some(&next), acknowledge).await;
    restarted.settle(&known, crashed, "after a crash").await;
    journal::forget(&next);
}

fn run(journal: bool, acknowledge: Acknowledge) {
    static WORLDS: AtomicUsize = AtomicUsize::new(0);
    let directory = PathBuf::from(format!("journal-{}", WORLDS.fetch_add(1, Ordering::Relaxed)));
    block_on(async move {
        let truth = Arc::new(PlainTables::default());
        truth.fails.store(true, Ordering::SeqCst);
        let instance = Arc::new(Instance::open(truth, journal.then_some(&*directory), acknowledge).await);
        let history = Arc::new(History::default());
        let mut tasks = Vec::new();
        for task in 0..4 {
            let (instance, history, directory) = (Arc::clone(&instance), Arc::clone(&history), directory.clone());
            tasks.push(spawn(async move {
                for _ in 0..3 {
                    match (task, thread_rng().gen_range(0..4)) {
                        (0 | 1, 0..3) | (2, 0) => instance.write(&history).await,
                        (2, 1) => drop(instance.behind.flush().await),
                        (3, 0) if journal => crash(&instance, &history, &directory, acknowledge).await,
                        _ => instance.read(&history).await,
                    }
                    yield_now().await;
                }
            }));
        }
        for task in tasks {
            task.await.expect("no task is aborted");
        }
        let looked = history.tick();
        // Writes whose callers gave up are on their way, or have landed.
        instance.pipeline.shared.writes.close().await;
        instance.settle(&history, looked, "in the end").await;
        assert_eq!(instance.behind.dirty(), 0);
        journal::forget(&directory);
    });
}

/// A write that is announced while the same instance writes its key by another way, and crashes around both.
fn run_beside() {
    static WORLDS: AtomicUsize = AtomicUsize::new(0);
    let directory = PathBuf::from(format!("beside-{}", WORLDS.fetch_add(1, Ordering::Relaxed)));
    block_on(async move {
        let instance = Arc::new(Instance::open(Arc::default(), Some(&directory), Acknowledge::Journal).await);
        let history = Arc::new(History::default());
        while !instance.set(&history, 1).await || instance.behind.flush().await.is_err() {}
        let mut tasks = Vec::new();
        for task in 0..3 {
            let (instance, history, directory) = (Arc::clone(&instance), Arc::clone(&history), directory.clone());
            tasks.push(spawn(async move {
                match task {
                    0 => drop(instance.set(&history, 1).await),
                    1 if thread_rng().gen_range(0..2) == 0 => instance.update(&history, 1).await,
                    1 => instance.transact(&history, 1).await,
                    _ => {
                        crash(&instance, &history, &directory, Acknowledge::Memory).await;
                        crash(&instance, &history, &directory, Acknowledge::Memory).await;
                    }
                }
            }));
        }
        for task in tasks {
            task.await.expect("no task is aborted");
        }
        let looked = history.tick();
        instance.settle(&history, looked, "in the end").await;
        journal::forget(&directory);
    });
}

#[test]
fn what_memory_acknowledged_is_read_and_stored_in_order() {
    explore(|| run(false, Acknowledge::Memory));
}

#[test]
fn what_the_truth_acknowledged_is_stored() {
    explore(|| run(true, Acknowledge::Truth));
}

#[test]
fn what_comes_beside_another_write_of_its_key_is_no_conflict_after_a_crash() {
    explore(run_beside);
}

#[test]
fn what_a_journal_acknowledged_outlives_every_crash() {
    explore(|| run(true, Acknowledge::Journal));
}

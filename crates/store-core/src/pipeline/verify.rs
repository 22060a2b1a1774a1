//! Comparing a sample of what caches answer with the truth, in the background.
//!
//! The truth is read first. Once the freshness bound has passed, a cache that would still answer something older, or something else, is inconsistent. So a
//! commit that comes between is never taken for one.

use std::borrow::Borrow;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use super::slots::Verdict;
use super::{Backing, Borrowed, Pipeline};
use crate::error::Result;
use crate::facet::Tables;
use crate::key::Key;
use crate::record::StoredRow;
use crate::schema::Schema;
use crate::settings::Settings;
use crate::tag::CallTags;
use crate::tier::Role;
use crate::value::Row;
use crate::verification::{Inconsistency, KeyEvent};
use crate::version::Version;

/// The most keys that are checked together.
const BATCH: usize = 256;
/// The most events of one schema that are kept.
const MOST_EVENTS: usize = 8_192;
/// Beyond the freshness bound, so that what is checked is not the timer.
const GRACE: Duration = Duration::from_millis(100);

/// The sample of one schema's reads, and what happened to its keys lately.
#[derive(Debug)]
pub(crate) struct Verifier<K> {
    /// Every so many answers, one is checked.
    every: u64,
    answers: AtomicU64,
    sample: mpsc::Sender<(K, Version)>,
    sampled: Mutex<Option<mpsc::Receiver<(K, Version)>>>,
    events: Mutex<VecDeque<Event>>,
}

#[derive(Debug)]
struct Event {
    at: Duration,
    /// `None` for every key.
    key: Option<String>,
    event: KeyEvent,
}

impl<K> Verifier<K> {
    /// `None` where the settings ask for none.
    pub(super) fn new(settings: &Settings) -> Option<Self> {
        if settings.verify <= 0.0 {
            return None;
        }
        let (sample, sampled) = mpsc::channel(BATCH);
        let every = (1.0 / settings.verify).round().max(1.0) as u64;
        Some(Verifier { every, answers: AtomicU64::new(0), sample, sampled: Mutex::new(Some(sampled)), events: Mutex::default() })
    }
}

impl<T: Schema> Pipeline<T> {
    /// Takes an answer of a cache into the sample, perhaps.
    pub(super) fn sample(&self, key: &Borrowed<T>, version: Version) {
        let Some(verifier) = &self.verifier else { return };
        if verifier.answers.fetch_add(1, Ordering::Relaxed).is_multiple_of(verifier.every) {
            // A full queue makes the sample smaller.
            let _ = verifier.sample.try_send((key.to_owned(), version));
        }
    }

    /// Remembers what happened to a key, or to all of them.
    pub(super) fn note(&self, key: Option<&Borrowed<T>>, event: KeyEvent) {
        let Some(verifier) = &self.verifier else { return };
        let key = key.map(|key| {
            let mut text = String::new();
            <T::Key as Key>::write_text(key, &mut text);
            text
        });
        let mut events = verifier.events.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() == MOST_EVENTS {
            events.pop_front();
        }
        events.push_back(Event { at: self.shared.settings.clock.monotonic(), key, event });
    }

    /// The task that checks the sample, once.
    pub(super) fn verification(self: &Arc<Self>) -> Option<BoxFuture<'static, ()>> {
        let verifier = self.verifier.as_ref().filter(|_| matches!(self.backing, Backing::Tables { .. }))?;
        let sampled = verifier.sampled.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(Box::pin(run(Arc::downgrade(self), sampled, self.shared.settings.freshness)))
    }

    /// What the truth has of the keys, which nobody is told of.
    async fn truth_of(&self, keys: &[T::Key]) -> Result<Vec<Option<StoredRow>>> {
        let Backing::Tables { tables, .. } = &self.backing else { return Ok(Vec::new()) };
        let tables: &Arc<dyn Tables> = tables;
        let values = keys.iter().map(|key| <T::Key as Key>::to_values(key.borrow())).collect::<Result<Vec<Row<'_>>>>()?;
        let _permit = self.truth_permit().await;
        tables.get_many(&self.schema, &values).await
    }

    /// Looks at what the caches would answer for a key of which the truth had this longer than the bound ago, and a cache had answered that version before.
    async fn verify(&self, key: &T::Key, answered: Version, truth: Option<&StoredRow>) {
        let (findings, usual) = (&self.shared.findings, self.usual_freshness());
        let text = Self::text(key);
        if let Some(near) = self.fresh_near(&usual) {
            if let Some(record) = self.live(&**near, key.borrow()) {
                findings.add_checked();
                let row = record.model().to_row();
                let is_other =
                    |truth: &StoredRow| row.as_ref().is_ok_and(|row| self.differ(row, true, &truth.row, self.schema.near_positions()));
                if contradicts(record.version(), answered, truth, is_other) {
                    self.report_inconsistency(&text, Role::Near, Some(record.version()), truth);
                }
            } else if self.is_known_absent(key.borrow(), &CallTags::default()) {
                findings.add_checked();
                if truth.is_some() && self.still_has(key, truth).await {
                    self.report_inconsistency(&text, Role::Near, None, truth);
                }
            }
        }
        let Some((cache, trust)) = self.cache.as_ref().zip(self.trust.as_ref()).filter(|_| self.is_fresh(&usual)) else { return };
        let Ok(fetched) = cache.fetch_marked(&self.schema, std::slice::from_ref(&text), None).await else { return };
        for verdict in self.judge_all(&**cache, trust, std::slice::from_ref(&text), fetched, &CallTags::default()).await {
            match verdict {
                Verdict::Found(found) => {
                    findings.add_checked();
                    let StoredRow { row, version } = found.stored;
                    if contradicts(version, answered, truth, |truth| self.differ(&row, false, &truth.row, self.schema.shared_positions())) {
                        self.report_inconsistency(&text, Role::Shared, Some(version), truth);
                    }
                }
                Verdict::Absent(_) => {
                    findings.add_checked();
                    if truth.is_some() && self.still_has(key, truth).await {
                        self.report_inconsistency(&text, Role::Shared, None, truth);
                    }
                }
                _ => {}
            }
        }
    }

    /// Whether the truth still has the same record, so that it was never away.
    async fn still_has(&self, key: &T::Key, truth: Option<&StoredRow>) -> bool {
        let now = self.truth_of(std::slice::from_ref(key)).await;
        now.is_ok_and(|now| now.first().and_then(Option::as_ref).map(|row| row.version) == truth.map(|row| row.version))
    }

    fn report_inconsistency(&self, key: &str, tier: Role, cached: Option<Version>, truth: Option<&StoredRow>) {
        let now = self.shared.settings.clock.monotonic();
        let events = self.verifier.iter().flat_map(|verifier| {
            let events = verifier.events.lock().unwrap_or_else(PoisonError::into_inner);
            let of_key = events.iter().filter(|event| event.key.as_deref().is_none_or(|of| of == key));
            of_key.map(|event| (now.saturating_sub(event.at), event.event)).collect::<Vec<_>>()
        });
        let found = Inconsistency {
            schema: self.schema.name(),
            key: key.to_owned(),
            tier,
            cached,
            truth: truth.map(|row| row.version),
            events: events.collect(),
        };
        tracing::error!(schema = found.schema, key, %tier, cached = ?found.cached, truth = ?found.truth, events = ?found.events, "a cache holds what the truth does not");
        self.shared.findings.add(found);
    }
}

/// Whether a copy cannot be what the truth had a bound before.
fn contradicts(cached: Version, answered: Version, truth: Option<&StoredRow>, differs: impl FnOnce(&StoredRow) -> bool) -> bool {
    match truth {
        Some(truth) => cached < truth.version || (cached == truth.version && differs(truth)),
        // A newer record may have been inserted since.
        None => cached <= answered,
    }
}

async fn run<T: Schema>(pipeline: Weak<Pipeline<T>>, mut sampled: mpsc::Receiver<(T::Key, Version)>, bound: Duration) {
    while let Some(first) = sampled.recv().await {
        tokio::time::sleep(bound).await;
        let mut answered = HashMap::from([first]);
        while answered.len() < BATCH
            && let Ok((key, version)) = sampled.try_recv()
        {
            answered.insert(key, version);
        }
        let (keys, answered): (Vec<T::Key>, Vec<Version>) = answered.into_iter().unzip();
        let Some(alive) = pipeline.upgrade() else { return };
        // A truth that does not answer is told of elsewhere.
        let Ok(truths) = alive.truth_of(&keys).await else { continue };
        drop(alive);
        tokio::time::sleep(bound + GRACE).await;
        let Some(alive) = pipeline.upgrade() else { return };
        for ((key, answered), truth) in keys.iter().zip(answered).zip(&truths) {
            alive.verify(key, answered, truth.as_ref()).await;
        }
    }
}

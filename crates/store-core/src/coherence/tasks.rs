//! The work that goes on while a store lives.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join;
use futures_util::stream::{self, BoxStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::Coherence;
use super::relayer::Relayer;
use crate::error::{Error, Result};
use crate::facet::{Heard, Log, LogKind, Wake, Wakes};
use crate::life::Life;
use crate::pipeline::Follow;
use crate::schema::BoundSchema;
use crate::settings::Settings;

/// The least time between two polls that commits woke.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
/// How often a leadership is confirmed, or sought.
const ELECTION: Duration = Duration::from_secs(1);
/// So many messages may be under way to the tiers; later ones wait.
const MOST_UNDER_WAY: usize = 1_000;
const PRUNING: Duration = Duration::from_secs(60);
/// How long closing waits for the last messages.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How long building waits for the first step of the relayer.
const FIRST_STEP: Duration = Duration::from_secs(2);
/// How often an instance that leads nothing does a step of the relayer all the same, in case the leader is stuck or has no use for a schema.
const FALLBACK: Duration = Duration::from_secs(5);
/// The name under which the pruning of the log is led.
const LOG_LEADER: &str = "log";

/// The tasks of one store: following the log, listening and telling, relaying.
#[derive(Debug)]
pub(crate) struct Tasks {
    coherence: Arc<Coherence>,
    channels: Vec<Arc<dyn Wakes>>,
    running: Mutex<Vec<JoinHandle<()>>>,
}

impl Tasks {
    /// Reads the log for the first time, lets the relayer do a first step, and starts the tasks. The truth or the shared tier may be away: they are asked again.
    ///
    /// `channels` are asked in order to carry messages; all are listened to.
    pub(crate) async fn start(
        life: &Life,
        coherence: &Arc<Coherence>,
        followed: &[Arc<dyn Follow>],
        channels: Vec<Arc<dyn Wakes>>,
        settings: &Settings,
    ) -> Self {
        let runtime = life.runtime();
        let mut running = vec![runtime.spawn(life.watch())];
        let interval = (settings.freshness / 4).clamp(Duration::from_millis(10), Duration::from_secs(1));
        if let Some(follower) = &coherence.follower {
            let log = Arc::clone(follower.log());
            let relayer = Relayer::new(&log, followed);
            if let Err(error) = coherence.poll().await {
                told_away(&error);
            }
            if let Some(relayer) = &relayer {
                match timeout(FIRST_STEP, first_step(coherence, relayer, followed)).await {
                    Ok(Ok(())) | Err(_) => {}
                    Ok(Err(error)) => tracing::warn!(%error, "the shared tier cannot be used yet"),
                }
            }
            running.push(runtime.spawn(lead(log, relayer, interval, settings.log_retention)));
        }
        let met = stream::unfold(coherence.generations_met(), async |met| {
            met.notified().await;
            Some((Heard::Changed, met))
        });
        let heard: Vec<_> = channels.iter().map(|channel| Arc::clone(channel).listen()).chain([met.boxed()]).collect();
        running.extend(followed.iter().filter_map(|schema| Arc::clone(schema).verification()).map(|check| runtime.spawn(check)));
        let followed = followed.iter().map(Arc::downgrade).collect();
        let listener = Listener { coherence: Arc::clone(coherence), followed };
        running.push(runtime.spawn(listener.run(stream::select_all(heard).boxed(), interval)));
        if !channels.is_empty() {
            let (coherence, channels) = (Arc::clone(coherence), channels.clone());
            running.push(runtime.spawn(async move { coherence.announcer.run(&channels).await }));
        }
        Tasks { coherence: Arc::clone(coherence), channels, running: Mutex::new(running) }
    }

    /// One more task, which ends with the others.
    pub(crate) fn add(&self, task: JoinHandle<()>) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).push(task);
    }

    fn stop(&self) -> Vec<JoinHandle<()>> {
        let running = std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        running.iter().for_each(JoinHandle::abort);
        running
    }

    /// Ends the tasks, and sends the last messages if the runtime is there to do so.
    pub(crate) async fn close(&self, life: &Life) {
        for task in self.stop() {
            // It was cancelled, which is what is wanted.
            let _ = task.await;
        }
        if life.is_stranded() {
            return;
        }
        let _ = timeout(LAST_WORDS, self.coherence.announcer.send(&self.channels)).await;
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Lets the slots be believed from the first read on.
async fn first_step(coherence: &Coherence, relayer: &Relayer, followed: &[Arc<dyn Follow>]) -> Result<()> {
    relayer.step(relayer.schemas()).await?;
    for (schema, marks) in relayer.schemas().iter().zip(relayer.marks().await?) {
        for mark in marks.into_iter().flatten().map(Arc::new) {
            followed.iter().filter(|followed| Arc::ptr_eq(followed.schema(), schema)).for_each(|followed| followed.see_mark(&mark));
        }
    }
    // A generation counts once the log was read from one of its marks on.
    coherence.poll().await
}

fn told_away(error: &Error) {
    tracing::warn!(%error, "the log of commits cannot be read; memory answers until the freshness bound, then the truth is asked for each record");
}

/// Follows the log and hears messages.
struct Listener {
    coherence: Arc<Coherence>,
    followed: Vec<Weak<dyn Follow>>,
}

impl Listener {
    /// Neither waits for the other: a truth that hangs keeps back no message, and a message that waits for a tier no poll and no other message.
    async fn run(self, heard: BoxStream<'static, Heard>, interval: Duration) {
        let (listener, changed) = (Arc::new(self), Arc::new(Notify::new()));
        let hear = heard.for_each_concurrent(MOST_UNDER_WAY, |heard| {
            let (listener, changed) = (Arc::clone(&listener), Arc::clone(&changed));
            async move {
                match heard {
                    Heard::Changed => changed.notify_one(),
                    Heard::Wake(wake) => listener.hear(wake).await,
                }
            }
        });
        join(listener.follow(interval, &changed), hear).await;
    }

    /// Reads the log at each interval, and soon after it has `changed`.
    async fn follow(&self, interval: Duration, changed: &Notify) {
        if self.coherence.follower.is_none() {
            return;
        }
        let mut is_away = false;
        loop {
            let started = Instant::now();
            match self.coherence.poll().await {
                Ok(()) if is_away => {
                    tracing::info!("the log of commits is read again");
                    is_away = false;
                }
                Ok(()) => {}
                Err(error) if !is_away => {
                    told_away(&error);
                    is_away = true;
                }
                Err(_) => {}
            }
            if timeout_at(started + interval, changed.notified()).await.is_ok() {
                sleep_until(started + SHORTEST_PAUSE).await;
            }
        }
    }

    async fn hear(&self, wake: Wake) {
        if wake.origin == Some(self.coherence.origin) {
            return;
        }
        for schema in self.followed.iter().filter_map(Weak::upgrade).filter(|schema| schema.schema().name() == wake.schema) {
            if let (true, LogKind::InvalidateTag, Some(tag)) = (wake.is_from_outside(), wake.kind, &wake.key) {
                if let Err(error) = schema.invalidate_tag_from_outside(tag.clone()).await {
                    tracing::warn!(schema = wake.schema, %error, "an invalidation of a tag from outside could not be written down");
                }
            } else if wake.is_from_outside() {
                // There may be no row of the log behind it, so nobody else empties the slot.
                schema.hear(wake.key.as_deref(), None, LogKind::Invalidate);
                if let Some(cache) = schema.cache() {
                    let emptied = match &wake.key {
                        Some(key) => cache.remove(schema.schema(), std::slice::from_ref(key)).await,
                        None => cache.clear(schema.schema()).await.map(drop),
                    };
                    if let Err(error) = emptied {
                        tracing::warn!(schema = wake.schema, %error, "the shared tier did not take an invalidation from outside");
                    }
                }
                // A load that read the slot before it was emptied is voided only now.
                schema.hear(wake.key.as_deref(), None, LogKind::Invalidate);
            } else {
                schema.hear(wake.key.as_deref(), wake.version, wake.kind);
            }
        }
    }
}

/// Seeks the leaderships of the log and of each schema's slots, and does what the leader owes: relaying, and pruning the log.
async fn lead(log: Arc<dyn Log>, relayer: Option<Relayer>, interval: Duration, retention: Duration) {
    let schemas: Vec<Arc<BoundSchema>> = relayer.iter().flat_map(|relayer| relayer.schemas().iter().cloned()).collect();
    let prefixes = schemas.iter().map(|schema| format!("slots:{}", schema.key_prefix()));
    let names: Vec<String> = std::iter::once(LOG_LEADER.to_owned()).chain(prefixes).collect();
    let mut led = vec![false; names.len()];
    let (mut elected, mut pruned): (Option<Instant>, Option<Instant>) = (None, None);
    let (mut stepped, mut is_refused) = (Instant::now(), false);
    loop {
        if elected.is_none_or(|elected| elected.elapsed() >= ELECTION) {
            let answer = log.lead(&names).await;
            if let (Err(error), false) = (&answer, is_refused) {
                tracing::warn!(%error, "no leadership can be sought; another instance prunes the log and relays it");
            }
            is_refused = answer.is_err();
            led = answer.unwrap_or_else(|_| vec![false; names.len()]);
            elected = Some(Instant::now());
        }
        let is_due = stepped.elapsed() >= FALLBACK;
        if is_due {
            stepped = Instant::now();
        }
        let own = schemas.iter().zip(led.iter().skip(1)).filter(|(_, led)| **led || is_due).map(|(schema, _)| Arc::clone(schema));
        let own: Vec<_> = own.collect();
        if let Some(relayer) = relayer.as_ref().filter(|_| !own.is_empty())
            && let Err(error) = relayer.step(&own).await
        {
            tracing::debug!(%error, "the relayer could not do its work; it tries again");
        }
        if led.first() == Some(&true) && pruned.is_none_or(|pruned| pruned.elapsed() >= PRUNING) {
            if let Err(error) = log.prune(retention).await {
                tracing::debug!(%error, "the log could not be pruned; it is tried again");
            }
            pruned = Some(Instant::now());
        }
        sleep(interval).await;
    }
}

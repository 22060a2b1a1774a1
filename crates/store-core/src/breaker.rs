//! A circuit breaker: after failures in a row a tier is left alone for a while, then tried with one call at a time.

#[cfg(test)]
mod tests;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::health::{HealthChange, HealthListener, TierHealth};
use crate::tier::Role;

/// When a tier that fails is left alone, and for how long. Each tier below memory has a breaker of its own.
///
/// A failure is an error of the tier's `…Unavailable` kind or a [`Timeout`](ErrorKind::Timeout); every other error is an answer. A call that waited in vain for a
/// connection of this process's pool is neither.
///
/// ```
/// use std::time::Duration;
/// use store_core::{BreakerSettings, Settings};
///
/// let patient = BreakerSettings { failures: 20, ..BreakerSettings::default() };
/// let settings = Settings { breaker: patient, ..Settings::default() };
/// assert_eq!(settings.breaker.cool_down, Duration::from_secs(1));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Whether an open breaker holds calls back. If not, the state of each tier is told all the same. Default: yes.
    pub enabled: bool,
    /// So many failures in a row open the breaker. At least 1. Default: 5.
    pub failures: u32,
    /// How long an open breaker holds calls back before it lets one through to try the tier. The time doubles with each try that fails, and is up to a
    /// quarter shorter at random, so that instances do not come back all at once. Default: 1 second.
    pub cool_down: Duration,
    /// What the doubling ends at. A try that has had no answer for so long makes way for another. Default: 30 seconds.
    pub longest_cool_down: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        BreakerSettings { enabled: true, failures: 5, cool_down: Duration::from_secs(1), longest_cool_down: Duration::from_secs(30) }
    }
}

/// Whether calls reach a tier.
///
/// ```
/// use store_core::BreakerState;
///
/// assert_eq!(BreakerState::HalfOpen.to_string(), "half-open");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// Every call reaches the tier.
    Closed,
    /// The tier failed too often in a row; calls fail at once.
    Open,
    /// One call at a time tries whether the tier is back; the others fail at once.
    HalfOpen,
}

impl fmt::Display for BreakerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BreakerState::Closed => "closed",
            BreakerState::Open => "open",
            BreakerState::HalfOpen => "half-open",
        })
    }
}

/// The breaker of one tier.
pub(crate) struct Breaker {
    name: String,
    role: Role,
    settings: BreakerSettings,
    clock: Arc<dyn Clock>,
    listener: Option<HealthListener>,
    status: Mutex<Status>,
}

#[derive(Debug)]
struct Status {
    phase: Phase,
    /// When the present state was entered.
    since: SystemTime,
    /// Rises with each change of state and each probe, so that a call that began before tells nothing of the present.
    epoch: u64,
    consecutive_failures: u64,
    last_error: Option<String>,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Closed,
    Open { outage: Outage, until: Duration },
    HalfOpen { outage: Outage, probe_ends: Option<Duration> },
}

/// Times are on the clock's monotonic scale.
#[derive(Debug, Clone, Copy)]
struct Outage {
    /// When the breaker opened first.
    began: Duration,
    /// The present pause between probes, without jitter.
    cool_down: Duration,
}

impl Phase {
    fn state(self) -> BreakerState {
        match self {
            Phase::Closed => BreakerState::Closed,
            Phase::Open { .. } => BreakerState::Open,
            Phase::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }
}

impl Breaker {
    pub(crate) fn new(name: &str, role: Role, settings: BreakerSettings, clock: Arc<dyn Clock>, listener: Option<HealthListener>) -> Self {
        let status = Status { phase: Phase::Closed, since: clock.now(), epoch: 0, consecutive_failures: 0, last_error: None };
        Breaker { name: name.to_owned(), role, settings, clock, listener, status: Mutex::new(status) }
    }

    fn lock(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a call through, as a probe where one is due.
    ///
    /// # Errors
    ///
    /// The tier's `…Unavailable` kind while the breaker holds calls back.
    pub(crate) fn admit(self: &Arc<Self>) -> Result<Pass> {
        let now = self.clock.monotonic();
        let mut status = self.lock();
        let outage = match status.phase {
            Phase::Open { outage, until } if now >= until => Some(outage),
            Phase::HalfOpen { outage, probe_ends } if probe_ends.is_none_or(|end| now >= end) => Some(outage),
            Phase::Open { .. } | Phase::HalfOpen { .. } if self.settings.enabled => return Err(self.refusal(&status, now)),
            Phase::Closed | Phase::Open { .. } | Phase::HalfOpen { .. } => None,
        };
        let Some(outage) = outage else {
            return Ok(Pass::new(self, status.epoch, false));
        };
        let probe_ends = Some(now.saturating_add(self.settings.longest_cool_down));
        let change = self.enter(&mut status, Phase::HalfOpen { outage, probe_ends });
        let pass = Pass::new(self, status.epoch, true);
        drop(status);
        self.tell(change);
        Ok(pass)
    }

    fn refusal(&self, status: &Status, now: Duration) -> Error {
        let (outage, next) = match status.phase {
            Phase::Closed => (None, String::new()),
            Phase::Open { outage, until } => (Some(outage), format!("it is tried again in {:.1?}", until.saturating_sub(now))),
            Phase::HalfOpen { outage, .. } => (Some(outage), "one call is trying it now".to_owned()),
        };
        let open_for = outage.map_or(Duration::ZERO, |outage| now.saturating_sub(outage.began));
        let message = format!(
            "`{}` was not asked: its breaker has been open for {open_for:.1?}, after {} failures in a row, the last being: {}; {next}",
            self.name,
            status.consecutive_failures,
            status.last_error.as_deref().unwrap_or("not known"),
        );
        Error::new(self.unavailable(), message).with_tier(self.role).held_back()
    }

    fn unavailable(&self) -> ErrorKind {
        match self.role {
            Role::Near => ErrorKind::L1Unavailable,
            Role::Shared => ErrorKind::L2Unavailable,
            Role::Truth => ErrorKind::L3Unavailable,
            Role::Ledger => ErrorKind::Unavailable,
        }
    }

    /// Whether calls pass without being probes.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.lock().phase, Phase::Closed)
    }

    /// The tier answered a call of this epoch. The epoch that now is, if it was the present one.
    fn answered(&self, epoch: u64) -> u64 {
        let mut status = self.lock();
        if status.epoch != epoch {
            return epoch;
        }
        status.consecutive_failures = 0;
        let change = self.enter(&mut status, Phase::Closed);
        let epoch = status.epoch;
        drop(status);
        self.tell(change);
        epoch
    }

    /// The tier failed a call of this epoch.
    fn failed(&self, epoch: u64, error: &Error) {
        let now = self.clock.monotonic();
        let mut status = self.lock();
        if status.epoch != epoch {
            return;
        }
        status.consecutive_failures += 1;
        status.last_error = Some(error.summary());
        let outage = match status.phase {
            Phase::Closed if status.consecutive_failures >= u64::from(self.settings.failures) => {
                Some(Outage { began: now, cool_down: self.settings.cool_down })
            }
            Phase::HalfOpen { outage, .. } => {
                let cool_down = outage.cool_down.saturating_mul(2).min(self.settings.longest_cool_down);
                Some(Outage { cool_down, ..outage })
            }
            Phase::Closed | Phase::Open { .. } => None,
        };
        let change = outage.and_then(|outage| {
            let until = now.saturating_add(jittered(outage.cool_down));
            self.enter(&mut status, Phase::Open { outage, until })
        });
        drop(status);
        self.tell(change);
    }

    /// A call of this epoch was dropped before the tier answered; the next one may be the probe.
    fn abandoned(&self, epoch: u64) {
        let mut status = self.lock();
        if status.epoch == epoch
            && let Phase::HalfOpen { probe_ends, .. } = &mut status.phase
        {
            *probe_ends = None;
        }
    }

    /// Sets the phase; the change to tell of, once the lock is released.
    fn enter(&self, status: &mut Status, phase: Phase) -> Option<HealthChange> {
        let (from, to) = (status.phase.state(), phase.state());
        status.phase = phase;
        // A new probe takes the place of one that has no answer.
        if from != to || to == BreakerState::HalfOpen {
            status.epoch += 1;
        }
        (from != to).then(|| {
            status.since = self.clock.now();
            HealthChange { name: self.name.clone(), role: self.role, from, to, last_error: status.last_error.clone() }
        })
    }

    fn tell(&self, change: Option<HealthChange>) {
        let Some(change) = change else { return };
        let (tier, error) = (change.name.as_str(), change.last_error.as_deref().unwrap_or_default());
        match (change.from, change.to) {
            (BreakerState::Closed, _) => tracing::warn!(tier, error, "the tier failed too often in a row; its breaker is open"),
            (_, BreakerState::Closed) => tracing::info!(tier, "the tier answers again; its breaker is closed"),
            (from, to) => tracing::debug!(tier, %from, %to, error, "the tier's breaker changed"),
        }
        if let Some(listener) = &self.listener
            && catch_unwind(AssertUnwindSafe(|| listener(&change))).is_err()
        {
            tracing::error!(tier, "the program's `on_health_change` panicked; the store goes on");
        }
    }

    /// What is known of the tier, without asking it.
    pub(crate) fn health(&self) -> TierHealth {
        let status = self.lock();
        TierHealth {
            replicas: Vec::new(),
            name: self.name.clone(),
            role: self.role,
            state: status.phase.state(),
            since: status.since,
            last_error: status.last_error.clone(),
            consecutive_failures: status.consecutive_failures,
        }
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker").field("name", &self.name).field("role", &self.role).field("status", &self.status).finish_non_exhaustive()
    }
}

/// A call that the breaker let through. Dropped before it is told of an outcome, it gives back the place of a probe.
#[derive(Debug)]
pub(crate) struct Pass {
    breaker: Arc<Breaker>,
    epoch: u64,
    is_probe: bool,
    told: Told,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    Answered,
    /// Whatever follows, such as the end of a stream, is no answer any more.
    Failed,
}

impl Pass {
    fn new(breaker: &Arc<Breaker>, epoch: u64, is_probe: bool) -> Self {
        Pass { breaker: Arc::clone(breaker), epoch, is_probe, told: Told::Nothing }
    }

    /// Whether the call tries a tier that failed.
    pub(crate) fn is_probe(&self) -> bool {
        self.is_probe
    }

    /// Tells the breaker what the tier answered; each part of an answer that comes in parts.
    pub(crate) fn tell<R>(&mut self, outcome: &Result<R>) {
        match outcome {
            Err(error) if error.is_shortage() => {}
            Err(error) if is_failure(error.kind()) => {
                if self.told != Told::Failed {
                    self.told = Told::Failed;
                    self.breaker.failed(self.epoch, error);
                }
            }
            Ok(_) | Err(_) => self.answered(),
        }
    }

    /// Tells the breaker that the tier answered.
    pub(crate) fn answered(&mut self) {
        if self.told == Told::Nothing {
            self.told = Told::Answered;
            self.epoch = self.breaker.answered(self.epoch);
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.told == Told::Nothing {
            self.breaker.abandoned(self.epoch);
        }
    }
}

fn is_failure(kind: ErrorKind) -> bool {
    kind == ErrorKind::Timeout || is_unavailable(kind)
}

/// Whether the tier could not be reached, or refused to work.
pub(crate) fn is_unavailable(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::L1Unavailable | ErrorKind::L2Unavailable | ErrorKind::L3Unavailable | ErrorKind::Unavailable)
}

/// From 0 to 1, at random.
pub(crate) fn random_part() -> f64 {
    RandomState::new().hash_one(0) as f64 / u64::MAX as f64
}

fn jittered(cool_down: Duration) -> Duration {
    cool_down - cool_down.mul_f64(random_part() / 4.0)
}

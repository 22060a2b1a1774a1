//! The way to a tier: through its breaker, and once more where that is safe.

mod journals;
mod log;
mod migrations;
mod records;
mod tables;
mod transaction;
mod wakes;

use std::sync::Arc;
use std::time::Duration;

use crate::breaker::{Breaker, Pass, is_unavailable, random_part};
use crate::error::{Error, ErrorKind, Result};
use crate::health::HealthListener;
use crate::settings::Settings;
use crate::tier::{Facets, Tier};

use journals::GuardedJournals;
use log::GuardedLog;
use migrations::GuardedMigrations;
use records::GuardedRecords;
use tables::GuardedTables;
use wakes::GuardedWakes;

/// The pause before a call is repeated lies between these.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(25);

/// Stands before the facets of one tier.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    breaker: Arc<Breaker>,
    retries: u32,
}

impl Guard {
    pub(crate) fn new(tier: &dyn Tier, settings: &Settings, listener: Option<HealthListener>) -> Self {
        let breaker = Breaker::new(tier.name(), tier.role(), settings.breaker.clone(), Arc::clone(&settings.clock), listener);
        Guard { breaker: Arc::new(breaker), retries: settings.retries }
    }

    pub(crate) fn into_breaker(self) -> Arc<Breaker> {
        self.breaker
    }

    /// The tier's facets behind this guard.
    pub(crate) fn facets(&self, facets: Facets) -> Facets {
        // Every facet by name, so that a new one is not passed through unnoticed.
        let Facets { near, records, tables, migrations, log, journals, wakes } = facets;
        Facets {
            near,
            records: records.map(|inner| Arc::new(GuardedRecords { inner, guard: self.clone() }) as _),
            tables: tables.map(|inner| Arc::new(GuardedTables { inner, guard: self.clone() }) as _),
            migrations: migrations.map(|inner| Arc::new(GuardedMigrations { inner, guard: self.clone() }) as _),
            log: log.map(|inner| Arc::new(GuardedLog { inner, guard: self.clone() }) as _),
            journals: journals.map(|inner| Arc::new(GuardedJournals { inner, guard: self.clone() }) as _),
            wakes: wakes.map(|inner| Arc::new(GuardedWakes { inner, guard: self.clone() }) as _),
        }
    }

    fn admit(&self) -> Result<Pass> {
        self.breaker.admit()
    }

    /// Makes a call that must not be repeated.
    async fn once<R>(&self, call: impl Future<Output = Result<R>>) -> Result<R> {
        let mut pass = self.admit()?;
        let outcome = call.await;
        pass.tell(&outcome);
        outcome
    }

    /// Makes a call on a connection that was let through before: the breaker hears of it, and holds nothing back.
    async fn within<R>(&self, call: impl Future<Output = Result<R>>) -> Result<R> {
        let pass = self.admit().ok();
        let outcome = call.await;
        // What a transaction refuses by itself says nothing of the tier.
        let is_refusal = |error: &Error| matches!(error.kind(), ErrorKind::TransactionFailed | ErrorKind::TransactionTimeout);
        if let Some(mut pass) = pass
            && !outcome.as_ref().is_err_and(is_refusal)
        {
            pass.tell(&outcome);
        }
        outcome
    }

    /// Makes a call that may be repeated; `call` is given how often it was made before. One that ran into a time limit is not repeated: its time is spent.
    async fn repeatable<R, F: Future<Output = Result<R>>>(&self, call: impl Fn(u32) -> F) -> Result<R> {
        let mut pass = self.admit()?;
        let mut outcome = call(0).await;
        if pass.is_probe() && self.retries > 0 && was_lost(&outcome) {
            // It may have met a connection that died in the outage, which says nothing of the tier as it is now.
            pause().await;
            outcome = call(1).await;
        }
        pass.tell(&outcome);
        for made in 1..=self.retries {
            if !was_lost(&outcome) || !self.breaker.is_closed() {
                break;
            }
            pause().await;
            // While this call waited, others may have opened the breaker. What the tier said then tells more than that it is not asked.
            let Ok(mut pass) = self.admit() else { break };
            outcome = call(made).await;
            pass.tell(&outcome);
        }
        outcome
    }
}

/// Whether the tier refused the call, or lost it.
fn was_lost<R>(outcome: &Result<R>) -> bool {
    matches!(outcome, Err(error) if is_unavailable(error.kind()))
}

async fn pause() {
    tokio::time::sleep(SHORTEST_PAUSE + (LONGEST_PAUSE - SHORTEST_PAUSE).mul_f64(random_part())).await;
}

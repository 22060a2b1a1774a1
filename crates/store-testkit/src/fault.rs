//! A tier that fails when the test says so.

mod faults;
mod hold;
mod journals;
mod log;
mod migrations;
mod records;
mod tables;
mod transaction;
mod wakes;

use std::sync::Arc;

use async_trait::async_trait;
use store_core::{Error, ErrorKind, Facets, Finding, Result, Role, Tier};

pub use faults::Faults;
pub use hold::Hold;

use faults::Ordered;
use journals::FaultyJournals;
use log::FaultyLog;
use migrations::FaultyMigrations;
use records::FaultyRecords;
use tables::FaultyTables;
use wakes::FaultyWakes;

/// A call that a tier can be made to fail, by facet and method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// [`Records::fetch`](store_core::facet::Records::fetch) and [`Records::fetch_marked`](store_core::facet::Records::fetch_marked).
    Fetch,
    /// [`Records::take_over`](store_core::facet::Records::take_over).
    TakeOver,
    /// [`Records::fill`](store_core::facet::Records::fill).
    Fill,
    /// [`Records::replace`](store_core::facet::Records::replace).
    Replace,
    /// [`Records::remove`](store_core::facet::Records::remove).
    Remove,
    /// [`Records::clear`](store_core::facet::Records::clear).
    Clear,
    /// [`Records::marks`](store_core::facet::Records::marks).
    Marks,
    /// [`Records::relay`](store_core::facet::Records::relay).
    Relay,
    /// [`Records::tag_eras`](store_core::facet::Records::tag_eras).
    TagEras,
    /// [`Records::invalidate_tags`](store_core::facet::Records::invalidate_tags).
    InvalidateTags,
    /// [`Records::put`](store_core::facet::Records::put).
    Put,
    /// [`Records::put_over`](store_core::facet::Records::put_over).
    PutOver,
    /// [`Records::drop_loaded`](store_core::facet::Records::drop_loaded).
    DropLoaded,
    /// [`Records::delete`](store_core::facet::Records::delete).
    Delete,
    /// [`Migrations::plan`](store_core::facet::Migrations::plan).
    PlanMigration,
    /// [`Migrations::migrate`](store_core::facet::Migrations::migrate).
    Migrate,
    /// [`Migrations::migrate_files`](store_core::facet::Migrations::migrate_files).
    MigrateFiles,
    /// [`Migrations::migration_records`](store_core::facet::Migrations::migration_records).
    MigrationRecords,
    /// [`Migrations::resolve_migration`](store_core::facet::Migrations::resolve_migration).
    ResolveMigration,
    /// [`Migrations::missing_tables`](store_core::facet::Migrations::missing_tables).
    MissingTables,
    /// [`Migrations::check_columns`](store_core::facet::Migrations::check_columns).
    CheckColumns,
    /// [`Migrations::missing_indexes`](store_core::facet::Migrations::missing_indexes).
    MissingIndexes,
    /// [`Tables::get_many`](store_core::facet::Tables::get_many).
    GetMany,
    /// [`Tables::exists_many`](store_core::facet::Tables::exists_many).
    ExistsMany,
    /// [`Tables::put_many`](store_core::facet::Tables::put_many).
    PutMany,
    /// [`Tables::put_if`](store_core::facet::Tables::put_if), and [`Transaction::put_many_if`](store_core::facet::Transaction::put_many_if).
    PutIf,
    /// [`Tables::delete_many`](store_core::facet::Tables::delete_many).
    DeleteMany,
    /// [`Tables::delete_where`](store_core::facet::Tables::delete_where).
    DeleteWhere,
    /// [`Tables::update_where`](store_core::facet::Tables::update_where).
    UpdateWhere,
    /// [`Tables::select`](store_core::facet::Tables::select).
    Select,
    /// [`Tables::count`](store_core::facet::Tables::count).
    Count,
    /// [`Tables::begin`](store_core::facet::Tables::begin). Reads and writes within a transaction count as those of the tables.
    Begin,
    /// [`Transaction::check_deferred`](store_core::facet::Transaction::check_deferred).
    CheckDeferred,
    /// [`Transaction::savepoint`](store_core::facet::Transaction::savepoint) and its two ends.
    Savepoint,
    /// [`Transaction::commit`](store_core::facet::Transaction::commit).
    Commit,
    /// [`Transaction::rollback`](store_core::facet::Transaction::rollback).
    Rollback,
    /// [`Transaction::advance_journal`](store_core::facet::Transaction::advance_journal).
    AdvanceJournal,
    /// [`Transaction::put_dead_letter`](store_core::facet::Transaction::put_dead_letter).
    PutDeadLetter,
    /// [`Transaction::remove_dead_letter`](store_core::facet::Transaction::remove_dead_letter) and
    /// [`Journals::remove_dead_letter`](store_core::facet::Journals::remove_dead_letter).
    RemoveDeadLetter,
    /// [`Journals::applied`](store_core::facet::Journals::applied).
    JournalApplied,
    /// [`Journals::dead_letters`](store_core::facet::Journals::dead_letters).
    DeadLetters,
    /// [`Log::end`](store_core::facet::Log::end).
    LogEnd,
    /// [`Log::read`](store_core::facet::Log::read).
    LogRead,
    /// [`Log::append`](store_core::facet::Log::append).
    LogAppend,
    /// [`Log::prune`](store_core::facet::Log::prune).
    LogPrune,
    /// [`Log::lead`](store_core::facet::Log::lead).
    LogLead,
    /// [`Wakes::publish`](store_core::facet::Wakes::publish).
    Publish,
    /// [`Tier::ping`].
    Ping,
    /// [`Tier::close`].
    Close,
}

/// How a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It does nothing and fails with this kind.
    FailBefore(ErrorKind),
    /// It takes effect and fails with this kind all the same: the acknowledgement is lost. A query that streams fails behind its last row.
    FailAfter(ErrorKind),
    /// It does nothing and fails for what others did at the same time: as `TransactionFailed`, to be tried again.
    Conflict,
}

/// A tier around another one, whose calls fail or wait as a test orders through [`Faults`].
///
/// The near facet is passed through as it is, and so is what a listener hears.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use std::sync::Arc;
/// use store_core::{ErrorKind, Tier};
/// use store_testkit::{Fault, FaultTier, ModelRecords, Operation};
///
/// let tier = FaultTier::new(ModelRecords::new());
/// let faults = tier.faults();
/// faults.next(Operation::Ping, Fault::FailBefore(ErrorKind::L2Unavailable));
/// assert_eq!(tier.ping().await.unwrap_err().kind(), ErrorKind::L2Unavailable);
/// assert!(tier.ping().await.is_ok());
/// assert_eq!(faults.calls(Operation::Ping), 2);
/// # });
/// ```
#[derive(Debug)]
pub struct FaultTier {
    tier: Arc<dyn Tier>,
    faults: Faults,
}

impl FaultTier {
    /// Wraps a tier, with no fault ordered.
    pub fn new(tier: impl Tier) -> Self {
        let tier: Arc<dyn Tier> = Arc::new(tier);
        let faults = Faults::new(tier.role());
        FaultTier { tier, faults }
    }

    /// The handle that orders faults; it works as long as the tier does, wherever the tier went.
    pub fn faults(&self) -> Faults {
        self.faults.clone()
    }
}

#[async_trait]
impl Tier for FaultTier {
    fn name(&self) -> &str {
        self.tier.name()
    }

    fn role(&self) -> Role {
        self.tier.role()
    }

    fn facets(self: Arc<Self>) -> Facets {
        // Every facet by name, so that a new one is not passed through unnoticed.
        let Facets { near, records, tables, migrations, log, journals, wakes } = Arc::clone(&self.tier).facets();
        let faults = &self.faults;
        Facets {
            near,
            records: records.map(|inner| Arc::new(FaultyRecords { inner, faults: faults.clone() }) as _),
            tables: tables.map(|inner| Arc::new(FaultyTables { inner, faults: faults.clone() }) as _),
            migrations: migrations.map(|inner| Arc::new(FaultyMigrations { inner, faults: faults.clone() }) as _),
            log: log.map(|inner| Arc::new(FaultyLog { inner, faults: faults.clone() }) as _),
            journals: journals.map(|inner| Arc::new(FaultyJournals { inner, faults: faults.clone() }) as _),
            wakes: wakes.map(|inner| Arc::new(FaultyWakes { inner, faults: faults.clone() }) as _),
        }
    }

    async fn ping(&self) -> Result<()> {
        self.faults.run(Operation::Ping, self.tier.ping()).await
    }

    async fn diagnose(&self) -> Vec<Finding> {
        self.tier.diagnose().await
    }

    async fn close(&self) -> Result<()> {
        self.faults.run(Operation::Close, self.tier.close()).await
    }
}

impl Faults {
    /// Runs a call as it was ordered to go.
    async fn run<R>(&self, operation: Operation, call: impl Future<Output = Result<R>>) -> Result<R> {
        match self.draw(operation) {
            None => call.await,
            Some(Ordered::Fail(Fault::FailBefore(kind))) => Err(self.error(kind)),
            Some(Ordered::Fail(Fault::Conflict)) => Err(self.conflict()),
            Some(Ordered::Fail(Fault::FailAfter(kind))) => {
                call.await?;
                Err(self.error(kind))
            }
            Some(Ordered::HoldBefore(gate)) => {
                gate.pass().await;
                call.await
            }
            Some(Ordered::HoldAfter(gate)) => {
                let answer = call.await;
                gate.pass().await;
                answer
            }
        }
    }

    fn error(&self, kind: ErrorKind) -> Error {
        Error::new(kind, "the test ordered this failure").with_tier(self.role())
    }

    fn conflict(&self) -> Error {
        self.error(ErrorKind::TransactionFailed).with_retryable(true)
    }
}

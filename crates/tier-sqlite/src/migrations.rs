//! Making and extending tables. A file has one writer at a time in all processes, so a migration is one transaction, and no two meet.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use rusqlite::Connection;
use store_core::facet::{Migrations, MissingIndex};
use store_core::{
    BoundSchema, ErrorKind, MigrationFile, MigrationPlan, MigrationRecord, MigrationReport, MigrationSettings, Resolution, Result,
};

use crate::commit::{snapshot, transaction};
use crate::error::{self, Origin};
use crate::survey::{self, survey};
use crate::tier::SqliteTier;
use crate::workers::Worker;
use crate::{files, layout, records};

#[async_trait]
impl Migrations for SqliteTier {
    async fn plan(&self, schemas: &[Arc<BoundSchema>], _: &MigrationSettings) -> Result<MigrationPlan> {
        if self.is_unmade() {
            let empty = Connection::open_in_memory().map_err(|error| error::from_sqlite(error, Origin::Own))?;
            return Ok(survey(&empty, schemas)?.plan);
        }
        let schemas = schemas.to_vec();
        let plan = move |worker: &mut Worker| snapshot(&worker.connection, Origin::Own, || survey(&worker.connection, &schemas));
        Ok(self.readers().run(plan).await?.plan)
    }

    async fn migrate(&self, schemas: &[Arc<BoundSchema>], _: &MigrationSettings) -> Result<MigrationReport> {
        let schemas = schemas.to_vec();
        let run = move |worker: &mut Worker| {
            transaction(worker, Origin::Own, |connection| match migrate(connection, &schemas) {
                // Rows that break an index can only be mended behind the steps in front of it, so those are committed.
                Err(error) if error.kind() == ErrorKind::SchemaMismatch => Ok(Err(error)),
                migrated => migrated.map(Ok),
            })
        };
        self.writer().run(told_to_caller(run)).await?
    }

    /// Each file is a job of its own, so that writes of the program come between them.
    async fn migrate_files(&self, files: &[MigrationFile], schemas: &[Arc<BoundSchema>], _: &MigrationSettings) -> Result<MigrationReport> {
        let (files, schemas): (Arc<[MigrationFile]>, Arc<[_]>) = (files.into(), schemas.into());
        let mut report = MigrationReport::default();
        loop {
            let (files, schemas) = (Arc::clone(&files), Arc::clone(&schemas));
            match self.writer().run(told_to_caller(move |worker| files::run_next(worker, &files, &schemas))).await? {
                Some(record) => report.applied.push(record),
                None => return Ok(report),
            }
        }
    }

    async fn migration_records(&self) -> Result<Vec<MigrationRecord>> {
        if self.is_unmade() {
            return Ok(Vec::new());
        }
        self.readers().run(|worker| records::all(&worker.connection)).await
    }

    async fn resolve_migration(
        &self,
        file: &str,
        resolution: Resolution,
        schemas: &[Arc<BoundSchema>],
        _: &MigrationSettings,
    ) -> Result<()> {
        let (file, schemas) = (file.to_owned(), schemas.to_vec());
        let resolve = move |connection: &Connection| files::resolve(connection, &file, resolution, &schemas);
        self.writer().run(move |worker| transaction(worker, Origin::Own, resolve)).await
    }

    async fn missing_tables(&self, schemas: &[Arc<BoundSchema>]) -> Result<Vec<String>> {
        if self.is_unmade() {
            return Ok(layout::wanted_tables(schemas));
        }
        let schemas = schemas.to_vec();
        self.readers().run(move |worker| layout::missing_tables(worker, &schemas)).await
    }

    async fn check_columns(&self, schemas: &[Arc<BoundSchema>]) -> Result<()> {
        let schemas = schemas.to_vec();
        self.readers().run(move |worker| layout::check_columns(worker, &schemas)).await
    }

    async fn missing_indexes(&self, schemas: &[Arc<BoundSchema>]) -> Result<Vec<MissingIndex>> {
        let schemas = schemas.to_vec();
        self.readers().run(move |worker| layout::missing_indexes(worker, &schemas)).await
    }
}

/// A job whose events go where those of the calling thread do.
fn told_to_caller<T>(job: impl FnOnce(&mut Worker) -> T) -> impl FnOnce(&mut Worker) -> T {
    let listener = tracing::dispatcher::get_default(Clone::clone);
    move |worker| tracing::dispatcher::with_default(&listener, || job(worker))
}

/// Within a transaction that writes.
pub(crate) fn migrate(connection: &Connection, schemas: &[Arc<BoundSchema>]) -> Result<MigrationReport> {
    let found = survey(connection, schemas)?;
    if let Some(refusal) = found.refusal {
        return Err(refusal);
    }
    let mut report = MigrationReport { applied: Vec::new(), drift: found.plan.drift };
    let steps = found.plan.steps.len();
    for (place, step) in found.plan.steps.into_iter().enumerate() {
        let begun = Instant::now();
        tracing::info!(schema = step.schema, step = place + 1, of = steps, "migrating: {}", step.what);
        connection.execute_batch(&step.sql).map_err(|error| survey::failed(connection, error, &step, schemas))?;
        report.applied.push(records::put(connection, MigrationRecord::new(step.schema, step.what, begun.elapsed())?)?);
    }
    Ok(report)
}

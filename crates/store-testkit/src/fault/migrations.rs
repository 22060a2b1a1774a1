//! The migrations facet.

use std::sync::Arc;

use async_trait::async_trait;
use store_core::facet::{Migrations, MissingIndex};
use store_core::{BoundSchema, MigrationFile, MigrationPlan, MigrationRecord, MigrationReport, MigrationSettings, Resolution, Result};

use super::{Faults, Operation};

#[derive(Debug)]
pub(super) struct FaultyMigrations {
    pub(super) inner: Arc<dyn Migrations>,
    pub(super) faults: Faults,
}

#[async_trait]
impl Migrations for FaultyMigrations {
    async fn plan(&self, schemas: &[Arc<BoundSchema>], settings: &MigrationSettings) -> Result<MigrationPlan> {
        self.faults.run(Operation::PlanMigration, self.inner.plan(schemas, settings)).await
    }

    async fn migrate(&self, schemas: &[Arc<BoundSchema>], settings: &MigrationSettings) -> Result<MigrationReport> {
        self.faults.run(Operation::Migrate, self.inner.migrate(schemas, settings)).await
    }

    async fn make_partitions(&self, schemas: &[Arc<BoundSchema>], settings: &MigrationSettings) -> Result<MigrationReport> {
        self.faults.run(Operation::Migrate, self.inner.make_partitions(schemas, settings)).await
    }

    async fn migrate_files(
        &self,
        files: &[MigrationFile],
        schemas: &[Arc<BoundSchema>],
        settings: &MigrationSettings,
    ) -> Result<MigrationReport> {
        self.faults.run(Operation::MigrateFiles, self.inner.migrate_files(files, schemas, settings)).await
    }

    async fn migration_records(&self) -> Result<Vec<MigrationRecord>> {
        self.faults.run(Operation::MigrationRecords, self.inner.migration_records()).await
    }

    async fn resolve_migration(
        &self,
        file: &str,
        resolution: Resolution,
        schemas: &[Arc<BoundSchema>],
        settings: &MigrationSettings,
    ) -> Result<()> {
        self.faults.run(Operation::ResolveMigration, self.inner.resolve_migration(file, resolution, schemas, settings)).await
    }

    async fn missing_tables(&self, schemas: &[Arc<BoundSchema>]) -> Result<Vec<String>> {
        self.faults.run(Operation::MissingTables, self.inner.missing_tables(schemas)).await
    }

    async fn check_columns(&self, schemas: &[Arc<BoundSchema>]) -> Result<()> {
        self.faults.run(Operation::CheckColumns, self.inner.check_columns(schemas)).await
    }

    async fn missing_indexes(&self, schemas: &[Arc<BoundSchema>]) -> Result<Vec<MissingIndex>> {
        self.faults.run(Operation::MissingIndexes, self.inner.missing_indexes(schemas)).await
    }
}

//! The migrations facet.

use std::sync::Arc;

use async_trait::async_trait;

use super::Guard;
use crate::error::Result;
use crate::facet::{Migrations, MissingIndex};
use crate::migration::{MigrationFile, MigrationPlan, MigrationRecord, MigrationReport, MigrationSettings, Resolution};
use crate::schema::BoundSchema;

#[derive(Debug)]
pub(super) struct GuardedMigrations {
    pub(super) inner: Arc<dyn Migrations>,
    pub(super) guard: Guard,
}

/// What changes the database goes by the breaker: that another migrator or a long transaction was waited for in vain says nothing of the tier, and whoever
/// migrates wants to hear from the tier itself.
#[async_trait]
impl Migrations for GuardedMigrations {
    async fn plan(&self, schemas: &[Arc<BoundSchema>], settings: &MigrationSettings) -> Result<MigrationPlan> {
        self.guard.repeatable(|_| self.inner.plan(schemas, settings)).await
    }

    async fn migrate(&self, schemas: &[Arc<BoundSchema>], settings: &MigrationSettings) -> Result<MigrationReport> {
        self.inner.migrate(schemas, settings).await
    }

    async fn make_partitions(&self, schemas: &[Arc<BoundSchema>], settings: &MigrationSettings) -> Result<MigrationReport> {
        self.inner.make_partitions(schemas, settings).await
    }

    async fn migrate_files(
        &self,
        files: &[MigrationFile],
        schemas: &[Arc<BoundSchema>],
        settings: &MigrationSettings,
    ) -> Result<MigrationReport> {
        self.inner.migrate_files(files, schemas, settings).await
    }

    async fn migration_records(&self) -> Result<Vec<MigrationRecord>> {
        self.guard.repeatable(|_| self.inner.migration_records()).await
    }

    async fn resolve_migration(
        &self,
        file: &str,
        resolution: Resolution,
        schemas: &[Arc<BoundSchema>],
        settings: &MigrationSettings,
    ) -> Result<()> {
        self.inner.resolve_migration(file, resolution, schemas, settings).await
    }

    async fn missing_tables(&self, schemas: &[Arc<BoundSchema>]) -> Result<Vec<String>> {
        self.guard.repeatable(|_| self.inner.missing_tables(schemas)).await
    }

    async fn check_columns(&self, schemas: &[Arc<BoundSchema>]) -> Result<()> {
        self.guard.repeatable(|_| self.inner.check_columns(schemas)).await
    }

    async fn missing_indexes(&self, schemas: &[Arc<BoundSchema>]) -> Result<Vec<MissingIndex>> {
        self.guard.repeatable(|_| self.inner.missing_indexes(schemas)).await
    }
}

//! The facet of migrations.

use std::sync::Arc;

use async_trait::async_trait;
use store_core::facet::{Migrations, MissingIndex};
use store_core::{BoundSchema, MigrationFile, MigrationPlan, MigrationRecord, MigrationReport, MigrationSettings, Resolution, Result};

use crate::error::Attempt;
use crate::pool::within;
use crate::survey::{MIGRATIONS, OWN, Wanted};
use crate::tier::PgTier;
use crate::{files, missing, records, steps};

/// The statements that make Strata's own sequence and tables, which a migration makes before those of the models. They are made in the first schema of the search
/// path.
///
/// ```
/// assert!(tier_pg::own_statements().any(|statement| statement.starts_with("CREATE SEQUENCE _strata_version")));
/// ```
pub fn own_statements() -> impl Iterator<Item = &'static str> {
    std::iter::once(MIGRATIONS).chain(OWN).map(|(_, statements)| statements)
}

impl PgTier {
    fn wanted<'a>(&'a self, schemas: &'a [Arc<BoundSchema>], settings: &MigrationSettings) -> Wanted<'a> {
        Wanted { schemas, extras: &self.extras, large_table: settings.large_table, only_partitions: false }
    }
}

#[async_trait]
impl Migrations for PgTier {
    async fn plan(&self, schemas: &[Arc<BoundSchema>], settings: &MigrationSettings) -> Result<MigrationPlan> {
        Ok(steps::look(self.primary(), self.wanted(schemas, settings)).await?.into_plan())
    }

    async fn migrate(&self, schemas: &[Arc<BoundSchema>], settings: &MigrationSettings) -> Result<MigrationReport> {
        steps::migrate(self.primary(), self.wanted(schemas, settings), settings).await
    }

    async fn make_partitions(&self, schemas: &[Arc<BoundSchema>], settings: &MigrationSettings) -> Result<MigrationReport> {
        let wanted = Wanted { only_partitions: true, ..self.wanted(schemas, settings) };
        steps::migrate(self.primary(), wanted, settings).await
    }

    async fn migrate_files(
        &self,
        files: &[MigrationFile],
        schemas: &[Arc<BoundSchema>],
        settings: &MigrationSettings,
    ) -> Result<MigrationReport> {
        files::run(self.primary(), files, schemas, settings).await
    }

    async fn migration_records(&self) -> Result<Vec<MigrationRecord>> {
        let lease = self.primary().lease().await?;
        let found = within(self.primary().limits().statement, records::all(&lease)).await;
        lease.settle(found).map_err(|failure| failure.into_error(Attempt::Log))
    }

    async fn resolve_migration(
        &self,
        file: &str,
        resolution: Resolution,
        schemas: &[Arc<BoundSchema>],
        settings: &MigrationSettings,
    ) -> Result<()> {
        files::resolve(self.primary(), file, resolution, schemas, settings).await
    }

    async fn missing_tables(&self, schemas: &[Arc<BoundSchema>]) -> Result<Vec<String>> {
        missing::missing_tables(self.primary(), schemas).await
    }

    async fn check_columns(&self, schemas: &[Arc<BoundSchema>]) -> Result<()> {
        missing::check_columns(self.primary(), schemas).await
    }

    async fn missing_indexes(&self, schemas: &[Arc<BoundSchema>]) -> Result<Vec<MissingIndex>> {
        missing::missing_indexes(self.primary(), schemas).await
    }
}

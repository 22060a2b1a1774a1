//! The facet of migrations.

use std::sync::Arc;

use async_trait::async_trait;
use store_core::facet::{Migrations, MissingIndex};
use store_core::sql::{Dialect, create_all_statements};
use store_core::{
    BoundSchema, MigrationFile, MigrationPlan, MigrationRecord, MigrationReport, MigrationSettings, Resolution, Result, Timestamp,
};

use crate::config::PgConfig;
use crate::error::Attempt;
use crate::pool::within;
use crate::survey::{MIGRATIONS, OWN, Wanted, extension_statement};
use crate::tier::PgTier;
use crate::{files, missing, records, steps, triggers};

impl PgConfig {
    /// The statements that make everything of some schemas in an empty database, as a migration with this configuration would: each with the schema's name, `None` for
    /// what is Strata's own, which lies in the first schema of the search path. Partitions are those of `now`. No server is asked.
    ///
    /// ```
    /// use store_core::Timestamp;
    ///
    /// let config = tier_pg::PgConfig::from_url("postgres://localhost/shop")?.with_extension("pg_trgm");
    /// let statements = config.create_statements(&[], Timestamp::MIN);
    /// assert!(statements.iter().any(|(_, statement)| statement.starts_with("CREATE SEQUENCE _strata_version")));
    /// assert_eq!(statements.last(), Some(&(None, r#"CREATE EXTENSION IF NOT EXISTS "pg_trgm""#.to_owned())));
    /// # Ok::<(), store_core::Error>(())
    /// ```
    pub fn create_statements(&self, schemas: &[&BoundSchema], now: Timestamp) -> Vec<(Option<&'static str>, String)> {
        let is_watched = |schema: &&BoundSchema| self.extras.outside_writers || triggers::are_needed(schema);
        let mut own: Vec<String> = std::iter::once(MIGRATIONS).chain(OWN).map(|(_, statements)| statements.to_owned()).collect();
        own.extend(self.extras.extensions.iter().map(|name| extension_statement(name)));
        if self.extras.outside_writers || schemas.iter().any(is_watched) {
            own.extend(triggers::function_statements());
        }
        let of_models = create_all_statements(Dialect::Postgres, schemas, now).into_iter();
        let watching = schemas.iter().filter(|schema| is_watched(schema));
        let watching = watching.flat_map(|schema| triggers::trigger_statements(schema).map(|statement| (schema.name(), statement)));
        let of_schemas = of_models.chain(watching).map(|(schema, statement)| (Some(schema), statement));
        own.into_iter().map(|statement| (None, statement)).chain(of_schemas).collect()
    }
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

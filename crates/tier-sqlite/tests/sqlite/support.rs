//! Databases for tests.

use std::path::PathBuf;
use std::sync::Arc;

use store_core::facet::{Migrations, Tables};
use store_core::{BoundSchema, Error, ErrorKind, MigrationSettings, Role, Row, Schema, StoredRow, Tier};
use store_derive::Schema;
use store_testkit::suites::TruthDatabase;
use tempfile::TempDir;
use tier_sqlite::{SqliteConfig, SqliteTier, Synchronous};

/// A file in a directory of its own, which goes with it.
pub(crate) struct Database(TempDir);

impl Database {
    pub(crate) fn new() -> Self {
        Database(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("strata.db")
    }

    /// Quick commits: what a power cut would do is no matter of these tests.
    pub(crate) fn config(&self) -> SqliteConfig {
        SqliteConfig::new(self.path()).with_synchronous(Synchronous::Normal)
    }

    /// Opens a tier with the table of [`Note`].
    pub(crate) async fn notes(&self) -> Arc<SqliteTier> {
        notes(self.config()).await
    }

    /// Runs SQL as another program would.
    pub(crate) fn outside(&self, sql: &str) -> rusqlite::Connection {
        let connection = rusqlite::Connection::open(self.path()).unwrap();
        connection.execute_batch(sql).unwrap();
        connection
    }
}

impl TruthDatabase for Database {
    async fn open(&self) -> Arc<dyn Tier> {
        Arc::new(SqliteTier::open(self.config()).await.unwrap())
    }
}

/// A database for one case of a suite.
pub(crate) async fn database() -> Database {
    Database::new()
}

/// A small model.
#[derive(Debug, Clone, PartialEq, Schema)]
pub(crate) struct Note {
    #[schema(primary_key)]
    pub(crate) id: i64,
    pub(crate) text: String,
}

pub(crate) fn note_schema() -> Arc<BoundSchema> {
    Arc::new(BoundSchema::standalone(Note::definition()))
}

pub(crate) async fn notes(config: SqliteConfig) -> Arc<SqliteTier> {
    let tier = Arc::new(SqliteTier::open(config).await.unwrap());
    tier.migrate(&[note_schema()], &MigrationSettings::default()).await.unwrap();
    tier
}

pub(crate) fn note(id: i64) -> Row<'static> {
    vec![id.into(), format!("note {id}").into()]
}

pub(crate) async fn put(tier: &SqliteTier, ids: impl IntoIterator<Item = i64>) -> Result<Vec<StoredRow>, Error> {
    let rows: Vec<_> = ids.into_iter().map(note).collect();
    tier.put_many(&note_schema(), &rows).await
}

pub(crate) async fn get(tier: &SqliteTier, id: i64) -> Result<Option<StoredRow>, Error> {
    Ok(tier.get_many(&note_schema(), &[vec![id.into()]]).await?.remove(0))
}

#[track_caller]
pub(crate) fn assert_kind<T>(result: Result<T, Error>, kind: ErrorKind) -> Error {
    let Err(error) = result else { panic!("the call succeeded, although it must fail as {kind:?}") };
    assert_eq!(error.kind(), kind, "{error:?}");
    assert_eq!(error.tier(), Some(Role::Truth), "{error:?}");
    error
}

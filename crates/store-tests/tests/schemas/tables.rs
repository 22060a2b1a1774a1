//! What a model says of its table beyond columns, on both tiers of truth.

mod conditions;
mod indexes;
mod partitions;
mod references;
mod similarity;

use strata::mem::MemTier;
use strata::pg::{PgConfig, PgTier};
use strata::sqlite::SqliteTier;
use strata::{Store, StoreBuilder};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use store_tests::stacks::postgres::Database;

/// A tier of truth on storage of its own.
pub(super) enum Truth {
    Postgres(Database),
    Sqlite(TempDir),
}

impl Truth {
    pub(super) async fn both() -> [Truth; 2] {
        let (database, _) = store_tests::stacks::postgres::open().await;
        [Truth::Postgres(database), Truth::Sqlite(tempfile::tempdir().unwrap())]
    }

    /// Memory in front of the tier; more than one may be open at once.
    pub(super) async fn builder(&self) -> StoreBuilder<MemTier> {
        let builder = Store::builder().near(MemTier::new());
        match self {
            Truth::Postgres(database) => builder.tier(tier(database).await),
            Truth::Sqlite(directory) => builder.tier(SqliteTier::open(directory.path().join("strata.db")).await.unwrap()),
        }
    }

    /// What another program does.
    pub(super) async fn run(&self, statements: &str) -> Result<(), String> {
        match self {
            Truth::Postgres(database) => client(database).await.batch_execute(statements).await.map_err(|error| format!("{error:?}")),
            Truth::Sqlite(directory) => {
                let connection = rusqlite::Connection::open(directory.path().join("strata.db")).unwrap();
                connection.execute_batch(statements).map_err(|error| error.to_string())
            }
        }
    }
}

pub(super) async fn tier(database: &Database) -> PgTier {
    PgTier::connect(PgConfig::from_url(&database.url()).unwrap()).await.unwrap()
}

pub(super) async fn client(database: &Database) -> Client {
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

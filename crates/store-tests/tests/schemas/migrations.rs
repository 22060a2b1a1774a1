//! Migrations of both tiers of truth: what models ask for, and SQL files.

mod cut_off;
mod files;
mod killed;
mod layouts;
mod postgres;
mod sqlite;
mod stopped;

use strata::facet::NoNear;
use strata::mem::MemTier;
use strata::{Migrator, Schema, Settings, Store, StoreBuilder};
use tempfile::TempDir;

use store_tests::stacks::{open_sqlite, postgres as server};

/// A database whose tables a test changes.
pub(super) enum Database {
    Sqlite(TempDir),
    Postgres(server::Database),
}

impl Database {
    async fn all() -> [Database; 2] {
        [Database::Sqlite(tempfile::tempdir().unwrap()), Database::Postgres(server::open().await.0)]
    }

    async fn builder(&self) -> StoreBuilder<NoNear> {
        match self {
            Database::Sqlite(directory) => Store::builder().tier(open_sqlite(directory).await),
            Database::Postgres(database) => Store::builder().tier(database.tier().await),
        }
    }

    /// A store with memory, which shows stale copies if there are any.
    async fn store<T: Schema>(&self) -> Store {
        let builder = Store::builder().near(MemTier::new());
        let builder = match self {
            Database::Sqlite(directory) => builder.tier(open_sqlite(directory).await),
            Database::Postgres(database) => builder.tier(database.tier().await),
        };
        builder.schema::<T>().build().await.unwrap()
    }

    async fn migrator<T: Schema>(&self) -> Migrator {
        self.migrator_with::<T>(|_| {}).await
    }

    async fn migrator_with<T: Schema>(&self, change: impl FnOnce(&mut Settings)) -> Migrator {
        self.builder().await.schema::<T>().configure(change).migrator().unwrap()
    }

    /// Does what another program might do.
    async fn run(&self, statement: &str) {
        match self {
            Database::Sqlite(directory) => {
                let file = rusqlite::Connection::open(directory.path().join("store.db")).unwrap();
                file.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
                file.execute_batch(statement).unwrap_or_else(|error| panic!("{error}: {statement}"));
            }
            Database::Postgres(database) => database.run(statement).await,
        }
    }
}

/// One model as it was through the years.
mod first {
    #[derive(Debug, PartialEq, strata::Schema)]
    pub(super) struct Hero {
        #[schema(primary_key)]
        pub(super) id: i64,
        pub(super) name: String,
    }
}

mod second {
    #[derive(Debug, PartialEq, strata::Schema)]
    pub(super) struct Hero {
        #[schema(primary_key)]
        pub(super) id: i64,
        pub(super) name: String,
        #[schema(index, default = 1)]
        pub(super) level: i64,
        pub(super) note: Option<String>,
    }
}

mod third {
    #[derive(Debug, PartialEq, strata::Schema)]
    #[schema(index(columns(region, level)))]
    pub(super) struct Hero {
        #[schema(primary_key)]
        pub(super) id: i64,
        #[schema(unique)]
        pub(super) name: String,
        #[schema(default = 1)]
        pub(super) level: i64,
        #[schema(default = "north")]
        pub(super) region: String,
        #[schema(default = true)]
        pub(super) active: bool,
        pub(super) title: Option<String>,
    }
}

fn first(id: i64) -> first::Hero {
    first::Hero { id, name: format!("hero {id}") }
}

/// What the newest model reads of a row that the first one wrote.
fn expected(id: i64) -> third::Hero {
    third::Hero { id, name: format!("hero {id}"), level: 1, region: "north".into(), active: true, title: None }
}

/// A database with rows of the first layout.
async fn filled(database: &Database) -> Store {
    let store = database.store::<first::Hero>().await;
    store.collection().unwrap().set_many((1..=3).map(first)).await.unwrap();
    store
}

async fn assert_migrated(database: &Database, rows: i64) {
    let migrator = database.migrator::<third::Hero>().await;
    assert!(migrator.plan().await.unwrap().is_empty(), "{}", migrator.plan().await.unwrap());
    migrator.close().await.unwrap();
    let store =
        database.builder().await.schema::<third::Hero>().configure(|settings| settings.create_tables = false).build().await.unwrap();
    let heroes = store.collection::<third::Hero>().unwrap();
    for id in 1..=rows {
        assert_eq!(*heroes.get(id).await.unwrap().unwrap(), expected(id));
    }
    store.close().await.unwrap();
}

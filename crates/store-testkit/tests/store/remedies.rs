//! The statements that errors tell people to run: they mend the database.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use strata::{Deferred, Error, ErrorKind, Result, Role, Schema, Store};
use tempfile::TempDir;

use super::stacks::{open_sqlite, postgres};
use super::unreadable::Warnings;

/// A database whose tables a test changes.
enum Database {
    Sqlite(TempDir),
    Postgres(postgres::Database),
}

impl Database {
    async fn all() -> [Database; 2] {
        [Database::Sqlite(tempfile::tempdir().unwrap()), Database::Postgres(postgres::open().await.0)]
    }

    async fn build<T: Schema>(&self) -> Result<Store> {
        self.build_with::<T>(true).await
    }

    async fn build_with<T: Schema>(&self, create_tables: bool) -> Result<Store> {
        let builder = match self {
            Database::Sqlite(directory) => Store::builder().tier(open_sqlite(directory).await),
            Database::Postgres(database) => Store::builder().tier(database.tier().await),
        };
        builder.schema::<T>().configure(|settings| settings.create_tables = create_tables).build().await
    }

    /// Does what another program might do.
    async fn run(&self, statement: &str) {
        match self {
            Database::Sqlite(directory) => {
                let file = rusqlite::Connection::open(directory.path().join("store.db")).unwrap();
                file.execute_batch(statement).unwrap_or_else(|error| panic!("{error}: {statement}"));
            }
            Database::Postgres(database) => database.run(statement).await,
        }
    }
}

/// The statement that an error tells to run.
fn statement(error: &Error) -> String {
    assert_eq!(error.kind(), ErrorKind::SchemaMismatch, "{error}");
    let said = error.to_string();
    let (_, statement) = said.split_once("run: ").unwrap_or_else(|| panic!("nothing to run: {said}"));
    statement.to_owned()
}

mod before {
    #[derive(strata::Schema)]
    pub(super) struct Chest {
        #[schema(primary_key)]
        pub(super) id: i64,
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Item {
    name: String,
}

/// It has no default, and cannot be read of anything empty.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Lock {
    Key(u32),
    Word(String),
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Size {
    width: u32,
    label: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Pair(Vec<i64>, Option<Item>);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(default = "Marks::new")]
struct Marks {
    text: String,
}

impl Marks {
    fn new() -> Self {
        Marks { text: "it's new".to_owned() }
    }
}

#[derive(Debug, PartialEq, Schema)]
struct Chest {
    #[schema(primary_key)]
    id: i64,
    items: Vec<Item>,
    rows: Vec<Vec<i64>>,
    set: BTreeSet<Item>,
    by_name: BTreeMap<String, Item>,
    corner: (i64, String, Vec<Item>),
    spare: [i64; 2],
    size: Size,
    marks: Marks,
    anything: serde_json::Value,
    noted: Option<Vec<Item>>,
    #[schema(nullable)]
    more: Vec<Item>,
    #[schema(omit_cache)]
    later: Deferred<Vec<Item>>,
    quoted: Quoted,
    lock: Lock,
    pair: Pair,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Quoted(String);

impl Default for Quoted {
    fn default() -> Self {
        Quoted("'; DROP TABLE chest; --\"\\".to_owned())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_read_once_the_columns_of_a_newer_model_were_added() {
    for database in Database::all().await {
        let store = database.build::<before::Chest>().await.unwrap();
        store.collection().unwrap().set(before::Chest { id: 7 }).await.unwrap();
        store.close().await.unwrap();

        let mut unknown = Vec::new();
        let store = loop {
            let error = match database.build::<Chest>().await {
                Ok(store) => break store,
                Err(error) => error,
            };
            let mut statement = statement(&error);
            if statement.contains("<JSON>") {
                assert!(error.to_string().contains("in JSON and in single quotes, in the place of <JSON>"), "{error}");
                let json = if error.column() == Some("lock") { r#"{"Key":3}"# } else { "[[1],null]" };
                statement = statement.replace("<JSON>", &format!("'{json}'"));
                unknown.push(error.column().unwrap().to_owned());
            }
            database.run(&statement).await;
        };
        assert_eq!(unknown, ["lock", "pair"], "the types of the others say what is empty");

        let chests = store.collection::<Chest>().unwrap();
        let expected = Chest {
            id: 7,
            items: vec![],
            rows: vec![],
            set: BTreeSet::new(),
            by_name: BTreeMap::new(),
            corner: (0, String::new(), vec![]),
            spare: [0, 0],
            size: Size::default(),
            marks: Marks::new(),
            anything: serde_json::Value::Null,
            noted: None,
            more: vec![],
            later: Deferred::Loaded(vec![]),
            quoted: Quoted::default(),
            lock: Lock::Key(3),
            pair: Pair(vec![1], None),
        };
        let found = chests.from(Role::Truth).get(7).await.unwrap().unwrap();
        assert_eq!(*found, expected);
        chests.set(expected).await.unwrap();
    }
}

#[derive(Debug, Schema)]
#[schema(index(columns(region, level), unique))]
struct Badge {
    #[schema(primary_key)]
    id: i64,
    #[schema(unique)]
    name: String,
    #[schema(index)]
    level: i64,
    region: String,
}

/// Whether a store that may make no tables and indexes can be built.
async fn is_accepted(database: &Database) -> bool {
    match database.build_with::<Badge>(false).await {
        Ok(store) => {
            store.close().await.unwrap();
            true
        }
        Err(error) => {
            assert_eq!(
                (error.kind(), error.schema(), error.operation()),
                (ErrorKind::SchemaMismatch, Some("badge"), Some("build")),
                "{error}"
            );
            false
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_may_make_no_tables_needs_their_unique_indexes() {
    for database in Database::all().await {
        database.build::<Badge>().await.unwrap().close().await.unwrap();
        assert!(is_accepted(&database).await);
        for changed in [
            "DROP INDEX badge_name_key",
            "DROP INDEX badge_name_key; CREATE INDEX badge_name_key ON badge (name)",
            "DROP INDEX badge_name_key; CREATE UNIQUE INDEX badge_name_key ON badge (name, level)",
            "DROP INDEX badge_name_key; CREATE UNIQUE INDEX badge_name_key ON badge (lower(name))",
            "DROP INDEX badge_name_key; CREATE UNIQUE INDEX badge_name_key ON badge (name) WHERE level > 1",
        ] {
            database.run(changed).await;
            let error = database.build_with::<Badge>(false).await.unwrap_err();
            assert_eq!((error.schema(), error.column()), (Some("badge"), Some("name")), "{error}");
            let named = error.to_string().contains("without the unique index `badge_name_key`");
            assert!(
                named && error.to_string().contains(r#"CREATE UNIQUE INDEX IF NOT EXISTS "badge_name_key" ON "badge" ("name")"#),
                "{error}"
            );
            database.run(&statement(&error)).await;
            assert!(is_accepted(&database).await, "{changed}");
        }

        database.run("DROP INDEX badge_name_key; DROP INDEX badge_region_level_key").await;
        let error = database.build_with::<Badge>(false).await.unwrap_err();
        assert!(error.to_string().contains("`badge_name_key`, `badge_region_level_key`"), "{error}");
        database.run("CREATE UNIQUE INDEX other ON badge (name); CREATE UNIQUE INDEX another ON badge (level, region)").await;
        assert!(is_accepted(&database).await, "names and order do not matter");
    }
}

#[tokio::test]
async fn an_index_that_is_not_unique_is_a_matter_of_speed() {
    for database in Database::all().await {
        database.build::<Badge>().await.unwrap().close().await.unwrap();
        database.run("DROP INDEX badge_level_idx").await;
        let warnings = Warnings::default();
        let guard = tracing::subscriber::set_default(warnings.clone());
        assert!(is_accepted(&database).await);
        drop(guard);
        let said = warnings.0.lock().unwrap().join("\n");
        assert!(said.contains("the table lacks an index of the model") && said.contains("CREATE INDEX IF NOT EXISTS"), "{said}");
    }
}

#[tokio::test]
async fn a_unique_constraint_is_as_good_as_an_index() {
    for database in Database::all().await {
        database.build::<Badge>().await.unwrap().close().await.unwrap();
        let columns = "id BIGINT PRIMARY KEY, name TEXT NOT NULL UNIQUE, level BIGINT NOT NULL, region TEXT NOT NULL, _version BIGINT NOT NULL DEFAULT 0";
        database.run(&format!("DROP TABLE badge; CREATE TABLE badge ({columns}, UNIQUE (level, region))")).await;
        assert!(is_accepted(&database).await);
    }
}

#[tokio::test]
async fn an_index_that_only_has_the_name_is_refused() {
    for database in Database::all().await {
        database.build::<Badge>().await.unwrap().close().await.unwrap();
        database.run("DROP INDEX badge_name_key; CREATE INDEX badge_name_key ON badge (name)").await;
        let error = database.build::<Badge>().await.unwrap_err();
        assert!(error.to_string().contains("exists and differs"), "{error}");
        database.run(&statement(&error)).await;
        database.build::<Badge>().await.unwrap().close().await.unwrap();
    }
}

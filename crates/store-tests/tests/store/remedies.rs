//! The statements that errors tell people to run: they mend the database.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use strata::{Deferred, Error, ErrorKind, Result, Role, Schema, Store};
use tempfile::TempDir;

use super::unreadable::Warnings;
use store_tests::stacks::{open_sqlite, postgres};

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

/// A model before and after its fields changed.
macro_rules! changed {
    ($module:ident: $($fields:tt)*) => {
        mod $module {
            #[derive(Debug, PartialEq, strata::Schema)]
            pub(super) struct Thing {
                #[schema(primary_key)]
                pub(super) id: i64,
                $($fields)*
            }
        }
    };
}

changed!(first: #[schema(index)] pub(super) a: i64, pub(super) note: String);
changed!(renamed: #[schema(index)] pub(super) a2: i64, pub(super) note: String);
changed!(optional: #[schema(index)] pub(super) a: Option<i64>, pub(super) note: String);

/// What an error tells to run for one of several cases.
fn statement_behind<'a>(said: &'a str, case: &str) -> &'a str {
    let (_, rest) = said.split_once(case).unwrap_or_else(|| panic!("no `{case}` in: {said}"));
    rest.split_once("; ").map_or(rest, |(statement, _)| statement)
}

async fn with_one_thing() -> [Database; 2] {
    let databases = Database::all().await;
    for database in &databases {
        let store = database.build::<first::Thing>().await.unwrap();
        store.collection().unwrap().set(first::Thing { id: 1, a: 42, note: "x".to_owned() }).await.unwrap();
        store.close().await.unwrap();
    }
    databases
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renamed_field_keeps_its_values() {
    for database in with_one_thing().await {
        for create_tables in [false, true] {
            let error = database.build_with::<renamed::Thing>(create_tables).await.unwrap_err();
            assert_eq!((error.kind(), error.column()), (ErrorKind::SchemaMismatch, Some("a2")), "{error}");
            let said = error.to_string();
            assert_eq!(statement_behind(&said, "keep the values, run: "), r#"ALTER TABLE "thing" RENAME COLUMN "a" TO "a2""#);
            assert_eq!(
                statement_behind(&said, "if it is new, run instead: "),
                r#"ALTER TABLE "thing" ADD COLUMN "a2" BIGINT NOT NULL DEFAULT 0"#
                    .replace("BIGINT", if matches!(database, Database::Sqlite(_)) { "INTEGER" } else { "BIGINT" })
            );
        }
        let error = database.build::<renamed::Thing>().await.unwrap_err();
        database.run(statement_behind(&error.to_string(), "keep the values, run: ")).await;
        let store = database.build::<renamed::Thing>().await.unwrap();
        let found = store.collection::<renamed::Thing>().unwrap().get(1).await.unwrap().unwrap();
        assert_eq!(*found, renamed::Thing { id: 1, a2: 42, note: "x".to_owned() });
    }
}

/// As a column that is added with its default would leave the old values aside.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renamed_field_with_a_default_keeps_its_values() {
    for database in with_one_thing().await {
        let error = database.build::<with_default::Thing>().await.unwrap_err();
        assert_eq!((error.kind(), error.column()), (ErrorKind::SchemaMismatch, Some("a")), "{error}");
        database.run(statement_behind(&error.to_string(), r#"if "a2" is its new name, keep the values, run: "#)).await;
        let store = database.build::<with_default::Thing>().await.unwrap();
        let found = store.collection::<with_default::Thing>().unwrap().get(1).await.unwrap().unwrap();
        assert_eq!(*found, with_default::Thing { id: 1, a2: 42, note: "x".to_owned() });
    }
}

changed!(with_default: #[schema(default = 5)] pub(super) a2: i64, pub(super) note: String);

/// A column with indexes can be dropped as told, and one that was never a field's old name is told of too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_column_that_no_field_fills_is_dropped_as_told() {
    for database in with_one_thing().await {
        database.run("CREATE INDEX of_two ON thing (note, a); CREATE INDEX partial ON thing (note) WHERE a > 1").await;
        let error = database.build::<before_fields::Thing>().await.unwrap_err();
        assert_eq!(error.column(), Some("size"), "{error}");
        assert!(error.to_string().contains(r#"the model lacks "a""#), "{error}");
        database.run(error.to_string().rsplit_once("run: ").unwrap().1).await;
        let error = database.build::<before_fields::Thing>().await.unwrap_err();
        assert_eq!((error.kind(), error.column()), (ErrorKind::SchemaMismatch, Some("a")), "{error}");
        let said = error.to_string();
        database.run(said.split_once("instead: ").or_else(|| said.split_once("run: ")).unwrap().1).await;
        let store = database.build::<before_fields::Thing>().await.unwrap();
        let found = store.collection::<before_fields::Thing>().unwrap().get(1).await.unwrap().unwrap();
        assert_eq!(*found, before_fields::Thing { id: 1, note: "x".to_owned(), size: 0.0 });
    }
}

changed!(before_fields: pub(super) note: String, pub(super) size: f64);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_field_that_became_an_option_needs_a_column_that_takes_null() {
    for database in with_one_thing().await {
        let error = database.build::<optional::Thing>().await.unwrap_err();
        assert_eq!((error.kind(), error.column()), (ErrorKind::SchemaMismatch, Some("a")), "{error}");
        let statements = statement(&error);
        database.run(statements.split_once("; then build").map_or(&statements, |(steps, _)| steps)).await;
        let store = database.build::<optional::Thing>().await.unwrap();
        let things = store.collection::<optional::Thing>().unwrap();
        assert_eq!(things.get(1).await.unwrap().unwrap().a, Some(42));
        things.set(optional::Thing { id: 2, a: None, note: String::new() }).await.unwrap();
        store.close().await.unwrap();

        // The way back is open as long as nothing is NULL.
        let store = database.build::<first::Thing>().await.unwrap();
        let things = store.collection::<first::Thing>().unwrap();
        assert_eq!(things.get(1).await.unwrap().unwrap().a, 42);
        let error = things.get(2).await.unwrap_err();
        assert_eq!((error.kind(), error.column()), (ErrorKind::DecodeFailed, Some("a")), "{error}");
        assert!(error.to_string().contains("make the field an `Option`") && error.to_string().contains("give the row a value"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_another_tables_index_has_is_told() {
    for database in Database::all().await {
        database.run("CREATE TABLE other (name TEXT); CREATE INDEX badge_name_key ON other (name)").await;
        let said = database.build::<Badge>().await.unwrap_err().to_string();
        for part in
            ["`badge_name_key` cannot be made", "an index of the table `other`", r#"`#[schema(index(columns(name), unique, name = "…"))]`"#]
        {
            assert!(said.contains(part), "{said}");
        }
        database.run("DROP TABLE other").await;
        database.build::<Badge>().await.unwrap().close().await.unwrap();
        database.run("DROP INDEX badge_name_key; CREATE TABLE other (name TEXT); CREATE INDEX badge_name_key ON other (name)").await;
        let error = database.build_with::<Badge>(false).await.unwrap_err();
        database.run(&statement(&error)).await;
        assert!(is_accepted(&database).await, "an index serves under any name");
    }
}

/// Views may stand in the place of tables where the store makes none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_may_make_no_tables_needs_their_columns() {
    for database in Database::all().await {
        database.build::<Badge>().await.unwrap().close().await.unwrap();
        database.run("ALTER TABLE badge DROP COLUMN _version").await;
        let error = database.build_with::<Badge>(false).await.unwrap_err();
        assert_eq!((error.schema(), error.column(), error.operation()), (Some("badge"), Some("_version"), Some("build")), "{error}");
        database.run(&statement(&error)).await;
        assert!(is_accepted(&database).await);

        let columns = "id, name, level, _version";
        database.run(&format!("ALTER TABLE badge RENAME TO real; CREATE VIEW badge AS SELECT {columns} FROM real")).await;
        let error = database.build_with::<Badge>(false).await.unwrap_err();
        assert_eq!((error.kind(), error.column()), (ErrorKind::SchemaMismatch, Some("region")), "{error}");
        assert!(error.to_string().contains(r#"make "badge" again by a query that gives "region" too"#), "{error}");
        database.run(&format!("DROP VIEW badge; CREATE VIEW badge AS SELECT {columns}, region FROM real")).await;
        assert!(is_accepted(&database).await);
    }
}

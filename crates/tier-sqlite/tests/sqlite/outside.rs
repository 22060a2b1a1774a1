//! Files that other programs made or changed.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use store_core::facet::{Log, LogCursor, Migrations, Select, Tables};
use store_core::{BoundSchema, ErrorKind, MigrationSettings, Schema, Tier, Timestamp, Value};
use store_derive::Schema;
use tier_sqlite::SqliteTier;

use crate::support::{Database, Note, assert_kind, get, note, note_schema, put};

#[derive(Debug, Schema)]
struct Item {
    #[schema(primary_key)]
    id: i64,
    active: bool,
    at: Timestamp,
    owner: uuid::Uuid,
    name: String,
    tags: Vec<String>,
}

fn item_schema() -> Arc<BoundSchema> {
    Arc::new(BoundSchema::standalone(Item::definition()))
}

#[tokio::test]
async fn values_that_fit_no_type_are_refused_by_their_column() {
    let database = Database::new();
    let schema = item_schema();
    let tier = Arc::new(SqliteTier::open(database.config()).await.unwrap());
    tier.migrate(&[Arc::clone(&schema)], &MigrationSettings::default()).await.unwrap();
    for (id, (column, junk)) in (1_i64..).zip([
        ("active", "7"),
        ("at", "-9223372036854775808"),
        ("owner", "x'0102'"),
        ("name", "CAST(x'ff' AS TEXT)"),
        ("tags", "CAST(x'ff' AS TEXT)"),
    ]) {
        database.outside(&format!(
            "INSERT INTO item (id, active, at, owner, name, tags) VALUES ({id}, 1, 0, zeroblob(16), 'n', '[]');
             UPDATE item SET {column} = {junk} WHERE id = {id}"
        ));
        let error = assert_kind(tier.get_many(&schema, &[vec![id.into()]]).await, ErrorKind::DecodeFailed);
        assert_eq!((error.schema(), error.column()), (Some("item"), Some(column)), "{error:?}");
        let by_id = store_core::Filter::Raw { sql: "id = $1".into(), params: vec![id.into()] };
        let select = Select { filter: Some(by_id), ..Select::default() };
        let streamed: Result<Vec<_>, _> = Arc::clone(&tier).select(Arc::clone(&schema), select).try_collect().await;
        assert_eq!(assert_kind(streamed, ErrorKind::DecodeFailed).column(), Some(column));
    }
}

#[tokio::test]
async fn rules_that_were_added_outside_are_told_apart() {
    let database = Database::new();
    let tier = database.notes().await;
    put(&tier, [1]).await.unwrap();
    database.outside(
        "CREATE TABLE child (note INTEGER REFERENCES note (id)); INSERT INTO child VALUES (1);
         CREATE TRIGGER refuse BEFORE INSERT ON note WHEN new.id = 13 BEGIN SELECT RAISE(ABORT, 'thirteen is unlucky'); END;",
    );
    let deleted = tier.delete_many(&note_schema(), &[vec![1.into()]]).await;
    assert!(assert_kind(deleted, ErrorKind::ConstraintViolation).to_string().contains("foreign key"));
    let unlucky = assert_kind(put(&tier, [12, 13]).await, ErrorKind::ConstraintViolation);
    assert!(unlucky.to_string().contains("thirteen is unlucky"), "{unlucky}");
    assert_eq!(get(&tier, 12).await.unwrap(), None);
}

#[tokio::test]
async fn a_table_made_by_hand_is_used_if_it_fits() {
    let database = Database::new();
    database.outside("CREATE TABLE Note (ID INT PRIMARY KEY, extra TEXT, Text TEXT NOT NULL, _version INTEGER NOT NULL DEFAULT 0); INSERT INTO note (id, text) VALUES (1, 'by hand')");
    let tier = database.notes().await;
    let found = get(&tier, 1).await.unwrap().unwrap();
    assert_eq!((found.row[1].as_text(), found.version.get()), (Some("by hand"), 0));
    assert!(put(&tier, [1]).await.unwrap()[0].version > found.version);
}

async fn refused_after(sql: &str, kind: ErrorKind, hints: &[&str]) {
    let database = Database::new();
    database.outside(sql);
    let tier = SqliteTier::open(database.config()).await.unwrap();
    let error = assert_kind(tier.migrate(&[note_schema()], &MigrationSettings::default()).await, kind);
    for hint in hints {
        assert!(error.to_string().contains(hint), "{error}");
    }
    let tables: Vec<String> = database
        .outside("")
        .prepare("SELECT name FROM sqlite_schema WHERE name LIKE '\\_strata%' ESCAPE '\\'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert!(tables.is_empty() || sql.contains("_strata_version"), "nothing is left of a refused preparation: {tables:?}");
}

#[tokio::test]
async fn tables_that_do_not_fit_are_refused_whole() {
    refused_after(
        "CREATE TABLE note (id INTEGER PRIMARY KEY, _version INTEGER); INSERT INTO note VALUES (1, 0)",
        ErrorKind::SchemaMismatch,
        &["ALTER TABLE \"note\" ADD COLUMN \"text\" TEXT NOT NULL DEFAULT ''"],
    )
    .await;
    refused_after(
        "CREATE TABLE note (id INTEGER, text TEXT PRIMARY KEY, _version INTEGER)",
        ErrorKind::SchemaMismatch,
        &["primary key is (text)", "(id)"],
    )
    .await;
    refused_after("CREATE TABLE note (id, text TEXT PRIMARY KEY, _version INTEGER)", ErrorKind::SchemaMismatch, &["type ANY"]).await;
    refused_after("CREATE VIEW note AS SELECT 1 AS id, '' AS text, 0 AS _version", ErrorKind::SchemaMismatch, &["is a view"]).await;
    refused_after(
        "CREATE TABLE _strata_version (id INTEGER PRIMARY KEY, format INTEGER, timeline TEXT, version INTEGER, pruned INTEGER);
         INSERT INTO _strata_version VALUES (1, 2, '', 0, 0)",
        ErrorKind::SchemaMismatch,
        &["newer Strata"],
    )
    .await;
}

#[tokio::test]
async fn the_statement_in_the_refusal_mends_the_table() {
    let database = Database::new();
    database.outside("CREATE TABLE item (id INTEGER PRIMARY KEY); INSERT INTO item VALUES (1)");
    let tier = SqliteTier::open(database.config()).await.unwrap();
    let schema = item_schema();
    // The version is added.
    for _ in 0..5 {
        let message =
            assert_kind(tier.migrate(&[Arc::clone(&schema)], &MigrationSettings::default()).await, ErrorKind::SchemaMismatch).to_string();
        database.outside(&message[message.find("ALTER TABLE").unwrap()..]);
    }
    tier.migrate(&[Arc::clone(&schema)], &MigrationSettings::default()).await.unwrap();
    let found = tier.get_many(&schema, &[vec![1.into()]]).await.unwrap().remove(0).unwrap();
    assert_eq!(
        found.row[1..],
        [false.into(), Timestamp::from_microseconds(0).unwrap().into(), uuid::Uuid::nil().into(), "".into(), Value::Json("[]".into())]
    );
}

#[derive(Debug, Schema)]
struct Mark {
    #[schema(primary_key)]
    id: i64,
    #[schema(unique)]
    place: i64,
    note: Option<String>,
}

#[tokio::test]
async fn the_steps_in_the_refusal_make_the_table_anew_around_its_rows() {
    const INDEX: &str = "CREATE UNIQUE INDEX mark_place_key ON mark (place)";
    let schema = Arc::new(BoundSchema::standalone(Mark::definition()));
    for table in [
        "CREATE TABLE mark (id INTEGER PRIMARY KEY, place TEXT, note TEXT, _version INTEGER)",
        "CREATE TABLE mark (id INTEGER, place INTEGER PRIMARY KEY, note TEXT, _version INTEGER)",
    ] {
        let database = Database::new();
        database.outside(&format!("{table}; {INDEX}; INSERT INTO mark VALUES (1, '17', 'x', 5), (2, '18', NULL, 6)"));
        let tier = SqliteTier::open(database.config()).await.unwrap();
        let message =
            assert_kind(tier.migrate(&[Arc::clone(&schema)], &MigrationSettings::default()).await, ErrorKind::SchemaMismatch).to_string();
        let (steps, rest) =
            message.split_once("make a backup, then run: ").unwrap().1.split_once("; then build the store again, ").unwrap();
        database.outside(steps);
        tier.migrate(&[Arc::clone(&schema)], &MigrationSettings::default()).await.unwrap();
        let found = tier.get_many(&schema, &[vec![1.into()], vec![2.into()]]).await.unwrap();
        let found: Vec<_> = found.into_iter().flatten().map(|stored| (stored.row, stored.version.get())).collect();
        assert_eq!(found, [(vec![1.into(), 17.into(), "x".into()], 5), (vec![2.into(), 18.into(), Value::Null], 6)]);
        let twice = vec![vec![3.into(), 18.into(), Value::Null]];
        assert_kind(tier.put_many(&schema, &twice).await, ErrorKind::UniqueViolation);
        database.outside(rest.split_once("run: ").unwrap().1);
        tier.migrate(&[Arc::clone(&schema)], &MigrationSettings::default()).await.unwrap();
    }
}

#[tokio::test]
async fn a_row_that_does_not_fit_the_new_table_loses_none() {
    let database = Database::new();
    database.outside(
        "CREATE TABLE mark (id INTEGER PRIMARY KEY, place TEXT, note TEXT, _version INTEGER); INSERT INTO mark VALUES (1, 'here', NULL, 5)",
    );
    let tier = SqliteTier::open(database.config()).await.unwrap();
    let schema = Arc::new(BoundSchema::standalone(Mark::definition()));
    let message = assert_kind(tier.migrate(&[schema], &MigrationSettings::default()).await, ErrorKind::SchemaMismatch).to_string();
    let steps = message.split_once("make a backup, then run: ").unwrap().1.split_once("; then build the store again, ").unwrap().0;
    let other = database.outside("");
    for step in steps.split("; ") {
        // As a shell that does not stop at an error does.
        let _ = other.execute_batch(step);
    }
    assert_eq!(other.query_row("SELECT place FROM mark_before", [], |row| row.get::<_, String>(0)).unwrap(), "here");
}

#[tokio::test]
async fn a_row_that_the_table_does_not_keep_is_told() {
    for (rule, trigger) in [
        ("", "CREATE TRIGGER ut BEFORE INSERT ON mark WHEN NEW.place = 18 BEGIN SELECT RAISE(IGNORE); END"),
        (" UNIQUE ON CONFLICT IGNORE", "INSERT INTO mark (id, place, note) VALUES (9, 90, 'twice')"),
    ] {
        let database = Database::new();
        database.outside(&format!("CREATE TABLE mark (id INTEGER PRIMARY KEY, place INTEGER NOT NULL, note TEXT{rule}); {trigger}"));
        let schema = Arc::new(BoundSchema::standalone(Mark::definition()));
        let tier = SqliteTier::open(database.config()).await.unwrap();
        tier.migrate(&[Arc::clone(&schema)], &MigrationSettings::default()).await.unwrap();
        let rows = vec![vec![1.into(), 17.into(), "x".into()], vec![2.into(), 18.into(), "twice".into()]];
        let error = assert_kind(tier.put_many(&schema, &rows).await, ErrorKind::ConstraintViolation);
        assert_eq!((error.schema(), error.key()), (Some("mark"), Some("2")));
        assert!(error.to_string().contains("the table took a row without keeping it; look for triggers"), "{error}");
        assert_eq!(tier.get_many(&schema, &[vec![1.into()]]).await.unwrap(), [None], "all or nothing");
    }
}

#[tokio::test]
async fn names_that_sqlite_cannot_tell_apart_are_refused() {
    let database = Database::new();
    let tier = SqliteTier::open(database.config()).await.unwrap();
    let named = |table: &str| Arc::new(BoundSchema::standalone(Note::definition()).with_names(table, "note"));
    assert_kind(tier.migrate(&[named("note"), named("NOTE")], &MigrationSettings::default()).await, ErrorKind::SchemaDuplicate);
    for reserved in ["sqlite_note", "_strata_log", "_STRATA_version", "", "a\0b"] {
        assert_kind(tier.migrate(&[named(reserved)], &MigrationSettings::default()).await, ErrorKind::InvalidConfig);
    }
}

#[tokio::test]
async fn a_cursor_of_another_file_or_of_a_file_put_back_has_a_gap() {
    let (one, other) = (Database::new(), Database::new());
    let (tier, foreign) = (one.notes().await, other.notes().await);
    put(&tier, [1]).await.unwrap();
    let backup = std::env::temp_dir().join(format!("strata-backup-{}.db", std::process::id()));
    one.outside(&format!("VACUUM INTO '{}'", backup.display()));
    put(&tier, [2, 3]).await.unwrap();
    let end = tier.end().await.unwrap();

    let batch = foreign.read(&end).await.unwrap();
    assert!(batch.gap && batch.entries.is_empty());
    assert!(!foreign.read(&batch.cursor).await.unwrap().gap);
    assert!(!tier.covers(&end, &batch.cursor) && !tier.covers(&batch.cursor, &end), "places of two files say nothing of each other");

    tier.close().await.unwrap();
    std::fs::rename(&backup, one.path()).unwrap();
    let put_back = one.notes().await;
    assert_eq!(get(&put_back, 2).await.unwrap(), None);
    let batch = put_back.read(&end).await.unwrap();
    assert!(batch.gap && batch.entries.is_empty());
    assert_eq!(put_back.read(&LogCursor::new(batch.cursor.as_str())).await.unwrap().entries, []);

    // However far it has come since.
    put(&put_back, [4, 5, 6, 7]).await.unwrap();
    let batch = put_back.read(&end).await.unwrap();
    assert!(batch.gap && batch.entries.is_empty());
    put_back.prune(Duration::ZERO).await.unwrap();
    assert!(!put_back.read(&batch.cursor).await.unwrap().gap, "what was pruned cannot be asked for");
}

#[tokio::test]
async fn what_another_program_dropped_is_mended_by_preparing_again() {
    let database = Database::new();
    let tier = database.notes().await;
    put(&tier, [1]).await.unwrap();
    database.outside("ALTER TABLE note RENAME COLUMN text TO words");
    for error in
        [assert_kind(get(&tier, 1).await, ErrorKind::SchemaMismatch), assert_kind(put(&tier, [2]).await, ErrorKind::SchemaMismatch)]
    {
        let said = error.to_string();
        assert!(said.contains("text") && said.contains("build the store again") && !said.contains("single-quotes"), "{said}");
    }
    database.outside("DROP TABLE note");
    for error in [
        assert_kind(get(&tier, 1).await, ErrorKind::SchemaMismatch),
        assert_kind(put(&tier, [2]).await, ErrorKind::SchemaMismatch),
        assert_kind(tier.count(&note_schema(), store_core::facet::Count::default()).await, ErrorKind::SchemaMismatch),
    ] {
        assert!(error.to_string().contains("build the store again with `create_tables` on, which makes it"), "{error}");
    }
    tier.migrate(&[note_schema()], &MigrationSettings::default()).await.unwrap();
    put(&tier, [2]).await.unwrap();
}

#[tokio::test]
async fn a_statement_of_another_program_is_seen_at_once() {
    let database = Database::new();
    let tier = database.notes().await;
    put(&tier, [1]).await.unwrap();
    database.outside("UPDATE note SET text = 'changed' WHERE id = 1; ALTER TABLE note ADD COLUMN extra TEXT DEFAULT 'x'");
    assert_eq!(get(&tier, 1).await.unwrap().unwrap().row[1].as_text(), Some("changed"));
    assert_eq!(put(&tier, [1]).await.unwrap()[0].row, note(1));
}

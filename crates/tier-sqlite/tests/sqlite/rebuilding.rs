//! Tables that are made anew, with what others gave them.

use std::sync::Arc;

use store_core::facet::Migrations;
use store_core::{BoundSchema, ErrorKind, MigrationSettings, Schema};
use store_derive::Schema;
use tier_sqlite::SqliteTier;

use crate::support::{Database, assert_kind};

#[derive(Debug, Schema)]
struct Mark {
    #[schema(primary_key)]
    id: i64,
    #[schema(unique)]
    place: i64,
    note: Option<String>,
}

#[derive(Debug, Schema)]
#[schema(table = "mark", check = "place > 0")]
struct Checked {
    #[schema(primary_key)]
    id: i64,
    #[schema(unique)]
    place: i64,
    note: Option<String>,
}

/// What the refusal tells to copy, and the statements.
async fn advice(database: &Database, schema: &Arc<BoundSchema>) -> (String, String) {
    let tier = SqliteTier::open(database.config()).await.unwrap();
    let message = assert_kind(tier.migrate(&[Arc::clone(schema)], &MigrationSettings::default()).await, ErrorKind::SchemaMismatch);
    let message = message.to_string();
    let (copy, rest) = message.split_once("make a backup").unwrap().1.split_once(", then run: ").unwrap();
    (copy.to_owned(), rest.split_once("; then build the store again, ").unwrap().0.to_owned())
}

/// What a query gives, as text.
fn asked(connection: &rusqlite::Connection, query: &str) -> String {
    connection.query_row(query, [], |row| row.get(0)).unwrap()
}

const OWN: &str = "CREATE TABLE heard (id INTEGER);
    CREATE INDEX ui ON mark(extra); CREATE UNIQUE INDEX one_note ON mark (note) WHERE note <> '-';
    CREATE TRIGGER ut AFTER INSERT ON mark BEGIN INSERT INTO heard VALUES (NEW.id); SELECT 1; END;
    INSERT INTO mark (id, place, extra) VALUES (1, 17, 'kept'); INSERT INTO mark (id, place) VALUES (2, 18);
    DELETE FROM heard;";

#[tokio::test]
async fn what_others_gave_a_table_is_carried_over() {
    let marks = Arc::new(BoundSchema::standalone(Mark::definition()));
    let checked = Arc::new(BoundSchema::standalone(Checked::definition()));
    for (schema, id, rule) in [(&marks, "BIGINT", ", CHECK (place > 1)"), (&checked, "INTEGER", "")] {
        let database = Database::new();
        database.outside(&format!(
            "CREATE TABLE mark (id {id} PRIMARY KEY, place INTEGER NOT NULL, note TEXT, -- it is 'theirs'
             extra VARCHAR(9) NOT NULL DEFAULT ('e,') CHECK (extra <> ''), [twice as] INTEGER AS (place * 2) STORED, \"any\"{rule}); {OWN}"
        ));
        let (copy, steps) = advice(&database, schema).await;
        assert_eq!(copy.contains("`CHECK (place > 1)`"), !rule.is_empty(), "{copy}");
        let connection = database.outside(&steps);
        let rows = "SELECT group_concat(id || ' ' || extra || ' ' || [twice as], ', ') FROM (SELECT * FROM mark ORDER BY id)";
        assert_eq!(asked(&connection, rows), "1 kept 34, 2 e, 36");
        let made = "SELECT group_concat(type || ' ' || name, ', ' ORDER BY name) FROM sqlite_schema WHERE tbl_name = 'mark' AND name IN ('ui', 'ut', 'one_note')";
        assert_eq!(asked(&connection, made), "index one_note, index ui, trigger ut");
        assert_eq!(asked(&connection, "SELECT CAST(count(*) AS TEXT) FROM heard"), "0", "a copy is no new row");
        connection.execute_batch("DROP TABLE mark_before; INSERT INTO mark (id, place, note) VALUES (3, 19, 'x')").unwrap();
        assert_eq!(asked(&connection, "SELECT group_concat(extra) FROM mark, heard WHERE mark.id = heard.id"), "e,");
        for refused in ["INSERT INTO mark (id, place, extra) VALUES (4, 20, '')", "INSERT INTO mark (id, place, note) VALUES (5, 21, 'x')"]
        {
            connection.execute_batch(refused).unwrap_err();
        }
        let tier = SqliteTier::open(database.config()).await.unwrap();
        tier.migrate(&[Arc::clone(schema)], &MigrationSettings::default()).await.unwrap();
    }
}

/// What needs a column that must go is named, and so is what nobody can take over surely.
#[tokio::test]
async fn what_cannot_be_carried_over_is_named() {
    let database = Database::new();
    database.outside(
        "CREATE TABLE mark (id INTEGER PRIMARY KEY, place INTEGER NOT NULL REFERENCES mark (id), note TEXT UNIQUE, extra TEXT DEFAULT 'e', code TEXT NOT NULL,
            UNIQUE (code, id), UNIQUE (place));
         CREATE INDEX kept ON mark (extra); CREATE INDEX lost ON mark (lower(code));
         CREATE TRIGGER follow AFTER UPDATE OF code ON mark BEGIN SELECT 1; END;
         INSERT INTO mark (id, place, extra, code) VALUES (1, 1, 'kept', 'a'), (2, 2, 'e', 'b')",
    );
    let schema = Arc::new(BoundSchema::standalone(Mark::definition()));
    let (copy, steps) = advice(&database, &schema).await;
    let named =
        ["`place INTEGER NOT NULL REFERENCES mark (id)`", "`note TEXT UNIQUE`", "`UNIQUE (code, id)`", "index `lost`", "trigger `follow`"];
    assert_eq!(copy, format!(" and copy what is to stay of these, which the statements leave out: {}", named.join(", ")));
    let connection = database.outside(&steps);
    assert_eq!(asked(&connection, "SELECT group_concat(id || ' ' || extra, ', ') FROM (SELECT * FROM mark ORDER BY id)"), "1 kept, 2 e");
    assert_eq!(
        asked(&connection, "SELECT group_concat(name) FROM sqlite_schema WHERE tbl_name = 'mark' AND name IN ('kept', 'lost', 'follow')"),
        "kept"
    );
    let tier = SqliteTier::open(database.config()).await.unwrap();
    tier.migrate(&[schema], &MigrationSettings::default()).await.unwrap();
}

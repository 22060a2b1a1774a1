//! Making tables, and what is refused of tables that others made.

use std::sync::{Arc, LazyLock};
use store_core::facet::{Log, Migrations, Tables};
use store_core::sql::create_statements;

use store_core::{
    BoundSchema, ColumnDefinition, ColumnType, ErrorKind, MigrationSettings, Policies, SchemaDefinition, Tier, Timestamp, Value,
    sql::Dialect,
};
use tier_pg::{PgConfig, PgTier};

use crate::database::Database;
use crate::table::{account, get, ids, key, put, row, specimen};

/// The statement that a message tells to run.
fn remedy(message: &str) -> &str {
    message.split_once("run: ").unwrap_or_else(|| panic!("no remedy in: {message}")).1
}

#[tokio::test]
async fn a_table_that_does_not_fit_is_refused_with_what_mends_it() {
    for (spoiling, column) in [
        ("ALTER TABLE account DROP COLUMN email CASCADE", Some("email")),
        ("ALTER TABLE account ALTER level TYPE INTEGER", Some("level")),
        ("ALTER TABLE account ALTER email TYPE VARCHAR(40)", Some("email")),
        ("ALTER TABLE account ALTER profile TYPE TEXT", Some("profile")),
        ("ALTER TABLE account DROP CONSTRAINT account_pkey", None),
        (
            "ALTER TABLE account DROP CONSTRAINT account_pkey, ADD CONSTRAINT by_email PRIMARY KEY (email); CREATE UNIQUE INDEX by_id ON account (id)",
            None,
        ),
        ("ALTER SEQUENCE _strata_version CACHE 20", None),
        ("DROP INDEX account_email_key; CREATE INDEX account_email_key ON account (email)", None),
        ("DROP INDEX account_email_key; CREATE UNIQUE INDEX account_email_key ON account (email) WHERE level > 5", None),
        ("DROP INDEX account_email_key; CREATE UNIQUE INDEX account_email_key ON account (lower(email))", None),
        ("DROP INDEX account_place; CREATE INDEX account_place ON account (level, region)", None),
    ] {
        let database = Database::create().await;
        let tier = database.tier().await;
        tier.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
        put(&tier, row(1)).await.unwrap();
        let client = database.client().await;
        client.batch_execute(spoiling).await.unwrap();
        let error = tier.migrate(&[account()], &MigrationSettings::default()).await.unwrap_err();
        assert_eq!((error.kind(), error.column()), (ErrorKind::SchemaMismatch, column), "{spoiling}");
        assert_eq!(error.schema(), spoiling.contains("account").then_some("account"), "{spoiling}");
        client.batch_execute(remedy(&error.to_string())).await.unwrap_or_else(|failure| panic!("{error}: {failure:?}"));
        tier.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
        put(&tier, row(1)).await.unwrap();
        assert_eq!(ids(&tier, "region = 'north' AND profile = '{}'", vec![]).await.unwrap(), [1]);
    }
}

/// Texts that differ are two keys, whatever the table takes for equal.
#[tokio::test]
async fn texts_that_differ_are_kept_apart_or_refused() {
    static DEFINITION: LazyLock<SchemaDefinition> = LazyLock::new(|| {
        let column = |name| ColumnDefinition::new(name, ColumnType::Text);
        let columns = vec![
            ColumnDefinition { is_key: true, ..column("id") },
            ColumnDefinition { unique: true, ..column("email") },
            ColumnDefinition { ..column("note") },
        ];
        SchemaDefinition::new("person", columns, vec![], Policies::default())
    });
    let schema = [Arc::new(BoundSchema::standalone(&DEFINITION))];
    let lax = "COLLATE lax";
    for (id, email, note, index, column) in [
        (lax, "", "", "", Some("id")),
        ("", lax, "", "", Some("email")),
        ("", "", "", "CREATE UNIQUE INDEX by_id ON person (id COLLATE lax)", None),
        ("", "", lax, "", Some("note")),
        ("", "", "", "DROP INDEX person_email_key; CREATE UNIQUE INDEX own ON person (email COLLATE lax)", None),
    ] {
        let database = Database::create().await;
        let tier = database.tier().await;
        let client = database.client().await;
        client
            .batch_execute(&format!(
                "CREATE COLLATION lax (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
                 CREATE TABLE person (id TEXT {id} PRIMARY KEY, email TEXT {email} NOT NULL, note TEXT {note} NOT NULL, _version BIGINT NOT NULL DEFAULT 0);
                 CREATE UNIQUE INDEX person_email_key ON person (email); {index}"
            ))
            .await
            .unwrap();
        let migrate = async || tier.migrate(&schema, &MigrationSettings::default()).await;
        let told = if note.is_empty() && !index.contains("own") {
            let error = migrate().await.unwrap_err();
            assert_eq!((error.kind(), error.column()), (ErrorKind::SchemaMismatch, column));
            assert!(error.to_string().contains("so that texts which differ are one"), "{error}");
            let plan = tier.plan(&schema, &MigrationSettings::default()).await.unwrap();
            assert!(plan.is_refused(), "{plan:?}");
            remedy(&error.to_string()).to_owned()
        } else if column.is_some() {
            let drift = migrate().await.unwrap().drift.remove(0);
            assert_eq!(drift.column.as_deref(), column);
            remedy(&drift.what).to_owned()
        } else {
            let made = migrate().await.unwrap().applied;
            assert!(made.iter().any(|made| made.what == "make the unique index `person_email_key`"), "{made:?}");
            "DROP INDEX own".to_owned()
        };
        client.batch_execute(&told).await.unwrap();
        let report = migrate().await.unwrap();
        assert!(report.drift.is_empty(), "{report:?}");
        let written = client.batch_execute("INSERT INTO person VALUES ('a', 'a', 'a'), ('A', 'A', 'A')").await;
        written.unwrap_or_else(|error| panic!("{told}: {error:?}"));
    }
}

/// An empty table takes every cast that there is, whatever its values would be.
#[tokio::test]
async fn every_cast_that_there_is_is_advised_and_no_other() {
    let database = Database::create().await;
    let tier = database.tier().await;
    let specimen = specimen();
    tier.migrate(std::slice::from_ref(&specimen), &MigrationSettings::default()).await.unwrap();
    let client = database.client().await;
    let types = ["BOOLEAN", "SMALLINT", "INTEGER", "BIGINT", "REAL", "DOUBLE PRECISION", "NUMERIC(9, 2)", "TEXT", "VARCHAR(9)"];
    let types: Vec<&str> = types.into_iter().chain(["DATE", "TIMESTAMP", "TIMESTAMPTZ", "UUID", "JSON", "JSONB"]).collect();
    let (mut advised, mut left) = (0, 0);
    for column in specimen.definition().columns().iter().filter(|column| !column.is_key) {
        let (name, wanted) = (column.name, Dialect::Postgres.type_name(column.column_type));
        for found in types.iter().filter(|found| **found != wanted) {
            let made_anew = |type_name: &str| format!("ALTER TABLE specimen DROP COLUMN \"{name}\", ADD COLUMN \"{name}\" {type_name}");
            client.batch_execute(&made_anew(found)).await.unwrap();
            let error = tier.migrate(std::slice::from_ref(&specimen), &MigrationSettings::default()).await.unwrap_err();
            assert_eq!((error.kind(), error.column()), (ErrorKind::SchemaMismatch, Some(name)), "{found}: {error}");
            let told = error.to_string();
            let cast = format!("ALTER TABLE \"specimen\" ALTER COLUMN \"{name}\" TYPE {wanted} USING \"{name}\"::{wanted}");
            let done = client.batch_execute(&cast).await;
            assert_eq!(done.is_ok(), told.ends_with(&format!("run: {cast}")), "{found}: {told}: {done:?}");
            assert_eq!(done.is_err(), told.contains(&format!("no cast makes a {wanted}")), "{found}: {told}: {done:?}");
            if done.is_ok() {
                advised += 1;
            } else {
                left += 1;
                client.batch_execute(&made_anew(wanted)).await.unwrap();
            }
        }
    }
    assert!(advised > 50 && left > 30, "{advised} and {left}");
}

#[tokio::test]
async fn a_unique_index_does_for_a_primary_key_that_is_missing_or_that_the_database_fills() {
    for change in ["", ", ADD COLUMN number BIGSERIAL PRIMARY KEY"] {
        let database = Database::create().await;
        let tier = database.tier().await;
        tier.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
        let client = database.client().await;
        let change = format!("ALTER TABLE account DROP CONSTRAINT account_pkey{change}; CREATE UNIQUE INDEX by_id ON account (id)");
        client.batch_execute(&change).await.unwrap();
        tier.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
        for _ in 0..2 {
            put(&tier, row(1)).await.unwrap();
        }
        assert_eq!(ids(&tier, "region = 'north'", vec![]).await.unwrap(), [1]);
    }
}

/// What rows that are there can do with is added: a default, or NULL.
#[tokio::test]
async fn columns_that_rows_can_do_with_are_added() {
    let database = Database::create().await;
    let tier = database.tier().await;
    tier.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
    put(&tier, row(1)).await.unwrap();
    let client = database.client().await;
    client.batch_execute("ALTER TABLE account DROP COLUMN region CASCADE, DROP COLUMN level CASCADE, DROP COLUMN _version").await.unwrap();
    let report = tier.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
    assert_eq!(report.applied.len(), 5, "three columns and two indexes: {report:?}");
    assert_eq!(ids(&tier, "region IS NULL AND level = 1", vec![]).await.unwrap(), [1]);
    put(&tier, row(1)).await.unwrap();
}

/// A table with rows takes a column that needs a value, of any type.
#[tokio::test]
async fn columns_that_need_a_value_are_added_with_a_default() {
    let database = Database::create().await;
    let tier = database.tier().await;
    let schema = crate::table::required_specimen();
    database.client().await.batch_execute("CREATE TABLE specimen (id BIGINT PRIMARY KEY); INSERT INTO specimen VALUES (1)").await.unwrap();
    while let Err(error) = tier.migrate(std::slice::from_ref(&schema), &MigrationSettings::default()).await {
        database.client().await.batch_execute(remedy(&error.to_string())).await.unwrap_or_else(|failure| panic!("{error}: {failure:?}"));
    }
    let found = tier.get_many(&schema, &[key(1)]).await.unwrap().remove(0).unwrap();
    assert_eq!(
        found.row,
        [
            1.into(),
            false.into(),
            0.into(),
            0.into(),
            0.0.into(),
            "".into(),
            Value::Bytes(b"".into()),
            Timestamp::from_microseconds(0).unwrap().into(),
            uuid::Uuid::nil().into(),
            Value::Json("{}".into()),
        ]
    );
}

#[tokio::test]
async fn names_that_something_else_has_are_refused() {
    for taken in [
        "CREATE VIEW account AS SELECT 1 AS id",
        "CREATE SEQUENCE account",
        "CREATE TABLE account_email_key (id INT)",
        "CREATE TABLE other (email TEXT); CREATE INDEX account_email_key ON other (email)",
    ] {
        let database = Database::create().await;
        let tier = database.tier().await;
        database.client().await.batch_execute(taken).await.unwrap();
        let error = tier.migrate(&[account()], &MigrationSettings::default()).await.unwrap_err();
        assert_eq!((error.kind(), error.schema()), (ErrorKind::SchemaMismatch, Some("account")), "{taken}");
        // Nothing was made by halves.
        assert_eq!(tier.end().await.unwrap_err().kind(), ErrorKind::SchemaMismatch);
    }
}

#[tokio::test]
async fn rows_that_break_a_new_unique_index_are_told_by_its_column() {
    let database = Database::create().await;
    let tier = database.tier().await;
    tier.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
    let client = database.client().await;
    client.batch_execute("DROP INDEX account_email_key; INSERT INTO account VALUES (1, 'a'), (2, 'a')").await.unwrap();
    let error = tier.migrate(&[account()], &MigrationSettings::default()).await.unwrap_err();
    assert_eq!((error.kind(), error.column()), (ErrorKind::SchemaMismatch, Some("email")));
}

/// Tables live in the first schema of the search path, whatever the others hold.
#[tokio::test]
async fn the_search_path_decides_where_tables_are() {
    let database = Database::create().await;
    let client = database.client().await;
    client.batch_execute("CREATE SCHEMA shop; CREATE TABLE account (other INT)").await.unwrap();
    let url = format!("{}{}options=-c%20search_path%3Dshop,public", database.url(), if database.url().contains('?') { '&' } else { '?' });
    let tier = std::sync::Arc::new(PgTier::connect(PgConfig::from_url(&url).unwrap()).await.unwrap());
    tier.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
    put(&tier, row(1)).await.unwrap();
    let made: i64 = client
        .query_one("SELECT count(*) FROM shop.account AS a JOIN shop._strata_log AS l ON l.key = a.id::TEXT", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(made, 1);
    assert!(get(&tier, 1).await.unwrap().is_some());

    let nowhere = url.replace("shop,public", "nowhere");
    let tier = PgTier::connect(PgConfig::from_url(&nowhere).unwrap()).await.unwrap();
    assert_eq!(tier.migrate(&[], &MigrationSettings::default()).await.unwrap_err().kind(), ErrorKind::InvalidConfig);
}

/// Where an administrator made the tables, a program needs no more rights than to use them; each right that it lacks is told.
#[tokio::test]
async fn a_user_without_the_right_to_make_tables_can_use_them() {
    let database = Database::create().await;
    let client = database.client().await;
    let owner = database.tier().await;
    owner.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
    let user = format!("u_{}", database.name());
    client
        .batch_execute(&format!(
            "CREATE ROLE {user} LOGIN PASSWORD 'x'; REVOKE CREATE ON SCHEMA public FROM public; REVOKE TEMPORARY ON DATABASE {} FROM public;
             GRANT SELECT, INSERT, UPDATE, DELETE ON account, _strata_log, _strata_log_pruned TO {user}",
            database.name()
        ))
        .await
        .unwrap();
    let tier = std::sync::Arc::new(PgTier::connect(PgConfig::from_url(&database.url_as(&user, "x")).unwrap()).await.unwrap());
    tier.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
    assert_eq!(put(&tier, row(1)).await.unwrap_err().kind(), ErrorKind::AccessDenied, "the sequence is missing");
    client.batch_execute(&format!("GRANT USAGE ON SEQUENCE _strata_version TO {user}")).await.unwrap();

    let mut cursor = tier.end().await.unwrap();
    put(&tier, row(1)).await.unwrap();
    let batch: Vec<_> = (1..=2_000).map(row).collect();
    tier.put_many(&account(), &batch).await.unwrap();
    tier.delete_many(&account(), &[key(1)]).await.unwrap();
    assert_eq!(crate::table::since(&tier, &mut cursor).await.len(), 3);
    assert_eq!(tier.prune(std::time::Duration::ZERO).await.unwrap(), 3);
    client.batch_execute("DROP TABLE account").await.unwrap();
    assert_eq!(tier.migrate(&[account()], &MigrationSettings::default()).await.unwrap_err().kind(), ErrorKind::AccessDenied);
    tier.close().await.unwrap();
    client.batch_execute(&format!("DROP OWNED BY {user}; DROP ROLE {user}")).await.unwrap();
}

/// What the catalogue is held against is what the statements make: preparing twice would fail on any difference.
#[tokio::test]
async fn every_type_is_found_as_it_was_made() {
    let database = Database::create().await;
    let tier = database.tier().await;
    let schema = crate::table::specimen();
    assert!(create_statements(Dialect::Postgres, &schema)[0].contains("JSONB"));
    for _ in 0..2 {
        tier.migrate(&[schema.clone(), account()], &MigrationSettings::default()).await.unwrap();
    }
}

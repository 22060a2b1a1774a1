//! What the server makes of values and errors beyond what every truth tier must do.

use std::time::{Duration, Instant};

use store_core::facet::{Count, Migrations, Tables};
use store_core::{Error, ErrorKind, MigrationSettings, Value, params};
use tier_pg::PgTier;

use crate::database::Database;
use crate::table::{LEVEL, PROFILE, REGION, account, get, ids, key, put, raw, row, row_with, search, specimen};

async fn prepared(database: &Database) -> std::sync::Arc<PgTier> {
    let tier = database.tier().await;
    tier.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
    tier
}

/// No part of the error shows the content of a row.
#[track_caller]
fn assert_discreet(error: &Error, content: &str) {
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains(content), "{shown}");
}

#[tokio::test]
async fn values_take_the_type_that_a_condition_asks_for() {
    let database = Database::create().await;
    let tier = prepared(&database).await;
    tier.put_many(&account(), &(1..=5).map(row).collect::<Vec<_>>()).await.unwrap();
    for (condition, values, expected) in [
        ("level = $1::SMALLINT", params![2], vec![2]),
        ("level::REAL < $1", params![2.5], vec![1, 2]),
        ("level::REAL < $1", params![3], vec![1, 2]),
        ("level / 2.0 >= $1", params![2], vec![4, 5]),
        ("level / 2.0 = $1", params![2.5], vec![5]),
        ("level * 1e40 > $1", params![4.5e40], vec![5]),
        ("level::NUMERIC < $1", params![f64::INFINITY], vec![1, 2, 3, 4, 5]),
        ("level::TEXT = $1", params![3], vec![3]),
        ("level = $1", params!["4"], vec![4]),
        ("email LIKE $1 || '%'", params!["5"], vec![5]),
        ("DATE '2020-01-01' + level::INT > $1", params!["2020-01-05"], vec![5]),
        ("level = ANY ($1::BIGINT[])", params!["{1,3}"], vec![1, 3]),
        ("profile @> $1", params!["{}"], vec![1, 2, 3, 4, 5]),
        ("profile @> $1", vec![Value::Json("[]".into())], vec![]),
        ("region IS NOT DISTINCT FROM $1", params![None::<String>], vec![]),
        ("level = $1 OR level = $2 OR level = $1", params![1, 2], vec![1, 2]),
        ("(level > 4) = $1", params![true], vec![5]),
    ] {
        assert_eq!(ids(&tier, condition, values).await.unwrap(), expected, "{condition}");
    }
    for (condition, values, part) in [
        ("level = $1", params![2.5], "$1"),
        ("level = $1", params![true], "$1"),
        ("level > $1 AND region = $2", params![1, b"x".to_vec()], "$2"),
        ("level = $1::SMALLINT", params![100_000], "$1"),
        ("email = $1", params!["a\0b"], "NUL"),
        ("level = $1", params!["secret"], "22P02"),
        ("level / $1 = 1", params![0], "22012"),
    ] {
        let error = ids(&tier, condition, values).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidQuery, "{condition}: {error}");
        assert!(error.to_string().contains(part), "{condition}: {error}");
        assert_discreet(&error, "secret");
    }
    assert_eq!(ids(&tier, "level = 1", vec![]).await.unwrap(), [1], "the connections serve on");
}

/// A query runs in a session that cannot write.
#[tokio::test]
async fn conditions_cannot_write() {
    let database = Database::create().await;
    let tier = prepared(&database).await;
    put(&tier, row(1)).await.unwrap();
    let function = "CREATE FUNCTION wipe() RETURNS BOOLEAN LANGUAGE plpgsql AS $$ BEGIN DELETE FROM account; RETURN TRUE; END $$";
    database.client().await.batch_execute(function).await.unwrap();
    ids(&tier, "wipe()", vec![]).await.unwrap_err();
    assert!(get(&tier, 1).await.unwrap().is_some());
}

#[tokio::test]
async fn what_jsonb_cannot_hold_is_refused_and_the_rest_is_kept() {
    let database = Database::create().await;
    let tier = prepared(&database).await;
    for document in [r#""\u0000""#, r#"{"a":"\ud800"}"#, "1e200000", "[1e-20000]", "{", "nul"] {
        for rows in
            [vec![row_with(1, PROFILE, Value::Json(document.into()))], vec![row(2), row_with(1, PROFILE, Value::Json(document.into()))]]
        {
            let error = tier.put_many(&account(), &rows).await.unwrap_err();
            assert_eq!((error.kind(), error.column(), error.key()), (ErrorKind::InvalidValue, Some("profile"), Some("1")), "{document}");
        }
    }
    for document in ["1e1000", "1e-1000", r#""\ud83d\ude00\\u0000""#, "5e-324"] {
        let stored = put(&tier, row_with(1, PROFILE, Value::Json(document.into()))).await.unwrap();
        assert!(matches!(stored.row[PROFILE], Value::Json(_)));
        assert_eq!(get(&tier, 1).await.unwrap(), Some(stored));
    }
    let nested = |depth| row_with(1, PROFILE, Value::Json(format!("{}{}", "[".repeat(depth), "]".repeat(depth)).into()));
    put(&tier, nested(1_000)).await.unwrap();
    assert_eq!(put(&tier, nested(100_000)).await.unwrap_err().kind(), ErrorKind::InvalidValue);
    put(&tier, row(1)).await.unwrap();
}

/// Rules of the database that no model knows of.
#[tokio::test]
async fn violations_of_the_tables_own_rules_are_told_apart() {
    let database = Database::create().await;
    let tier = prepared(&database).await;
    let client = database.client().await;
    client
        .batch_execute(
            "CREATE TABLE region (name TEXT PRIMARY KEY); INSERT INTO region VALUES ('north');
             ALTER TABLE account ADD CONSTRAINT region_exists FOREIGN KEY (region) REFERENCES region DEFERRABLE INITIALLY DEFERRED;
             ALTER TABLE account ADD CONSTRAINT level_is_low CHECK (level < 100);
             ALTER TABLE account ADD COLUMN extra TEXT NOT NULL DEFAULT '';
             CREATE UNIQUE INDEX regional ON account (region, lower(email))",
        )
        .await
        .unwrap();
    put(&tier, row(1)).await.unwrap();
    for (rows, kind, part) in [
        // Deferred until the commit.
        (vec![row_with(2, REGION, Value::from("secret"))], ErrorKind::ConstraintViolation, "region_exists"),
        (vec![row(3), row_with(2, REGION, Value::from("secret"))], ErrorKind::ConstraintViolation, "region_exists"),
        (vec![row_with(2, LEVEL, 1_000)], ErrorKind::ConstraintViolation, "level_is_low"),
        (vec![row_with(2, 1, Value::from("1@EXAMPLE.org"))], ErrorKind::UniqueViolation, "regional"),
    ] {
        let error = tier.put_many(&account(), &rows).await.unwrap_err();
        assert_eq!((error.kind(), error.schema()), (kind, Some("account")));
        assert!(error.to_string().contains(part), "{error}");
        assert!(!error.is_retryable());
        assert_discreet(&error, "secret");
        assert_discreet(&error, "1@EX");
    }
    let unique = put(&tier, row_with(2, 1, Value::from("1@example.ORG"))).await.unwrap_err();
    assert_eq!(unique.column(), Some("region, lower(email)"));
    assert_eq!(tier.count(&account(), Count::default()).await.unwrap(), 1);

    client
        .batch_execute(
            "CREATE FUNCTION refuse() RETURNS TRIGGER LANGUAGE plpgsql AS
             $$ BEGIN IF NEW.level = 7 THEN RAISE 'seven is taken'; END IF; IF NEW.level = 8 THEN RETURN NULL; END IF; RETURN NEW; END $$;
             CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON account FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        .await
        .unwrap();
    for (level, part) in [(7, "seven is taken"), (8, "triggers")] {
        for rows in [vec![row_with(5, LEVEL, level)], vec![row(4), row_with(5, LEVEL, level)]] {
            let error = tier.put_many(&account(), &rows).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConstraintViolation);
            assert!(error.to_string().contains(part), "{error}");
        }
    }
    assert_eq!(tier.count(&account(), Count::default()).await.unwrap(), 1, "a suppressed row takes its batch back");
}

/// An index has a limit on the size of its entries.
#[tokio::test]
async fn a_value_too_large_for_an_index_is_told() {
    let database = Database::create().await;
    let tier = prepared(&database).await;
    // Incompressible, or it would fit.
    let mut state = 1_u64;
    let text: String = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from_u32(0x4E00 + (state >> 40) as u32 % 20_000).unwrap()
    })
    .take(20_000)
    .collect();
    let error = put(&tier, row_with(1, 1, Value::from(text.clone()))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidValue);
    assert!(error.to_string().len() < 500);
    assert!(get(&tier, 1).await.unwrap().is_none());
    put(&tier, row_with(1, PROFILE, Value::Json(format!("\"{text}\"").into()))).await.unwrap();
}

#[tokio::test]
async fn content_that_no_model_can_hold_names_its_column() {
    let database = Database::create().await;
    let tier = database.tier().await;
    tier.migrate(&[specimen()], &MigrationSettings::default()).await.unwrap();
    let client = database.client().await;
    for time in ["infinity", "-infinity", "294276-12-31 23:59:59"] {
        client.batch_execute(&format!("DELETE FROM specimen; INSERT INTO specimen (id, time) VALUES (1, '{time}')")).await.unwrap();
        let error = tier.get_many(&specimen(), &[key(1)]).await.unwrap_err();
        assert_eq!((error.kind(), error.column()), (ErrorKind::DecodeFailed, Some("time")), "{time}");
    }
    // A store may be told not to look at the tables.
    client.batch_execute("DELETE FROM specimen; ALTER TABLE specimen ALTER text TYPE POINT USING NULL; INSERT INTO specimen (id, text) VALUES (1, '(1,2)')").await.unwrap();
    let error = tier.get_many(&specimen(), &[key(1)]).await.unwrap_err();
    assert_eq!((error.kind(), error.column()), (ErrorKind::DecodeFailed, Some("text")));
}

/// A table that is altered while statements on it are prepared.
#[tokio::test]
async fn an_altered_table_is_read_anew() {
    let database = Database::create().await;
    let tier = prepared(&database).await;
    put(&tier, row(1)).await.unwrap();
    get(&tier, 1).await.unwrap();
    tier.put_many(&account(), &[row(1), row(2)]).await.unwrap();
    let client = database.client().await;
    client.batch_execute("ALTER TABLE account ALTER level TYPE INTEGER; ALTER TABLE account ADD COLUMN more INT").await.unwrap();
    assert_eq!(get(&tier, 1).await.unwrap().unwrap().row, row(1));
    client.batch_execute("ALTER TABLE account ALTER level TYPE SMALLINT").await.unwrap();
    assert_eq!(put(&tier, row(1)).await.unwrap().row, row(1));
    client.batch_execute("ALTER TABLE account ALTER level TYPE BIGINT").await.unwrap();
    assert_eq!(tier.put_many(&account(), &[row(1), row(2)]).await.unwrap()[1].row, row(2));
    client.batch_execute("ALTER TABLE account DROP COLUMN region CASCADE").await.unwrap();
    for error in
        [get(&tier, 1).await.unwrap_err(), put(&tier, row(1)).await.unwrap_err(), search(&tier, raw("TRUE", vec![])).await.unwrap_err()]
    {
        assert_eq!(error.kind(), ErrorKind::SchemaMismatch, "{error}");
    }
}

/// What takes longer than the limit ends, here and on the server.
#[tokio::test]
async fn a_statement_past_its_limit_is_a_timeout() {
    let database = Database::create().await;
    let patient = prepared(&database).await;
    put(&patient, row(1)).await.unwrap();
    let tier = PgTier::connect(database.config().with_statement_timeout(Duration::from_millis(300))).await.unwrap();
    let tier = std::sync::Arc::new(tier);
    // Within a transaction the server would show its first view of the others again and again.
    let (client, watcher) = (database.client().await, database.client().await);
    let begin = Instant::now();
    let slow = raw("pg_sleep(60) IS NOT NULL", vec![]);
    assert_eq!(search(&tier, slow.clone()).await.unwrap_err().kind(), ErrorKind::Timeout);
    let count = Count { filter: Some(slow), ..Count::default() };
    assert_eq!(tier.count(&account(), count).await.unwrap_err().kind(), ErrorKind::Timeout);

    let holder: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    client.batch_execute("BEGIN; UPDATE account SET level = 5").await.unwrap();
    for rows in [vec![row(1)], vec![row(1), row(2)]] {
        let error = tier.put_many(&account(), &rows).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        assert!(error.is_retryable());
    }
    assert_eq!(tier.delete_many(&account(), &[key(1)]).await.unwrap_err().kind(), ErrorKind::Timeout);
    assert!(begin.elapsed() < Duration::from_secs(40));
    crate::database::wait_until("the server end what nobody waits for", async || {
        const RUNNING: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
            AND backend_type = 'client backend' AND state <> 'idle' AND pid <> ALL (ARRAY[pg_backend_pid(), $1])";
        watcher.query_one(RUNNING, &[&holder]).await.unwrap().get::<_, i64>(0) == 0
    })
    .await;
    client.batch_execute("COMMIT").await.unwrap();
    assert_eq!(get(&patient, 1).await.unwrap().unwrap().row[LEVEL], Value::Integer(5), "none of the late writes took effect");
}

/// `synchronous_commit` may be off in the database; an acknowledged write survives a crash all the same.
#[tokio::test]
async fn an_acknowledged_write_is_on_disk_whatever_the_default() {
    let database = Database::create().await;
    let client = database.client().await;
    for (given, kept) in [("off", "on"), ("local", "local")] {
        client.batch_execute(&format!("ALTER DATABASE {} SET synchronous_commit = {given}", database.name())).await.unwrap();
        let tier = prepared(&database).await;
        put(&tier, row(1)).await.unwrap();
        assert_eq!(ids(&tier, "current_setting('synchronous_commit') = $1", params![kept]).await.unwrap(), [1]);
    }
}

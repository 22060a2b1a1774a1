//! What the triggers for other programs' writes cost, counted in rows rather than in time.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use store_core::MigrationSettings;
use store_core::facet::Migrations;
use tier_pg::PgTier;
use tokio_postgres::{AsyncMessage, Client, NoTls};

use crate::database::Database;
use crate::table::account;

/// Draws versions all the time, as other writers do that work beside a statement.
const OTHERS: &str = "CREATE FUNCTION draw() RETURNS TRIGGER LANGUAGE plpgsql AS
        'BEGIN NEW.level := NEW.level + 0 * nextval(''_strata_version''); RETURN NEW; END';
    CREATE TRIGGER draw BEFORE INSERT OR UPDATE ON account FOR EACH ROW EXECUTE FUNCTION draw()";

async fn watched() -> Database {
    let database = Database::create().await;
    let tier = PgTier::connect(database.config().with_outside_writers(true)).await.unwrap();
    tier.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
    database
}

/// A connection that is told the plan of each statement, those within functions too.
struct Explained {
    client: Client,
    plans: Arc<Mutex<Vec<Value>>>,
}

impl Explained {
    async fn connect(database: &Database) -> Explained {
        let (client, mut connection) = tokio_postgres::connect(&database.url(), NoTls).await.unwrap();
        let plans = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&plans);
        tokio::spawn(async move {
            while let Some(message) = std::future::poll_fn(|context| connection.poll_message(context)).await {
                if let AsyncMessage::Notice(notice) = message.unwrap()
                    && let Some((_, plan)) = notice.message().split_once("plan:\n")
                {
                    heard.lock().unwrap_or_else(PoisonError::into_inner).push(serde_json::from_str(plan).unwrap());
                }
            }
        });
        client
            .batch_execute(
                "LOAD 'auto_explain'; SET auto_explain.log_format = 'json'; SET auto_explain.log_nested_statements = on; \
                SET auto_explain.log_analyze = on; SET auto_explain.log_timing = off; SET client_min_messages = 'log'; \
                SET auto_explain.log_min_duration = 0",
            )
            .await
            .unwrap();
        Explained { client, plans }
    }

    /// How many rows all nodes of all plans of a statement have looked at.
    async fn work(&self, sql: &str) -> f64 {
        let plans = || std::mem::take(&mut *self.plans.lock().unwrap_or_else(PoisonError::into_inner));
        plans();
        self.client.batch_execute(sql).await.unwrap();
        let plans = plans();
        assert!(plans.len() > 1, "the triggers' statements are explained: {plans:?}");
        plans.iter().map(|plan| rows(&plan["Plan"])).sum()
    }
}

fn rows(node: &Value) -> f64 {
    let count = |name: &str| node[name].as_f64().unwrap_or_default();
    let seen = count("Actual Rows") + count("Rows Removed by Filter") + count("Rows Removed by Join Filter");
    let below: f64 = node["Plans"].as_array().into_iter().flatten().map(rows).sum();
    seen * count("Actual Loops") + below
}

#[tokio::test]
async fn the_work_of_a_statement_grows_as_its_rows() {
    for others in ["", OTHERS] {
        let database = watched().await;
        database.client().await.batch_execute(others).await.unwrap();
        let explained = Explained::connect(&database).await;
        let mut work = Vec::new();
        for count in [1_500, 6_000] {
            let mut of_count = Vec::new();
            for sql in [
                &format!("INSERT INTO account (id, email) SELECT n, n::TEXT FROM generate_series(1, {count}) AS n"),
                "UPDATE account SET level = level + 7",
                "UPDATE account SET id = id + 100000",
                &format!("UPDATE account SET id = id + 100000 WHERE id <= 100000 + {count} / 2"),
                "DELETE FROM account",
            ] {
                of_count.push((sql.to_owned(), explained.work(sql).await));
            }
            // What is left of deleted rows is no work of the next statements.
            explained.client.batch_execute("TRUNCATE account").await.unwrap();
            work.push(of_count);
        }
        for ((sql, few), (_, many)) in work[0].iter().zip(&work[1]) {
            assert!(*many < 5.0 * few, "{sql}: {few} rows for 1,500, {many} for 6,000; others: {others:?}");
        }
    }
}

/// How many rows of the table some SQL updates.
async fn updated(client: &Client, sql: &str) -> i64 {
    // What the session has not reported of earlier transactions is counted too.
    let count =
        async || -> i64 { client.query_one("SELECT pg_stat_get_xact_tuples_updated('account'::REGCLASS)", &[]).await.unwrap().get(0) };
    client.batch_execute("BEGIN").await.unwrap();
    let before = count().await;
    client.batch_execute(sql).await.unwrap();
    let after = count().await;
    client.batch_execute("COMMIT").await.unwrap();
    after - before
}

/// The second write is for versions that may have been drawn before another writer's of the same key.
#[tokio::test]
async fn a_row_is_written_once_unless_others_draw_versions_meanwhile() {
    let database = watched().await;
    let client = database.client().await;
    let insert = |from: i64, to: i64| format!("INSERT INTO account (id, email) SELECT n, n::TEXT FROM generate_series({from}, {to}) AS n");
    assert_eq!(updated(&client, &insert(1, 3)).await, 0);
    assert_eq!(updated(&client, "UPDATE account SET level = 2").await, 3);
    assert_eq!(updated(&client, "UPDATE account SET id = id + 10").await, 3);
    assert_eq!(updated(&client, &insert(100, 1_200)).await, 0);
    client.batch_execute(OTHERS).await.unwrap();
    assert_eq!(updated(&client, &insert(21, 23)).await, 3);
    assert_eq!(updated(&client, "UPDATE account SET level = 2 WHERE id < 20").await, 3);
    assert_eq!(updated(&client, "UPDATE account SET id = id + 20 WHERE id < 20").await, 6);
}

/// The functions are shared with programs that have not migrated their tables yet.
#[tokio::test]
async fn triggers_of_older_versions_draw_by_the_second_write_until_they_are_replaced() {
    let database = watched().await;
    let client = database.client().await;
    client
        .batch_execute(
            "DROP TRIGGER _strata_watch_new_row ON account; \
            CREATE OR REPLACE TRIGGER _strata_watch_insert AFTER INSERT ON account REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT \
                EXECUTE FUNCTION _strata_watch_statement('account', 'concat_ws('':'', r.\"id\"::TEXT)', 't.\"id\" = r.\"id\"')",
        )
        .await
        .unwrap();
    // What looks drawn was given by the program.
    assert_eq!(updated(&client, "INSERT INTO account (id, email, _version) VALUES (1, 'a', nextval('_strata_version'))").await, 1);
    let tier = PgTier::connect(database.config().with_outside_writers(true)).await.unwrap();
    tier.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
    assert_eq!(updated(&client, "INSERT INTO account (id, email) VALUES (2, 'b')").await, 0);
}

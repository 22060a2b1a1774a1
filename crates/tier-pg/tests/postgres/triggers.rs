//! Writes of other programs, with the triggers that watch for them.

use std::pin::pin;
use std::sync::{Arc, LazyLock};

use futures_util::SinkExt;
use store_core::facet::{BULK_LOG_LIMIT, Log, LogCursor, LogKind, Migrations, Tables};
use store_core::{
    BoundSchema, ColumnDefinition, ColumnType, ErrorKind, MigrationSettings, Policies, SchemaDefinition, Value, Version, key_text,
};
use tier_pg::PgTier;
use tokio_postgres::Client;

use crate::database::{Database, connect, wait_for_lock};
use crate::table::{LEVEL, account, get, key, keys, put, row, row_with, since};

struct Watched {
    database: Database,
    tier: Arc<PgTier>,
    /// Another program.
    outside: Client,
    cursor: LogCursor,
}

impl Watched {
    async fn create(schemas: &[Arc<BoundSchema>]) -> Watched {
        let database = Database::create().await;
        let tier = Arc::new(PgTier::connect(database.config().with_outside_writers(true)).await.unwrap());
        tier.migrate(schemas, &MigrationSettings::default()).await.unwrap();
        let (outside, cursor) = (database.client().await, tier.end().await.unwrap());
        Watched { database, tier, outside, cursor }
    }

    /// The keys and kinds that the log has now and had not before, in the order of keys and then versions.
    async fn logged(&mut self) -> Vec<(Option<String>, LogKind)> {
        let mut entries = since(&self.tier, &mut self.cursor).await;
        entries.sort_by_key(|entry| (entry.key.clone(), entry.version));
        for pair in entries.windows(2).filter(|pair| pair[0].key == pair[1].key) {
            assert!(pair[0].version < pair[1].version);
        }
        entries.into_iter().map(|entry| (entry.key, entry.kind)).collect()
    }

    /// Runs SQL as another program, and tells what is logged.
    async fn run(&mut self, sql: &str) -> Vec<(Option<String>, LogKind)> {
        self.outside.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        self.logged().await
    }
}

fn one(key: &str, kind: LogKind) -> (Option<String>, LogKind) {
    (Some(key.to_owned()), kind)
}

fn all(kind: LogKind) -> Vec<(Option<String>, LogKind)> {
    vec![(None, kind)]
}

async fn version(tier: &PgTier, id: i64) -> Version {
    get(tier, id).await.unwrap().unwrap().version
}

#[tokio::test]
async fn each_statement_of_another_program_is_logged() {
    use LogKind::{Delete, Put};
    let mut watched = Watched::create(&[account()]).await;
    let insert = "INSERT INTO account (id, email, level)";
    // A version that another program gives counts nothing.
    assert_eq!(
        watched.run(&format!("{insert} VALUES (1, 'a', 1); INSERT INTO account VALUES (2, 'b', 1, NULL, NULL, 999999)")).await,
        [one("1", Put), one("2", Put)]
    );
    let first = [version(&watched.tier, 1).await, version(&watched.tier, 2).await];
    assert!(first[0].get() > 0 && first[1] > first[0] && first[1].get() < 100);

    assert_eq!(watched.run("UPDATE account SET level = 7 WHERE id < 3").await, [one("1", Put), one("2", Put)]);
    assert!(version(&watched.tier, 1).await > first[1]);
    assert_eq!(watched.run("UPDATE account SET level = 8 WHERE id = 77; DELETE FROM account WHERE id = 77").await, []);
    assert_eq!(watched.run(&format!("{insert} SELECT 5, 'none', 1 WHERE FALSE")).await, []);
    assert_eq!(watched.run("BEGIN; UPDATE account SET level = 9; ROLLBACK").await, []);
    let upsert = format!("{insert} VALUES (2, 'b', 3), (3, 'c', 3) ON CONFLICT (id) DO UPDATE SET level = EXCLUDED.level");
    assert_eq!(watched.run(&upsert).await, [one("2", Put), one("3", Put)]);
    assert_eq!(watched.run("DELETE FROM account WHERE id IN (1, 3)").await, [one("1", Delete), one("3", Delete)]);

    let sink = watched.outside.copy_in("COPY account (id, email, level) FROM STDIN").await.unwrap();
    let mut sink = pin!(sink);
    sink.send(bytes::Bytes::from_static(b"10\tx\t1\n11\ty\t2\n")).await.unwrap();
    sink.finish().await.unwrap();
    assert_eq!(watched.logged().await, [one("10", Put), one("11", Put)]);
    assert!(version(&watched.tier, 10).await > first[1]);

    assert_eq!(watched.run("TRUNCATE account").await, all(Delete));
}

#[tokio::test]
async fn the_version_of_a_row_is_that_of_its_entry() {
    let watched = Watched::create(&[account()]).await;
    let mut cursor = watched.cursor.clone();
    for sql in [
        "INSERT INTO account (id, email) VALUES (1, 'a'), (2, 'b')",
        "UPDATE account SET level = 3",
        "UPDATE account SET id = id + 10 WHERE id = 1",
        "INSERT INTO account (id, email) VALUES (11, 'a'), (1, 'c') ON CONFLICT (id) DO UPDATE SET level = 4",
    ] {
        watched.outside.batch_execute(sql).await.unwrap();
        for entry in since(&watched.tier, &mut cursor).await.into_iter().filter(|entry| entry.kind == LogKind::Put) {
            assert_eq!(version(&watched.tier, entry.key.unwrap().parse().unwrap()).await, entry.version, "{sql}");
        }
    }
}

#[tokio::test]
async fn a_row_whose_key_changes_is_deleted_and_inserted() {
    use LogKind::{Delete, Put};
    let mut watched = Watched::create(&[account()]).await;
    watched.run("INSERT INTO account (id, email) SELECT n, n::TEXT FROM generate_series(1, 4) AS n").await;
    assert_eq!(watched.run("UPDATE account SET id = 9 WHERE id = 1").await, [one("1", Delete), one("9", Put)]);
    assert_eq!(
        watched.run("UPDATE account SET id = CASE id WHEN 2 THEN 20 ELSE id END WHERE id < 5").await,
        [one("2", Delete), one("20", Put), one("3", Put), one("4", Put)]
    );
    // Moving up by one in the order of rows would meet the next; PostgreSQL checks each row at once.
    assert_eq!(watched.run("UPDATE account SET id = id - 1 WHERE id IN (3, 4)").await, [one("2", Put), one("3", Put), one("4", Delete)]);
}

#[tokio::test]
async fn statements_of_many_rows_are_one_entry_for_the_schema() {
    use LogKind::{Delete, Put};
    let mut watched = Watched::create(&[account()]).await;
    let limit = BULK_LOG_LIMIT;
    let fill =
        |from: usize, to: usize| format!("INSERT INTO account (id, email) SELECT n, n::TEXT FROM generate_series({from}, {to}) AS n");
    assert_eq!(watched.run(&fill(1, limit)).await.len(), limit);
    assert_eq!(watched.run("UPDATE account SET level = 2").await.len(), limit);
    assert_eq!(watched.run(&fill(limit + 1, 5_000)).await, all(Put));
    let before = version(&watched.tier, 1).await;
    assert_eq!(watched.run("UPDATE account SET level = 3").await, all(Put));
    assert!(version(&watched.tier, 1).await > before && version(&watched.tier, 5_000).await > before);
    let moved = watched.run("UPDATE account SET id = id + 10000").await;
    assert!(moved.contains(&(None, Put)));
    assert_eq!(watched.run("DELETE FROM account").await, all(Delete));
}

#[tokio::test]
async fn writes_of_the_tier_are_logged_once() {
    use LogKind::{Delete, Put};
    let mut watched = Watched::create(&[account()]).await;
    let tier = Arc::clone(&watched.tier);
    let stored = put(&tier, row(1)).await.unwrap();
    assert_eq!(watched.logged().await, [one("1", Put)]);
    assert_eq!(version(&tier, 1).await, stored.version);
    put(&tier, row_with(1, LEVEL, 5)).await.unwrap();
    assert_eq!(watched.logged().await, [one("1", Put)]);
    tier.put_many(&account(), &[row(1), row(2), row(3)]).await.unwrap();
    assert_eq!(watched.logged().await, [one("1", Put), one("2", Put), one("3", Put)]);
    tier.delete_many(&account(), &[key(1)]).await.unwrap();
    tier.delete_many(&account(), &keys([2, 3])).await.unwrap();
    assert_eq!(watched.logged().await, [one("1", Delete), one("2", Delete), one("3", Delete)]);
    tier.put_many(&account(), &(1..=1_500).map(row).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(watched.logged().await, all(Put));
    tier.delete_many(&account(), &keys(1..=1_500)).await.unwrap();
    assert_eq!(watched.logged().await, all(Delete));
}

/// What the user's own triggers and foreign keys write because the tier wrote is written by nobody else's log.
#[tokio::test]
async fn what_follows_from_a_write_of_the_tier_is_logged() {
    use LogKind::{Delete, Put};
    static MEMBER: LazyLock<SchemaDefinition> = LazyLock::new(|| {
        let columns = vec![
            ColumnDefinition { is_key: true, ..ColumnDefinition::new("id", ColumnType::BigInt) },
            ColumnDefinition { nullable: true, ..ColumnDefinition::new("account", ColumnType::BigInt) },
        ];
        SchemaDefinition::new("member", columns, vec![], Policies::default())
    });
    let member = Arc::new(BoundSchema::standalone(&MEMBER));
    let mut watched = Watched::create(&[account(), Arc::clone(&member)]).await;
    watched
        .outside
        .batch_execute("ALTER TABLE member ADD FOREIGN KEY (account) REFERENCES account (id) ON DELETE CASCADE ON UPDATE CASCADE")
        .await
        .unwrap();
    let tier = Arc::clone(&watched.tier);
    put(&tier, row(1)).await.unwrap();
    tier.put_many(&member, &[vec![7.into(), 1.into()]]).await.unwrap();
    watched.logged().await;
    assert_eq!(watched.run("UPDATE account SET id = 2").await, [one("1", Delete), one("2", Put), one("7", Put)]);
    tier.delete_many(&account(), &[key(2)]).await.unwrap();
    assert_eq!(watched.logged().await, [one("2", Delete), one("7", Delete)]);
}

#[tokio::test]
async fn keys_have_the_text_form_of_the_store() {
    static ODD: LazyLock<SchemaDefinition> = LazyLock::new(|| {
        let part = |name, column_type| ColumnDefinition { is_key: true, ..ColumnDefinition::new(name, column_type) };
        let columns = vec![
            part("te\"xt", ColumnType::Text),
            part("r", ColumnType::Uuid),
            part("t", ColumnType::BigInt),
            part("small", ColumnType::SmallInt),
            ColumnDefinition { nullable: true, ..ColumnDefinition::new("kind", ColumnType::Text) },
        ];
        SchemaDefinition::new("o'dd", columns, vec![], Policies::default())
    });
    let schema = Arc::new(BoundSchema::standalone(&ODD).with_names("O'dd %s table", "odd"));
    let mut watched = Watched::create(std::slice::from_ref(&schema)).await;
    let mut texts: Vec<String> =
        ["", "a", "a:b", "100%", "%3A", "é:ü", "line\nbreak", "$1", "'", "\\", "\u{80}", "😀:\u{200d}", "%s %I", "concat_ws(':')"]
            .map(str::to_owned)
            .to_vec();
    texts.extend((1..128_u8).map(|byte| char::from(byte).to_string()));
    texts.push((1..128_u8).map(char::from).collect());
    let mut expected = Vec::new();
    for (number, text) in texts.iter().enumerate() {
        let uuid = uuid::Uuid::from_u128(0xABCDEF << 100 | number as u128);
        let integer = if number % 2 == 0 { i64::MIN + number as i64 } else { i64::MAX };
        let key = [Value::from(text.as_str()), Value::Uuid(uuid), integer.into(), (-3).into()];
        expected.push((Some(key_text(&key).unwrap()), LogKind::Put));
        let insert = r#"INSERT INTO "O'dd %s table" ("te""xt", r, t, small) VALUES ($1, $2::TEXT::UUID, $3, -3)"#;
        watched.outside.execute(insert, &[text, &uuid.to_string(), &integer]).await.unwrap();
    }
    expected.sort_by(|left, right| left.0.cmp(&right.0));
    assert_eq!(watched.logged().await, expected);
    assert_eq!(watched.run(r#"UPDATE "O'dd %s table" SET kind = 'x'"#).await, expected);
    let moved = watched.run(r#"UPDATE "O'dd %s table" SET small = 4 WHERE "te""xt" = 'a:b'"#).await;
    assert_eq!(moved.iter().map(|(_, kind)| *kind).collect::<Vec<_>>(), [LogKind::Delete, LogKind::Put]);
    assert!(moved[0].0.as_ref().unwrap().starts_with("a%3Ab:") && moved[1].0.as_ref().unwrap().ends_with(":4"));
    let mut cursor = watched.cursor.clone();
    watched.outside.batch_execute(r#"DELETE FROM "O'dd %s table""#).await.unwrap();
    assert!(since(&watched.tier, &mut cursor).await.iter().all(|entry| entry.schema == "o'dd" && entry.kind == LogKind::Delete));
}

/// Another writer of the key holds it and draws a number after the statement of the other program began to wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn versions_of_other_programs_are_drawn_after_whom_they_waited_for() {
    let mut watched = Watched::create(&[account()]).await;
    let held = watched.database.client().await;
    held.batch_execute("SET strata.writer = 'on'").await.unwrap();
    let watcher = watched.database.client().await;
    for (number, sql) in [
        "INSERT INTO account (id, email) VALUES (1, 'new')",
        // The last row waits for nobody.
        "INSERT INTO account (id, email) VALUES (1, 'new'), (3, 'more')",
        "INSERT INTO account (id, email) VALUES (1, 'new') ON CONFLICT (id) DO UPDATE SET level = 4",
        "UPDATE account SET id = 1 WHERE id = 2",
    ]
    .into_iter()
    .enumerate()
    {
        watched.outside.batch_execute("TRUNCATE account; INSERT INTO account (id, email) VALUES (1, 'old'), (2, 'other')").await.unwrap();
        held.batch_execute("BEGIN; DELETE FROM account WHERE id = 1").await.unwrap();
        let outside = watched.database.client().await;
        let writer = tokio::spawn(async move { outside.batch_execute(sql).await.unwrap() });
        wait_for_lock(&watcher).await;
        let deleted: i64 = held.query_one("SELECT nextval('_strata_version')", &[]).await.unwrap().get(0);
        held.batch_execute("COMMIT").await.unwrap();
        writer.await.unwrap();
        let entries = since(&watched.tier, &mut watched.cursor).await;
        let last = entries.iter().filter(|entry| entry.key.as_deref() == Some("1")).map(|entry| entry.version).max().unwrap();
        assert!(last.get() > deleted as u64, "{number}: {sql}");
        assert_eq!(version(&watched.tier, 1).await, last, "{sql}");
    }
}

#[tokio::test]
async fn triggers_are_made_once_mended_and_left_when_no_longer_asked_for() {
    let mut watched = Watched::create(&[account()]).await;
    let made = "SELECT string_agg(oid::TEXT || xmin::TEXT, ',' ORDER BY oid) FROM pg_trigger WHERE NOT tgisinternal";
    let before: String = watched.outside.query_one(made, &[]).await.unwrap().get(0);
    // Nobody may be writing while a trigger is made: preparing anew must not wait for that.
    let writing = watched.database.client().await;
    writing.batch_execute("BEGIN; INSERT INTO account (id, email) VALUES (1, 'a')").await.unwrap();
    watched.tier.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
    watched.database.tier().await.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
    writing.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(watched.outside.query_one(made, &[]).await.unwrap().get::<_, String>(0), before);

    watched
        .outside
        .batch_execute(
            "DROP TRIGGER _strata_watch_insert ON account; \
        CREATE OR REPLACE FUNCTION _strata_watch_row() RETURNS TRIGGER LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        )
        .await
        .unwrap();
    watched.tier.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
    assert_eq!(watched.run("INSERT INTO account (id, email) VALUES (1, 'a')").await, [one("1", LogKind::Put)]);

    // As the documentation says.
    watched.outside.batch_execute("DROP FUNCTION _strata_watch_row, _strata_watch_statement, _strata_key_part CASCADE").await.unwrap();
    assert_eq!(watched.run("UPDATE account SET level = 2").await, []);
    put(&watched.tier, row(1)).await.unwrap();
    assert_eq!(watched.logged().await, [one("1", LogKind::Put)]);
}

/// Who may write the table need not know of Strata: neither its tables, nor its search path.
#[tokio::test]
async fn other_programs_need_no_rights_beyond_the_table() {
    let mut watched = Watched::create(&[account()]).await;
    let role = format!("{}_writer", watched.database.name());
    watched
        .outside
        .batch_execute(&format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'pass'; GRANT INSERT, UPDATE, DELETE, SELECT, TRUNCATE ON account TO {role}"
        ))
        .await
        .unwrap();
    let writer = connect(&watched.database.url_as(&role, "pass")).await;
    assert!(writer.batch_execute("SELECT nextval('public._strata_version')").await.is_err());
    writer
        .batch_execute(
            "SET search_path = pg_catalog; INSERT INTO public.account (id, email) VALUES (1, 'a:b'); \
            UPDATE public.account SET id = 2; DELETE FROM public.account; TRUNCATE public.account",
        )
        .await
        .unwrap();
    drop(writer);
    let kinds: Vec<LogKind> = watched.logged().await.into_iter().map(|(_, kind)| kind).collect();
    watched.outside.batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await.unwrap();
    assert_eq!(kinds, [LogKind::Delete, LogKind::Put, LogKind::Delete, LogKind::Put, LogKind::Delete]);
}

/// Who may not make triggers is told so.
#[tokio::test]
async fn a_role_that_may_make_no_triggers_is_refused() {
    let database = Database::create().await;
    let plain = database.tier().await;
    plain.migrate(&[account()], &MigrationSettings::default()).await.unwrap();
    let client = database.client().await;
    let role = format!("{}_reader", database.name());
    client
        .batch_execute(&format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'pass'; GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}; \
            GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}"
        ))
        .await
        .unwrap();
    let config = tier_pg::PgConfig::from_url(&database.url_as(&role, "pass")).unwrap();
    let outcome =
        PgTier::connect(config.with_outside_writers(true)).await.unwrap().migrate(&[account()], &MigrationSettings::default()).await;
    client.batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await.unwrap();
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::AccessDenied);
}

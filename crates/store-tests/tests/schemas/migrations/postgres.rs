//! What only a server with many sessions has: locks, indexes that are made beside writers, rights.

use std::time::{Duration, Instant};

use strata::pg::{PgConfig, PgTier};
use strata::{Blocking, ErrorKind, Resolution, Settings, Store};
use tokio_postgres::{Client, NoTls};

use super::files::{assert_told, write};
use super::{Database, assert_migrated, filled, first, server, third};

async fn postgres() -> (Database, server::Database) {
    let (database, _) = server::open().await;
    let same = server::open().await.0;
    (Database::Postgres(database), same)
}

/// A session of another program.
async fn client(database: &Database) -> Client {
    let Database::Postgres(database) = database else { unreachable!("it is PostgreSQL") };
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn number(client: &Client, query: &str) -> i64 {
    client.query_one(query, &[]).await.unwrap().get(0)
}

async fn until(client: &Client, query: &str) {
    while number(client, query).await == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn hasty(settings: &mut Settings) {
    settings.migration.lock_timeout = Duration::from_millis(50);
    settings.migration.patience = Duration::from_secs(3);
    settings.migration.migrator_wait = Duration::from_millis(300);
}

/// Sessions that wait for a table's lock, or for the transactions of others.
const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_stays_locked_is_given_up_and_traffic_goes_on() {
    let (database, _) = postgres().await;
    let store = filled(&database).await;
    let holder = client(&database).await;
    for large_table in [u64::MAX, 0] {
        holder.batch_execute("BEGIN; SELECT * FROM hero").await.unwrap();
        let migrator = database
            .migrator_with::<third::Hero>(|settings| {
                hasty(settings);
                settings.migration.large_table = large_table;
            })
            .await;
        let migration = tokio::spawn(async move {
            let outcome = migrator.migrate().await;
            migrator.close().await.unwrap();
            outcome
        });
        let (mut longest, mut written) = (Duration::ZERO, 0);
        while !migration.is_finished() {
            let begun = Instant::now();
            store.collection().unwrap().set(first(1)).await.unwrap();
            longest = longest.max(begun.elapsed());
            written += 1;
        }
        let error = migration.await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.schema()), (ErrorKind::Timeout, Some("hero")), "{error}");
        assert!(error.to_string().contains("others kept a lock in its way (now the server's processes"), "{error}");
        assert!(written > 3 && longest < Duration::from_millis(1_500), "{written} writes, the longest took {longest:?}");
        holder.batch_execute("COMMIT").await.unwrap();
    }
    store.close().await.unwrap();
    let migrator = database.migrator::<third::Hero>().await;
    migrator.migrate().await.unwrap();
    migrator.close().await.unwrap();
    assert_migrated(&database, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_of_a_large_table_is_made_beside_writers() {
    let (database, _) = postgres().await;
    let store = filled(&database).await;
    let beside = |settings: &mut Settings| settings.migration.large_table = 0;
    let migrator = database.migrator_with::<third::Hero>(beside).await;
    let plan = migrator.plan().await.unwrap();
    let outside: Vec<_> = plan.steps.iter().filter(|step| !step.in_transaction).collect();
    assert_eq!(outside.len(), 2, "{plan}");
    assert!(outside.iter().all(|step| step.blocking == Blocking::Nobody && step.sql.contains("INDEX CONCURRENTLY")), "{plan}");

    // Of other tables' transactions none is waited for.
    let holder = client(&database).await;
    holder.batch_execute("CREATE TABLE beside (id INT); BEGIN; INSERT INTO beside VALUES (1)").await.unwrap();
    migrator.migrate().await.unwrap();
    holder.batch_execute("COMMIT").await.unwrap();
    assert_eq!(number(&holder, "SELECT count(*) FROM pg_index WHERE indrelid = 'hero'::REGCLASS AND indisvalid").await, 3);
    // The session that was set up for it went back to no pool.
    store.collection().unwrap().set(first(2)).await.unwrap();
    store.close().await.unwrap();
    migrator.close().await.unwrap();
    assert_migrated(&database, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_of_an_index_is_made_again() {
    let (database, _) = postgres().await;
    filled(&database).await.close().await.unwrap();
    for large_table in [0, u64::MAX] {
        database.run("DROP INDEX IF EXISTS hero_name_key; INSERT INTO hero (id, name) VALUES (9, 'hero 1')").await;
        let beside = |settings: &mut Settings| settings.migration.large_table = large_table;
        let migrator = database.migrator_with::<third::Hero>(beside).await;
        let error = migrator.migrate().await.unwrap_err();
        assert_eq!((error.kind(), error.key()), (ErrorKind::SchemaMismatch, Some("1")), "{error}");
        let other = client(&database).await;
        assert_eq!(number(&other, "SELECT count(*) FROM pg_index WHERE NOT indisvalid").await, 0, "nothing is left of a refused one");

        other.batch_execute("CREATE UNIQUE INDEX CONCURRENTLY hero_name_key ON hero (name)").await.unwrap_err();
        assert_eq!(number(&other, "SELECT count(*) FROM pg_index WHERE NOT indisvalid").await, 1);
        database.run("DELETE FROM hero WHERE id = 9").await;
        let plan = migrator.plan().await.unwrap();
        assert!(plan.to_string().contains("drop what is left of the index `hero_name_key`"), "{plan}");
        migrator.migrate().await.unwrap();
        assert_eq!(number(&other, "SELECT count(*) FROM pg_index WHERE NOT indisvalid").await, 0);
        migrator.close().await.unwrap();
        assert_migrated(&database, 3).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_migrator_is_waited_for_and_told() {
    let (database, _) = postgres().await;
    filled(&database).await.close().await.unwrap();
    let other = client(&database).await;
    other.batch_execute("SET application_name = 'deploy'; SELECT pg_advisory_lock(x'737472617461'::BIGINT)").await.unwrap();
    let migrator = database.migrator_with::<third::Hero>(hasty).await;
    let error = migrator.migrate().await.unwrap_err();
    let process = number(&other, "SELECT pg_backend_pid()::BIGINT").await;
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(error.to_string().contains(&format!("process {process} of the program `deploy`")), "{error}");
    other.batch_execute("SELECT pg_advisory_unlock_all()").await.unwrap();
    migrator.migrate().await.unwrap();
    migrator.close().await.unwrap();
    // Nobody has the lock any more, though the pool lives.
    assert_eq!(number(&other, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())").await, 0);
}

const END_MIGRATOR: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory' AND granted \
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_whose_session_ends_is_done_by_the_next_call() {
    for large_table in [u64::MAX, 0] {
        let (database, _) = postgres().await;
        filled(&database).await.close().await.unwrap();
        let (holder, killer) = (client(&database).await, client(&database).await);
        let beside = |settings: &mut Settings| {
            settings.migration.large_table = large_table;
            settings.migration.lock_timeout = Duration::from_secs(60);
        };
        let migrator = database.migrator_with::<third::Hero>(beside).await;
        holder.batch_execute("BEGIN; SELECT * FROM hero").await.unwrap();
        let of_task = migrator.clone();
        let migration = tokio::spawn(async move { of_task.migrate().await });
        until(&killer, WAITING).await;
        assert_eq!(number(&killer, END_MIGRATOR).await, 1);
        let error = migration.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::L3Unavailable, "{error}");
        holder.batch_execute("COMMIT").await.unwrap();
        migrator.migrate().await.unwrap();
        migrator.close().await.unwrap();
        assert_migrated(&database, 3).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_whose_session_ends_leaves_word_of_its_statement() {
    let (database, _) = postgres().await;
    filled(&database).await.close().await.unwrap();
    let files = tempfile::tempdir().unwrap();
    let text = "-- strata: no transaction\nUPDATE hero SET name = name || '+'; SELECT pg_sleep(600); UPDATE hero SET name = name || '!'";
    write(files.path(), &[("1_long.sql", text)]);
    let (migrator, killer) = (database.migrator::<first::Hero>().await, client(&database).await);
    let (of_task, directory) = (migrator.clone(), files.path().to_owned());
    let migration = tokio::spawn(async move { of_task.migrate_from(directory).await });
    until(&killer, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'").await;
    number(&killer, END_MIGRATOR).await;
    let error = migration.await.unwrap().unwrap_err();
    assert_told(&error, ErrorKind::L3Unavailable, &["statement 2 of `1_long.sql`"]);
    let error = migrator.migrate_from(files.path()).await.unwrap_err();
    assert_told(&error, ErrorKind::SchemaMismatch, &["stopped at its statement 2", "nobody has seen its end"]);
    migrator.resolve("1_long.sql", Resolution::Resume).await.unwrap();
    write(files.path(), &[("1_long.sql", &text.replace("pg_sleep(600)", "1"))]);
    migrator.migrate_from(files.path()).await.unwrap();
    migrator.close().await.unwrap();
    assert_eq!(number(&killer, "SELECT count(*) FROM hero WHERE name LIKE '%+!'").await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_is_missing_is_told_with_the_statement() {
    let (database, other) = postgres().await;
    filled(&database).await.close().await.unwrap();
    let Database::Postgres(server) = &database else { unreachable!("it is PostgreSQL") };
    let name = server.url().rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    let user = format!("u_{name}");
    database.run(&format!("CREATE ROLE {user} LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {user}")).await;
    let url = server.url().replacen("postgres@", &format!("{user}@"), 1);
    let tier = PgTier::connect(PgConfig::from_url(&url).unwrap()).await.unwrap();
    let migrator = Store::builder().tier(tier).schema::<third::Hero>().migrator().unwrap();
    assert_eq!(migrator.plan().await.unwrap().steps.len(), 6, "a plan needs no rights to make anything");
    let error = migrator.migrate().await.unwrap_err();
    assert_eq!((error.kind(), error.schema()), (ErrorKind::AccessDenied, Some("hero")), "{error}");
    assert!(error.to_string().contains(r#"have one who may run: ALTER TABLE "hero" ADD COLUMN "level""#), "{error}");
    migrator.close().await.unwrap();
    let owner = database.migrator::<third::Hero>().await;
    owner.migrate().await.unwrap();
    owner.close().await.unwrap();
    let tier = PgTier::connect(PgConfig::from_url(&url).unwrap()).await.unwrap();
    let migrator = Store::builder().tier(tier).schema::<third::Hero>().migrator().unwrap();
    assert!(migrator.migrate().await.unwrap().is_empty(), "where nothing is missing, no right is needed");
    migrator.close().await.unwrap();
    database.run(&format!("DROP OWNED BY {user}; DROP ROLE {user}")).await;
    drop(other);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn extensions_are_made_where_the_server_has_them() {
    let (database, _) = postgres().await;
    let Database::Postgres(server) = &database else { unreachable!("it is PostgreSQL") };
    for (extension, kind) in [("pg_trgm", None), ("no_such_extension", Some(ErrorKind::InvalidConfig))] {
        let config = PgConfig::from_url(&server.url()).unwrap().with_extension(extension);
        let tier = PgTier::connect(config).await.unwrap();
        let migrator = Store::builder().tier(tier).schema::<first::Hero>().migrator().unwrap();
        let outcome = migrator.migrate().await;
        assert_eq!(outcome.as_ref().err().map(strata::Error::kind), kind, "{outcome:?}");
        if kind.is_none() {
            assert!(migrator.plan().await.unwrap().is_empty());
        }
        migrator.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_wait_for_new_columns_and_not_for_indexes() {
    let (database, _) = postgres().await;
    filled(&database).await.close().await.unwrap();
    database.run("INSERT INTO hero (id, name) VALUES (9, 'hero 1')").await;
    let migrator = database.migrator::<third::Hero>().await;
    migrator.migrate().await.unwrap_err();
    let columns =
        "SELECT count(*) FROM pg_attribute WHERE attrelid = 'hero'::REGCLASS AND attname IN ('level', 'region', 'active', 'title')";
    assert_eq!(number(&client(&database).await, columns).await, 4, "the locks on the table went with the columns");
    migrator.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_without_a_transaction_gives_way_too() {
    let (database, _) = postgres().await;
    let store = filled(&database).await;
    let (holder, files) = (client(&database).await, tempfile::tempdir().unwrap());
    write(files.path(), &[("1_alter.sql", "-- strata: no transaction\nALTER TABLE hero ADD COLUMN extra INT")]);
    let migrator = database.migrator_with::<first::Hero>(hasty).await;
    holder.batch_execute("BEGIN; SELECT * FROM hero").await.unwrap();
    let (of_task, directory) = (migrator.clone(), files.path().to_owned());
    let migration = tokio::spawn(async move { of_task.migrate_from(directory).await });
    let mut longest = Duration::ZERO;
    while !migration.is_finished() {
        let begun = Instant::now();
        store.collection().unwrap().set(first(1)).await.unwrap();
        longest = longest.max(begun.elapsed());
    }
    let error = migration.await.unwrap().unwrap_err();
    assert_told(&error, ErrorKind::Timeout, &["statement 1 of `1_alter.sql`", "others kept a lock in its way"]);
    assert!(longest < Duration::from_millis(1_500), "the longest write took {longest:?}");
    holder.batch_execute("COMMIT").await.unwrap();
    migrator.resolve("1_alter.sql", Resolution::Resume).await.unwrap();
    migrator.migrate_from(files.path()).await.unwrap();
    migrator.close().await.unwrap();
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_commit_refuses_is_told_of_the_transaction() {
    let (database, _) = postgres().await;
    filled(&database).await.close().await.unwrap();
    let files = tempfile::tempdir().unwrap();
    let deferred =
        "CREATE TABLE item (hero BIGINT REFERENCES hero (id) DEFERRABLE INITIALLY DEFERRED); INSERT INTO item VALUES (99); SELECT 1";
    write(files.path(), &[("1_item.sql", deferred)]);
    let migrator = database.migrator::<first::Hero>().await;
    let error = migrator.migrate_from(files.path()).await.unwrap_err();
    assert_told(&error, ErrorKind::ConstraintViolation, &["the transaction of `1_item.sql` failed, nothing of the file is left"]);
    migrator.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_cannot_be_cleaned_up_is_said_to_be_left() {
    let (database, _) = postgres().await;
    filled(&database).await.close().await.unwrap();
    database.migrator_with::<third::Hero>(|_| {}).await.migrate().await.unwrap();
    let (holder, other) = (client(&database).await, client(&database).await);
    database.run("DROP INDEX hero_name_key").await;
    holder.batch_execute("BEGIN; INSERT INTO hero (id, name) VALUES (8, 'eight')").await.unwrap();
    let migrator = database
        .migrator_with::<third::Hero>(|settings| {
            settings.migration.large_table = 0;
            settings.migration.patience = Duration::from_millis(300);
        })
        .await;
    let error = migrator.migrate().await.unwrap_err();
    let process = number(&holder, "SELECT pg_backend_pid()::BIGINT").await;
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(error.to_string().contains("an index without use is left") && error.to_string().contains(&process.to_string()), "{error}");
    assert_eq!(number(&other, "SELECT count(*) FROM pg_index WHERE NOT indisvalid").await, 1);

    // One in the making is no leftover.
    holder.batch_execute("COMMIT").await.unwrap();
    database.run("DROP INDEX hero_name_key").await;
    holder.batch_execute("BEGIN; INSERT INTO hero (id, name) VALUES (9, 'nine')").await.unwrap();
    let making = tokio::spawn(async move { other.batch_execute("CREATE UNIQUE INDEX CONCURRENTLY hero_name_key ON hero (name)").await });
    let watcher = client(&database).await;
    until(&watcher, "SELECT count(*) FROM pg_stat_progress_create_index WHERE datname = current_database() AND index_relid <> 0").await;
    let plan = migrator.plan().await.unwrap();
    assert!(plan.steps.len() == 1 && plan.drift[0].what.contains("`hero_name_key` is being made by another session"), "{plan}");
    let error = migrator.migrate().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(error.to_string().contains("another session was making the index `hero_name_key` for 300ms"), "{error}");
    let patient = database.migrator_with::<third::Hero>(|settings| settings.migration.large_table = 0).await;
    let waiting = tokio::spawn(async move { patient.migrate().await.map(|report| report.applied.len()) });
    holder.batch_execute("COMMIT").await.unwrap();
    making.await.unwrap().unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), 0, "what the other made serves");
    assert!(migrator.plan().await.unwrap().is_empty());
    migrator.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_setting_of_a_file_outlives_it() {
    let (database, _) = postgres().await;
    let (migrator, files, client) = (database.migrator::<first::Hero>().await, tempfile::tempdir().unwrap(), client(&database).await);
    let settings = "CREATE SCHEMA IF NOT EXISTS other; CREATE TEMP TABLE hidden (id INT); SET search_path = other; SET timezone = 'Asia/Tokyo'; \
        SELECT set_config('lock_timeout', '77s', false), set_config('standard_conforming_strings', 'off', false)";
    let seen = "CREATE TABLE public.NAME AS SELECT current_setting('search_path') AS path, current_setting('timezone') AS zone, \
        current_setting('lock_timeout') AS lock, current_setting('standard_conforming_strings') AS strings, to_regclass('hidden') IS NULL AS is_gone";
    for (round, instruction) in [(1, "-- strata: no transaction\n"), (2, "")] {
        write(
            files.path(),
            &[
                (&format!("{round}0_set.sql"), &format!("{instruction}{settings}")),
                (&format!("{round}1_seen.sql"), &seen.replace("NAME", &format!("seen_{round}"))),
            ],
        );
        migrator.migrate_from(files.path()).await.unwrap();
        let query = format!(
            "SELECT count(*) FROM seen_{round} WHERE path LIKE '%public%' AND zone <> 'Asia/Tokyo' AND lock <> '77s' AND strings = 'on' AND is_gone"
        );
        assert_eq!(number(&client, &query).await, 1, "{instruction}");
    }
    migrator.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn columns_and_keys_that_no_write_can_use_are_told_with_what_mends_them() {
    for (id, name, more, part) in [
        ("id BIGINT GENERATED ALWAYS AS IDENTITY", "name TEXT NOT NULL", "PRIMARY KEY (id)", "the column is GENERATED ALWAYS"),
        ("id BIGINT", "name TEXT NOT NULL GENERATED ALWAYS AS ('x') STORED", "PRIMARY KEY (id)", "the column is GENERATED ALWAYS"),
        ("id BIGINT", "name TEXT NOT NULL", "PRIMARY KEY (id) DEFERRABLE", "primary key is (id) and DEFERRABLE"),
    ] {
        let (database, _) = postgres().await;
        database.run(&format!("CREATE TABLE hero ({id}, {name}, _version BIGINT NOT NULL DEFAULT 0, {more})")).await;
        let migrator = database.migrator::<first::Hero>().await;
        let refused = migrator.migrate().await.unwrap_err();
        assert!(refused.kind() == ErrorKind::SchemaMismatch && refused.to_string().contains(part), "{refused}");
        database.run(refused.to_string().split_once("run: ").unwrap().1).await;
        migrator.close().await.unwrap();
        filled(&database).await.close().await.unwrap();
    }
}

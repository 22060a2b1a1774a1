//! Migrations of two processes at once, which are killed wherever they are.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::types::Value;
use strata::pg::{PgConfig, PgTier};
use strata::sqlite::{SqliteConfig, SqliteTier};
use strata::{Settings, Store};
use tokio_postgres::NoTls;
use uuid::Uuid;

use super::files::write;
use super::{Database, first, second, third};
use store_tests::processes::{Process, answer, wait_for_go};

/// Tell the processes the database, the directory of SQL files, and from how many rows on indexes are made beside writers.
const DATABASE: &str = "STRATA_TEST_MIGRATED";
const FILES: &str = "STRATA_TEST_MIGRATED_FILES";
const LARGE: &str = "STRATA_TEST_MIGRATED_LARGE";

const ROWS: i64 = 500;

/// How often each layout is migrated, unless this variable says otherwise.
const ROUNDS: &str = "STRATA_MIGRATION_ROUNDS";
const FEW: usize = 2;

fn settings(large_table: u64) -> impl FnOnce(&mut Settings) {
    move |settings| {
        settings.migration.migrator_wait = Duration::from_secs(60);
        settings.migration.large_table = large_table;
    }
}

/// Not a test of its own: one of the processes that the tests below start and kill. It migrates twice, and tells what it did itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn process() {
    let Ok(database) = std::env::var(DATABASE) else { return };
    let (files, large_table) = (std::env::var(FILES).unwrap(), std::env::var(LARGE).unwrap().parse().unwrap());
    let builder = if database.contains("://") {
        Store::builder().tier(PgTier::connect(PgConfig::from_url(&database).unwrap()).await.unwrap())
    } else {
        Store::builder().tier(SqliteTier::open(SqliteConfig::new(database).with_busy_timeout(Duration::from_secs(60))).await.unwrap())
    };
    let migrator = builder.schema::<third::Hero>().configure(settings(large_table)).migrator().unwrap();
    wait_for_go();
    let mut done = Vec::new();
    for turn in 0..2 {
        for report in [migrator.migrate().await.unwrap(), migrator.migrate_from(&files).await.unwrap()] {
            assert!(turn == 0 || report.is_empty(), "{report:?}");
            done.extend(report.applied.into_iter().map(|record| record.what));
        }
    }
    answer(&format!("done {}", done.len()));
}

#[derive(Debug, Clone, Copy)]
enum Layout {
    None,
    First,
    Second,
}

/// What a migration starts from: a layout, and how many rows it has.
const STARTS: [(Layout, i64); 5] =
    [(Layout::None, 0), (Layout::First, 0), (Layout::First, ROWS), (Layout::Second, 0), (Layout::Second, ROWS)];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Sqlite,
    Postgres,
    /// With indexes that are made beside writers, each of which is a step outside of transactions.
    PostgresBeside,
}

impl Kind {
    async fn database(self) -> Database {
        match self {
            Kind::Sqlite => Database::Sqlite(tempfile::tempdir().unwrap()),
            Kind::Postgres | Kind::PostgresBeside => Database::Postgres(super::server::open().await.0),
        }
    }

    fn large_table(self) -> u64 {
        if self == Kind::PostgresBeside { 0 } else { u64::MAX }
    }
}

async fn made(kind: Kind, layout: Layout, rows: i64) -> Database {
    let database = kind.database().await;
    match layout {
        Layout::None => {}
        Layout::First => {
            let store = database.store::<first::Hero>().await;
            store.collection().unwrap().set_many((1..=rows).map(super::first)).await.unwrap();
            store.close().await.unwrap();
        }
        Layout::Second => {
            let store = database.store::<second::Hero>().await;
            let hero = |id| second::Hero { id, name: format!("hero {id}"), level: id, note: Some(format!("note {id}")) };
            store.collection().unwrap().set_many((1..=rows).map(hero)).await.unwrap();
            store.close().await.unwrap();
        }
    }
    database
}

fn start(kind: Kind, database: &Database, files: &Path) -> Process {
    let place = match database {
        Database::Sqlite(directory) => directory.path().join("store.db").to_str().unwrap().to_owned(),
        Database::Postgres(database) => database.url(),
    };
    let large_table = kind.large_table().to_string();
    Process::start("migrations::killed::process", &[(DATABASE, &place), (FILES, files.to_str().unwrap()), (LARGE, &large_table)])
}

fn finish(process: &mut Process) {
    let told = process.answer();
    assert!(told.as_deref().is_some_and(|told| told.starts_with("done")), "{told:?}");
}

/// Tables, columns, indexes, triggers and constraints as the database has them; then rows, without their versions.
async fn content(database: &Database) -> Vec<String> {
    match database {
        Database::Sqlite(directory) => {
            let file = rusqlite::Connection::open(directory.path().join("store.db")).unwrap();
            let mut content = Vec::new();
            for query in ["SELECT type, name, sql FROM sqlite_schema ORDER BY type, name", "SELECT * FROM hero ORDER BY id"] {
                let mut statement = file.prepare(query).unwrap();
                let names: Vec<_> = statement.column_names().map(str::to_owned).collect();
                let mut rows = statement.query([]).unwrap();
                while let Some(row) = rows.next().unwrap() {
                    let parts = names.iter().enumerate().filter(|(_, name)| *name != "_version");
                    content
                        .push(format!("{:?}", parts.map(|(place, name)| (name, row.get::<_, Value>(place).unwrap())).collect::<Vec<_>>()));
                }
            }
            content
        }
        Database::Postgres(database) => {
            const LAYOUT: &str = "
                SELECT concat_ws(' ', 'column', table_name, column_name, data_type, is_nullable, column_default) AS part
                    FROM information_schema.columns WHERE table_schema = 'public'
                UNION ALL SELECT concat_ws(' ', 'index', pg_get_indexdef(indexrelid), indisvalid)
                    FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE relnamespace = 'public'::regnamespace
                UNION ALL SELECT 'trigger ' || pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
                UNION ALL SELECT 'function ' || pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
                UNION ALL SELECT concat_ws(' ', 'constraint', conrelid::regclass, pg_get_constraintdef(oid))
                    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
                ORDER BY part";
            let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await.unwrap();
            tokio::spawn(connection);
            let mut rows = client.query(LAYOUT, &[]).await.unwrap();
            rows.extend(client.query("SELECT (to_jsonb(hero) - '_version')::TEXT FROM hero ORDER BY id", &[]).await.unwrap());
            rows.iter().map(|row| row.get(0)).collect()
        }
    }
}

/// That nothing is left to do, and that each row is what it was, with what the models and the file added, once. What was done by the records, in order.
async fn check(kind: Kind, database: &Database, layout: Layout, rows: i64, files: &Path) -> Vec<String> {
    let migrator = database.migrator_with::<third::Hero>(settings(kind.large_table())).await;
    let plan = migrator.plan().await.unwrap();
    assert!(plan.is_empty(), "{plan}");
    assert!(migrator.migrate_from(files).await.unwrap().is_empty());
    let done: Vec<_> =
        migrator.status().await.unwrap().into_iter().filter(|record| record.is_applied()).map(|record| record.what).collect();
    assert_eq!(done.len(), done.iter().collect::<BTreeSet<_>>().len(), "{done:?}");
    migrator.close().await.unwrap();

    let store = database.store::<third::Hero>().await;
    let heroes = store.collection::<third::Hero>().unwrap();
    assert_eq!(heroes.count(strata::Query::new()).await.unwrap(), rows as u64);
    for (id, hero) in (1..=rows).zip(heroes.get_many(1..=rows).await.unwrap()) {
        let level = if matches!(layout, Layout::Second) { id } else { 1 };
        let expected = third::Hero { name: format!("hero {id}+"), level, ..super::expected(id) };
        assert_eq!(hero.as_deref(), Some(&expected));
    }
    store.close().await.unwrap();
    done
}

/// A part of a time, by chance.
fn some_of(time: Duration) -> Duration {
    time.mul_f64((Uuid::new_v4().as_u128() % 1_000) as f64 / 1_000.0)
}

async fn migrate_and_kill(kind: Kind) {
    let rounds = std::env::var(ROUNDS).map_or(FEW, |rounds| rounds.parse().unwrap());
    let files = tempfile::tempdir().unwrap();
    write(files.path(), &[("1_mark.sql", "UPDATE hero SET name = name || '+'")]);
    let (mut killed, mut between) = (0, 0);
    for (layout, rows) in STARTS {
        let clean = made(kind, layout, rows).await;
        let mut process = start(kind, &clean, files.path());
        let begun = Instant::now();
        process.go();
        finish(&mut process);
        let whole = begun.elapsed();
        let steps = check(kind, &clean, layout, rows, files.path()).await;
        let wanted = content(&clean).await;

        for round in 0..rounds {
            let database = made(kind, layout, rows).await;
            let mut processes = [start(kind, &database, files.path()), start(kind, &database, files.path())];
            processes.iter_mut().for_each(Process::go);
            let [mut one, other] = processes;
            std::thread::sleep(some_of(whole));
            killed += usize::from(other.kill().is_none());
            if round % 2 == 0 {
                std::thread::sleep(some_of(whole));
                killed += usize::from(one.kill().is_none());
            } else {
                finish(&mut one);
            }
            let migrator = database.migrator_with::<third::Hero>(settings(kind.large_table())).await;
            let left = migrator.plan().await.unwrap().steps.len();
            between += usize::from(left > 0 && !migrator.status().await.unwrap().is_empty());
            migrator.close().await.unwrap();

            let mut processes = [start(kind, &database, files.path()), start(kind, &database, files.path())];
            processes.iter_mut().for_each(Process::go);
            processes.iter_mut().for_each(finish);
            let done = check(kind, &database, layout, rows, files.path()).await;
            // An index that was made beside writers may have lost its record, which is another transaction.
            let is_fit = if kind == Kind::PostgresBeside { done.iter().all(|what| steps.contains(what)) } else { done == steps };
            assert!(is_fit, "{layout:?}, {rows} rows: {done:?} instead of {steps:?}");
            assert_eq!(content(&database).await, wanted, "{layout:?}, {rows} rows");
        }
    }
    println!("{kind:?}: {killed} processes were killed at work, and left the database between two layouts {between} times");
    assert!(killed > 0, "no process was killed at work");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_that_are_killed_leave_sqlite_to_the_next() {
    migrate_and_kill(Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_that_are_killed_leave_postgres_to_the_next() {
    migrate_and_kill(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_that_are_killed_leave_postgres_with_indexes_beside_writers_to_the_next() {
    migrate_and_kill(Kind::PostgresBeside).await;
}

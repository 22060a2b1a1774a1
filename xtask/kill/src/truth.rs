//! The tiers of truth, and what the conductor sees of them past the store.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rusqlite::{Connection, OpenFlags};
use store_testkit::servers::{PostgresOptions, PostgresServer};

use crate::model::{Level, Place};

/// How long PostgreSQL may take to notice that a client was killed.
const MOURNING: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(5);

/// The name that a writer's connections have.
pub(crate) fn application(writer: u64) -> String {
    format!("strata-kill-{writer}")
}

pub(crate) enum Truth {
    /// The directory of the database.
    Sqlite(PathBuf),
    Postgres(Box<PostgresServer>),
}

/// A row of the audit, which a trigger writes in the transaction of each change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Audited {
    pub(crate) row: i64,
    pub(crate) place: Place,
    /// What was put, or what was deleted.
    pub(crate) number: i64,
    pub(crate) is_deletion: bool,
}

impl Truth {
    pub(crate) fn sqlite(directory: &Path) -> Self {
        Truth::Sqlite(directory.to_owned())
    }

    pub(crate) fn postgres() -> Result<Self> {
        Ok(Truth::Postgres(Box::new(PostgresServer::start(&PostgresOptions::default())?)))
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Truth::Sqlite(_) => "SQLite",
            Truth::Postgres(_) => "PostgreSQL",
        }
    }

    /// Where a writer finds it.
    pub(crate) fn address(&self) -> String {
        match self {
            Truth::Sqlite(directory) => database(directory).display().to_string(),
            Truth::Postgres(server) => server.url(),
        }
    }

    /// Puts the audit beside the tables, which a store has made.
    ///
    /// A statement that leaves the number alone is none of its changes: PostgreSQL's tier gives a new row its version by a second one.
    pub(crate) fn furnish(&self) -> Result<()> {
        let (row, trigger) = match self {
            Truth::Sqlite(_) => ("INTEGER PRIMARY KEY AUTOINCREMENT", sqlite_triggers as fn(Level) -> String),
            Truth::Postgres(_) => ("BIGSERIAL PRIMARY KEY", postgres_triggers as fn(Level) -> String),
        };
        let table = format!("CREATE TABLE kill_audit (number {row}, place TEXT NOT NULL, value BIGINT NOT NULL, deletion INT NOT NULL);");
        let triggers: String = Level::ALL.into_iter().map(trigger).collect();
        match self {
            Truth::Sqlite(directory) => Ok(Connection::open(database(directory))?.execute_batch(&(table + &triggers))?),
            Truth::Postgres(server) => Ok(server.query(&(table + &triggers)).map(drop)?),
        }
    }

    /// Waits until nothing is under way any more that a killed writer had sent.
    pub(crate) fn outlive(&self, writer: u64) -> Result<()> {
        let Truth::Postgres(server) = self else { return Ok(()) };
        let others = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '{}%' AND application_name <> '{}'",
            application_prefix(),
            application(writer)
        );
        let begun = Instant::now();
        while server.query(&others)? != "0" {
            if begun.elapsed() > MOURNING {
                bail!("PostgreSQL still works for a writer that was killed");
            }
            std::thread::sleep(STEP);
        }
        Ok(())
    }

    /// What is stored just after a kill, as a restart would find it. It looks at a copy of SQLite's files, so that the next writer is the first who recovers them.
    pub(crate) fn peek(&self) -> Result<Vec<(Place, i64)>> {
        let query = |level: Level| format!("SELECT '{}/' || id, number FROM {}", level.name(), level.table());
        let query = Level::ALL.map(query).join(" UNION ALL ");
        let rows = match self {
            Truth::Sqlite(directory) => {
                let copy = tempfile::tempdir()?;
                for name in ["store.db", "store.db-wal"] {
                    match std::fs::copy(directory.join(name), copy.path().join(name)) {
                        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                            return Err(error).context("the database cannot be copied");
                        }
                        _ => {}
                    }
                }
                let connection = Connection::open(database(copy.path()))?;
                read(&connection, &query)?
            }
            Truth::Postgres(server) => split(&server.query(&query)?),
        };
        rows.iter().map(|row| Ok((column(row, 0)?.parse()?, column(row, 1)?.parse()?))).collect()
    }

    /// The audit behind a row. No write may be under way.
    pub(crate) fn audit(&self, behind: i64) -> Result<Vec<Audited>> {
        let query = format!("SELECT number, place, value, deletion FROM kill_audit WHERE number > {behind} ORDER BY number");
        let audited = |row: &Vec<String>| {
            Ok(Audited {
                row: column(row, 0)?.parse()?,
                place: column(row, 1)?.parse()?,
                number: column(row, 2)?.parse()?,
                is_deletion: column(row, 3)? == "1",
            })
        };
        self.look(&query)?.iter().map(audited).collect()
    }

    /// What became dead letters. Nothing should: each key has one writer, and no write breaks a rule.
    pub(crate) fn dead_letters(&self) -> Result<Vec<String>> {
        let query = "SELECT \"schema\" || ' ' || \"key\" || ': ' || \"error\" FROM _strata_dead_letters";
        Ok(self.look(query)?.into_iter().map(|row| row.concat()).collect())
    }

    fn look(&self, query: &str) -> Result<Vec<Vec<String>>> {
        match self {
            Truth::Sqlite(directory) => {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                let connection = Connection::open_with_flags(database(directory), flags)?;
                connection.busy_timeout(MOURNING)?;
                read(&connection, query)
            }
            Truth::Postgres(server) => Ok(split(&server.query(query)?)),
        }
    }
}

fn application_prefix() -> String {
    application(0).trim_end_matches('0').to_owned()
}

fn database(directory: &Path) -> PathBuf {
    directory.join("store.db")
}

fn read(connection: &Connection, query: &str) -> Result<Vec<Vec<String>>> {
    let mut statement = connection.prepare(query)?;
    let columns = statement.column_count();
    let text = |row: &rusqlite::Row<'_>, column| {
        Ok(match row.get_ref(column)? {
            rusqlite::types::ValueRef::Integer(number) => number.to_string(),
            other => other.as_str().unwrap_or_default().to_owned(),
        })
    };
    let rows = statement.query_map([], |row| (0..columns).map(|column| text(row, column)).collect())?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn split(answer: &str) -> Vec<Vec<String>> {
    answer.lines().map(|line| line.split('|').map(str::to_owned).collect()).collect()
}

fn column(row: &[String], column: usize) -> Result<&str> {
    row.get(column).map(String::as_str).context("the truth answered too few columns")
}

fn sqlite_triggers(level: Level) -> String {
    let (name, table) = (level.name(), level.table());
    let trigger = |event: &str, row: &str, deletion: u8| {
        let verb = event.split(' ').next().unwrap_or(event);
        format!(
            "CREATE TRIGGER {table}_{verb} AFTER {event} ON {table} BEGIN
                INSERT INTO kill_audit (place, value, deletion) VALUES ('{name}/' || {row}.id, {row}.number, {deletion});
            END;"
        )
    };
    [trigger("INSERT", "NEW", 0), trigger("UPDATE OF number", "NEW", 0), trigger("DELETE", "OLD", 1)].concat()
}

fn postgres_triggers(level: Level) -> String {
    let (name, table) = (level.name(), level.table());
    format!(
        "CREATE FUNCTION {table}_audit() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN
            IF TG_OP = 'DELETE' THEN
                INSERT INTO kill_audit (place, value, deletion) VALUES ('{name}/' || OLD.id, OLD.number, 1);
            ELSE
                INSERT INTO kill_audit (place, value, deletion) VALUES ('{name}/' || NEW.id, NEW.number, 0);
            END IF;
            RETURN NULL;
        END; $$;
        CREATE TRIGGER {table}_audit AFTER INSERT OR UPDATE OF number OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_audit();"
    )
}

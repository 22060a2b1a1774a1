//! What the server tells of itself, for people who set it up.

use std::time::{Duration, Instant, SystemTime};

use store_core::Finding;
use tokio_postgres::Row;

use crate::error::{Attempt, Failure};
use crate::pool::Pool;

/// The oldest server that is known to do.
const OLDEST: i32 = 14;
/// How many round trips are made; the quickest counts.
const ROUND_TRIPS: u32 = 5;
/// Above this part of the server's connections a burst is refused soon.
const MANY: f64 = 0.8;

const FACTS: &str = "SELECT current_setting('server_version_num')::INT / 10000, split_part(current_setting('server_version'), ' ', 1), \
    pg_is_in_recovery(), current_user::TEXT, current_schema()::TEXT, coalesce(has_schema_privilege(current_schema(), 'CREATE'), false), \
    current_setting('fsync') = 'on', current_setting('max_connections')::INT, (SELECT sum(numbackends)::INT FROM pg_stat_database), \
    extract(epoch FROM clock_timestamp())::FLOAT8";

const EXTENSIONS: &str = "SELECT wanted.name, wanted.use, wanted.package, extension.installed_version IS NOT NULL \
    FROM (VALUES ('pg_trgm', 'search by similarity', 'the contrib package of PostgreSQL'), ('vector', 'vectors', 'the package of pgvector')) \
        AS wanted (name, use, package) \
    LEFT JOIN pg_available_extensions AS extension ON extension.name = wanted.name ORDER BY wanted.name";

pub(crate) async fn diagnose(pool: &Pool) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Err(error) = look(pool, &mut findings).await {
        findings.push(Finding::problem(error.to_string(), "check DATABASE_URL, the server and its log"));
    }
    findings
}

async fn look(pool: &Pool, findings: &mut Vec<Finding>) -> store_core::Result<()> {
    let facts = one(pool, FACTS).await?;
    let asked = SystemTime::now();
    facts_of(&facts, asked, findings).map_err(|failure| failure.into_error(Attempt::Log))?;
    let mut quickest = Duration::MAX;
    for _ in 0..ROUND_TRIPS {
        let begun = Instant::now();
        pool.read("SELECT 1", &[], Attempt::Log).await?;
        quickest = quickest.min(begun.elapsed());
    }
    findings.push(Finding::of_latency(quickest));
    for row in pool.read(EXTENSIONS, &[], Attempt::Log).await? {
        findings.push(extension(&row).map_err(|failure| failure.into_error(Attempt::Log))?);
    }
    Ok(())
}

async fn one(pool: &Pool, text: &str) -> store_core::Result<Row> {
    let none = || store_core::Error::new(store_core::ErrorKind::Internal, "the server answered without a row");
    pool.read(text, &[], Attempt::Log).await?.into_iter().next().ok_or_else(none)
}

fn facts_of(facts: &Row, asked: SystemTime, findings: &mut Vec<Finding>) -> Result<(), Failure> {
    let (major, version): (i32, String) = (facts.try_get(0)?, facts.try_get(1)?);
    findings.push(if major >= OLDEST {
        Finding::fine(format!("PostgreSQL {version}"))
    } else {
        Finding::problem(format!("PostgreSQL {version} is older than {OLDEST}, the oldest that does"), "upgrade the server")
    });
    if facts.try_get(2)? {
        findings.push(Finding::problem("the server is a standby and takes no writes", "name the primary in DATABASE_URL"));
    }
    let (role, schema): (String, Option<String>) = (facts.try_get(3)?, facts.try_get(4)?);
    findings.push(match schema {
        None => Finding::problem(
            "no schema of the search path exists",
            "CREATE SCHEMA …, or set the search path: ALTER ROLE … SET search_path = …",
        ),
        Some(schema) if facts.try_get(5)? => Finding::fine(format!("the role `{role}` may create tables in the schema `{schema}`")),
        Some(schema) => Finding::notice(
            format!("the role `{role}` may not create tables in the schema `{schema}`, so it cannot migrate"),
            format!("migrate with another role, or: GRANT CREATE ON SCHEMA \"{schema}\" TO \"{role}\""),
        ),
    });
    if !facts.try_get::<_, bool>(6)? {
        findings.push(Finding::problem("`fsync` is off: a crash of its machine loses commits", "ALTER SYSTEM SET fsync = on"));
    }
    let (most, used): (i32, i32) = (facts.try_get(7)?, facts.try_get(8)?);
    let connections = format!("{used} of {most} connections are in use");
    findings.push(if f64::from(used) < f64::from(most) * MANY {
        Finding::fine(connections)
    } else {
        Finding::notice(connections, "raise `max_connections` of the server, or lower STRATA_PG_MAX_CONNECTIONS of its users")
    });
    let there = Duration::try_from_secs_f64(facts.try_get(9)?).unwrap_or_default();
    let here = asked.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    findings.push(Finding::of_clocks(there.abs_diff(here)));
    Ok(())
}

fn extension(row: &Row) -> Result<Finding, Failure> {
    let (name, purpose, package): (&str, &str, &str) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    Ok(match row.try_get(3)? {
        Some(true) => Finding::fine(format!("the extension {name} ({purpose}) is installed")),
        Some(false) => Finding::fine(format!("the extension {name} ({purpose}) is available")),
        None => {
            Finding::notice(format!("the extension {name} ({purpose}) is not available"), format!("install {package} if a model needs it"))
        }
    })
}

//! What the server tells of itself, for people who set it up.

use std::time::{Duration, Instant, SystemTime};

use store_core::sql::{Dialect, VERSION_COLUMN};
use store_core::{Finding, ReplicaHealth};
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

/// Rights on what is there and Strata uses: the sequence of versions, its own tables, and tables with a column of versions, which are those of models. Of a table
/// that stores only read from or append to, all rights are asked for all the same, as each has one command that needs the others.
const RIGHTS: &str = "SELECT relation.name, relation.kind, string_agg(wanted.name, ', ' ORDER BY wanted.place) \
    FROM (SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS name, CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind \
        FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
        WHERE n.nspname = ANY (current_schemas(false)) AND NOT c.relispartition AND (c.relkind = 'S' AND c.relname = '_strata_version' \
            OR c.relkind IN ('r', 'p', 'v') AND (c.relname = ANY ('{_strata_log,_strata_log_pruned,_strata_journals,_strata_dead_letters}') \
                OR EXISTS (SELECT FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = $1::TEXT AND NOT a.attisdropped)))) AS relation \
    JOIN (VALUES (1, 'SELECT', 'TABLE'), (2, 'INSERT', 'TABLE'), (3, 'UPDATE', 'TABLE'), (4, 'DELETE', 'TABLE'), (5, 'USAGE', 'SEQUENCE')) \
        AS wanted (place, name, kind) ON wanted.kind = relation.kind \
    WHERE NOT CASE relation.kind WHEN 'SEQUENCE' THEN has_sequence_privilege(relation.oid, wanted.name) \
        ELSE has_table_privilege(relation.oid, wanted.name) END \
    GROUP BY relation.name, relation.kind ORDER BY relation.name";

/// `replicas`: as they were met.
pub(crate) async fn diagnose(pool: &Pool, replicas: Vec<ReplicaHealth>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Err(error) = look(pool, &mut findings).await {
        findings.push(Finding::problem(error.to_string(), "check DATABASE_URL, the server and its log"));
    }
    findings.extend(replicas.into_iter().map(replica));
    findings
}

fn replica(replica: ReplicaHealth) -> Finding {
    let ReplicaHealth { address, is_used, lag, last_error, .. } = replica;
    match (is_used, lag, last_error) {
        (true, Some(lag), _) => Finding::fine(format!("the read replica {address} answers, at most {lag:.1?} behind")),
        (true, None, _) => Finding::fine(format!("the read replica {address} answers")),
        (false, _, Some(error)) => Finding::problem(
            format!("the read replica {address} is given no reads: {error}"),
            "check STRATA_PG_READ_REPLICA_URL, the server and its log",
        ),
        (false, ..) => Finding::notice(
            format!("the read replica {address} is given no reads, as it is too far behind, or not known to be near"),
            "let it catch up, or raise STRATA_PG_MAX_REPLICA_LAG",
        ),
    }
}

async fn look(pool: &Pool, findings: &mut Vec<Finding>) -> store_core::Result<()> {
    let facts = one(pool, FACTS).await?;
    let asked = SystemTime::now();
    facts_of(&facts, asked, findings).map_err(|failure| failure.into_error(Attempt::Log))?;
    rights(pool, &facts, findings).await?;
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

async fn rights(pool: &Pool, facts: &Row, findings: &mut Vec<Finding>) -> store_core::Result<()> {
    let lacking = pool.read(RIGHTS, &[&VERSION_COLUMN], Attempt::Log).await?;
    let told = |failure: Failure| failure.into_error(Attempt::Log);
    let role: String = facts.try_get(3).map_err(|error| told(error.into()))?;
    if lacking.is_empty() {
        findings.push(Finding::fine(format!("the role `{role}` may read and write the tables that are there")));
    }
    for row in &lacking {
        findings.push(lacking_right(row, &role).map_err(told)?);
    }
    Ok(())
}

fn lacking_right(row: &Row, role: &str) -> Result<Finding, Failure> {
    let (name, kind, rights): (&str, &str, &str) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let grantee = Dialect::Postgres.quote(role);
    Ok(Finding::problem(
        format!("the role `{role}` lacks rights on the {} `{name}`: {rights}", kind.to_lowercase()),
        format!("GRANT {rights} ON {kind} {name} TO {grantee}"),
    ))
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

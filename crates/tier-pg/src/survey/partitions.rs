//! Partitions that a table lacks.

use std::sync::Arc;
use std::time::SystemTime;

use store_core::sql::{PartitionPlan, partition_plans};
use store_core::{Blocking, BoundSchema, PartitionDefinition, Partitioning, Span, Timestamp};

use super::{DIALECT, Part, Survey, Task, Wanted, drift, of_schema_drift, step, task};
use crate::catalog::{self, Relation, mismatch};
use crate::error::Failure;
use crate::pool::Lease;

/// How many rows are moved out of the default partition while nobody can use it. More are left there, and told of.
const MOST_MOVED: i64 = 10_000;

/// A partition of a table.
struct Present {
    oid: u32,
    /// Its name, with that of the database's schema if it is not the first of the search path.
    name: String,
    /// Which rows it holds, as PostgreSQL spells it.
    bound: String,
    /// From and until, in microseconds since 1970, for one of a range of times.
    from: Option<i64>,
    until: Option<i64>,
}

impl Present {
    fn is_default(&self) -> bool {
        self.bound == "DEFAULT"
    }

    /// Whether it is of a period, and of another one than a planned partition.
    fn is_of_another_period(&self, plan: &PartitionPlan) -> bool {
        let is_other =
            |(span, (from, until)): (&Span, (i64, i64))| (from, until) != (span.from.as_microseconds(), span.until.as_microseconds());
        plan.span.as_ref().zip(self.from.zip(self.until)).is_some_and(is_other)
    }

    /// Whether it holds, or keeps others from holding, all the rows of a planned one; `Err` if it holds some of them.
    fn covers(&self, plan: &PartitionPlan) -> Result<bool, ()> {
        if let Some(span) = &plan.span {
            let (from, until) = (span.from.as_microseconds(), span.until.as_microseconds());
            if self.is_default() {
                return Ok(false);
            }
            let (own_from, own_until) = (self.from.unwrap_or(i64::MIN), self.until.unwrap_or(i64::MAX));
            return match own_from <= from && until <= own_until {
                true => Ok(true),
                false if own_from < until && from < own_until => Err(()),
                false => Ok(false),
            };
        }
        if plan.is_default() || self.is_default() {
            return Ok(plan.is_default() && self.is_default());
        }
        let (own, planned) = (items(&self.bound), items(&plan.bound));
        // Of a hash both numbers count.
        let is_hash = plan.bound.contains("MODULUS");
        Ok(if is_hash { own == planned } else { planned.iter().all(|value| own.contains(value)) })
    }
}

/// What stands behind the table's name in that of a partition, if Strata may have made it up.
fn label<'a>(schema: &BoundSchema, name: &'a str) -> Option<&'a str> {
    DIALECT.split_table(name).1.strip_prefix(DIALECT.split_table(schema.table()).1)?.strip_prefix('_')
}

/// Whether it is a number, or several as in a date.
fn is_date(label: &str) -> bool {
    label.split('_').all(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What stands in the parentheses of a bound, so that items that mean the same are equal. PostgreSQL quotes some numbers, and has its own mind about the case of
/// booleans; of text both are as they are written.
fn items(bound: &str) -> Vec<String> {
    let list = bound.split_once('(').and_then(|(_, list)| list.strip_suffix(')')).unwrap_or_default();
    let (mut items, mut is_quoted) = (vec![String::new()], false);
    for character in list.chars() {
        is_quoted ^= character == '\'';
        match items.last_mut() {
            Some(item) if is_quoted || !matches!(character, ',' | ' ') => item.push(character),
            _ if character == ',' => items.push(String::new()),
            _ => {}
        }
    }
    let plain = |item: String| {
        let bare = item.trim_matches('\'');
        match bare.parse::<f64>() {
            Ok(_) => bare.to_owned(),
            Err(_) if bare.len() == item.len() => item.to_lowercase(),
            Err(_) => item,
        }
    };
    items.into_iter().map(plain).collect()
}

fn now() -> Timestamp {
    // The clock stands before 4714 BC nowhere.
    Timestamp::from_system_time(SystemTime::now()).unwrap_or(Timestamp::MIN)
}

/// Adds those of a table that is made in the same transaction.
pub(super) async fn of_new_table(lease: &Lease, schema: &Arc<BoundSchema>, new: &mut Vec<Task>) -> Result<(), Failure> {
    for plan in partition_plans(schema, now()) {
        check_name(lease, schema, &plan).await?;
        new.push(partition(schema, &plan, plan.create_statement(schema), Blocking::Nobody));
    }
    Ok(())
}

/// Adds those that tables lack which are there.
pub(super) async fn of_all(lease: &Lease, wanted: Wanted<'_>, survey: &mut Survey) -> Result<(), Failure> {
    for schema in wanted.schemas.iter().filter(|schema| schema.definition().partition().is_some()) {
        let Some(relation) = catalog::relation(lease, schema.table()).await? else { continue };
        let mut part = Part::default();
        match of_old_table(lease, schema, &relation, wanted.large_table, &mut part).await {
            Ok(()) => {
                survey.groups.extend(Some(part.changes).filter(|group| !group.is_empty()));
                survey.drift.extend(part.drift);
            }
            Err(failure) => survey.refuse(schema.name(), failure)?,
        }
    }
    Ok(())
}

/// Adds those that a table lacks. Rows that wait for one in the default partition are moved if they are few, and told of if they are many.
pub(super) async fn of_old_table(
    lease: &Lease,
    schema: &Arc<BoundSchema>,
    relation: &Relation,
    large_table: u64,
    part: &mut Part,
) -> Result<(), Failure> {
    let Some(definition) = schema.definition().partition() else { return Ok(()) };
    check_key(lease, schema, relation).await?;
    let present = partitions(lease, relation.oid).await?;
    let default = present.iter().find(|partition| partition.is_default());
    let is_hash = matches!(definition.partitioning, Partitioning::Hash { .. });
    for plan in partition_plans(schema, now()) {
        let covered: Vec<_> = present.iter().map(|partition| (partition, partition.covers(&plan))).collect();
        if covered.iter().any(|(_, covered)| *covered == Ok(true)) {
            continue;
        }
        let mut told = |what: String| part.drift.push(drift(schema, definition.column, what));
        if let Some((other, _)) = covered.iter().find(|(_, covered)| covered.is_err()) {
            told(format!(
                "the partition `{}` is not made, as `{}` holds a part of its period; the rows of the rest go to the default partition; {}",
                plan.table,
                other.name,
                dividing_anew(schema, &other.name)
            ));
            continue;
        }
        if is_hash && !present.is_empty() {
            let modulus =
                |bound: &str| bound.to_lowercase().split_once("modulus ").and_then(|(_, rest)| Some(rest.split_once(',')?.0.to_owned()));
            if present.iter().any(|partition| modulus(&partition.bound) != modulus(&plan.bound)) {
                return Err(divided_otherwise(schema, definition, "is divided into another number of partitions"));
            }
            check_name(lease, schema, &plan).await?;
            let message = format!("the table lacks the partition `{}`, and has others; run: {}", plan.table, plan.create_statement(schema));
            return Err(mismatch(schema, message).into());
        }
        check_name(lease, schema, &plan).await?;
        let Some(default) = default.filter(|_| plan.condition.is_some()) else {
            part.changes.push(partition(schema, &plan, attach_statements(&plan, schema).join("; "), Blocking::Briefly));
            continue;
        };
        let referring = reference_from_elsewhere(lease, relation.oid, default.oid).await?;
        // PostgreSQL reads the default partition to its end before it lets another one be.
        let is_large = catalog::estimated_rows(lease, default.oid).await? >= large_table;
        let waiting = if is_large { MOST_MOVED + 1 } else { waiting(lease, &plan, &default.name).await? };
        let statements = match &referring {
            None => {
                let (columns, triggers) = (columns(lease, relation.oid).await?, deletion_triggers(lease, default.oid).await?);
                move_statements(&plan, schema, &default.name, &columns, &triggers)
            }
            Some(_) => attach_statements(&plan, schema).to_vec(),
        };
        match (waiting, referring) {
            // Rows may have come since they were counted. So they are moved whether there were any or not.
            (0..=MOST_MOVED, None) | (0, _) => {
                part.changes.push(partition(schema, &plan, statements.join("; "), Blocking::Briefly));
            }
            (_, Some(reference)) => told(format!(
                "the partition `{}` is not made, as rows may wait for it in the default partition `{}`, and for the reference {reference} to move them is to delete \
                 them; they stay there until you drop the reference, migrate, and add it again",
                plan.table, default.name
            )),
            (_, None) => told(format!(
                "the partition `{}` is not made, as the default partition `{}` holds too many rows to keep others from it meanwhile; its rows go there until, at a \
                 quiet time, you run: BEGIN; {}; COMMIT",
                plan.table,
                default.name,
                statements.join("; ")
            )),
        }
    }
    Ok(())
}

/// Tells of partitions that the model would have made otherwise, and that stay.
pub(super) async fn tell_of_others(lease: &Lease, schema: &BoundSchema, relation: &Relation, part: &mut Part) -> Result<(), Failure> {
    if !relation.is_divided() {
        return Ok(());
    }
    let present = partitions(lease, relation.oid).await?;
    let Some(definition) = schema.definition().partition() else {
        // A table that somebody divided by hand is theirs to care for.
        let is_made_up = |label: &str| label == "default" || label.strip_prefix("hash").is_some_and(is_date);
        if present.iter().any(|partition| label(schema, &partition.name).is_some_and(is_made_up)) {
            let what = format!(
                "the table is divided, and the model does not say how: its partitions stay, and nobody makes new ones, so that rows of no partition go to the default \
                 one; say `partition_by` again, or {}",
                making_anew(schema)
            );
            part.drift.push(of_schema_drift(schema, what));
        }
        return Ok(());
    };
    let plans = partition_plans(schema, now());
    let of_another_period = |partition: &&Present| {
        label(schema, &partition.name).is_some_and(is_date)
            && plans.iter().any(|plan| partition.covers(plan) == Ok(true) && partition.is_of_another_period(plan))
    };
    for partition in present.iter().filter(of_another_period) {
        let what = format!(
            "the partition `{}` is of another period than the model's `every`, and stays; those of the model follow behind it; {}",
            partition.name,
            dividing_anew(schema, &partition.name)
        );
        part.drift.push(drift(schema, definition.column, what));
    }
    Ok(())
}

/// A reference to the table or to its default partition, which no model can have: somebody made it by hand.
async fn reference_from_elsewhere(lease: &Lease, table: u32, default: u32) -> Result<Option<String>, Failure> {
    const TEXT: &str = "SELECT format('`%s` of `%s`', conname, conrelid::REGCLASS) FROM pg_catalog.pg_constraint \
        WHERE contype = 'f' AND confrelid IN ($1::OID, $2::OID) AND conparentid = 0 ORDER BY oid LIMIT 1";
    Ok(lease.query_opt(TEXT, &[&table, &default]).await?.map(|row| row.try_get(0)).transpose()?)
}

/// How many rows of a partition that is to be made lie in the default one, up to one more than are moved.
async fn waiting(lease: &Lease, plan: &PartitionPlan, default: &str) -> Result<i64, Failure> {
    let condition = plan.condition.as_deref().unwrap_or("FALSE");
    let limit = MOST_MOVED + 1;
    let text =
        format!("SELECT count(*) FROM (SELECT FROM ONLY {} WHERE {condition} LIMIT {limit}) AS waiting", DIALECT.quote_table(default));
    Ok(lease.query_one(&text, &[]).await?.try_get(0)?)
}

fn partition(schema: &Arc<BoundSchema>, plan: &PartitionPlan, sql: String, blocking: Blocking) -> Task {
    let what = format!("make the partition `{}`", plan.table);
    task(Some(schema), None, step(Some(schema), what, "the model divides its table", sql, blocking))
}

/// The statements that make a partition, empty, beside readers and writers of the other partitions: run as one transaction.
fn attach_statements(plan: &PartitionPlan, schema: &BoundSchema) -> [String; 2] {
    let (table, parent) = (DIALECT.quote_table(&plan.table), DIALECT.quote_table(schema.table()));
    [
        format!("CREATE TABLE {table} (LIKE {parent} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED)"),
        format!("ALTER TABLE {parent} ATTACH PARTITION {table} {}", plan.bound),
    ]
}

/// The statements that make a partition of rows that lie in the default one, by all columns of the table: run as one transaction, which keeps others from both
/// partitions meanwhile. A row that is moved is not deleted, so no trigger hears of it: the new partition gets those of the table once the rows are there.
fn move_statements(
    plan: &PartitionPlan,
    schema: &BoundSchema,
    default: &str,
    columns: &[String],
    triggers: &[DeletionTrigger],
) -> Vec<String> {
    let (table, default) = (DIALECT.quote_table(&plan.table), DIALECT.quote_table(default));
    let condition = plan.condition.as_deref().unwrap_or("FALSE");
    let columns = columns.iter().map(|name| DIALECT.quote(name)).collect::<Vec<_>>().join(", ");
    let of_triggers = |change: &dyn Fn(&DeletionTrigger) -> &'static str| {
        let actions = triggers.iter().map(|trigger| format!("{} {}", change(trigger), DIALECT.quote(&trigger.name)));
        let actions = actions.collect::<Vec<_>>().join(", ");
        (!actions.is_empty()).then(|| format!("ALTER TABLE {default} {actions}"))
    };
    let [create, attach] = attach_statements(plan, schema);
    let mut statements = vec![format!("{LOCK} {default} IN ACCESS EXCLUSIVE MODE"), create];
    statements.extend(of_triggers(&|_| "DISABLE TRIGGER"));
    statements.push(format!(
        "WITH moved AS (DELETE FROM ONLY {default} WHERE {condition} RETURNING *) INSERT INTO {table} ({columns}) SELECT {columns} FROM moved"
    ));
    statements.extend(of_triggers(&|trigger| trigger.enable));
    statements.push(attach);
    statements
}

/// What the statements begin with that move rows.
const LOCK: &str = "LOCK TABLE";

/// Whether a step moves rows out of the default partition, which nobody writes to meanwhile.
pub(crate) fn moves_rows(statements: &str) -> bool {
    statements.starts_with(LOCK)
}

/// A trigger that a deletion fires, and what enables it as it is now.
struct DeletionTrigger {
    name: String,
    enable: &'static str,
}

/// The triggers that are in force for deletions from a partition, but for those of references. Those that it has of its table count as internal up to PostgreSQL 14.
async fn deletion_triggers(lease: &Lease, partition: u32) -> Result<Vec<DeletionTrigger>, Failure> {
    const TEXT: &str = "SELECT t.tgname::TEXT, t.tgenabled::TEXT FROM pg_catalog.pg_trigger AS t \
        LEFT JOIN pg_catalog.pg_constraint AS c ON c.oid = t.tgconstraint \
        WHERE t.tgrelid = $1::OID AND t.tgtype & 8 <> 0 AND t.tgenabled <> 'D' AND (NOT t.tgisinternal OR t.tgparentid <> 0) \
        AND c.contype IS DISTINCT FROM 'f' ORDER BY t.tgname";
    let rows = lease.query(TEXT, &[&partition]).await?;
    rows.iter()
        .map(|row| {
            let enable = match row.try_get::<_, &str>(1)? {
                "A" => "ENABLE ALWAYS TRIGGER",
                "R" => "ENABLE REPLICA TRIGGER",
                _ => "ENABLE TRIGGER",
            };
            Ok(DeletionTrigger { name: row.try_get(0)?, enable })
        })
        .collect()
}

async fn check_name(lease: &Lease, schema: &BoundSchema, plan: &PartitionPlan) -> Result<(), Failure> {
    if catalog::relation(lease, &plan.table).await?.is_none() {
        return Ok(());
    }
    let message = format!("the partition `{0}` cannot be made, as something else has the name `{0}`; give that another name", plan.table);
    Err(mismatch(schema, message).into())
}

/// Refuses a table that is not divided, or otherwise.
async fn check_key(lease: &Lease, schema: &BoundSchema, relation: &Relation) -> Result<(), Failure> {
    let Some(partition) = schema.definition().partition() else { return Ok(()) };
    let strategy = match partition.partitioning {
        Partitioning::Range { .. } => "r",
        Partitioning::List { .. } => "l",
        Partitioning::Hash { .. } => "h",
    };
    const TEXT: &str = "SELECT p.partstrat::TEXT = $2::TEXT AND p.partnatts = 1 AND a.attname = $3::TEXT \
        FROM pg_catalog.pg_partitioned_table AS p LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0] \
        WHERE p.partrelid = $1::OID";
    let row = lease.query_opt(TEXT, &[&relation.oid, &strategy, &partition.column]).await?;
    let found: Option<Option<bool>> = row.map(|row| row.try_get(0)).transpose()?;
    match found {
        Some(Some(true)) => Ok(()),
        Some(_) => Err(divided_otherwise(schema, partition, &format!("is divided otherwise than by `{}`", partition.column))),
        None => Err(divided_otherwise(schema, partition, "is not divided")),
    }
}

/// The refusal of a table that is divided otherwise than its model wants.
fn divided_otherwise(schema: &BoundSchema, partition: &PartitionDefinition, is: &str) -> Failure {
    let message = format!("the table {is}, which PostgreSQL cannot change in place; {}", making_anew(schema));
    mismatch(schema, message).with_column(partition.column).into()
}

/// How the rows of a partition come into others.
fn dividing_anew(schema: &BoundSchema, partition: &str) -> String {
    let quoted = DIALECT.quote_table(partition);
    format!(
        "to divide its rows anew, at a quiet time run: ALTER TABLE {} DETACH PARTITION {quoted}; ALTER TABLE {quoted} RENAME TO {}; then migrate, insert the rows into \
         the table again, and drop what was set aside",
        DIALECT.quote_table(schema.table()),
        DIALECT.quote(&format!("{}_before", DIALECT.split_table(partition).1))
    )
}

/// How a table becomes one that is divided as its model says.
pub(super) fn making_anew(schema: &BoundSchema) -> String {
    let table = schema.table();
    let aside = format!("{}_before", DIALECT.split_table(table).1);
    format!(
        "at a quiet time run: ALTER TABLE {} RENAME TO {}; then migrate, which makes the table anew, copy the rows into it (INSERT INTO … SELECT …), and drop the \
         old one",
        DIALECT.quote_table(table),
        DIALECT.quote(&aside)
    )
}

/// The columns that a row is copied by.
async fn columns(lease: &Lease, table: u32) -> Result<Vec<String>, Failure> {
    const TEXT: &str = "SELECT attname::TEXT FROM pg_catalog.pg_attribute \
        WHERE attrelid = $1::OID AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum";
    let rows = lease.query(TEXT, &[&table]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

async fn partitions(lease: &Lease, table: u32) -> Result<Vec<Present>, Failure> {
    // The ends of all time are no moments to count to.
    let moment = |side: &str| {
        format!(
            "CASE WHEN is_time THEN (CASE {side} WHEN '-infinity' THEN {} WHEN 'infinity' THEN {} \
             ELSE extract(epoch FROM {side}::TIMESTAMPTZ) * 1000000 END)::BIGINT END",
            i64::MIN,
            i64::MAX
        )
    };
    let (from, until) =
        (moment("substring(bound FROM 'FROM \\(''([^'']*)''\\)')"), moment("substring(bound FROM 'TO \\(''([^'']*)''\\)')"));
    let text = format!(
        "SELECT oid, name, bound, {from}, {until} \
        FROM (SELECT c.oid, CASE WHEN n.nspname = current_schema() THEN '' ELSE n.nspname || '.' END || c.relname AS name, \
            pg_get_expr(c.relpartbound, c.oid) AS bound, \
            (SELECT a.atttypid = 'TIMESTAMPTZ'::REGTYPE FROM pg_catalog.pg_partitioned_table AS p \
                JOIN pg_catalog.pg_attribute AS a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0] WHERE p.partrelid = i.inhparent) AS is_time \
            FROM pg_catalog.pg_inherits AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid \
            JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE i.inhparent = $1::OID) AS partition ORDER BY name"
    );
    let rows = lease.query(&text, &[&table]).await?;
    rows.iter()
        .map(|row| {
            let (oid, name, bound) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            Ok(Present { oid, name, bound, from: row.try_get(3)?, until: row.try_get(4)? })
        })
        .collect()
}

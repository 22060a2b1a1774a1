//! Partitions of PostgreSQL's tables from a schema.

use super::dialect::Dialect;
use super::name::fit;
use crate::schema::{BoundSchema, DefaultValue, PartitionDefinition, Partitioning, Span};
use crate::timestamp::Timestamp;

const DIALECT: Dialect = Dialect::Postgres;

/// A partition as it is made.
///
/// ```
/// use store_core::sql::partition_plans;
/// use store_core::{BoundSchema, Schema, Timestamp};
/// # use store_derive::Schema;
///
/// #[derive(Schema)]
/// #[schema(partition_by(range(at), every = "1 month", ahead = 1))]
/// struct Event {
///     #[schema(primary_key)]
///     id: i64,
///     #[schema(primary_key)]
///     at: Timestamp,
/// }
///
/// let schema = BoundSchema::standalone(Event::definition());
/// let plans = partition_plans(&schema, Timestamp::from_microseconds(0)?);
/// let names: Vec<_> = plans.iter().map(|plan| plan.table.as_str()).collect();
/// assert_eq!(names, ["event_default", "event_1970_01", "event_1970_02"]);
/// assert_eq!(plans[1].bound, "FOR VALUES FROM ('1970-01-01 00:00:00+00') TO ('1970-02-01 00:00:00+00')");
/// # Ok::<(), store_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionPlan {
    /// Its table, in the database's schema of the table that it is a part of.
    pub table: String,
    /// Which rows it holds: what stands behind `PARTITION OF …`.
    pub bound: String,
    /// Which rows it holds, as a condition; `None` for those that the partition's place in the table says alone.
    pub condition: Option<String>,
    /// The period, for one of a range.
    pub span: Option<Span>,
}

impl PartitionPlan {
    /// Whether it is the one for the rows of no other.
    pub fn is_default(&self) -> bool {
        self.bound == DEFAULT
    }

    /// The statement that makes it, empty.
    pub fn create_statement(&self, schema: &BoundSchema) -> String {
        let (table, parent) = (DIALECT.quote_table(&self.table), DIALECT.quote_table(schema.table()));
        format!("CREATE TABLE {table} PARTITION OF {parent} {}", self.bound)
    }
}

const DEFAULT: &str = "DEFAULT";

/// What stands behind the columns of a table that is divided; nothing for others.
pub(super) fn partition_clause(schema: &BoundSchema) -> String {
    let Some(partition) = schema.definition().partition() else { return String::new() };
    let by = match partition.partitioning {
        Partitioning::Range { .. } => "RANGE",
        Partitioning::List { .. } => "LIST",
        Partitioning::Hash { .. } => "HASH",
    };
    format!(" PARTITION BY {by} ({})", DIALECT.quote(partition.column))
}

/// The partitions that a table in PostgreSQL should have at a moment: the default one first, then the others in their order.
pub fn partition_plans(schema: &BoundSchema, now: Timestamp) -> Vec<PartitionPlan> {
    let Some(PartitionDefinition { column, partitioning }) = schema.definition().partition() else { return Vec::new() };
    let name = |suffix: &str| {
        let (namespace, table) = DIALECT.split_table(schema.table());
        let name = fit(format!("{table}_{suffix}"));
        namespace.map_or_else(|| name.clone(), |namespace| format!("{namespace}.{name}"))
    };
    let quoted = DIALECT.quote(column);
    let mut plans = Vec::new();
    if partitioning.has_default() {
        plans.push(PartitionPlan { table: name("default"), bound: DEFAULT.to_owned(), condition: None, span: None });
    }
    match partitioning {
        Partitioning::Range { every, ahead } => plans.extend((0..=*ahead).map(|further| {
            let span = every.span(now, further);
            let [from, until] = [span.from, span.until].map(literal);
            PartitionPlan {
                table: name(&span.label),
                bound: format!("FOR VALUES FROM ({from}) TO ({until})"),
                condition: Some(format!("{quoted} >= {from} AND {quoted} < {until}")),
                span: Some(span),
            }
        })),
        Partitioning::List { values } => {
            let position = schema.definition().position(column);
            let column_type = position.map(|position| schema.definition().columns()[position].column_type);
            plans.extend(values.iter().filter_map(|value| {
                let literal = DIALECT.literal(value, column_type?);
                Some(PartitionPlan {
                    table: name(&label(value)),
                    bound: format!("FOR VALUES IN ({literal})"),
                    condition: Some(format!("{quoted} = {literal}")),
                    span: None,
                })
            }));
        }
        Partitioning::Hash { partitions } => plans.extend((0..*partitions).map(|remainder| PartitionPlan {
            table: name(&format!("hash{remainder}")),
            bound: format!("FOR VALUES WITH (MODULUS {partitions}, REMAINDER {remainder})"),
            condition: None,
            span: None,
        })),
    }
    plans
}

/// The value as a part of a name.
fn label(value: &DefaultValue) -> String {
    let text = match value {
        DefaultValue::Bool(value) => value.to_string(),
        DefaultValue::Integer(value) => value.to_string(),
        DefaultValue::Double(value) => value.to_string(),
        DefaultValue::Text(value) => (*value).to_owned(),
    };
    let plain: String = text.chars().map(|character| if character.is_alphanumeric() { character } else { '_' }).collect();
    // `a-b` and `a_b` are two values, and so are `-1` and `_1`.
    if plain == text { format!("is_{plain}") } else { super::name::marked(&format!("is_{plain}"), &text) }
}

/// A moment as PostgreSQL reads it, whatever the session's time zone.
fn literal(moment: Timestamp) -> String {
    let microseconds = moment.as_microseconds();
    let (days, rest) = (microseconds.div_euclid(86_400_000_000), microseconds.rem_euclid(86_400_000_000));
    debug_assert_eq!(rest, 0, "periods begin at midnight");
    let (year, month, day) = crate::schema::date_of(days);
    match year {
        1.. => format!("'{year:04}-{month:02}-{day:02} 00:00:00+00'"),
        _ => format!("'{:04}-{month:02}-{day:02} 00:00:00+00 BC'", 1 - year),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{ColumnDefinition, Policies, SchemaDefinition};
    use crate::value::ColumnType;

    fn schema(partitioning: Partitioning) -> BoundSchema {
        let columns = vec![ColumnDefinition { is_key: true, ..ColumnDefinition::new("region", ColumnType::Text) }];
        let partition = PartitionDefinition { column: "region", partitioning };
        let definition = SchemaDefinition::new("t", columns, vec![], Policies::default()).with_partition(partition);
        BoundSchema::standalone(Box::leak(Box::new(definition))).with_names("game.t", "t")
    }

    fn made(partitioning: Partitioning) -> Vec<String> {
        let schema = schema(partitioning);
        let now = Timestamp::from_microseconds(0).unwrap();
        partition_plans(&schema, now).iter().map(|plan| plan.create_statement(&schema)).collect()
    }

    #[test]
    fn lists_and_hashes_have_their_partitions() {
        let values = vec![DefaultValue::Text("eu"), DefaultValue::Text("it's")];
        let list = made(Partitioning::List { values });
        assert_eq!(list[0], r#"CREATE TABLE "game"."t_default" PARTITION OF "game"."t" DEFAULT"#);
        assert_eq!(list[1], r#"CREATE TABLE "game"."t_is_eu" PARTITION OF "game"."t" FOR VALUES IN ('eu')"#);
        assert!(list[2].starts_with(r#"CREATE TABLE "game"."t_is_it_s_"#) && list[2].ends_with("FOR VALUES IN ('it''s')"), "{list:?}");
        let hash = made(Partitioning::Hash { partitions: 2 });
        assert_eq!(hash[1], r#"CREATE TABLE "game"."t_hash1" PARTITION OF "game"."t" FOR VALUES WITH (MODULUS 2, REMAINDER 1)"#);
        assert_eq!(hash.len(), 2);
    }
}

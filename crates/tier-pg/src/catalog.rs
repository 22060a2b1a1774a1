//! What the database's catalogue says of tables and indexes, held against the schema.

use store_core::sql::{Dialect, IndexPlan, VERSION_COLUMN, explain_missing_column, explain_taken_name, explain_view_column};
use store_core::{BoundSchema, ColumnDefinition, ColumnType, Error, ErrorKind, Role};

use crate::error::Failure;
use crate::pool::Lease;

const DIALECT: Dialect = Dialect::Postgres;

/// A table, view, sequence or index in the first schema of the search path.
pub(crate) struct Relation {
    pub(crate) oid: u32,
    kind: i8,
}

/// An index of a table.
pub(crate) struct Index {
    pub(crate) name: String,
    columns: Vec<String>,
    is_unique: bool,
    /// Whether it covers all rows, by columns alone, and is in force.
    is_plain: bool,
}

impl Index {
    /// Whether it does what a planned one is for.
    pub(crate) fn serves(&self, plan: &IndexPlan) -> bool {
        self.is_plain && plan.is_served_by(&self.columns, self.is_unique)
    }
}

struct Column {
    name: String,
    type_name: String,
    is_nullable: bool,
    /// Whether an insert must give a value.
    is_required: bool,
}

pub(crate) async fn relation(lease: &Lease, name: &str) -> Result<Option<Relation>, Failure> {
    const TEXT: &str = "SELECT c.oid, c.relkind FROM pg_catalog.pg_class AS c \
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE c.relname = $1::TEXT AND n.nspname = current_schema()";
    let row = lease.query_opt(TEXT, &[&name]).await?;
    row.map(|row| Ok(Relation { oid: row.try_get(0)?, kind: row.try_get(1)? })).transpose()
}

/// The table of a name, wherever on the search path it is.
pub(crate) async fn table(lease: &Lease, name: &str) -> Result<Option<u32>, Failure> {
    const TEXT: &str = "SELECT oid FROM pg_catalog.pg_class WHERE oid = to_regclass(quote_ident($1::TEXT)) AND relkind IN ('r', 'p')";
    let row = lease.query_opt(TEXT, &[&name]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

pub(crate) async fn indexes(lease: &Lease, table: u32) -> Result<Vec<Index>, Failure> {
    const TEXT: &str = "SELECT c.relname::TEXT, i.indisunique, \
        i.indpred IS NULL AND i.indexprs IS NULL AND i.indisvalid AND (i.indimmediate OR NOT i.indisunique), \
        ARRAY(SELECT a.attname::TEXT FROM unnest(i.indkey::SMALLINT[]) WITH ORDINALITY AS k (number, position) \
            JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.number \
            WHERE k.position <= i.indnkeyatts ORDER BY k.position) \
        FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid WHERE i.indrelid = $1::OID";
    let rows = lease.query(TEXT, &[&table]).await?;
    rows.iter()
        .map(|row| Ok(Index { name: row.try_get(0)?, is_unique: row.try_get(1)?, is_plain: row.try_get(2)?, columns: row.try_get(3)? }))
        .collect()
}

async fn columns(lease: &Lease, table: u32) -> Result<Vec<Column>, Failure> {
    const TEXT: &str = "SELECT attname::TEXT, format_type(atttypid, atttypmod), NOT attnotnull, \
        attnotnull AND NOT atthasdef AND attidentity = '' AND attgenerated = '' FROM pg_catalog.pg_attribute \
        WHERE attrelid = $1::OID AND attnum > 0 AND NOT attisdropped";
    let rows = lease.query(TEXT, &[&table]).await?;
    rows.iter()
        .map(|row| {
            let (name, type_name) = (row.try_get(0)?, row.try_get(1)?);
            Ok(Column { name, type_name, is_nullable: row.try_get(2)?, is_required: row.try_get(3)? })
        })
        .collect()
}

/// Refuses a table that lacks a column or its key, has a column of another type, or one that the model cannot fill.
pub(crate) async fn check_table(lease: &Lease, schema: &BoundSchema, relation: &Relation) -> Result<(), Failure> {
    let table = DIALECT.quote(schema.table());
    if !matches!(relation.kind as u8, b'r' | b'p') {
        return Err(mismatch(schema, format!("{table} exists and is no table; rename it, or give the schema another table")).into());
    }
    let present = columns(lease, relation.oid).await?;
    check_missing(schema, &present, false)?;
    check_types(schema, &present)?;
    if let Some(left) = present.iter().find(|present| present.is_required && !is_known(schema, &present.name)) {
        let name = DIALECT.quote(&left.name);
        let message = format!(
            "the table has the column {name}, which the model lacks and which every insert must give a value; to keep it, run: ALTER TABLE {table} ALTER COLUMN \
             {name} DROP NOT NULL; to drop it with all that it holds, run instead: ALTER TABLE {table} DROP COLUMN {name}"
        );
        return Err(mismatch(schema, message).with_column(left.name.clone()).into());
    }
    for column in schema.definition().columns().iter().filter(|column| column.nullable) {
        if present.iter().any(|present| present.name == column.name && !present.is_nullable) {
            let name = DIALECT.quote(column.name);
            let message = format!(
                "the column is NOT NULL where the model's may be NULL; make the field of a type that is never NULL, or run: ALTER TABLE {table} ALTER COLUMN \
                 {name} DROP NOT NULL"
            );
            return Err(mismatch(schema, message).with_column(column.name).into());
        }
    }
    let mut key: Vec<&str> = schema.definition().key_columns().map(|column| column.name).collect();
    let remedy = format!(
        "ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {}, ADD PRIMARY KEY ({})",
        DIALECT.quote(&format!("{}_pkey", schema.table())),
        key.iter().map(|name| DIALECT.quote(name)).collect::<Vec<_>>().join(", ")
    );
    key.sort_unstable();
    let is_key = |index: &Index| {
        let mut columns: Vec<&str> = index.columns.iter().map(String::as_str).collect();
        columns.sort_unstable();
        index.is_unique && index.is_plain && columns == key
    };
    if !indexes(lease, relation.oid).await?.iter().any(is_key) {
        return Err(mismatch(schema, format!("the table has another primary key; run: {remedy}")).into());
    }
    Ok(())
}

/// Refuses a table or view that lacks a column, wherever on the search path it is.
pub(crate) async fn check_presence(lease: &Lease, schema: &BoundSchema) -> Result<(), Failure> {
    const TEXT: &str = "SELECT oid, relkind IN ('v', 'm') FROM pg_catalog.pg_class WHERE oid = to_regclass(quote_ident($1::TEXT))";
    let Some(row) = lease.query_opt(TEXT, &[&schema.table()]).await? else { return Ok(()) };
    let (oid, is_view) = (row.try_get(0)?, row.try_get(1)?);
    Ok(check_missing(schema, &columns(lease, oid).await?, is_view)?)
}

fn version_column() -> ColumnDefinition {
    ColumnDefinition { default: Some(store_core::DefaultValue::Integer(0)), ..ColumnDefinition::new(VERSION_COLUMN, ColumnType::BigInt) }
}

fn check_missing(schema: &BoundSchema, present: &[Column], is_view: bool) -> Result<(), Error> {
    let version = version_column();
    let is_there = |name: &str| present.iter().any(|present| present.name == name);
    let Some(wanted) = schema.definition().columns().iter().chain([&version]).find(|column| !is_there(column.name)) else { return Ok(()) };
    let message = if is_view {
        explain_view_column(schema.table(), wanted.name)
    } else {
        let unknown = present.iter().filter(|present| wanted.name != VERSION_COLUMN && !is_known(schema, &present.name));
        let (alike, others): (Vec<_>, Vec<_>) = unknown.partition(|present| present.type_name == spelled(wanted.column_type));
        let [alike, others] = [alike, others].map(|columns| columns.into_iter().map(|column| column.name.as_str()).collect::<Vec<_>>());
        explain_missing_column(DIALECT, schema, wanted, &alike, &others)
    };
    Err(mismatch(schema, message).with_column(wanted.name))
}

fn check_types(schema: &BoundSchema, present: &[Column]) -> Result<(), Error> {
    let (table, version) = (DIALECT.quote(schema.table()), version_column());
    for column in schema.definition().columns().iter().chain([&version]) {
        let differs = |present: &&Column| present.name == column.name && present.type_name != spelled(column.column_type);
        if let Some(present) = present.iter().find(differs) {
            let (name, wanted, found) = (DIALECT.quote(column.name), DIALECT.type_name(column.column_type), &present.type_name);
            let remedy = format!("ALTER TABLE {table} ALTER COLUMN {name} TYPE {wanted} USING {name}::{wanted}");
            return Err(mismatch(schema, format!("the column has the type {found}; run: {remedy}")).with_column(column.name));
        }
    }
    Ok(())
}

/// Whether a column is the model's or the version.
fn is_known(schema: &BoundSchema, name: &str) -> bool {
    name == VERSION_COLUMN || schema.definition().position(name).is_some()
}

/// Refuses a sequence that would not issue rising numbers: sessions that hold some back issue small ones late.
pub(crate) async fn check_sequence(lease: &Lease, name: &str) -> Result<(), Failure> {
    const TEXT: &str = "SELECT seqcache = 1 AND seqincrement > 0 AND NOT seqcycle FROM pg_catalog.pg_sequence WHERE seqrelid = $1::OID";
    let sequence = match relation(lease, name).await? {
        Some(relation) => lease.query_opt(TEXT, &[&relation.oid]).await?,
        None => None,
    };
    if sequence.map(|row| row.try_get(0)).transpose()?.unwrap_or(false) {
        return Ok(());
    }
    let message = format!("versions cannot be drawn from `{name}` as it is; run: ALTER SEQUENCE {name} CACHE 1 INCREMENT 1 NO CYCLE");
    Err(Error::new(ErrorKind::SchemaMismatch, message).with_tier(Role::Truth).into())
}

/// Refuses an index that has the name of a planned one but is another.
pub(crate) fn check_index(schema: &BoundSchema, plan: &IndexPlan, present: &Index, create: &str) -> Result<(), Failure> {
    if present.is_unique == plan.unique && present.is_plain && present.columns == plan.columns {
        return Ok(());
    }
    let name = DIALECT.quote(&plan.name);
    Err(mismatch(schema, format!("the index {name} exists and differs; run: DROP INDEX {name}; {create}")).into())
}

/// Refuses a planned index whose name another relation has: making it would be skipped in silence.
pub(crate) async fn check_name_is_free(lease: &Lease, schema: &BoundSchema, plan: &IndexPlan) -> Result<(), Failure> {
    match relation(lease, &plan.name).await? {
        None => Ok(()),
        Some(relation) => {
            const TEXT: &str = "SELECT c.relname::TEXT FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indrelid \
                WHERE i.indexrelid = $1::OID";
            let holder = match lease.query_opt(TEXT, &[&relation.oid]).await? {
                Some(row) => format!("an index of the table `{}`", row.try_get::<_, String>(0)?),
                None => "a table, view or sequence".to_owned(),
            };
            Err(mismatch(schema, explain_taken_name(plan, &holder)).into())
        }
    }
}

/// A type as the catalogue spells it.
fn spelled(column_type: ColumnType) -> &'static str {
    match column_type {
        ColumnType::Bool => "boolean",
        ColumnType::SmallInt => "smallint",
        ColumnType::Integer => "integer",
        ColumnType::BigInt => "bigint",
        ColumnType::Double => "double precision",
        ColumnType::Text => "text",
        ColumnType::Bytes => "bytea",
        ColumnType::Time => "timestamp with time zone",
        ColumnType::Uuid => "uuid",
        ColumnType::Json => "jsonb",
    }
}

pub(crate) fn mismatch(schema: &BoundSchema, message: String) -> Error {
    Error::new(ErrorKind::SchemaMismatch, message).with_schema(schema.name()).with_tier(Role::Truth)
}

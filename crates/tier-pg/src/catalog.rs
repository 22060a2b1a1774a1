//! What the database's catalogue says of tables and indexes, held against the schema.

use store_core::sql::{
    Dialect, IndexPlan, VERSION_COLUMN, explain_bytes_column, explain_missing_column, explain_needed_value, explain_old_name,
    explain_plain_column, explain_taken_name, explain_view_column, may_be_renamed,
};
use store_core::{BoundSchema, ColumnDefinition, ColumnType, Error, ErrorKind, IndexKind, Role};

use crate::error::Failure;
use crate::pool::Lease;

const DIALECT: Dialect = Dialect::Postgres;

/// A table, view, sequence or index, in the database's schema that its name names, or else in the first one of the search path.
pub(crate) struct Relation {
    pub(crate) oid: u32,
    kind: i8,
}

impl Relation {
    /// Whether its rows are its own, so that an index can be made beside its writers.
    pub(crate) fn is_plain_table(&self) -> bool {
        self.kind as u8 == b'r'
    }

    pub(crate) fn is_divided(&self) -> bool {
        self.kind as u8 == b'p'
    }
}

/// An index of a table.
pub(crate) struct Index {
    pub(crate) name: String,
    columns: Vec<String>,
    pub(crate) is_unique: bool,
    /// Whether it is a B-tree of all rows, by columns alone, and in force.
    is_plain: bool,
    /// Whether it is in force, and not what is left of a making that failed.
    pub(crate) is_valid: bool,
    /// Whether a constraint made it, with which it goes.
    pub(crate) is_of_constraint: bool,
    is_primary: bool,
    /// Whether a session is at it.
    pub(crate) is_being_made: bool,
    method: String,
    /// Whether a row that breaks it is refused at the end of a transaction only, so that no write finds its row by it.
    is_deferrable: bool,
    /// Columns that it holds beside those that it finds by.
    include: Vec<String>,
    is_partial: bool,
    /// Whether it takes texts for different that differ.
    pub(crate) is_deterministic: bool,
}

impl Index {
    /// Whether it does what a planned one is for.
    pub(crate) fn serves(&self, plan: &IndexPlan) -> bool {
        if plan.unique && !self.is_deterministic {
            return false;
        }
        if plan.is_plain() {
            return self.is_plain && plan.is_served_by(&self.columns, self.is_unique);
        }
        let method = match plan.kind {
            IndexKind::GinTrigram => "gin",
            _ => "btree",
        };
        // The name tells the condition.
        let is_alike = self.name == plan.name && self.method == method && self.is_unique == plan.unique;
        is_alike
            && self.is_valid
            && self.is_partial == plan.condition.is_some()
            && self.columns == plan.columns
            && self.include == plan.include
    }
}

impl Index {
    /// Whether it finds by these columns and no others, in whatever order.
    pub(crate) fn is_over(&self, columns: &[&str]) -> bool {
        self.columns.len() == columns.len() && columns.iter().all(|name| self.columns.iter().any(|column| column == name))
    }

    /// Whether it is unique, has a name that Strata makes up, and the model has none like it any more.
    pub(crate) fn is_left(&self, schema: &BoundSchema, plans: &[IndexPlan]) -> bool {
        let (_, table) = DIALECT.split_table(schema.table());
        let is_made_up = self.name.strip_prefix(table).is_some_and(|rest| rest.starts_with('_') && rest.contains("_key"));
        let is_wanted = |plan: &IndexPlan| plan.name == self.name || self.serves(plan);
        self.is_unique && is_made_up && !plans.iter().any(is_wanted)
    }
}

pub(crate) struct Column {
    pub(crate) name: String,
    type_name: String,
    pub(crate) is_nullable: bool,
    /// Whether an insert must give a value.
    pub(crate) is_required: bool,
    /// Whether the database gives it a value always, so that no write can; and what ends that.
    generated: Option<&'static str>,
}

pub(crate) async fn relation(lease: &Lease, name: &str) -> Result<Option<Relation>, Failure> {
    const TEXT: &str = "SELECT c.oid, c.relkind FROM pg_catalog.pg_class AS c \
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE c.relname = $1::TEXT AND n.nspname = coalesce($2::TEXT, current_schema())";
    let (namespace, name) = DIALECT.split_table(name);
    let row = lease.query_opt(TEXT, &[&name, &namespace]).await?;
    row.map(|row| Ok(Relation { oid: row.try_get(0)?, kind: row.try_get(1)? })).transpose()
}

/// The table of a name, wherever on the search path it is.
pub(crate) async fn table(lease: &Lease, name: &str) -> Result<Option<u32>, Failure> {
    const TEXT: &str = "SELECT oid FROM pg_catalog.pg_class WHERE oid = to_regclass($1::TEXT) AND relkind IN ('r', 'p')";
    let row = lease.query_opt(TEXT, &[&DIALECT.quote_table(name)]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

pub(crate) async fn indexes(lease: &Lease, table: u32) -> Result<Vec<Index>, Failure> {
    const TEXT: &str = "SELECT c.relname::TEXT, i.indisunique, \
        i.indpred IS NULL AND i.indexprs IS NULL AND i.indisvalid AND (i.indimmediate OR NOT i.indisunique) AND m.amname = 'btree', \
        ARRAY(SELECT a.attname::TEXT FROM unnest(i.indkey::SMALLINT[]) WITH ORDINALITY AS k (number, position) \
            JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.number \
            WHERE k.position <= i.indnkeyatts ORDER BY k.position), i.indisvalid, m.amname::TEXT, i.indpred IS NOT NULL, \
        ARRAY(SELECT a.attname::TEXT FROM unnest(i.indkey::SMALLINT[]) WITH ORDINALITY AS k (number, position) \
            JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.number \
            WHERE k.position > i.indnkeyatts ORDER BY k.position), \
        EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index AS p WHERE p.index_relid = i.indexrelid), \
        EXISTS (SELECT FROM pg_catalog.pg_constraint AS o WHERE o.conindid = i.indexrelid AND o.contype IN ('p', 'u', 'x')), i.indisprimary, NOT i.indimmediate, \
        NOT EXISTS (SELECT FROM pg_catalog.pg_collation AS l WHERE l.oid = ANY (i.indcollation::OID[]) AND NOT l.collisdeterministic) \
        FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid \
        JOIN pg_catalog.pg_am AS m ON m.oid = c.relam WHERE i.indrelid = $1::OID";
    let rows = lease.query(TEXT, &[&table]).await?;
    rows.iter()
        .map(|row| {
            let (name, is_unique, is_plain) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            let (method, is_partial, include) = (row.try_get(5)?, row.try_get(6)?, row.try_get(7)?);
            let (columns, is_valid, is_being_made) = (row.try_get(3)?, row.try_get(4)?, row.try_get(8)?);
            let (is_of_constraint, is_primary, is_deferrable) = (row.try_get(9)?, row.try_get(10)?, row.try_get(11)?);
            Ok(Index {
                name,
                is_unique,
                is_plain,
                columns,
                is_valid,
                is_of_constraint,
                is_primary,
                is_being_made,
                is_deferrable,
                method,
                include,
                is_partial,
                is_deterministic: row.try_get(12)?,
            })
        })
        .collect()
}

pub(crate) async fn columns(lease: &Lease, table: u32) -> Result<Vec<Column>, Failure> {
    const TEXT: &str = "SELECT attname::TEXT, format_type(atttypid, atttypmod), NOT attnotnull, \
        attnotnull AND NOT atthasdef AND attidentity = '' AND attgenerated = '', attidentity = 'a', attgenerated <> '' \
        FROM pg_catalog.pg_attribute WHERE attrelid = $1::OID AND attnum > 0 AND NOT attisdropped";
    let rows = lease.query(TEXT, &[&table]).await?;
    rows.iter()
        .map(|row| {
            let (name, type_name) = (row.try_get(0)?, row.try_get(1)?);
            let generated = match (row.try_get(4)?, row.try_get(5)?) {
                (true, _) => Some("SET GENERATED BY DEFAULT"),
                (_, true) => Some("DROP EXPRESSION"),
                _ => None,
            };
            Ok(Column { name, type_name, is_nullable: row.try_get(2)?, is_required: row.try_get(3)?, generated })
        })
        .collect()
}

/// Refuses what is no table.
pub(crate) fn check_kind(schema: &BoundSchema, relation: &Relation) -> Result<(), Failure> {
    if matches!(relation.kind as u8, b'r' | b'p') {
        return Ok(());
    }
    let table = DIALECT.quote_table(schema.table());
    Err(mismatch(schema, format!("{table} exists and is no table; rename it, or give the schema another table")).into())
}

/// Refuses a table that no addition makes fit: it lacks its key, has a column of another type, one that the model cannot fill, or lacks one that is not
/// among those to be added.
pub(crate) async fn check_table(
    lease: &Lease,
    schema: &BoundSchema,
    relation: &Relation,
    present: &[Column],
    is_added: impl Fn(&ColumnDefinition) -> bool,
) -> Result<(), Failure> {
    let table = DIALECT.quote_table(schema.table());
    let lacking = missing_columns(schema, present);
    if let Some(wanted) = lacking.iter().find(|column| !is_added(column)) {
        let (alike, others) = look_alikes(schema, present, wanted);
        return Err(mismatch(schema, explain_needed_value(DIALECT, schema, wanted, &alike, &others)).with_column(wanted.name).into());
    }
    check_types(schema, present)?;
    check_generated(schema, present)?;
    if let Some(left) = present.iter().find(|present| present.is_required && !is_known(schema, &present.name)) {
        let name = DIALECT.quote(&left.name);
        let is_alike = |column: &&ColumnDefinition| {
            column.name != VERSION_COLUMN && left.type_name == spelled(column.column_type) && may_be_renamed(&left.name, column)
        };
        let new_names: Vec<&str> = lacking.iter().filter(is_alike).map(|column| column.name).collect();
        let renaming = explain_old_name(DIALECT, schema.table(), &left.name, &new_names);
        let message = format!(
            "the table has the column {name}, which the model lacks and which every insert must give a value; {renaming}to keep it, run: ALTER TABLE {table} ALTER COLUMN \
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
    check_key(schema, &indexes(lease, relation.oid).await?)
}

/// Refuses a table with another primary key, or with none and no unique index in its place. A key that the database fills by itself, of columns that the model knows nothing
/// of, counts as none.
fn check_key(schema: &BoundSchema, indexes: &[Index]) -> Result<(), Failure> {
    let key: Vec<&str> = schema.definition().key_columns().map(|column| column.name).collect();
    let serves = |index: &&Index| index.is_unique && index.is_plain && index.is_over(&key);
    let is_known = |column: &String| schema.definition().position(column).is_some();
    let primary = indexes.iter().find(|index| index.is_primary && index.columns.iter().any(is_known));
    // A primary key of other columns would refuse rows that the model takes for different ones, whatever else is unique.
    if primary.map_or_else(|| indexes.iter().any(|index| serves(&index)), |primary| serves(&primary)) {
        return Ok(());
    }
    let (found, drop) = match indexes.iter().find(|index| index.is_primary) {
        Some(primary) => (
            format!(
                "is ({}){}",
                primary.columns.join(", "),
                if primary.is_deferrable { " and DEFERRABLE, by which no write finds its row," } else { "" }
            ),
            format!("DROP CONSTRAINT {}, ", DIALECT.quote(&primary.name)),
        ),
        None => (String::from("is missing"), String::new()),
    };
    let message = format!(
        "the table's primary key {found} where the model's is ({}); run: ALTER TABLE {} {drop}ADD PRIMARY KEY ({})",
        key.join(", "),
        DIALECT.quote_table(schema.table()),
        key.iter().map(|name| DIALECT.quote(name)).collect::<Vec<_>>().join(", ")
    );
    Err(mismatch(schema, message).into())
}

/// How many rows a table has, as the planner reckons: what was counted last for the size it had then, for the size it has now.
pub(crate) async fn estimated_rows(lease: &Lease, table: u32) -> Result<u64, Failure> {
    const TEXT: &str = "SELECT (CASE WHEN reltuples > 0 AND relpages > 0 \
        THEN reltuples::FLOAT8 / relpages * pg_relation_size(oid) / current_setting('block_size')::FLOAT8 \
        ELSE pg_relation_size(oid) / 100.0 END)::BIGINT FROM pg_catalog.pg_class WHERE oid = $1::OID";
    let row = lease.query_opt(TEXT, &[&table]).await?;
    Ok(row.map(|row| row.try_get::<_, i64>(0)).transpose()?.unwrap_or_default().unsigned_abs())
}

/// Refuses a table or view that lacks a column, or computes one itself, wherever on the search path it is.
pub(crate) async fn check_presence(lease: &Lease, schema: &BoundSchema) -> Result<(), Failure> {
    const TEXT: &str = "SELECT oid, relkind IN ('v', 'm') FROM pg_catalog.pg_class WHERE oid = to_regclass($1::TEXT)";
    let Some(row) = lease.query_opt(TEXT, &[&DIALECT.quote_table(schema.table())]).await? else { return Ok(()) };
    let (oid, is_view) = (row.try_get(0)?, row.try_get(1)?);
    let present = columns(lease, oid).await?;
    check_missing(schema, &present, is_view)?;
    Ok(check_generated(schema, &present)?)
}

/// Refuses a table that computes a column itself, for which a write gives a value.
fn check_generated(schema: &BoundSchema, present: &[Column]) -> Result<(), Error> {
    let of_model = present.iter().filter(|column| is_known(schema, &column.name));
    let Some((column, end)) = of_model.filter_map(|column| column.generated.map(|end| (column, end))).next() else { return Ok(()) };
    let message = format!(
        "the column is GENERATED ALWAYS, so that every write would fail; leave the field out of the model, or run: ALTER TABLE {} ALTER COLUMN {} {end}",
        DIALECT.quote_table(schema.table()),
        DIALECT.quote(&column.name)
    );
    Err(mismatch(schema, message).with_column(column.name.clone()))
}

pub(crate) fn version_column() -> ColumnDefinition {
    ColumnDefinition { default: Some(store_core::DefaultValue::Integer(0)), ..ColumnDefinition::new(VERSION_COLUMN, ColumnType::BigInt) }
}

/// Those of the model's columns, and the version, that a table lacks.
pub(crate) fn missing_columns(schema: &BoundSchema, present: &[Column]) -> Vec<ColumnDefinition> {
    let is_there = |name: &str| present.iter().any(|present| present.name == name);
    let wanted = schema.definition().columns().iter().cloned().chain([version_column()]);
    wanted.filter(|column| !is_there(column.name)).collect()
}

/// Those of the table's columns that the model lacks: of the wanted one's type, and of others.
pub(crate) fn look_alikes<'a>(schema: &BoundSchema, present: &'a [Column], wanted: &ColumnDefinition) -> (Vec<&'a str>, Vec<&'a str>) {
    let is_none = wanted.name == VERSION_COLUMN || wanted.blind_of.is_some();
    let is_blind = |present: &Column| wanted.column_type == ColumnType::Bytes && present.name.ends_with("_blind");
    let unknown = present.iter().filter(|present| !is_none && !is_blind(present) && !is_known(schema, &present.name));
    let (alike, others): (Vec<_>, Vec<_>) = unknown.partition(|present| present.type_name == spelled(wanted.column_type));
    let names = |columns: Vec<&'a Column>| columns.into_iter().map(|column| column.name.as_str()).collect();
    (names(alike), names(others))
}

fn check_missing(schema: &BoundSchema, present: &[Column], is_view: bool) -> Result<(), Error> {
    let missing = missing_columns(schema, present);
    let Some(wanted) = missing.first() else { return Ok(()) };
    let message = if is_view {
        explain_view_column(schema.table(), wanted.name)
    } else {
        let (alike, others) = look_alikes(schema, present, wanted);
        explain_missing_column(DIALECT, schema, wanted, &alike, &others)
    };
    Err(mismatch(schema, message).with_column(wanted.name))
}

fn check_types(schema: &BoundSchema, present: &[Column]) -> Result<(), Error> {
    let (table, version) = (DIALECT.quote_table(schema.table()), version_column());
    for column in schema.definition().columns().iter().chain([&version]) {
        let differs = |present: &&Column| present.name == column.name && present.type_name != spelled(column.column_type);
        if let Some(present) = present.iter().find(differs) {
            let (name, wanted, found) = (DIALECT.quote(column.name), DIALECT.type_name(column.column_type), &present.type_name);
            if column.encryption.is_some() {
                return Err(mismatch(schema, explain_plain_column(column.name, found)).with_column(column.name));
            }
            if found.as_str() == "bytea" {
                return Err(mismatch(schema, explain_bytes_column(column.name, found, wanted)).with_column(column.name));
            }
            let change = format!("ALTER TABLE {table} ALTER COLUMN {name} TYPE {wanted} USING");
            let message = if is_castable(found, column.column_type) {
                format!("the column has the type {found}; run: {change} {name}::{wanted}")
            } else {
                format!(
                    "the column has the type {found}, of which no cast makes a {wanted}; run, with an expression over {name} for the dots: {change} (…)"
                )
            };
            return Err(mismatch(schema, message).with_column(column.name));
        }
    }
    Ok(())
}

/// Whether PostgreSQL has a cast from a type, as it spells it, to a column's.
fn is_castable(found: &str, wanted: ColumnType) -> bool {
    let is_text = found == "text" || found.starts_with("character");
    let is_number = ["smallint", "integer", "bigint", "real", "double precision"].contains(&found) || found.starts_with("numeric");
    is_text
        || match wanted {
            ColumnType::Text => true,
            ColumnType::Integer => is_number || ["boolean", "jsonb"].contains(&found),
            ColumnType::SmallInt | ColumnType::BigInt | ColumnType::Double => is_number || found == "jsonb",
            ColumnType::Bool => ["integer", "jsonb"].contains(&found),
            ColumnType::Time => found == "date" || found.starts_with("timestamp"),
            ColumnType::Json => found == "json",
            ColumnType::Bytes | ColumnType::Uuid => false,
        }
}

/// Whether a column is the model's or the version.
pub(crate) fn is_known(schema: &BoundSchema, name: &str) -> bool {
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

/// The full name of what lies in the same schema of the database as a table, as its indexes and partitions do.
pub(crate) fn beside(schema: &BoundSchema, name: &str) -> String {
    match DIALECT.split_table(schema.table()).0 {
        Some(namespace) => format!("{namespace}.{name}"),
        None => name.to_owned(),
    }
}

/// Refuses a planned index whose name another relation has: making it would be skipped in silence.
pub(crate) async fn check_name_is_free(lease: &Lease, schema: &BoundSchema, plan: &IndexPlan) -> Result<(), Failure> {
    match relation(lease, &beside(schema, &plan.name)).await? {
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

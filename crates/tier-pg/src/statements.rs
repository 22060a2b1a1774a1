//! The SQL of a table, made once for each schema.

mod conditional;

use conditional::Expects;
pub(crate) use conditional::PutIf;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use store_core::facet::Condition;
use store_core::sql::{Dialect, VERSION_COLUMN};
use store_core::{BoundSchema, ColumnDefinition, SchemaDefinition, Stamp};

const DIALECT: Dialect = Dialect::Postgres;

/// Draws a version. Callers draw only where the row is locked, or was seen unchanged until it was: see the module on writes.
pub(crate) const DRAW: &str = "nextval('_strata_version')";

/// The kinds of log rows, as the log holds them.
pub(crate) mod kind {
    use std::borrow::Cow;

    use store_core::facet::LogEntry;

    pub(crate) const PUT: i16 = 1;
    pub(crate) const DELETE: i16 = 2;
    pub(crate) const INVALIDATE: i16 = 3;
    pub(crate) const INVALIDATE_TAG: i16 = 4;
    /// A put whose key is followed by the columns that it set.
    pub(crate) const PUT_COLUMNS: i16 = 5;

    /// What the log row of a put holds for its key, and its kind: with the columns that were set, if they are to be named.
    pub(crate) fn of_put<'a>(key: &'a str, columns: Option<&[&str]>) -> (Cow<'a, str>, i16) {
        match columns {
            Some(columns) => (Cow::Owned(LogEntry::join_columns(key, columns)), PUT_COLUMNS),
            None => (Cow::Borrowed(key), PUT),
        }
    }
}

/// Writes log rows: schema, keys, versions, kinds.
pub(crate) const LOG_KEYS: &str = "INSERT INTO _strata_log (schema, key, version, kind) \
    SELECT $1::TEXT, l.key, l.version, l.kind FROM unnest($2::TEXT[], $3::BIGINT[], $4::SMALLINT[]) AS l (key, version, kind)";

/// Writes the log row of a whole schema: schema, kind, and the newest version among the rows of the transaction, by which its writer knows it again.
pub(crate) const LOG_SCHEMA: &str = "INSERT INTO _strata_log (schema, key, version, kind) \
    VALUES ($1::TEXT, NULL, $3::BIGINT, $2::SMALLINT)";

/// The statements of one table.
#[derive(Debug)]
pub(crate) struct TableSql {
    /// One row by its key.
    pub(crate) get_one: String,
    /// Rows by arrays of key columns; each begins with the number of its key.
    pub(crate) get_many: String,
    /// As `get_many`, and locks them in the order of the arrays.
    pub(crate) lock_many: String,
    /// The numbers and versions of the rows that are there, which it locks in the order of the arrays against others that write them.
    pub(crate) lock_versions: String,
    /// The numbers of the keys that have a row.
    pub(crate) exists_many: String,
    /// Draws the version of a new row and writes the log row of the one just written: key columns, schema, key text. Answers the version.
    pub(crate) stamp_one: String,
    /// Draws the versions of rows whose locks are held, by arrays of key columns and the versions that they have. Answers the numbers of the keys, and the versions.
    pub(crate) stamp_many: String,
    /// Deletes a row and writes its log row: key columns, schema, key text. Answers the version.
    pub(crate) delete_one: String,
    /// Locks rows in the order of the arrays, deletes them and writes a log row for each: arrays of key columns, array of key texts, schema. Answers the numbers of the keys, and the versions.
    pub(crate) delete_many: String,
    /// Locks rows in the order of the arrays and deletes them: arrays of key columns. Answers the numbers of the keys, and the versions.
    pub(crate) delete_bulk: String,
    /// Whether the last batch found none of its rows.
    are_batches_new: AtomicBool,
    upserts: Mutex<HashMap<Vec<usize>, Arc<Upsert>>>,
    conditional: Mutex<HashMap<ConditionalKind, Arc<PutIf>>>,
}

/// What a conditional write expects, and the columns that are unset in its row.
type ConditionalKind = (Expects, Vec<usize>);

/// The statements that write rows in which the same columns are unset. They answer all columns and the version, which is 0 where the row is new; those that only
/// insert draw it, and then a number behind the insertion, which they answer too.
#[derive(Debug)]
pub(crate) struct Upsert {
    /// One row: a placeholder for each column that is set.
    pub(crate) one: String,
    /// Many rows: an array for each column that is set.
    pub(crate) many: String,
    /// Inserts many rows.
    pub(crate) insert_many: String,
    /// As `insert_many`, and leaves rows alone that are there, without an answer.
    pub(crate) insert_absent: String,
    /// The positions of the columns that are set.
    pub(crate) set: Vec<usize>,
    /// Whether a column is unset that an insert would need.
    pub(crate) only_updates: bool,
    /// The columns that the log names of a row that was there.
    pub(crate) named: Option<Vec<&'static str>>,
}

impl TableSql {
    fn new(schema: &BoundSchema) -> Self {
        let names = Names::of(schema);
        let Names { table, version, .. } = &names;
        let keys = schema.definition().key_positions().len();
        let where_key = names.where_key(1);
        let (arrays, aliases, matches) = (names.key_arrays(), names.key_aliases(), names.key_matches());
        let (schema_at, text_at) = (keys + 1, keys + 2);
        let log = "INSERT INTO _strata_log (schema, key, version, kind)";
        let get_many = format!(
            "SELECT k.n, {}, t.{version} FROM unnest({arrays}) WITH ORDINALITY AS k ({aliases}, n) JOIN {table} AS t ON {matches}",
            names.columns("t.")
        );
        TableSql {
            get_one: format!("SELECT {}, {version} FROM {table} WHERE {where_key}", names.columns("")),
            lock_many: format!("{get_many} ORDER BY k.n FOR UPDATE OF t"),
            get_many,
            lock_versions: format!(
                "SELECT k.n, t.{version} FROM unnest({arrays}) WITH ORDINALITY AS k ({aliases}, n) JOIN {table} AS t ON {matches} \
                 ORDER BY k.n FOR NO KEY UPDATE OF t"
            ),
            exists_many: format!("SELECT k.n FROM unnest({arrays}) WITH ORDINALITY AS k ({aliases}, n) JOIN {table} AS t ON {matches}"),
            // Both parts see the table as it was before this statement: a row is either new, with version 0, or not.
            stamp_one: format!(
                "WITH fresh AS (UPDATE {table} SET {version} = {DRAW} WHERE {where_key} AND {version} = 0 RETURNING {version}), \
                 present AS (SELECT {version} FROM {table} WHERE {where_key} AND {version} <> 0), \
                 written AS (SELECT {version} FROM fresh UNION ALL SELECT {version} FROM present) \
                 {log} SELECT ${schema_at}::TEXT, ${text_at}::TEXT, {version}, {} FROM written RETURNING version",
                kind::PUT
            ),
            stamp_many: format!(
                "UPDATE {table} AS t SET {version} = {DRAW} FROM unnest({arrays}, ${schema_at}::BIGINT[]) WITH ORDINALITY AS k ({aliases}, v, n) \
                 WHERE {matches} AND t.{version} = k.v RETURNING k.n, t.{version}"
            ),
            delete_one: format!(
                "WITH gone AS (DELETE FROM {table} WHERE {where_key} RETURNING {DRAW} AS version) \
                 {log} SELECT ${schema_at}::TEXT, ${text_at}::TEXT, version, {} FROM gone RETURNING version",
                kind::DELETE
            ),
            delete_many: format!(
                "WITH locked AS (SELECT k.* FROM unnest({arrays}, ${}::TEXT[]) WITH ORDINALITY AS k ({aliases}, key, n) \
                 JOIN {table} AS t ON {matches} ORDER BY k.n FOR UPDATE OF t), \
                 gone AS (DELETE FROM {table} AS t USING locked AS k WHERE {matches} RETURNING k.n, k.key, {DRAW} AS version), \
                 logged AS ({log} SELECT ${}::TEXT, key, version, {} FROM gone) \
                 SELECT n, version FROM gone",
                keys + 1,
                keys + 2,
                kind::DELETE
            ),
            delete_bulk: format!(
                "WITH locked AS (SELECT k.* FROM unnest({arrays}) WITH ORDINALITY AS k ({aliases}, n) \
                 JOIN {table} AS t ON {matches} ORDER BY k.n FOR UPDATE OF t) \
                 DELETE FROM {table} AS t USING locked AS k WHERE {matches} RETURNING k.n, {DRAW}"
            ),
            are_batches_new: AtomicBool::new(false),
            upserts: Mutex::default(),
            conditional: Mutex::default(),
        }
    }

    pub(crate) fn are_batches_new(&self) -> bool {
        self.are_batches_new.load(Ordering::Relaxed)
    }

    pub(crate) fn set_batches_new(&self, are_new: bool) {
        self.are_batches_new.store(are_new, Ordering::Relaxed);
    }

    /// The statements for rows in which exactly these columns are unset.
    pub(crate) fn upsert(&self, schema: &BoundSchema, unset: &[usize]) -> Arc<Upsert> {
        let mut upserts = self.upserts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(present) = upserts.get(unset) {
            return Arc::clone(present);
        }
        let made = Arc::new(Upsert::new(schema, unset));
        upserts.insert(unset.to_vec(), Arc::clone(&made));
        made
    }

    /// The statements for a row in which exactly these columns are unset, under a condition.
    pub(crate) fn put_if(&self, schema: &BoundSchema, unset: &[usize], condition: Condition) -> Arc<PutIf> {
        let kind = (Expects::of(condition), unset.to_vec());
        let mut conditional = self.conditional.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(conditional.entry(kind).or_insert_with_key(|(expects, _)| Arc::new(PutIf::new(schema, unset, *expects))))
    }
}

impl Upsert {
    fn new(schema: &BoundSchema, unset: &[usize]) -> Self {
        let definition = schema.definition();
        let names = Names::of(schema);
        let Names { table, version, .. } = &names;
        let columns = definition.columns();
        let set: Vec<usize> = (0..columns.len()).filter(|position| !unset.contains(position)).collect();
        // PostgreSQL looks for NULL where none may be before it looks for the present row. So a column that an insert would need
        // is given its present content, which the update then leaves alone; a row that is not there is refused as it must be.
        let needed: Vec<usize> =
            unset.iter().copied().filter(|&position| !columns[position].nullable && columns[position].default.is_none()).collect();

        let targets: Vec<String> = set.iter().chain(&needed).map(|&position| quote(&columns[position])).collect();
        let changed: Vec<usize> = set.iter().copied().filter(|&position| is_updated(&columns[position])).collect();
        let mut changes: Vec<String> =
            changed.iter().map(|&position| quote(&columns[position])).map(|name| format!("{name} = EXCLUDED.{name}")).collect();
        changes.push(format!("{version} = {DRAW}"));
        let head = format!("INSERT INTO {table} AS t ({}, {version})", targets.join(", "));
        let keys = names.keys.join(", ");
        let answer = format!("RETURNING {}, t.{version}", names.columns("t."));
        let tail = format!("ON CONFLICT ({keys}) DO UPDATE SET {} {answer}", changes.join(", "));

        let number_of_key = |position: &usize| set.iter().position(|candidate| candidate == position).map_or(0, |index| index + 1);
        let key_numbers: Vec<usize> = definition.key_positions().iter().map(number_of_key).collect();
        let same_key = |left: &str, right: &dyn Fn(usize) -> String| {
            let pairs = names.keys.iter().zip(&key_numbers).map(|(key, &number)| format!("{left}.{key} = {}", right(number)));
            pairs.collect::<Vec<_>>().join(" AND ")
        };

        let placeholders = (1..=set.len()).map(|number| format!("${number}"));
        let present = needed.iter().map(|&position| {
            let column = quote(&columns[position]);
            format!("(SELECT p.{column} FROM {table} AS p WHERE {})", same_key("p", &|number| format!("${number}")))
        });
        let values: Vec<String> = placeholders.chain(present).collect();

        let arrays: Vec<String> = set
            .iter()
            .enumerate()
            .map(|(index, &position)| format!("${}::{}[]", index + 1, DIALECT.type_name(columns[position].column_type)))
            .collect();
        let aliases: Vec<String> = (1..=set.len()).map(|number| format!("c{number}")).collect();
        let given = aliases.iter().map(|alias| format!("i.{alias}"));
        let selected: Vec<String> = given.chain(needed.iter().map(|&position| format!("p.{}", quote(&columns[position])))).collect();
        let join = if needed.is_empty() {
            String::new()
        } else {
            format!("LEFT JOIN {table} AS p ON {} ", same_key("p", &|number| format!("i.c{number}")))
        };
        let source = format!("unnest({}) WITH ORDINALITY AS i ({}, n) {join}", arrays.join(", "), aliases.join(", "));
        // The order is that of the keys, so that two batches that share keys wait for each other without a deadlock.
        let many = |version| format!("{head} SELECT {}, {version} FROM {source}ORDER BY i.n", selected.join(", "));
        let insert = many(DRAW);
        Upsert {
            one: format!("{head} VALUES ({}, 0) {tail}", values.join(", ")),
            insert_many: format!("{insert} {answer}, {DRAW}"),
            insert_absent: format!("{insert} ON CONFLICT ({keys}) DO NOTHING {answer}, {DRAW}"),
            many: format!("{} {tail}", many("0")),
            set,
            only_updates: !needed.is_empty(),
            named: named(definition, &changed),
        }
    }
}

/// The quoted names of a table.
struct Names {
    definition: &'static SchemaDefinition,
    table: String,
    version: String,
    keys: Vec<String>,
}

impl Names {
    fn of(schema: &BoundSchema) -> Self {
        let definition = schema.definition();
        Names {
            definition,
            table: DIALECT.quote_table(schema.table()),
            version: DIALECT.quote(VERSION_COLUMN),
            keys: definition.key_columns().map(quote).collect(),
        }
    }

    fn columns(&self, prefix: &str) -> String {
        let columns: Vec<String> = self.definition.columns().iter().map(|column| format!("{prefix}{}", quote(column))).collect();
        columns.join(", ")
    }

    fn where_key(&self, first: usize) -> String {
        let parts: Vec<String> = self.keys.iter().enumerate().map(|(index, key)| format!("{key} = ${}", first + index)).collect();
        parts.join(" AND ")
    }

    fn key_arrays(&self) -> String {
        let arrays: Vec<String> = self
            .definition
            .key_columns()
            .enumerate()
            .map(|(index, column)| format!("${}::{}[]", index + 1, DIALECT.type_name(column.column_type)))
            .collect();
        arrays.join(", ")
    }

    /// The names of the key columns within `k`: not their own, which might be `n`.
    fn key_aliases(&self) -> String {
        let aliases: Vec<String> = (1..=self.keys.len()).map(|number| format!("k{number}")).collect();
        aliases.join(", ")
    }

    fn key_matches(&self) -> String {
        let parts: Vec<String> = self.keys.iter().enumerate().map(|(index, key)| format!("t.{key} = k.k{}", index + 1)).collect();
        parts.join(" AND ")
    }
}

fn quote(column: &ColumnDefinition) -> String {
    DIALECT.quote(column.name)
}

fn is_updated(column: &ColumnDefinition) -> bool {
    !column.is_key && column.stamp != Stamp::OnInsert
}

/// The columns that the log names of an update which sets those at some positions; `None` where these are all or none, which says no more than the key.
pub(crate) fn named(definition: &SchemaDefinition, changed: &[usize]) -> Option<Vec<&'static str>> {
    let columns = definition.columns();
    let is_part = !changed.is_empty() && changed.len() < columns.iter().filter(|column| is_updated(column)).count();
    is_part.then(|| changed.iter().map(|&position| columns[position].name).collect())
}

/// The tables of one definition, by name: one, unless several stores in this process name it differently.
type Tables = Vec<(String, Arc<TableSql>)>;

/// The statements of every table that was used.
#[derive(Debug, Default)]
pub(crate) struct Statements {
    tables: RwLock<HashMap<usize, Tables>>,
}

impl Statements {
    pub(crate) fn of(&self, schema: &BoundSchema) -> Arc<TableSql> {
        // A definition lives for ever, so its address names it.
        let definition = std::ptr::from_ref(schema.definition()) as usize;
        let find = |tables: &HashMap<usize, Tables>| {
            let (_, sql) = tables.get(&definition)?.iter().find(|(table, _)| table == schema.table())?;
            Some(Arc::clone(sql))
        };
        if let Some(present) = find(&self.tables.read().unwrap_or_else(PoisonError::into_inner)) {
            return present;
        }
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(present) = find(&tables) {
            return present;
        }
        let made = Arc::new(TableSql::new(schema));
        tables.entry(definition).or_default().push((schema.table().to_owned(), Arc::clone(&made)));
        made
    }
}

//! Triggers that write the log for writers other than Strata, if the tier is told to watch for them.
//!
//! A version may be drawn only with the row's lock held; see the module on writes. That decides where each is drawn:
//!
//! - An `UPDATE` has locked the row when its `BEFORE` row trigger runs: the trigger draws.
//! - A `DELETE` keeps the lock to the end of its transaction, so the statement trigger behind it draws.
//! - An `INSERT`, and an `UPDATE` that changes the key, may still have to wait for another writer of the new key after every `BEFORE` trigger has run. What was
//!   drawn there is good only if nobody else has drawn since: then whoever had the key before drew a smaller number. The statement trigger sees that by the
//!   versions, which have no gap and end where the sequence stands. Otherwise it updates the rows once more, which are the transaction's own by then: that
//!   draws their versions and logs them as any `UPDATE`, for a second write of each row.
//!
//! Strata's sessions log their own writes, and are known by a setting. But what a trigger or a foreign key of the user's writes on behalf of such a session
//! is nested in a trigger, and logged here.

use std::fmt::Write;

use store_core::facet::BULK_LOG_LIMIT;
use store_core::sql::{Dialect, VERSION_COLUMN};
use store_core::{BoundSchema, ColumnType, OnDelete};

use crate::catalog::Relation;
use crate::error::Failure;
use crate::pool::Lease;
use crate::statements::kind;

const DIALECT: Dialect = Dialect::Postgres;

/// Whose writes are to be logged, at the moment of each statement.
const FROM_OUTSIDE: &str = "pg_trigger_depth() > 0 OR current_setting('strata.writer', true) IS DISTINCT FROM 'on'";

/// Says to a statement trigger that the row triggers draw for inserts too. Those of older versions of Strata, on tables that are not migrated yet, do not.
const DRAWN: &str = "drawn";

/// Stands for the first schema of the search path where nobody has looked it up.
const HOME: &str = "{home}";

/// A function of the triggers.
struct Function {
    name: &'static str,
    /// Name, arguments and language.
    head: &'static str,
    body: String,
    /// Whose rights it acts with: the triggers' with those of its owner, so that who may write a table need not be given rights on the log.
    rights: String,
}

impl Function {
    fn create_statement(&self) -> String {
        format!("CREATE OR REPLACE FUNCTION {}{} AS $body${}$body$", self.head, self.rights, self.body)
    }
}

/// The functions in a schema of the database, whose name is quoted.
fn functions(home: &str) -> [Function; 3] {
    let log = "INSERT INTO _strata_log (schema, key, version, kind)";
    let (put, delete) = (kind::PUT, kind::DELETE);
    // In `same_key` one side is `r`, the row that is looked at, and the other `t`. What the planner knows of the transition tables is how many rows they have, so
    // each comparison of the two is a join of its own: in a filter of an aggregate it would be a scan for each row.
    let statement = format!(
        "
DECLARE
    key_text CONSTANT TEXT := TG_ARGV[1];
    same_key CONSTANT TEXT := TG_ARGV[2];
    touch CONSTANT TEXT := format('UPDATE %I.%I AS t SET {VERSION_COLUMN} = 0 FROM new_rows AS r WHERE %s', TG_TABLE_SCHEMA, TG_TABLE_NAME, same_key);
    new_count BIGINT := 0;
    moved_count BIGINT := 0;
    gone_count BIGINT := 0;
    drew_alone BOOLEAN;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        {log} VALUES (TG_ARGV[0], NULL, nextval('_strata_version'), {delete});
        RETURN NULL;
    ELSIF TG_OP = 'DELETE' THEN
        EXECUTE 'SELECT count(*) FROM old_rows' INTO gone_count;
        IF gone_count > {BULK_LOG_LIMIT} THEN
            {log} VALUES (TG_ARGV[0], NULL, nextval('_strata_version'), {delete});
        ELSE
            EXECUTE format('{log} SELECT $1, %s, nextval(''_strata_version''), {delete} FROM old_rows AS r', key_text) USING TG_ARGV[0];
        END IF;
        RETURN NULL;
    END IF;
    EXECUTE 'SELECT count(*), max({VERSION_COLUMN}) - min({VERSION_COLUMN}) + 1 = count(*) AND max({VERSION_COLUMN}) = pg_sequence_last_value(''_strata_version'')
        FROM new_rows' INTO new_count, drew_alone;
    drew_alone := coalesce(drew_alone AND TG_ARGV[3] = '{DRAWN}', FALSE);
    IF new_count = 0 THEN
        RETURN NULL;
    ELSIF TG_OP = 'INSERT' AND NOT drew_alone THEN
        EXECUTE touch;
        RETURN NULL;
    ELSIF TG_OP = 'UPDATE' AND NOT (drew_alone AND new_count > {BULK_LOG_LIMIT}) THEN
        EXECUTE format('SELECT count(*) FROM new_rows AS r WHERE NOT EXISTS (SELECT FROM old_rows AS t WHERE %s)', same_key) INTO moved_count;
    END IF;
    IF moved_count > 0 AND NOT drew_alone THEN
        EXECUTE touch || format(' AND NOT EXISTS (SELECT FROM old_rows AS t WHERE %s)', same_key);
    END IF;
    IF new_count + moved_count > {BULK_LOG_LIMIT} THEN
        {log} VALUES (TG_ARGV[0], NULL, nextval('_strata_version'), {put});
        RETURN NULL;
    END IF;
    EXECUTE format('{log} SELECT $1, %s, r.{VERSION_COLUMN}, {put} FROM new_rows AS r', key_text)
        || CASE WHEN drew_alone THEN '' ELSE format(' WHERE EXISTS (SELECT FROM old_rows AS t WHERE %s)', same_key) END USING TG_ARGV[0];
    IF moved_count > 0 THEN
        EXECUTE format('{log} SELECT $1, %s, nextval(''_strata_version''), {delete} FROM old_rows AS r
            WHERE NOT EXISTS (SELECT FROM new_rows AS t WHERE %s)', key_text, same_key) USING TG_ARGV[0];
    END IF;
    RETURN NULL;
END
"
    );
    // It runs for each row, so it does without a search path of its own: setting that would cost more than all else here. Hence the names in full.
    let sequence = format!("{home}._strata_version").replace('\'', "''");
    let row = format!("\nBEGIN\n    NEW.{VERSION_COLUMN} := pg_catalog.nextval('{sequence}');\n    RETURN NEW;\nEND\n");
    // The text form of a key escapes `%`, `:` and control characters in its parts.
    let key_part = "
    SELECT CASE WHEN part COLLATE \"C\" !~ '[%:\\x01-\\x1f\\x7f]' THEN part ELSE (
        SELECT string_agg(
            CASE WHEN s.c COLLATE \"C\" ~ '[%:\\x01-\\x1f\\x7f]' THEN '%' || upper(lpad(to_hex(ascii(s.c)), 2, '0')) ELSE s.c END,
            '' ORDER BY s.n)
        FROM string_to_table(part, NULL) WITH ORDINALITY AS s (c, n)) END
";
    [
        Function {
            name: "_strata_key_part",
            head: "_strata_key_part(part TEXT) RETURNS TEXT LANGUAGE sql IMMUTABLE STRICT",
            body: key_part.to_owned(),
            rights: String::new(),
        },
        Function {
            name: "_strata_watch_row",
            head: "_strata_watch_row() RETURNS TRIGGER LANGUAGE plpgsql",
            body: row,
            rights: " SECURITY DEFINER".to_owned(),
        },
        Function {
            name: "_strata_watch_statement",
            head: "_strata_watch_statement() RETURNS TRIGGER LANGUAGE plpgsql",
            body: statement,
            rights: format!(" SECURITY DEFINER SET search_path = {home}, pg_temp"),
        },
    ]
}

/// A trigger: its name, when it runs, and for what.
const TRIGGERS: [(&str, &str, &str); 6] = [
    ("_strata_watch_new_row", "BEFORE INSERT", "FOR EACH ROW"),
    ("_strata_watch_row", "BEFORE UPDATE", "FOR EACH ROW"),
    ("_strata_watch_insert", "AFTER INSERT", "REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT"),
    ("_strata_watch_update", "AFTER UPDATE", "REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT"),
    ("_strata_watch_delete", "AFTER DELETE", "REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT"),
    ("_strata_watch_truncate", "AFTER TRUNCATE", "FOR EACH STATEMENT"),
];

/// The functions that are missing or of another version of Strata: their names, and the statements that make them.
pub(crate) async fn missing_functions(lease: &Lease) -> Result<Vec<(&'static str, String)>, Failure> {
    const PRESENT: &str = "SELECT p.proname::TEXT, p.prosrc FROM pg_catalog.pg_proc AS p \
        JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace WHERE n.nspname = current_schema() AND p.proname LIKE '\\_strata\\_%'";
    let present: Vec<(String, String)> =
        lease.query(PRESENT, &[]).await?.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_, Failure>>()?;
    let home: String = lease.query_one("SELECT quote_ident(current_schema())", &[]).await?.try_get(0)?;
    let mut missing = Vec::new();
    for function in functions(&home) {
        if present.iter().any(|(name, body)| name == function.name && *body == function.body) {
            continue;
        }
        missing.push((function.name, function.create_statement()));
    }
    Ok(missing)
}

/// The statements that make the functions in the first schema of the search path, whichever that is where they are run.
pub(crate) fn function_statements() -> impl Iterator<Item = String> {
    functions(HOME).into_iter().map(|function| {
        let create = function.create_statement();
        let home = match function.body.contains(HOME) {
            // There it stands in a text.
            true => "replace(quote_ident(current_schema()), '''', '''''')",
            false if create.contains(HOME) => "quote_ident(current_schema())",
            false => return create,
        };
        format!("DO $make$ BEGIN EXECUTE replace($create${create}$create$, '{HOME}', {home}); END $make$")
    })
}

/// The triggers of a table, if there is one yet, that are missing or were made for another key: their names, and the statements that make them.
pub(crate) async fn missing(
    lease: &Lease,
    schema: &BoundSchema,
    relation: Option<&Relation>,
) -> Result<Vec<(&'static str, String)>, Failure> {
    const PRESENT: &str = "SELECT tgname::TEXT, tgargs FROM pg_catalog.pg_trigger WHERE tgrelid = $1::OID AND NOT tgisinternal";
    let present: Vec<(String, Vec<u8>)> = match relation {
        Some(relation) => {
            let rows = lease.query(PRESENT, &[&relation.oid]).await?;
            rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_, Failure>>()?
        }
        None => Vec::new(),
    };
    let is_missing = |trigger: &Trigger| {
        let stored: Vec<u8> = trigger.arguments.iter().flat_map(|argument| argument.bytes().chain([0])).collect();
        !present.iter().any(|(present, arguments)| present == trigger.name && *arguments == stored)
    };
    Ok(triggers(schema).filter(is_missing).map(|trigger| (trigger.name, trigger.create)).collect())
}

/// The statements that make the triggers of a table.
pub(crate) fn trigger_statements(schema: &BoundSchema) -> impl Iterator<Item = String> {
    triggers(schema).map(|trigger| trigger.create)
}

struct Trigger {
    name: &'static str,
    arguments: Vec<String>,
    create: String,
}

fn triggers(schema: &BoundSchema) -> impl Iterator<Item = Trigger> {
    let table = DIALECT.quote_table(schema.table());
    TRIGGERS.into_iter().map(move |(name, moment, scope)| {
        let (function, arguments) = match scope {
            "FOR EACH ROW" => ("_strata_watch_row", Vec::new()),
            _ => ("_strata_watch_statement", vec![schema.name().to_owned(), key_text(schema), same_key(schema), DRAWN.to_owned()]),
        };
        let quoted: Vec<String> = arguments.iter().map(|argument| format!("'{}'", argument.replace('\'', "''"))).collect();
        let create = format!(
            "CREATE OR REPLACE TRIGGER {name} {moment} ON {table} {scope} WHEN ({FROM_OUTSIDE}) EXECUTE FUNCTION {function}({})",
            quoted.join(", ")
        );
        Trigger { name, arguments, create }
    })
}

/// Whether the database changes records of a schema that nobody wrote, so that they must reach the log whether others write or not.
pub(crate) fn are_needed(schema: &BoundSchema) -> bool {
    schema.references().any(|(reference, _)| reference.on_delete.changes_records())
}

/// The triggers that hear of what the database does to records of a schema by itself.
pub(crate) fn needed(schema: &BoundSchema) -> impl Iterator<Item = &'static str> {
    let does = |what: OnDelete| schema.references().any(|(reference, _)| reference.on_delete == what);
    let of_deletions = does(OnDelete::Cascade).then_some("_strata_watch_delete");
    let of_changes = does(OnDelete::SetNull).then_some(["_strata_watch_row", "_strata_watch_update"]);
    of_deletions.into_iter().chain(of_changes.into_iter().flatten())
}

/// The text form of the key of a row `r`.
fn key_text(schema: &BoundSchema) -> String {
    let mut text = String::from("concat_ws(':'");
    for column in schema.definition().key_columns() {
        let name = DIALECT.quote(column.name);
        // Writing to a String cannot fail.
        let _ = match column.column_type {
            ColumnType::Text => write!(text, ", _strata_key_part(r.{name})"),
            ColumnType::Time => write!(text, ", (extract(epoch FROM r.{name}) * 1000000)::BIGINT::TEXT"),
            _ => write!(text, ", r.{name}::TEXT"),
        };
    }
    text + ")"
}

/// Whether the rows `t` and `r` have the same key.
fn same_key(schema: &BoundSchema) -> String {
    let names = schema.definition().key_columns().map(|column| DIALECT.quote(column.name));
    names.map(|name| format!("t.{name} = r.{name}")).collect::<Vec<_>>().join(" AND ")
}

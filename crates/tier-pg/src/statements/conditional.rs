//! The SQL of conditional writes.

use store_core::BoundSchema;
use store_core::facet::Condition;

use super::{DRAW, Names, is_updated, kind, named, quote};

/// A condition without its version, of which the statements know only the place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Expects {
    Absent,
    Present,
    Version,
}

impl Expects {
    pub(super) fn of(condition: Condition) -> Self {
        match condition {
            Condition::Absent => Expects::Absent,
            Condition::Present => Expects::Present,
            Condition::Version(_) => Expects::Version,
        }
    }
}

/// The statements that write one row in which certain columns are unset, under a condition.
#[derive(Debug)]
pub(crate) struct PutIf {
    /// Writes the row: the columns of [`params`](Self::params), then the version that is expected, if one is. Answers all columns and the version, which is 0
    /// where the row is new; nothing if the condition does not hold. An update takes the schema and the key's text as well, and writes the log row.
    pub(crate) write: String,
    /// The positions of the columns that it takes.
    pub(crate) params: Vec<usize>,
    /// The columns that the log names.
    pub(crate) named: Option<Vec<&'static str>>,
    /// Draws the version of a new row and writes its log row: key columns, schema, key text. Answers the version; nothing if no row was inserted.
    pub(crate) stamp: Option<String>,
}

impl PutIf {
    pub(super) fn new(schema: &BoundSchema, unset: &[usize], expects: Expects) -> Self {
        let names = Names::of(schema);
        let columns = schema.definition().columns();
        let set = (0..columns.len()).filter(|position| !unset.contains(position));
        match expects {
            Expects::Absent => Self::insert(&names, set.collect()),
            Expects::Present | Expects::Version => {
                Self::update(&names, set.filter(|&position| is_updated(&columns[position])).collect(), expects == Expects::Version)
            }
        }
    }

    fn insert(names: &Names, params: Vec<usize>) -> Self {
        let Names { table, version, .. } = names;
        let columns = names.definition.columns();
        let targets: Vec<String> = params.iter().map(|&position| quote(&columns[position])).collect();
        let placeholders: Vec<String> = (1..=params.len()).map(|number| format!("${number}")).collect();
        let (schema_at, text_at) = (names.keys.len() + 1, names.keys.len() + 2);
        // A column that needs a value and has none is refused before the key is looked up.
        let unless_present = if params.len() < columns.len() {
            let keys = targets.iter().zip(&placeholders).zip(&params).filter(|(_, position)| columns[**position].is_key);
            let same: Vec<String> = keys.map(|((key, placeholder), _)| format!("{key} = {placeholder}")).collect();
            format!(" WHERE NOT EXISTS (SELECT FROM {table} WHERE {})", same.join(" AND "))
        } else {
            String::new()
        };
        PutIf {
            write: format!(
                "INSERT INTO {table} AS t ({}, {version}) SELECT {}, 0{unless_present} ON CONFLICT ({}) DO NOTHING RETURNING {}, t.{version}",
                targets.join(", "),
                placeholders.join(", "),
                names.keys.join(", "),
                names.columns("t.")
            ),
            params,
            named: None,
            stamp: Some(format!(
                "WITH fresh AS (UPDATE {table} SET {version} = {DRAW} WHERE {} AND {version} = 0 RETURNING {version}) \
                 INSERT INTO _strata_log (schema, key, version, kind) \
                 SELECT ${schema_at}::TEXT, ${text_at}::TEXT, {version}, {} FROM fresh RETURNING version",
                names.where_key(1),
                kind::PUT
            )),
        }
    }

    /// An update draws again whenever the row changed while it waited for the lock, and looks at the condition again.
    fn update(names: &Names, changed: Vec<usize>, expects_version: bool) -> Self {
        let Names { table, version, .. } = names;
        let definition = names.definition;
        let keys = names.keys.len();
        let mut changes: Vec<String> = (keys + 1..)
            .zip(&changed)
            .map(|(number, &position)| format!("{} = ${number}", quote(&definition.columns()[position])))
            .collect();
        changes.push(format!("{version} = {DRAW}"));
        let mut condition = names.where_key(1);
        let mut next = keys + changed.len() + 1;
        if expects_version {
            condition += &format!(" AND {version} = ${next}::BIGINT");
            next += 1;
        }
        let named = named(definition, &changed);
        PutIf {
            write: format!(
                "WITH written AS (UPDATE {table} SET {} WHERE {condition} RETURNING {}, {version}), \
                 logged AS (INSERT INTO _strata_log (schema, key, version, kind) \
                 SELECT ${next}::TEXT, ${}::TEXT, {version}, {} FROM written) \
                 SELECT {}, {version} FROM written",
                changes.join(", "),
                names.columns(""),
                next + 1,
                if named.is_some() { kind::PUT_COLUMNS } else { kind::PUT },
                names.columns("")
            ),
            params: definition.key_positions().iter().copied().chain(changed).collect(),
            named,
            stamp: None,
        }
    }
}

//! Conditions as SQL.

use std::collections::{BTreeMap, HashMap};

use super::dialect::Dialect;
use super::placeholders::renumber;
use crate::error::{Error, ErrorKind, Result};
use crate::query::{ColumnName, Comparison, DEEPEST, Filter, SIMILARITY, why_incomparable};
use crate::schema::BoundSchema;
use crate::timestamp::RANGE;
use crate::value::Value;

/// Both databases take at least this many values in one statement.
const MOST_PARAMS: usize = 32_000;

/// How many conditions are joined in one run of AND or OR; a longer list becomes a tree of such runs. In SQLite each operator of a run is a level of its own.
const LONGEST_RUN: usize = 16;

/// SQLite takes 1,000 levels of operators; what stands around and within a condition needs a few.
const MOST_OPERATORS: usize = 900;

/// A condition as SQL, for a statement whose placeholders so far stand for `params`, and the values of all of them.
///
/// # Errors
///
/// [`InvalidQuery`](crate::ErrorKind::InvalidQuery) for unknown columns and for raw conditions that do not fit their values.
///
/// ```
/// use store_core::sql::{self, Dialect};
/// use store_core::{BoundSchema, Schema, Value};
/// # use store_derive::Schema;
/// # #[derive(Schema)] struct City { #[schema(primary_key)] id: i64, population: i64 }
///
/// let schema = BoundSchema::standalone(City::definition());
/// let (sql, params) = sql::condition(Dialect::Postgres, &schema, &City::population().lt(10), vec![Value::from(7)])?;
/// assert_eq!((sql.as_str(), params.len()), (r#""population" < $2"#, 2));
/// # Ok::<(), store_core::Error>(())
/// ```
pub fn condition(
    dialect: Dialect,
    schema: &BoundSchema,
    filter: &Filter,
    params: Vec<Value<'static>>,
) -> Result<(String, Vec<Value<'static>>)> {
    let mut writer = ConditionWriter { dialect, schema, params };
    let mut sql = String::new();
    writer.write(filter, &mut sql)?;
    Ok((sql, writer.params))
}

/// How deep a part of a condition stands.
#[derive(Clone, Copy, Default)]
struct Depth {
    /// In filters.
    filters: usize,
    /// In the operators that they are written with.
    operators: usize,
}

impl Depth {
    /// A filter deeper, below so many operators.
    fn below(self, operators: usize) -> Self {
        Depth { filters: self.filters + 1, operators: self.operators + operators }
    }
}

pub(super) struct ConditionWriter<'a> {
    pub(super) dialect: Dialect,
    pub(super) schema: &'a BoundSchema,
    pub(super) params: Vec<Value<'static>>,
}

impl ConditionWriter<'_> {
    pub(super) fn write(&mut self, filter: &Filter, sql: &mut String) -> Result<()> {
        self.write_at(filter, sql, Depth::default())
    }

    fn write_at(&mut self, filter: &Filter, sql: &mut String, depth: Depth) -> Result<()> {
        if depth.filters > DEEPEST || depth.operators > MOST_OPERATORS {
            return Err(self.too_deep());
        }
        match filter {
            Filter::All(parts) => self.join(&parts.iter().collect::<Vec<_>>(), " AND ", "TRUE", sql, depth),
            Filter::Any(parts) => {
                let lists = self.lists(parts);
                let parts: Vec<&Filter> =
                    (0..).zip(parts).filter_map(|(place, part)| lists.get(&place).map_or(Some(part), Option::as_ref)).collect();
                self.join(&parts, " OR ", "FALSE", sql, depth)
            }
            Filter::Not(inner) => {
                sql.push_str("NOT (");
                self.write_at(inner, sql, depth.below(1))?;
                sql.push(')');
                Ok(())
            }
            Filter::Compare { column, comparison, value } => {
                sql.push_str(&self.compared(column)?);
                sql.push_str(match comparison {
                    Comparison::Equal => " = ",
                    Comparison::NotEqual => " <> ",
                    Comparison::Less => " < ",
                    Comparison::LessOrEqual => " <= ",
                    Comparison::Greater => " > ",
                    Comparison::GreaterOrEqual => " >= ",
                    Comparison::Like => return self.like(column, value, sql),
                });
                self.value(value.clone(), sql)
            }
            Filter::OneOf { column, values } if values.is_empty() => {
                self.compared(column)?;
                sql.push_str("FALSE");
                Ok(())
            }
            Filter::OneOf { column, values } => {
                sql.push_str(&self.compared(column)?);
                sql.push_str(" IN (");
                for (position, value) in values.iter().enumerate() {
                    if position > 0 {
                        sql.push_str(", ");
                    }
                    self.value(value.clone(), sql)?;
                }
                sql.push(')');
                Ok(())
            }
            Filter::Similar { column, text, threshold } => self.similar(column, text, *threshold, sql),
            Filter::IsNull { column } => {
                sql.push_str(&self.column(column)?);
                sql.push_str(" IS NULL");
                Ok(())
            }
            Filter::Raw { sql: condition, params } => {
                let renumbered = renumber(condition, params.len(), self.params.len() + 1, self.dialect)
                    .map_err(|error| error.with_schema(self.schema.name()))?;
                for (number, value) in (1..).zip(params) {
                    check_value(value).map_err(|reason| self.refuse(format!("value {number}: {reason}")))?;
                }
                self.params.extend(params.iter().cloned());
                self.check_count()?;
                sql.push('(');
                sql.push_str(&renumbered);
                sql.push(')');
                Ok(())
            }
            Filter::Invalid { column, reason } => Err(self.refuse(reason.clone()).with_column(column.to_name())),
            Filter::TooDeep => Err(self.too_deep()),
        }
    }

    /// The alternatives that say what one column equals become one list of its values where the first of them stands, and nothing where the others do:
    /// `a = 1 OR a = 2` is `a IN (1, 2)`, whatever is NULL. SQLite's planner takes seconds for tens of thousands of the former.
    fn lists(&self, alternatives: &[Filter]) -> HashMap<usize, Option<Filter>> {
        let mut places: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (place, alternative) in alternatives.iter().enumerate() {
            if let Some((column, _)) = equality(alternative)
                && let Ok(position) = column.position_in(self.schema.definition())
            {
                places.entry(position).or_default().push(place);
            }
        }
        let mut lists = HashMap::new();
        for places in places.into_values().filter(|places| places.len() > 1) {
            let equalities = || places.iter().filter_map(|&place| equality(&alternatives[place]));
            let values = equalities().flat_map(|(_, values)| values).cloned().collect();
            let list = equalities().next().map(|(column, _)| Filter::OneOf { column: column.clone(), values });
            lists.extend(places.iter().map(|&place| (place, None)));
            lists.insert(places[0], list);
        }
        lists
    }

    fn join(&mut self, parts: &[&Filter], operator: &str, none: &str, sql: &mut String, depth: Depth) -> Result<()> {
        match parts {
            [] => {
                sql.push_str(none);
                Ok(())
            }
            [only] => self.write_at(only, sql, depth.below(0)),
            parts => {
                // Each run but the last takes as many as keep the tree as low as it can be.
                let mut share = 1;
                while share * LONGEST_RUN < parts.len() {
                    share *= LONGEST_RUN;
                }
                let runs = parts.chunks(share);
                let last = runs.len() - 1;
                sql.push('(');
                for (position, run) in runs.enumerate() {
                    if position > 0 {
                        sql.push_str(operator);
                    }
                    // `a OR b OR c` is `(a OR b) OR c`: the first two stand below all operators of the run.
                    let operators = (last + 1 - position).min(last);
                    match run {
                        [only] => self.write_at(only, sql, depth.below(operators))?,
                        run => self.join(run, operator, none, sql, Depth { operators: depth.operators + operators, ..depth })?,
                    }
                }
                sql.push(')');
                Ok(())
            }
        }
    }

    fn value(&mut self, value: Value<'static>, sql: &mut String) -> Result<()> {
        check_value(&value).map_err(|reason| self.refuse(reason))?;
        self.params.push(value);
        self.check_count()?;
        sql.push_str(&self.dialect.placeholder(self.params.len()));
        Ok(())
    }

    /// `LIKE` heeds case in PostgreSQL and not in SQLite, whose `GLOB` does, and can use an index for a prefix.
    fn like(&mut self, column: &ColumnName, pattern: &Value<'static>, sql: &mut String) -> Result<()> {
        if pattern.as_text().is_some_and(ends_with_lone_escape) {
            let reason = "the pattern of LIKE ends with a `\\` that escapes nothing; write `\\\\` for one backslash";
            return Err(self.refuse(reason.to_owned()).with_column(column.to_name()));
        }
        // SQLite's `GLOB` would end at it, and PostgreSQL has no such text.
        if pattern.as_text().is_some_and(|pattern| pattern.contains('\0')) {
            let reason = "the pattern of LIKE holds the character NUL, which no stored text holds; remove it";
            return Err(self.refuse(reason.to_owned()).with_column(column.to_name()));
        }
        match (self.dialect, pattern) {
            (Dialect::Sqlite, Value::Text(pattern)) => {
                sql.push_str(" GLOB ");
                self.value(Value::Text(to_glob(pattern).into()), sql)
            }
            (_, pattern) => {
                sql.push_str(" LIKE ");
                self.value(pattern.clone(), sql)?;
                sql.push_str(" ESCAPE '\\'");
                Ok(())
            }
        }
    }

    /// A column whose values are to be compared. What is plain here would be compared with ciphertexts, and be told to the database.
    fn compared(&self, column: &ColumnName) -> Result<String> {
        let definition = self.schema.definition();
        let encrypted = column.position_in(definition).ok().map(|position| &definition.columns()[position]);
        match encrypted.filter(|column| column.encryption.is_some()) {
            Some(encrypted) => Err(self.refuse(why_incomparable(encrypted)).with_column(encrypted.name)),
            None => self.column(column),
        }
    }

    /// A session's limit for `%`, by which PostgreSQL finds rows in an index, is [`SIMILARITY`]: Strata's connections set it. What is to be more alike is held
    /// against its own limit too; what may be less so is found without `%`.
    fn similar(&mut self, column: &ColumnName, text: &str, threshold: f32, sql: &mut String) -> Result<()> {
        let name = self.compared(column)?;
        if self.dialect == Dialect::Postgres && threshold >= SIMILARITY {
            sql.push_str(&format!("({name} % "));
            self.text(column, text, sql)?;
            sql.push_str(" AND ");
            let placeholder = self.dialect.placeholder(self.params.len());
            sql.push_str(&format!("similarity({name}, {placeholder}::TEXT) >= {threshold:?}::REAL)"));
            return Ok(());
        }
        self.similarity(column, text, sql)?;
        // SQLite counts in double precision, into which the function's answer and this are taken alike.
        let limit = match self.dialect {
            Dialect::Postgres => format!(" >= {threshold:?}::REAL"),
            Dialect::Sqlite => format!(" >= {:?}", f64::from(threshold)),
        };
        sql.push_str(&limit);
        Ok(())
    }

    /// How alike a column's text and another are.
    pub(super) fn similarity(&mut self, column: &ColumnName, text: &str, sql: &mut String) -> Result<()> {
        sql.push_str(&format!("similarity({}, ", self.compared(column)?));
        self.text(column, text, sql)?;
        sql.push(')');
        Ok(())
    }

    fn text(&mut self, column: &ColumnName, text: &str, sql: &mut String) -> Result<()> {
        if text.contains('\0') {
            let reason = "the text holds the character NUL, which no stored text holds; remove it";
            return Err(self.refuse(reason.to_owned()).with_column(column.to_name()));
        }
        self.value(Value::Text(text.to_owned().into()), sql)?;
        if self.dialect == Dialect::Postgres {
            sql.push_str("::TEXT");
        }
        Ok(())
    }

    pub(super) fn column(&self, column: &ColumnName) -> Result<String> {
        match column.position_in(self.schema.definition()) {
            Ok(_) => Ok(self.dialect.quote(column)),
            Err(reason) => Err(self.refuse(reason)),
        }
    }

    fn check_count(&self) -> Result<()> {
        if self.params.len() <= MOST_PARAMS {
            Ok(())
        } else {
            Err(self.refuse(format!("the query has more than {MOST_PARAMS} values; split it into several, or use `get_many` for keys")))
        }
    }

    fn too_deep(&self) -> Error {
        self.refuse(format!(
            "the condition is nested more than {DEEPEST} levels deep, or long lists stand within long lists too often; \
             put alternatives side by side in one `Filter::Any`, values of one column in one `one_of`, or split the query"
        ))
    }

    fn refuse(&self, reason: String) -> Error {
        Error::new(ErrorKind::InvalidQuery, reason).with_schema(self.schema.name())
    }
}

/// The column and the values, one of which it equals where the condition holds.
fn equality(filter: &Filter) -> Option<(&ColumnName, &[Value<'static>])> {
    match filter {
        Filter::Compare { column, comparison: Comparison::Equal, value } => Some((column, std::slice::from_ref(value))),
        Filter::OneOf { column, values } => Some((column, values)),
        _ => None,
    }
}

/// Why a value cannot stand in a condition. SQLite would take NaN for NULL.
fn check_value(value: &Value<'_>) -> std::result::Result<(), String> {
    match value {
        Value::Double(number) if number.is_nan() => Err("NaN cannot be compared with".to_owned()),
        Value::Unset => Err(format!("it is `Value::Unset`, which a time that no column holds becomes ({RANGE}); give a value, or NULL")),
        _ => Ok(()),
    }
}

/// PostgreSQL refuses such a pattern for some rows, SQLite for none.
fn ends_with_lone_escape(pattern: &str) -> bool {
    pattern.bytes().rev().take_while(|&byte| byte == b'\\').count() % 2 == 1
}

/// The pattern of `GLOB` that matches what a pattern of `LIKE` does. The pattern does not end within an escape.
fn to_glob(pattern: &str) -> String {
    let mut glob = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            '%' => glob.push('*'),
            '_' => glob.push('?'),
            '\\' => push_literal(&mut glob, characters.next().unwrap_or('\\')),
            other => push_literal(&mut glob, other),
        }
    }
    glob
}

fn push_literal(glob: &mut String, character: char) {
    if matches!(character, '*' | '?' | '[') {
        glob.extend(['[', character, ']']);
    } else {
        glob.push(character);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{ColumnDefinition, Policies, SchemaDefinition};
    use crate::value::ColumnType;

    fn sql(filter: &Filter) -> Result<String> {
        let definition = Box::leak(Box::new(SchemaDefinition::new("city", vec![], vec![], Policies::default())));
        let schema = BoundSchema::standalone(definition);
        let mut sql = String::new();
        ConditionWriter { dialect: Dialect::Sqlite, schema: &schema, params: Vec::new() }.write(filter, &mut sql).map(|()| sql)
    }

    fn leaf() -> Filter {
        Filter::Raw { sql: "x".into(), params: Vec::new() }
    }

    #[test]
    fn long_lists_become_low_trees() {
        let run = |length: usize| vec!["(x)"; length].join(" OR ");
        for (length, expected) in [
            (1, "(x)".to_owned()),
            (LONGEST_RUN, format!("({})", run(LONGEST_RUN))),
            (LONGEST_RUN + 1, format!("(({}) OR (x))", run(LONGEST_RUN))),
            (2 * LONGEST_RUN, format!("(({run}) OR ({run}))", run = run(LONGEST_RUN))),
        ] {
            assert_eq!(sql(&Filter::Any(vec![leaf(); length])).unwrap(), expected);
        }
        let long = sql(&Filter::Any(vec![leaf(); 100_000])).unwrap();
        let depths = long.chars().scan(0_usize, |depth, character| {
            *depth = (*depth + usize::from(character == '(')).saturating_sub(usize::from(character == ')'));
            Some(*depth)
        });
        assert_eq!((long.matches('x').count(), depths.max()), (100_000, Some(6)));
    }

    #[test]
    fn what_the_databases_would_find_too_deep_is_refused() {
        let nested = |levels: usize, width: usize| {
            (0..levels).fold(leaf(), |inner, level| {
                let parts = std::iter::once(inner).chain(std::iter::repeat_n(leaf(), width - 1)).collect();
                if level % 2 == 0 { Filter::Any(parts) } else { Filter::All(parts) }
            })
        };
        for fits in [nested(DEEPEST, 5), nested(60, LONGEST_RUN), nested(10, 10_000)] {
            assert!(sql(&fits).is_ok());
        }
        for beyond in [nested(DEEPEST, 6), nested(61, LONGEST_RUN), nested(50, 1_000), nested(DEEPEST + 1, 1)] {
            let error = sql(&beyond).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidQuery);
            assert!(
                error.to_string().contains("in one `Filter::Any`, values of one column in one `one_of`, or split the query"),
                "{error}"
            );
        }
    }

    #[test]
    fn alternatives_for_one_column_become_a_list() {
        let columns = ["a", "b"].map(|name| ColumnDefinition::new(name, ColumnType::BigInt)).to_vec();
        let definition = Box::leak(Box::new(SchemaDefinition::new("t", columns, vec![], Policies::default())));
        let schema = BoundSchema::standalone(definition);
        let compare =
            |column: &'static str, comparison, value: i64| Filter::Compare { column: column.into(), comparison, value: value.into() };
        let is = |column, value| compare(column, Comparison::Equal, value);
        let one_of = |column: &'static str, values: &[i64]| Filter::OneOf {
            column: column.into(),
            values: values.iter().map(|&value| value.into()).collect(),
        };
        for (filter, expected, values) in [
            (is("a", 1).or(is("a", 2)).or(is("a", 3)), r#""a" IN (?1, ?2, ?3)"#, vec![1, 2, 3]),
            (!is("a", 1).or(is("a", 2)), r#"NOT ("a" IN (?1, ?2))"#, vec![1, 2]),
            (
                is("b", 1).or(is("a", 2)).or(compare("a", Comparison::Less, 3)).or(one_of("a", &[4, 5])).or(is("b", 6)),
                r#"("b" IN (?1, ?2) OR "a" IN (?3, ?4, ?5) OR "a" < ?6)"#,
                vec![1, 6, 2, 4, 5, 3],
            ),
            (
                is("a", 1).or(is("b", 2)).or(is("a", 3).and(is("a", 4))),
                r#"("a" = ?1 OR "b" = ?2 OR ("a" = ?3 AND "a" = ?4))"#,
                vec![1, 2, 3, 4],
            ),
            (one_of("a", &[]).or(one_of("a", &[])).or(is("a", 1)), r#""a" IN (?1)"#, vec![1]),
        ] {
            let (mut sql, mut writer) = (String::new(), ConditionWriter { dialect: Dialect::Sqlite, schema: &schema, params: Vec::new() });
            writer.write(&filter, &mut sql).unwrap();
            assert_eq!(sql, expected);
            assert_eq!(writer.params, values.into_iter().map(Value::from).collect::<Vec<_>>());
        }
    }

    #[test]
    fn patterns_of_like_become_those_of_glob() {
        for (like, glob) in
            [("San %", "San *"), ("_a%", "?a*"), ("50\\%\\_\\\\", "50%_\\"), ("*?[a]", "[*][?][[]a]"), ("\\*", "[*]"), ("", "")]
        {
            assert_eq!(to_glob(like), glob);
        }
    }
}

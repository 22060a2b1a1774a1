//! Conditions as SQL.

use super::dialect::Dialect;
use super::placeholders::renumber;
use crate::error::{Error, ErrorKind, Result};
use crate::query::{Comparison, Filter};
use crate::schema::BoundSchema;
use crate::value::Value;

/// Both databases take at least this many values in one statement.
const MOST_PARAMS: usize = 32_000;

/// Conditions nested deeper than any person or cursor writes, well before the stack or SQLite's own limit ends.
const DEEPEST: usize = 200;

pub(super) struct ConditionWriter<'a> {
    pub(super) dialect: Dialect,
    pub(super) schema: &'a BoundSchema,
    pub(super) params: Vec<Value<'static>>,
}

impl ConditionWriter<'_> {
    pub(super) fn write(&mut self, filter: &Filter, sql: &mut String) -> Result<()> {
        self.write_at(filter, sql, 0)
    }

    fn write_at(&mut self, filter: &Filter, sql: &mut String, depth: usize) -> Result<()> {
        if depth > DEEPEST {
            return Err(
                self.refuse(format!("the condition is nested more than {DEEPEST} levels deep; join lists with `Filter::Any` or `one_of`"))
            );
        }
        match filter {
            Filter::All(parts) => self.join(parts, " AND ", "TRUE", sql, depth),
            Filter::Any(parts) => self.join(parts, " OR ", "FALSE", sql, depth),
            Filter::Not(inner) => {
                sql.push_str("NOT (");
                self.write_at(inner, sql, depth + 1)?;
                sql.push(')');
                Ok(())
            }
            Filter::Compare { column, comparison, value } => {
                sql.push_str(&self.column(column)?);
                if *comparison == Comparison::Like && value.as_text().is_some_and(ends_with_lone_escape) {
                    let reason = "the pattern of LIKE ends with a `\\` that escapes nothing; write `\\\\` for one backslash";
                    return Err(self.refuse(reason.to_owned()).with_column(*column));
                }
                sql.push_str(match comparison {
                    Comparison::Equal => " = ",
                    Comparison::NotEqual => " <> ",
                    Comparison::Less => " < ",
                    Comparison::LessOrEqual => " <= ",
                    Comparison::Greater => " > ",
                    Comparison::GreaterOrEqual => " >= ",
                    Comparison::Like => " LIKE ",
                });
                self.value(value.clone(), sql)?;
                if *comparison == Comparison::Like {
                    sql.push_str(" ESCAPE '\\'");
                }
                Ok(())
            }
            Filter::OneOf { values, .. } if values.is_empty() => {
                sql.push_str("FALSE");
                Ok(())
            }
            Filter::OneOf { column, values } => {
                sql.push_str(&self.column(column)?);
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
            Filter::IsNull { column } => {
                sql.push_str(&self.column(column)?);
                sql.push_str(" IS NULL");
                Ok(())
            }
            Filter::Raw { sql: condition, params } => {
                let renumbered = renumber(condition, params.len(), self.params.len() + 1, self.dialect)
                    .map_err(|error| error.with_schema(self.schema.name()))?;
                if let Some(unset) = params.iter().position(|value| matches!(value, Value::Unset)) {
                    return Err(self.refuse(format!("value {} is unset; give a value or NULL", unset + 1)));
                }
                self.params.extend(params.iter().cloned());
                self.check_count()?;
                sql.push('(');
                sql.push_str(&renumbered);
                sql.push(')');
                Ok(())
            }
            Filter::Invalid { column, reason } => Err(self.refuse(reason.clone()).with_column(*column)),
        }
    }

    fn join(&mut self, parts: &[Filter], operator: &str, none: &str, sql: &mut String, depth: usize) -> Result<()> {
        match parts {
            [] => {
                sql.push_str(none);
                Ok(())
            }
            [only] => self.write_at(only, sql, depth + 1),
            parts => {
                sql.push('(');
                for (position, part) in parts.iter().enumerate() {
                    if position > 0 {
                        sql.push_str(operator);
                    }
                    self.write_at(part, sql, depth + 1)?;
                }
                sql.push(')');
                Ok(())
            }
        }
    }

    fn value(&mut self, value: Value<'static>, sql: &mut String) -> Result<()> {
        if matches!(value, Value::Double(number) if number.is_nan()) {
            return Err(self.refuse("NaN cannot be compared with".to_owned()));
        }
        if matches!(value, Value::Unset) {
            return Err(self.refuse("a value to compare with is unset; give one".to_owned()));
        }
        self.params.push(value);
        self.check_count()?;
        sql.push_str(&self.dialect.placeholder(self.params.len()));
        Ok(())
    }

    pub(super) fn column(&self, name: &str) -> Result<String> {
        match self.schema.definition().position(name) {
            Some(_) => Ok(self.dialect.quote(name)),
            None => Err(self.refuse(format!("there is no column `{}`", name.escape_debug()))),
        }
    }

    fn check_count(&self) -> Result<()> {
        if self.params.len() <= MOST_PARAMS {
            Ok(())
        } else {
            Err(self.refuse(format!("the query has more than {MOST_PARAMS} values; split it, or use `get_many` for keys")))
        }
    }

    fn refuse(&self, reason: String) -> Error {
        Error::new(ErrorKind::InvalidQuery, reason).with_schema(self.schema.name())
    }
}

/// PostgreSQL refuses such a pattern for some rows, SQLite for none.
fn ends_with_lone_escape(pattern: &str) -> bool {
    pattern.bytes().rev().take_while(|&byte| byte == b'\\').count() % 2 == 1
}

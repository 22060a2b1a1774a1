//! Conditions as SQL.

use super::dialect::Dialect;
use super::placeholders::renumber;
use crate::error::{Error, ErrorKind, Result};
use crate::query::{ColumnName, Comparison, DEEPEST, Filter};
use crate::schema::BoundSchema;
use crate::value::Value;

/// Both databases take at least this many values in one statement.
const MOST_PARAMS: usize = 32_000;

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
            return Err(self.too_deep());
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
                self.column(column)?;
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
                    return Err(self.refuse(format!("value {} is unset, or a time that no column holds; give a value or NULL", unset + 1)));
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

    /// `LIKE` heeds case in PostgreSQL and not in SQLite, whose `GLOB` does, and can use an index for a prefix.
    fn like(&mut self, column: &ColumnName, pattern: &Value<'static>, sql: &mut String) -> Result<()> {
        if pattern.as_text().is_some_and(ends_with_lone_escape) {
            let reason = "the pattern of LIKE ends with a `\\` that escapes nothing; write `\\\\` for one backslash";
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
            Err(self.refuse(format!("the query has more than {MOST_PARAMS} values; split it, or use `get_many` for keys")))
        }
    }

    fn too_deep(&self) -> Error {
        self.refuse(format!("the condition is nested more than {DEEPEST} levels deep; join lists with `Filter::Any` or `one_of`"))
    }

    fn refuse(&self, reason: String) -> Error {
        Error::new(ErrorKind::InvalidQuery, reason).with_schema(self.schema.name())
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

    #[test]
    fn patterns_of_like_become_those_of_glob() {
        for (like, glob) in
            [("San %", "San *"), ("_a%", "?a*"), ("50\\%\\_\\\\", "50%_\\"), ("*?[a]", "[*][?][[]a]"), ("\\*", "[*]"), ("", "")]
        {
            assert_eq!(to_glob(like), glob);
        }
    }
}

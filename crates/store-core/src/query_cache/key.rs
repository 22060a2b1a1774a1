//! What tells one cached query from another.

use std::sync::Arc;

use super::plain;
use crate::query::{Comparison, Cursor, DEEPEST, Direction, Filter, Query};
use crate::schema::{Residence, Schema, SchemaDefinition};
use crate::tag::CallTags;
use crate::value::Value;

/// What a cached query answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Records, with the columns that every tier holds, or with those that memory leaves out as well.
    Records {
        /// Whether the latter.
        with_omitted: bool,
        /// Whether the versions of the records are shown too.
        with_versions: bool,
    },
    /// The values of these columns.
    Columns(Vec<usize>),
}

/// A query and all that its answer depends on but the data: conditions with their values, order, limit, offset, cursor, what is shown, and the tags that the
/// answer is given. The whole of it is compared, so that no two queries are ever taken for one another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct QueryKey {
    text: Arc<[u8]>,
    tags: CallTags,
}

impl QueryKey {
    /// The key of a query; `None` of one whose answer is not kept, because other things than writes of the schema's records may change it, or because a search
    /// would refuse it.
    pub(crate) fn new<T: Schema>(query: &Query<T>, shown: &Shown, tags: &CallTags) -> Option<Self> {
        let definition = T::definition();
        let mut writer = Writer { definition, text: Vec::with_capacity(128) };
        match shown {
            Shown::Records { with_omitted, with_versions } => writer.mark(u8::from(*with_omitted) | u8::from(*with_versions) << 1),
            Shown::Columns(positions) => {
                // What only the truth holds is not to be held anywhere else.
                if positions.iter().any(|&position| definition.columns()[position].residence == Residence::TruthOnly) {
                    return None;
                }
                writer.mark(4);
                writer.number(positions.len() as u64);
                positions.iter().for_each(|&position| writer.number(position as u64));
            }
        }
        writer.number(query.search_limit().map_or(0, |limit| limit.saturating_add(1)));
        writer.number(query.skipped());
        writer.number(query.criteria().len() as u64);
        for criterion in query.criteria() {
            writer.number(criterion.column.position_in(definition).ok()? as u64);
            writer.mark(u8::from(criterion.direction == Direction::Descending));
            writer.mark(u8::from(criterion.similar_to.is_some()));
            if let Some(text) = &criterion.similar_to {
                writer.bytes(text.as_bytes());
            }
        }
        match query.cursor() {
            Some(cursor) => writer.cursor(cursor),
            None => writer.mark(0),
        }
        if let Some(filter) = query.conditions() {
            writer.filter(filter, 0)?;
        }
        Some(QueryKey { text: writer.text.into(), tags: tags.clone() })
    }

    /// Whether its answer has a tag.
    pub(crate) fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|own| own == tag)
    }
}

/// Writes whatever ends where it says that it does, so that different queries never give one text.
struct Writer {
    definition: &'static SchemaDefinition,
    text: Vec<u8>,
}

impl Writer {
    fn mark(&mut self, mark: u8) {
        self.text.push(mark);
    }

    fn number(&mut self, number: u64) {
        self.text.extend(number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.text.extend(bytes);
    }

    fn cursor(&mut self, cursor: &Cursor) {
        self.mark(1);
        self.bytes(cursor.to_string().as_bytes());
    }

    fn filter(&mut self, filter: &Filter, depth: usize) -> Option<()> {
        if depth > DEEPEST {
            return None;
        }
        match filter {
            Filter::All(parts) | Filter::Any(parts) => {
                self.mark(if matches!(filter, Filter::All(_)) { 1 } else { 2 });
                self.number(parts.len() as u64);
                parts.iter().try_for_each(|part| self.filter(part, depth + 1))?;
            }
            Filter::Not(inner) => {
                self.mark(3);
                self.filter(inner, depth + 1)?;
            }
            Filter::Compare { column, comparison, value } => {
                self.mark(4);
                self.number(column.position_in(self.definition).ok()? as u64);
                self.mark(match comparison {
                    Comparison::Equal => 0,
                    Comparison::NotEqual => 1,
                    Comparison::Less => 2,
                    Comparison::LessOrEqual => 3,
                    Comparison::Greater => 4,
                    Comparison::GreaterOrEqual => 5,
                    Comparison::Like => 6,
                });
                self.value(value)?;
            }
            Filter::OneOf { column, values } => {
                self.mark(5);
                self.number(column.position_in(self.definition).ok()? as u64);
                self.values(values)?;
            }
            Filter::Similar { column, text, threshold } => {
                self.mark(8);
                self.number(column.position_in(self.definition).ok()? as u64);
                self.bytes(text.as_bytes());
                self.number(u64::from(threshold.to_bits()));
            }
            Filter::IsNull { column } => {
                self.mark(6);
                self.number(column.position_in(self.definition).ok()? as u64);
            }
            Filter::Raw { sql, params } => {
                plain::columns_read(sql, self.definition)?;
                self.mark(7);
                self.bytes(sql.as_bytes());
                self.values(params)?;
            }
            Filter::Invalid { .. } | Filter::TooDeep => return None,
        }
        Some(())
    }

    fn values(&mut self, values: &[Value<'_>]) -> Option<()> {
        self.number(values.len() as u64);
        values.iter().try_for_each(|value| self.value(value))
    }

    fn value(&mut self, value: &Value<'_>) -> Option<()> {
        match value {
            Value::Unset => return None,
            Value::Null => self.mark(0),
            Value::Bool(value) => self.mark(if *value { 2 } else { 1 }),
            Value::Integer(value) => {
                self.mark(3);
                self.text.extend(value.to_le_bytes());
            }
            Value::Double(value) => {
                self.mark(4);
                self.text.extend(value.to_bits().to_le_bytes());
            }
            Value::Text(value) => {
                self.mark(5);
                self.bytes(value.as_bytes());
            }
            Value::Bytes(value) => {
                self.mark(6);
                self.bytes(value);
            }
            Value::Time(value) => {
                self.mark(7);
                self.text.extend(value.as_microseconds().to_le_bytes());
            }
            Value::Uuid(value) => {
                self.mark(8);
                self.text.extend(value.as_bytes());
            }
            Value::Json(value) => {
                self.mark(9);
                self.bytes(value.as_bytes());
            }
        }
        Some(())
    }
}

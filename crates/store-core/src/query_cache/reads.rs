//! What an answer depends on, and whether a write could change it.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::sync::Arc;

use super::evaluate::{self, Truth};
use super::{Found, Shown, plain};
use crate::error::Result;
use crate::facet::Select;
use crate::key::Key;
use crate::query::{Filter, Query};
use crate::schema::{BoundSchema, Schema, SchemaDefinition};
use crate::value::{Row, Value};
use crate::version::Version;

/// What is known of a write of one key.
#[derive(Debug)]
pub(crate) struct KeyChange<K> {
    pub(crate) key: K,
    /// The version that this instance's own write drew.
    pub(crate) version: Option<Version>,
    pub(crate) effect: Effect,
}

/// What a write has made of its record.
#[derive(Debug)]
pub(crate) enum Effect {
    /// There is none any more.
    Gone,
    /// It was there, and these columns of it, by position, may be others now. No other is.
    Columns(Vec<usize>),
    /// It holds these values now. If it is known that it was there, and which columns may be others than before, these by position.
    Row(Row<'static>, Option<Vec<usize>>),
}

impl Effect {
    fn columns(&self) -> Option<&[usize]> {
        match self {
            Effect::Columns(columns) | Effect::Row(_, Some(columns)) => Some(columns),
            Effect::Gone | Effect::Row(_, None) => None,
        }
    }
}

/// What a query reads.
#[derive(Debug)]
pub(crate) struct Reads {
    definition: &'static SchemaDefinition,
    select: Select,
    /// The columns that decide which records are in the answer, and where.
    deciding: Vec<usize>,
    /// The columns that the answer shows.
    shown: Vec<usize>,
    /// Whether it shows which version a record has.
    shows_versions: bool,
}

impl Reads {
    pub(crate) fn new<T: Schema>(query: &Query<T>, shown: &Shown, schema: &BoundSchema) -> Result<Self> {
        let select = query.to_select(query.search_limit())?;
        let definition = T::definition();
        let mut deciding: Vec<usize> = select.order.iter().filter_map(|criterion| definition.position(&criterion.column)).collect();
        if let Some(filter) = &select.filter {
            collect(filter, definition, &mut deciding);
        }
        let (shown, shows_versions) = match shown {
            Shown::Records { with_omitted: false, with_versions } => (schema.near_positions().to_vec(), *with_versions),
            Shown::Records { with_omitted: true, with_versions } => (schema.shared_positions().to_vec(), *with_versions),
            Shown::Columns(positions) => (positions.clone(), false),
        };
        Ok(Reads { definition, select, deciding, shown, shows_versions })
    }

    /// The columns that a search of chosen columns must bring, so that it can be said later what a write changes.
    pub(crate) fn needed(&self) -> Vec<usize> {
        let mut needed: Vec<usize> =
            self.shown.iter().copied().chain(self.ordered()).chain(self.definition.key_positions().iter().copied()).collect();
        needed.sort_unstable();
        needed.dedup();
        needed
    }

    /// The columns of the order, with the key's.
    pub(crate) fn ordered(&self) -> impl Iterator<Item = usize> {
        self.select.order.iter().filter_map(|criterion| self.definition.position(&criterion.column))
    }

    /// Whether a write changes none of the columns that are read, whatever the answer is.
    pub(super) fn overlooks<K>(&self, change: &KeyChange<K>) -> bool {
        change.effect.columns().is_some_and(|columns| {
            !self.shows_versions && columns.iter().all(|column| !self.deciding.contains(column) && !self.shown.contains(column))
        })
    }
}

fn collect(filter: &Filter, definition: &SchemaDefinition, columns: &mut Vec<usize>) {
    match filter {
        Filter::All(parts) | Filter::Any(parts) => parts.iter().for_each(|part| collect(part, definition, columns)),
        Filter::Not(inner) => collect(inner, definition, columns),
        Filter::Compare { column, .. } | Filter::OneOf { column, .. } | Filter::Similar { column, .. } | Filter::IsNull { column } => {
            columns.extend(definition.position(column))
        }
        Filter::Raw { sql, .. } => match plain::columns_read(sql, definition) {
            Some(read) => columns.extend(read),
            None => columns.extend(0..definition.columns().len()),
        },
        Filter::Invalid { .. } | Filter::TooDeep => columns.extend(0..definition.columns().len()),
    }
}

/// An answer, with where each record stands in it.
#[derive(Debug)]
pub(super) struct Answer<T: Schema> {
    pub(super) found: Arc<Found<T>>,
    reads: Arc<Reads>,
    places: HashMap<T::Key, usize>,
}

impl<T: Schema> Answer<T> {
    /// `None` where a key cannot be read, so that nobody could say what a write changes.
    pub(super) fn new(found: Arc<Found<T>>, reads: Arc<Reads>) -> Option<Self> {
        let places = match &*found {
            Found::Records { records, .. } => records.iter().map(|record| record.key()).zip(0..).collect(),
            Found::Rows(rows) => {
                let key = |row: &Row<'static>| {
                    let values = reads.definition.key_positions().iter().map(|&position| row[position].clone());
                    <T::Key as Key>::from_values(values.collect())
                };
                rows.iter().map(key).zip(0..).map(|(key, place)| key.ok().map(|key| (key, place))).collect::<Option<_>>()?
            }
        };
        Some(Answer { found, reads, places })
    }

    /// Whether a write could make the truth answer otherwise.
    pub(super) fn may_change_by(&self, change: &KeyChange<T::Key>) -> bool {
        let Reads { select, deciding, shown, shows_versions, .. } = &*self.reads;
        let place = self.places.get::<<T::Key as Key>::Borrowed>(change.key.borrow());
        // What comes or goes before the first row that is shown moves all of them.
        let skips = select.offset > 0;
        match (&change.effect, place) {
            // The first rows of an order stay what they are if one behind them goes.
            (Effect::Gone, place) => place.is_some() || skips,
            (effect, None) if is_disjoint(effect.columns(), deciding) => false,
            (Effect::Columns(_), None) => true,
            (Effect::Columns(columns), Some(_)) => {
                *shows_versions || !is_disjoint(Some(columns), deciding) || !is_disjoint(Some(columns), shown)
            }
            (Effect::Row(row, columns), Some(&place)) => {
                let still_found = is_disjoint(columns.as_deref(), deciding) || self.condition(row) == Truth::Yes;
                *shows_versions || !still_found || !self.is_ordered_as(place, row) || !self.shows(place, row)
            }
            (Effect::Row(row, _), None) => skips || !(self.condition(row).leaves_out() || self.is_beyond(row)),
        }
    }

    fn condition(&self, row: &[Value<'_>]) -> Truth {
        self.reads.select.filter.as_ref().map_or(Truth::Yes, |filter| evaluate::condition(filter, row, self.reads.definition))
    }

    /// Whether the answer is as long as it may be, and a row certainly stands behind the last of it.
    fn is_beyond(&self, row: &[Value<'_>]) -> bool {
        let Reads { definition, select, .. } = &*self.reads;
        let length = self.found.len();
        let last = length.checked_sub(1).and_then(|last| self.order_of(last));
        select.limit == Some(length as u64) && last.is_some_and(|last| evaluate::is_behind(row, &last, &select.order, definition))
    }

    fn is_ordered_as(&self, place: usize, row: &[Value<'_>]) -> bool {
        let ordered = self.reads.ordered().map(|position| &row[position]);
        self.order_of(place).is_some_and(|present| ordered.zip(&present).all(|(value, present)| is_same(value, present)))
    }

    /// The values by which a record stands where it does, as the truth has them: several may make one and the same model.
    fn order_of(&self, place: usize) -> Option<Row<'_>> {
        match &*self.found {
            Found::Records { order, .. } => order.get(place).map(|values| values.iter().map(Value::as_borrowed).collect()),
            Found::Rows(rows) => {
                let row = rows.get(place)?;
                Some(self.reads.ordered().map(|position| row[position].as_borrowed()).collect())
            }
        }
    }

    /// Whether the answer shows of a record what it would show of a row.
    fn shows(&self, place: usize, row: &[Value<'_>]) -> bool {
        let present = match &*self.found {
            Found::Records { records, .. } => records.get(place).and_then(|record| record.model().to_row().ok()),
            Found::Rows(rows) => rows.get(place).map(|row| row.iter().map(Value::as_borrowed).collect()),
        };
        present.is_some_and(|present: Row<'_>| self.reads.shown.iter().all(|&position| is_same(&present[position], &row[position])))
    }
}

fn is_same(one: &Value<'_>, other: &Value<'_>) -> bool {
    match (one, other) {
        // Zero and minus zero are equal, and shown as two.
        (Value::Double(one), Value::Double(other)) => one.to_bits() == other.to_bits(),
        (Value::Unset, _) => false,
        (one, other) => one == other,
    }
}

fn is_disjoint(columns: Option<&[usize]>, others: &[usize]) -> bool {
    columns.is_some_and(|columns| columns.iter().all(|column| !others.contains(column)))
}

//! Queries, which the truth answers.

use std::borrow::Borrow;
use std::sync::Arc;
use std::time::Duration;

use futures_core::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, future, stream};

use super::{Backing, Borrowed, Pipeline, View, named_by_values};
use crate::error::{Error, ErrorKind, Result};
use crate::facet::{Count, Select, Shelf, Tables};
use crate::fence::FenceSnapshot;
use crate::freshness::Freshness;
use crate::key::Key;
use crate::query::{Filter, Query};
use crate::record::{Record, StoredRow};
use crate::schema::Schema;
use crate::tag::CallTags;
use crate::value::{Row, Value};

/// What a search found.
pub(super) struct FoundRecords<T> {
    pub(super) records: Vec<Record<T>>,
    /// Of each the values of the columns that were named.
    pub(super) order: Vec<Row<'static>>,
    /// How many of them may be new to this instance.
    pub(super) told: u64,
}

impl<T: Schema> Pipeline<T> {
    pub(super) fn tables(&self) -> Result<&Arc<dyn Tables>> {
        self.check_open()?;
        match &self.backing {
            Backing::Tables { tables, .. } => Ok(tables),
            Backing::Records(_) | Backing::Memory(_) => Err(Error::new(
                ErrorKind::InvalidQuery,
                "a `cache_only` schema has no table to search, count or change by condition; use keys, or give it a tier of truth",
            )
            .with_schema(self.schema.name())),
        }
    }

    /// Rows of a query as the tier gives them.
    pub(crate) async fn rows(
        &self,
        mut select: Select,
        view: View,
        freshness: &Freshness,
    ) -> Result<BoxStream<'static, Result<StoredRow>>> {
        let tables = Arc::clone(self.tables()?);
        self.counters().searches.add(1);
        if view == View::Near && select.columns.is_none() && self.has_deferred() {
            select.columns = Some(self.schema.near_positions().to_vec());
        }
        select.preference = self.read_preference(view, freshness).await?;
        let sealer = self.sealer.clone().zip(select.filter.clone());
        let rows = self.shared.life.stream_within(tables.select(Arc::clone(&self.schema), select));
        Ok(match sealer {
            Some((sealer, filter)) => rows.try_filter(move |stored| future::ready(sealer.may_hold(&filter, &stored.row))).boxed(),
            None => rows,
        })
    }

    /// The records of a query, which memory takes in as well.
    pub(crate) async fn search(
        self: &Arc<Self>,
        query: &Query<T>,
        view: View,
        freshness: &Freshness,
        tags: &CallTags,
    ) -> Result<Vec<Record<T>>> {
        let query = self.sealed_query(query)?;
        let FoundRecords { records, .. } = self.find(&query, view, freshness, tags, &[]).await?;
        self.learn_of_search(freshness);
        self.after_get_records(&records);
        Ok(records)
    }

    /// The records of a query, with the values of some columns as the truth has them.
    pub(super) async fn find(
        self: &Arc<Self>,
        query: &Query<T>,
        view: View,
        freshness: &Freshness,
        tags: &CallTags,
        ordered: &[usize],
    ) -> Result<FoundRecords<T>> {
        tags.check()?;
        let select = query.to_select(query.search_limit())?;
        self.before_query(freshness).await?;
        let began = self.shared.settings.clock.monotonic();
        let mut snapshot = self.fences.begin_many();
        let tagging = self.begin_tagging(tags);
        let rows: Vec<StoredRow> = self.rows(select, view, freshness).await?.try_collect().await?;
        let (mut records, mut order, mut told) = (Vec::with_capacity(rows.len()), Vec::new(), 0);
        let fills = view == View::Near && !self.tables()?.reads_from_replica();
        for row in rows {
            let key = self.key_values(&row.row);
            let notes = self.near_notes(&row.row, None, &tagging);
            if !ordered.is_empty() {
                order.push(ordered.iter().map(|&position| row.row[position].clone()).collect());
            }
            let (near, answer) = self.records(row, view).map_err(|error| named_by_values(error, &key))?;
            let is_new = match self.near.as_ref().filter(|_| fills) {
                Some(shelf) => self.fill_from_search(shelf.as_ref(), &mut snapshot, near.noted(notes), tags, began),
                None => self.learn_version(&near.key(), near.version()),
            };
            told += u64::from(is_new);
            records.push(answer);
        }
        Ok(FoundRecords { records, order, told })
    }

    /// Hears what a search that asked the truth for its latest says of the records that it does not show.
    fn learn_of_search(&self, freshness: &Freshness) {
        if *freshness == Freshness::Strong {
            self.learn_of_any();
        }
    }

    /// Whether the record may be new to this instance.
    fn fill_from_search(
        &self,
        shelf: &dyn Shelf<T>,
        snapshot: &mut FenceSnapshot,
        record: Record<T>,
        tags: &CallTags,
        began: Duration,
    ) -> bool {
        let key = record.key();
        let borrowed: &Borrowed<T> = key.borrow();
        // Another program may have written a row that no reader can ask for.
        if <T::Key as Key>::is_empty(borrowed) {
            return false;
        }
        let (deadline, version) = (self.near_deadline(None, began), record.version());
        let is_new = self.hear_read(&key, version);
        let install = || {
            // The same version is kept where it is, with the end that it has, unless it lacks a tag.
            let is_here = if tags.is_empty() {
                shelf.version(borrowed) == Some(version)
            } else {
                shelf.get(borrowed).is_some_and(|present| present.version() == version && self.has_tags(&present, tags))
            };
            if !is_here {
                self.install_newer(shelf, key.clone(), record, deadline);
            }
        };
        if !self.fences.install_one(snapshot, borrowed, version, install) {
            self.counters().fills_refused.add(1);
            self.drop_below(&key, version);
        }
        is_new
    }

    /// The records of a query one by one, as the reader takes them.
    pub(crate) fn stream(
        self: &Arc<Self>,
        query: &Query<T>,
        view: View,
        freshness: &Freshness,
    ) -> Result<BoxStream<'static, Result<Arc<T>>>> {
        let query = self.sealed_query(query)?;
        let select = query.to_select(query.stream_limit())?;
        self.tables()?;
        let pipeline = Arc::clone(self);
        let rows = {
            let (pipeline, freshness) = (Arc::clone(self), freshness.clone());
            async move {
                pipeline.before_query(&freshness).await?;
                pipeline.rows(select, view, &freshness).await
            }
        };
        let show = move |pipeline: &Self, row: Result<StoredRow>| {
            let StoredRow { row, version } = row.map_err(|error| pipeline.report("stream", error))?;
            let key = pipeline.key_values(&row);
            let model = pipeline.read_model(row, view).map(Arc::new);
            let learn = |model: &Arc<T>| {
                pipeline.learn_version(&model.key(), version);
                pipeline.after_get([&**model]);
            };
            model.inspect(learn).map_err(|error| pipeline.report("stream", named_by_values(error, &key)))
        };
        let (rows, mut has_learnt) = (stream::once(rows).try_flatten(), false);
        Ok(rows
            .map(Some)
            .chain(stream::iter([None]))
            .filter_map(move |row| {
                // The rows are of one moment, before the first of them came. Who was shown nothing has learnt nothing.
                let has_failed = matches!(row, Some(Err(_)));
                if !has_failed && !std::mem::replace(&mut has_learnt, true) {
                    pipeline.learn_of_any();
                }
                future::ready(row.map(|row| show(&pipeline, row)))
            })
            .boxed())
    }

    /// Some columns of a query's rows.
    pub(crate) async fn project<R>(
        &self,
        query: &Query<T>,
        freshness: &Freshness,
        names: Vec<&'static str>,
        decode: impl Fn(Row<'static>) -> Result<R>,
    ) -> Result<Vec<R>> {
        let positions = self.positions(&names)?;
        let query = self.sealed_query(query)?;
        let columns = self.with_key_to_open(positions.clone());
        let select = Select { columns: Some(distinct(&columns)), ..query.to_select(query.search_limit())? };
        self.before_query(freshness).await?;
        let mut rows = self.rows(select, View::Shared, freshness).await?;
        let mut answers = Vec::new();
        while let Some(stored) = rows.try_next().await? {
            let mut row = self.opened(stored.row)?;
            let values = positions.iter().enumerate().map(|(index, &position)| {
                let wanted_again = positions[index + 1..].contains(&position);
                if wanted_again { row[position].clone() } else { std::mem::replace(&mut row[position], Value::Unset) }
            });
            let values: Row<'static> = values.collect();
            answers.push(self.read_open(|| decode(values))?);
        }
        self.learn_of_search(freshness);
        Ok(answers)
    }

    /// The rows of a query as the primary has them, with some columns.
    pub(super) async fn rows_with(&self, query: &Query<T>, columns: Vec<usize>) -> Result<Vec<Row<'static>>> {
        let select = Select { columns: Some(columns), ..query.to_select(query.search_limit())? };
        self.rows(select, View::Shared, &Freshness::Strong).await?.and_then(async |stored| self.opened(stored.row)).try_collect().await
    }

    pub(super) fn positions(&self, names: &[&'static str]) -> Result<Vec<usize>> {
        let definition = self.schema.definition();
        let position = |name: &&'static str| {
            definition
                .position(name)
                .ok_or_else(|| Error::new(ErrorKind::InvalidQuery, format!("there is no column `{name}`")).with_schema(definition.name()))
        };
        names.iter().map(position).collect()
    }

    /// The number of records that a condition holds for.
    pub(crate) async fn count(&self, filter: Option<Filter>, freshness: &Freshness) -> Result<u64> {
        let tables = self.tables()?;
        let filter = filter.map(|filter| self.sealed_filter(filter)).transpose()?;
        self.before_query(freshness).await?;
        self.counters().searches.add(1);
        let preference = self.read_preference(View::Near, freshness).await?;
        let counted = tables.count(&self.schema, Count { filter, preference }).await?;
        self.learn_of_search(freshness);
        Ok(counted)
    }
}

fn distinct(positions: &[usize]) -> Vec<usize> {
    let mut distinct = positions.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    distinct
}

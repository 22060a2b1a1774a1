//! Searches whose answers memory keeps.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{Backing, Pipeline, View};
use crate::error::Result;
use crate::facet::{LogEntry, LogKind};
use crate::freshness::Freshness;
use crate::key::Key;
use crate::query::Query;
use crate::query_cache::{Effect, Found, Kept, KeyChange, QueryKey, Reads, Shown, Turnover, Voided};
use crate::record::{Record, StoredRow};
use crate::schema::{Schema, SchemaDefinition};
use crate::tag::CallTags;
use crate::value::Row;

/// A query whose answer is kept.
struct Cached<'a, T: Schema> {
    key: QueryKey,
    query: &'a Query<T>,
    shown: Shown,
    tags: &'a CallTags,
}

/// Whether a load first looks into memory: an earlier flight may have landed since its reader did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LookAgain {
    Yes,
    /// What memory keeps is too old for the reader.
    No,
}

impl<T: Schema> Pipeline<T> {
    /// As [`search`](Self::search), from memory where it keeps the answer. Unless the caller shows versions, those of the records may be older than the records' own.
    pub(crate) async fn search_cached(
        self: &Arc<Self>,
        query: &Query<T>,
        view: View,
        with_versions: bool,
        freshness: &Freshness,
        tags: &CallTags,
    ) -> Result<Vec<Record<T>>> {
        tags.check()?;
        self.tables()?;
        let sealed = self.sealed_query(query)?;
        let query = &*sealed;
        let shown = Shown::Records { with_omitted: view != View::Near && self.has_deferred(), with_versions };
        // A replica may lack what was heard before, whether the answer is kept or not.
        let Some(key) = self.query_key(query, &shown, freshness, tags).filter(|_| view != View::Truth) else {
            return self.search(query, view, &Freshness::Strong, tags).await;
        };
        let found = self.through_cache(Cached { key, query, shown, tags }, freshness).await?;
        let Found::Records { records, .. } = &*found else { return self.search(query, view, &Freshness::Strong, tags).await };
        self.after_get_records(records);
        Ok(records.clone())
    }

    /// As [`project`](Self::project), from memory where it keeps the answer.
    pub(crate) async fn project_cached<R>(
        self: &Arc<Self>,
        query: &Query<T>,
        freshness: &Freshness,
        tags: &CallTags,
        names: Vec<&'static str>,
        decode: impl Fn(Row<'static>) -> Result<R>,
    ) -> Result<Vec<R>> {
        tags.check()?;
        self.tables()?;
        let sealed = self.sealed_query(query)?;
        let query = &*sealed;
        let positions = self.positions(&names)?;
        let shown = Shown::Columns(positions.clone());
        let Some(key) = self.query_key(query, &shown, freshness, tags) else {
            return self.project(query, &Freshness::Strong, names, decode).await;
        };
        let found = self.through_cache(Cached { key, query, shown, tags }, freshness).await?;
        let Found::Rows(rows) = &*found else { return self.project(query, &Freshness::Strong, names, decode).await };
        let values = |row: &Row<'static>| positions.iter().map(|&position| row[position].clone()).collect();
        rows.iter().map(values).map(|values| self.read_open(|| decode(values))).collect()
    }

    /// The key of a query whose answer may come from memory and stay there.
    fn query_key(&self, query: &Query<T>, shown: &Shown, freshness: &Freshness, tags: &CallTags) -> Option<QueryKey> {
        if self.near.is_none() || *freshness == Freshness::Strong {
            return None;
        }
        QueryKey::new(query, shown, tags)
    }

    async fn through_cache(self: &Arc<Self>, cached: Cached<'_, T>, freshness: &Freshness) -> Result<Arc<Found<T>>> {
        self.before_query(freshness).await?;
        let is_fresh = self.may_use_caches(freshness).await;
        if is_fresh && let Some(found) = self.kept(&cached.key).await {
            self.counters().query_hits.add(1);
            return Ok(found);
        }
        self.counters().query_misses.add(1);
        // What is told from here on forgets the flight. But it may have begun before something that a read has told since.
        let may_join = is_fresh && (self.queries.flights().join(&cached.key).is_none() || self.has_heard_what_was_told().await);
        if may_join {
            let load = self.load_query(&cached, LookAgain::Yes)?;
            return self.queries.flights().run(self.shared.life.runtime(), cached.key.clone(), || load).await;
        }
        self.load_query(&cached, LookAgain::No)?.await
    }

    /// What memory keeps of a query, if it is no older than what any read has shown.
    async fn kept(&self, key: &QueryKey) -> Option<Arc<Found<T>>> {
        let Kept { found, told } = self.look_up(key)?;
        if told == self.queries.told() {
            return Some(found);
        }
        if !self.has_heard_what_was_told().await {
            return None;
        }
        self.look_up(key).map(|kept| kept.found)
    }

    fn look_up(&self, key: &QueryKey) -> Option<Kept<T>> {
        let (kept, turnover) = self.queries.get(key, &*self.shared.settings.clock);
        self.count_queries(turnover);
        kept
    }

    /// Whether the log has told of everything that reads had shown before, once it has been read if need be.
    async fn has_heard_what_was_told(&self) -> bool {
        let needed = self.queries.needed_poll();
        let coherence = &self.shared.coherence;
        coherence.has_polled(needed) || (coherence.poll().await.is_ok() && coherence.has_polled(needed))
    }

    /// Asks the primary, as a replica may lack what was heard before, and keeps its answer unless something heard meanwhile could have changed it.
    fn load_query(self: &Arc<Self>, cached: &Cached<'_, T>, look_again: LookAgain) -> Result<BoxFuture<'static, Result<Arc<Found<T>>>>> {
        let pipeline = Arc::clone(self);
        let Cached { key, query, shown, tags } = cached;
        let reads = Arc::new(Reads::new(query, shown, &self.schema)?);
        let (key, query, shown, tags) = (key.clone(), Query::clone(query), shown.clone(), CallTags::clone(tags));
        Ok(Box::pin(async move {
            let began = pipeline.shared.settings.clock.monotonic();
            let loading = pipeline.queries.begin(&key, &reads);
            // After the load is known to whoever voids answers: no reader joins it for an answer that is void by then.
            if look_again == LookAgain::Yes
                && let Some(kept) = pipeline.look_up(&key).filter(|kept| kept.told == pipeline.queries.told())
            {
                return Ok(kept.found);
            }
            let (found, told) = match &shown {
                Shown::Records { with_omitted, .. } => {
                    let view = if *with_omitted { View::Shared } else { View::Near };
                    let ordered: Vec<usize> = reads.ordered().collect();
                    let found = pipeline.find(&query, view, &Freshness::Strong, &tags, &ordered).await?;
                    (Found::Records { records: found.records, order: found.order }, found.told)
                }
                Shown::Columns(_) => (Found::Rows(pipeline.rows_with(&query, reads.needed()).await?), 0),
            };
            let found = Arc::new(found);
            let end = pipeline.schema.shared_ttl().and_then(|life| began.checked_add(pipeline.shortened(life)));
            let (is_valid, turnover) = loading.land(&found, &reads, end, told);
            pipeline.count_queries(turnover);
            if !is_valid {
                pipeline.counters().fills_refused.add(1);
            }
            Ok(found)
        }))
    }

    fn count_queries(&self, turnover: Turnover) {
        if turnover != Turnover::default() {
            self.counters().queries_kept.add(turnover.came);
            self.counters().queries_left.add(turnover.left);
        }
    }

    /// Hears of something that may change any answer.
    pub(super) fn void_queries(&self) {
        self.voided(self.queries.void(|_| true));
    }

    /// Hears of writes of keys, as far as it matters to an answer.
    pub(super) fn hear_in_queries(&self, changes: impl FnOnce() -> Vec<KeyChange<T::Key>>) {
        if !self.queries.is_idle() {
            self.voided(self.queries.hear(changes()));
        }
    }

    /// What is stored under keys now. `columns` may be others than before, of records that were there; it is `None` where that is not known.
    pub(super) fn row_changes(keys: &[T::Key], stored: &[StoredRow], columns: Option<&[usize]>) -> Vec<KeyChange<T::Key>> {
        let change = |(key, stored): (&T::Key, &StoredRow)| KeyChange {
            key: key.clone(),
            version: Some(stored.version),
            effect: Effect::Row(stored.row.clone(), columns.map(<[usize]>::to_vec)),
        };
        keys.iter().zip(stored).map(change).collect()
    }

    /// Hears what the log tells.
    pub(super) fn hear_entry_in_queries(&self, entry: &LogEntry) {
        let key = entry.key.as_deref().and_then(|text| T::Key::from_text(text).ok());
        match (key, entry.kind) {
            // Whoever drops copies by it voids answers too.
            (_, LogKind::InvalidateTag) => {}
            // Of a column that this build does not know no query of it can ask.
            (Some(key), LogKind::Put) if let Some(columns) = &entry.columns => {
                let columns = columns.iter().filter_map(|column| self.schema.definition().position(column)).collect();
                self.hear_in_queries(|| vec![KeyChange { key, version: None, effect: Effect::Columns(columns) }]);
            }
            (Some(key), LogKind::Delete) => self.hear_in_queries(|| vec![KeyChange { key, version: None, effect: Effect::Gone }]),
            (Some(key), LogKind::Put) => self.voided(self.queries.hear_version(key, entry.version)),
            _ => self.void_queries(),
        }
    }

    /// To be kept while keys are written, until the write was heard of.
    pub(super) fn writing<'a>(&'a self, keys: &'a [T::Key]) -> Writing<'a, T> {
        let keys = if self.queries.is_idle() { &[] } else { keys };
        self.queries.begin_write(keys);
        Writing { pipeline: self, keys }
    }

    /// Hears that a tag was invalidated. That of a field says that rows which have its value may be others now, in whatever answer.
    pub(super) fn void_tagged_queries(&self, tag: &str) {
        let is_of_field = is_of_field(self.schema.definition(), tag);
        self.voided(self.queries.void(|key| is_of_field || key.has_tag(tag)));
    }

    fn voided(&self, voided: Voided) {
        if voided.entries > 0 {
            self.counters().queries_voided.add(voided.entries);
            self.count_queries(Turnover { came: 0, left: voided.entries });
        }
        voided.loads.iter().for_each(|key| self.queries.flights().forget(key));
    }

    /// Hears that there is something which the log may not have told of, and nothing of what it changed. Whether that matters to any answer.
    pub(super) fn tell_queries(&self) -> bool {
        let is_kept = self.near.is_some() && matches!(self.backing, Backing::Tables { .. });
        if is_kept {
            self.queries.tell(self.shared.coherence.next_poll());
        }
        is_kept
    }
}

/// A write of keys that is under way.
pub(super) struct Writing<'a, T: Schema> {
    pipeline: &'a Pipeline<T>,
    keys: &'a [T::Key],
}

impl<T: Schema> Drop for Writing<'_, T> {
    fn drop(&mut self) {
        if !self.keys.is_empty() {
            self.pipeline.voided(self.pipeline.queries.end_write(self.keys));
        }
    }
}

/// Whether a tag may be that of a field.
fn is_of_field(definition: &SchemaDefinition, tag: &str) -> bool {
    let mut tags = definition.columns().iter().filter(|column| column.is_tag);
    tags.any(|column| tag.strip_prefix(column.name).is_some_and(|rest| rest.starts_with('=')))
}

//! What the commands do with a model whose type they do not know.

use std::borrow::Cow;

use async_trait::async_trait;
use futures_util::StreamExt;
use serde_json::value::RawValue;
#[cfg(feature = "encryption")]
use strata::ReencryptProgress;
use strata::mem::MemTier;
use strata::sql::Dialect;
use strata::{
    AsKey, BoundSchema, Collection, ColumnDefinition, ColumnType, Error, ErrorKind, Key, Query, Result, Role, Schema, SchemaDefinition,
    SchemaOptions, Store, StoreBuilder, WarmProgress,
};

use crate::{json, key};

/// What to search for.
#[derive(Debug, Default)]
pub(crate) struct Search {
    pub(crate) condition: Option<String>,
    pub(crate) params: Vec<String>,
    /// Columns, each with whether it is descending.
    pub(crate) order: Vec<(String, bool)>,
    pub(crate) limit: Option<u64>,
    pub(crate) offset: Option<u64>,
}

/// A record as it is shown.
#[derive(Debug)]
pub(crate) struct Shown {
    /// JSON in one line.
    pub(crate) record: String,
    pub(crate) version: u64,
}

/// A model behind its name.
#[async_trait]
pub(crate) trait Model: Send + Sync {
    fn definition(&self) -> &'static SchemaDefinition;
    fn add_to(&self, builder: StoreBuilder<MemTier>) -> StoreBuilder<MemTier>;
    /// With the table that its options name; `None` where it has none.
    fn bound(&self) -> Option<BoundSchema>;
    /// Reads past the caches unless a nearer tier is named.
    async fn get(&self, store: &Store, key: &str, role: Option<Role>) -> Result<Option<Shown>>;
    async fn set(&self, store: &Store, records: &[Box<RawValue>]) -> Result<Vec<u64>>;
    async fn delete(&self, store: &Store, keys: &[String]) -> Result<u64>;
    /// Calls `show` for each record, as JSON in one line, until it answers `false`.
    async fn search(&self, store: &Store, search: &Search, dialect: Dialect, show: &mut (dyn FnMut(String) -> bool + Send)) -> Result<()>;
    async fn count(&self, store: &Store, search: &Search, dialect: Dialect) -> Result<u64>;
    async fn invalidate(&self, store: &Store, keys: &[String]) -> Result<()>;
    async fn invalidate_tag(&self, store: &Store, tag: &str) -> Result<()>;
    async fn invalidate_all(&self, store: &Store) -> Result<()>;
    async fn warm(&self, store: &Store, limit: Option<u64>, progress: &mut (dyn FnMut(WarmProgress) + Send)) -> Result<u64>;
    #[cfg(feature = "encryption")]
    async fn reencrypt(
        &self,
        store: &Store,
        everything: bool,
        progress: &mut (dyn FnMut(ReencryptProgress) + Send),
    ) -> Result<ReencryptProgress>;
}

/// A key of whatever type, to look up by.
struct ByKey<'a, K>(&'a K);

impl<K: Key> AsKey<K> for ByKey<'_, K> {
    fn as_key(&self) -> Cow<'_, K::Borrowed> {
        Cow::Borrowed(self.0.borrow())
    }
}

pub(crate) struct Typed<T: Schema> {
    change: Change<T>,
}

/// How a program sets a model's options.
type Change<T> = Box<dyn Fn(&mut SchemaOptions<T>) + Send + Sync>;

impl<T: Schema> Typed<T> {
    pub(crate) fn new(change: impl Fn(&mut SchemaOptions<T>) + Send + Sync + 'static) -> Self {
        Typed { change: Box::new(change) }
    }

    fn collection(store: &Store) -> Result<Collection<T>> {
        store.collection()
    }

    fn key(text: &str) -> Result<T::Key> {
        key::read(T::definition(), text)
    }

    fn keys(texts: &[String]) -> Result<Vec<T::Key>> {
        texts.iter().map(|text| Self::key(text)).collect()
    }

    fn object(model: &T) -> Result<String> {
        json::object(T::definition(), model.to_row()?)
    }

    fn query(search: &Search, dialect: Dialect) -> Result<Query<T>> {
        let mut query = Query::new();
        match &search.condition {
            Some(condition) => {
                let named = named_types(T::definition(), condition);
                let compared = |text: &str| match dialect {
                    // It reads a text as what it is compared with, but for years with a sign.
                    Dialect::Postgres if text.starts_with(['+', '-']) && named.contains(&ColumnType::Time) => {
                        &[ColumnType::Time, ColumnType::Text]
                    }
                    Dialect::Postgres => &[][..],
                    _ => &named,
                };
                let params = search.params.iter().map(|text| json::parameter(text, compared(text))).collect::<Result<_>>();
                query = query.where_sql(condition.clone(), params.map_err(|error| error.with_schema(T::definition().name()))?);
            }
            None if !search.params.is_empty() => {
                return Err(Error::new(ErrorKind::InvalidQuery, "there are parameters and no condition; give one, such as \"level > $1\""));
            }
            None => {}
        }
        for (column, is_descending) in &search.order {
            query = query.order_by(strata::Order::from(column.clone()));
            if *is_descending {
                query = query.desc();
            }
        }
        query = match search.limit {
            Some(limit) => query.limit(limit),
            None => query.no_limit(),
        };
        Ok(search.offset.into_iter().fold(query, Query::offset))
    }
}

/// The types of the columns that a condition names, and of others whose names stand in its strings.
fn named_types(definition: &SchemaDefinition, condition: &str) -> Vec<ColumnType> {
    let names: Vec<&str> = condition.split(|character: char| !character.is_alphanumeric() && character != '_').collect();
    let is_named = |column: &&ColumnDefinition| names.iter().any(|name| name.eq_ignore_ascii_case(column.name));
    definition.columns().iter().filter(is_named).map(json::plain_type).collect()
}

#[async_trait]
impl<T: Schema> Model for Typed<T> {
    fn definition(&self) -> &'static SchemaDefinition {
        T::definition()
    }

    fn add_to(&self, builder: StoreBuilder<MemTier>) -> StoreBuilder<MemTier> {
        builder.schema_with::<T>(|options| (self.change)(options))
    }

    fn bound(&self) -> Option<BoundSchema> {
        let mut policies = None;
        let _ = Store::builder().schema_with::<T>(|options| {
            (self.change)(options);
            policies = Some(options.policies.clone());
        });
        let policies = policies.filter(|policies| !policies.cache_only)?;
        let name = T::definition().name();
        let bound = BoundSchema::standalone(T::definition());
        Some(bound.with_names(policies.truth.table.as_deref().unwrap_or(name), policies.shared.key_prefix.as_deref().unwrap_or(name)))
    }

    async fn get(&self, store: &Store, key: &str, role: Option<Role>) -> Result<Option<Shown>> {
        let (cities, key) = (Self::collection(store)?, Self::key(key)?);
        let role = role.unwrap_or(if T::definition().policies().cache_only { Role::Shared } else { Role::Truth });
        let Some(record) = cities.from(role).get(ByKey(&key)).await? else { return Ok(None) };
        Ok(Some(Shown { record: Self::object(record.model())?, version: record.version().get() }))
    }

    async fn set(&self, store: &Store, records: &[Box<RawValue>]) -> Result<Vec<u64>> {
        let models = records.iter().map(|record| json::model(record)).collect::<Result<Vec<T>>>()?;
        let stored = Self::collection(store)?.set_many(models).await?;
        Ok(stored.iter().map(|record| record.version().get()).collect())
    }

    async fn delete(&self, store: &Store, keys: &[String]) -> Result<u64> {
        Self::collection(store)?.delete_many(Self::keys(keys)?.iter().map(ByKey)).await
    }

    async fn search(&self, store: &Store, search: &Search, dialect: Dialect, show: &mut (dyn FnMut(String) -> bool + Send)) -> Result<()> {
        let mut found = Self::collection(store)?.stream(Self::query(search, dialect)?)?;
        while let Some(model) = found.next().await {
            if !show(Self::object(&*model?)?) {
                break;
            }
        }
        Ok(())
    }

    async fn count(&self, store: &Store, search: &Search, dialect: Dialect) -> Result<u64> {
        Self::collection(store)?.count(Self::query(search, dialect)?).await
    }

    async fn invalidate(&self, store: &Store, keys: &[String]) -> Result<()> {
        let collection = Self::collection(store)?;
        for key in &Self::keys(keys)? {
            collection.invalidate(ByKey(key)).await?;
        }
        Ok(())
    }

    async fn invalidate_tag(&self, store: &Store, tag: &str) -> Result<()> {
        Self::collection(store)?.invalidate_tag(tag.to_owned()).await
    }

    async fn invalidate_all(&self, store: &Store) -> Result<()> {
        Self::collection(store)?.invalidate_all().await.map(drop)
    }

    async fn warm(&self, store: &Store, limit: Option<u64>, progress: &mut (dyn FnMut(WarmProgress) + Send)) -> Result<u64> {
        Self::collection(store)?.warm_with(limit, progress).await
    }

    #[cfg(feature = "encryption")]
    async fn reencrypt(
        &self,
        store: &Store,
        everything: bool,
        progress: &mut (dyn FnMut(ReencryptProgress) + Send),
    ) -> Result<ReencryptProgress> {
        let collection = Self::collection(store)?;
        let job = collection.reencrypt().on_progress(progress);
        if everything { job.everything().run().await } else { job.run().await }
    }
}

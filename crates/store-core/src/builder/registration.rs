//! A model on its way into the store, its type remembered by a trait object.

use std::any::{Any, TypeId};
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use super::checks::Stack;
use crate::behind::{Acknowledge, OnConflict, Overlay};
use crate::facet::{NearTier, ShelfOptions, Weigher};
use crate::hooks::Hooks;
use crate::pipeline::{Backing, Follow, HookCalls, MemoryVersions, PendingWrites, Pipeline, Shared};
use crate::schema::{BoundSchema, Policies, Schema, SchemaDefinition, WriteMode};
use crate::settings::Settings;

/// What a store does differently for one model than the model itself declares.
///
/// ```
/// use std::time::Duration;
/// use store_core::Store;
/// # use store_derive::Schema;
/// # use store_testkit::ModelRecords;
/// # #[derive(Schema)]
/// # #[schema(cache_only)]
/// # struct Session {
/// #     #[schema(primary_key)]
/// #     id: String,
/// #     user: i64,
/// # }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> store_core::Result<()> {
/// # let redis = ModelRecords::new();
/// let store = Store::builder()
///     .tier(redis)
///     .schema_with::<Session>(|options| {
///         options.policies.shared.ttl = Duration::from_secs(4 * 60 * 60).into();
///         options.weigh(64 << 20, |id, _| 64 + id.len() as u64);
///     })
///     .build()
///     .await?;
/// assert!(store.collection::<Session>().is_ok());
/// # Ok(())
/// # }
/// ```
pub struct SchemaOptions<T: Schema> {
    /// The policies, at first those that the model declares.
    pub policies: Policies,
    pub(super) max_weight: Option<u64>,
    weigher: Option<Weigher<T>>,
    hooks: Option<Arc<dyn Hooks<T>>>,
    on_conflict: OnConflict<T>,
    pub(super) acknowledge: Option<Acknowledge>,
}

impl<T: Schema> SchemaOptions<T> {
    pub(super) fn new() -> Self {
        SchemaOptions {
            policies: T::definition().policies().clone(),
            max_weight: None,
            weigher: None,
            hooks: None,
            on_conflict: OnConflict::default(),
            acknowledge: None,
        }
    }

    /// Bounds the memory tier by weight: `weigher` says how heavy an entry is, `max_weight` what all of them may weigh. Any unit will do, bytes for one.
    pub fn weigh(&mut self, max_weight: u64, weigher: impl Fn(&T::Key, &T) -> u64 + Send + Sync + 'static) -> &mut Self {
        self.max_weight = Some(max_weight);
        self.weigher = Some(Arc::new(weigher));
        self
    }

    /// Runs the user's own code at fixed points of every read and write. A schema has one such set of hooks.
    pub fn hooks(&mut self, hooks: impl Hooks<T>) -> &mut Self {
        self.hooks = Some(Arc::new(hooks));
        self
    }

    /// What a write of write-behind has reached when its call answers. Default: what the store's [`WriteBehind::acknowledge`](crate::WriteBehind::acknowledge) says.
    pub fn acknowledge(&mut self, acknowledge: Acknowledge) -> &mut Self {
        self.acknowledge = Some(acknowledge);
        self
    }

    /// What becomes of a pending write of write-behind whose record another instance has written meanwhile. Default: it becomes a dead letter.
    pub fn on_conflict(&mut self, on_conflict: OnConflict<T>) -> &mut Self {
        self.on_conflict = on_conflict;
        self
    }
}

impl<T: Schema> fmt::Debug for SchemaOptions<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SchemaOptions").field("policies", &self.policies).field("max_weight", &self.max_weight).finish_non_exhaustive()
    }
}

pub(super) struct Context<'a, N> {
    pub(super) near: Option<&'a Arc<N>>,
    pub(super) stack: &'a Stack,
    pub(super) shared: &'a Arc<Shared>,
    /// The schemas that the journal holds writes of, whatever their mode is now.
    pub(super) restored: &'a HashSet<String>,
}

/// A schema's pipeline, by the type of its model.
pub(super) struct Registered {
    pub(super) model: TypeId,
    pub(super) pipeline: Arc<dyn Any + Send + Sync>,
    pub(super) follow: Arc<dyn Follow>,
    pub(super) overlay: Arc<dyn Overlay>,
}

pub(super) trait Registration<N>: Send + Sync {
    fn definition(&self) -> &'static SchemaDefinition;
    fn older_definitions(&self) -> Vec<&'static SchemaDefinition>;
    fn type_id(&self) -> TypeId;
    fn policies(&self) -> &Policies;
    fn max_weight(&self) -> Option<u64>;
    fn acknowledge(&self) -> Option<Acknowledge>;
    fn bind(&self, settings: &Settings) -> Arc<BoundSchema>;
    fn register(self: Box<Self>, schema: Arc<BoundSchema>, context: &Context<'_, N>) -> Registered;
}

pub(super) struct Typed<T: Schema> {
    options: SchemaOptions<T>,
}

impl<T: Schema> Typed<T> {
    pub(super) fn new(options: SchemaOptions<T>) -> Self {
        Typed { options }
    }
}

impl<T: Schema, N: NearTier> Registration<N> for Typed<T> {
    fn definition(&self) -> &'static SchemaDefinition {
        T::definition()
    }

    fn older_definitions(&self) -> Vec<&'static SchemaDefinition> {
        T::upgrades().0.into_iter().map(|older| older.definition).collect()
    }

    fn type_id(&self) -> TypeId {
        TypeId::of::<T>()
    }

    fn policies(&self) -> &Policies {
        &self.options.policies
    }

    fn max_weight(&self) -> Option<u64> {
        self.options.max_weight
    }

    fn acknowledge(&self) -> Option<Acknowledge> {
        self.options.acknowledge
    }

    fn bind(&self, settings: &Settings) -> Arc<BoundSchema> {
        Arc::new(BoundSchema::bind(T::definition(), &self.options.policies, settings))
    }

    fn register(self: Box<Self>, schema: Arc<BoundSchema>, context: &Context<'_, N>) -> Registered {
        let SchemaOptions { max_weight, weigher, hooks, on_conflict, acknowledge, .. } = self.options;
        let hooks = hooks.map(|hooks| HookCalls::new(hooks, schema.name(), context.shared));
        let shelf = context.near.map(|near| {
            near.shelf::<T>(
                schema.name(),
                ShelfOptions {
                    max_entries: schema.near_max_entries(),
                    max_weight,
                    weigher,
                    eviction: schema.near_eviction(),
                    on_evict: hooks.as_ref().map(HookCalls::on_evict),
                    clock: Arc::clone(&context.shared.settings.clock),
                },
            )
        });
        let records = context.stack.records.clone();
        let truth = context.stack.tables.as_ref().zip(context.stack.log.as_ref());
        let (cache, backing) = match (schema.is_cache_only(), records, truth) {
            (false, records, Some((tables, log))) => (records, Backing::Tables { tables: Arc::clone(tables), log: Arc::clone(log) }),
            (_, Some(records), _) => (None, Backing::Records(records)),
            (_, None, _) => (None, Backing::Memory(MemoryVersions::new())),
        };
        let is_behind = schema.write_mode() == WriteMode::WriteBehind || context.restored.contains(schema.name());
        let behind = context.shared.behind.as_ref().filter(|_| is_behind && matches!(backing, Backing::Tables { .. }));
        let acknowledge = acknowledge.unwrap_or(context.shared.settings.write_behind.acknowledge);
        let behind = behind.map(|behind| PendingWrites::new(Arc::clone(behind), on_conflict, acknowledge));
        let pipeline = Arc::new(Pipeline::new(schema, hooks, behind, shelf, cache, backing, Arc::clone(context.shared)));
        pipeline.know();
        Registered { model: TypeId::of::<T>(), follow: Arc::clone(&pipeline) as _, overlay: Arc::clone(&pipeline) as _, pipeline }
    }
}

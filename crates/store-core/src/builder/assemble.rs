//! What becomes of a builder's parts: checks, and then a store.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::registration::{Context, Registration};
use super::{StoreBuilder, checks, references};
use crate::behind::{self, Elsewhere, Opened, Overlay};
use crate::codec::{self, Codec};
use crate::coherence::{Coherence, Tasks};
use crate::crypto::{KeyRing, Sealer};
use crate::error::{Error, ErrorKind, Result};
use crate::facet::NearTier;
use crate::gate::{Closing, Gate};
use crate::guard::Guard;
use crate::life::Life;
use crate::migration::Migrator;
use crate::pipeline::{Follow, Shared, WriteTurns};
use crate::schema::{BoundSchema, SchemaDefinition, WriteMode};
use crate::settings::Settings;
use crate::stats::Counters;
use crate::store::{Parts, Store};
use crate::tier::{Role, Tier};
use crate::verification::Findings;

/// Parts that make a stack.
pub(super) struct Checked<N: NearTier> {
    near: Option<Arc<N>>,
    pub(super) tiers: Vec<Arc<dyn Tier>>,
    /// They stand before the tiers, in the same order.
    guards: Vec<Guard>,
    pub(super) stack: checks::Stack,
    schemas: Vec<Box<dyn Registration<N>>>,
    /// In the order of the schemas.
    pub(super) bound: Vec<Arc<BoundSchema>>,
    pub(super) settings: Settings,
    codecs: Vec<Arc<dyn Codec>>,
}

impl<N: NearTier> StoreBuilder<N> {
    /// Holds the parts against each other; `key_problem` says what a schema lacks of keys.
    pub(super) fn check(self, key_problem: impl Fn(&BoundSchema, &[&SchemaDefinition]) -> Option<String>) -> Result<Checked<N>> {
        let StoreBuilder { near, tiers, schemas, settings, read_codecs, health_listener, mut problems, .. } = self;
        problems.extend(settings.problems());
        let guards: Vec<_> = tiers.iter().map(|tier| Guard::new(&**tier, &settings, health_listener.clone())).collect();
        let stack = checks::stack(near.is_some(), &tiers, &guards, &mut problems);
        let mut bound: Vec<_> = schemas.iter().map(|schema| schema.bind(&settings)).collect();
        references::resolve(&mut bound);
        references::check(&bound, &mut problems);
        checks::schemas(&schemas, &bound, &stack, near.is_some(), &settings, &mut problems);
        problems.extend(schemas.iter().zip(&bound).filter_map(|(registration, schema)| {
            let problem = key_problem(schema, &registration.older_definitions())?;
            Some(format!("schema `{}`: {problem}", schema.name()))
        }));
        let given = std::iter::once(Arc::clone(&settings.codec)).chain(read_codecs).collect();
        let codecs = checks::codecs(given, codec::built_in(), &mut problems);
        if !problems.is_empty() {
            return Err(Error::new(ErrorKind::InvalidConfig, problems.join("; ")));
        }
        checks::duplicates(&schemas, &bound)?;
        Ok(Checked { near, tiers, guards, stack, schemas, bound, settings, codecs })
    }

    pub(super) async fn assemble(self) -> Result<Store> {
        let runtime = runtime()?;
        let keys = self.keys().await?;
        let checked = self.check(|schema, older| Sealer::problem(schema, older, keys.as_deref()))?;
        let migrator = migrator(&checked.stack, &checked.bound, &checked.settings);
        let opened = checked.prepare(migrator.as_ref(), &runtime).await?;
        checked.start(migrator, opened, keys, runtime).await
    }

    #[cfg(feature = "encryption")]
    async fn keys(&self) -> Result<Option<Arc<KeyRing>>> {
        let Some(provider) = &self.key_provider else { return Ok(None) };
        let keys = provider.key_ring().await.map_err(|error| error.with_operation("build"))?;
        Ok(Some(Arc::new(keys)))
    }

    #[cfg(not(feature = "encryption"))]
    async fn keys(&self) -> Result<Option<Arc<KeyRing>>> {
        Ok(None)
    }
}

impl<N: NearTier> Checked<N> {
    /// Makes the tables or looks for them, and opens the journal.
    async fn prepare(&self, migrator: Option<&Migrator>, runtime: &Handle) -> Result<Option<Opened>> {
        if let Some(migrator) = migrator {
            let prepared = if self.settings.create_tables { migrator.make().await } else { migrator.check().await };
            prepared.map_err(|error| error.with_tier(Role::Truth).with_operation("build"))?;
        }
        match (&self.stack.tables, &self.stack.journals) {
            (Some(tables), Some(journals)) if writes_behind(&self.settings, &self.bound) => {
                let opened = behind::open(&self.settings, Arc::clone(tables), Arc::clone(journals), runtime).await;
                Ok(Some(opened.map_err(|error| error.with_operation("build"))?))
            }
            _ => Ok(None),
        }
    }

    /// Registers the schemas, and starts what runs in the background.
    async fn start(self, migrator: Option<Migrator>, opened: Option<Opened>, keys: Option<Arc<KeyRing>>, runtime: Handle) -> Result<Store> {
        let Checked { near, tiers, guards, stack, schemas, bound, settings, codecs } = self;
        let shared = share(&stack, settings, codecs, opened.as_ref(), keys, runtime);
        let restored = opened.as_ref().map(Opened::schemas).unwrap_or_default();
        let context = Context { near: near.as_ref(), stack: &stack, shared: &shared, restored: &restored };
        let (mut pipelines, mut followed) = (HashMap::new(), Vec::<Arc<dyn Follow>>::new());
        let mut overlays = Vec::<Arc<dyn Overlay>>::new();
        for (schema, bound) in schemas.into_iter().zip(bound) {
            let registered = schema.register(bound, &context);
            overlays.push(registered.overlay);
            pipelines.insert(registered.model, registered.pipeline);
            followed.push(registered.follow);
        }
        shared.coherence.follow(followed.iter().map(Arc::downgrade).collect());
        let tasks = Tasks::start(&shared.life, &shared.coherence, &followed, stack.wakes, &shared.settings).await;
        if let Some(upkeep) = migrator.as_ref().filter(|_| shared.settings.create_tables).and_then(Migrator::upkeep) {
            tasks.add(shared.life.runtime().spawn(upkeep));
        }
        // Nobody else has set it.
        let _ = shared.tasks.set(tasks);
        if let Some(opened) = opened {
            opened.start(&overlays)?;
        }
        let near_facet = near.as_ref().and_then(|near| Arc::clone(near).facets().near);
        let all = near.into_iter().map(|near| near as Arc<dyn Tier>).chain(tiers).collect();
        let breakers = guards.into_iter().map(Guard::into_breaker).collect();
        Ok(Store::new(Parts {
            tiers: all,
            breakers,
            near: near_facet,
            pipelines,
            schemas: followed,
            overlays,
            tables: stack.tables,
            migrator,
            journals: stack.journals,
            shared,
        }))
    }
}

/// What all schemas of a store share.
fn share(
    stack: &checks::Stack,
    settings: Settings,
    codecs: Vec<Arc<dyn Codec>>,
    opened: Option<&Opened>,
    keys: Option<Arc<KeyRing>>,
    runtime: Handle,
) -> Arc<Shared> {
    let behind = opened.map(|opened| Arc::clone(&opened.behind));
    Arc::new(Shared {
        coherence: Arc::new(Coherence::new(stack.log.clone(), Arc::clone(&settings.clock))),
        tasks: OnceLock::new(),
        elsewhere: Elsewhere::new(stack.journals.clone(), behind.as_ref().map(|behind| behind.name().to_owned())),
        behind,
        truth_reads: Semaphore::new(settings.truth_reads.min(Semaphore::MAX_PERMITS)),
        truth_writes: WriteTurns::new(settings.truth_writes),
        counters: Counters::default(),
        findings: Findings::default(),
        codecs,
        keys,
        life: Arc::new(Life::new(runtime)),
        writes: Gate::new(),
        closing: Closing::new(),
        settings,
    })
}

/// The runtime that the call is in, with its timer on.
fn runtime() -> Result<Handle> {
    let runtime = Handle::try_current().map_err(|_| {
        Error::new(
            ErrorKind::InvalidConfig,
            "a store needs a tokio runtime; call `build` within one (`#[tokio::main]`, `Runtime::block_on`)",
        )
    })?;
    if std::panic::catch_unwind(|| drop(tokio::time::sleep(std::time::Duration::ZERO))).is_err() {
        return Err(Error::new(
            ErrorKind::InvalidConfig,
            "a store needs a tokio runtime with its timer on; add `enable_time` or `enable_all` to the runtime's builder",
        ));
    }
    Ok(runtime)
}

/// What migrates the tier of truth, if there is one with tables.
pub(super) fn migrator(stack: &checks::Stack, bound: &[Arc<BoundSchema>], settings: &Settings) -> Option<Migrator> {
    let stored = bound.iter().filter(|schema| !schema.is_cache_only()).cloned().collect();
    Some(Migrator::new(Arc::clone(stack.migrations.as_ref()?), stored, settings.migration.clone()))
}

/// Whether a schema writes behind, or an earlier store may have left something in the journal.
fn writes_behind(settings: &Settings, schemas: &[Arc<BoundSchema>]) -> bool {
    let is_behind = |schema: &Arc<BoundSchema>| !schema.is_cache_only() && schema.write_mode() == WriteMode::WriteBehind;
    settings.journal.is_some() || schemas.iter().any(is_behind)
}

//! How reads and writes of one schema travel through the tiers.

mod abandoned;
mod absent;
mod attempts;
mod backing;
mod behind;
mod bulk;
mod call;
mod conditional;
mod delete;
mod flights;
mod follow;
mod fresh;
mod hooks;
mod invalidate;
mod invalidate_tag;
mod kept;
mod loading;
mod outlive;
mod read;
mod read_many;
mod recent;
#[cfg(feature = "encryption")]
mod reencrypt;
mod sealing;
mod search;
mod search_cached;
mod slots;
mod stale;
mod tags;
mod transaction;
mod upgrade;
mod verify;
mod warm;
mod write;

use abandoned::Abandoned;
use absent::Absences;
use attempts::Attempts;
pub(crate) use backing::{Backing, MemoryVersions};
pub(crate) use behind::PendingWrites;
pub(crate) use follow::Follow;
pub(crate) use hooks::HookCalls;
pub(crate) use loading::{Landed, LoadMany, LoadOne};
pub(crate) use read::{Loaded, View};
pub(crate) use transaction::{Change, Changes, TouchedKeys};
use verify::Verifier;
pub use warm::WarmProgress;
pub(crate) use write::may_have_taken_effect;

use flights::TaggedFlights;
use tags::Tags;
use upgrade::OlderVersions;

use std::borrow::Borrow;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::Either;
use tokio::sync::Semaphore;

use crate::behind::{Behind, Elsewhere, RoomWait};
use crate::codec::Codec;
use crate::coherence::{Coherence, OwnCommits, Tasks, Trust};
use crate::crypto::{KeyRing, Sealer};
use crate::document;
use crate::error::{Error, ErrorKind, Result};
use crate::facet::{Records, Shelf};
use crate::fence::Fences;
use crate::flight::Flights;
use crate::key::{Key, key_text};
use crate::life::Life;
use crate::notes::{self, Notes};
use crate::query_cache::{QueryCache, QueryLimits};
use crate::record::EncodedRecord;
use crate::schema::{BoundSchema, Schema};
use crate::settings::Settings;
use crate::stats::Counters;
use crate::tier::Role;
use crate::value::{ColumnType, Row, Value};
use crate::verification::Findings;
use crate::version::Version;

/// What the time limit says of a write that may have begun, …
const MAY_HAVE_BEGUN: &str = "; if the write began, it may have taken effect or still may, before any later one of this store's to the key";
/// … and of one that has not.
const WAITED_FOR_ROOM: &str = "; nothing was written: what is pending leaves no room for it (`write_behind.max_pending`), and the call still waited for a flush; \
                               `health().write_behind` tells whether flushes fail";

/// What all schemas of a store share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) counters: Counters,
    pub(crate) codecs: Vec<Arc<dyn Codec>>,
    /// What encrypted columns are sealed with.
    pub(crate) keys: Option<Arc<KeyRing>>,
    pub(crate) life: Arc<Life>,
    pub(crate) writes: crate::gate::Gate,
    pub(crate) closing: crate::gate::Closing,
    pub(crate) coherence: Arc<Coherence>,
    /// Set when all schemas are there. The tasks go on as long as the store or a collection is kept.
    pub(crate) tasks: OnceLock<Tasks>,
    /// What the verifier has found.
    pub(crate) findings: Findings,
    /// Where writes are pending until they are flushed, if they are.
    pub(crate) behind: Option<Arc<Behind>>,
    pub(crate) elsewhere: Elsewhere,
    /// The right to read the truth by key.
    pub(crate) truth_reads: Semaphore,
    pub(crate) truth_writes: WriteTurns,
}

/// The right to write, for each kind of truth, so that one that hangs holds up no other.
#[derive(Debug)]
pub(crate) struct WriteTurns {
    tables: Arc<Semaphore>,
    records: Arc<Semaphore>,
}

impl WriteTurns {
    /// Lets so many write at one time.
    pub(crate) fn new(writes: usize) -> Self {
        let turns = || Arc::new(Semaphore::new(writes.min(Semaphore::MAX_PERMITS)));
        WriteTurns { tables: turns(), records: turns() }
    }
}

/// The stack as one schema sees it.
#[derive(Debug)]
pub(crate) struct Pipeline<T: Schema> {
    pub(crate) schema: Arc<BoundSchema>,
    hooks: Option<HookCalls<T>>,
    /// What seals the rows below memory, if some of their columns are encrypted.
    sealer: Option<Arc<Sealer>>,
    /// What the truth does not have yet, where that may be.
    behind: Option<PendingWrites<T>>,
    pub(crate) near: Option<Arc<dyn Shelf<T>>>,
    /// The shared tier as a cache; `None` where it is the truth itself.
    pub(crate) cache: Option<Arc<dyn Records>>,
    pub(crate) backing: Backing<T>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) fences: Fences,
    pub(crate) flights: TaggedFlights<T::Key, Option<Loaded<T>>>,
    absences: Absences<T::Key>,
    /// Those of loaders.
    pub(crate) loads: Flights<T::Key, Landed<T>>,
    /// Those of loaders that nobody waits for, as what they renew is still good.
    pub(crate) renewals: Flights<T::Key, Landed<T>>,
    renewal_attempts: Attempts<T::Key>,
    /// Those without a loader.
    refresh_attempts: Attempts<T::Key>,
    /// What was heard, and whether the shared tier is believed; `None` where the truth has no log.
    pub(crate) trust: Option<Trust>,
    pub(crate) own: OwnCommits,
    abandoned: Abandoned<T::Key>,
    verifier: Option<Verifier<T::Key>>,
    pub(crate) tags: Tags,
    queries: QueryCache<T>,
    shared_types: Vec<ColumnType>,
    warned_of_unreadable: AtomicBool,
    older: OlderVersions<T>,
}

type Borrowed<T> = <<T as Schema>::Key as Key>::Borrowed;

impl<T: Schema> Pipeline<T> {
    pub(crate) fn new(
        schema: Arc<BoundSchema>,
        hooks: Option<HookCalls<T>>,
        behind: Option<PendingWrites<T>>,
        near: Option<Arc<dyn Shelf<T>>>,
        cache: Option<Arc<dyn Records>>,
        backing: Backing<T>,
        shared: Arc<Shared>,
    ) -> Self {
        let columns = schema.definition().columns();
        let shared_types = schema.shared_positions().iter().map(|&position| columns[position].shared_type()).collect();
        let trust = match &backing {
            Backing::Tables { log, .. } => Some(Trust::new(Arc::clone(log), shared.coherence.generations_met())),
            Backing::Records(_) | Backing::Memory(_) => None,
        };
        let keys = shared.keys.as_ref().filter(|_| !matches!(backing, Backing::Memory(_)));
        let sealer = keys.and_then(|keys| Sealer::new(&schema, keys)).map(Arc::new);
        let verifier = Verifier::new(&shared.settings);
        let tags = Tags::new(schema.definition());
        let queries = QueryCache::new(QueryLimits { entries: shared.settings.query_max_entries, rows: shared.settings.query_max_rows });
        let older = OlderVersions::new(&schema, keys);
        Pipeline {
            schema,
            hooks,
            sealer,
            behind,
            near,
            cache,
            backing,
            shared,
            fences: Fences::new(),
            flights: TaggedFlights::new(),
            absences: Absences::new(),
            loads: Flights::new(),
            renewals: Flights::new(),
            renewal_attempts: Attempts::new(),
            refresh_attempts: Attempts::new(),
            trust,
            own: OwnCommits::default(),
            abandoned: Abandoned::new(),
            verifier,
            tags,
            queries,
            shared_types,
            warned_of_unreadable: AtomicBool::new(false),
            older,
        }
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Refuses an empty key, and any call after the store was closed.
    pub(crate) fn check(&self, key: &Borrowed<T>) -> Result<()> {
        self.check_open()?;
        if <T::Key as Key>::is_empty(key) { Err(self.empty_key("the key is empty")) } else { Ok(()) }
    }

    /// As [`check`](Self::check), for each of several keys.
    pub(crate) fn check_all(&self, keys: &[T::Key]) -> Result<()> {
        self.check_open()?;
        match keys.iter().position(|key| <T::Key as Key>::is_empty(key.borrow())) {
            Some(position) => {
                Err(self.empty_key(&format!("the key of number {} of the {} in this call is empty", position + 1, keys.len())))
            }
            None => Ok(()),
        }
    }

    /// As [`check_all`](Self::check_all), of keys that are written. Refuses those too that no table can hold: a pending write of one would never come to the truth.
    pub(crate) fn check_written(&self, keys: &[T::Key]) -> Result<()> {
        self.check_all(keys)?;
        match self.backing {
            Backing::Tables { .. } => keys.iter().try_for_each(|key| self.check_storable(key)),
            Backing::Records(_) | Backing::Memory(_) => Ok(()),
        }
    }

    /// Refuses a key that no table can hold.
    pub(crate) fn check_storable(&self, key: &T::Key) -> Result<()> {
        let definition = self.schema.definition();
        let named = |error: Error| error.with_schema(self.schema.name()).with_key(Self::text(key));
        let values = <T::Key as Key>::to_values(key.borrow()).map_err(named)?;
        let mut parts = values.iter().zip(definition.key_positions());
        match parts.find(|(value, _)| matches!(value, Value::Text(text) if text.contains('\0'))) {
            Some((_, &position)) => {
                let message = "a key's text cannot hold the character NUL; remove it, or store bytes in another column";
                Err(named(Error::new(ErrorKind::InvalidValue, message).with_column(definition.columns()[position].name)))
            }
            None => Ok(()),
        }
    }

    fn empty_key(&self, what: &str) -> Error {
        let message = format!("{what} (\"\", 0, the nil UUID, or a tuple that holds one); give the record a key");
        Error::new(ErrorKind::MissingPrimaryKey, message).with_schema(self.schema.name())
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        self.shared.life.check().map_err(|error| error.with_schema(self.schema.name()))
    }

    /// Tells of a tier's failure that another tier makes good.
    fn tolerate(&self, role: Role, what: &str, error: &Error) {
        self.counters().errors.add(1);
        if error.is_held_back() {
            tracing::debug!(schema = self.schema.name(), tier = %role, %error, "{what}");
        } else {
            tracing::warn!(schema = self.schema.name(), tier = %role, %error, "{what}");
        }
    }

    /// Runs a read of a single record within the store's time limit.
    pub(crate) fn within_limit<R>(&self, read: impl Future<Output = Result<R>>) -> impl Future<Output = Result<R>> {
        self.limited(read, || "")
    }

    /// Runs a write of a single record within the store's time limit.
    pub(crate) fn within_write_limit<R>(&self, write: impl Future<Output = Result<R>>) -> impl Future<Output = Result<R>> {
        self.limited(write, || MAY_HAVE_BEGUN)
    }

    /// As [`within_write_limit`](Self::within_write_limit), of a write that may have to wait for room among what is pending: `room` knows.
    pub(crate) fn within_pending_limit<R>(
        &self,
        room: &RoomWait,
        write: impl Future<Output = Result<R>>,
    ) -> impl Future<Output = Result<R>> {
        self.limited(write, || if room.goes_on() { WAITED_FOR_ROOM } else { MAY_HAVE_BEGUN })
    }

    /// Runs a write of many records: within the store's time limit if it waits for a flush, which is repeated until the truth takes it. Else the tiers bound it.
    pub(crate) fn within_batch_limit<R>(&self, room: &RoomWait, write: impl Future<Output = Result<R>>) -> impl Future<Output = Result<R>> {
        if self.waits_for_flush() { Either::Left(self.within_pending_limit(room, write)) } else { Either::Right(write) }
    }

    /// The call lies on the heap: each future around it would copy it whole, which cost more than all else that a write-behind set does.
    fn limited<R>(
        &self,
        call: impl Future<Output = Result<R>>,
        consequence: impl FnOnce() -> &'static str,
    ) -> impl Future<Output = Result<R>> {
        let (limit, call) = (self.shared.settings.operation_timeout, Box::pin(call));
        async move {
            match tokio::time::timeout(limit, call).await {
                Ok(result) => result,
                Err(_) => {
                    let consequence = consequence();
                    Err(Error::new(ErrorKind::Timeout, format!("no answer within {limit:?} (`operation_timeout`){consequence}")))
                }
            }
        }
    }

    /// A model for a row, with the columns that `view` shows. An error names no key: the caller knows it, or gets it from the row by
    /// [`key_values`](Self::key_values).
    fn model(&self, row: Row<'static>, view: View) -> Result<T> {
        // What is not shown is not opened.
        self.model_of_open(self.opened(self.seen(row, view))?)
    }

    /// A row without the columns that `view` does not show.
    fn seen(&self, mut row: Row<'static>, view: View) -> Row<'static> {
        let columns = self.schema.definition().columns();
        for (value, column) in row.iter_mut().zip(columns) {
            if !view.shows(column.residence) {
                *value = Value::Unset;
            }
        }
        row
    }

    /// A model for a row whose columns are not encrypted, or not any more.
    fn model_of_open(&self, row: Row<'static>) -> Result<T> {
        let mut model = self.read_open(|| T::from_row(row))?;
        if let Some(hooks) = &self.hooks {
            hooks.after_load(&mut model)?;
        }
        Ok(model)
    }

    /// As [`model`](Self::model), for a row that a read has brought: what holds an older document is counted, and perhaps written back.
    fn read_model(&self, row: Row<'static>, view: View) -> Result<T> {
        let (model, is_upgraded) = document::watch(|| self.model(row, view));
        if is_upgraded && let Ok(model) = &model {
            self.counters().upgrades.add(1);
            self.write_back(Self::text(&model.key()), Role::Truth);
        }
        model
    }

    /// The key's columns of a row that was not asked for by its key, for [`named_by_values`] once the row is gone.
    fn key_values(&self, row: &Row<'static>) -> Row<'static> {
        self.schema.definition().key_positions().iter().map(|&position| row[position].clone()).collect()
    }

    /// Whether some columns are not held by memory.
    fn has_deferred(&self) -> bool {
        let columns = self.schema.definition().columns();
        self.schema.near_positions().len() < columns.iter().filter(|column| column.blind_of.is_none()).count()
    }

    /// A life time, [shortened](Self::shortened) unless memory or the shared tier is the truth of the record, which then lives on.
    fn jittered(&self, life: Duration) -> Duration {
        if matches!(self.backing, Backing::Tables { .. }) { self.shortened(life) } else { life }
    }

    /// A life time, shortened at random, so that what was loaded together does not end together.
    fn shortened(&self, life: Duration) -> Duration {
        let jitter = self.shared.settings.jitter;
        if jitter <= 0.0 {
            return life;
        }
        let part = RandomState::new().hash_one(0) as f64 / u64::MAX as f64;
        life.mul_f64(1.0 - jitter * part)
    }

    /// When a record that is installed now stops being valid; `None` for never, and in a store without a shared tier.
    fn shared_deadline(&self) -> Option<std::time::SystemTime> {
        let is_shared = self.cache.is_some() || matches!(self.backing, Backing::Records(_));
        let ttl = self.schema.shared_ttl().filter(|_| is_shared)?;
        self.shared.settings.clock.now().checked_add(self.jittered(ttl))
    }

    /// The memory tier's deadline for an entry, on the monotonic scale: its own life time, and never beyond the record's.
    ///
    /// `began` is when its load or write began. What comes from a shared tier as the truth, which has no log to follow, lives no longer than the freshness
    /// bound from then on.
    fn near_deadline(&self, record_deadline: Option<std::time::SystemTime>, began: Duration) -> Option<Duration> {
        let clock = &self.shared.settings.clock;
        let left_of_record = record_deadline.map(|deadline| deadline.duration_since(clock.now()).unwrap_or_default());
        let left = match (self.schema.near_ttl().map(|ttl| self.jittered(ttl)), left_of_record) {
            (Some(ttl), Some(left)) => Some(ttl.min(left)),
            (ttl, left) => ttl.or(left),
        };
        let deadline = left.and_then(|left| clock.monotonic().checked_add(left));
        match &self.backing {
            Backing::Records(_) => {
                let bound = began.saturating_add(self.shared.settings.freshness);
                Some(deadline.map_or(bound, |deadline| deadline.min(bound)))
            }
            Backing::Tables { .. } | Backing::Memory(_) => deadline,
        }
    }

    fn encode(&self, row: &[Value<'_>], version: Version, generation: u64, notes: Option<&Notes>) -> Result<EncodedRecord> {
        let held = self.shared_values(row)?;
        let codec = &self.shared.settings.codec;
        Ok(EncodedRecord {
            version,
            generation,
            fingerprint: self.schema.fingerprint(),
            codec: codec.id(),
            deadline: self.shared_deadline(),
            payload: notes::join(codec.encode(&held)?, notes)?,
        })
    }

    fn text(key: &T::Key) -> String {
        let mut text = String::new();
        <T::Key as Key>::write_text(key.borrow(), &mut text);
        text
    }
}

/// Names the key of the row that an error is about.
fn named_by_values(error: Error, key: &[Value<'_>]) -> Error {
    match key_text(key) {
        Ok(text) => error.with_key(text),
        Err(_) => error,
    }
}

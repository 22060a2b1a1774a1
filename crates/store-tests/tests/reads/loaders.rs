//! Reads that load what no tier holds.

mod batches;
mod everywhere;
mod failures;
mod instances;
mod life_times;
mod outages;
mod overtaken;
mod random;
mod tags;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use store_testkit::{FaultTier, Faults, ManualClock, ModelRecords};
use strata::facet::{Records, Slot};
use strata::mem::MemTier;
use strata::{BoundSchema, Collection, Known, Load, LoadError, LoadResult, Schema, Settings, Store};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// A copy of what a server has elsewhere.
#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(cache_only)]
pub(crate) struct Page {
    #[schema(primary_key)]
    pub(crate) path: String,
    pub(crate) body: i64,
}

pub(crate) fn page(path: &str, body: i64) -> Page {
    Page { path: path.to_owned(), body }
}

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// Where the pages of a test live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Shared,
    Memory,
}

/// A store on a clock of the test's, with memory, and a shared tier whose calls can be made to fail.
pub(crate) struct Bench {
    pub(crate) kind: Kind,
    pub(crate) store: Store,
    pub(crate) pages: Collection<Page>,
    pub(crate) clock: ManualClock,
    pub(crate) shared: ModelRecords,
    pub(crate) faults: Faults,
    configure: fn(&mut Settings),
}

impl Bench {
    pub(crate) async fn open(kind: Kind, configure: fn(&mut Settings)) -> Self {
        let clock = ManualClock::new();
        let shared = ModelRecords::with_clock(Arc::new(clock.clone()));
        let (store, faults) = Self::store(kind, &clock, &shared, configure).await;
        let pages = store.collection().unwrap();
        Bench { kind, store, pages, clock, shared, faults, configure }
    }

    async fn store(kind: Kind, clock: &ManualClock, shared: &ModelRecords, configure: fn(&mut Settings)) -> (Store, Faults) {
        let tier = FaultTier::new(shared.clone());
        let faults = tier.faults();
        let builder = Store::builder().near(MemTier::new()).schema::<Page>().configure(|settings| {
            settings.breaker.enabled = false;
            settings.retries = 0;
            settings.jitter = 0.0;
            // A load that a test holds is waited for.
            settings.flight_wait = Duration::from_secs(50);
            settings.clock = Arc::new(clock.clone());
            configure(settings);
        });
        let builder = if kind == Kind::Shared { builder.tier(tier) } else { builder };
        (builder.build().await.unwrap(), faults)
    }

    /// Another instance on the same shared tier, with its faults.
    pub(crate) async fn another(&self) -> (Collection<Page>, Faults) {
        let (store, faults) = Self::store(self.kind, &self.clock, &self.shared, self.configure).await;
        (store.collection().unwrap(), faults)
    }

    /// Lets memory forget, where it is not the truth.
    pub(crate) fn pass_freshness(&self) {
        self.clock.advance(Duration::from_secs(2));
    }

    pub(crate) async fn slot(&self, path: &str) -> Slot {
        let schema = BoundSchema::standalone(Page::definition());
        self.shared.fetch(&schema, &[path.to_owned()], None).await.unwrap().remove(0)
    }
}

/// The source of a test's pages: counts how often it was asked, and can be held.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    asked: Arc<AtomicUsize>,
    arrived: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Source {
    pub(crate) fn new() -> Self {
        Source { asked: Arc::default(), arrived: Arc::new(Semaphore::new(0)), open: Arc::new(Semaphore::new(0)) }
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    pub(crate) fn ask(&self) {
        self.asked.fetch_add(1, Ordering::SeqCst);
    }

    /// Waits at the gate.
    pub(crate) async fn pass(&self) {
        self.ask();
        self.arrived.add_permits(1);
        self.open.acquire().await.unwrap().forget();
    }

    /// Waits until a load stands at the gate.
    pub(crate) async fn arrived(&self) {
        let arrived = tokio::time::timeout(Duration::from_secs(60), self.arrived.acquire()).await;
        arrived.expect("no load came").unwrap().forget();
    }

    /// Lets one load go.
    pub(crate) fn release(&self) {
        self.open.add_permits(1);
    }

    /// A loader that answers this at once.
    pub(crate) fn gives<T: Send + 'static>(
        &self,
        load: Load<T>,
    ) -> impl FnOnce(Option<Known<T>>) -> std::future::Ready<LoadResult<T>> + Send + 'static
    where
        Load<T>: Send,
    {
        let source = self.clone();
        move |_| {
            source.ask();
            std::future::ready(Ok(load))
        }
    }

    /// A loader that waits at the gate, and answers this then.
    pub(crate) fn holds<T: Schema>(
        &self,
        load: Load<T>,
    ) -> impl FnOnce(Option<Known<T>>) -> BoxFuture<'static, LoadResult<T>> + Send + 'static {
        let source = self.clone();
        move |_| {
            Box::pin(async move {
                source.pass().await;
                Ok(load)
            })
        }
    }

    /// A loader that fails at once.
    pub(crate) fn fails<T: 'static>(&self) -> impl FnOnce(Option<Known<T>>) -> std::future::Ready<LoadResult<T>> + Send + 'static + use<T> {
        let source = self.clone();
        move |_| {
            source.ask();
            std::future::ready(Err(LoadError::from("the source is away")))
        }
    }
}

/// A loader that must not run.
pub(crate) fn nobody<T: 'static>(_: Option<Known<T>>) -> std::future::Ready<LoadResult<T>> {
    panic!("it was loaded again")
}

/// A read in a task of its own.
type Reading<T> = JoinHandle<strata::Result<Option<Arc<T>>>>;

/// Starts a read of the page `/` whose loader waits at the source's gate.
pub(crate) async fn held(pages: &Collection<Page>, source: &Source, load: Load<Page>) -> Reading<Page> {
    held_at(pages, "/", source, load).await
}

/// Starts a read of a key whose loader waits at the source's gate.
pub(crate) async fn held_at<T: Schema<Key = String>>(
    models: &Collection<T>,
    key: &'static str,
    source: &Source,
    load: Load<T>,
) -> Reading<T> {
    let (models, loader) = (models.clone(), source.holds(load));
    let read = tokio::spawn(async move { models.get_or_load(key, loader).await });
    source.arrived().await;
    read
}

/// What a read answers whose loader must not run.
pub(crate) async fn kept(pages: &Collection<Page>) -> Option<i64> {
    pages.get_or_load("/", nobody).await.unwrap().map(|page| page.body)
}

/// What a read answers whose loader answers this.
pub(crate) async fn loaded(pages: &Collection<Page>, source: &Source, load: Load<Page>) -> Option<i64> {
    pages.get_or_load("/", source.gives(load)).await.unwrap().map(|page| page.body)
}

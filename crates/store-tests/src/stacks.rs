//! Stacks of tiers, each on storage of its own.

pub mod postgres;
pub mod redis;
mod relayed;

use std::sync::Arc;
use std::time::Duration;

use store_testkit::{FaultTier, Faults, ManualClock, ModelRecords};
use strata::facet::NearTier;
use strata::mem::MemTier;
use strata::sqlite::{SqliteConfig, SqliteTier, Synchronous};
use strata::{Collection, Schema, SchemaOptions, Store, StoreBuilder};
use tempfile::TempDir;

use crate::models::{Account, City, Document, Membership, Player};

/// The stacks that the cases of a collection's behaviour run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stack {
    MemSqlite,
    Sqlite,
    MemModelSqlite,
    MemPostgres,
    MemRedisPostgres,
    MemRedis,
    ModelAlone,
    MemAlone,
}

/// The models of a store.
pub trait Models {
    fn register<N: NearTier>(&self, stack: Stack, builder: StoreBuilder<N>) -> StoreBuilder<N>;
}

/// What most cases store.
struct Usual;

/// A store, and what must live as long as it does.
#[derive(Debug)]
pub struct Bench {
    pub stack: Stack,
    pub store: Store,
    storage: Storage,
    freshness: Duration,
}

#[derive(Debug, Default)]
struct Storage {
    directory: Option<TempDir>,
    model: Option<ModelRecords>,
    redis: Option<redis::Namespace>,
    postgres: Option<postgres::Database>,
}

impl Stack {
    /// Memory stays fresh for longer than any case takes.
    pub async fn open(self) -> Bench {
        self.open_fresh_for(Duration::from_secs(120)).await
    }

    pub async fn open_fresh_for(self, freshness: Duration) -> Bench {
        self.open_with(freshness, &Usual).await
    }

    pub async fn open_with(self, freshness: Duration, models: &impl Models) -> Bench {
        let mut storage = Storage::default();
        let store = self.store(&mut storage, freshness, models).await;
        Bench { stack: self, store, storage, freshness }
    }

    /// A store on the storage, which is made where it is not there yet.
    async fn store(self, storage: &mut Storage, freshness: Duration, models: &impl Models) -> Store {
        let store = match self {
            Stack::MemSqlite => {
                let builder = Store::builder().near(MemTier::new()).tier(storage.sqlite().await);
                self.schemas(builder, freshness, models).build().await
            }
            Stack::Sqlite => self.schemas(Store::builder().tier(storage.sqlite().await), freshness, models).build().await,
            Stack::MemModelSqlite => {
                let builder = Store::builder().near(MemTier::new()).tier(storage.model()).tier(storage.sqlite().await);
                self.schemas(builder, freshness, models).build().await
            }
            Stack::MemPostgres => {
                let postgres = storage.postgres().await;
                self.schemas(Store::builder().near(MemTier::new()).tier(postgres), freshness, models).build().await
            }
            Stack::MemRedisPostgres => {
                let (redis, postgres) = (storage.redis().await, storage.postgres().await);
                self.schemas(Store::builder().near(MemTier::new()).tier(redis).tier(postgres), freshness, models).build().await
            }
            Stack::MemRedis => {
                let redis = storage.redis().await;
                self.schemas(Store::builder().near(MemTier::new()).tier(redis), freshness, models).build().await
            }
            Stack::ModelAlone => self.schemas(Store::builder().tier(storage.model()), freshness, models).build().await,
            Stack::MemAlone => self.schemas(Store::builder().near(MemTier::new()), freshness, models).build().await,
        };
        store.expect("the stack is sound")
    }

    pub fn has_near(self) -> bool {
        !matches!(self, Stack::Sqlite | Stack::ModelAlone)
    }

    /// Whether a shared tier stands before the truth.
    pub fn has_cache(self) -> bool {
        matches!(self, Stack::MemModelSqlite | Stack::MemRedisPostgres)
    }

    pub fn has_tables(self) -> bool {
        matches!(self, Stack::MemSqlite | Stack::Sqlite | Stack::MemModelSqlite | Stack::MemPostgres | Stack::MemRedisPostgres)
    }

    fn schemas<N: NearTier>(self, builder: StoreBuilder<N>, freshness: Duration, models: &impl Models) -> StoreBuilder<N> {
        models.register(self, builder).configure(|settings| settings.freshness = freshness)
    }
}

impl Models for Usual {
    fn register<N: NearTier>(&self, stack: Stack, builder: StoreBuilder<N>) -> StoreBuilder<N> {
        if stack.has_tables() {
            return builder.schema::<Player>().schema::<Membership>().schema::<Document>().schema::<City>().schema::<Account>();
        }
        fn cache_only<T: Schema>(options: &mut SchemaOptions<T>) {
            options.policies.cache_only = true;
        }
        builder.schema_with::<Player>(cache_only).schema_with::<Membership>(cache_only).schema_with::<Document>(cache_only)
    }
}

impl Storage {
    async fn sqlite(&mut self) -> SqliteTier {
        match &self.directory {
            Some(directory) => open_sqlite(directory).await,
            None => {
                let (directory, tier) = sqlite().await;
                self.directory = Some(directory);
                tier
            }
        }
    }

    fn model(&mut self) -> ModelRecords {
        self.model.get_or_insert_with(ModelRecords::new).clone()
    }

    async fn redis(&mut self) -> strata::redis::RedisTier {
        match &self.redis {
            Some(namespace) => namespace.tier().await,
            None => {
                let (namespace, tier) = redis::open().await;
                self.redis = Some(namespace);
                tier
            }
        }
    }

    async fn postgres(&mut self) -> strata::pg::PgTier {
        match &self.postgres {
            Some(database) => database.tier().await,
            None => {
                let (database, tier) = postgres::open().await;
                self.postgres = Some(database);
                tier
            }
        }
    }
}

impl Bench {
    /// A second store on the same storage, with a memory of its own: another instance.
    pub async fn another(&mut self) -> Store {
        self.another_with(&Usual).await
    }

    /// As [`another`](Self::another), with models of its own.
    pub async fn another_with(&mut self, models: &impl Models) -> Store {
        self.stack.store(&mut self.storage, self.freshness, models).await
    }

    /// A store on the truth alone: whatever it answers, SQL has.
    pub async fn without_caches(&mut self, models: impl FnOnce(StoreBuilder) -> StoreBuilder) -> Store {
        let builder = match self.storage.postgres {
            Some(_) => Store::builder().tier(self.storage.postgres().await),
            None => Store::builder().tier(self.storage.sqlite().await),
        };
        models(builder).build().await.expect("the stack is sound")
    }

    /// The database of a stack with PostgreSQL.
    pub fn postgres(&self) -> &postgres::Database {
        self.storage.postgres.as_ref().expect("the stack has PostgreSQL")
    }

    /// The bytes of every file of a stack with SQLite.
    pub fn sqlite_files(&self) -> Vec<u8> {
        let directory = self.storage.directory.as_ref().expect("the stack has SQLite");
        bytes_of_files(directory.path())
    }

    /// Does with the database of a stack with SQLite what another program might do.
    pub fn run_on_sqlite(&self, statement: &str) {
        let directory = self.storage.directory.as_ref().expect("the stack has SQLite");
        let connection = rusqlite::Connection::open(directory.path().join("store.db")).expect("the file can be opened");
        connection.busy_timeout(Duration::from_secs(20)).expect("it can wait");
        connection.execute_batch(statement).expect("the statement is sound");
    }

    /// The keys of a stack with Redis.
    pub fn redis(&self) -> &redis::Namespace {
        self.storage.redis.as_ref().expect("the stack has Redis")
    }

    /// A store of a database of its own that has all else in common with this one, the keys in Redis too.
    pub async fn beside(&self) -> (postgres::Database, Store) {
        let redis = self.storage.redis.as_ref().expect("the stack has Redis").tier().await;
        let (database, postgres) = postgres::open().await;
        let builder = Store::builder().near(MemTier::new()).tier(redis).tier(postgres);
        let store = self.stack.schemas(builder, self.freshness, &Usual).build().await;
        (database, store.expect("the stack is sound"))
    }

    pub fn of<T: Schema>(&self) -> Collection<T> {
        self.store.collection().expect("the stack has the model")
    }

    pub fn players(&self) -> Collection<Player> {
        self.of()
    }
}

/// A database file of its own. What tests write need not survive a power cut.
pub async fn sqlite() -> (TempDir, SqliteTier) {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let tier = open_sqlite(&directory).await;
    (directory, tier)
}

/// The bytes of every file of a directory.
pub fn bytes_of_files(directory: &std::path::Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for file in std::fs::read_dir(directory).expect("the directory can be read") {
        bytes.extend(std::fs::read(file.expect("the directory can be read").path()).expect("the file can be read"));
    }
    bytes
}

/// Copies the files of a directory into a new one.
pub fn copy_directory(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir(to).expect("the copy can be made");
    for file in std::fs::read_dir(from).expect("the directory can be read") {
        let file = file.expect("the directory can be read");
        std::fs::copy(file.path(), to.join(file.file_name())).expect("the file can be copied");
    }
}

/// One more tier on a database file.
pub async fn open_sqlite(directory: &TempDir) -> SqliteTier {
    let config = SqliteConfig::new(directory.path().join("store.db")).with_synchronous(Synchronous::Normal);
    SqliteTier::open(config).await.expect("the file can be opened")
}

/// Memory, a shared tier in memory and SQLite, with faults in the latter two and a clock of the test's.
#[derive(Debug)]
pub struct FaultyBench {
    pub store: Store,
    pub clock: ManualClock,
    pub shared: ModelRecords,
    pub shared_faults: Faults,
    pub truth_faults: Faults,
    pub directory: TempDir,
}

impl FaultyBench {
    pub async fn open() -> Self {
        Self::open_with(|builder| builder.schema::<Player>().schema::<City>().schema::<Account>()).await
    }

    pub async fn open_with(schemas: impl FnOnce(StoreBuilder<MemTier>) -> StoreBuilder<MemTier>) -> Self {
        let (directory, sqlite) = sqlite().await;
        Self::over(directory, sqlite, schemas).await
    }

    /// With players that an earlier store wrote: nothing in the log is left to the relayer, which would empty their slots at a moment of its own.
    pub async fn open_after(players: impl IntoIterator<Item = Player>) -> Self {
        let (directory, sqlite) = sqlite().await;
        let earlier = Store::builder().tier(sqlite).schema::<Player>().build().await.expect("the stack is sound");
        earlier.collection().expect("the stack has the model").set_many(players).await.expect("the file takes them");
        earlier.close().await.expect("it can be closed");
        let sqlite = open_sqlite(&directory).await;
        Self::over(directory, sqlite, |builder| builder.schema::<Player>()).await
    }

    async fn over(directory: TempDir, sqlite: SqliteTier, schemas: impl FnOnce(StoreBuilder<MemTier>) -> StoreBuilder<MemTier>) -> Self {
        let clock = ManualClock::new();
        let shared = ModelRecords::with_clock(Arc::new(clock.clone()));
        let (records, tables) = (FaultTier::new(shared.clone()), FaultTier::new(sqlite));
        let (shared_faults, truth_faults) = (records.faults(), tables.faults());
        // Each fault meets the call that it was ordered for, and no other.
        let builder = Store::builder().near(MemTier::new()).tier(records).tier(tables).configure(|settings| {
            settings.breaker.enabled = false;
            settings.retries = 0;
        });
        let builder = schemas(builder).configure(|settings| {
            settings.clock = Arc::new(clock.clone());
            settings.jitter = 0.0;
            // A lease that a fault left behind ends only when the test turns the hands.
            settings.flight_wait = Duration::from_millis(10);
        });
        let store = builder.build().await.expect("the stack is sound");
        FaultyBench { store, clock, shared, shared_faults, truth_faults, directory }
    }

    /// A second store over the same shared tier and file, with a memory of its own and no faults: another instance, or this one after a restart.
    pub async fn another(&self) -> Store {
        let sqlite = open_sqlite(&self.directory).await;
        let builder = Store::builder().near(MemTier::new()).tier(self.shared.clone()).tier(sqlite);
        let builder = builder.schema::<Player>().schema::<City>().schema::<Account>();
        let builder = builder.configure(|settings| settings.clock = Arc::new(self.clock.clone()));
        builder.build().await.expect("the stack is sound")
    }

    pub fn of<T: Schema>(&self) -> Collection<T> {
        self.store.collection().expect("the stack has the model")
    }

    pub fn players(&self) -> Collection<Player> {
        self.of()
    }
}

/// Cleans up in a destructor, which may run within a runtime. A failure must not hide that of the test.
fn cleaning(work: impl Future<Output = Result<(), Box<dyn std::error::Error>>> + Send + 'static) {
    let cleaner = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
        if let Err(error) = runtime.block_on(work) {
            eprintln!("what the test left behind could not be removed: {error}");
        }
    });
    let _ = cleaner.join();
}

/// Runs cases, functions over a [`Bench`], on stacks, one test each.
#[macro_export]
macro_rules! on_stacks {
    (@stack $module:ident $stack:ident [$($case:ident),* $(,)?]) => {
        mod $module {
            use $crate::stacks::Stack;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::$case(&Stack::$stack.open().await).await;
                }
            )*
        }
    };
    (everywhere: $cases:tt) => {
        $crate::on_stacks!(with_tables: $cases);
        $crate::on_stacks!(cache_only: $cases);
    };
    (everywhere: [$($everywhere:ident),* $(,)?], with_tables: [$($with_tables:ident),* $(,)?]) => {
        $crate::on_stacks!(with_tables: [$($everywhere,)* $($with_tables),*]);
        $crate::on_stacks!(cache_only: [$($everywhere),*]);
    };
    (with_tables: $cases:tt) => {
        $crate::on_stacks!(@stack mem_sqlite MemSqlite $cases);
        $crate::on_stacks!(@stack sqlite Sqlite $cases);
        $crate::on_stacks!(@stack mem_model_sqlite MemModelSqlite $cases);
        $crate::on_stacks!(@stack mem_postgres MemPostgres $cases);
        $crate::on_stacks!(@stack mem_redis_postgres MemRedisPostgres $cases);
    };
    (cache_only: $cases:tt) => {
        $crate::on_stacks!(@stack mem_redis MemRedis $cases);
        $crate::on_stacks!(@stack model_alone ModelAlone $cases);
        $crate::on_stacks!(@stack mem_alone MemAlone $cases);
    };
}

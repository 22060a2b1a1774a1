//! What the suites of the truth tier's facets run on.

use std::future::Future;
use std::sync::Arc;

use store_core::facet::{Journals, Log, Migrations, Tables};
use store_core::{BoundSchema, Error, ErrorKind, MigrationSettings, Role, Tier};
use tokio::task::JoinHandle;

/// A database of its own for one case: empty, used by nobody else, and open to several tiers at once. Dropping it may remove it.
pub trait TruthDatabase: Send + Sync {
    /// Opens one more tier on the database. It must have the facets that the suite is about.
    fn open(&self) -> impl Future<Output = Arc<dyn Tier>> + Send;
}

/// A tier of truth, opened and taken apart.
pub(super) struct Truth {
    pub(super) tables: Arc<dyn Tables>,
    pub(super) migrations: Arc<dyn Migrations>,
    pub(super) log: Arc<dyn Log>,
    // Some facets need not keep their tier alive.
    tier: Arc<dyn Tier>,
}

impl Truth {
    pub(super) fn journals(&self) -> Arc<dyn Journals> {
        Arc::clone(&self.tier).facets().journals.expect("a truth tier with write-behind has the facet `journals`")
    }
}

/// Opens a tier.
pub(super) async fn open(database: &impl TruthDatabase) -> Truth {
    let tier = database.open().await;
    assert_eq!(tier.role(), Role::Truth, "only a truth tier has tables and a log");
    let facets = Arc::clone(&tier).facets();
    Truth {
        tables: facets.tables.expect("a truth tier has the facet `tables`"),
        migrations: facets.migrations.expect("a truth tier has the facet `migrations`"),
        log: facets.log.expect("a truth tier has the facet `log`"),
        tier,
    }
}

/// Opens a tier and makes tables.
pub(super) async fn open_with(database: &impl TruthDatabase, schemas: &[&Arc<BoundSchema>]) -> Truth {
    let truth = open(database).await;
    let schemas: Vec<_> = schemas.iter().map(|&schema| Arc::clone(schema)).collect();
    truth.migrations.migrate(&schemas, &MigrationSettings::default()).await.expect("the tables can be made in an empty database");
    truth
}

/// Starts writers that run at once, numbered from 0, on the tables of the two tiers by turns.
pub(super) fn start_writers<R, W>(truths: &[Truth; 2], count: i64, write: impl Fn(i64, Arc<dyn Tables>) -> W) -> Vec<JoinHandle<R>>
where
    R: Send + 'static,
    W: Future<Output = R> + Send + 'static,
{
    let tables = truths.iter().map(|truth| &truth.tables).cycle();
    (0..count).zip(tables).map(|(writer, tables)| tokio::spawn(write(writer, Arc::clone(tables)))).collect()
}

/// Checks what the contract promises of an error: its kind, its schema, and the column where the case knows it.
#[track_caller]
pub(super) fn assert_refused<T>(result: Result<T, Error>, kind: ErrorKind, schema: &BoundSchema, column: Option<&str>) -> Error {
    let Err(error) = result else { panic!("the call succeeded, although it must fail as {kind:?}") };
    assert_eq!(error.kind(), kind, "{error:?}");
    assert_eq!(error.schema(), Some(schema.name()), "{error:?}");
    if column.is_some() {
        assert_eq!(error.column(), column, "{error:?}");
    }
    error
}

/// One test of each case, in the case's name.
#[doc(hidden)]
#[macro_export]
macro_rules! suite_cases {
    ($make:path, $suite:ident::$module:ident: $($case:ident),* $(,)?) => {$(
        #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            $crate::suites::$suite::$module::$case($make().await).await;
        }
    )*};
}

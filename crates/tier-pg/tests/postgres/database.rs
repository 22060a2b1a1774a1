//! A database of its own for each test.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use store_core::Tier;
use store_testkit::suites::TruthDatabase;
use tier_pg::{PgConfig, PgTier};
use tokio_postgres::{Client, NoTls};

/// A new, empty database on the shared server, dropped with this value.
pub(crate) struct Database {
    server: String,
    name: String,
}

impl Database {
    /// Makes a database on the server that `DATABASE_URL` names.
    pub(crate) async fn create() -> Database {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let server = std::env::var("DATABASE_URL").unwrap_or_else(|_| {
            panic!("DATABASE_URL is not set: run the tests with `cargo xtask test`, or start a server with `cargo xtask up` and export what it prints")
        });
        let name = format!("strata_test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let client = connect(&server).await;
        // An earlier process of the same number may have died without cleaning up.
        client.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await.unwrap();
        client.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0")).await.unwrap();
        Database { server, name }
    }

    pub(crate) fn url(&self) -> String {
        url_of(&self.server, &self.name)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The URL for another user.
    pub(crate) fn url_as(&self, user: &str, password: &str) -> String {
        let url = self.url();
        let (scheme, rest) = url.split_once("://").unwrap();
        let host = rest.split_once('@').map_or(rest, |(_, host)| host);
        format!("{scheme}://{user}:{password}@{host}")
    }

    /// The URL with another search path.
    pub(crate) fn url_in(&self, schema: &str) -> String {
        let url = self.url();
        let separator = if url.contains('?') { '&' } else { '?' };
        format!("{url}{separator}options=-c%20search_path%3D{schema}")
    }

    /// With limits that a machine busy with other tests keeps.
    pub(crate) fn config(&self) -> PgConfig {
        let limit = Duration::from_secs(60);
        PgConfig::from_url(&self.url()).unwrap().with_connect_timeout(limit).with_acquire_timeout(limit).with_statement_timeout(limit)
    }

    pub(crate) async fn tier(&self) -> Arc<PgTier> {
        Arc::new(PgTier::connect(self.config()).await.unwrap())
    }

    /// A plain connection, for looking at what the tier did.
    pub(crate) async fn client(&self) -> Client {
        connect(&self.url()).await
    }
}

impl TruthDatabase for Database {
    async fn open(&self) -> Arc<dyn Tier> {
        self.tier().await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, statement) = (self.server.clone(), format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { connect(&server).await.batch_execute(&statement).await.unwrap() });
        });
        // A second panic would hide the first.
        if dropped.join().is_err() && !std::thread::panicking() {
            panic!("the database {} could not be dropped", self.name);
        }
    }
}

/// A plain connection.
pub(crate) async fn connect(url: &str) -> Client {
    let (client, connection) =
        tokio_postgres::connect(url, NoTls).await.unwrap_or_else(|error| panic!("no connection for the test: {error:?}"));
    tokio::spawn(connection);
    client
}

/// The URL of another database on the same server.
fn url_of(server: &str, database: &str) -> String {
    let (base, query) = server.split_once('?').map_or((server, None), |(base, query)| (base, Some(query)));
    let authority = base.find("://").map_or(0, |position| position + 3);
    let end = base[authority..].find('/').map_or(base.len(), |position| authority + position);
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}/{database}{query}", &base[..end])
}

/// Waits until a backend of the client's database waits for a lock.
pub(crate) async fn wait_for_lock(client: &Client) {
    wait_until("a backend that waits for a lock", async || {
        const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        client.query_one(WAITING, &[]).await.unwrap().get::<_, i64>(0) > 0
    })
    .await;
}

/// Waits until a condition holds.
pub(crate) async fn wait_until(what: &str, condition: impl AsyncFn() -> bool) {
    let begin = Instant::now();
    while !condition().await {
        assert!(begin.elapsed() < Duration::from_secs(60), "never saw {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

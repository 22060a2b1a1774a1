//! What the tests share.

use std::env;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use fred::clients::Client;
use fred::interfaces::ClientLike;
use fred::types::config::Config;
use fred::types::{Builder, ClusterHash, CustomCommand, Value};
use store_core::facet::{Fill, Records, Slot};
use store_core::{BoundSchema, ColumnDefinition, ColumnType, EncodedRecord, Error, ErrorKind, Policies, SchemaDefinition, Tier, Version};
use store_testkit::servers::{RedisOptions, RedisServer};
use store_testkit::suites::records::RecordsServer;
use tier_redis::{RedisConfig, RedisTier};

/// Far more than a healthy server needs, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The server that tests share.
pub(crate) fn shared_url() -> String {
    env::var("REDIS_URL").expect("REDIS_URL is not set: run the tests with `cargo xtask test`, or export what `cargo xtask up` prints")
}

/// A configuration that gives up only after [`PATIENCE`].
pub(crate) fn patient(url: &str) -> RedisConfig {
    RedisConfig::from_url(url)
        .expect("the URL is good")
        .with_dial_timeout(PATIENCE)
        .with_read_timeout(PATIENCE)
        .with_write_timeout(PATIENCE)
}

/// The limit of calls in tests of what happens when it passes.
pub(crate) const LIMIT: Duration = Duration::from_millis(300);

/// A configuration with a single connection that gives up after [`LIMIT`].
pub(crate) fn impatient(url: &str) -> RedisConfig {
    RedisConfig::from_url(url)
        .expect("the URL is good")
        .with_pool_size(1)
        .with_dial_timeout(Duration::from_secs(2))
        .with_read_timeout(LIMIT)
        .with_write_timeout(LIMIT)
}

pub(crate) fn start_server() -> RedisServer {
    start_server_with(&[])
}

pub(crate) fn start_server_with(settings: &[(&str, &str)]) -> RedisServer {
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    RedisServer::start(&RedisOptions { settings, ..RedisOptions::default() }).expect("a server starts")
}

/// A schema; the servers of these tests are their own.
pub(crate) fn schema() -> BoundSchema {
    static DEFINITION: LazyLock<SchemaDefinition> = LazyLock::new(|| {
        SchemaDefinition::new("item", vec![ColumnDefinition::new("id", ColumnType::Text)], Vec::new(), Policies::default())
    });
    BoundSchema::standalone(&DEFINITION)
}

pub(crate) fn record(version: u64) -> EncodedRecord {
    EncodedRecord {
        version: Version::new(version),
        generation: 3,
        fingerprint: 1,
        codec: 1,
        deadline: None,
        payload: Bytes::from_static(b"payload"),
    }
}

pub(crate) async fn fetch(tier: &RedisTier, key: &str, lease: Option<Duration>) -> Result<Slot, Error> {
    tier.fetch(&schema(), &[key.to_owned()], lease).await.map(|mut slots| slots.remove(0))
}

/// Fetches with a lease and fills what is empty; the record that is in the slot then.
pub(crate) async fn read_through(tier: &RedisTier, key: &str) -> Result<EncodedRecord, Error> {
    match fetch(tier, key, Some(PATIENCE)).await? {
        Slot::Record(record) => Ok(record),
        Slot::Leased(lease) => {
            let fill = Fill { key: key.to_owned(), lease, record: record(1) };
            assert_eq!(tier.fill(&schema(), &[fill]).await?, [true]);
            Ok(record(1))
        }
        slot => panic!("the slot of {key} is {slot:?}"),
    }
}

/// Repeats a call until it succeeds, letting errors of a tier that is not there pass.
pub(crate) async fn until_ok<T>(mut call: impl AsyncFnMut() -> Result<T, Error>) -> T {
    until_some(async || match call().await {
        Ok(answer) => Some(answer),
        Err(error) => {
            assert_unreachable(&error);
            None
        }
    })
    .await
}

pub(crate) async fn until_some<T>(mut call: impl AsyncFnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = call().await {
            return answer;
        }
        assert!(begin.elapsed() < PATIENCE, "it did not happen within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Checks that an error says that the tier cannot answer now, and may later.
pub(crate) fn assert_unreachable(error: &Error) {
    assert!(matches!(error.kind(), ErrorKind::L2Unavailable | ErrorKind::Timeout), "{error:?}");
    assert!(error.is_retryable(), "{error:?}");
    assert_eq!(error.tier(), Some(store_core::Role::Shared));
}

/// A client that sees the server without the tier.
pub(crate) struct RawClient(Client);

impl RawClient {
    pub(crate) async fn connect(url: &str) -> Self {
        let config = Config::from_url(url).expect("the URL is good");
        let client = Builder::from_config(config).build().expect("a client");
        client.init().await.expect("the server is there");
        RawClient(client)
    }

    /// Runs a command whose first argument is its key.
    pub(crate) async fn run(&self, name: &'static str, arguments: Vec<Value>) -> Value {
        self.0.custom(CustomCommand::new_static(name, ClusterHash::FirstValue, false), arguments).await.expect("the command succeeds")
    }
}

/// A server for the records suite, of which it uses a key space of its own.
pub(crate) struct SuiteServer {
    url: String,
    root: String,
    raw: RawClient,
    foreign: AtomicU64,
}

impl SuiteServer {
    pub(crate) async fn from_environment() -> Self {
        Self::new(&shared_url()).await
    }

    pub(crate) async fn new(url: &str) -> Self {
        let moment = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let root = format!("strata-test-{}-{moment}", std::process::id());
        SuiteServer { url: url.to_owned(), root, raw: RawClient::connect(url).await, foreign: AtomicU64::new(0) }
    }
}

impl RecordsServer for SuiteServer {
    async fn open(&self) -> Arc<dyn Tier> {
        let config = patient(&self.url).with_pool_size(2).with_key_root(&self.root);
        Arc::new(RedisTier::connect(config).await.expect("the server is there"))
    }

    async fn put_foreign_content(&self, schema: &BoundSchema, key: &str) {
        let key = Value::from(format!("{}:{}:{key}", self.root, schema.key_prefix()));
        self.raw.run("DEL", vec![key.clone()]).await;
        let text = |text: &[u8]| Value::Bytes(text.to_vec().into());
        match self.foreign.fetch_add(1, Ordering::Relaxed) % 4 {
            0 => self.raw.run("SET", vec![key, text(b"some text that is longer than the header of a record")]).await,
            1 => self.raw.run("SET", vec![key, text(b"")]).await,
            2 => self.raw.run("SET", vec![key, text(b"\xA2 shorter than a record")]).await,
            _ => self.raw.run("RPUSH", vec![key, text(b"no text at all")]).await,
        };
    }

    async fn clean_up(&self) {
        let pattern = format!("{}:*", self.root);
        let mut cursor = Value::from("0");
        loop {
            let arguments = vec![cursor, "MATCH".into(), pattern.as_str().into(), "COUNT".into(), "10000".into()];
            let Value::Array(mut page) = self.raw.run("SCAN", arguments).await else { panic!("SCAN answers an array") };
            if let Some(Value::Array(keys)) = page.pop() {
                for key in keys {
                    self.raw.run("UNLINK", vec![key]).await;
                }
            }
            cursor = page.remove(0);
            if cursor == Value::from("0") {
                break;
            }
        }
    }
}

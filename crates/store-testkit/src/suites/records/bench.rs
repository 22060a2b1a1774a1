//! One tier, one schema, and the calls of one key.

use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use store_core::facet::{Fetched, Fill, FillLease, LogCursor, Mark, PutOver, Records, Relay, Removal, Seen, Slot};
use store_core::{BoundSchema, ColumnDefinition, ColumnType, EncodedRecord, Policies, SchemaDefinition, Tier, Version};

use super::RecordsServer;

/// Longer than any case takes.
pub(super) const LONG: Duration = Duration::from_secs(60);

static DEFINITION: LazyLock<SchemaDefinition> = LazyLock::new(|| {
    let mut id = ColumnDefinition::new("id", ColumnType::Text);
    id.is_key = true;
    SchemaDefinition::new("suite", vec![id], Vec::new(), Policies::default())
});

/// A server with one tier open on it, and a schema of its own.
#[derive(Debug)]
pub struct Bench<S> {
    pub(super) server: S,
    pub(super) tier: Arc<dyn Tier>,
    pub(super) records: Arc<dyn Records>,
    pub(super) schema: Arc<BoundSchema>,
}

impl<S: RecordsServer> Bench<S> {
    pub(super) async fn new(server: S) -> Self {
        let (tier, records) = open(&server).await;
        let schema = Arc::new(schema(&unique_prefix()));
        Bench { server, tier, records, schema }
    }

    /// The facet of one more tier on the same server.
    pub(super) async fn other_tier(&self) -> Arc<dyn Records> {
        open(&self.server).await.1
    }

    /// A schema whose prefix begins with that of this bench.
    pub(super) fn schema_with_suffix(&self, suffix: &str) -> BoundSchema {
        schema(&format!("{}{suffix}", self.schema.key_prefix()))
    }

    pub(super) async fn fetch(&self, key: &str, lease: Option<Duration>) -> Slot {
        let slots = self.records.fetch(&self.schema, &[key.to_owned()], lease).await.expect("a fetch succeeds");
        only(slots)
    }

    /// Takes the lease of a slot that must be empty.
    pub(super) async fn lease(&self, key: &str) -> FillLease {
        match self.fetch(key, Some(LONG)).await {
            Slot::Leased(lease) => lease,
            slot => panic!("the slot of {key} should be empty, but is {slot:?}"),
        }
    }

    pub(super) async fn fill(&self, key: &str, lease: FillLease, record: &EncodedRecord) -> bool {
        only(self.fill_all(&[(key, lease, record)]).await)
    }

    pub(super) async fn fill_all(&self, fills: &[(&str, FillLease, &EncodedRecord)]) -> Vec<bool> {
        let fills: Vec<Fill> =
            fills.iter().map(|&(key, lease, record)| Fill { key: key.to_owned(), lease, record: record.clone() }).collect();
        self.records.fill(&self.schema, &fills).await.expect("a fill succeeds")
    }

    /// Brings a record into a slot that must be empty.
    pub(super) async fn install(&self, key: &str, record: &EncodedRecord) {
        let lease = self.lease(key).await;
        assert!(self.fill(key, lease, record).await, "the holder of the lease of {key} fills");
    }

    pub(super) async fn replace(&self, key: &str, record: &EncodedRecord) -> bool {
        let records = [(key.to_owned(), record.clone())];
        only(self.records.replace(&self.schema, &records).await.expect("a replacement succeeds"))
    }

    pub(super) async fn remove(&self, key: &str) {
        self.records.remove(&self.schema, &[key.to_owned()]).await.expect("a removal succeeds");
    }

    pub(super) async fn take_over(&self, key: &str, record: &EncodedRecord) -> Option<FillLease> {
        let records = [(key.to_owned(), record.clone())];
        only(self.records.take_over(&self.schema, &records, LONG).await.expect("taking over succeeds"))
    }

    /// One step of a relayer that has come to a place, with removals in this bench's schema.
    pub(super) async fn relay<const N: usize>(&self, removals: [(Option<&str>, Option<u64>); N], mark: Option<Mark>) {
        let removal = |(key, below): (Option<&str>, Option<u64>)| Removal {
            schema: Arc::clone(&self.schema),
            key: key.map(str::to_owned),
            below: below.map(Version::new),
        };
        let marks = mark.into_iter().map(|mark| (Arc::clone(&self.schema), mark)).collect();
        let relay = Relay { removals: removals.into_iter().map(removal).collect(), marks, ..Relay::default() };
        self.records.relay(&relay).await.expect("a step of the relayer succeeds");
    }

    /// The marks of the shards.
    pub(super) async fn marks(&self) -> Vec<Option<Mark>> {
        only(self.records.marks(&[Arc::clone(&self.schema)]).await.expect("reading marks succeeds"))
    }

    pub(super) async fn fetch_marked(&self, key: &str, lease: Option<Duration>) -> Fetched {
        only(self.records.fetch_marked(&self.schema, &[key.to_owned()], lease).await.expect("a fetch succeeds"))
    }

    pub(super) async fn put(&self, key: &str, record: &EncodedRecord) -> Version {
        let records = [(key.to_owned(), record.clone())];
        only(self.records.put(&self.schema, &records).await.expect("a put succeeds"))
    }

    pub(super) async fn put_over(&self, key: &str, seen: Seen, record: &EncodedRecord) -> Option<Version> {
        only(self.put_over_all(&[(key, seen, record.clone())]).await)
    }

    pub(super) async fn put_over_all(&self, puts: &[(&str, Seen, EncodedRecord)]) -> Vec<Option<Version>> {
        let put = |(key, seen, record): &(&str, Seen, EncodedRecord)| PutOver {
            key: (*key).to_owned(),
            seen: seen.clone(),
            record: record.clone(),
        };
        let puts: Vec<PutOver> = puts.iter().map(put).collect();
        self.records.put_over(&self.schema, &puts).await.expect("a put over what was seen succeeds")
    }

    pub(super) async fn drop_loaded(&self, keys: Option<&[&str]>) -> u64 {
        let keys: Option<Vec<String>> = keys.map(|keys| keys.iter().map(|key| (*key).to_owned()).collect());
        self.records.drop_loaded(&self.schema, keys.as_deref()).await.expect("dropping copies succeeds")
    }

    pub(super) async fn delete(&self, key: &str) -> Option<Version> {
        only(self.records.delete(&self.schema, &[key.to_owned()]).await.expect("a deletion succeeds"))
    }

    /// Checks what a slot holds, without changing it.
    pub(super) async fn assert_holds(&self, key: &str, record: &EncodedRecord) {
        assert_eq!(self.fetch(key, None).await, Slot::Record(record.clone()), "in the slot of {key}");
    }

    /// Waits until a slot is empty, so that it can be leased again.
    pub(super) async fn until_leased(&self, key: &str) -> FillLease {
        until_some(async || match self.fetch(key, Some(LONG)).await {
            Slot::Leased(lease) => Some(lease),
            _ => None,
        })
        .await
    }

    /// Checks that there is nothing in a slot, not even a lease, by taking its lease.
    pub(super) async fn assert_leasable(&self, key: &str) {
        let lease = self.lease(key).await;
        // Back to nothing.
        assert!(self.fill(key, lease, &record_until(past())).await);
    }
}

/// Repeats a question until it has an answer, for a while.
pub(super) async fn until_some<T>(mut question: impl AsyncFnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = question().await {
            return answer;
        }
        assert!(begin.elapsed() < LONG / 2, "it did not happen within {:?}", LONG / 2);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn open(server: &impl RecordsServer) -> (Arc<dyn Tier>, Arc<dyn Records>) {
    let tier = server.open().await;
    let records = Arc::clone(&tier).facets().records.expect("a shared tier has the facet `records`");
    (tier, records)
}

fn schema(prefix: &str) -> BoundSchema {
    BoundSchema::standalone(&DEFINITION).with_names("suite", prefix)
}

/// A prefix that no other case, process or run has.
fn unique_prefix() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let moment = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("suite-{}-{moment}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The only answer to a question about one key.
pub(super) fn only<T>(mut answers: Vec<T>) -> T {
    assert_eq!(answers.len(), 1, "one answer for one key");
    answers.remove(0)
}

/// A record of a version, without deadline.
pub(super) fn record(version: u64) -> EncodedRecord {
    EncodedRecord {
        version: Version::new(version),
        generation: 0x6E6E,
        fingerprint: 0x5EED,
        codec: 1,
        deadline: None,
        payload: Bytes::from(format!("payload of version {version}")),
    }
}

/// A mark of the generation that [`record`] gives.
pub(super) fn mark(position: &str) -> Mark {
    Mark { generation: record(0).generation, era: 0, position: LogCursor::new(position) }
}

/// A record of version 1 with a deadline.
pub(super) fn record_until(deadline: SystemTime) -> EncodedRecord {
    EncodedRecord { deadline: Some(deadline), ..record(1) }
}

/// A time that has passed on any clock.
pub(super) fn past() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_000_000_000)
}

/// A whole millisecond, that much later than now.
pub(super) fn soon(after: Duration) -> SystemTime {
    let moment = (SystemTime::now() + after).duration_since(UNIX_EPOCH).expect("a time after 1970");
    UNIX_EPOCH + Duration::from_millis(u64::try_from(moment.as_millis()).expect("a time before the year 500 million"))
}

//! A shared tier in memory, plain enough to be right at a glance.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use store_core::facet::{Fill, FillLease, Records, Slot};
use store_core::{BoundSchema, Clock, EncodedRecord, Facets, Result, Role, SystemClock, Tier, Version};

/// The model of a shared tier: what every implementation of [`Records`] is checked against, and an L2 for tests that want no server.
///
/// Clones share their content, as several processes share a server.
///
/// ```
/// use std::sync::Arc;
/// use store_core::Tier;
/// use store_testkit::ModelRecords;
///
/// let facets = Arc::new(ModelRecords::new()).facets();
/// assert!(facets.records.is_some());
/// ```
#[derive(Debug, Clone)]
pub struct ModelRecords {
    content: Arc<Mutex<Content>>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug, Default)]
struct Content {
    places: HashMap<(String, String), Place>,
    last_version: u64,
    last_lease: u128,
}

/// What is in a slot that is not empty.
#[derive(Debug, Clone)]
enum Place {
    /// A lease, and when it ends on the monotonic clock.
    Lease(FillLease, Duration),
    Record(EncodedRecord),
    Foreign,
}

impl Default for ModelRecords {
    fn default() -> Self {
        Self::new()
    }
}

impl ModelRecords {
    /// An empty tier on the machine's clocks.
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }

    /// An empty tier on a clock of the test's.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        ModelRecords { content: Arc::default(), clock }
    }

    /// Puts something in the place of a key that no version of Strata writes.
    pub fn put_foreign_content(&self, schema: &BoundSchema, key: &str) {
        self.live().places.insert(place(schema, key), Place::Foreign);
    }

    /// Empties all slots of all schemas, as a server does that restarts.
    pub fn lose_everything(&self) {
        self.live().places.clear();
    }

    /// The content without what has expired.
    fn live(&self) -> MutexGuard<'_, Content> {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        content.places.retain(|_, place| match place {
            Place::Lease(_, end) => self.clock.monotonic() < *end,
            Place::Record(record) => self.is_valid(record),
            Place::Foreign => true,
        });
        content
    }

    fn is_valid(&self, record: &EncodedRecord) -> bool {
        record.deadline.is_none_or(|deadline| self.clock.now() < deadline)
    }
}

impl Content {
    /// A version that no write of the place has had.
    fn draw_version(&mut self, place: &(String, String)) -> Version {
        let present = match self.places.get(place) {
            Some(Place::Record(record)) => record.version.get(),
            _ => 0,
        };
        self.last_version = self.last_version.max(present) + 1;
        Version::new(self.last_version)
    }
}

fn place(schema: &BoundSchema, key: &str) -> (String, String) {
    (schema.key_prefix().to_owned(), key.to_owned())
}

#[async_trait]
impl Records for ModelRecords {
    async fn fetch(&self, schema: &BoundSchema, keys: &[String], lease: Option<Duration>) -> Result<Vec<Slot>> {
        let mut content = self.live();
        let fetch = |key: &String| {
            let place = place(schema, key);
            match (content.places.get(&place), lease) {
                (Some(Place::Record(record)), _) => Slot::Record(record.clone()),
                (Some(Place::Lease(..)), _) => Slot::Busy,
                (Some(Place::Foreign), _) => Slot::Foreign,
                (None, None) => Slot::Empty,
                (None, Some(length)) => {
                    content.last_lease += 1;
                    let lease = FillLease::new(content.last_lease);
                    content.places.insert(place, Place::Lease(lease, self.clock.monotonic().saturating_add(length)));
                    Slot::Leased(lease)
                }
            }
        };
        Ok(keys.iter().map(fetch).collect())
    }

    async fn fill(&self, schema: &BoundSchema, fills: &[Fill]) -> Result<Vec<bool>> {
        let mut content = self.live();
        let fill = |fill: &Fill| {
            let place = place(schema, &fill.key);
            let held = matches!(content.places.get(&place), Some(Place::Lease(lease, _)) if *lease == fill.lease);
            if held && self.is_valid(&fill.record) {
                content.places.insert(place, Place::Record(fill.record.clone()));
            } else if held {
                content.places.remove(&place);
            }
            held
        };
        Ok(fills.iter().map(fill).collect())
    }

    async fn replace(&self, schema: &BoundSchema, records: &[(String, EncodedRecord)]) -> Result<Vec<bool>> {
        let mut content = self.live();
        let replace = |(key, record): &(String, EncodedRecord)| {
            let place = place(schema, key);
            match content.places.get(&place) {
                None => false,
                Some(Place::Record(present))
                    if present.version > record.version
                        || (present.version == record.version && present.fingerprint == record.fingerprint) =>
                {
                    present == record && self.is_valid(record)
                }
                Some(Place::Record(_)) if self.is_valid(record) => {
                    content.places.insert(place, Place::Record(record.clone()));
                    true
                }
                Some(_) => {
                    content.places.remove(&place);
                    false
                }
            }
        };
        Ok(records.iter().map(replace).collect())
    }

    async fn remove(&self, schema: &BoundSchema, keys: &[String]) -> Result<()> {
        let mut content = self.live();
        for key in keys {
            content.places.remove(&place(schema, key));
        }
        Ok(())
    }

    async fn clear(&self, schema: &BoundSchema) -> Result<u64> {
        let mut content = self.live();
        let before = content.places.len();
        content.places.retain(|(prefix, _), _| prefix != schema.key_prefix());
        Ok((before - content.places.len()) as u64)
    }

    async fn put(&self, schema: &BoundSchema, records: &[(String, EncodedRecord)]) -> Result<Vec<Version>> {
        let mut content = self.live();
        let put = |(key, record): &(String, EncodedRecord)| {
            let place = place(schema, key);
            let version = content.draw_version(&place);
            if self.is_valid(record) {
                content.places.insert(place, Place::Record(EncodedRecord { version, ..record.clone() }));
            } else {
                content.places.remove(&place);
            }
            version
        };
        Ok(records.iter().map(put).collect())
    }

    async fn delete(&self, schema: &BoundSchema, keys: &[String]) -> Result<Vec<Option<Version>>> {
        let mut content = self.live();
        let delete = |key: &String| {
            let place = place(schema, key);
            let version = content.draw_version(&place);
            let removed = content.places.remove(&place);
            matches!(removed, Some(Place::Record(_))).then_some(version)
        };
        Ok(keys.iter().map(delete).collect())
    }
}

#[async_trait]
impl Tier for ModelRecords {
    fn name(&self) -> &str {
        "model"
    }

    fn role(&self) -> Role {
        Role::Shared
    }

    fn facets(self: Arc<Self>) -> Facets {
        Facets { records: Some(self), ..Facets::default() }
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

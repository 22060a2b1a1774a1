//! A shared tier in memory, plain enough to be right at a glance.

mod tags;
mod wakes;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use store_core::facet::{Fetched, Fill, FillLease, Mark, PutOver, Records, Relay, Slot, SlotState, TagEras};
use store_core::{BoundSchema, Clock, EncodedRecord, Facets, Finding, Result, Role, SystemClock, Tier, Version};

use self::tags::TagList;
use self::wakes::{Channel, Listening};

/// The model of a shared tier: what every implementation of [`Records`] is checked against, and an L2 for tests that want no server.
///
/// Clones share their content and hear each other's messages, as several processes share a server. Closing one ends what it listens to.
///
/// ```
/// use std::sync::Arc;
/// use store_core::Tier;
/// use store_testkit::ModelRecords;
///
/// let facets = Arc::new(ModelRecords::new()).facets();
/// assert!(facets.records.is_some() && facets.wakes.is_some());
/// ```
#[derive(Debug, Clone)]
pub struct ModelRecords {
    content: Arc<Mutex<Content>>,
    clock: Arc<dyn Clock>,
    channel: Channel,
    listening: Listening,
}

/// What a [`ModelRecords`] held at a moment.
///
/// ```
/// use store_testkit::ModelRecords;
///
/// let primary = ModelRecords::new();
/// let replica = primary.copy();
/// // The primary goes on, and is lost.
/// primary.go_back(&replica);
/// ```
#[derive(Debug, Clone)]
pub struct ModelCopy(Content);

#[derive(Debug, Clone, Default)]
struct Content {
    places: HashMap<(String, String), Place>,
    /// By the schemas' prefixes. There is one shard.
    marks: HashMap<String, Arc<Mark>>,
    /// By the schemas' prefixes.
    tags: HashMap<String, TagList>,
    last_version: u64,
    last_lease: u128,
}

/// A slot that is not empty.
#[derive(Debug, Clone, Default)]
struct Place {
    state: SlotState,
    /// When the lease ends on the monotonic clock.
    lease_end: Duration,
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
        ModelRecords { content: Arc::default(), clock, channel: Channel::default(), listening: Listening::default() }
    }

    /// Puts something in the place of a key that no version of Strata writes.
    pub fn put_foreign_content(&self, schema: &BoundSchema, key: &str) {
        self.change(&mut self.live(), schema, key, |place| place.state = SlotState::Foreign);
    }

    /// Loses the list of invalidated tags of a schema alone, as a server does that is short of memory.
    pub fn lose_tags(&self, schema: &BoundSchema) {
        self.live().tags.remove(schema.key_prefix());
    }

    /// What it holds now.
    pub fn copy(&self) -> ModelCopy {
        ModelCopy(self.live().clone())
    }

    /// Goes back to what it held, as a server does whose replica takes over.
    pub fn go_back(&self, copy: &ModelCopy) {
        let mut content = self.live();
        let ModelCopy(Content { places, marks, tags, .. }) = copy.clone();
        *content = Content { places, marks, tags, ..*content };
    }

    /// Loses all slots and marks of all schemas, as a server does that restarts.
    pub fn lose_everything(&self) {
        let mut content = self.live();
        content.places.clear();
        content.marks.clear();
        content.tags.clear();
    }

    /// The content without what has ended.
    fn live(&self) -> MutexGuard<'_, Content> {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        content.places.retain(|_, place| self.is_live(place));
        content
    }

    fn is_live(&self, place: &Place) -> bool {
        match &place.state {
            SlotState::Empty => false,
            SlotState::Leased(_) => self.clock.monotonic() < place.lease_end,
            SlotState::Record(record) => self.is_valid(record),
            SlotState::Foreign => true,
        }
    }

    fn is_valid(&self, record: &EncodedRecord) -> bool {
        record.deadline.is_none_or(|deadline| self.clock.now() < deadline)
    }

    /// Applies a transition to one slot.
    fn change<R>(&self, content: &mut Content, schema: &BoundSchema, key: &str, transition: impl FnOnce(&mut Place) -> R) -> R {
        let name = place(schema, key);
        let mut place = content.places.remove(&name).unwrap_or_default();
        let answer = transition(&mut place);
        if self.is_live(&place) {
            content.places.insert(name, place);
        }
        answer
    }
}

impl Content {
    /// A version that no write of the place has had.
    fn draw_version(&mut self, place: &(String, String)) -> Version {
        let present = match self.places.get(place) {
            Some(Place { state: SlotState::Record(record), .. }) => record.version.get(),
            _ => 0,
        };
        self.last_version = self.last_version.max(present) + 1;
        Version::new(self.last_version)
    }

    fn draw_lease(&mut self) -> FillLease {
        self.last_lease += 1;
        FillLease::new(self.last_lease)
    }

    fn mark(&self, schema: &BoundSchema) -> Option<&Arc<Mark>> {
        self.marks.get(schema.key_prefix())
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
            let Some(length) = lease else { return self.change(&mut content, schema, key, |place| place.state.read()) };
            let lease = content.draw_lease();
            self.change(&mut content, schema, key, |place| {
                let slot = place.state.lease(lease);
                if slot == Slot::Leased(lease) {
                    place.lease_end = self.clock.monotonic().saturating_add(length);
                }
                slot
            })
        };
        Ok(keys.iter().map(fetch).collect())
    }

    async fn fetch_marked(&self, schema: &BoundSchema, keys: &[String], lease: Option<Duration>) -> Result<Vec<Fetched>> {
        let mark = self.live().mark(schema).cloned();
        let slots = self.fetch(schema, keys, lease).await?;
        Ok(slots.into_iter().map(|slot| Fetched { slot, mark: mark.clone() }).collect())
    }

    async fn take_over(
        &self,
        schema: &BoundSchema,
        records: &[(String, EncodedRecord)],
        lease: Duration,
    ) -> Result<Vec<Option<FillLease>>> {
        let mut content = self.live();
        let take_over = |(key, record): &(String, EncodedRecord)| {
            let granted = content.draw_lease();
            self.change(&mut content, schema, key, |place| {
                let taken = place.state.take_over(record, granted);
                if taken {
                    place.lease_end = self.clock.monotonic().saturating_add(lease);
                }
                taken.then_some(granted)
            })
        };
        Ok(records.iter().map(take_over).collect())
    }

    async fn fill(&self, schema: &BoundSchema, fills: &[Fill]) -> Result<Vec<bool>> {
        let mut content = self.live();
        let fill = |fill: &Fill| self.change(&mut content, schema, &fill.key, |place| place.state.fill(fill.lease, &fill.record));
        Ok(fills.iter().map(fill).collect())
    }

    async fn replace(&self, schema: &BoundSchema, records: &[(String, EncodedRecord)]) -> Result<Vec<bool>> {
        let mut content = self.live();
        let replace = |(key, record): &(String, EncodedRecord)| {
            self.change(&mut content, schema, key, |place| place.state.replace(record)) && self.is_valid(record)
        };
        Ok(records.iter().map(replace).collect())
    }

    async fn remove(&self, schema: &BoundSchema, keys: &[String]) -> Result<()> {
        let mut content = self.live();
        for key in keys {
            self.change(&mut content, schema, key, |place| place.state.remove());
        }
        Ok(())
    }

    async fn clear(&self, schema: &BoundSchema) -> Result<u64> {
        let mut content = self.live();
        let before = content.places.len();
        content.places.retain(|(prefix, _), _| prefix != schema.key_prefix());
        Ok((before - content.places.len()) as u64)
    }

    async fn marks(&self, schemas: &[Arc<BoundSchema>]) -> Result<Vec<Vec<Option<Mark>>>> {
        let content = self.live();
        let mark = |schema: &Arc<BoundSchema>| TagList::era_of_mark(content.tags.get(schema.key_prefix()), content.mark(schema)?);
        Ok(schemas.iter().map(|schema| vec![mark(schema)]).collect())
    }

    async fn relay(&self, relay: &Relay) -> Result<()> {
        let mut content = self.live();
        for removal in &relay.removals {
            match &removal.key {
                None => content.places.retain(|(prefix, _), _| prefix != removal.schema.key_prefix()),
                Some(key) => self.change(&mut content, &removal.schema, key, |place| match removal.below {
                    None => place.state.remove(),
                    Some(below) => place.state.remove_older(below),
                }),
            }
        }
        for told in &relay.tags {
            TagList::relay(&mut content.tags, told)?;
        }
        for (schema, mark) in &relay.marks {
            content.marks.insert(schema.key_prefix().to_owned(), Arc::new(mark.clone()));
        }
        Ok(())
    }

    async fn tag_eras(&self, schema: &BoundSchema, _: &str, tags: &[String]) -> Result<Option<TagEras>> {
        Ok(self.live().tags.get(schema.key_prefix()).map(|list| list.eras(tags)))
    }

    async fn invalidate_tags(&self, schema: &BoundSchema, tags: &[String]) -> Result<()> {
        TagList::invalidate(&mut self.live().tags, schema.key_prefix(), tags);
        Ok(())
    }

    async fn put(&self, schema: &BoundSchema, records: &[(String, EncodedRecord)]) -> Result<Vec<Version>> {
        let mut content = self.live();
        let put = |(key, record): &(String, EncodedRecord)| {
            let version = content.draw_version(&place(schema, key));
            let record = EncodedRecord { version, ..record.clone() };
            self.change(&mut content, schema, key, |place| place.state = SlotState::Record(record));
            version
        };
        Ok(records.iter().map(put).collect())
    }

    async fn put_over(&self, schema: &BoundSchema, puts: &[PutOver]) -> Result<Vec<Option<Version>>> {
        let mut content = self.live();
        let put = |PutOver { key, seen, record }: &PutOver| {
            let version = content.draw_version(&place(schema, key));
            let record = EncodedRecord { version, ..record.clone() };
            self.change(&mut content, schema, key, |place| place.state.put_over(seen, &record)).then_some(version)
        };
        Ok(puts.iter().map(put).collect())
    }

    async fn drop_loaded(&self, schema: &BoundSchema, keys: Option<&[String]>) -> Result<u64> {
        let mut content = self.live();
        let keys = match keys {
            Some(keys) => keys.to_vec(),
            None => content.places.keys().filter(|(prefix, _)| prefix == schema.key_prefix()).map(|(_, key)| key.clone()).collect(),
        };
        let dropped = keys.iter().filter(|key| self.change(&mut content, schema, key, |place| place.state.drop_loaded()));
        Ok(dropped.count() as u64)
    }

    async fn delete(&self, schema: &BoundSchema, keys: &[String]) -> Result<Vec<Option<Version>>> {
        let mut content = self.live();
        let delete = |key: &String| {
            let version = content.draw_version(&place(schema, key));
            let removed = self.change(&mut content, schema, key, |place| std::mem::take(&mut place.state));
            matches!(removed, SlotState::Record(_)).then_some(version)
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
        Facets { records: Some(Arc::clone(&self) as _), wakes: Some(self), ..Facets::default() }
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }

    async fn diagnose(&self) -> Vec<Finding> {
        Vec::new()
    }

    async fn close(&self) -> Result<()> {
        self.listening.end();
        Ok(())
    }
}

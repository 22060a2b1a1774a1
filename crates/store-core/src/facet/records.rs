//! The shared tier: encoded records by key, in slots.

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::mark::{Fetched, Mark, Relay};
use super::tags::TagEras;
use crate::error::Result;
use crate::record::EncodedRecord;
use crate::schema::BoundSchema;
use crate::version::Version;

/// The random right, stored in a slot, to fill it after a miss.
///
/// ```
/// use store_core::facet::FillLease;
///
/// let lease = FillLease::new(0x1f);
/// assert_eq!(format!("{lease:?}"), "FillLease(0000000000000000000000000000001f)");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FillLease(u128);

impl FillLease {
    /// Wraps random bits; the tier that grants the lease draws them.
    pub const fn new(bits: u128) -> Self {
        FillLease(bits)
    }

    /// The bits.
    pub const fn get(self) -> u128 {
        self.0
    }
}

impl Debug for FillLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FillLease({:032x})", self.0)
    }
}

/// What a fetch found in the place of one key.
///
/// ```
/// use std::time::Duration;
/// use store_core::facet::{Records, Slot};
/// # use store_core::{BoundSchema, Schema};
/// # use store_derive::Schema;
/// # use store_testkit::ModelRecords;
/// # #[derive(Schema)]
/// # struct City {
/// #     #[schema(primary_key)]
/// #     id: i64,
/// # }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> store_core::Result<()> {
/// # let redis = ModelRecords::new();
/// let schema = BoundSchema::standalone(City::definition());
/// let key = [String::from("7")];
/// let lease = Some(Duration::from_secs(10));
/// assert_eq!(redis.fetch(&schema, &key, None).await?, [Slot::Empty]);
/// assert!(matches!(redis.fetch(&schema, &key, lease).await?[..], [Slot::Leased(_)]));
/// assert_eq!(redis.fetch(&schema, &key, lease).await?, [Slot::Busy]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Slot {
    /// A record whose deadline has not passed.
    Record(EncodedRecord),
    /// Nothing was there, and the caller now holds the lease to fill it.
    Leased(FillLease),
    /// Somebody else holds the lease.
    Busy,
    /// Nothing that this version of Strata reads is there, and no lease was asked for or could be had: the caller must not fill.
    Empty,
    /// Content that no version of Strata writes: damage, or another program's. The caller must not fill.
    Foreign,
}

/// A record for a slot whose lease the caller holds.
///
/// ```
/// use std::time::Duration;
/// use store_core::facet::{Fill, Records, Slot};
/// # use store_core::{BoundSchema, EncodedRecord, Schema, Version};
/// # use store_derive::Schema;
/// # use store_testkit::ModelRecords;
/// # #[derive(Schema)]
/// # struct City {
/// #     #[schema(primary_key)]
/// #     id: i64,
/// # }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> store_core::Result<()> {
/// # let redis = ModelRecords::new();
/// # let schema = BoundSchema::standalone(City::definition());
/// # let record = EncodedRecord { version: Version::new(3), generation: 0, fingerprint: 1, codec: 1, deadline: None, payload: Vec::new().into() };
/// let key = String::from("7");
/// let slots = redis.fetch(&schema, std::slice::from_ref(&key), Some(Duration::from_secs(10))).await?;
/// if let [Slot::Leased(lease)] = slots[..] {
///     let fill = Fill { key, lease, record };
///     assert_eq!(redis.fill(&schema, &[fill.clone()]).await?, [true]);
///     assert_eq!(redis.fill(&schema, &[fill]).await?, [false], "a lease fills once");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Fill {
    /// The key's text form.
    pub key: String,
    /// The lease that [`Records::fetch`] granted.
    pub lease: FillLease,
    /// What the truth returned after the lease was granted.
    pub record: EncodedRecord,
}

/// What a slot held when a load of its key began, and must still hold for what was loaded to be stored.
///
/// ```
/// use store_core::facet::{FillLease, Seen};
///
/// let seen = Seen::Lease(FillLease::new(0x1f));
/// assert_ne!(seen, Seen::Lease(FillLease::new(0x20)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Seen {
    /// The caller's lease.
    Lease(FillLease),
    /// A record; its payload is not compared, since its version tells it from every other.
    Record(EncodedRecord),
}

/// A record for a slot that still holds what its caller saw there.
///
/// ```
/// use std::time::Duration;
/// use store_core::facet::{PutOver, Records, Seen, Slot};
/// # use store_core::{BoundSchema, EncodedRecord, Schema, Version};
/// # use store_derive::Schema;
/// # use store_testkit::ModelRecords;
/// # #[derive(Schema)]
/// # struct City {
/// #     #[schema(primary_key)]
/// #     id: i64,
/// # }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> store_core::Result<()> {
/// # let redis = ModelRecords::new();
/// # let schema = BoundSchema::standalone(City::definition());
/// # let record = EncodedRecord { version: Version::default(), generation: 1, fingerprint: 1, codec: 1, deadline: None, payload: Vec::new().into() };
/// let key = String::from("7");
/// let slots = redis.fetch(&schema, std::slice::from_ref(&key), Some(Duration::from_secs(10))).await?;
/// if let [Slot::Leased(lease)] = slots[..] {
///     let put = PutOver { key, seen: Seen::Lease(lease), record };
///     assert!(redis.put_over(&schema, &[put.clone()]).await?[0].is_some());
///     assert_eq!(redis.put_over(&schema, &[put]).await?, [None], "the lease is not there any more");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct PutOver {
    /// The key's text form.
    pub key: String,
    /// What the slot must still hold.
    pub seen: Seen,
    /// What was loaded after that was seen.
    pub record: EncodedRecord,
}

/// Encoded records by key, shared by several processes.
///
/// Implementations MUST keep these rules, which make a delayed caller harmless:
///
/// - A slot is created only by [`fetch`](Self::fetch) and [`fetch_marked`](Self::fetch_marked) (a lease), by [`fill`](Self::fill) of the holder of the lease that is in the slot, and by
///   [`put`](Self::put). [`replace`](Self::replace) never creates one.
/// - Every change to one slot is atomic. Batches are not: a failed batch may have been done in part, and repeating any call is safe.
/// - Results stand in the order of what was asked, one for each.
/// - A record past its deadline is never answered; one that is stored after its deadline leaves its slot empty.
///
/// Every call is one batched round trip (one for each node of a cluster), within the tier's time limits; errors are of kind
/// [`L2Unavailable`](crate::ErrorKind::L2Unavailable), [`Timeout`](crate::ErrorKind::Timeout) or [`AccessDenied`](crate::ErrorKind::AccessDenied). Keys are
/// given in their text form ([`Key::to_text`](crate::Key::to_text)); the tier adds the schema's prefix.
///
/// ```
/// use store_core::facet::{Records, Slot};
/// # use store_core::{BoundSchema, EncodedRecord, Schema, Version};
/// # use store_derive::Schema;
/// # use store_testkit::ModelRecords;
/// # #[derive(Schema)]
/// # struct City {
/// #     #[schema(primary_key)]
/// #     id: i64,
/// # }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> store_core::Result<()> {
/// # let redis = ModelRecords::new();
/// # let schema = BoundSchema::standalone(City::definition());
/// # let record = EncodedRecord { version: Version::new(3), generation: 0, fingerprint: 1, codec: 1, deadline: None, payload: Vec::new().into() };
/// let key = String::from("7");
/// let told = redis.replace(&schema, &[(key.clone(), record.clone())]).await?;
/// assert_eq!(told, [false], "an empty slot is filled by those who hold its lease alone");
///
/// let versions = redis.put(&schema, &[(key.clone(), record.clone())]).await?;
/// let slots = redis.fetch(&schema, &[key], None).await?;
/// assert_eq!(slots, [Slot::Record(EncodedRecord { version: versions[0], ..record })]);
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait Records: Debug + Send + Sync {
    /// Reads slots. With `lease` set, each empty slot gets a lease of that length, in the same atomic step as the read.
    ///
    /// A slot with the content of another version of Strata answers [`Slot::Empty`], one with content of none [`Slot::Foreign`]. Neither can be leased.
    async fn fetch(&self, schema: &BoundSchema, keys: &[String], lease: Option<Duration>) -> Result<Vec<Slot>>;

    /// As [`fetch`](Self::fetch), with the mark of each slot's shard, which was read first and over the same connection.
    async fn fetch_marked(&self, schema: &BoundSchema, keys: &[String], lease: Option<Duration>) -> Result<Vec<Fetched>>;

    /// Leases slots over records that are of no use to the caller, being of another generation, layout or codec. `None` where the slot does not hold exactly
    /// that record any more.
    async fn take_over(&self, schema: &BoundSchema, records: &[(String, EncodedRecord)], lease: Duration)
    -> Result<Vec<Option<FillLease>>>;

    /// Fills leased slots. `false` where the lease in the slot is not the caller's any more; nothing is changed there.
    async fn fill(&self, schema: &BoundSchema, fills: &[Fill]) -> Result<Vec<bool>>;

    /// Tells slots of newer records: one that holds an older record (or an equal version with another fingerprint) takes the new one, one that holds a
    /// lease or a record of another generation is emptied, an empty or newer one stays as it is. `true` where the slot now holds exactly the given record.
    ///
    /// An absence, which has version 0, is emptied: it may have been found after the given record was deleted. So is content that is no record of this version
    /// of Strata, as it may be an older record of another.
    async fn replace(&self, schema: &BoundSchema, records: &[(String, EncodedRecord)]) -> Result<Vec<bool>>;

    /// Empties slots, whatever they hold; leases are voided.
    async fn remove(&self, schema: &BoundSchema, keys: &[String]) -> Result<()>;

    /// Empties every slot of the schema without blocking the server, and returns how many there were.
    async fn clear(&self, schema: &BoundSchema) -> Result<u64>;

    /// The marks of schemas: for each, one for each shard, `None` where a shard has none.
    ///
    /// The era of each is that of the shard's list of tags, which may be ahead of the mark. A mark of an era above 0 without a list of its generation and
    /// of at least that era counts as none, and so does one whose list holds more than [`MOST_TAGS`](super::MOST_TAGS).
    async fn marks(&self, schemas: &[Arc<BoundSchema>]) -> Result<Vec<Vec<Option<Mark>>>>;

    /// Removes what the relayer read in the log, tells the lists of tags of what was invalidated, and then moves the marks. In each shard all of it go over the connection that the last [`marks`](Self::marks)
    /// was answered over, and the call fails where that has ended: an older copy may have taken over, with an older mark. No mark is moved in any shard
    /// before everything else is done in every one; a call that fails may have done some of it.
    ///
    /// A list takes nothing, and the call fails, where it is not of the generation, or is at that era already: another relayer was faster.
    async fn relay(&self, relay: &Relay) -> Result<()>;

    /// When tags were invalidated, as the shard of `key` knows it; `None` where it has no list for the schema.
    async fn tag_eras(&self, schema: &BoundSchema, key: &str, tags: &[String]) -> Result<Option<TagEras>>;

    /// Begins a new era in every shard, in which these tags were invalidated, for a schema whose truth this tier is: no relayer tells of it. A shard without a
    /// list makes one, of a generation that none had before; so does one whose list holds more than [`MOST_TAGS`](super::MOST_TAGS).
    ///
    /// The era is above every one that the generation had, also where the server was put back to a state of before some of them: a load that was stamped with
    /// one of those may still be under way.
    async fn invalidate_tags(&self, schema: &BoundSchema, tags: &[String]) -> Result<()>;

    /// Stores records as the tier of truth of a schema that has no other, whatever the slots hold. The tier issues each version; that in the given
    /// record is ignored. Of calls that meet in one slot, the later one has the newer version.
    async fn put(&self, schema: &BoundSchema, records: &[(String, EncodedRecord)]) -> Result<Vec<Version>>;

    /// As [`put`](Self::put), where a slot still holds what the caller saw there; `None` where it does not, and nothing is changed there. So a write, a
    /// deletion or an invalidation since then voids what was loaded. A record past its deadline empties the slot.
    async fn put_over(&self, schema: &BoundSchema, puts: &[PutOver]) -> Result<Vec<Option<Version>>>;

    /// Empties slots that hold a lease, or a record of another generation than 0, which are copies of what a loader brought, and returns how many. With
    /// `None`, all of the schema, without blocking the server. What was put with generation 0 stays, and so does content that is no record of this version
    /// of Strata.
    async fn drop_loaded(&self, schema: &BoundSchema, keys: Option<&[String]>) -> Result<u64>;

    /// Deletes records as the tier of truth of a schema that has no other. The version of the deletion, or `None` where there was no record.
    async fn delete(&self, schema: &BoundSchema, keys: &[String]) -> Result<Vec<Option<Version>>>;
}

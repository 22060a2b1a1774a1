//! One stored value with what the stack knows of it.

use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::notes::Notes;
use crate::value::Row;
use crate::version::Version;

/// A model with its version. It dereferences to the model.
///
/// ```
/// use std::sync::Arc;
/// use store_core::{Record, Version};
///
/// struct City {
///     name: String,
/// }
///
/// let record = Record::new(Arc::new(City { name: "Lima".into() }), Version::new(3));
/// assert_eq!(record.name, "Lima");
/// assert_eq!(record.version().get(), 3);
/// ```
#[derive(Debug)]
pub struct Record<T> {
    model: Arc<T>,
    version: Version,
    expires: Option<Duration>,
    notes: Option<Arc<Notes>>,
}

impl<T> Record<T> {
    /// Pairs a model with the version that the truth tier gave it.
    pub fn new(model: Arc<T>, version: Version) -> Self {
        Record { model, version, expires: None, notes: None }
    }

    /// The model.
    pub fn model(&self) -> &Arc<T> {
        &self.model
    }

    /// The model alone.
    pub fn into_model(self) -> Arc<T> {
        self.model
    }

    /// What orders this write among those of the same key.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Whether the write of it is pending, in write-behind: it has no version yet, which is then 0, and may not be stored exactly so.
    pub fn is_pending(&self) -> bool {
        self.version == Version::default()
    }

    /// The same record in memory, whose life time ends at this time of the monotonic clock, though it is kept beyond.
    pub(crate) fn expiring(mut self, expires: Option<Duration>) -> Self {
        self.expires = expires;
        self
    }

    /// The same record with what was cached beside it.
    pub(crate) fn noted(mut self, notes: Option<Arc<Notes>>) -> Self {
        self.notes = notes;
        self
    }

    /// What was cached beside it.
    pub(crate) fn notes(&self) -> Option<&Arc<Notes>> {
        self.notes.as_ref()
    }

    /// The end of its life time in memory, where it is kept beyond.
    pub(crate) fn expires(&self) -> Option<Duration> {
        self.expires
    }
}

impl<T> Clone for Record<T> {
    fn clone(&self) -> Self {
        Record { model: Arc::clone(&self.model), version: self.version, expires: self.expires, notes: self.notes.clone() }
    }
}

impl<T> Deref for Record<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.model
    }
}

/// A record as the shared tier holds it: bytes behind what the tier must know to fence it.
///
/// ```
/// use store_core::{Codec, ColumnType, EncodedRecord, PostcardCodec, Value, Version};
///
/// let record = EncodedRecord {
///     version: Version::new(3),
///     generation: 0,
///     fingerprint: 0x5f3c_90d1_77aa_0e42,
///     codec: PostcardCodec.id(),
///     deadline: None,
///     payload: PostcardCodec.encode(&[Value::from("Lima")])?.into(),
/// };
/// assert_eq!(PostcardCodec.decode(&[ColumnType::Text], &record.payload)?, [Value::from("Lima")]);
/// # Ok::<(), store_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EncodedRecord {
    /// What orders writes of the key.
    pub version: Version,
    /// The generation of the slots that the record belongs to ([`Mark`](crate::facet::Mark)). Where the shared tier is the truth: 0 for what
    /// was put, 1 for a copy of what a loader brought.
    pub generation: u64,
    /// The layout of the payload.
    pub fingerprint: u64,
    /// The codec of the payload ([`Codec::id`](crate::Codec::id)).
    pub codec: u8,
    /// When the record stops being valid in any tier, to the millisecond; `None` for never.
    pub deadline: Option<SystemTime>,
    /// The encoded columns, and what the pipeline keeps beside them.
    pub payload: Bytes,
}

/// A row as the truth tier holds it.
///
/// ```
/// use store_core::{Schema, StoredRow, Value, Version};
/// # use store_derive::Schema;
///
/// #[derive(Schema)]
/// struct City {
///     #[schema(primary_key)]
///     id: i64,
///     name: String,
/// }
///
/// let stored = StoredRow { row: vec![Value::from(7), Value::from("Lima")], version: Version::new(3) };
/// assert_eq!(City::from_row(stored.row)?.name, "Lima");
/// # Ok::<(), store_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRow {
    /// One value for each column of the schema.
    pub row: Row<'static>,
    /// What orders writes of the key.
    pub version: Version,
}

//! One stored value with what the stack knows of it.

use std::ops::Deref;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;

use crate::value::Row;
use crate::version::Version;

/// A model with its version. It dereferences to the model.
#[derive(Debug)]
pub struct Record<T> {
    model: Arc<T>,
    version: Version,
}

impl<T> Record<T> {
    /// Pairs a model with the version that the truth tier gave it.
    pub fn new(model: Arc<T>, version: Version) -> Self {
        Record { model, version }
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
}

impl<T> Clone for Record<T> {
    fn clone(&self) -> Self {
        Record { model: Arc::clone(&self.model), version: self.version }
    }
}

impl<T> Deref for Record<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.model
    }
}

/// A record as the shared tier holds it: bytes behind what the tier must know to fence it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedRecord {
    /// What orders writes of the key.
    pub version: Version,
    /// The layout of the payload.
    pub fingerprint: u64,
    /// The codec of the payload ([`Codec::id`](crate::Codec::id)).
    pub codec: u8,
    /// When the record stops being valid in any tier, to the millisecond; `None` for never.
    pub deadline: Option<SystemTime>,
    /// The encoded columns.
    pub payload: Bytes,
}

/// A row as the truth tier holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRow {
    /// One value for each column of the schema.
    pub row: Row<'static>,
    /// What orders writes of the key.
    pub version: Version,
}

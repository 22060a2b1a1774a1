//! Models with encrypted fields.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use strata::{Deferred, Schema};
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Visit {
    pub ward: String,
    pub nights: u32,
}

/// Every kind of field, encrypted.
#[derive(Debug, Clone, PartialEq, Schema)]
pub struct Patient {
    #[schema(primary_key)]
    pub id: String,
    #[schema(index)]
    pub ward: i64,
    #[schema(encrypted, unique)]
    pub email: String,
    #[schema(encrypted, index)]
    pub code: Option<i64>,
    #[schema(encrypted)]
    pub diagnosis: Option<String>,
    #[schema(encrypted, nullable)]
    pub is_private: bool,
    #[schema(encrypted)]
    pub weight: f64,
    #[schema(encrypted)]
    pub scan: Vec<u8>,
    #[schema(encrypted, index)]
    pub born_at: SystemTime,
    #[schema(encrypted)]
    pub insurance: Uuid,
    #[schema(encrypted)]
    pub visits: Vec<Visit>,
    #[schema(encrypted, omit_cache)]
    pub notes: Deferred<String>,
    #[schema(encrypted, omit_l1)]
    pub remark: Deferred<Option<String>>,
    pub marker: String,
    #[schema(auto_now)]
    pub updated_at: SystemTime,
}

/// A model whose writes are pending for a while.
#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(write_mode = "write_behind")]
pub struct Behind {
    #[schema(primary_key)]
    pub id: i64,
    #[schema(encrypted, unique)]
    pub secret: String,
    pub marker: String,
}

/// A model that the shared tier alone holds, a field of it as it is.
#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(cache_only)]
pub struct Badge {
    #[schema(primary_key)]
    pub id: i64,
    #[schema(encrypted)]
    pub secret: String,
    #[schema(encrypted, plain_in_l2)]
    pub marker: String,
    #[schema(encrypted, plain_in_l2)]
    pub bytes: Vec<u8>,
    #[schema(encrypted, plain_in_l2)]
    pub number: Option<i64>,
}

//! The record that all suites store.

use std::time::{Duration, SystemTime};

use serde::Serialize;
use strata::Schema;

/// A row of eight columns, of about 100 bytes.
#[derive(Debug, Clone, PartialEq, Schema, Serialize)]
#[schema(name = "bench_player")]
pub(crate) struct Player {
    #[schema(primary_key)]
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) region: String,
    pub(crate) level: i64,
    pub(crate) score: f64,
    pub(crate) active: bool,
    pub(crate) email: Option<String>,
    pub(crate) joined: SystemTime,
}

impl Player {
    /// The player of a key. The turn tells its versions apart.
    pub(crate) fn new(id: i64, turn: u64) -> Self {
        Player {
            id,
            name: format!("player {id:08}"),
            region: ["eu-west", "us-east", "ap-south"][id.unsigned_abs() as usize % 3].to_owned(),
            level: turn as i64,
            score: id as f64 * 0.5,
            active: id % 2 == 0,
            email: Some(format!("player.{id:08}@example.org")),
            joined: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + id.unsigned_abs()),
        }
    }
}

/// Keys in an order that no index has.
pub(crate) fn shuffled(count: usize, seed: u64) -> Vec<i64> {
    let mut keys: Vec<i64> = (1..=count as i64).collect();
    fastrand::Rng::with_seed(seed).shuffle(&mut keys);
    keys
}

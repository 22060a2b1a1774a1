//! The models that the suites store.

use store_derive::Schema;

/// A small model with a text key.
#[derive(Debug, Clone, PartialEq, Eq, Schema)]
pub struct Player {
    /// The key.
    #[schema(primary_key)]
    pub id: String,
    /// How far the player has come.
    pub level: i64,
}

/// A small model with a key of two columns.
#[derive(Debug, Clone, PartialEq, Eq, Schema)]
pub struct Score {
    /// The first column of the key.
    #[schema(primary_key)]
    pub player: String,
    /// The second column of the key.
    #[schema(primary_key)]
    pub season: i32,
    /// What was reached.
    pub points: i64,
}

//! Storage tiers stacked behind one typed API: L1 memory, L2 Redis, L3 PostgreSQL or embedded SQLite.
//!
//! Derive [`Schema`](macro@Schema) on a struct, stack the tiers you need, and call `get`, `set`, `delete`, `search`:
//!
//! ```
//! use strata::prelude::*;
//!
//! #[derive(Schema)]
//! struct Player {
//!     #[schema(primary_key)]
//!     id: String,
//!     #[schema(unique)]
//!     username: String,
//!     #[schema(index, default = 1)]
//!     level: i64,
//! }
//!
//! # #[cfg(all(feature = "mem", feature = "sqlite"))]
//! # fn main() -> strata::Result<()> {
//! # let directory = std::env::temp_dir().join(format!("strata-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&directory).unwrap();
//! # let path = directory.join("game.db");
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let store = Store::open(path).await?.schema::<Player>().build().await?;
//! let players = store.collection::<Player>()?;
//!
//! players.set(Player { id: "p1".into(), username: "andrew".into(), level: 12 }).await?;
//! let player = players.get("p1").await?.expect("just written");
//! assert_eq!(player.username, "andrew");
//!
//! let strong = players.search(Query::new().filter(Player::level().gt(10)).order_by(Player::level().desc())).await?;
//! assert_eq!(strong.len(), 1);
//! store.close().await?;
//! # std::fs::remove_dir_all(&directory).unwrap();
//! # Ok(()) }) }
//! # #[cfg(not(all(feature = "mem", feature = "sqlite")))]
//! # fn main() {}
//! ```
//!
//! | feature | brings | on by default |
//! |---|---|---|
//! | `mem` | L1: `mem::MemTier`, typed shelves in this process | yes |
//! | `sqlite` | L3: `sqlite::SqliteTier`, embedded | yes |
//! | `redis` | L2: `redis::RedisTier`, standalone, Sentinel, Cluster | no |
//! | `pg` | L3: `pg::PgTier`, PostgreSQL 14 and later | no |
//! | `json`, `messagepack` | codecs for records in L2, beside postcard | no |
//! | `encryption` | fields that every tier but memory holds encrypted | no |
//! | `jiff`, `chrono`, `time` | time types for columns, beside [`SystemTime`](std::time::SystemTime) | no |
//!
//! A model needs no other derive; types that it nests as JSON need serde's. The calls are on [`Collection`], the checks of a stack on [`StoreBuilder`].

#[cfg(feature = "mem")]
mod environment;
#[cfg(feature = "mem")]
mod setup;

#[cfg(feature = "mem")]
pub use setup::Setup;
pub use store_core::*;
pub use store_derive::{Document, Projection, Schema};

/// L1: memory of this process.
#[cfg(feature = "mem")]
pub mod mem {
    pub use tier_mem::*;
}

/// L2: Redis.
#[cfg(feature = "redis")]
pub mod redis {
    pub use tier_redis::*;
}

/// L3: PostgreSQL.
#[cfg(feature = "pg")]
pub mod pg {
    pub use tier_pg::*;
}

/// L3: embedded SQLite.
#[cfg(feature = "sqlite")]
pub mod sqlite {
    pub use tier_sqlite::*;
}

/// What most programs need.
pub mod prelude {
    #[cfg(feature = "mem")]
    pub use crate::Setup;
    pub use crate::{Collection, Deferred, Error, ErrorKind, Projection, Query, Role, Schema, Store, params};
}

/// The README's program compiles.
#[cfg(all(doctest, feature = "mem", feature = "sqlite"))]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// So do the guide's.
#[cfg(all(doctest, feature = "mem", feature = "sqlite"))]
#[doc = include_str!("../../../docs/upgrades.md")]
struct Upgrades;

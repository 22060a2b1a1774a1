//! Strata's shared tier (L2) on Redis 6 and later, or Valkey: standalone, behind Sentinel, or as a Cluster.
//!
//! - [`RedisConfig`] says what to connect to: from a URL, or setting by setting.
//! - [`RedisTier`] is the tier. Its one facet is [`Records`](store_core::facet::Records).
//!
//! A record of the schema `city` with the key `7` lies under `strata:city:7`; both parts before the key can be chosen. Every command and every script
//! touches one key, batches are pipelined (1,000 commands or 4 MiB a round trip), and life times have the precision of a millisecond.
//!
//! # What Redis must be like
//!
//! - Redis 7 or Valkey for cheap reads. Redis 6 has no command that reads or leases a slot in one step: there a script does.
//! - An eviction policy, if `maxmemory` is set. Without one a full server grants no leases and takes no records; reads go on.
//! - As a cache, Redis may lose anything at any time. As the tier of truth of a cache-only schema, it keeps what its persistence and eviction settings
//!   make it keep. It then issues versions too: microseconds of the server's clock, and always more than the version that the key has.
//! - A Redis Cluster may be resharded at any time, except that a key which moves while [`clear`](store_core::facet::Records::clear) runs can escape it.

mod backoff;
mod command;
mod config;
mod error;
mod keys;
mod layout;
mod lifetime;
mod link;
mod pool;
mod random;
mod records;
mod scan;
mod scripts;
mod tier;
mod tls;
mod url;

pub use config::RedisConfig;
pub use tier::RedisTier;
pub use tls::RedisTls;

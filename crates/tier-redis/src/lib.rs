//! Strata's shared tier (L2) on Redis 6 and later, or Valkey: standalone, behind Sentinel, or as a Cluster.
//!
//! - [`RedisConfig`] says what to connect to: from a URL, or setting by setting.
//! - [`RedisTier`] is the tier. Its facets are [`Records`](store_core::facet::Records) and [`Wakes`](store_core::facet::Wakes).
//!
//! A record of the schema `city` with the key `7` lies under `strata:city:7`; both parts before the key can be chosen. Every command and every script
//! touches one key, batches are pipelined (1,000 commands or 4 MiB a round trip), and life times have the precision of a millisecond.
//!
//! # Marks
//!
//! How far the relayer has come with the schema `city` lies under `strata:_mark:city`; in a Redis Cluster, in each master under
//! `strata:_mark:{number}:city`, with the smallest number whose hash slot the master owns. Marks do not expire. A relayer moves them over the connections
//! over which it read them, and its step fails once one of those was lost: another server may have taken over that lacks what was removed before.
//!
//! # Messages
//!
//! Instances wake each other on the channel `strata:invalidate`, or `{key root}:invalidate`, by JSON:
//!
//! ```json
//! {"schema": "city", "id": "7", "op": "set", "origin": "4bd27e9c03aa51f6", "version": 1042}
//! ```
//!
//! `op` is `set`, `delete`, `invalidate` or `invalidate_all`. `id` is the key's text form, in which `%`, `:` and control characters of texts are written as
//! `%XX`; without it the whole schema is meant. Other programs send the first three fields alone. What is no such message is ignored.
//!
//! # What Redis must be like
//!
//! - Redis 7 or Valkey for cheap reads. Redis 6 has no command that reads or leases a slot in one step: there a script does.
//! - An eviction policy, if `maxmemory` is set. Without one a full server grants no leases, takes no records and moves no marks, so that what it holds is
//!   soon passed by. The policies `allkeys-random` and `volatile-…` do their work, too, but the former evicts marks, after which all slots start over.
//! - As a cache, Redis may lose anything at any time. As the tier of truth of a cache-only schema, it keeps what its persistence and eviction settings
//!   make it keep. It then issues versions too: microseconds of the server's clock, and always more than the version that the key has.
//! - A Redis Cluster may be resharded at any time, except that a key which moves while [`clear`](store_core::facet::Records::clear) or the removal of a
//!   whole schema runs can escape it, and one that moves away from a master which has just lost acknowledged writes in a fail-over brings along what it
//!   had before.

mod backoff;
mod batch;
mod command;
mod config;
mod diagnosis;
mod error;
mod keys;
mod layout;
mod lifetime;
mod link;
mod marks;
mod message;
mod pool;
mod random;
mod records;
mod relay;
mod scan;
mod scripts;
mod shards;
mod tags;
mod tier;
mod tls;
mod url;
mod wakes;

pub use config::RedisConfig;
pub use tier::RedisTier;
pub use tls::RedisTls;

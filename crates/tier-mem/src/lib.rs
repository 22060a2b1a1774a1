//! Strata's memory tier: typed shelves in this process, as the nearest tier (L1) of a store.
//!
//! A shelf holds `Arc<T>` under the model's own key type, so that a hit is a synchronous look-up which decodes and allocates nothing.
//!
//! | shelf | kept | lock |
//! |---|---|---|
//! | without limits (the default) | until its deadline | one of 256, for reading, on a hit |
//! | with `max_entries`, `max_weight` or both | until its deadline, or until it is the exact victim of LRU, LFU or FIFO over the whole shelf | one |
//!
//! - Both limits count at once, over the whole shelf. When room is needed, expired entries leave first.
//! - LFU counts every use for as long as the key stays, replacement included; counts do not age.
//! - FIFO goes by the time of the last install of a key.
//! - An install past its deadline, or one whose weigher panics, keeps nothing, and the key's present entry leaves.

#![doc(test(attr(deny(warnings))))]

#[cfg(all(test, shuttle))]
mod interleavings;
mod limited;
mod notice;
mod order;
mod sweep;
mod sync;
mod table;
mod tier;
mod unlimited;

pub use tier::MemTier;

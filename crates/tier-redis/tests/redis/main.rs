//! The tier on real servers.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod access;
mod cluster;
mod diagnosis;
mod faults;
mod lifecycle;
mod memory;
mod old_server;
mod relaying;
mod sentinel;
mod slots;
mod standalone;
mod support;
mod wakes;

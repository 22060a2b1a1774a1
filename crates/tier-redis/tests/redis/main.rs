//! The tier on real servers.

mod access;
mod cluster;
mod faults;
mod lifecycle;
mod memory;
mod old_server;
mod sentinel;
mod standalone;
mod support;

//! The log on a disk that fails, forgets and crashes wherever a test says so.

mod crashes;
mod damage;
mod faults;
mod simulated;
mod workload;

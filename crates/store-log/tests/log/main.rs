//! The log on real files: one process and several.

#[cfg(target_os = "linux")]
mod full_disk;
mod processes;
mod reading;
mod use_of_the_disk;

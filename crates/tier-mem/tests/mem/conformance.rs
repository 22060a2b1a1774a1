//! The suite that every memory tier passes.

use tier_mem::MemTier;

store_testkit::near_suite!(MemTier::new());

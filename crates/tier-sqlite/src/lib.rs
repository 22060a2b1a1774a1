//! Strata's embedded SQLite tier

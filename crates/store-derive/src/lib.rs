//! The Schema derive macro of Strata

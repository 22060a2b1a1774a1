//! Strata's PostgreSQL tier

//! Strata's Redis tier

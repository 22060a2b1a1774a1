//! Conformance suites, fault injection and a manual clock for Strata tiers

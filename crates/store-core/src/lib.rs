//! Tiers and their facets, the pipeline, and the typed store

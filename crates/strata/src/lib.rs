//! Storage tiers stacked behind one typed API

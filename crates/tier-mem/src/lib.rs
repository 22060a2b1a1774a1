//! Strata's memory tier: typed shelves

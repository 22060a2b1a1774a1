//! The chores of Strata's workspace: test, up, down, tidy
fn main() {}

//! What the macros refuse, and how they say it: each case is a file of `tests/ui` with the compiler's messages beside it.
//!
//! After a change of a message, run with `TRYBUILD=overwrite` and read the difference.

#[test]
fn ui() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass/*.rs");
    cases.compile_fail("tests/ui/*.rs");
}

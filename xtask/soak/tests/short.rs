//! The soak in short: ten seconds under faults break no promise. `cargo xtask prove soak` takes longer.

use std::process::Command;

#[test]
fn ten_seconds_break_no_promise() {
    let output = Command::new(env!("CARGO_BIN_EXE_soak")).args(["--seconds", "10"]).output().unwrap();
    let (figures, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // It fails as well where hardly anything was tried.
    assert!(output.status.success() && figures.contains("violations      0"), "{figures}\n{told}");
}

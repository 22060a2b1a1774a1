//! The kills in short: ten writers die, and nothing that they acknowledged is lost. `cargo xtask prove kill` takes longer.

use std::process::Command;

#[test]
fn ten_kills_lose_nothing_acknowledged() {
    let output = Command::new(env!("CARGO_BIN_EXE_kill")).args(["--runs", "10"]).output().unwrap();
    let (figures, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(
        output.status.success() && figures.contains("kills           10") && figures.contains("violations      0"),
        "{figures}\n{told}"
    );
}

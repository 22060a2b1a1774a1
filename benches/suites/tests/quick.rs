//! Every suite runs to its end on real servers, and its rows are such that programs can read them. How fast it was does not matter here.

use std::fs;
use std::process::Command;

#[test]
fn each_suite_gives_its_rows() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("rows.json");
    // Journals lie in the directory of the build.
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let mut command = Command::new(env!("CARGO_BIN_EXE_suites"));
    let output = command.args(["--quick", "l3", "write", "--json"]).arg(&file).current_dir(root).output().unwrap();
    let (table, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}");
    assert!(table.contains("COPY and merge") && table.contains("append and fdatasync"), "{table}");

    let rows: Vec<serde_json::Value> = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    for suite in ["l3", "write"] {
        assert!(rows.iter().filter(|row| row["suite"] == suite).count() >= 7, "{rows:?}");
    }
    for row in rows {
        let [value, baseline, ratio] = ["value", "baseline_value", "ratio"].map(|field| row[field].as_f64().unwrap());
        let expected = if row["unit"] == "ns" { value / baseline } else { baseline / value };
        assert!(value > 0.0 && (ratio / expected - 1.0).abs() < 1e-9, "{row}");
        assert!(row["threads"].as_u64().unwrap() > 0 && row["case"].is_string() && row["baseline"].is_string(), "{row}");
    }
}

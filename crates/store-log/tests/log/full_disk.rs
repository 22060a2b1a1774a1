//! A file system that takes no more, without one: a limit on the size of files, in a child process.

use std::env;
use std::fs;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use store_log::{Log, LogConfig, LogErrorKind};
use tempfile::TempDir;

const DIRECTORY: &str = "STRATA_TEST_FULL_DIRECTORY";

/// Not a test of its own: what the child of the test below runs.
#[test]
fn child() {
    let Some(directory) = env::var_os(DIRECTORY) else { return };
    let before = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: Some(100_000), maximum: before.maximum }).unwrap();
    let log = Log::open(directory, LogConfig::default()).unwrap();
    let mut next = 1;
    let error = loop {
        match log.append([7; 1000]).wait() {
            Ok(sequence) => next = sequence + 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), LogErrorKind::DiskFull, "{error}");
    assert_eq!(next, 98, "as many as fit have been appended");
    assert_eq!(log.entries(1).map(Result::unwrap).count(), 97);
    // What fits is still appended.
    assert_eq!(log.append([7; 100]).wait().unwrap(), 98);
    assert!(log.append([7; 1000]).wait().unwrap_err().is_full());

    setrlimit(Resource::Fsize, before).unwrap();
    assert_eq!(log.append([7; 1000]).wait().unwrap(), 99);
    log.close().unwrap();
    println!("the child is through");
}

#[test]
fn a_disk_without_room_refuses_until_it_has_some() {
    let directory = TempDir::new().unwrap();
    // A program that passes the limit is killed, unless it was started with that signal ignored.
    let output = Command::new("sh")
        .args(["-c", r#"trap "" XFSZ; exec "$0" "$@""#])
        .arg(env::current_exe().unwrap())
        .args(["--exact", "full_disk::child", "--nocapture"])
        .env(DIRECTORY, directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("the child is through"), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "one segment and the lock");
    let log = Log::open(directory.path(), LogConfig::default()).unwrap();
    assert_eq!(log.recovery().cut, None);
    assert_eq!(log.entries(1).map(Result::unwrap).count(), 99);
}

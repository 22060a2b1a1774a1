use std::cell::Cell;
use std::ffi::OsStr;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::report;

/// The package manager of Debian and its descendants, and the right to use it.
#[derive(Debug)]
pub(super) struct Apt {
    access: Access,
    is_updated: Cell<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Root,
    /// `sudo` asks for no password.
    Sudo,
    Refused,
}

impl Apt {
    /// Finds it, if this system has it.
    pub(super) fn find() -> Option<Self> {
        succeeds("apt-get", &["--version"]).then(|| Self { access: access(), is_updated: Cell::new(false) })
    }

    /// Whether installing is possible without asking for a password.
    pub(super) fn is_allowed(&self) -> bool {
        self.access != Access::Refused
    }

    /// What a person types to install packages.
    pub(super) fn line(&self, packages: &[&str]) -> String {
        format!("sudo apt-get install {}", packages.join(" "))
    }

    /// Installs packages.
    pub(super) fn install(&self, packages: &[&str]) -> Result<()> {
        if !self.is_updated.replace(true) {
            self.run("update the list of packages", "apt-get", &["update".as_ref()])?;
        }
        let install = ["install", "--yes", "--no-install-recommends"];
        let arguments: Vec<&OsStr> = install.iter().chain(packages).map(OsStr::new).collect();
        self.run(&format!("install {}", packages.join(" ")), "apt-get", &arguments)
    }

    /// Runs a program as root.
    pub(super) fn run(&self, purpose: &str, program: &str, arguments: &[&OsStr]) -> Result<()> {
        let mut command = match self.access {
            Access::Root => Command::new("env"),
            _ => {
                let mut sudo = Command::new("sudo");
                sudo.args(["--non-interactive", "env"]);
                sudo
            }
        };
        command.arg("DEBIAN_FRONTEND=noninteractive").arg(program).args(arguments).stdin(Stdio::null());
        report::note(&format!("about to {purpose}"));
        let begin = Instant::now();
        let spinner = report::spinner(purpose);
        let output = command.output();
        spinner.finish_and_clear();
        let output = output.with_context(|| format!("cannot run {program} to {purpose}"))?;
        ensure!(
            output.status.success(),
            "cannot {purpose}: {program} ended with {}\n{}\n{}",
            output.status,
            last_lines(&output.stdout),
            last_lines(&output.stderr)
        );
        report::note(&format!("done in {}", report::seconds(begin.elapsed())));
        Ok(())
    }
}

fn last_lines(output: &[u8]) -> String {
    let output = String::from_utf8_lossy(output);
    let skipped = output.lines().count().saturating_sub(20);
    output.lines().skip(skipped).collect::<Vec<_>>().join("\n")
}

fn access() -> Access {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    if is_root {
        Access::Root
    } else if succeeds("sudo", &["--non-interactive", "true"]) {
        Access::Sudo
    } else {
        Access::Refused
    }
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).stdin(Stdio::null()).output().is_ok_and(|output| output.status.success())
}

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use store_testkit::servers::free_port;

use crate::{cargo, report};

/// Waits for the end of its input, which comes with the end of this program at the latest.
const GUARD: &str = r#"trap '' INT TERM HUP; cat >/dev/null; exec docker compose --file "$1" --project-name "$2" down --volumes"#;

/// A service that docker runs, until this is dropped or this program dies.
#[derive(Debug)]
pub(crate) struct Compose {
    project: String,
    guard: Option<Child>,
}

impl Compose {
    /// Sees that docker can stand in for something that is not installed.
    ///
    /// `commands` is how to install it by hand, where that is known.
    pub(super) fn instead_of(missing: &str, commands: Option<Vec<String>>) -> Result<()> {
        if works(&["info"]) && works(&["compose", "version"]) {
            report::note(&format!("{missing} is not installed: using docker"));
            report::note("tests that break a server of their own need it installed and will fail");
            return Ok(());
        }
        match commands {
            Some(commands) => bail!("{missing} is not installed, and installing needs root; run:\n  {}", commands.join("\n  ")),
            None => bail!(
                "{missing} is not installed, and neither apt-get nor a docker engine is there to \
                 provide it; install it, or name a running one by DATABASE_URL and REDIS_URL"
            ),
        }
    }

    /// Starts one service of docker/compose.yml on a free port, and waits until it is healthy.
    pub(super) fn start(service: &str) -> Result<(u16, Self)> {
        let project = format!("strata-{service}-{}", std::process::id());
        let port = free_port()?;
        let guard = Command::new("sh")
            .args(["-c", GUARD, "guard"])
            .arg(file())
            .arg(&project)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A Ctrl-C on the terminal reaches the whole process group; the guard must outlive it.
            .process_group(0)
            .spawn()
            .context("cannot run `sh` to watch over docker's services")?;
        let spinner = report::spinner(&format!("docker starts {service}"));
        let output = compose(&project)
            .args(["up", "--detach", "--wait", service])
            .env("STRATA_POSTGRES_PORT", port.to_string())
            .env("STRATA_REDIS_PORT", port.to_string())
            .output();
        spinner.finish_and_clear();
        let this = Self { project, guard: Some(guard) };
        let output = output.context("cannot run docker compose")?;
        ensure!(output.status.success(), "docker compose cannot start {service}: {}", String::from_utf8_lossy(&output.stderr).trim());
        report::note(&format!("{service}: from docker, on port {port}"));
        Ok((port, this))
    }

    /// Lets the service outlive this program; returns the name to end it by.
    pub(crate) fn detach(mut self) -> String {
        if let Some(mut guard) = self.guard.take() {
            let _ = guard.kill();
            let _ = guard.wait();
        }
        std::mem::take(&mut self.project)
    }

    /// Ends a detached service.
    pub(crate) fn end_detached(project: &str) -> Result<()> {
        let output = compose(project).args(["down", "--volumes"]).output().context("cannot run docker compose")?;
        ensure!(output.status.success(), "docker compose cannot end {project}: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(())
    }
}

impl Drop for Compose {
    fn drop(&mut self) {
        if let Some(mut guard) = self.guard.take() {
            // Closing the guard's input sets it to work; waiting for a child does so first.
            let _ = guard.wait();
        }
    }
}

fn compose(project: &str) -> Command {
    let mut command = Command::new("docker");
    command.args(["compose", "--file"]);
    command.arg(file()).args(["--project-name", project]);
    command
}

fn file() -> std::path::PathBuf {
    cargo::root().join("docker/compose.yml")
}

fn works(arguments: &[&str]) -> bool {
    Command::new("docker").args(arguments).stdin(Stdio::null()).output().is_ok_and(|output| output.status.success())
}

//! What the command line says.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};

const USAGE: &str = "usage: quickstart [--servers] [--path FILE] [--seconds N]

  --servers    memory + Redis + PostgreSQL, found by REDIS_URL and DATABASE_URL, in place of memory + SQLite
  --path FILE  where SQLite keeps the cities (default: target/quickstart/cities.db)
  --seconds N  go on reading and writing for N seconds, to pull a plug meanwhile";

pub(crate) struct Arguments {
    pub(crate) servers: bool,
    pub(crate) path: PathBuf,
    pub(crate) seconds: Option<Duration>,
}

pub(crate) fn parse() -> anyhow::Result<Arguments> {
    let mut parsed = Arguments { servers: false, path: PathBuf::from("target/quickstart/cities.db"), seconds: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} needs a value\n\n{USAGE}"));
        match argument.as_str() {
            "--servers" => parsed.servers = true,
            "--path" => parsed.path = value()?.into(),
            "--seconds" => {
                let seconds = value()?;
                let seconds = seconds.parse().with_context(|| format!("--seconds takes a whole number, not `{seconds}`\n\n{USAGE}"))?;
                parsed.seconds = Some(Duration::from_secs(seconds));
            }
            "--help" | "-h" => {
                println!("{USAGE}");
                std::process::exit(0);
            }
            other => bail!("unknown argument `{other}`\n\n{USAGE}"),
        }
    }
    Ok(parsed)
}

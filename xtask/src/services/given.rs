use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use store_testkit::servers::PostgresPrograms;

use super::postgres::{REQUIRED_EXTENSIONS, is_recent_enough};
use crate::report;

const LIMIT: Duration = Duration::from_secs(5);

/// Checks that PostgreSQL answers at `url` and offers what the tests need.
pub(crate) fn postgres_answers(url: &str) -> Result<()> {
    let address = address(url, 5432).context("is no URL of the form postgres://user:password@host:port/database")?;
    connect(&address)?;
    let Some(psql) = find_psql() else {
        report::note("psql not found: leaving it to the tests to see whether the extensions exist");
        return Ok(());
    };
    let output = Command::new(psql)
        .args(["--no-psqlrc", "--no-align", "--tuples-only", "--quiet"])
        .args(["--no-password", "--field-separator= ", "--command"])
        .arg("SELECT name, default_version FROM pg_available_extensions")
        .arg("--dbname")
        .arg(url)
        .env("PGCONNECT_TIMEOUT", LIMIT.as_secs().to_string())
        .output()
        .context("cannot run psql")?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        // psql repeats a URL that it cannot read, with the password.
        bail!("does not answer: {}", message.replace(url, "the URL").trim());
    }
    let offered = String::from_utf8_lossy(&output.stdout);
    let missing = missing_extensions(&offered);
    ensure!(missing.is_empty(), "does not offer {}: install it on that server", missing.join(" and "));
    Ok(())
}

/// Reads lines of extension and version; names what the tests need and these lack.
fn missing_extensions(offered: &str) -> Vec<String> {
    REQUIRED_EXTENSIONS
        .iter()
        .filter(|required| {
            !offered
                .lines()
                .filter_map(|line| line.split_once(' '))
                .any(|(name, version)| name == required.name && is_recent_enough(version, required.version))
        })
        .map(|required| {
            let (major, minor) = required.version;
            format!("the extension {} {major}.{minor} or later", required.name)
        })
        .collect()
}

fn find_psql() -> Option<PathBuf> {
    let installed = PostgresPrograms::find_all().unwrap_or_default().into_iter().map(|programs| programs.directory.join("psql"));
    installed.chain([PathBuf::from("psql")]).find(|psql| {
        let version = Command::new(psql).arg("--version").output();
        version.is_ok_and(|output| output.status.success())
    })
}

/// Checks that Redis answers at `url`; one that speaks TLS or has several nodes need only listen.
pub(crate) fn redis_answers(url: &str) -> Result<()> {
    let address = address(url, 6379).context("is no URL of the form redis://user:password@host:port")?;
    let mut connection = connect(&address)?;
    if !url.starts_with("redis://") {
        return Ok(());
    }
    let login = credentials(url).map(|(user, password)| match user.is_empty() {
        true => vec!["AUTH".to_owned(), password],
        false => vec!["AUTH".to_owned(), user, password],
    });
    for (command, expected) in login.map(|command| (command, "+OK")).into_iter().chain([(vec!["PING".to_owned()], "+PONG")]) {
        let answer = ask(&mut connection, &command).map_err(|error| anyhow!("does not answer at {address}: {error}"))?;
        ensure!(answer.starts_with(expected), "refuses {}: {}", command[0], answer.trim_start_matches('-'));
    }
    Ok(())
}

/// Sends a Redis command and reads the first line of the answer.
fn ask(connection: &mut TcpStream, command: &[String]) -> std::io::Result<String> {
    let mut request = format!("*{}\r\n", command.len());
    for word in command {
        request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    connection.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut byte = [0];
    while answer.last() != Some(&b'\n') && connection.read(&mut byte)? == 1 {
        answer.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&answer).trim().to_owned())
}

fn connect(address: &str) -> Result<TcpStream> {
    let resolved = address.to_socket_addrs().map_err(|error| anyhow!("names an unknown host {address}: {error}"))?;
    let mut last = None;
    for candidate in resolved {
        match TcpStream::connect_timeout(&candidate, LIMIT) {
            Ok(connection) => {
                connection.set_read_timeout(Some(LIMIT))?;
                connection.set_write_timeout(Some(LIMIT))?;
                return Ok(connection);
            }
            Err(error) => last = Some(error),
        }
    }
    match last {
        Some(error) => bail!("does not answer at {address}: {error}"),
        None => bail!("names a host without an address: {address}"),
    }
}

/// The host and port that a URL names, the first of several.
fn address(url: &str, default_port: u16) -> Option<String> {
    let host = authority(url)?.rsplit('@').next()?.split(',').next()?;
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    // The colons inside [::1] separate no port.
    let has_port = host.rsplit(']').next()?.contains(':');
    Some(match has_port {
        true => host.to_owned(),
        false => format!("{host}:{default_port}"),
    })
}

fn credentials(url: &str) -> Option<(String, String)> {
    let (login, _) = authority(url)?.rsplit_once('@')?;
    let (user, password) = login.split_once(':').unwrap_or(("", login));
    Some((percent_decode(user), percent_decode(password)))
}

fn authority(url: &str) -> Option<&str> {
    url.split_once("://")?.1.split(['/', '?']).next()
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped =
            tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok()).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (first, escaped) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_from_urls() {
        let of = |url| address(url, 1).unwrap();
        assert_eq!(of("postgres://u:p%40@db:5433/x?sslmode=require"), "db:5433");
        assert_eq!(of("redis://db"), "db:1");
        assert_eq!(of("redis://[::1]/0"), "[::1]:1");
        assert_eq!(of("redis-cluster://a:7000,b:7001"), "a:7000");
        assert_eq!(of("postgres:///postgres"), "127.0.0.1:1");
        assert_eq!(address("db:5432", 1), None);
    }

    #[test]
    fn credentials_are_decoded() {
        let of = |url| credentials(url).unwrap();
        assert_eq!(of("redis://:p%40ss@db"), (String::new(), "p@ss".to_owned()));
        assert_eq!(of("redis://me:x%@db"), ("me".to_owned(), "x%".to_owned()));
        assert_eq!(credentials("redis://db:6379"), None);
    }

    #[test]
    fn an_old_or_absent_extension_is_missing() {
        assert!(missing_extensions("plpgsql 1.0\nvector 0.8.0\npg_trgm 1.6\n").is_empty());
        let missing = missing_extensions("vector 0.7.4\npg_trgm 1.6\n");
        assert_eq!(missing, ["the extension vector 0.8 or later"]);
        assert_eq!(missing_extensions("").len(), 2);
    }

    #[test]
    fn a_silent_address_is_an_error_without_the_password() {
        let url = "redis://:secret@127.0.0.1:1";
        for error in [redis_answers(url).unwrap_err(), postgres_answers(url).unwrap_err()] {
            let error = format!("{error:#}");
            assert!(error.contains("127.0.0.1:1"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}

//! Reading URLs.

use std::path::PathBuf;

use store_core::Result;
use tokio_postgres::config::Host;

use crate::config::{Endpoint, RootCertificates, SslMode, invalid};

const DEFAULT_APPLICATION_NAME: &str = "strata";

/// What the driver understands beyond the parts of the URL itself.
const DRIVER_OPTIONS: [&str; 18] = [
    "user",
    "password",
    "dbname",
    "host",
    "port",
    "hostaddr",
    "options",
    "application_name",
    "sslnegotiation",
    "channel_binding",
    "target_session_attrs",
    "load_balance_hosts",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
];

/// No message may quote a part of the URL that could belong to a password with a stray `@`, `?` or `&` in it.
pub(crate) fn parse(url: &str) -> Result<Endpoint> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(invalid("a PostgreSQL URL begins with `postgres://`, as in postgres://user:password@host:5432/database"));
    }
    let behind_credentials = url.find('@').map_or(0, |position| position + 1);
    let (base, query) = match url[behind_credentials..].split_once('?') {
        Some((_, query)) => (&url[..url.len() - query.len() - 1], query),
        None => (url, ""),
    };

    let mut ssl_mode = SslMode::default();
    let mut roots = RootCertificates::default();
    let mut passed_on = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) =
            pair.split_once('=').ok_or_else(|| invalid("an option of the PostgreSQL URL has no value; write `option=value`"))?;
        match name {
            "sslmode" => ssl_mode = mode(&decode(value)?)?,
            "sslrootcert" => {
                roots = match decode(value)?.as_str() {
                    "system" => RootCertificates::System,
                    file => RootCertificates::File(PathBuf::from(file)),
                }
            }
            "sslcert" | "sslkey" | "sslpassword" | "sslcrl" | "sslcrldir" | "sslcompression" | "sslsni" | "requiressl" => {
                return Err(invalid(format!("the option `{name}` is not supported; remove it from the PostgreSQL URL")));
            }
            "service" | "servicefile" | "passfile" | "gssencmode" | "krbsrvname" | "requirepeer" | "fallback_application_name" => {
                return Err(invalid(format!("the option `{name}` is not supported; remove it from the PostgreSQL URL")));
            }
            name if DRIVER_OPTIONS.contains(&name) => passed_on.push(pair),
            _ => {
                return Err(invalid(
                    "the PostgreSQL URL holds an unknown option behind its `?`; mind that `@`, `?` and `&` in a password are written as %40, %3F and %26",
                ));
            }
        }
    }

    let plain = if passed_on.is_empty() { base.to_owned() } else { format!("{base}?{}", passed_on.join("&")) };
    let mut driver: tokio_postgres::Config = plain.parse().map_err(|error| unreadable(&error))?;
    let has_stray_at = |host: &Host| matches!(host, Host::Tcp(name) if name.contains('@'));
    if driver.get_hosts().iter().any(has_stray_at) {
        return Err(invalid("the PostgreSQL URL holds two `@`; write the one in the user or password as %40"));
    }
    if driver.get_hosts().is_empty() && driver.get_hostaddrs().is_empty() {
        return Err(invalid("the PostgreSQL URL names no host; write postgres://user:password@host:5432/database"));
    }
    let addresses = driver.get_hosts().len().max(driver.get_hostaddrs().len());
    if driver.get_ports().len() > 1 && driver.get_ports().len() != addresses {
        return Err(invalid("the PostgreSQL URL names another number of ports than of hosts"));
    }
    if driver.get_application_name().is_none() {
        driver.application_name(DEFAULT_APPLICATION_NAME);
    }
    Ok(Endpoint { driver, ssl_mode, roots })
}

fn mode(value: &str) -> Result<SslMode> {
    Ok(match value {
        "disable" => SslMode::Disable,
        "allow" => SslMode::Allow,
        "prefer" => SslMode::Prefer,
        "require" => SslMode::Require,
        "verify-ca" => SslMode::VerifyCa,
        "verify-full" => SslMode::VerifyFull,
        _ => {
            return Err(invalid(
                "the PostgreSQL URL has an unknown `sslmode`; it is one of disable, allow, prefer, require, verify-ca and verify-full",
            ));
        }
    })
}

/// The driver's message quotes what it could not read; only the name of a known option is passed on.
fn unreadable(error: &tokio_postgres::Error) -> store_core::Error {
    let reason = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    match DRIVER_OPTIONS.iter().find(|option| reason.contains(&format!("`{option}`"))) {
        Some(option) => invalid(format!("the PostgreSQL URL has an invalid value for `{option}`")),
        None => invalid("the PostgreSQL URL cannot be read; write postgres://user:password@host:5432/database"),
    }
}

fn decode(text: &str) -> Result<String> {
    let malformed = || invalid("an option of the PostgreSQL URL holds a `%` without two hexadecimal digits, or is no UTF-8");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        match (first, tail) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16).ok_or_else(malformed);
                bytes.push((digit(high)? * 16 + digit(low)?) as u8);
                rest = after;
            }
            (b'%', _) => return Err(malformed()),
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use store_core::ErrorKind;

    use super::*;

    #[test]
    fn every_part_of_a_url_is_read() {
        let endpoint = parse(
            "postgresql://us%40er:p%3A%40ss@one:1,[::1]:2/shop?sslmode=verify-ca&sslrootcert=%2Fetc%2Fmy%20ca.pem&options=-c%20search_path%3Dshop&target_session_attrs=read-write",
        )
        .unwrap();
        assert_eq!(endpoint.driver.get_user(), Some("us@er"));
        assert_eq!(endpoint.driver.get_password(), Some(&b"p:@ss"[..]));
        assert_eq!(endpoint.driver.get_dbname(), Some("shop"));
        assert_eq!(endpoint.driver.get_options(), Some("-c search_path=shop"));
        assert_eq!(endpoint.driver.get_application_name(), Some("strata"));
        assert_eq!(endpoint.addresses(), "one:1, [::1]:2");
        assert_eq!(endpoint.ssl_mode, SslMode::VerifyCa);
        assert_eq!(endpoint.roots, RootCertificates::File("/etc/my ca.pem".into()));
        assert_eq!(parse("postgres://localhost?sslrootcert=system").unwrap().roots, RootCertificates::System);
        assert_eq!(parse("postgres:///x?host=/run/postgresql&application_name=a").unwrap().addresses(), "/run/postgresql:5432");
    }

    #[test]
    fn a_url_that_cannot_be_read_is_refused_without_its_password() {
        for (url, part) in [
            ("mysql://u:secret@host/x", "begins with"),
            ("host=localhost password=secret x", "begins with"),
            ("", "begins with"),
            ("postgres://u:secret@/x", "no host"),
            ("postgres://u:secret@host:port/x", "`port`"),
            ("postgres://u:secret@host/x?sslmode=secret", "sslmode"),
            ("postgres://u:secret@host/x?sslmode", "no value"),
            ("postgres://u:secret@host/x?sslrootcert=%zz", "hexadecimal"),
            ("postgres://u:secret@host/x?sslcert=/c.pem", "`sslcert`"),
            ("postgres://u:p@secret@host/x", "%40"),
            ("postgres://u:p@sec?secret=1@host/x", "%3F"),
            ("postgres://host/x?secret=secret", "unknown option"),
            ("postgres://u:secret@host/x?keepalives=secret", "`keepalives`"),
            ("postgres://u:secret@a,b,c/x?hostaddr=secret", "`hostaddr`"),
            ("postgres://u:secret@a:1/x?port=1,2,3", "ports"),
        ] {
            let error = parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{url}");
            let shown = format!("{error} {error:?}");
            assert!(shown.contains(part), "{shown} should name {part}");
            assert!(!shown.contains("secret"), "{shown}");
        }
    }
}

//! The one mapping of the driver's errors.

use std::time::Duration;

use fred::error::{Error as RedisError, ErrorKind as RedisErrorKind};
use store_core::{Error, ErrorKind, Role};

/// What the driver says of a call that met the end of its connection.
const WORDS_OF_A_LOST_DRIVER: [&str; 3] = ["channel closed", "Client is not initialized.", "Failed to send command to router."];

/// What the driver says of a command that it may send to one node only, once, and that it would have to send again.
const WORDS_OF_A_SECOND_ATTEMPT: &str = "Too many failed write attempts.";

/// What the driver says where it found none of the sentinels.
const WORDS_OF_MISSING_SENTINELS: &str = "Failed to connect to all sentinel nodes.";

/// Why something failed, in a form that can be kept and told to several callers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    kind: ErrorKind,
    message: String,
}

impl Failure {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Failure { kind, message: message.into() }
    }

    pub(crate) fn timeout(action: &str, limit: Duration) -> Self {
        Failure::new(ErrorKind::Timeout, format!("Redis did not {action} within {limit:?}; raise the limit or check the server's load"))
    }

    pub(crate) fn while_connecting_to(self, servers: &str) -> Self {
        Failure { message: format!("cannot connect to {servers}: {}", self.message), ..self }
    }

    pub(crate) fn to_error(&self) -> Error {
        Error::new(self.kind, self.message.clone()).with_tier(Role::Shared)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        failure.to_error()
    }
}

impl From<&RedisError> for Failure {
    fn from(error: &RedisError) -> Self {
        let details = error.details();
        if let Some(failure) = from_reply(details) {
            return failure;
        }
        match error.kind() {
            RedisErrorKind::Timeout => {
                Failure::new(ErrorKind::Timeout, "Redis did not answer in time; raise the limit or check the server's load")
            }
            RedisErrorKind::Auth => access_denied(details),
            RedisErrorKind::Tls => tls(details),
            RedisErrorKind::IO if details.contains("InvalidCertificate") => tls(details),
            RedisErrorKind::IO => unreachable(system_message(details)),
            RedisErrorKind::Sentinel if details == WORDS_OF_MISSING_SENTINELS => unreachable("no sentinel could be reached"),
            RedisErrorKind::Canceled => unavailable("the connection to Redis was closed".to_owned()),
            _ if WORDS_OF_A_LOST_DRIVER.contains(&details) => unavailable("the connection to Redis was lost".to_owned()),
            _ => unavailable(format!("Redis refused: {details}")),
        }
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        Failure::from(&error)
    }
}

/// Recognises an error reply of the server by its code.
fn from_reply(reply: &str) -> Option<Failure> {
    let reply = unwrapped(reply);
    Some(match code(reply) {
        "NOAUTH" | "WRONGPASS" | "NOPERM" => access_denied(reply),
        "OOM" => unavailable(format!("{reply} Raise `maxmemory`, or set a `maxmemory-policy` that evicts")),
        "MOVED" => invalid_config("the server is part of a Redis Cluster; connect with a `redis-cluster://` URL or `RedisConfig::cluster`"),
        "LOADING" | "BUSY" | "READONLY" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" | "MISCONF" | "NOREPLICAS" => {
            unavailable(reply.to_owned())
        }
        "ERR" if reply.contains("DB index is out of range") => {
            invalid_config("the server has no database of that number; choose a smaller one or raise the server's `databases`")
        }
        "ERR" if reply.contains("SELECT is not allowed in cluster mode") => {
            invalid_config("a Redis Cluster has no database but number 0; connect with a `redis-cluster://` URL or `RedisConfig::cluster`")
        }
        "ERR" if reply.contains("cluster support disabled") => {
            invalid_config("the server is not part of a Redis Cluster; connect with a `redis://` URL or `RedisConfig::standalone`")
        }
        _ => return None,
    })
}

/// The error reply that a script met: Redis 6 answers it as `ERR Error running script (…): …: -CODE …`.
fn unwrapped(reply: &str) -> &str {
    match reply.rsplit_once(": -") {
        Some((script, inner)) if script.starts_with("ERR Error running script") => inner,
        _ => reply,
    }
}

fn code(reply: &str) -> &str {
    reply.split(' ').next().unwrap_or_default()
}

fn has_code(error: &RedisError, expected: &str) -> bool {
    code(unwrapped(error.details())) == expected
}

/// Whether the server knows no `SET` with both `NX` and `GET`, which came with Redis 7.
pub(crate) fn is_syntax_error(error: &RedisError) -> bool {
    error.details().starts_with("ERR syntax error")
}

pub(crate) fn is_out_of_memory(error: &RedisError) -> bool {
    has_code(error, "OOM")
}

pub(crate) fn is_wrong_type(error: &RedisError) -> bool {
    has_code(error, "WRONGTYPE")
}

pub(crate) fn is_missing_script(error: &RedisError) -> bool {
    has_code(error, "NOSCRIPT")
}

/// Whether the connection leads to a server that is no primary any more.
pub(crate) fn is_demoted(error: &RedisError) -> bool {
    has_code(error, "READONLY") || has_code(error, "MASTERDOWN")
}

/// Whether a command went to a node of a cluster that does not hold its key, or not any more.
pub(crate) fn is_redirection(error: &RedisError) -> bool {
    error.details() == WORDS_OF_A_SECOND_ATTEMPT || has_code(error, "MOVED") || has_code(error, "ASK")
}

fn access_denied(reply: &str) -> Failure {
    Failure::new(
        ErrorKind::AccessDenied,
        format!("Redis answered `{reply}`; check the username and the password, and the user's permissions"),
    )
}

fn invalid_config(message: &str) -> Failure {
    Failure::new(ErrorKind::InvalidConfig, message)
}

fn unavailable(message: String) -> Failure {
    Failure::new(ErrorKind::L2Unavailable, message)
}

fn unreachable(reason: &str) -> Failure {
    unavailable(format!(
        "the connection to Redis failed: {reason}; check that the server runs and can be reached, or give another address (`REDIS_URL`, `RedisConfig`)"
    ))
}

fn tls(details: &str) -> Failure {
    unavailable(format!(
        "the TLS handshake with Redis failed: {details}; name the authority that signed the server's certificate by `RedisTls::with_authority`"
    ))
}

/// The readable part of the driver's rendering of a system error: `Os { code: 111, kind: ConnectionRefused, message: "Connection refused" }`.
fn system_message(details: &str) -> &str {
    details.split_once("message: \"").and_then(|(_, rest)| rest.split_once('"')).map_or(details, |(message, _)| message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(kind: RedisErrorKind, details: &'static str) -> ErrorKind {
        Failure::from(&RedisError::new(kind, details)).to_error().kind()
    }

    #[test]
    fn replies_are_told_apart_by_their_code() {
        use RedisErrorKind::{Sentinel, Unknown};
        for (details, kind) in [
            ("NOAUTH Authentication required.", ErrorKind::AccessDenied),
            ("WRONGPASS invalid username-password pair or user is disabled.", ErrorKind::AccessDenied),
            ("NOPERM User app has no permissions to run the 'unlink' command", ErrorKind::AccessDenied),
            ("ERR DB index is out of range", ErrorKind::InvalidConfig),
            ("ERR This instance has cluster support disabled", ErrorKind::InvalidConfig),
            ("MOVED 3999 127.0.0.1:6381", ErrorKind::InvalidConfig),
            ("OOM command not allowed when used memory > 'maxmemory'.", ErrorKind::L2Unavailable),
            ("LOADING Redis is loading the dataset in memory", ErrorKind::L2Unavailable),
            ("ERR something new", ErrorKind::L2Unavailable),
        ] {
            assert_eq!(kind_of(Unknown, details), kind, "{details}");
            assert_eq!(kind_of(Sentinel, details), kind, "{details}");
        }
        assert_eq!(kind_of(RedisErrorKind::Timeout, "Request timed out."), ErrorKind::Timeout);
    }

    #[test]
    fn what_a_script_met_counts_as_if_met_outside() {
        let wrapped = "ERR Error running script (call to f_17fa): @user_script:8: @user_script: 8: -OOM command not allowed when used memory > 'maxmemory'.";
        let error = RedisError::new(RedisErrorKind::Unknown, wrapped);
        assert!(is_out_of_memory(&error));
        assert!(Failure::from(&error).to_string().contains("maxmemory-policy"));
    }

    #[test]
    fn system_errors_are_readable() {
        let error = RedisError::new(RedisErrorKind::IO, r#"Os { code: 111, kind: ConnectionRefused, message: "Connection refused" }"#);
        let error = Failure::from(&error).to_error();
        assert_eq!(
            error.to_string(),
            "L2 shared tier unavailable at L2 (shared): the connection to Redis failed: Connection refused; \
             check that the server runs and can be reached, or give another address (`REDIS_URL`, `RedisConfig`)"
        );
        assert!(error.is_retryable());
    }
}

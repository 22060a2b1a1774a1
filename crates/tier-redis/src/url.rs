//! Reading URLs.

use std::borrow::Cow;

use store_core::Result;
use url::{Host, Url};

use crate::config::{Address, Credentials, RedisConfig, Topology, invalid};
use crate::tls::RedisTls;

const SERVER_PORT: u16 = 6_379;
const SENTINEL_PORT: u16 = 26_379;

enum Deployment {
    Standalone,
    Cluster,
    Sentinel,
}

pub(crate) fn parse(text: &str) -> Result<RedisConfig> {
    if !text.contains("://") {
        return Err(invalid("the Redis URL has no scheme; put `redis://` in front of the server's address, as in redis://localhost:6379"));
    }
    let url = Url::parse(text).map_err(|error| invalid(format!("the Redis URL cannot be read: {error}")))?;
    let (deployment, is_tls) = deployment(url.scheme())?;
    let default_port = match deployment {
        Deployment::Sentinel => SENTINEL_PORT,
        Deployment::Standalone | Deployment::Cluster => SERVER_PORT,
    };
    let mut query = Query::read(&url)?;
    let mut addresses = vec![Address { host: host(&url)?, port: url.port().unwrap_or(default_port) }];
    addresses.append(&mut query.nodes);
    let topology = match deployment {
        Deployment::Standalone => {
            query.refuse_sentinel()?;
            if addresses.len() > 1 {
                return Err(invalid("`node` in a Redis URL needs the scheme `redis-cluster` or `redis-sentinel`"));
            }
            Topology::Standalone(addresses.remove(0))
        }
        Deployment::Cluster => {
            query.refuse_sentinel()?;
            Topology::Cluster(addresses)
        }
        Deployment::Sentinel => {
            Topology::Sentinel { service: query.service.unwrap_or_default(), sentinels: addresses, credentials: query.sentinel_credentials }
        }
    };
    let mut config = RedisConfig::new(topology);
    config.credentials = credentials(&url)?;
    config.database = database(&url)?;
    config.tls = is_tls.then(RedisTls::new);
    config.validate()?;
    Ok(config)
}

fn deployment(scheme: &str) -> Result<(Deployment, bool)> {
    Ok(match scheme {
        "redis" | "valkey" => (Deployment::Standalone, false),
        "rediss" | "valkeys" => (Deployment::Standalone, true),
        "redis-cluster" | "valkey-cluster" => (Deployment::Cluster, false),
        "rediss-cluster" | "valkeys-cluster" => (Deployment::Cluster, true),
        "redis-sentinel" | "valkey-sentinel" => (Deployment::Sentinel, false),
        "rediss-sentinel" | "valkeys-sentinel" => (Deployment::Sentinel, true),
        _ => {
            return Err(invalid(
                "the Redis URL's scheme is unknown; choose `redis`, `redis-cluster` or `redis-sentinel`, or with TLS `rediss`, `rediss-cluster` or \
                 `rediss-sentinel`",
            ));
        }
    })
}

fn host(url: &Url) -> Result<String> {
    match url.host() {
        Some(Host::Ipv6(address)) => Ok(address.to_string()),
        Some(Host::Domain(name)) if !name.is_empty() => decode(name, "host"),
        Some(Host::Ipv4(address)) => Ok(address.to_string()),
        Some(Host::Domain(_)) | None => Err(invalid("the Redis URL names no host")),
    }
}

fn credentials(url: &Url) -> Result<Credentials> {
    let username = match url.username() {
        "" => None,
        username => Some(decode(username, "username")?),
    };
    let password = match url.password() {
        None | Some("") => None,
        Some(password) => Some(decode(password, "password")?),
    };
    if username.is_some() && password.is_none() {
        return Err(invalid(
            "the Redis URL has no password after the username; write `redis://:password@host` if it was meant for the password",
        ));
    }
    Ok(Credentials { username, password })
}

fn database(url: &Url) -> Result<Option<u8>> {
    match url.path() {
        "" | "/" => Ok(None),
        path => match path[1..].parse() {
            Ok(database) => Ok(Some(database)),
            Err(_) => Err(invalid("the path of the Redis URL is no database number from 0 to 255")),
        },
    }
}

#[derive(Default)]
struct Query {
    nodes: Vec<Address>,
    service: Option<String>,
    sentinel_credentials: Credentials,
}

impl Query {
    fn read(url: &Url) -> Result<Self> {
        let mut query = Query::default();
        for (name, value) in url.query_pairs() {
            match &*name {
                "node" => query.nodes.push(node(&value)?),
                "sentinelServiceName" => query.service = Some(value.into_owned()),
                "sentinelUsername" => query.sentinel_credentials.username = Some(value.into_owned()),
                "sentinelPassword" => query.sentinel_credentials.password = Some(value.into_owned()),
                _ => {
                    return Err(invalid(
                        "the Redis URL has a parameter other than `node`, `sentinelServiceName`, `sentinelUsername` and `sentinelPassword`; set the \
                         rest by the methods of `RedisConfig`",
                    ));
                }
            }
        }
        Ok(query)
    }

    fn refuse_sentinel(&self) -> Result<()> {
        if self.service.is_none() && self.sentinel_credentials == Credentials::default() {
            return Ok(());
        }
        Err(invalid("`sentinelServiceName`, `sentinelUsername` and `sentinelPassword` in a Redis URL need the scheme `redis-sentinel`"))
    }
}

fn node(text: &str) -> Result<Address> {
    let malformed = || invalid("a `node` of the Redis URL is not `host:port`");
    let (host, port) = text.rsplit_once(':').ok_or_else(malformed)?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Ok(Address { host: host.to_owned(), port: port.parse().map_err(|_| malformed())? })
}

/// Undoes `%XX`.
fn decode(text: &str, part: &str) -> Result<String> {
    let malformed = || invalid(format!("the {part} in the Redis URL is not UTF-8 with `%XX`"));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        match (first, tail) {
            (b'%', [high, low, tail @ ..]) => {
                let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                bytes.push(digit(*high).ok_or_else(malformed)? << 4 | digit(*low).ok_or_else(malformed)?);
                rest = tail;
            }
            (b'%', _) => return Err(malformed()),
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    match String::from_utf8_lossy(&bytes) {
        Cow::Borrowed(text) => Ok(text.to_owned()),
        Cow::Owned(_) => Err(malformed()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store_core::ErrorKind;

    #[test]
    fn every_part_is_read() {
        let config = parse("rediss://app:p%40ss%3Aword@example.org:7000/3").unwrap();
        assert_eq!(config.addresses(), "example.org:7000");
        assert_eq!(config.credentials.username.as_deref(), Some("app"));
        assert_eq!(config.credentials.password.as_deref(), Some("p@ss:word"));
        assert_eq!(config.database, Some(3));
        assert!(config.tls.is_some());
    }

    #[test]
    fn a_host_is_enough() {
        for (url, address) in
            [("redis://localhost", "localhost:6379"), ("redis://10.0.0.1/", "10.0.0.1:6379"), ("valkey://[::1]:1", "[::1]:1")]
        {
            let config = parse(url).unwrap();
            assert_eq!(config.addresses(), address);
            assert_eq!(config.credentials, Credentials::default());
            assert!(config.database.is_none() && config.tls.is_none());
        }
    }

    #[test]
    fn clusters_and_sentinels_name_several_servers() {
        let config = parse("redis-cluster://:secret@a:1?node=b:2&node=[::1]:3").unwrap();
        assert_eq!(config.addresses(), "the cluster of a:1, b:2, [::1]:3");
        assert_eq!(config.credentials.password.as_deref(), Some("secret"));

        let config = parse("redis-sentinel://a?node=b:2&sentinelServiceName=main&sentinelUsername=u&sentinelPassword=p%25").unwrap();
        let Topology::Sentinel { service, sentinels, credentials } = &config.topology else { panic!("{config:?}") };
        assert_eq!(service, "main");
        assert_eq!(sentinels[0].port, 26_379);
        assert_eq!(credentials.password.as_deref(), Some("p%"));
    }

    #[test]
    fn each_mistake_is_named_and_the_password_is_not() {
        for (url, part) in [
            ("", "has no scheme"),
            ("localhost:6379", "put `redis://` in front"),
            ("127.0.0.1:6379", "put `redis://` in front"),
            ("redis://[", "cannot be read"),
            ("http://localhost", "scheme"),
            ("redis://", "host"),
            ("redis://:secret@host:port", "port"),
            ("redis://:secret@host:70000", "port"),
            ("redis://secret@host", "no password"),
            ("redis://:secret%zz@host", "password"),
            ("redis://:secret%ff@host", "password"),
            ("redis://:secret@host/x", "database number"),
            ("redis://:secret@host/256", "database number"),
            ("redis://:secret@host/1/2", "database number"),
            ("redis://:secret@host?node=other:1", "redis-cluster"),
            ("redis://:secret@host?sentinelServiceName=main", "redis-sentinel"),
            ("redis://:secret@host?password=secret", "parameter"),
            ("redis-cluster://:secret@host?node=other", "host:port"),
            ("redis-cluster://:secret@host?node=other:x", "host:port"),
            ("redis-cluster://:secret@host/1", "database"),
            ("redis-sentinel://:secret@host", "sentinelServiceName"),
            ("redis-sentinel://:secret@host?sentinelServiceName=main&sentinelUsername=secret", "password"),
        ] {
            let error = parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{url}");
            assert!(error.to_string().contains(part), "{url}: {error} should name {part}");
            assert!(!format!("{error} {error:?}").contains("secret"), "{url}: {error}");
        }
    }
}

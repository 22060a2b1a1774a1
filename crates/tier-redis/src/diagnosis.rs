//! What the servers tell of themselves, for people who set them up.

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use fred::types::Value;
use store_core::{Error, ErrorKind, Finding, Result};

use crate::command::Command;
use crate::link::Link;
use crate::tier::RedisTier;

/// The oldest server that is known to do.
const OLDEST: (u32, u32) = (6, 0);
/// How many round trips are made; the quickest counts.
const ROUND_TRIPS: u32 = 5;
/// Above this part of its memory a server evicts soon.
const FULL: f64 = 0.9;

pub(crate) async fn diagnose(tier: &RedisTier) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Err(error) = look(tier, &mut findings).await {
        let remedy = match error.kind() {
            ErrorKind::AccessDenied => "let the user do so: ACL SETUSER … ~strata:* &strata:* +@all -@admin -@dangerous +info",
            _ => "check REDIS_URL, the server and its log",
        };
        findings.push(Finding::problem(error.to_string(), remedy));
    }
    findings
}

async fn look(tier: &RedisTier, findings: &mut Vec<Finding>) -> Result<()> {
    let (link, limit) = (tier.pool.link()?, tier.read_timeout);
    let masters = link.masters();
    if masters.len() > 1 {
        findings.push(Finding::fine(format!("a cluster of {} masters", masters.len())));
    }
    for node in &masters {
        let on_node = |name, arguments| Command::new(name, None, arguments).on(node.as_ref());
        let information = text(link.run_one(on_node("INFO", Vec::new()), limit).await?)?;
        facts_of(&information, findings);
        let mut quickest = Duration::MAX;
        for _ in 0..ROUND_TRIPS {
            let begun = Instant::now();
            link.run_one(on_node("PING", Vec::new()), limit).await?;
            quickest = quickest.min(begun.elapsed());
        }
        findings.push(Finding::of_latency(quickest));
        let asked = SystemTime::now();
        if let Some(there) = time(&link.run_one(on_node("TIME", Vec::new()), limit).await?) {
            let here = asked.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            findings.push(Finding::of_clocks(there.abs_diff(here)));
        }
        link.run_one(on_node("EVAL", vec![Bytes::from_static(b"return 1"), Bytes::from_static(b"0")]), limit).await?;
    }
    may_use_keys(tier, &link, limit).await?;
    findings.push(Finding::fine("scripts may run, and the keys of this store be read"));
    Ok(())
}

async fn may_use_keys(tier: &RedisTier, link: &Link, limit: Duration) -> Result<()> {
    let key = Bytes::from(tier.keys.mark_stem(None));
    link.run_one(Command::of_key("EXISTS", [key]), limit).await.map(drop)
}

fn facts_of(information: &str, findings: &mut Vec<Finding>) {
    let fact = |name: &str| information.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    let number = |name: &str| fact(name).and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
    let (name, version) = match fact("valkey_version") {
        Some(version) => ("Valkey", version),
        None => ("Redis", fact("redis_version").unwrap_or("of an unknown version")),
    };
    findings.push(if is_old(version) {
        Finding::problem(format!("{name} {version} is older than {}.{}, the oldest that does", OLDEST.0, OLDEST.1), "upgrade the server")
    } else {
        Finding::fine(format!("{name} {version}"))
    });
    if fact("role") == Some("slave") {
        findings.push(Finding::problem("the server is a replica and takes no writes", "name the primary, or its sentinels, in REDIS_URL"));
    }
    let (used, most) = (number("used_memory"), number("maxmemory"));
    let policy = fact("maxmemory_policy").unwrap_or("unknown");
    findings.push(match most {
        0 => Finding::notice("`maxmemory` is not set: it grows until its machine has no memory left", "CONFIG SET maxmemory 1gb"),
        most if policy == "noeviction" => Finding::notice(
            format!("`maxmemory` is {most} bytes and its policy `noeviction`: when it is full, it refuses to keep more"),
            "CONFIG SET maxmemory-policy allkeys-lru, unless models that are `cache_only` must not be lost",
        ),
        most if used as f64 > most as f64 * FULL => Finding::notice(
            format!("{used} of {most} bytes of memory are in use, and it evicts by {policy}"),
            "raise `maxmemory`, or shorten life times",
        ),
        most => Finding::fine(format!("{used} of {most} bytes of memory are in use, and it evicts by {policy}")),
    });
}

fn is_old(version: &str) -> bool {
    let mut parts = version.split('.').map_while(|part| part.parse::<u32>().ok());
    matches!((parts.next(), parts.next()), (Some(major), Some(minor)) if (major, minor) < OLDEST)
}

fn text(value: Value) -> Result<String> {
    value.into_string().ok_or_else(|| Error::new(ErrorKind::Internal, "the server answered INFO without a text"))
}

/// The answer to `TIME`: seconds and microseconds.
fn time(value: &Value) -> Option<Duration> {
    let Value::Array(parts) = value else { return None };
    let [seconds, microseconds] = parts.as_slice() else { return None };
    Some(Duration::from_secs(seconds.as_u64()?) + Duration::from_micros(microseconds.as_u64()?))
}

#[cfg(test)]
mod tests {
    use store_core::Weight;

    use super::*;

    fn weights(information: &str) -> Vec<Weight> {
        let mut findings = Vec::new();
        facts_of(information, &mut findings);
        findings.iter().map(|finding| finding.weight).collect()
    }

    #[test]
    fn what_a_server_tells_is_weighed() {
        assert_eq!(weights("redis_version:7.0.15\r\nrole:master\r\nmaxmemory:0\r\n"), [Weight::Fine, Weight::Notice]);
        assert_eq!(weights("redis_version:5.0.14\r\nrole:slave\r\nmaxmemory:0\r\n"), [Weight::Problem, Weight::Problem, Weight::Notice]);
        let memory = "valkey_version:8.1.0\r\nmaxmemory:100\r\nmaxmemory_policy:allkeys-lru\r\n";
        assert_eq!(weights(&format!("{memory}used_memory:20\r\n")), [Weight::Fine, Weight::Fine]);
        assert_eq!(weights(&format!("{memory}used_memory:95\r\n")), [Weight::Fine, Weight::Notice]);
        assert_eq!(weights("redis_version:7.2\r\nmaxmemory:100\r\nmaxmemory_policy:noeviction\r\n"), [Weight::Fine, Weight::Notice]);
    }
}

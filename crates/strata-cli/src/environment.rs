//! The store that the environment and the command line name.

use std::collections::BTreeMap;
use std::ffi::OsString;

use strata::mem::MemTier;
use strata::sql::Dialect;
use strata::{Acknowledge, Error, Setup, Store, StoreBuilder};

use crate::arguments::Servers;
use crate::output::Failure;
use crate::registry::Registry;

/// The journal's directory.
const JOURNAL: &str = "STRATA_JOURNAL";

/// The variables of this process that are Strata's, with what the command line says of the servers.
pub(crate) fn variables(servers: &Servers) -> Result<BTreeMap<String, String>, Failure> {
    among(std::env::vars_os(), servers)
}

fn among(all: impl Iterator<Item = (OsString, OsString)>, servers: &Servers) -> Result<BTreeMap<String, String>, Failure> {
    let mut variables = BTreeMap::new();
    for (name, value) in all {
        let is_ours = |name: &&str| matches!(*name, "DATABASE_URL" | "REDIS_URL") || name.to_ascii_uppercase().starts_with("STRATA_");
        let Some(name) = name.to_str().filter(is_ours) else { continue };
        let value = value.into_string();
        let value =
            value.map_err(|_| Failure::Usage(format!("the environment variable {name} is not valid Unicode; set it anew, or unset it")))?;
        variables.insert(name.to_owned(), value);
    }
    for (name, given) in [("DATABASE_URL", &servers.database_url), ("REDIS_URL", &servers.redis_url)] {
        if let Some(given) = given {
            variables.insert(name.to_owned(), given.clone());
        }
    }
    Ok(variables)
}

/// A builder with all models, which makes no tables and waits for the truth.
pub(crate) async fn builder(registry: &Registry, servers: &Servers) -> Result<StoreBuilder<MemTier>, Failure> {
    let mut variables = variables(servers)?;
    // A service may be running on its journal; `flush` alone asks for it.
    variables.remove(JOURNAL);
    let builder = Store::from_variables(variables).await.map_err(|error| blamed(error, servers))?;
    let builder = registry.add_to(builder);
    Ok(builder.configure(|settings| {
        settings.create_tables = false;
        settings.journal = None;
        settings.write_behind.acknowledge = Acknowledge::Truth;
    }))
}

/// The failure for variables that are refused. What the command line gives in the place of one is its own fault.
pub(crate) fn blamed(error: Error, servers: &Servers) -> Failure {
    for (name, option, given) in
        [("DATABASE_URL", "--database-url", &servers.database_url), ("REDIS_URL", "--redis-url", &servers.redis_url)]
    {
        let problem = error.message().strip_prefix("the environment variable ").and_then(|rest| rest.strip_prefix(name));
        if let (Some(problem), Some(_)) = (problem.filter(|rest| rest.starts_with(' ')), given) {
            return Failure::Usage(format!("the option {option}{problem}"));
        }
    }
    Failure::Store(error)
}

/// The journal's directory, if the environment names one.
pub(crate) fn journal(servers: &Servers) -> Result<Option<String>, Failure> {
    Ok(variables(servers)?.remove(JOURNAL).filter(|directory| !directory.is_empty()))
}

/// The SQL of the truth: PostgreSQL's unless the environment names another.
pub(crate) fn dialect(servers: &Servers) -> Result<Dialect, Failure> {
    let variables = variables(servers)?;
    let is_sqlite = variables.get("DATABASE_URL").is_some_and(|url| url.to_ascii_lowercase().starts_with("sqlite:"));
    Ok(if is_sqlite { Dialect::Sqlite } else { Dialect::Postgres })
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn what_is_no_text_is_passed_over_unless_it_is_a_setting() {
        let all =
            |name: &str| [(OsString::from(name), OsString::from_vec(vec![0xFF])), (OsString::from_vec(vec![0xFE]), "x".into())].into_iter();
        assert!(among(all("PS1"), &Servers::default()).unwrap().is_empty());
        let refused = among(all("STRATA_L1_TTL"), &Servers::default()).unwrap_err();
        assert!(matches!(&refused, Failure::Usage(text) if text.contains("STRATA_L1_TTL is not valid Unicode")), "{refused:?}");
    }
}

//! The store that the environment and the command line name.

use std::collections::BTreeMap;

use strata::mem::MemTier;
use strata::{Acknowledge, Setup, Store, StoreBuilder};

use crate::arguments::Servers;
use crate::output::Failure;
use crate::registry::Registry;

/// The variables of this process, with what the command line says of the servers.
pub(crate) fn variables(servers: &Servers) -> BTreeMap<String, String> {
    let mut variables: BTreeMap<String, String> = std::env::vars().collect();
    for (name, given) in [("DATABASE_URL", &servers.database_url), ("REDIS_URL", &servers.redis_url)] {
        if let Some(given) = given {
            variables.insert(name.to_owned(), given.clone());
        }
    }
    variables
}

/// A builder with all models, which makes no tables and waits for the truth.
pub(crate) async fn builder(registry: &Registry, servers: &Servers) -> Result<StoreBuilder<MemTier>, Failure> {
    let mut variables = variables(servers);
    // A service may be running on its journal; `flush` alone asks for it.
    variables.remove("STRATA_JOURNAL");
    let builder = Store::from_variables(variables).await?.configure(|settings| {
        settings.create_tables = false;
        settings.write_behind.acknowledge = Acknowledge::Truth;
    });
    Ok(registry.add_to(builder))
}

/// The journal that the environment names.
pub(crate) fn journal() -> Option<String> {
    std::env::var("STRATA_JOURNAL").ok().filter(|directory| !directory.is_empty())
}

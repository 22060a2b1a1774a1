//! The two stacks: embedded, and with servers.

use anyhow::Context;
use strata::prelude::*;

use crate::City;
use crate::arguments::Arguments;

pub(crate) async fn open(arguments: &Arguments) -> anyhow::Result<Store> {
    if arguments.servers {
        for variable in ["DATABASE_URL", "REDIS_URL"] {
            std::env::var(variable)
                .with_context(|| format!("{variable} is not set; `cargo xtask up` starts both servers and prints what to export"))?;
        }
        return Ok(Store::from_env().await?.schema::<City>().build().await?);
    }
    if let Some(directory) = arguments.path.parent() {
        std::fs::create_dir_all(directory).with_context(|| format!("cannot make the directory {}", directory.display()))?;
    }
    Ok(Store::open(&arguments.path).await?.schema::<City>().build().await?)
}

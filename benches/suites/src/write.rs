//! The suite `write`: write-through beside what it does at least, and write-behind beside the disk.

mod behind;
mod disk;
mod through;

use anyhow::Result;
use harness::Report;

use crate::scale::Scale;
use crate::servers::Servers;

pub(crate) async fn run(servers: &Servers, scale: &Scale, report: &mut Report) -> Result<()> {
    through::run(servers, scale, report).await?;
    behind::run(servers, scale, report).await
}

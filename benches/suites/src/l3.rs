//! The suite `l3`: the tier of truth beside its driver.

mod bulk;
mod one_row;

use anyhow::Result;
use harness::Report;

use crate::scale::Scale;
use crate::servers::Servers;

pub(crate) async fn run(servers: &Servers, scale: &Scale, report: &mut Report) -> Result<()> {
    one_row::run(servers, scale, report).await?;
    bulk::run(servers, scale, report).await
}

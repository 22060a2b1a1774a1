//! What each command does.

mod data;
mod doctor;
mod letters;
mod migrate;
mod schemas;

use crate::arguments::{Arguments, Task};
use crate::environment;
use crate::output::{Answer, Failure, NO, Output};
use crate::registry::Registry;

pub(crate) async fn run(registry: &Registry, arguments: &Arguments, output: &Output) -> u8 {
    match perform(registry, arguments, output).await.and_then(|answer| output.finish().map(|()| answer)) {
        Ok(Answer::Yes) => 0,
        Ok(Answer::No) => NO,
        Err(failure) => output.fail(&failure),
    }
}

async fn perform(registry: &Registry, arguments: &Arguments, output: &Output) -> Result<Answer, Failure> {
    let model = |name: &str| registry.model(name).map_err(Failure::Usage);
    match &arguments.task {
        Task::Schemas => return Ok(schemas::list(registry, output)),
        Task::Dump { schema, dialect } => return schemas::dump(registry, schema.as_deref(), *dialect, &arguments.servers, output).await,
        Task::Doctor => return doctor::examine(registry, &arguments.servers, output).await,
        Task::Migrate(migration) => return migrate::migrate(registry, migration, &arguments.servers, output).await,
        Task::Flush => return letters::flush(registry, &arguments.servers, output).await,
        // A name that is unknown needs no server.
        Task::Get { schema, .. }
        | Task::Set { schema, .. }
        | Task::Delete { schema, .. }
        | Task::Search { schema, .. }
        | Task::Count { schema, .. }
        | Task::Invalidate { schema, .. }
        | Task::Warm { schema, .. } => drop(model(schema)?),
        #[cfg(feature = "encryption")]
        Task::Reencrypt { schema, .. } => drop(model(schema)?),
        Task::Letters { schema, .. } => drop(schema.as_deref().map(model).transpose()?),
    }
    let records = match &arguments.task {
        Task::Set { record, .. } => data::records(record.as_deref())?,
        _ => Vec::new(),
    };
    let dialect = environment::dialect(&arguments.servers)?;
    let builder = environment::builder(registry, &arguments.servers).await?;
    let store = migrate::build(builder, registry, &arguments.servers).await?;
    let answered = match &arguments.task {
        Task::Get { schema, key, role } => data::get(model(schema)?, &store, key, *role, output).await,
        Task::Set { schema, .. } => data::set(model(schema)?, &store, &records, output).await,
        Task::Delete { schema, keys } => data::delete(model(schema)?, &store, keys, output).await,
        Task::Search { schema, search } => data::search(model(schema)?, &store, search, dialect, output).await,
        Task::Count { schema, search } => data::count(model(schema)?, &store, search, dialect, output).await,
        Task::Invalidate { schema, what } => data::invalidate(model(schema)?, &store, what, output).await,
        Task::Warm { schema, limit } => data::warm(model(schema)?, &store, *limit, output).await,
        #[cfg(feature = "encryption")]
        Task::Reencrypt { schema, everything } => data::reencrypt(model(schema)?, &store, *everything, output).await,
        Task::Letters { schema, letters } => letters::letters(&store, schema.as_deref(), letters, output).await,
        Task::Schemas | Task::Dump { .. } | Task::Doctor | Task::Migrate(_) | Task::Flush => Ok(Answer::Yes),
    };
    let closed = store.close().await;
    let answer = answered?;
    closed?;
    Ok(answer)
}

//! Bringing the database to the models' layout.

use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};
use strata::mem::MemTier;
use strata::sql::Dialect;
use strata::{
    Drift, Error, ErrorKind, MigrationFile, MigrationPlan, MigrationRecord, MigrationReport, Migrator, PendingFile, Store, StoreBuilder,
};

use crate::arguments::{Migration, Servers};
use crate::environment;
use crate::output::{Answer, Failure, Output};
use crate::progress;
use crate::registry::Registry;

pub(super) async fn migrate(registry: &Registry, migration: &Migration, servers: &Servers, output: &Output) -> Result<Answer, Failure> {
    let migrator = environment::builder(registry, servers).await?.migrator()?;
    let answered = perform(&migrator, migration, environment::dialect(servers)?, output).await;
    let closed = migrator.close().await;
    let answer = answered?;
    closed?;
    Ok(answer)
}

/// What a migration would do.
pub(super) async fn plan_of(registry: &Registry, servers: &Servers) -> Result<MigrationPlan, Failure> {
    let migrator = environment::builder(registry, servers).await?.migrator()?;
    let plan = migrator.plan().await;
    migrator.close().await?;
    Ok(plan?)
}

/// Builds a store that makes no tables. Where that is what it would have to do, `migrate` is what mends it, and no setting.
pub(super) async fn build(builder: StoreBuilder<MemTier>, registry: &Registry, servers: &Servers) -> Result<Store, Failure> {
    let error = match builder.build().await {
        Err(error) if error.kind() == ErrorKind::SchemaMismatch => error,
        outcome => return Ok(outcome?),
    };
    let steps = match plan_of(registry, servers).await {
        Ok(plan) if !plan.is_refused() => plan.steps,
        _ => Vec::new(),
    };
    let Some(first) = steps.first() else { return Err(error.into()) };
    let (of, more) = (first.schema.as_deref().unwrap_or("strata"), steps.len() - 1);
    let message = format!(
        "the database lacks what the models ask for ({of}: {}, and {more} more); run `migrate`, or first `migrate --plan`, which shows the SQL",
        first.what
    );
    Err(Error::new(ErrorKind::SchemaMismatch, message).into())
}

async fn perform(migrator: &Migrator, migration: &Migration, dialect: Dialect, output: &Output) -> Result<Answer, Failure> {
    match migration {
        Migration::Plan { files, is_check } => {
            let pending = match files {
                Some(directory) => pending(migrator, directory.clone(), dialect).await?,
                None => Vec::new(),
            };
            plan(migrator, &pending, *is_check, output).await
        }
        Migration::Status => status(migrator, output).await,
        Migration::Resolve { file, resolution } => {
            // Files are known by their names alone.
            let file = Path::new(file).file_name().and_then(|name| name.to_str()).unwrap_or(file);
            migrator.resolve(file, *resolution).await?;
            output.show(|| format!("{file} goes on as told"), || json!({ "resolved": file }));
            Ok(Answer::Yes)
        }
        Migration::Run { files } => {
            let mut is_idle = true;
            if let Some(directory) = files {
                let done = progress::of_migration(migrator.migrate_from(directory), output).await?;
                is_idle = done.is_empty();
                report(&done, output)?;
            }
            let done = progress::of_migration(migrator.migrate(), output).await?;
            if is_idle && done.is_empty() {
                output.show(|| "nothing to do".to_owned(), nothing_to_do);
            }
            report(&done, output)?;
            Ok(Answer::Yes)
        }
    }
}

/// The files that are still to be run. One that somebody resolved as applied only waits for its checksum.
async fn pending(migrator: &Migrator, directory: PathBuf, dialect: Dialect) -> Result<Vec<PendingFile>, Failure> {
    let records = migrator.status().await?;
    let find = move || MigrationFile::pending(&MigrationFile::read_directory(directory)?, &records, dialect);
    let found = tokio::task::spawn_blocking(find).await;
    let mut found = found.map_err(|error| Error::new(ErrorKind::Internal, "the files could not be read").with_source(error))??;
    found.retain(|file| !file.is_done);
    Ok(found)
}

/// `is_check`: whether the answer is no where there is something to do.
async fn plan(migrator: &Migrator, pending: &[PendingFile], is_check: bool, output: &Output) -> Result<Answer, Failure> {
    let plan = migrator.plan().await?;
    for PendingFile { file, statements, first, .. } in pending {
        let left = &statements[(*first as usize).saturating_sub(1).min(statements.len())..];
        output.show(
            || format!("-- {}, from its statement {first} on\n{};", file.name(), left.join(";\n")),
            || json!({ "file": file.name(), "first": first, "statements": left, "in_transaction": file.in_transaction() }),
        );
    }
    if pending.is_empty() || !plan.is_empty() {
        output.tell(&plan.to_string());
    }
    let is_idle = plan.is_empty() && pending.is_empty();
    if is_idle {
        output.script(nothing_to_do);
    }
    for step in &plan.steps {
        output.script(|| {
            json!({
                "schema": step.schema, "what": step.what, "why": step.why, "sql": step.sql,
                "blocking": step.blocking.to_string(), "in_transaction": step.in_transaction
            })
        });
    }
    for drift in &plan.drift {
        output.script(|| of_drift(drift));
    }
    Ok(if is_check && !is_idle { Answer::No } else { Answer::Yes })
}

fn nothing_to_do() -> Json {
    json!({ "nothing_to_do": true })
}

async fn status(migrator: &Migrator, output: &Output) -> Result<Answer, Failure> {
    for record in migrator.status().await? {
        if !show(&record, output)? {
            break;
        }
    }
    Ok(Answer::Yes)
}

fn report(report: &MigrationReport, output: &Output) -> Result<(), Failure> {
    for record in &report.applied {
        show(record, output)?;
    }
    for drift in &report.drift {
        output.show(|| format!("note: {drift}"), || of_drift(drift));
    }
    Ok(())
}

fn show(record: &MigrationRecord, output: &Output) -> Result<bool, Failure> {
    let at = record.applied_at.to_string();
    let of = record.file_name.as_deref().or(record.schema.as_deref()).unwrap_or("strata");
    let dirty = record.dirty.as_ref();
    let text = || {
        let failed = dirty.map(|mark| format!(" – failed at statement {}: {}", mark.statement, mark.error)).unwrap_or_default();
        format!("{at}  {:>7.1?}  {of}: {}{failed}", record.took, record.what)
    };
    let object = || {
        let mark = dirty.map(|mark| json!({ "statement": mark.statement, "text": mark.text, "error": mark.error, "blocks": mark.blocks }));
        json!({
            "id": record.id, "schema": record.schema, "file": record.file_name, "what": record.what, "applied_at": at,
            "took_ms": record.took.as_millis() as u64, "checksum": record.checksum, "dirty": mark
        })
    };
    Ok(output.show(text, object))
}

fn of_drift(drift: &Drift) -> Json {
    json!({ "schema": drift.schema, "column": drift.column, "drift": drift.what, "is_refused": drift.is_refused })
}

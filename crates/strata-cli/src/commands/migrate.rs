//! Bringing the database to the models' layout.

use std::path::PathBuf;

use serde_json::{Value as Json, json};
use strata::sql::Dialect;
use strata::{Drift, Error, ErrorKind, MigrationFile, MigrationRecord, MigrationReport, Migrator, PendingFile};

use crate::arguments::{Migration, Servers};
use crate::environment;
use crate::json::time_text;
use crate::output::{Answer, Failure, Output};
use crate::registry::Registry;

pub(super) async fn migrate(registry: &Registry, migration: &Migration, servers: &Servers, output: &Output) -> Result<Answer, Failure> {
    let migrator = environment::builder(registry, servers).await?.migrator()?;
    let answered = perform(&migrator, migration, environment::dialect(servers)?, output).await;
    let closed = migrator.close().await;
    let answer = answered?;
    closed?;
    Ok(answer)
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
            migrator.resolve(file, *resolution).await?;
            output.show(|| format!("{file} goes on as told"), || json!({ "resolved": file }));
            Ok(Answer::Yes)
        }
        Migration::Run { files } => {
            let mut is_idle = true;
            if let Some(directory) = files {
                let done = migrator.migrate_from(directory).await?;
                is_idle = done.is_empty();
                report(&done, output)?;
            }
            let done = migrator.migrate().await?;
            if is_idle && done.is_empty() {
                output.tell("nothing to do");
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
    Ok(if is_check && !(plan.is_empty() && pending.is_empty()) { Answer::No } else { Answer::Yes })
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
    let at = time_text(record.applied_at)?;
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

//! Bringing the database to the models' layout.

use serde_json::{Value as Json, json};
use strata::{Drift, MigrationRecord, MigrationReport, Migrator};

use crate::arguments::{Migration, Servers};
use crate::environment;
use crate::json::time_text;
use crate::output::{Answer, Failure, Output};
use crate::registry::Registry;

pub(super) async fn migrate(registry: &Registry, migration: &Migration, servers: &Servers, output: &Output) -> Result<Answer, Failure> {
    let migrator = environment::builder(registry, servers).await?.migrator()?;
    let answered = perform(&migrator, migration, output).await;
    let closed = migrator.close().await;
    let answer = answered?;
    closed?;
    Ok(answer)
}

async fn perform(migrator: &Migrator, migration: &Migration, output: &Output) -> Result<Answer, Failure> {
    match migration {
        Migration::Plan { is_check } => plan(migrator, *is_check, output).await,
        Migration::Status => status(migrator, output).await,
        Migration::Resolve { file, resolution } => {
            migrator.resolve(file, *resolution).await?;
            output.show(|| format!("{file} goes on as told"), || json!({ "resolved": file }));
            Ok(Answer::Yes)
        }
        Migration::Run { files } => {
            if let Some(directory) = files {
                report(&migrator.migrate_from(directory).await?, output)?;
            }
            let done = migrator.migrate().await?;
            report(&done, output)?;
            if done.is_empty() && files.is_none() {
                output.tell("nothing to do");
            }
            Ok(Answer::Yes)
        }
    }
}

/// `is_check`: whether the answer is no where there is something to do.
async fn plan(migrator: &Migrator, is_check: bool, output: &Output) -> Result<Answer, Failure> {
    let plan = migrator.plan().await?;
    output.tell(&plan.to_string());
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
    Ok(if is_check && !plan.is_empty() { Answer::No } else { Answer::Yes })
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

//! The writes of write-behind: those left in a journal, and those that were refused.

use serde_json::json;
use strata::{DeadLetter, Setup, Store};

use super::migrate;
use crate::arguments::{Letters, Servers};
use crate::environment;
use crate::json::time_text;
use crate::output::{Answer, Failure, Output};
use crate::registry::Registry;

/// How many letters are read at once.
const PORTION: u64 = 100;

pub(super) async fn flush(registry: &Registry, servers: &Servers, output: &Output) -> Result<Answer, Failure> {
    if !environment::has_journal(servers)? {
        return Err(Failure::Usage("STRATA_JOURNAL is not set; set it to the directory of the program's journal".to_owned()));
    }
    let builder = registry.add_to(Store::from_variables(environment::variables(servers)?).await?);
    let store = migrate::build(builder.configure(|settings| settings.create_tables = false), registry, servers).await?;
    let left = store.stats().dirty_entries;
    let flushed = store.flush().await;
    let closed = store.close().await;
    flushed?;
    closed?;
    output.show(|| format!("{left} writes were pending, and are flushed"), || json!({ "flushed": left }));
    Ok(Answer::Yes)
}

pub(super) async fn letters(store: &Store, schema: Option<&str>, letters: &Letters, output: &Output) -> Result<Answer, Failure> {
    match letters {
        Letters::List { limit } => list(store, schema, *limit, output).await,
        Letters::Retry(names) | Letters::Overwrite(names) => {
            for name in names {
                let letter = find(store, name).await?;
                match letters {
                    Letters::Overwrite(_) => store.dead_letters().overwrite(&letter).await?,
                    _ => store.dead_letters().retry(&letter).await?,
                }
                output.show(|| format!("{name} is written"), || json!({ "letter": name, "written": true }));
            }
            Ok(Answer::Yes)
        }
        Letters::Remove(names) => {
            for name in names {
                let letter = find(store, name).await?;
                let removed = store.dead_letters().remove(&letter).await?;
                let text = if removed { "is removed" } else { "was gone already" };
                output.show(|| format!("{name} {text}"), || json!({ "letter": name, "removed": removed }));
            }
            Ok(Answer::Yes)
        }
    }
}

async fn list(store: &Store, schema: Option<&str>, limit: u64, output: &Output) -> Result<Answer, Failure> {
    let (mut after, mut left) = (None, limit);
    while left > 0 {
        let portion = store.dead_letters().list(after.as_ref(), PORTION).await?;
        let Some(last) = portion.last().cloned() else { break };
        for letter in portion.iter().filter(|letter| schema.is_none_or(|schema| schema == letter.schema)).take(left as usize) {
            let (name, at) = (name_of(letter), time_text(letter.failed_at)?);
            let shown = output.show(
                || format!("{name}  {at}  {} {}: {}", letter.schema, letter.key, letter.error),
                || json!({ "letter": name, "failed_at": at, "schema": letter.schema, "key": letter.key, "error": letter.error }),
            );
            if !shown {
                return Ok(Answer::Yes);
            }
            left -= 1;
        }
        after = Some(last);
    }
    Ok(Answer::Yes)
}

fn name_of(letter: &DeadLetter) -> String {
    format!("{}/{}", letter.journal, letter.sequence)
}

async fn find(store: &Store, name: &str) -> Result<DeadLetter, Failure> {
    let mut after = None;
    loop {
        let portion = store.dead_letters().list(after.as_ref(), PORTION).await?;
        let Some(last) = portion.last().cloned() else {
            return Err(Failure::Usage(format!("there is no dead letter `{name}`; `dead-letters list` shows those there are")));
        };
        if let Some(found) = portion.into_iter().find(|letter| name_of(letter) == name) {
            return Ok(found);
        }
        after = Some(last);
    }
}

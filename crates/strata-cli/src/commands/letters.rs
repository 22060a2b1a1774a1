//! The writes of write-behind: those left in a journal, and those that were refused.

use std::fs::{self, DirEntry};
use std::io;

use serde_json::json;
use strata::{DeadLetter, Setup, Store};

use super::migrate;
use crate::arguments::{Letters, Servers};
use crate::environment;
use crate::output::{Answer, Failure, Output};
use crate::registry::Registry;

/// How many letters are read at once.
const PORTION: u64 = 100;

pub(super) async fn flush(registry: &Registry, servers: &Servers, output: &Output) -> Result<Answer, Failure> {
    check_journal(environment::journal(servers)?.as_deref())?;
    let builder = Store::from_variables(environment::variables(servers)?).await;
    let builder = registry.add_to(builder.map_err(|error| environment::blamed(error, servers))?);
    let store = migrate::build(builder.configure(|settings| settings.create_tables = false), registry, servers).await?;
    let left = store.stats().dirty_entries;
    let flushed = store.flush().await;
    let closed = store.close().await;
    flushed?;
    closed?;
    output.show(|| format!("{left} writes were pending, and are flushed"), || json!({ "flushed": left }));
    Ok(Answer::Yes)
}

/// Refuses a directory without a segment of a journal: a store would begin a new journal there.
fn check_journal(directory: Option<&str>) -> Result<(), Failure> {
    let remedy = "set STRATA_JOURNAL to the directory of the program's journal";
    let Some(directory) = directory else { return Err(Failure::Usage(format!("STRATA_JOURNAL is not set; {remedy}"))) };
    let is_segment =
        |file: io::Result<DirEntry>| file.is_ok_and(|file| file.path().extension().is_some_and(|extension| extension == "log"));
    let problem = match fs::read_dir(directory).map(|mut files| files.any(is_segment)) {
        Ok(true) => return Ok(()),
        Ok(false) => String::new(),
        Err(error) => format!(", which cannot be read ({error})"),
    };
    Err(Failure::Usage(format!("there is no journal in `{directory}`{problem}; {remedy}")))
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
            let (name, at) = (name_of(letter), letter.failed_at.to_string());
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

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use strata::prelude::*;
    use strata::sqlite::SqliteTier;

    use super::*;

    #[derive(Schema)]
    struct Item {
        #[schema(primary_key)]
        id: i64,
    }

    #[tokio::test]
    async fn a_directory_without_a_journal_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let (journal, missing) = (directory.path().join("journal"), directory.path().join("missing"));
        let tier = SqliteTier::open(directory.path().join("items.db")).await.unwrap();
        let store = Store::builder().tier(tier).schema::<Item>().journal(&journal).build().await.unwrap();
        store.close().await.unwrap();
        check_journal(journal.to_str()).unwrap();
        for (given, told) in
            [(missing.to_str(), "cannot be read"), (directory.path().to_str(), "there is no journal in"), (None, "is not set")]
        {
            let refused = check_journal(given).unwrap_err();
            assert!(matches!(&refused, Failure::Usage(text) if text.contains(told) && text.contains("STRATA_JOURNAL")), "{refused:?}");
        }
    }
}

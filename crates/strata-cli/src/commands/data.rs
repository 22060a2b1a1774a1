//! Records.

use std::io::Read;

use serde_json::{Value as Json, json};
use strata::{Role, Store};

use crate::model::{Model, Search};
use crate::output::{Answer, Failure, Output};
use crate::progress::Progress;

pub(super) async fn get(model: &dyn Model, store: &Store, key: &str, role: Option<Role>, output: &Output) -> Result<Answer, Failure> {
    let Some(found) = model.get(store, key, role).await? else {
        output.warn(&format!("there is no record `{key}`"));
        return Ok(Answer::No);
    };
    output.show(|| format!("{:#}", found.record), || json!({ "version": found.version, "record": found.record }));
    Ok(Answer::Yes)
}

/// The records of the argument, or of standard input: objects one after the other, or arrays of them.
pub(super) fn records(argument: Option<&str>) -> Result<Vec<Json>, Failure> {
    let mut input = String::new();
    let text = match argument {
        Some(argument) => argument,
        None => {
            std::io::stdin().read_to_string(&mut input).map_err(|error| Failure::Io(format!("standard input cannot be read: {error}")))?;
            &input
        }
    };
    let mut records = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<Json>() {
        match value.map_err(|error| Failure::Usage(format!("the record is no JSON: {error}")))? {
            Json::Array(several) => records.extend(several),
            one => records.push(one),
        }
    }
    if records.is_empty() {
        return Err(Failure::Usage("there is no record; give a JSON object, as an argument or on standard input".to_owned()));
    }
    Ok(records)
}

pub(super) async fn set(model: &dyn Model, store: &Store, records: &[Json], output: &Output) -> Result<Answer, Failure> {
    let versions = model.set(store, records).await?;
    output.show(|| format!("{} written", versions.len()), || json!({ "written": versions.len(), "versions": versions }));
    Ok(Answer::Yes)
}

pub(super) async fn delete(model: &dyn Model, store: &Store, keys: &[String], output: &Output) -> Result<Answer, Failure> {
    let deleted = model.delete(store, keys).await?;
    output.show(|| format!("{deleted} deleted"), || json!({ "deleted": deleted }));
    Ok(if deleted == 0 { Answer::No } else { Answer::Yes })
}

pub(super) async fn search(model: &dyn Model, store: &Store, search: &Search, output: &Output) -> Result<Answer, Failure> {
    model.search(store, search, &mut |record| output.show(|| record.to_string(), || record.clone())).await?;
    Ok(Answer::Yes)
}

pub(super) async fn count(model: &dyn Model, store: &Store, search: &Search, output: &Output) -> Result<Answer, Failure> {
    let count = model.count(store, search).await?;
    output.show(|| count.to_string(), || json!({ "count": count }));
    Ok(Answer::Yes)
}

pub(super) async fn warm(model: &dyn Model, store: &Store, limit: Option<u64>, output: &Output) -> Result<Answer, Failure> {
    let mut progress = Progress::new("records are in the caches", output);
    let warmed = model.warm(store, limit, &mut |loaded| progress.at(loaded, limit)).await;
    drop(progress);
    let warmed = warmed?;
    output.show(|| format!("{warmed} records are in the caches"), || json!({ "warmed": warmed }));
    Ok(Answer::Yes)
}

/// The answer is no where a record could not be decrypted.
#[cfg(feature = "encryption")]
pub(super) async fn reencrypt(model: &dyn Model, store: &Store, everything: bool, output: &Output) -> Result<Answer, Failure> {
    let mut progress = Progress::new("records are encrypted with the key that encrypts now", output);
    let reached = model.reencrypt(store, everything, &mut |reached| progress.at(reached.done, Some(reached.total))).await;
    drop(progress);
    let reached = reached?;
    output.show(
        || {
            let unreadable = if reached.unreadable > 0 {
                format!("; {} cannot be decrypted, and stay as they are", reached.unreadable)
            } else {
                String::new()
            };
            format!("{} of {} records are encrypted with key {}{unreadable}", reached.done, reached.total, reached.key)
        },
        || json!({ "done": reached.done, "total": reached.total, "unreadable": reached.unreadable, "key": reached.key }),
    );
    Ok(if reached.is_complete() { Answer::Yes } else { Answer::No })
}

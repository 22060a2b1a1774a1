//! Records.

use std::io::Read;

use serde_json::json;
use serde_json::value::RawValue;
use strata::sql::Dialect;
use strata::{Role, Store};

use crate::arguments::Invalidated;
use crate::layout;
use crate::model::{Model, Search};
use crate::output::{Answer, Failure, Output};
use crate::progress::Progress;

pub(super) async fn get(model: &dyn Model, store: &Store, key: &str, role: Option<Role>, output: &Output) -> Result<Answer, Failure> {
    let Some(found) = model.get(store, key, role).await.map_err(Failure::of_input)? else {
        output.warn(&format!("there is no record `{key}`"));
        output.script(|| json!({ "version": null, "record": null }));
        return Ok(Answer::No);
    };
    let object = || format!("{{\"version\":{},\"record\":{}}}", found.version, found.record);
    output.show(|| layout::indented(&found.record), object);
    Ok(Answer::Yes)
}

/// The records of the argument, or of standard input: objects one after the other, or arrays of them.
pub(super) fn records(argument: Option<&str>) -> Result<Vec<Box<RawValue>>, Failure> {
    let mut input = String::new();
    let text = match argument {
        Some(argument) => argument,
        None => {
            std::io::stdin().read_to_string(&mut input).map_err(|error| Failure::Io(format!("standard input cannot be read: {error}")))?;
            &input
        }
    };
    let mut records = Vec::new();
    let no_json = |error| Failure::Usage(format!("the record is no JSON: {error}"));
    for value in serde_json::Deserializer::from_str(text).into_iter::<Box<RawValue>>() {
        let value = value.map_err(no_json)?;
        if value.get().starts_with('[') {
            records.extend(serde_json::from_str::<Vec<Box<RawValue>>>(value.get()).map_err(no_json)?);
        } else {
            records.push(value);
        }
    }
    if records.is_empty() {
        return Err(Failure::Usage("there is no record; give a JSON object, as an argument or on standard input".to_owned()));
    }
    Ok(records)
}

pub(super) async fn set(model: &dyn Model, store: &Store, records: &[Box<RawValue>], output: &Output) -> Result<Answer, Failure> {
    let versions = model.set(store, records).await.map_err(Failure::of_input)?;
    output.show(|| format!("{} written", versions.len()), || json!({ "written": versions.len(), "versions": versions }));
    Ok(Answer::Yes)
}

pub(super) async fn delete(model: &dyn Model, store: &Store, keys: &[String], output: &Output) -> Result<Answer, Failure> {
    let deleted = model.delete(store, keys).await.map_err(Failure::of_input)?;
    output.show(|| format!("{deleted} deleted"), || json!({ "deleted": deleted }));
    Ok(if deleted == 0 { Answer::No } else { Answer::Yes })
}

pub(super) async fn search(
    model: &dyn Model,
    store: &Store,
    search: &Search,
    dialect: Dialect,
    output: &Output,
) -> Result<Answer, Failure> {
    let mut show = |record: String| output.show(|| record.clone(), || &record);
    model.search(store, search, dialect, &mut show).await.map_err(Failure::of_input)?;
    Ok(Answer::Yes)
}

pub(super) async fn count(model: &dyn Model, store: &Store, search: &Search, dialect: Dialect, output: &Output) -> Result<Answer, Failure> {
    let count = model.count(store, search, dialect).await.map_err(Failure::of_input)?;
    output.show(|| count.to_string(), || json!({ "count": count }));
    Ok(Answer::Yes)
}

pub(super) async fn invalidate(model: &dyn Model, store: &Store, what: &Invalidated, output: &Output) -> Result<Answer, Failure> {
    match what {
        Invalidated::Keys(keys) => model.invalidate(store, keys).await,
        Invalidated::Tag(tag) => model.invalidate_tag(store, tag).await,
        Invalidated::All => model.invalidate_all(store).await,
    }
    .map_err(Failure::of_input)?;
    let name = model.definition().name();
    let text = || match what {
        Invalidated::Keys(keys) => format!("{} keys of `{name}` are invalidated", keys.len()),
        Invalidated::Tag(tag) => format!("what has the tag `{tag}` is invalidated"),
        Invalidated::All => format!("all of `{name}` is invalidated"),
    };
    let object = || {
        let (keys, tag) = match what {
            Invalidated::Keys(keys) => (Some(keys), None),
            Invalidated::Tag(tag) => (None, Some(tag)),
            Invalidated::All => (None, None),
        };
        json!({ "invalidated": name, "keys": keys, "tag": tag })
    };
    output.show(text, object);
    Ok(Answer::Yes)
}

pub(super) async fn warm(model: &dyn Model, store: &Store, limit: Option<u64>, output: &Output) -> Result<Answer, Failure> {
    if store.health().tier(Role::Shared).is_none() {
        let text = "there is no tier to warm: the memory of this command ends with it, and REDIS_URL is not set; set it as for the program";
        return Err(Failure::Usage(text.to_owned()));
    }
    // A tier that is away would be passed over in silence.
    store.ping().await?;
    let mut progress = Progress::new("records are in Redis", output);
    let warmed = model.warm(store, limit, &mut |warmed| progress.at(warmed.loaded, Some(warmed.total))).await;
    drop(progress);
    let warmed = warmed?;
    output.show(|| format!("{warmed} records are in Redis"), || json!({ "warmed": warmed }));
    Ok(Answer::Yes)
}

/// The answer is no where a record stays as it was.
#[cfg(feature = "encryption")]
pub(super) async fn reencrypt(model: &dyn Model, store: &Store, everything: bool, output: &Output) -> Result<Answer, Failure> {
    let mut progress = Progress::new("records are encrypted with the key that encrypts now", output);
    let reached = model.reencrypt(store, everything, &mut |reached| progress.at(reached.done, Some(reached.total))).await;
    drop(progress);
    let reached = reached.map_err(Failure::of_input)?;
    output.show(
        || {
            let left = |records: u64, why: &str| if records > 0 { format!("; {records} {why}, and stay as they are") } else { String::new() };
            let unreadable = left(reached.unreadable, "cannot be decrypted");
            let refused = left(reached.refused, "are refused by the database");
            format!("{} of {} records are encrypted with key {}{unreadable}{refused}", reached.done, reached.total, reached.key)
        },
        || json!({ "done": reached.done, "total": reached.total, "unreadable": reached.unreadable, "refused": reached.refused, "key": reached.key }),
    );
    Ok(if reached.is_complete() { Answer::Yes } else { Answer::No })
}

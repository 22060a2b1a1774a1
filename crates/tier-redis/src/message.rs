//! The text of messages between instances, which other programs may send too.

use serde_json::{Map, Value};
use store_core::Version;
use store_core::facet::{LogKind, Wake};

const SET: &str = "set";
const DELETE: &str = "delete";
const INVALIDATE: &str = "invalidate";
const INVALIDATE_ALL: &str = "invalidate_all";
const INVALIDATE_TAG: &str = "invalidate_tag";

pub(crate) fn encode(wake: &Wake) -> String {
    let operation = match wake.kind {
        LogKind::Put => SET,
        LogKind::Delete => DELETE,
        LogKind::Invalidate if wake.key.is_none() => INVALIDATE_ALL,
        LogKind::InvalidateTag => INVALIDATE_TAG,
        _ => INVALIDATE,
    };
    let mut message = Map::new();
    message.insert("schema".to_owned(), wake.schema.as_str().into());
    message.insert(key_field(wake.kind).to_owned(), wake.key.as_deref().into());
    message.insert("op".to_owned(), operation.into());
    if let Some(origin) = wake.origin {
        message.insert("origin".to_owned(), format!("{origin:016x}").into());
    }
    if let Some(version) = wake.version {
        message.insert("version".to_owned(), version.get().into());
    }
    Value::Object(message).to_string()
}

/// What holds the wake's key.
fn key_field(kind: LogKind) -> &'static str {
    if kind == LogKind::InvalidateTag { "tag" } else { "id" }
}

/// Reads a message; `None` if it is none.
pub(crate) fn decode(text: &[u8]) -> Option<Wake> {
    let message: Map<String, Value> = serde_json::from_slice(text).ok()?;
    let kind = match message.get("op")?.as_str()? {
        SET => LogKind::Put,
        DELETE => LogKind::Delete,
        INVALIDATE | INVALIDATE_ALL => LogKind::Invalidate,
        INVALIDATE_TAG => LogKind::InvalidateTag,
        _ => return None,
    };
    let key = match message.get(key_field(kind)) {
        None | Some(Value::Null) if kind == LogKind::InvalidateTag => return None,
        None | Some(Value::Null) => None,
        Some(Value::String(id)) => Some(id.clone()),
        Some(Value::Number(id)) if id.is_i64() || id.is_u64() => Some(id.to_string()),
        Some(_) => return None,
    };
    let is_of_all = message.get("op").is_some_and(|operation| operation == INVALIDATE_ALL);
    Some(Wake {
        schema: message.get("schema")?.as_str()?.to_owned(),
        key: key.filter(|_| !is_of_all),
        kind,
        version: message.get("version").and_then(Value::as_u64).map(Version::new),
        // Whoever writes something else there is no instance of Strata.
        origin: message.get("origin").and_then(Value::as_str).and_then(|origin| u64::from_str_radix(origin, 16).ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wake(key: Option<&str>, kind: LogKind) -> Wake {
        Wake { schema: "city".to_owned(), key: key.map(str::to_owned), kind, version: None, origin: None }
    }

    #[test]
    fn the_fields_are_fixed() {
        let own = Wake { version: Some(Version::new(u64::MAX)), origin: Some(0x1f), ..wake(Some("7"), LogKind::Put) };
        let text = r#"{"schema":"city","id":"7","op":"set","origin":"000000000000001f","version":18446744073709551615}"#;
        let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(value(&encode(&own)), value(text));
        assert_eq!(decode(text.as_bytes()), Some(own));
    }

    #[test]
    fn what_was_written_is_read() {
        for key in [None, Some("a%3Ab:7"), Some("\"\n\u{1F600}"), Some("")] {
            for kind in [LogKind::Put, LogKind::Delete, LogKind::Invalidate] {
                assert_eq!(decode(encode(&wake(key, kind)).as_bytes()), Some(wake(key, kind)));
            }
        }
        let of_tag = wake(Some("a=b"), LogKind::InvalidateTag);
        assert_eq!(decode(encode(&of_tag).as_bytes()), Some(of_tag));
    }

    #[test]
    fn messages_of_other_programs_are_read() {
        for (text, expected) in [
            (r#"{"schema":"city","id":"7","op":"set"}"#, wake(Some("7"), LogKind::Put)),
            (r#"{"op":"delete","schema":"city","id":7}"#, wake(Some("7"), LogKind::Delete)),
            (r#"{"schema":"city","id":"7","op":"invalidate","more":[1]}"#, wake(Some("7"), LogKind::Invalidate)),
            (r#"{"schema":"city","id":null,"op":"invalidate"}"#, wake(None, LogKind::Invalidate)),
            (r#"{"schema":"city","op":"invalidate_tag","tag":"country=PE"}"#, wake(Some("country=PE"), LogKind::InvalidateTag)),
            (r#"{"schema":"city","op":"invalidate_all"}"#, wake(None, LogKind::Invalidate)),
            (r#"{"schema":"city","id":"7","op":"invalidate_all","origin":"billing"}"#, wake(None, LogKind::Invalidate)),
        ] {
            assert_eq!(decode(text.as_bytes()), Some(expected), "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_message() {
        for text in [
            "",
            "city",
            "[]",
            r#"{"schema":"city","id":"7"}"#,
            r#"{"schema":"city","id":"7","op":"drop"}"#,
            r#"{"schema":"city","id":"7","op":"invalidate_tag"}"#,
            r#"{"schema":"city","id":7.5,"op":"set"}"#,
            r#"{"schema":"city","id":["7"],"op":"set"}"#,
            r#"{"schema":7,"id":"7","op":"set"}"#,
            r#"{"id":"7","op":"set"}"#,
            r#"{"schema":"city","id":"7","op":"set"}}"#,
        ] {
            assert_eq!(decode(text.as_bytes()), None, "{text}");
        }
        assert_eq!(decode(b"\xFF"), None);
    }
}

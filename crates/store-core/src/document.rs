//! Nested values whose form has versions.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::upgrade::UpgradeError;

/// Where the version stands in the document.
const VERSION: &str = "_v";

thread_local! {
    static UPGRADED: Cell<bool> = const { Cell::new(false) };
}

/// A type that is nested in a column as JSON and whose form has versions. Derive it, and wrap the field's type in [`Versioned`].
///
/// The document holds its version in `_v`; one without has version 0. So the type has no field of that name, nor may what it flattens.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use store_core::{Schema as _, Upgrade, UpgradeError, Value, Versioned};
/// use store_derive::{Document, Schema};
///
/// #[derive(Serialize, Deserialize, Document)]
/// #[document(version = 0)]
/// struct AddressV0 {
///     line: String,
/// }
///
/// #[derive(Serialize, Deserialize, Document)]
/// #[document(version = 1, upgrade_from = AddressV0)]
/// struct Address {
///     street: String,
///     city: String,
/// }
///
/// impl Upgrade<AddressV0> for Address {
///     fn upgrade(old: AddressV0) -> Result<Self, UpgradeError> {
///         let (street, city) = old.line.split_once(", ").ok_or("the address has no city")?;
///         Ok(Address { street: street.into(), city: city.into() })
///     }
/// }
///
/// #[derive(Schema)]
/// struct Person {
///     #[schema(primary_key)]
///     id: i64,
///     address: Versioned<Address>,
/// }
///
/// let stored = vec![Value::from(1), Value::Json(r#"{"line":"Jirón Puno, Lima"}"#.into())];
/// let person = Person::from_row(stored)?;
/// assert_eq!(person.address.city, "Lima");
/// assert_eq!(person.to_row()?[1], Value::Json(r#"{"_v":1,"street":"Jirón Puno","city":"Lima"}"#.into()));
/// # Ok::<(), store_core::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no document with versions",
    note = "derive it: `#[derive(Serialize, Deserialize, Document)] #[document(version = 1)]`"
)]
pub trait Document: Serialize + DeserializeOwned {
    /// The version of this form.
    const VERSION: u32;

    /// Reads a document of this version or an older one, without its `_v`.
    ///
    /// # Errors
    ///
    /// A version that no type is known of, a document that does not fit its type, or an upgrade that failed.
    fn of_version(version: u32, document: serde_json::Value) -> Result<Self, UpgradeError>;
}

/// Reads what is of this very version.
pub(crate) fn read<D: Document>(version: u32, document: serde_json::Value) -> Result<D, UpgradeError> {
    if version == D::VERSION {
        return Ok(serde_json::from_value(document)?);
    }
    let newest = D::VERSION;
    Err(match version > newest {
        true => format!("the document is of version {version}, and this build knows none above {newest}; a newer build wrote it").into(),
        false => {
            format!("the document is of version {version}, and this build knows none below {newest}; name its type with `upgrade_from`")
                .into()
        }
    })
}

/// Passes a document of a version on to the type before.
pub(crate) fn upgraded<D: Document + crate::Upgrade<Old>, Old: Document>(
    version: u32,
    document: serde_json::Value,
) -> Result<D, UpgradeError> {
    let old = Old::of_version(version, document)?;
    let (from, to) = (Old::VERSION, D::VERSION);
    // A panic of the program's own code goes no further.
    match catch_unwind(AssertUnwindSafe(|| D::upgrade(old))) {
        Ok(upgraded) => upgraded.map_err(|source| format!("the upgrade from version {from} to {to} answered \"{source}\"").into()),
        Err(_) => Err(format!("the upgrade from version {from} to {to} panicked; the panic's own message says where").into()),
    }
}

/// Does something, and tells whether a document was upgraded meanwhile.
pub(crate) fn watch<R>(work: impl FnOnce() -> R) -> (R, bool) {
    let before = UPGRADED.replace(false);
    let answer = work();
    (answer, UPGRADED.replace(before))
}

/// A [`Document`] in its place: a field of a model, or anything within one. It dereferences to the document.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// use store_core::Versioned;
/// # use store_derive::Document;
/// # #[derive(Serialize, Deserialize, Document)]
/// # #[document(version = 3)]
/// # struct Settings {
/// #     theme: String,
/// # }
///
/// let mut settings = Versioned(Settings { theme: "dark".into() });
/// settings.theme = "light".into();
/// assert_eq!(settings.0.theme, "light");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Versioned<D>(
    /// The document.
    pub D,
);

impl<D> Deref for Versioned<D> {
    type Target = D;

    fn deref(&self) -> &D {
        &self.0
    }
}

impl<D> DerefMut for Versioned<D> {
    fn deref_mut(&mut self) -> &mut D {
        &mut self.0
    }
}

impl<D> From<D> for Versioned<D> {
    fn from(document: D) -> Self {
        Versioned(document)
    }
}

#[derive(Serialize)]
struct Stored<'a, D> {
    #[serde(rename = "_v")]
    version: u32,
    #[serde(flatten)]
    document: &'a D,
}

impl<D: Document> Serialize for Versioned<D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Stored { version: D::VERSION, document: &self.0 }.serialize(serializer)
    }
}

impl<'de, D: Document> Deserialize<'de> for Versioned<D> {
    fn deserialize<R: Deserializer<'de>>(deserializer: R) -> Result<Self, R::Error> {
        let mut document = serde_json::Map::<String, serde_json::Value>::deserialize(deserializer)?;
        let given = document.remove(VERSION);
        let assumed = if given.is_none() { ", read as of version 0 since it has no `_v`" } else { "" };
        let version = match given {
            None => 0,
            Some(given) => given
                .as_u64()
                .and_then(|version| u32::try_from(version).ok())
                .ok_or_else(|| R::Error::custom(format!("`{VERSION}` is no version: not a whole number from 0 to {}", u32::MAX)))?,
        };
        let document = D::of_version(version, document.into()).map_err(|error| R::Error::custom(format!("{error}{assumed}")))?;
        if version != D::VERSION {
            UPGRADED.set(true);
        }
        Ok(Versioned(document))
    }
}

/// Whether a document in `before` has another version than in `after`, which is the same upgraded, or stands elsewhere.
pub(crate) fn differs(before: &serde_json::Value, after: &serde_json::Value) -> bool {
    use serde_json::Value;
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            before.get(VERSION) != after.get(VERSION)
                || before.iter().any(|(name, before)| after.get(name).map_or_else(|| has_version(before), |after| differs(before, after)))
                || after.iter().any(|(name, after)| !before.contains_key(name) && has_version(after))
        }
        (Value::Array(before), Value::Array(after)) => {
            let common = before.len().min(after.len());
            before.iter().zip(after).any(|(before, after)| differs(before, after))
                || before[common..].iter().chain(&after[common..]).any(has_version)
        }
        _ => has_version(before) || has_version(after),
    }
}

fn has_version(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Object(fields) => fields.contains_key(VERSION) || fields.values().any(has_version),
        serde_json::Value::Array(items) => items.iter().any(has_version),
        _ => false,
    }
}

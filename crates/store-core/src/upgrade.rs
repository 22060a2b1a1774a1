//! Models and documents of older versions, and how they become those of this build.

use std::error::Error as StdError;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::schema::{Schema, SchemaDefinition};
use crate::value::Row;

/// Why an upgrade failed: any error, or a text.
pub type UpgradeError = Box<dyn StdError + Send + Sync + 'static>;

/// How a model or [document](crate::Document) is made of the version before it.
///
/// Implement it on the newer type, and name the older one: `#[schema(version = 2, upgrade_from = PlayerV1)]`. Upgrades chain: what an older version yet
/// wrote passes each of them in turn.
///
/// It runs whenever something old is read, perhaps several times and in several processes for the same record. So it answers the same for the same record
/// each time, and changes nothing else. A model keeps its key.
///
/// ```
/// use store_core::{Schema as _, Upgrade, UpgradeError};
/// use store_derive::Schema;
///
/// #[derive(Schema)]
/// #[schema(name = "player")]
/// struct PlayerV1 {
///     #[schema(primary_key)]
///     id: i64,
///     name: String,
/// }
///
/// #[derive(Schema)]
/// #[schema(version = 2, upgrade_from = PlayerV1)]
/// struct Player {
///     #[schema(primary_key)]
///     id: i64,
///     first_name: String,
///     last_name: String,
/// }
///
/// impl Upgrade<PlayerV1> for Player {
///     fn upgrade(old: PlayerV1) -> Result<Self, UpgradeError> {
///         let (first, last) = old.name.split_once(' ').ok_or("the name has no two parts")?;
///         Ok(Player { id: old.id, first_name: first.into(), last_name: last.into() })
///     }
/// }
///
/// let ada = Player::upgrade(PlayerV1 { id: 1, name: "Ada Lovelace".into() }).unwrap();
/// assert_eq!((&*ada.first_name, &*ada.last_name), ("Ada", "Lovelace"));
/// assert_eq!(Player::definition().version(), 2);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say how it is made of a `{Old}`",
    note = "write `impl Upgrade<{Old}> for {Self} {{ fn upgrade(old: {Old}) -> Result<Self, UpgradeError> {{ … }} }}`"
)]
pub trait Upgrade<Old>: Sized {
    /// Makes this version of the one before.
    ///
    /// # Errors
    ///
    /// Anything that makes the old content impossible to carry over. The read fails with [`DecodeFailed`](ErrorKind::DecodeFailed), of which this is the
    /// source, unless another tier has the record.
    fn upgrade(old: Old) -> Result<Self, UpgradeError>;
}

/// What becomes of a record or document that was upgraded while it was read.
///
/// ```
/// use store_core::{Schema, UpgradePolicy};
/// # use store_derive::Schema;
///
/// #[derive(Schema)]
/// #[schema(upgrade_policy = "write_back")]
/// struct City {
///     #[schema(primary_key)]
///     id: i64,
/// }
///
/// assert_eq!(City::definition().policies().upgrades.policy, Some(UpgradePolicy::WriteBack));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UpgradePolicy {
    /// It is upgraded in memory, at each read.
    #[default]
    OnRead,
    /// It is also written back, in the background, unless it was written meanwhile. What fails is logged and tried again with a later read.
    WriteBack,
}

/// The older versions of a model that its records may still have, newest first. `#[derive(Schema)]` makes it of `upgrade_from`.
pub struct Upgrades<T>(pub(crate) Vec<OlderVersion<T>>);

/// One older version of a model.
pub(crate) struct OlderVersion<T> {
    pub(crate) definition: &'static SchemaDefinition,
    upgrade: Arc<dyn Fn(Row<'static>) -> Result<T> + Send + Sync>,
}

impl<T> OlderVersion<T> {
    /// The model for a row of this version. A panic of the program's own code goes no further.
    pub(crate) fn upgrade(&self, row: Row<'static>) -> Result<T> {
        catch_unwind(AssertUnwindSafe(|| (self.upgrade)(row))).unwrap_or_else(|_| {
            let message = format!("an upgrade from version {} panicked; the panic's own message says where", self.definition.version());
            Err(Error::new(ErrorKind::DecodeFailed, message))
        })
    }
}

impl<T> Upgrades<T> {
    /// None: what another version wrote is not read.
    pub const fn none() -> Self {
        Upgrades(Vec::new())
    }
}

impl<T: Schema> Upgrades<T> {
    /// The version before, and all before that.
    pub(crate) fn from<Old: Schema<Key = T::Key>>() -> Self
    where
        T: Upgrade<Old>,
    {
        let step = |old: Old| T::upgrade(old).map_err(|source| failed(Old::VERSION, T::VERSION, source));
        let newest = OlderVersion { definition: Old::definition(), upgrade: Arc::new(move |row| step(Old::from_row(row)?)) };
        let older = Old::upgrades()
            .0
            .into_iter()
            .map(|older| OlderVersion { definition: older.definition, upgrade: Arc::new(move |row| step((older.upgrade)(row)?)) });
        Upgrades(std::iter::once(newest).chain(older).collect())
    }
}

/// The text is the program's own.
pub(crate) fn failed(from: u32, to: u32, source: UpgradeError) -> Error {
    let message = format!("the upgrade from version {from} to {to} answered \"{source}\"; mend it, or the stored record");
    Error::new(ErrorKind::DecodeFailed, message).with_source(source)
}

impl<T> fmt::Debug for Upgrades<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|older| older.definition.version())).finish()
    }
}

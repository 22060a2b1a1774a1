//! Writes that depend on what is there, and changes of a part of a record.

use super::Collection;
use crate::error::{Error, ErrorKind, Result};
use crate::facet::Condition;
use crate::key::{AsKey, Key};
use crate::load::LoadError;
use crate::query::Changes;
use crate::record::Record;
use crate::schema::Schema;
use crate::version::Version;

/// What the function that is given to [`Collection::update`] may answer: nothing, or a `Result` whose error refuses the update.
///
/// ```
/// use store_core::UpdateOutcome;
///
/// assert!(().into_result().is_ok());
/// let refused: Result<(), &str> = Err("the account is closed");
/// assert!(refused.into_result().is_err());
/// ```
#[diagnostic::on_unimplemented(
    message = "the function that is given to `update` answers `{Self}`",
    note = "let it answer nothing (end it with `;`), or a `Result<(), E>` whose error refuses the update"
)]
pub trait UpdateOutcome {
    /// Whether to write, or the error for the caller.
    ///
    /// # Errors
    ///
    /// The program's own: an [`Error`] as it is, any other as the source of one of kind [`Refused`](ErrorKind::Refused).
    fn into_result(self) -> Result<()>;
}

impl UpdateOutcome for () {
    fn into_result(self) -> Result<()> {
        Ok(())
    }
}

impl<E: Into<LoadError>> UpdateOutcome for std::result::Result<(), E> {
    fn into_result(self) -> Result<()> {
        self.map_err(|error| match error.into().downcast::<Error>() {
            Ok(error) => *error,
            Err(error) => {
                Error::new(ErrorKind::Refused, "the function given to `update` refused; its error is the source").with_source(error)
            }
        })
    }
}

impl<T: Schema> Collection<T> {
    /// Writes a record that is not there yet, and answers it as it is stored.
    ///
    /// # Errors
    ///
    /// [`Conflict`](ErrorKind::Conflict) if there is a record of the key, whose version the message tells; nothing is written then. Else as [`set`](Self::set).
    ///
    /// ```
    /// use store_core::ErrorKind;
    /// # #[derive(Debug, store_derive::Schema)] #[schema(cache_only)] struct City { #[schema(primary_key)] id: i64, name: String }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> store_core::Result<()> {
    /// # let store = store_core::Store::builder().tier(store_testkit::ModelRecords::new()).schema::<City>().build().await?;
    /// let cities = store.collection::<City>()?;
    /// cities.insert_only(City { id: 7, name: "Lima".into() }).await?;
    /// let refused = cities.insert_only(City { id: 7, name: "Cusco".into() }).await.unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::Conflict);
    /// assert_eq!(cities.get_or_err(7).await?.name, "Lima");
    /// # Ok(()) }
    /// ```
    pub async fn insert_only(&self, model: T) -> Result<Record<T>> {
        self.set_if("insert_only", model, Condition::Absent).await
    }

    /// Writes a record if the one that is there has this version, and answers it as it is stored. What was deleted and inserted anew has another version.
    ///
    /// # Errors
    ///
    /// [`Conflict`](ErrorKind::Conflict) if there is no record, or one of another version, which the message tells; nothing is written then, and the next read
    /// shows what is there. [`InvalidQuery`](ErrorKind::InvalidQuery) if [`Hooks::before_set`](crate::Hooks::before_set) changes the key. Else as [`set`](Self::set).
    ///
    /// ```
    /// use store_core::ErrorKind;
    /// # #[derive(Debug, store_derive::Schema)] #[schema(cache_only)] struct City { #[schema(primary_key)] id: i64, name: String }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> store_core::Result<()> {
    /// # let store = store_core::Store::builder().tier(store_testkit::ModelRecords::new()).schema::<City>().build().await?;
    /// let cities = store.collection::<City>()?;
    /// let first = cities.set(City { id: 7, name: "Lima".into() }).await?;
    /// let second = cities.set_if_version(City { id: 7, name: "Ciudad de los Reyes".into() }, first.version()).await?;
    /// let late = cities.set_if_version(City { id: 7, name: "Rímac".into() }, first.version()).await.unwrap_err();
    /// assert_eq!(late.kind(), ErrorKind::Conflict);
    /// assert_eq!(cities.get_record(7).await?.map(|city| city.version()), Some(second.version()));
    /// # Ok(()) }
    /// ```
    pub async fn set_if_version(&self, model: T, version: Version) -> Result<Record<T>> {
        self.set_if("set_if_version", model, Condition::Version(version)).await
    }

    async fn set_if(&self, operation: &'static str, model: T, condition: Condition) -> Result<Record<T>> {
        let text = model.key().to_text();
        let write = self.pipeline.within_write_limit(self.pipeline.set_if(model, condition, &self.tags));
        self.pipeline.call_for(operation, text, write).await
    }

    /// Reads a record from the truth, with all its columns, lets `change` change it, and writes it: atomically, as if nobody else wrote meanwhile. Answers what
    /// is stored then, or `None` if there is no record.
    ///
    /// If another write comes between, all of it is done again, up to [`update_retries`](crate::Settings::update_retries) times, with short random pauses: so
    /// `change` may run several times, each time on what is there then, and should do nothing but change the record. If it answers an error, nothing is written.
    ///
    /// # Errors
    ///
    /// [`Conflict`](ErrorKind::Conflict) if other writes came between each time; [`Refused`](ErrorKind::Refused) if `change` answers an error, which is its
    /// source; [`InvalidQuery`](ErrorKind::InvalidQuery) if it, or [`Hooks::before_set`](crate::Hooks::before_set), changes the key. Else as [`get`](Self::get) and [`set`](Self::set).
    ///
    /// ```
    /// use store_core::ErrorKind;
    /// # #[derive(Debug, store_derive::Schema)] #[schema(cache_only)] struct Account { #[schema(primary_key)] id: i64, balance: i64 }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> store_core::Result<()> {
    /// # let store = store_core::Store::builder().tier(store_testkit::ModelRecords::new()).schema::<Account>().build().await?;
    /// let accounts = store.collection::<Account>()?;
    /// accounts.set(Account { id: 7, balance: 100 }).await?;
    /// let paid_in = accounts.update(7, |account| account.balance += 20).await?;
    /// assert_eq!(paid_in.map(|account| account.balance), Some(120));
    ///
    /// let refused = accounts.update(7, |account| {
    ///     account.balance = account.balance.checked_sub(200).filter(|left| *left >= 0).ok_or("not so much is there")?;
    ///     Ok::<(), &str>(())
    /// });
    /// assert_eq!(refused.await.unwrap_err().kind(), ErrorKind::Refused);
    /// assert_eq!(accounts.get_or_err(7).await?.balance, 120);
    /// # Ok(()) }
    /// ```
    pub async fn update<R: UpdateOutcome>(
        &self,
        key: impl AsKey<T::Key>,
        mut change: impl FnMut(&mut T) -> R,
    ) -> Result<Option<Record<T>>> {
        let key = key.as_key().into_owned();
        let text = key.to_text();
        let update = self.pipeline.update(key, &self.tags, |model| change(model).into_result());
        self.pipeline.call_for("update", text, self.pipeline.within_write_limit(update)).await
    }

    /// Sets some columns of a record, and leaves the others to whoever else writes them. Answers what is stored then, or `None` if there is no record.
    ///
    /// The store's stamps are set as by any write; without changes, only they are.
    ///
    /// # Errors
    ///
    /// [`InvalidQuery`](ErrorKind::InvalidQuery) for a key column or a stamped one, a column that is set twice or is another model's. Else as [`set`](Self::set).
    ///
    /// ```
    /// # #[derive(store_derive::Schema)] #[schema(cache_only)] struct City { #[schema(primary_key)] id: i64, name: String, population: i64 }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> store_core::Result<()> {
    /// # let store = store_core::Store::builder().tier(store_testkit::ModelRecords::new()).schema::<City>().build().await?;
    /// let cities = store.collection::<City>()?;
    /// cities.set(City { id: 7, name: "Lima".into(), population: 0 }).await?;
    /// let city = cities.patch(7, City::population().set(10_092_000)).await?;
    /// assert_eq!(city.map(|city| (city.name.clone(), city.population)), Some(("Lima".into(), 10_092_000)));
    /// assert!(cities.patch(8, [City::name().set("Cusco"), City::population().set(428_450)]).await?.is_none());
    /// # Ok(()) }
    /// ```
    pub async fn patch(&self, key: impl AsKey<T::Key>, changes: impl Into<Changes<T>>) -> Result<Option<Record<T>>> {
        let key = key.as_key().into_owned();
        let text = key.to_text();
        let patch = self.pipeline.patch(key, changes.into(), &self.tags);
        self.pipeline.call_for("patch", text, self.pipeline.within_write_limit(patch)).await
    }
}

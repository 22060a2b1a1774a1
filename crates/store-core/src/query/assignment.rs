//! Changes of single columns.

use std::fmt;
use std::marker::PhantomData;

use super::column_name::ColumnName;
use crate::error::{Error, ErrorKind, Result};
use crate::schema::{SchemaDefinition, Stamp};
use crate::value::Value;

/// A value that a column of type `F` can be set to: an `F`, what an `Option` holds, or a `&str` for a `String`.
///
/// ```
/// use store_core::IntoField;
///
/// let name: String = "Lima".into_field();
/// let country: Option<String> = "PE".into_field();
/// assert_eq!((name.as_str(), country.as_deref()), ("Lima", Some("PE")));
/// ```
#[diagnostic::on_unimplemented(message = "a column of type `{F}` cannot be set to `{Self}`")]
pub trait IntoField<F> {
    /// The field.
    fn into_field(self) -> F;
}

#[diagnostic::do_not_recommend]
impl<F> IntoField<F> for F {
    fn into_field(self) -> F {
        self
    }
}

#[diagnostic::do_not_recommend]
impl<F> IntoField<Option<F>> for F {
    fn into_field(self) -> Option<F> {
        Some(self)
    }
}

impl IntoField<String> for &str {
    fn into_field(self) -> String {
        self.to_owned()
    }
}

impl IntoField<Option<String>> for &str {
    fn into_field(self) -> Option<String> {
        Some(self.to_owned())
    }
}

/// A column of the model `T` and its new value: `City::population().set(5)`.
///
/// ```
/// use store_core::Changes;
/// # #[derive(store_derive::Schema)] struct City { #[schema(primary_key)] id: i64, name: String, country: Option<String> }
///
/// let one: Changes<City> = City::name().set("Lima").into();
/// let two: Changes<City> = [City::name().set("Lima"), City::country().set(None)].into();
/// assert_eq!((one.len(), two.len()), (1, 2));
/// ```
pub struct Assignment<T> {
    column: ColumnName,
    value: Result<Value<'static>>,
    model: PhantomData<fn() -> T>,
}

impl<T> Assignment<T> {
    pub(super) fn new(column: ColumnName, value: Result<Value<'static>>) -> Self {
        Assignment { column, value, model: PhantomData }
    }
}

impl<T> fmt::Debug for Assignment<T> {
    /// Without the value, which a log should not show.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Assignment({})", self.column)
    }
}

/// Changes of some columns of a record: one [`Assignment`], or an array, a `Vec` or an iterator of them.
///
/// ```
/// use store_core::Changes;
/// # #[derive(store_derive::Schema)] struct City { #[schema(primary_key)] id: i64, name: String, population: i64 }
///
/// let (name, population) = (Some("Lima"), None::<i64>);
/// let given: Changes<City> =
///     name.map(|name| City::name().set(name)).into_iter().chain(population.map(|population| City::population().set(population))).collect();
/// assert_eq!(given.len(), 1);
/// ```
pub struct Changes<T>(Vec<Assignment<T>>);

impl<T> Changes<T> {
    /// How many columns they change.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether they change none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The columns' positions and their values.
    pub(crate) fn into_values(self, definition: &SchemaDefinition) -> Result<Vec<(usize, Value<'static>)>> {
        let mut values: Vec<(usize, Value<'static>)> = Vec::with_capacity(self.0.len());
        for Assignment { column, value, .. } in self.0 {
            let refuse = |reason: String| Error::new(ErrorKind::InvalidQuery, reason).with_column(column.to_name());
            let position = column.position_in(definition).map_err(refuse)?;
            let defined = &definition.columns()[position];
            if defined.is_key {
                return Err(refuse("a record keeps its key; write the other record with `set` and delete this one".to_owned()));
            }
            if defined.stamp != Stamp::Never {
                return Err(refuse("the store stamps this column itself; leave it out".to_owned()));
            }
            if values.iter().any(|(other, _)| *other == position) {
                return Err(refuse("the column is set twice; set it once".to_owned()));
            }
            values.push((position, value?));
        }
        Ok(values)
    }
}

impl<T> FromIterator<Assignment<T>> for Changes<T> {
    fn from_iter<I: IntoIterator<Item = Assignment<T>>>(assignments: I) -> Self {
        Changes(assignments.into_iter().collect())
    }
}

impl<T> From<Assignment<T>> for Changes<T> {
    fn from(assignment: Assignment<T>) -> Self {
        Changes(vec![assignment])
    }
}

impl<T> From<Vec<Assignment<T>>> for Changes<T> {
    fn from(assignments: Vec<Assignment<T>>) -> Self {
        Changes(assignments)
    }
}

impl<T, const N: usize> From<[Assignment<T>; N]> for Changes<T> {
    fn from(assignments: [Assignment<T>; N]) -> Self {
        Changes(assignments.into())
    }
}

impl<T> fmt::Debug for Changes<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Changes").field(&self.0).finish()
    }
}

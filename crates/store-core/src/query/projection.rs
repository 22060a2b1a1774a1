//! Some columns of a row instead of the whole record.

use super::column::Column;
use crate::error::{Error, ErrorKind, Result};
use crate::value::{Row, Value};

/// A type that is read from some columns of the model `T`. Derive it with `#[derive(Projection)]` and `#[projection(of = City)]`.
///
/// ```
/// use store_core::{Projection, Value};
/// # use store_derive::{Projection, Schema};
///
/// #[derive(Schema)]
/// struct City {
///     #[schema(primary_key)]
///     id: i64,
///     name: String,
///     population: i64,
/// }
///
/// #[derive(Projection)]
/// #[projection(of = City)]
/// struct Label {
///     name: String,
///     #[projection(column = "population")]
///     inhabitants: i64,
/// }
///
/// assert_eq!(Label::columns(), ["name", "population"]);
/// let label = Label::from_values(vec![Value::from("Lima"), Value::from(7_737_002)])?;
/// assert_eq!((label.name.as_str(), label.inhabitants), ("Lima", 7_737_002));
/// # Ok::<(), store_core::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a projection of `{T}`",
    note = "add `#[derive(Projection)]` and `#[projection(of = …)]` to it"
)]
pub trait Projection<T>: Sized {
    /// The names of the columns, in the order that [`from_values`](Self::from_values) takes them.
    fn columns() -> Vec<&'static str>;

    /// Reads one row's values.
    ///
    /// # Errors
    ///
    /// [`DecodeFailed`](ErrorKind::DecodeFailed).
    fn from_values(values: Row<'static>) -> Result<Self>;
}

/// A choice of typed columns: one, or a tuple of up to eight. A search with it answers their values.
///
/// ```
/// use store_core::{Columns, Value};
/// # use store_derive::Schema;
/// # #[derive(Schema)]
/// # struct City {
/// #     #[schema(primary_key)]
/// #     id: i64,
/// #     name: String,
/// #     population: i64,
/// # }
///
/// let columns = (City::name(), City::population());
/// let (name, population) = columns.decode(vec![Value::from("Lima"), Value::from(7_737_002)])?;
/// assert_eq!((name.as_str(), population), ("Lima", 7_737_002));
/// # Ok::<(), store_core::Error>(())
/// ```
pub trait Columns<T> {
    /// What one row becomes.
    type Output: Send;

    /// The names, in order.
    fn names(&self) -> Vec<&'static str>;

    /// Reads one row's values.
    ///
    /// # Errors
    ///
    /// [`DecodeFailed`](ErrorKind::DecodeFailed).
    fn decode(&self, values: Row<'static>) -> Result<Self::Output>;
}

fn too_few() -> Error {
    Error::new(ErrorKind::Internal, "a projection got fewer values than it has columns")
}

fn next<T, F>(column: &Column<T, F>, values: &mut impl Iterator<Item = Value<'static>>) -> Result<F> {
    column.decode_value(values.next().ok_or_else(too_few)?)
}

impl<T, F: Send> Columns<T> for Column<T, F> {
    type Output = F;

    fn names(&self) -> Vec<&'static str> {
        vec![self.name()]
    }

    fn decode(&self, values: Row<'static>) -> Result<F> {
        next(self, &mut values.into_iter())
    }
}

macro_rules! tuple_columns {
    ($($field:ident $position:tt),*) => {
        impl<T, $($field: Send),*> Columns<T> for ($(Column<T, $field>,)*) {
            type Output = ($($field,)*);

            fn names(&self) -> Vec<&'static str> {
                vec![$(self.$position.name()),*]
            }

            fn decode(&self, values: Row<'static>) -> Result<Self::Output> {
                let mut values = values.into_iter();
                Ok(($(next(&self.$position, &mut values)?,)*))
            }
        }
    };
}
tuple_columns!(A 0);
tuple_columns!(A 0, B 1);
tuple_columns!(A 0, B 1, C 2);
tuple_columns!(A 0, B 1, C 2, D 3);
tuple_columns!(A 0, B 1, C 2, D 3, E 4);
tuple_columns!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple_columns!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple_columns!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);

//! What a typed column can be compared with.

use crate::error::Result;
use crate::field::Scalar;
use crate::value::Value;

/// A value that a column of type `F` can be compared with: an `F`, what an `Option` holds, or a borrowed form such as `&str`.
///
/// ```
/// use store_core::Operand;
///
/// let text = <&str as Operand<String>>::to_operand(&"Lima")?;
/// assert_eq!(text, <String as Operand<Option<String>>>::to_operand(&String::from("Lima"))?);
/// # Ok::<(), store_core::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "a column of type `{F}` cannot be compared with `{Self}`",
    note = "compare with a bare value of the column's type, without `Some`; find NULL with `is_null()`, other values with `is_not_null()`"
)]
pub trait Operand<F> {
    /// The value to send.
    ///
    /// # Errors
    ///
    /// [`InvalidValue`](crate::ErrorKind::InvalidValue) for a value that no column holds.
    fn to_operand(&self) -> Result<Value<'static>>;

    /// Whether the exact value lies between the one to send and the next one that a column holds, as a time finer than a microsecond does.
    fn is_cut(&self) -> bool;
}

#[diagnostic::do_not_recommend]
impl<F: Scalar> Operand<F> for F {
    fn to_operand(&self) -> Result<Value<'static>> {
        self.to_value().map(Value::into_owned)
    }

    fn is_cut(&self) -> bool {
        Scalar::is_cut(self)
    }
}

#[diagnostic::do_not_recommend]
impl<F: Scalar> Operand<Option<F>> for F {
    fn to_operand(&self) -> Result<Value<'static>> {
        self.to_value().map(Value::into_owned)
    }

    fn is_cut(&self) -> bool {
        Scalar::is_cut(self)
    }
}

macro_rules! borrowed {
    ($borrowed:ty => $owned:ty) => {
        impl Operand<$owned> for &$borrowed {
            fn to_operand(&self) -> Result<Value<'static>> {
                Ok(Value::from(*self).into_owned())
            }

            fn is_cut(&self) -> bool {
                false
            }
        }

        impl Operand<Option<$owned>> for &$borrowed {
            fn to_operand(&self) -> Result<Value<'static>> {
                Ok(Value::from(*self).into_owned())
            }

            fn is_cut(&self) -> bool {
                false
            }
        }
    };
}
borrowed!(str => String);
borrowed!(String => String);
borrowed!([u8] => Vec<u8>);
borrowed!([u8] => bytes::Bytes);

//! Keys of several columns.

use std::borrow::Cow;

use super::{AsKey, Key, KeyPart};
use crate::error::{Error, ErrorKind, Result};
use crate::field::Scalar;
use crate::value::Value;

fn wrong_count(expected: usize, found: usize) -> Error {
    Error::new(ErrorKind::DecodeFailed, format!("the key has {expected} parts, {found} were given"))
}

macro_rules! tuple_key {
    ($count:literal: $($part:ident $borrowed:ident $position:tt),*) => {
        impl<$($part: KeyPart),*> Key for ($($part,)*) {
            type Borrowed = Self;
            const PARTS: usize = $count;

            fn to_values(key: &Self) -> Result<Vec<Value<'_>>> {
                Ok(vec![$(Scalar::to_value(&key.$position)?),*])
            }

            fn from_values(values: Vec<Value<'static>>) -> Result<Self> {
                let found = values.len();
                let mut values = values.into_iter();
                let key = ($($part::from_value(values.next().ok_or_else(|| wrong_count($count, found))?)?,)*);
                if found == $count { Ok(key) } else { Err(wrong_count($count, found)) }
            }

            fn is_empty(key: &Self) -> bool {
                $(key.$position.is_empty_part())||*
            }

            fn write_text(key: &Self, output: &mut String) {
                $(
                    if $position > 0 {
                        output.push(':');
                    }
                    key.$position.write_part(output);
                )*
            }

            fn from_text(text: &str) -> Result<Self> {
                let found = text.split(':').count();
                if found != $count {
                    return Err(wrong_count($count, found));
                }
                let mut parts = text.split(':');
                Ok(($($part::read_part(parts.next().unwrap_or_default())?,)*))
            }
        }

        impl<$($part: KeyPart,)* $($borrowed: AsKey<$part>),*> AsKey<($($part,)*)> for ($($borrowed,)*)
        where
            $($part: Key),*
        {
            fn as_key(&self) -> Cow<'_, ($($part,)*)> {
                Cow::Owned(($(self.$position.as_key().into_owned(),)*))
            }
        }
    };
}

tuple_key!(2: A PA 0, B PB 1);
tuple_key!(3: A PA 0, B PB 1, C PC 2);
tuple_key!(4: A PA 0, B PB 1, C PC 2, D PD 3);

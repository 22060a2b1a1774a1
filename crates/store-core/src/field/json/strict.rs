//! A serializer that refuses what JSON could not give back.

use std::cell::Cell;

use serde::ser::{
    Error as _, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple, SerializeTupleStruct,
    SerializeTupleVariant, Serializer,
};

/// Reading JSON ends at 128 levels.
const DEEPEST: usize = 127;

/// Why a value was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    NotFinite,
    SomeOfNull,
    TooDeep,
}

impl Refusal {
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Refusal::NotFinite => {
                "it holds NaN or an infinity, which JSON lacks; store an `Option`, or a number or text that says what is meant"
            }
            Refusal::SomeOfNull => {
                "it holds a `Some` whose content is written as null, so that it would be read as `None`; use an enum that tells the cases apart"
            }
            Refusal::TooDeep => "it is nested more than 127 levels deep; flatten it, or store it as text or bytes",
        }
    }
}

/// Passes values on to another serializer, which writes JSON.
pub(super) struct Strict<'a, S> {
    inner: S,
    /// How many lists, maps and variants are around this place.
    depth: usize,
    /// Whether this is the content of a `Some`.
    in_some: bool,
    refusal: &'a Cell<Option<Refusal>>,
}

impl<'a, S: Serializer> Strict<'a, S> {
    /// Wraps a serializer. Where it refuses a value, `refusal` says why.
    pub(super) fn new(inner: S, refusal: &'a Cell<Option<Refusal>>) -> Self {
        Strict { inner, depth: 0, in_some: false, refusal }
    }

    fn refuse(self, refusal: Refusal) -> S::Error {
        self.refusal.set(Some(refusal));
        S::Error::custom("refused")
    }

    fn null(self, write: impl FnOnce(S) -> Result<S::Ok, S::Error>) -> Result<S::Ok, S::Error> {
        if self.in_some { Err(self.refuse(Refusal::SomeOfNull)) } else { write(self.inner) }
    }

    /// Goes so many levels deeper.
    fn nested<C>(self, levels: usize, begin: impl FnOnce(S) -> Result<C, S::Error>) -> Result<Nested<'a, C>, S::Error> {
        let (depth, refusal) = (self.depth + levels, self.refusal);
        if depth > DEEPEST {
            return Err(self.refuse(Refusal::TooDeep));
        }
        begin(self.inner).map(|inner| Nested { inner, depth, refusal })
    }
}

/// A value within another.
struct Within<'a, T: ?Sized> {
    value: &'a T,
    depth: usize,
    in_some: bool,
    refusal: &'a Cell<Option<Refusal>>,
}

impl<T: Serialize + ?Sized> Serialize for Within<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(Strict { inner: serializer, depth: self.depth, in_some: self.in_some, refusal: self.refusal })
    }
}

/// A list, a map or the content of a variant.
pub(super) struct Nested<'a, C> {
    inner: C,
    depth: usize,
    refusal: &'a Cell<Option<Refusal>>,
}

impl<C> Nested<'_, C> {
    /// The inner writer, and the value for it.
    fn split<'v, T: ?Sized>(&'v mut self, value: &'v T) -> (&'v mut C, Within<'v, T>) {
        (&mut self.inner, Within { value, depth: self.depth, in_some: false, refusal: self.refusal })
    }
}

macro_rules! passed_on {
    ($($method:ident $type:ty),* $(,)?) => {$(
        fn $method(self, value: $type) -> Result<S::Ok, S::Error> {
            self.inner.$method(value)
        }
    )*};
}

impl<'a, S: Serializer> Serializer for Strict<'a, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Nested<'a, S::SerializeSeq>;
    type SerializeTuple = Nested<'a, S::SerializeTuple>;
    type SerializeTupleStruct = Nested<'a, S::SerializeTupleStruct>;
    type SerializeTupleVariant = Nested<'a, S::SerializeTupleVariant>;
    type SerializeMap = Nested<'a, S::SerializeMap>;
    type SerializeStruct = Nested<'a, S::SerializeStruct>;
    type SerializeStructVariant = Nested<'a, S::SerializeStructVariant>;

    passed_on! {
        serialize_bool bool, serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64, serialize_i128 i128, serialize_u8 u8,
        serialize_u16 u16, serialize_u32 u32, serialize_u64 u64, serialize_u128 u128, serialize_char char, serialize_str &str,
        serialize_bytes &[u8],
    }

    fn serialize_f32(self, value: f32) -> Result<S::Ok, S::Error> {
        if value.is_finite() { self.inner.serialize_f32(value) } else { Err(self.refuse(Refusal::NotFinite)) }
    }

    fn serialize_f64(self, value: f64) -> Result<S::Ok, S::Error> {
        if value.is_finite() { self.inner.serialize_f64(value) } else { Err(self.refuse(Refusal::NotFinite)) }
    }

    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.null(Serializer::serialize_none)
    }

    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.null(Serializer::serialize_unit)
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<S::Ok, S::Error> {
        self.null(|inner| inner.serialize_unit_struct(name))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.serialize_some(&Within { value, depth: self.depth, in_some: true, refusal: self.refusal })
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.serialize_newtype_struct(name, &Within { value, depth: self.depth, in_some: self.in_some, refusal: self.refusal })
    }

    fn serialize_unit_variant(self, name: &'static str, index: u32, variant: &'static str) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit_variant(name, index, variant)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let variant_of = self.nested(1, Ok)?;
        let value = Within { value, depth: variant_of.depth, in_some: false, refusal: variant_of.refusal };
        variant_of.inner.serialize_newtype_variant(name, index, variant, &value)
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        self.nested(1, |inner| inner.serialize_seq(length))
    }

    fn serialize_tuple(self, length: usize) -> Result<Self::SerializeTuple, S::Error> {
        self.nested(1, |inner| inner.serialize_tuple(length))
    }

    fn serialize_tuple_struct(self, name: &'static str, length: usize) -> Result<Self::SerializeTupleStruct, S::Error> {
        self.nested(1, |inner| inner.serialize_tuple_struct(name, length))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        self.nested(2, |inner| inner.serialize_tuple_variant(name, index, variant, length))
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        self.nested(1, |inner| inner.serialize_map(length))
    }

    fn serialize_struct(self, name: &'static str, length: usize) -> Result<Self::SerializeStruct, S::Error> {
        self.nested(1, |inner| inner.serialize_struct(name, length))
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        self.nested(2, |inner| inner.serialize_struct_variant(name, index, variant, length))
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! items {
    ($($trait:ident $method:ident),* $(,)?) => {$(
        impl<C: $trait> $trait for Nested<'_, C> {
            type Ok = C::Ok;
            type Error = C::Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
                let (inner, value) = self.split(value);
                inner.$method(&value)
            }

            fn end(self) -> Result<C::Ok, C::Error> {
                self.inner.end()
            }
        }
    )*};
}
items! {
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field,
}

macro_rules! fields {
    ($($trait:ident),*) => {$(
        impl<C: $trait> $trait for Nested<'_, C> {
            type Ok = C::Ok;
            type Error = C::Error;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), C::Error> {
                let (inner, value) = self.split(value);
                inner.serialize_field(name, &value)
            }

            fn skip_field(&mut self, name: &'static str) -> Result<(), C::Error> {
                self.inner.skip_field(name)
            }

            fn end(self) -> Result<C::Ok, C::Error> {
                self.inner.end()
            }
        }
    )*};
}
fields!(SerializeStruct, SerializeStructVariant);

impl<C: SerializeMap> SerializeMap for Nested<'_, C> {
    type Ok = C::Ok;
    type Error = C::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), C::Error> {
        let (inner, key) = self.split(key);
        inner.serialize_key(&key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
        let (inner, value) = self.split(value);
        inner.serialize_value(&value)
    }

    fn end(self) -> Result<C::Ok, C::Error> {
        self.inner.end()
    }
}

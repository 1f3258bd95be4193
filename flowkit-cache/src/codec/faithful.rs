//! Refuses what bincode would encode and then decode as something else.
//!
//! bincode writes no names: a field that is left out by `#[serde(skip_serializing_if = …)]` shifts all that follow, and the value
//! that is read from them may well be a valid one. Everything else passes through unchanged and at no cost.

use std::fmt::{Display, Write};

use serde::ser::{self, Error as _, Serialize, Serializer};

/// A value, or a part of one, that is to come back as it was.
pub(super) struct Faithful<'a, T: ?Sized>(&'a T);

impl<'a, T: Serialize + ?Sized> Faithful<'a, T> {
    pub(super) const fn new(value: &'a T) -> Self {
        Self(value)
    }
}

impl<T: Serialize + ?Sized> Serialize for Faithful<'_, T> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(Watched(serializer))
    }
}

/// A serializer, or a part of one, whose parts are watched too.
struct Watched<S>(S);

macro_rules! pass_through {
    ($($method:ident($($argument:ident: $kind:ty),*);)*) => {
        $(#[inline]
        fn $method(self, $($argument: $kind),*) -> Result<S::Ok, S::Error> {
            self.0.$method($($argument),*)
        })*
    };
}

macro_rules! open_compound {
    ($($method:ident($($argument:ident: $kind:ty),*) -> $compound:ident;)*) => {
        $(#[inline]
        fn $method(self, $($argument: $kind),*) -> Result<Self::$compound, S::Error> {
            self.0.$method($($argument),*).map(Watched)
        })*
    };
}

impl<S: Serializer> Serializer for Watched<S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Watched<S::SerializeSeq>;
    type SerializeTuple = Watched<S::SerializeTuple>;
    type SerializeTupleStruct = Watched<S::SerializeTupleStruct>;
    type SerializeTupleVariant = Watched<S::SerializeTupleVariant>;
    type SerializeMap = Watched<S::SerializeMap>;
    type SerializeStruct = Watched<S::SerializeStruct>;
    type SerializeStructVariant = Watched<S::SerializeStructVariant>;

    pass_through! {
        serialize_bool(value: bool);
        serialize_i8(value: i8);
        serialize_i16(value: i16);
        serialize_i32(value: i32);
        serialize_i64(value: i64);
        serialize_i128(value: i128);
        serialize_u8(value: u8);
        serialize_u16(value: u16);
        serialize_u32(value: u32);
        serialize_u64(value: u64);
        serialize_u128(value: u128);
        serialize_f32(value: f32);
        serialize_f64(value: f64);
        serialize_char(value: char);
        serialize_str(value: &str);
        serialize_bytes(value: &[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(name: &'static str);
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str);
    }

    open_compound! {
        serialize_seq(length: Option<usize>) -> SerializeSeq;
        serialize_tuple(length: usize) -> SerializeTuple;
        serialize_tuple_struct(name: &'static str, length: usize) -> SerializeTupleStruct;
        serialize_tuple_variant(name: &'static str, index: u32, variant: &'static str, length: usize)
            -> SerializeTupleVariant;
        serialize_map(length: Option<usize>) -> SerializeMap;
        serialize_struct(name: &'static str, length: usize) -> SerializeStruct;
        serialize_struct_variant(name: &'static str, index: u32, variant: &'static str, length: usize)
            -> SerializeStructVariant;
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }

    /// serde's own would panic if the value cannot be displayed.
    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        let mut text = String::new();
        write!(text, "{value}").map_err(|_| S::Error::custom("it cannot be displayed"))?;
        self.0.serialize_str(&text)
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.0.serialize_some(&Faithful(value))
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.0.serialize_newtype_struct(name, &Faithful(value))
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.0
            .serialize_newtype_variant(name, index, variant, &Faithful(value))
    }
}

macro_rules! placed_parts {
    ($($part:ident::$method:ident),*) => {
        $(impl<S: ser::$part> ser::$part for Watched<S> {
            type Ok = S::Ok;
            type Error = S::Error;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
                self.0.$method(&Faithful(value))
            }

            #[inline]
            fn end(self) -> Result<S::Ok, S::Error> {
                self.0.end()
            }
        })*
    };
}

placed_parts!(
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field
);

macro_rules! named_parts {
    ($($part:ident),*) => {
        $(impl<S: ser::$part> ser::$part for Watched<S> {
            type Ok = S::Ok;
            type Error = S::Error;

            #[inline]
            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), S::Error> {
                self.0.serialize_field(name, &Faithful(value))
            }

            fn skip_field(&mut self, name: &'static str) -> Result<(), S::Error> {
                Err(S::Error::custom(format_args!(
                    "the field `{name}` is left out (skip_serializing_if), and could not be told from the next"
                )))
            }

            #[inline]
            fn end(self) -> Result<S::Ok, S::Error> {
                self.0.end()
            }
        })*
    };
}

named_parts!(SerializeStruct, SerializeStructVariant);

impl<S: ser::SerializeMap> ser::SerializeMap for Watched<S> {
    type Ok = S::Ok;
    type Error = S::Error;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), S::Error> {
        self.0.serialize_key(&Faithful(key))
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
        self.0.serialize_value(&Faithful(value))
    }

    #[inline]
    fn end(self) -> Result<S::Ok, S::Error> {
        self.0.end()
    }
}

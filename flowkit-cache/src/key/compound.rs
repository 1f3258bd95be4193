//! The canonical form of what has parts: in their order where it counts, and sorted by their own form where it does not.

use serde::ser::{self, Serialize};

use super::canonical::{Refusal, write};
use super::stream::{Stream, Unordered};
use super::tag;

/// The parts of a struct or a variant, in their order.
pub(super) struct PartsForm<'a> {
    stream: &'a mut Stream,
}

impl<'a> PartsForm<'a> {
    #[inline]
    pub(super) const fn new(stream: &'a mut Stream) -> Self {
        Self { stream }
    }

    #[inline]
    fn close(self) -> Result<(), Refusal> {
        self.stream.put(&[tag::END]);
        Ok(())
    }
}

/// Parts that are known by their place.
macro_rules! placed_parts {
    ($($part:ident),*) => {
        $(impl ser::$part for PartsForm<'_> {
            type Ok = ();
            type Error = Refusal;

            #[inline]
            fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
                write(self.stream, value)
            }

            #[inline]
            fn end(self) -> Result<(), Refusal> {
                self.close()
            }
        })*
    };
}

placed_parts!(SerializeTupleStruct, SerializeTupleVariant);

/// Parts that are known by their name. A field that is skipped is not in the form.
macro_rules! named_parts {
    ($($part:ident),*) => {
        $(impl ser::$part for PartsForm<'_> {
            type Ok = ();
            type Error = Refusal;

            #[inline]
            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Refusal> {
                self.stream.put_text(tag::NAME, name);
                write(self.stream, value)
            }

            #[inline]
            fn end(self) -> Result<(), Refusal> {
                self.close()
            }
        })*
    };
}

named_parts!(SerializeStruct, SerializeStructVariant);

/// The elements of a sequence, a set or a tuple.
pub(super) struct SequenceForm<'a> {
    stream: &'a mut Stream,
    unordered: Option<Unordered>,
}

impl<'a> SequenceForm<'a> {
    #[inline]
    pub(super) fn ordered(stream: &'a mut Stream, tag: u8) -> Self {
        stream.put(&[tag]);
        Self {
            stream,
            unordered: None,
        }
    }

    pub(super) fn unordered(stream: &'a mut Stream, tag: u8) -> Self {
        let unordered = Some(stream.open_unordered(tag));
        Self { stream, unordered }
    }
}

macro_rules! elements {
    ($($part:ident),*) => {
        $(impl ser::$part for SequenceForm<'_> {
            type Ok = ();
            type Error = Refusal;

            #[inline]
            fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
                write(self.stream, value)?;
                if let Some(unordered) = &mut self.unordered {
                    self.stream.end_part(unordered);
                }
                Ok(())
            }

            #[inline]
            fn end(self) -> Result<(), Refusal> {
                match &self.unordered {
                    Some(unordered) => self.stream.close_unordered(unordered),
                    None => self.stream.put(&[tag::END]),
                }
                Ok(())
            }
        })*
    };
}

elements!(SerializeSeq, SerializeTuple);

/// The entries of a map, whatever their order.
pub(super) struct MapForm<'a> {
    stream: &'a mut Stream,
    entries: Unordered,
    /// A key was written, and its value was not.
    key_waits: bool,
}

impl<'a> MapForm<'a> {
    pub(super) fn new(stream: &'a mut Stream) -> Self {
        let entries = stream.open_unordered(tag::MAP);
        Self {
            stream,
            entries,
            key_waits: false,
        }
    }

    /// A hand-written `Serialize` may give keys and values in any order, and half an entry would not count.
    fn expect_key_waits(&mut self, expected: bool) -> Result<(), Refusal> {
        if self.key_waits == expected {
            return Ok(());
        }
        let refusal = Refusal("it gave a map keys and values that are not in pairs".into());
        self.stream.refuse(&refusal);
        Err(refusal)
    }
}

impl ser::SerializeMap for MapForm<'_> {
    type Ok = ();
    type Error = Refusal;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Refusal> {
        self.expect_key_waits(false)?;
        write(self.stream, key)?;
        self.key_waits = true;
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
        self.expect_key_waits(true)?;
        write(self.stream, value)?;
        self.stream.end_part(&mut self.entries);
        self.key_waits = false;
        Ok(())
    }

    fn end(mut self) -> Result<(), Refusal> {
        self.expect_key_waits(false)?;
        self.stream.close_unordered(&self.entries);
        Ok(())
    }
}

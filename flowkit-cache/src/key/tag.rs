//! The tags of the canonical form, one for each kind of token. Any change here means a new
//! [`FORMAT_VERSION`](super::FORMAT_VERSION).

pub(super) const SECTION: u8 = 0x01;
pub(super) const VALUE: u8 = 0x02;

pub(super) const UNIT: u8 = 0x10;
pub(super) const FALSE: u8 = 0x11;
pub(super) const TRUE: u8 = 0x12;
pub(super) const I8: u8 = 0x13;
pub(super) const I16: u8 = 0x14;
pub(super) const I32: u8 = 0x15;
pub(super) const I64: u8 = 0x16;
pub(super) const I128: u8 = 0x17;
pub(super) const U8: u8 = 0x18;
pub(super) const U16: u8 = 0x19;
pub(super) const U32: u8 = 0x1a;
pub(super) const U64: u8 = 0x1b;
pub(super) const U128: u8 = 0x1c;
pub(super) const F32: u8 = 0x1d;
pub(super) const F64: u8 = 0x1e;
pub(super) const CHAR: u8 = 0x1f;

pub(super) const STR: u8 = 0x20;
pub(super) const BYTES: u8 = 0x21;
pub(super) const NONE: u8 = 0x22;
pub(super) const SOME: u8 = 0x23;

pub(super) const UNIT_STRUCT: u8 = 0x30;
pub(super) const NEWTYPE_STRUCT: u8 = 0x31;
pub(super) const TUPLE_STRUCT: u8 = 0x32;
pub(super) const STRUCT: u8 = 0x33;
pub(super) const UNIT_VARIANT: u8 = 0x34;
pub(super) const NEWTYPE_VARIANT: u8 = 0x35;
pub(super) const TUPLE_VARIANT: u8 = 0x36;
pub(super) const STRUCT_VARIANT: u8 = 0x37;
/// Goes before the name of a variant, and of a field.
pub(super) const NAME: u8 = 0x38;

pub(super) const SEQUENCE: u8 = 0x40;
pub(super) const TUPLE: u8 = 0x41;
pub(super) const MAP: u8 = 0x42;
/// A sequence whose order does not count: a hash set, or what is declared unordered.
pub(super) const UNORDERED_SEQUENCE: u8 = 0x43;
pub(super) const UNORDERED_TUPLE: u8 = 0x44;
pub(super) const ARRAY: u8 = 0x45;
/// Ends what consists of parts. No part begins with it.
pub(super) const END: u8 = 0x4f;

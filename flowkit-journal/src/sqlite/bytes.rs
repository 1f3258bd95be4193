//! Numbers and texts as bytes: as few as they need, and read back with no trust in them.

use crate::record::{RunNo, Spot};

pub(super) fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// A number that may be negative, small either way.
pub(super) fn put_signed(bytes: &mut Vec<u8>, number: i64) {
    put_number(bytes, ((number << 1) ^ (number >> 63)) as u64);
}

pub(super) fn put_bytes(bytes: &mut Vec<u8>, value: &[u8]) {
    put_number(bytes, value.len() as u64);
    bytes.extend_from_slice(value);
}

pub(super) fn put_spot(bytes: &mut Vec<u8>, spot: Spot) {
    put_number(bytes, spot.run.0);
    put_number(bytes, spot.node.into());
    put_number(bytes, spot.item.map_or(0, |item| u64::from(item) + 1));
}

/// Several texts, one after the other.
pub(super) fn texts_to_bytes(texts: &[String]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for text in texts {
        put_bytes(&mut bytes, text.as_bytes());
    }
    bytes
}

pub(super) fn texts_from_bytes(bytes: &[u8]) -> Option<Vec<String>> {
    let mut input = Input(bytes);
    let mut texts = Vec::new();
    while !input.0.is_empty() {
        texts.push(input.text()?);
    }
    Some(texts)
}

pub(super) fn spot_to_bytes(spot: Spot) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_spot(&mut bytes, spot);
    bytes
}

pub(super) fn spot_from_bytes(bytes: &[u8]) -> Option<Spot> {
    let mut input = Input(bytes);
    let spot = input.spot()?;
    input.0.is_empty().then_some(spot)
}

/// What is left to be read.
pub(super) struct Input<'a>(pub(super) &'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    pub(super) fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.number()?).ok()?;
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }

    pub(super) fn spot(&mut self) -> Option<Spot> {
        let run = RunNo(self.number()?);
        let node = u32::try_from(self.number()?).ok()?;
        let item = match self.number()? {
            0 => None,
            next => Some(u32::try_from(next - 1).ok()?),
        };
        Some(Spot { run, node, item })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_were_put() {
        for number in [0, 1, 63, 64, 127, 128, 300, i64::MAX, i64::MIN, -1, -64, -65] {
            let mut bytes = Vec::new();
            put_signed(&mut bytes, number);
            put_number(&mut bytes, number as u64);
            let mut input = Input(&bytes);
            assert_eq!(
                (input.signed(), input.number()),
                (Some(number), Some(number as u64))
            );
            assert!(input.0.is_empty());
        }
    }

    #[test]
    fn what_nobody_put_is_nothing() {
        assert_eq!(Input(&[0xff; 20]).number(), None);
        assert_eq!(Input(&[0x80]).number(), None);
        assert_eq!(texts_from_bytes(&[3, b'a']), None);
        assert_eq!(texts_from_bytes(&[1, 0xff]), None);
        assert_eq!(spot_from_bytes(&[1, 1]), None);
        assert_eq!(spot_from_bytes(&[1, 1, 1, 1]), None);
    }
}

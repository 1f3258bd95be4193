//! How keys are written and read, and that the buffer before the hasher leaves no trace in them.

use std::collections::BTreeMap;

use flowkit_cache::key::FORMAT_VERSION;
use flowkit_cache::{CacheKey, KeyHasher, key_of};
use proptest::prelude::*;

#[test]
fn a_key_is_written_in_lower_case_and_read_again() {
    let key = CacheKey::from_bytes(std::array::from_fn(|at| (at * 9) as u8));
    let text = key.to_string();
    assert_eq!(
        text,
        "0009121b242d363f48515a636c757e879099a2abb4bdc6cfd8e1eaf3fc050e17"
    );
    assert_eq!(format!("{key:?}"), format!("CacheKey({text})"));
    assert_eq!(text.parse(), Ok(key));
    assert_eq!(text.to_uppercase().parse(), Ok(key));
    assert_eq!(CacheKey::from_bytes(*key.as_bytes()), key);
}

#[test]
fn what_is_not_64_digits_is_no_key() {
    for text in [
        "",
        "00",
        &"0".repeat(63),
        &"0".repeat(65),
        &"g".repeat(64),
        &"ä".repeat(32),
    ] {
        assert!(text.parse::<CacheKey>().is_err(), "{text}");
    }
}

#[test]
fn keys_are_ordered_by_their_bytes() {
    let mut bytes = [0; 32];
    let low = CacheKey::from_bytes(bytes);
    bytes[0] = 1;
    assert!(low < CacheKey::from_bytes(bytes));
}

/// A length as the form writes it.
fn length(mut length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while length >= 0x80 {
        bytes.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes
}

/// The form of one part of bytes, put together by hand.
fn form_of_bytes(name: &str, bytes: &[u8]) -> Vec<u8> {
    let name_length = length(name.len());
    let bytes_length = length(bytes.len());
    [
        &[0x02],
        name_length.as_slice(),
        name.as_bytes(),
        &[0x21],
        &bytes_length,
        bytes,
    ]
    .concat()
}

fn digest(form: &[u8]) -> CacheKey {
    CacheKey::from_bytes(blake3::hash(&[&[FORMAT_VERSION], form].concat()).into())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn bytes_of_any_sizes_are_hashed_as_if_at_once(sizes in prop::collection::vec(
        prop_oneof![0..600usize, 32_700..32_800usize, 65_500..65_600usize, 0..200_000usize], 1..6,
    )) {
        let mut hasher = KeyHasher::new();
        let mut form = Vec::new();
        for (at, size) in sizes.into_iter().enumerate() {
            let bytes: Vec<u8> = (0..size).map(|byte| (byte * 7 + at) as u8).collect();
            hasher.bytes("part", &bytes);
            form.extend(form_of_bytes("part", &bytes));
        }
        prop_assert_eq!(hasher.finish().unwrap(), digest(&form));
    }

    #[test]
    fn numbers_of_any_count_are_hashed_as_if_at_once(count in prop_oneof![0..200usize, 3_500..4_000usize, 0..20_000usize]) {
        let numbers: Vec<u64> = (0..count as u64).collect();
        let tokens = numbers.iter().flat_map(|number| {
            let mut token = vec![0x1b];
            token.extend(number.to_le_bytes());
            token
        });
        let mut form = [&[0x02, 5], "value".as_bytes(), &[0x40]].concat();
        form.extend(tokens);
        form.push(0x4f);
        prop_assert_eq!(key_of(&numbers).unwrap(), digest(&form));
    }

    #[test]
    fn maps_of_any_size_are_hashed_sorted(count in prop_oneof![0..200usize, 0..20_000usize]) {
        let map: BTreeMap<u16, bool> = (0..count as u16).map(|number| (number, number % 3 == 0)).collect();
        let mut entries: Vec<_> = map
            .iter()
            .map(|(key, value)| {
                let [low, high] = key.to_le_bytes();
                [0x19, low, high, if *value { 0x12 } else { 0x11 }]
            })
            .collect();
        entries.sort_unstable();
        let mut form = [&[0x02, 5], "value".as_bytes(), &[0x42]].concat();
        form.extend(entries.concat());
        form.push(0x4f);
        prop_assert_eq!(key_of(&map).unwrap(), digest(&form));
    }
}

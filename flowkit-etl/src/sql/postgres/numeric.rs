//! Exact numbers in the server's binary form, as the text that the server would write: with the digits that they have and no others.

/// The text of a number: a head of four numbers, then digits to the base 10,000. Nothing, if it is not of that form.
pub(super) fn text(bytes: &[u8]) -> Option<String> {
    let mut numbers = bytes.chunks_exact(2).map(|pair| match pair {
        [high, low] => u16::from_be_bytes([*high, *low]),
        _ => 0,
    });
    let (count, weight, sign, scale) = (
        numbers.next()?,
        numbers.next()?.cast_signed(),
        numbers.next()?,
        numbers.next()?,
    );
    match sign {
        0xC000 => return Some("NaN".to_owned()),
        0xD000 => return Some("Infinity".to_owned()),
        0xF000 => return Some("-Infinity".to_owned()),
        _ => {}
    }
    let digits: Vec<u16> = numbers.collect();
    if digits.len() != usize::from(count) || digits.iter().any(|digit| *digit > 9999) {
        return None;
    }
    let digit = |place: i32| -> u16 {
        // The first digit stands at the place of the weight; those that are not written are zero.
        let at = usize::try_from(i32::from(weight) - place);
        at.ok().and_then(|at| digits.get(at)).copied().unwrap_or_default()
    };
    let mut text = String::new();
    for place in (0..=i32::from(weight)).rev() {
        text.push_str(&format!("{:04}", digit(place)));
    }
    let whole = text.trim_start_matches('0');
    let mut text = if whole.is_empty() {
        "0".to_owned()
    } else {
        whole.to_owned()
    };
    if scale > 0 {
        let mut fraction = String::new();
        for place in 1..=i32::from(scale.div_ceil(4)) {
            fraction.push_str(&format!("{:04}", digit(-place)));
        }
        text.push('.');
        text.push_str(fraction.get(..usize::from(scale))?);
    }
    if sign == 0x4000 {
        text.insert(0, '-');
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::text;

    fn number(head: [u16; 4], digits: &[u16]) -> Option<String> {
        let bytes: Vec<u8> = head
            .iter()
            .chain(digits)
            .flat_map(|number| number.to_be_bytes())
            .collect();
        text(&bytes)
    }

    #[test]
    fn a_number_has_the_digits_that_it_was_written_with() {
        assert_eq!(number([2, 0, 0, 2], &[12, 3400]).unwrap(), "12.34");
        assert_eq!(number([1, u16::MAX - 1, 0x4000, 8], &[5]).unwrap(), "-0.00000005");
        assert_eq!(number([1, 1, 0, 0], &[1]).unwrap(), "10000");
        assert_eq!(number([0, 0, 0, 3], &[]).unwrap(), "0.000");
        assert_eq!(number([0, 0, 0xC000, 0], &[]).unwrap(), "NaN");
        assert_eq!(number([2, 0, 0, 0], &[1]), None);
        assert_eq!(text(&[0]), None);
    }
}

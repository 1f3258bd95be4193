//! Texts for people: as wide as there is room, and safe where they stand.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// How many columns a text takes.
#[cfg(feature = "cli")]
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// A text that takes at most so many columns.
pub(crate) fn shortened(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut left = columns.saturating_sub(1);
    let mut start = String::new();
    for letter in text.chars() {
        let width = letter.width().unwrap_or(0);
        if width > left {
            break;
        }
        left -= width;
        start.push(letter);
    }
    start.push('…');
    start
}

/// A text within XML.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // XML has no place for them, however they are written.
            '\u{fffe}' | '\u{ffff}' => escaped.push(char::REPLACEMENT_CHARACTER),
            _ if letter.is_control() => escaped.push(' '),
            _ => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_shortened_to_the_columns_that_it_takes() {
        assert_eq!(shortened("north", 5), "north");
        assert_eq!(shortened("northern", 5), "nort…");
        assert_eq!(shortened("北の畑です", 10), "北の畑です");
        assert_eq!(shortened("北の畑です", 6), "北の…");
        assert_eq!(shortened("", 0), "");
    }

    #[test]
    fn what_xml_cannot_have_is_replaced() {
        assert_eq!(
            escape("<a b=\"&\">\u{1}\u{ffff}"),
            "&lt;a b=&quot;&amp;&quot;&gt; \u{fffd}"
        );
    }
}

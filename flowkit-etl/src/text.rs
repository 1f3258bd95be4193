//! Texts of others that are shown somewhere: no longer than there is room for, and without markup.

/// The first characters of a text, and a sign if there were more.
pub(crate) fn cut(text: &str, at_most: usize) -> String {
    cut_by(text, at_most, |_| 1)
}

/// The same, where characters take more or less room.
pub(crate) fn cut_by(text: &str, room: usize, takes: impl Fn(char) -> usize) -> String {
    let mut taken = 0;
    for (end, character) in text.char_indices() {
        taken += takes(character);
        if taken > room {
            return format!("{}…", text.get(..end).unwrap_or_default());
        }
    }
    text.to_owned()
}

/// What stands for a character that would begin or end markup: in HTML, and in chats, whose links and mentions begin with `<`.
#[cfg(any(feature = "alerts", feature = "quality"))]
pub(crate) fn standing_for(character: char) -> Option<&'static str> {
    match character {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        _ => None,
    }
}

/// A text between markup, as it is shown.
#[cfg(any(feature = "alerts", feature = "quality"))]
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match standing_for(character) {
            Some(word) => escaped.push_str(word),
            None => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters_and_only_if_it_is_too_long() {
        assert_eq!(cut("ääää", 3), "äää…");
        assert_eq!(cut("äää", 3), "äää");
        assert_eq!(cut("ä", 0), "…");
        assert_eq!(cut_by("a😀b", 2, char::len_utf16), "a…");
        assert_eq!(cut_by("a😀b", 4, char::len_utf16), "a😀b");
    }

    #[test]
    #[cfg(any(feature = "alerts", feature = "quality"))]
    fn nothing_in_a_text_is_markup() {
        assert_eq!(escaped("<!channel> a & b"), "&lt;!channel&gt; a &amp; b");
    }
}

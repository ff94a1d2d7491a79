//! Texts that others wrote, made safe to show.

use std::borrow::Cow;

/// A text as a terminal may show it: on one line, in the order in which it is written, and without
/// anything that the terminal obeys.
///
/// What is escaped, as Rust writes it (`\n`, `\u{1b}`, `\u{202e}`): control characters, which are
/// the line breaks, the tab, what begins an escape sequence (U+001B, U+009B …) and the rest of C0
/// and C1; the separators of lines and paragraphs, U+2028 and U+2029; and the characters of
/// Unicode's property `Bidi_Control`, with which a text is shown in another order than it has
/// (U+061C, U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069). Everything else stays as it is, the
/// backslash too: this is for reading and not for parsing.
///
/// ```
/// use guildhall_core::text::escape_for_terminal;
///
/// assert_eq!(escape_for_terminal("CORP\\ada, Žofie and 日本"), "CORP\\ada, Žofie and 日本");
/// assert_eq!(escape_for_terminal("fine\n  recorded   at 7"), "fine\\n  recorded   at 7");
/// assert_eq!(escape_for_terminal("\u{1b}[2J\u{202e}yako"), "\\u{1b}[2J\\u{202e}yako");
/// ```
pub fn escape_for_terminal(text: &str) -> Cow<'_, str> {
    let Some(first) = text.find(is_obeyed) else { return Cow::Borrowed(text) };
    let (sound, rest) = text.split_at(first);
    let mut escaped = String::with_capacity(text.len() + 16);
    escaped.push_str(sound);
    for character in rest.chars() {
        if is_obeyed(character) {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

/// Whether a terminal does something on it, other than to show it.
fn is_obeyed(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        for (written, shown) in [
            ("a\r\nb\tc", "a\\r\\nb\\tc"),
            ("\0\u{7}\u{8}\u{7f}", "\\u{0}\\u{7}\\u{8}\\u{7f}"),
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("\u{85}\u{9b}31m", "\\u{85}\\u{9b}31m"),
            ("one\u{2028}two\u{2029}three", "one\\u{2028}two\\u{2029}three"),
        ] {
            assert_eq!(escape_for_terminal(written), shown);
        }
        let bidi = ['\u{61c}', '\u{200e}', '\u{200f}'];
        let bidi = bidi.into_iter().chain('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}');
        for character in bidi {
            let code = u32::from(character);
            assert_eq!(
                escape_for_terminal(&format!("a{character}b")),
                format!("a\\u{{{code:x}}}b")
            );
        }
    }

    #[test]
    fn what_is_only_shown_stays_as_it_is() {
        for text in ["", "two approvals", "C:\\new", "\u{a0}é\u{301} 日本 🦀 عربي\u{ffff}"]
        {
            assert!(matches!(escape_for_terminal(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn no_character_gets_through_that_ends_a_line_or_is_a_control() {
        let all: String = (0..=0x1_0ffff_u32).filter_map(char::from_u32).collect();
        let shown = escape_for_terminal(&all);
        assert!(!shown.contains(char::is_control) && shown.lines().count() == 1);
        assert_eq!(escape_for_terminal(&shown), shown, "what is escaped stays so");
    }
}

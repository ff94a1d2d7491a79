//! The order of keys: by UTF-16 code units (RFC 8785, section 3.2.3).
//!
//! A key is given as the canonical text from behind its opening quote on; what follows its closing
//! quote is not looked at. So comparing allocates nothing.

use std::cmp::Ordering;
use std::str::Chars;

/// Whether a byte is an ASCII character that stands for itself inside a string.
const fn is_itself(byte: u8) -> bool {
    byte.is_ascii() && byte != b'"' && byte != b'\\'
}

pub(super) fn compare(left: &str, right: &str) -> Ordering {
    let pairs = left.bytes().zip(right.bytes());
    let same = pairs.take_while(|&(left, right)| left == right && is_itself(left)).count();
    let at = |key: &str| key.as_bytes().get(same).copied().unwrap_or(b'"');
    match (at(left), at(right)) {
        (b'"', b'"') => Ordering::Equal,
        (b'"', _) => Ordering::Less,
        (_, b'"') => Ordering::Greater,
        (left, right) if is_itself(left) && is_itself(right) => left.cmp(&right),
        _ => Units::of(&left[same..]).cmp(Units::of(&right[same..])),
    }
}

/// The key itself.
pub(super) fn decode(key: &str) -> String {
    char::decode_utf16(Units::of(key))
        .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

/// The UTF-16 code units of a key.
struct Units<'t> {
    chars: Chars<'t>,
    low: Option<u16>,
}

impl<'t> Units<'t> {
    fn of(key: &'t str) -> Self {
        Self { chars: key.chars(), low: None }
    }

    /// The character of an escape that canonical text may have.
    fn escaped(&mut self) -> Option<char> {
        Some(match self.chars.next()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let mut code_point = 0;
                for _ in 0..4 {
                    code_point = code_point * 16 + self.chars.next()?.to_digit(16)?;
                }
                char::from_u32(code_point)?
            }
            other => other,
        })
    }
}

impl Iterator for Units<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        if let Some(low) = self.low.take() {
            return Some(low);
        }
        let character = match self.chars.next()? {
            '"' => {
                self.chars = "".chars();
                return None;
            }
            '\\' => self.escaped()?,
            character => character,
        };
        let mut units = [0; 2];
        let units = character.encode_utf16(&mut units);
        self.low = units.get(1).copied();
        units.first().copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_compare_as_their_utf16(left in key(), right in key()) {
            let written = |key: &str| serde_json::to_string(key).unwrap_or_default()[1..].to_owned();
            let expected = left.encode_utf16().cmp(right.encode_utf16());
            prop_assert_eq!(compare(&written(&left), &written(&right)), expected);
            prop_assert_eq!(decode(&written(&left)), left);
        }
    }

    fn key() -> impl Strategy<Value = String> {
        prop_oneof!["[a-c]{0,3}", "[a\"\\\\\n\t\u{1}\u{1f}\u{7f}é\u{e000}\u{ffee}\u{10000}]{0,4}"]
    }
}

//! What a string may hold, and how fast that is seen.

use super::error::JsonError;
use super::pointer::pointer;

/// The noncharacters of Unicode: the last two of each plane and U+FDD0 to U+FDEF.
pub(super) const fn is_noncharacter(code_point: u32) -> bool {
    code_point & 0xFFFE == 0xFFFE || (code_point >= 0xFDD0 && code_point <= 0xFDEF)
}

/// The refusal of a character that neither a string nor a key may hold; none where it may. `at` is
/// where it stands in `text`.
pub(super) fn refuse(character: char, text: &str, at: usize) -> Option<JsonError> {
    match u32::from(character) {
        0 => Some(JsonError::Nul { pointer: pointer(text, at) }),
        code_point if is_noncharacter(code_point) => {
            Some(JsonError::Noncharacter { code_point, pointer: pointer(text, at) })
        }
        _ => None,
    }
}

/// How many of these bytes stand for themselves in a string and are ASCII: eight at a time.
pub(super) fn plain_run(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    // The lowest marked byte is right; a borrow can mark one wrongly only above it.
    let is_zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let (chunks, rest) = bytes.as_chunks::<8>();
    for (nth, chunk) in chunks.iter().enumerate() {
        let word = u64::from_le_bytes(*chunk);
        let is_control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let is_quote = is_zero(word ^ (ONES * u64::from(b'"')));
        let is_backslash = is_zero(word ^ (ONES * u64::from(b'\\')));
        let marked = (word & HIGH) | is_control | is_quote | is_backslash;
        if marked != 0 {
            return nth * 8 + marked.trailing_zeros() as usize / 8;
        }
    }
    let is_plain = |byte: &&u8| (b' '..=0x7F).contains(*byte) && **byte != b'"' && **byte != b'\\';
    chunks.len() * 8 + rest.iter().take_while(is_plain).count()
}

/// Where the characters beyond ASCII that begin at `at` end.
///
/// # Errors
/// The refusal of a noncharacter among them.
pub(super) fn wide_run(text: &str, at: usize) -> Result<usize, JsonError> {
    for (offset, character) in text[at..].char_indices() {
        if character.is_ascii() {
            return Ok(at + offset);
        }
        if is_noncharacter(u32::from(character))
            && let Some(refusal) = refuse(character, text, at + offset)
        {
            return Err(refusal);
        }
    }
    Ok(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_ends_a_plain_run_or_does_not_wherever_it_stands() {
        for length in 0..20 {
            for at in 0..length {
                for byte in 0..=255 {
                    let mut bytes = vec![b'a'; length];
                    bytes[at] = byte;
                    let is_plain = matches!(byte, b' '..=0x7F) && byte != b'"' && byte != b'\\';
                    let expected = if is_plain { length } else { at };
                    assert_eq!(plain_run(&bytes), expected, "{byte} at {at} of {length}");
                }
            }
        }
    }
}

//! Whether a text is canonical JSON (RFC 8785) as it stands: one pass, nothing allocated but for
//! rare keys and numbers.
//!
//! A stored payload is checked each time that it is read, so this runs once an entry: about 1 ns
//! a byte, where parsing and printing again takes ten times that.

use std::cmp::Ordering;

use super::{JsonError, is_noncharacter};

pub(super) fn check(text: &str, max_depth: usize) -> Result<(), JsonError> {
    let mut scan = Scan { text, at: 0, depth_left: max_depth, max_depth };
    scan.value()?;
    if scan.at < text.len() { Err(scan.error("nothing more")) } else { Ok(()) }
}

struct Scan<'t> {
    text: &'t str,
    at: usize,
    depth_left: usize,
    max_depth: usize,
}

/// A string as written, without the quotes.
struct Text<'t> {
    inner: &'t str,
    /// Whether it is ASCII and nothing in it is escaped.
    is_plain: bool,
}

/// Whether a byte stands for itself in a string, and is ASCII.
const fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

impl<'t> Scan<'t> {
    fn error(&self, reason: &'static str) -> JsonError {
        JsonError::NotCanonical { at: self.at, reason }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8, reason: &'static str) -> Result<(), JsonError> {
        if self.peek() != Some(byte) {
            return Err(self.error(reason));
        }
        self.at += 1;
        Ok(())
    }

    fn value(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => self.string().map(|_| ()),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => {
                let rest = &self.text.as_bytes()[self.at..];
                let word =
                    ["true", "false", "null"].iter().find(|word| rest.starts_with(word.as_bytes()));
                self.at += word.ok_or_else(|| self.error("a value without white space"))?.len();
                Ok(())
            }
        }
    }

    fn nested(&mut self, inside: fn(&mut Self) -> Result<(), JsonError>) -> Result<(), JsonError> {
        self.depth_left =
            self.depth_left.checked_sub(1).ok_or(JsonError::TooDeep { limit: self.max_depth })?;
        self.at += 1;
        inside(self)?;
        self.depth_left += 1;
        Ok(())
    }

    fn array(&mut self) -> Result<(), JsonError> {
        if self.peek() != Some(b']') {
            self.value()?;
            while self.peek() == Some(b',') {
                self.at += 1;
                self.value()?;
            }
        }
        self.take(b']', "a comma or the end of the array")
    }

    fn object(&mut self) -> Result<(), JsonError> {
        if self.peek() != Some(b'}') {
            let mut previous = self.member()?;
            while self.peek() == Some(b',') {
                self.at += 1;
                let start = self.at;
                let key = self.member()?;
                if compare_keys(&previous, &key) != Ordering::Less {
                    self.at = start;
                    return Err(self.error("keys in ascending order, each once"));
                }
                previous = key;
            }
        }
        self.take(b'}', "a comma or the end of the object")
    }

    /// One member; answers its key.
    fn member(&mut self) -> Result<Text<'t>, JsonError> {
        let key = self.string()?;
        self.take(b':', "a colon right after the key")?;
        self.value()?;
        Ok(key)
    }

    fn string(&mut self) -> Result<Text<'t>, JsonError> {
        self.take(b'"', "a string")?;
        let start = self.at;
        let rest = &self.text.as_bytes()[start..];
        self.at += rest.iter().take_while(|byte| is_plain(**byte)).count();
        let is_plain = self.peek() == Some(b'"');
        let mut is_ascii = true;
        loop {
            match self.peek() {
                None | Some(0..=0x1F) => return Err(self.error("the end of a string")),
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(byte) => {
                    is_ascii &= byte.is_ascii();
                    self.at += 1;
                }
            }
        }
        // Both ends stand on an ASCII quote.
        let inner = &self.text[start..self.at];
        if !is_ascii && inner.chars().any(|c| is_noncharacter(u32::from(c))) {
            return Err(self.error("no noncharacter"));
        }
        self.at += 1;
        Ok(Text { inner, is_plain })
    }

    /// RFC 8785, section 3.2.2.2: the short escapes, and `\u00xx` in lower case for the other
    /// control characters. (`\u0000` is refused everywhere.)
    fn escape(&mut self) -> Result<(), JsonError> {
        let rest = &self.text.as_bytes()[self.at + 1..];
        self.at += match rest {
            [b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 2,
            [b'u', b'0', b'0', b'0', b'1'..=b'7' | b'b' | b'e' | b'f', ..]
            | [b'u', b'0', b'0', b'1', b'0'..=b'9' | b'a'..=b'f', ..] => 6,
            _ => return Err(self.error("the shortest escape")),
        };
        Ok(())
    }

    fn number(&mut self) -> Result<(), JsonError> {
        let rest = &self.text[self.at..];
        let is_part = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
        let literal = &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())];
        let digits = literal.strip_prefix('-').unwrap_or(literal);
        let is_short_integer = digits.len() <= 15
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && (matches!(digits.as_bytes(), [b'1'..=b'9', ..]) || literal == "0");
        let is_canonical = is_short_integer
            || literal.parse::<f64>().is_ok_and(|number| {
                number.is_finite()
                    && serde_json_canonicalizer::to_string(&number)
                        .is_ok_and(|text| text == literal)
            });
        if !is_canonical {
            return Err(self.error("a number as ECMAScript prints it"));
        }
        self.at += literal.len();
        Ok(())
    }
}

/// RFC 8785, section 3.2.3: by UTF-16 code units, which for plain ASCII is by bytes.
fn compare_keys(left: &Text<'_>, right: &Text<'_>) -> Ordering {
    if left.is_plain && right.is_plain {
        return left.inner.cmp(right.inner);
    }
    // Both were scanned as strings, so both decode.
    let decode = |key: &Text<'_>| {
        serde_json::from_str::<String>(&format!("\"{}\"", key.inner)).unwrap_or_default()
    };
    decode(left).encode_utf16().cmp(decode(right).encode_utf16())
}

//! Whether a text is canonical JSON (RFC 8785) as it stands: one pass, nothing allocated but for
//! rare numbers.
//!
//! A stored payload is checked each time that it is read, so this runs once an entry: well below
//! 1 ns a byte, where reading and printing again takes several times that.

use std::cmp::Ordering;

use super::characters::{plain_run, refuse, wide_run};
use super::error::JsonError;
use super::keys;

pub(super) fn check(text: &str, max_depth: usize) -> Result<(), JsonError> {
    let mut scan = Scan { text, at: 0, depth_left: max_depth, max_depth };
    scan.value()?;
    if scan.at < text.len() { Err(scan.error("nothing more")) } else { Ok(()) }
}

/// Where the value that begins at `at` ends, if it is canonical as it stands.
pub(super) fn value_end(text: &str, at: usize, max_depth: usize) -> Option<usize> {
    let mut scan = Scan { text, at, depth_left: max_depth, max_depth };
    scan.value().ok().map(|()| scan.at)
}

struct Scan<'t> {
    text: &'t str,
    at: usize,
    depth_left: usize,
    max_depth: usize,
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
            let mut previous = self.key()?;
            self.value()?;
            while self.peek() == Some(b',') {
                self.at += 1;
                let start = self.at;
                let key = self.key()?;
                if keys::compare(previous, key) != Ordering::Less {
                    self.at = start;
                    return Err(self.error("keys in ascending order, each once"));
                }
                previous = key;
                self.value()?;
            }
        }
        self.take(b'}', "a comma or the end of the object")
    }

    fn key(&mut self) -> Result<&'t str, JsonError> {
        let key = self.string()?;
        self.take(b':', "a colon right after the key")?;
        Ok(key)
    }

    /// Passes a string; returns the text from behind its opening quote on.
    fn string(&mut self) -> Result<&'t str, JsonError> {
        self.take(b'"', "a string")?;
        let start = self.at;
        loop {
            self.at += plain_run(&self.text.as_bytes()[self.at..]);
            match self.peek() {
                None | Some(0..=0x1F) => return Err(self.error("the end of a string")),
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(_) => self.at = wide_run(self.text, self.at)?,
            }
        }
        self.at += 1;
        Ok(&self.text[start..])
    }

    /// RFC 8785, section 3.2.2.2: the short escapes, and `\u00xx` in lower case for the other
    /// control characters. (`\u0000` is refused everywhere.)
    fn escape(&mut self) -> Result<(), JsonError> {
        let rest = &self.text.as_bytes()[self.at + 1..];
        self.at += match rest {
            [b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 2,
            [b'u', b'0', b'0', b'0', b'1'..=b'7' | b'b' | b'e' | b'f', ..]
            | [b'u', b'0', b'0', b'1', b'0'..=b'9' | b'a'..=b'f', ..] => 6,
            _ => {
                let refusal =
                    rest.starts_with(b"u0000").then(|| refuse('\0', self.text, self.at)).flatten();
                return Err(refusal.unwrap_or_else(|| self.error("the shortest escape")));
            }
        };
        Ok(())
    }

    fn number(&mut self) -> Result<(), JsonError> {
        let rest = &self.text.as_bytes()[self.at..];
        let is_part =
            |byte: &&u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E');
        let length = rest.iter().take_while(is_part).count();
        let literal = &self.text[self.at..self.at + length];
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
        self.at += length;
        Ok(())
    }
}

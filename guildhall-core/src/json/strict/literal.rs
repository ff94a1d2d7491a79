//! Strings and numbers, as they are read and as RFC 8785 writes them.

use std::borrow::Cow;

use super::super::characters::{plain_run, refuse, wide_run};
use super::super::error::{JsonError, syntax};
use super::super::keys;
use super::{Integers, Reader};

impl<'t> Reader<'t> {
    /// Reads a string, writes it, and returns it: borrowed where nothing in it is escaped.
    pub(super) fn text_of(&mut self, expected: &'static str) -> Result<Cow<'t, str>, JsonError> {
        if self.peek() != Some(b'"') {
            return Err(self.expected(expected));
        }
        let (start, written) = (self.at + 1, self.out.len() + 1);
        self.string()?;
        let inner = &self.text[start..self.at - 1];
        Ok(if inner.len() == self.out.len() - 1 - written && !inner.contains('\\') {
            Cow::Borrowed(inner)
        } else {
            Cow::Owned(keys::decode(&self.out[written..]))
        })
    }

    /// Reads a string and writes it with the escapes that RFC 8785 wants.
    pub(super) fn string(&mut self) -> Result<(), JsonError> {
        let mut copied = self.at;
        self.at += 1;
        loop {
            self.at += plain_run(&self.text.as_bytes()[self.at..]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    self.out.push_str(&self.text[copied..self.at]);
                    return Ok(());
                }
                Some(b'\\') => {
                    self.out.push_str(&self.text[copied..self.at]);
                    let character = self.escape()?;
                    write_character(&mut self.out, character);
                    copied = self.at;
                }
                Some(control @ 0..=0x1F) => {
                    let found = format_args!("the character U+{control:04X} is not escaped");
                    return Err(self.wrong(found));
                }
                Some(_) => self.at = wide_run(self.text, self.at)?,
                None => return Err(self.expected("the end of the string")),
            }
        }
    }

    /// Passes an escape; returns the character that it stands for.
    fn escape(&mut self) -> Result<char, JsonError> {
        let start = self.at;
        let character = match self.text.as_bytes().get(start + 1) {
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let unit = self.unit(start)?;
                self.at += 6;
                let is_high = (0xD800..0xDC00).contains(&unit);
                let low = if is_high { self.unit(self.at).ok() } else { None };
                let units = [unit, low.unwrap_or(0)];
                let Some(Ok(character)) = char::decode_utf16(units).next() else {
                    self.at = start;
                    return Err(self.wrong(format_args!("a lone surrogate, \\u{unit:04x},")));
                };
                self.at += if is_high { 6 } else { 0 };
                return refuse(character, self.text, start).map_or(Ok(character), Err);
            }
            Some(itself @ (b'"' | b'\\' | b'/')) => char::from(*itself),
            _ => return Err(self.wrong("an escape that JSON does not have")),
        };
        self.at += 2;
        Ok(character)
    }

    /// The UTF-16 code unit of the `\uxxxx` at `at`.
    fn unit(&self, at: usize) -> Result<u16, JsonError> {
        let digits = self.text.as_bytes().get(at..).and_then(|rest| match rest {
            [b'\\', b'u', digits @ ..] => digits.first_chunk::<4>(),
            _ => None,
        });
        let hexadecimal = |unit: u16, digit: &u8| {
            let digit = u16::try_from(char::from(*digit).to_digit(16)?).ok()?;
            Some(unit << 4 | digit)
        };
        digits
            .and_then(|digits| digits.iter().try_fold(0, hexadecimal))
            .ok_or_else(|| self.wrong("an escape without four hexadecimal digits"))
    }

    fn digits(&mut self) -> usize {
        let rest = &self.text.as_bytes()[self.at..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        count
    }

    pub(super) fn number(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        let is_zero = self.peek() == Some(b'0');
        match self.digits() {
            0 => return Err(self.expected("a digit")),
            count if is_zero && count > 1 => {
                self.at = start;
                return Err(self.wrong("a number that begins with 0"));
            }
            _ => {}
        }
        let mut is_integer = true;
        if self.peek() == Some(b'.') {
            is_integer = false;
            self.at += 1;
            if self.digits() == 0 {
                return Err(self.expected("a digit"));
            }
        }
        if let Some(b'e' | b'E') = self.peek() {
            is_integer = false;
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            if self.digits() == 0 {
                return Err(self.expected("a digit"));
            }
        }
        let literal = &self.text[start..self.at];
        if is_integer && literal.len() <= 15 {
            self.out.push_str(if literal == "-0" { "0" } else { literal });
            return Ok(());
        }
        let number: f64 = literal.parse().map_err(syntax)?;
        let cut = || literal.chars().take(64).collect();
        if number.is_infinite() {
            return Err(JsonError::NumberOverflow { literal: cut() });
        }
        let canonical = serde_json_canonicalizer::to_string(&number).map_err(syntax)?;
        if is_integer && self.integers == Integers::Exact && canonical != literal {
            return Err(JsonError::InexactInteger { literal: cut(), canonical });
        }
        self.out.push_str(&canonical);
        Ok(())
    }
}

/// Writes a character of a string as RFC 8785 has it (section 3.2.2.2).
fn write_character(out: &mut String, character: char) {
    match character {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\0'..='\u{1f}' => out.push_str(&format!("\\u{:04x}", u32::from(character))),
        _ => out.push(character),
    }
}

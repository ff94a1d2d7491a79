//! Reading any I-JSON text and writing its canonical form (RFC 8785), in one pass and without a
//! tree: what is in order is copied as it stands, and of an object only where its members lie is
//! kept, until they are put in order.
//!
//! So the memory that this takes is a small multiple of the text, whatever the text is; a tree of
//! many small objects takes a hundred times its text.

mod literal;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::mem;

use super::error::{JsonError, syntax};
use super::{canonical, keys};

/// What becomes of an integer literal that RFC 8785 would print differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Integers {
    /// It is refused.
    Exact,
    /// It becomes what RFC 8785 prints.
    Rounded,
}

pub(super) fn parse(
    text: &str,
    max_depth: usize,
    integers: Integers,
) -> Result<Box<str>, JsonError> {
    let mut reader = Reader::new(text, max_depth);
    reader.integers = integers;
    reader.out.reserve(text.len());
    reader.value()?;
    reader.end()?;
    Ok(reader.out.into())
}

/// Reads a text, and writes what it read in canonical form.
#[derive(Debug)]
pub(crate) struct Reader<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
    max_depth: usize,
    integers: Integers,
    out: String,
    /// The members of the objects that are open, the innermost object's last.
    members: Vec<Member>,
    scratch: String,
}

/// Where a member lies in what is written, from the quote of its key on.
#[derive(Debug, Clone, Copy)]
struct Member {
    start: usize,
    end: usize,
}

/// A value that is looked at and not kept as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scalar<'t> {
    Null,
    Text(Cow<'t, str>),
    /// A number, as written.
    Number(&'t str),
    Other,
}

/// Whether a member's key is known, and so seen to be there once by who knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    Known,
    Unknown,
}

impl<'t> Reader<'t> {
    pub(crate) fn new(text: &'t str, max_depth: usize) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
            max_depth,
            integers: Integers::Exact,
            out: String::new(),
            members: Vec::new(),
            scratch: String::new(),
        }
    }

    /// Whether the text begins as an object does.
    pub(crate) fn is_object(&mut self) -> bool {
        self.space();
        self.peek() == Some(b'{')
    }

    /// Reads the whole text as one value that is not kept.
    pub(crate) fn skip_all(mut self) -> Result<(), JsonError> {
        self.skip()?;
        self.end()
    }

    /// Reads the whole text as one object, a member at a time: `take` has the key and reads the
    /// value with [`scalar`](Self::scalar), [`json`](Self::json) or [`skip`](Self::skip).
    pub(crate) fn each_member(
        mut self,
        mut take: impl FnMut(&mut Self, &str) -> Result<Key, JsonError>,
    ) -> Result<(), JsonError> {
        self.space();
        self.open()?;
        if self.next_is(b'}') {
            self.at += 1;
            return self.end();
        }
        loop {
            self.space();
            let start = self.out.len();
            let key = self.text_of("a key")?;
            let end = self.out.len();
            self.colon()?;
            let is_known = take(&mut self, &key)? == Key::Known;
            // An unknown key is kept until it shows whether it stands there twice.
            self.out.truncate(if is_known { start } else { end });
            if !is_known {
                self.members.push(Member { start, end });
            }
            if !self.is_followed(b'}', "a comma or the end of the object")? {
                break;
            }
        }
        self.sort(0)?;
        self.end()
    }

    /// Reads a value that is looked at.
    pub(crate) fn scalar(&mut self) -> Result<Scalar<'t>, JsonError> {
        self.space();
        let (start, written) = (self.at, self.out.len());
        let scalar = match self.peek() {
            Some(b'"') => Scalar::Text(self.text_of("a string")?),
            first => {
                self.value()?;
                match first {
                    Some(b'n') => Scalar::Null,
                    Some(b'-' | b'0'..=b'9') => Scalar::Number(&self.text[start..self.at]),
                    _ => Scalar::Other,
                }
            }
        };
        self.out.truncate(written);
        Ok(scalar)
    }

    /// Reads a value that is kept.
    pub(super) fn text(&mut self) -> Result<Box<str>, JsonError> {
        self.space();
        let depth_left = self.max_depth - self.depth;
        if let Some(end) = canonical::value_end(self.text, self.at, depth_left) {
            let text = &self.text[self.at..end];
            self.at = end;
            return Ok(text.into());
        }
        let written = mem::take(&mut self.out);
        self.value()?;
        Ok(mem::replace(&mut self.out, written).into())
    }

    /// Reads a value that is not kept.
    pub(crate) fn skip(&mut self) -> Result<(), JsonError> {
        let written = self.out.len();
        self.value()?;
        self.out.truncate(written);
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn next_is(&mut self, byte: u8) -> bool {
        self.space();
        self.peek() == Some(byte)
    }

    fn wrong(&self, what: impl std::fmt::Display) -> JsonError {
        syntax(format_args!("{what} at byte {}", self.at))
    }

    fn expected(&self, what: &'static str) -> JsonError {
        match self.text[self.at..].chars().next() {
            None => self.wrong(format_args!("expected {what}, found the end")),
            Some(found) => self.wrong(format_args!("expected {what}, found {found:?}")),
        }
    }

    fn end(&mut self) -> Result<(), JsonError> {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { Err(self.expected("nothing more")) }
    }

    /// Passes the bracket that the text stands on, and writes it.
    fn open(&mut self) -> Result<(), JsonError> {
        if self.depth == self.max_depth {
            return Err(JsonError::TooDeep { limit: self.max_depth });
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    fn close(&mut self, bracket: char) {
        self.depth -= 1;
        self.out.push(bracket);
    }

    /// Passes the comma, or the bracket that ends what is read; returns whether it was the comma.
    fn is_followed(&mut self, end: u8, expected: &'static str) -> Result<bool, JsonError> {
        self.space();
        let found = self.peek();
        if found != Some(b',') && found != Some(end) {
            return Err(self.expected(expected));
        }
        self.at += 1;
        Ok(found == Some(b','))
    }

    fn colon(&mut self) -> Result<(), JsonError> {
        if !self.next_is(b':') {
            return Err(self.expected("a colon"));
        }
        self.at += 1;
        Ok(())
    }

    fn value(&mut self) -> Result<(), JsonError> {
        self.space();
        match self.peek() {
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => {
                let rest = &self.text[self.at..];
                let word =
                    ["true", "false", "null"].into_iter().find(|word| rest.starts_with(word));
                let word = word.ok_or_else(|| self.expected("a value"))?;
                self.out.push_str(word);
                self.at += word.len();
                Ok(())
            }
        }
    }

    fn array(&mut self) -> Result<(), JsonError> {
        self.open()?;
        self.out.push('[');
        if self.next_is(b']') {
            self.at += 1;
        } else {
            loop {
                self.value()?;
                if !self.is_followed(b']', "a comma or the end of the array")? {
                    break;
                }
                self.out.push(',');
            }
        }
        self.close(']');
        Ok(())
    }

    fn object(&mut self) -> Result<(), JsonError> {
        self.open()?;
        self.out.push('{');
        let first = self.members.len();
        if self.next_is(b'}') {
            self.at += 1;
        } else {
            let mut is_ascending = true;
            loop {
                self.space();
                let start = self.out.len();
                if self.peek() != Some(b'"') {
                    return Err(self.expected("a key"));
                }
                self.string()?;
                if let Some(previous) = self.members[first..].last() {
                    let order = self.compare(previous.start, start);
                    is_ascending &= order == Ordering::Less;
                    if order == Ordering::Equal {
                        return Err(self.twice(start));
                    }
                }
                self.colon()?;
                self.out.push(':');
                self.value()?;
                self.members.push(Member { start, end: self.out.len() });
                if !self.is_followed(b'}', "a comma or the end of the object")? {
                    break;
                }
                self.out.push(',');
            }
            if !is_ascending {
                self.sort(first)?;
                self.rewrite(first);
            }
        }
        self.members.truncate(first);
        self.close('}');
        Ok(())
    }

    /// The order of two keys, by where their quotes were written.
    fn compare(&self, left: usize, right: usize) -> Ordering {
        keys::compare(&self.out[left + 1..], &self.out[right + 1..])
    }

    fn twice(&self, start: usize) -> JsonError {
        JsonError::DuplicateKey { key: keys::decode(&self.out[start + 1..]) }
    }

    /// Puts the members from `first` on in the order of their keys, and refuses a key twice.
    fn sort(&mut self, first: usize) -> Result<(), JsonError> {
        let mut members = mem::take(&mut self.members);
        let open = &mut members[first..];
        open.sort_unstable_by(|left, right| self.compare(left.start, right.start));
        let twice = open
            .windows(2)
            .find(|pair| self.compare(pair[0].start, pair[1].start) == Ordering::Equal)
            .map(|pair| self.twice(pair[1].start));
        self.members = members;
        twice.map_or(Ok(()), Err)
    }

    /// Writes the members from `first` on again, in the order that they have now.
    fn rewrite(&mut self, first: usize) {
        let members = &self.members[first..];
        let begin = members.iter().map(|member| member.start).min().unwrap_or(self.out.len());
        self.scratch.clear();
        for member in members {
            if !self.scratch.is_empty() {
                self.scratch.push(',');
            }
            self.scratch.push_str(&self.out[member.start..member.end]);
        }
        self.out.truncate(begin);
        self.out.push_str(&self.scratch);
    }
}

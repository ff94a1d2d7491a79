//! Reading I-JSON text into a tree and printing that: slow, and written on others' code, so that
//! tests have something to compare with.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::characters::is_noncharacter;
use super::{Json, JsonError, syntax};

pub(super) fn parse(text: &str, max_depth: usize) -> Result<Json, JsonError> {
    let value = parse_value(text, max_depth)?;
    serde_json_canonicalizer::to_string(&value).map(|text| Json(text.into())).map_err(syntax)
}

/// What neither a string nor a key may hold.
pub(super) fn check_string(text: &str) -> Result<(), JsonError> {
    let pointer = String::new();
    match text.chars().find(|&c| c == '\0' || is_noncharacter(u32::from(c))) {
        None => Ok(()),
        Some('\0') => Err(JsonError::Nul { pointer }),
        Some(c) => Err(JsonError::Noncharacter { code_point: u32::from(c), pointer }),
    }
}

fn parse_value(text: &str, max_depth: usize) -> Result<Value, JsonError> {
    check_depth(text, max_depth)?;
    // serde_json's own limit is 127 levels; the depth was bounded just now.
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.disable_recursion_limit();
    let refused = RefCell::new(None);
    let value = Strict { refused: &refused }.deserialize(&mut deserializer);
    let value = value.and_then(|value| deserializer.end().map(|()| value));
    // The grammar is right from here on, or the number scan's finding is the better message.
    let numbers = check_numbers(text);
    match (refused.into_inner(), value) {
        (Some(refusal), _) => Err(refusal),
        (None, Ok(value)) => numbers.map(|()| value),
        (None, Err(error)) => match numbers {
            Err(overflow @ JsonError::NumberOverflow { .. }) => Err(overflow),
            _ => Err(syntax(error)),
        },
    }
}

/// A pass over the bytes that stand outside strings.
fn outside_strings(text: &str) -> impl Iterator<Item = (usize, u8)> {
    let mut is_inside = false;
    let mut is_escaped = false;
    text.bytes().enumerate().filter(move |&(_, byte)| {
        if is_inside {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => is_inside = false,
                _ => {}
            }
            return false;
        }
        is_inside = byte == b'"';
        !is_inside
    })
}

/// Bounds the nesting before anything recurses.
fn check_depth(text: &str, max_depth: usize) -> Result<(), JsonError> {
    let mut depth = 0usize;
    for (_, byte) in outside_strings(text) {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > max_depth {
            return Err(JsonError::TooDeep { limit: max_depth });
        }
    }
    Ok(())
}

/// Compares each number literal with what RFC 8785 prints for it, which a parsed number no longer
/// shows.
fn check_numbers(text: &str) -> Result<(), JsonError> {
    let is_part =
        |byte: u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E');
    let mut end = 0;
    for (at, byte) in outside_strings(text) {
        if at < end || !(byte.is_ascii_digit() || byte == b'-') {
            continue;
        }
        let length = text.as_bytes()[at..].iter().take_while(|&&byte| is_part(byte)).count();
        end = at + length;
        check_number(&text[at..end])?;
    }
    Ok(())
}

fn check_number(literal: &str) -> Result<(), JsonError> {
    let is_integer = !literal.contains(['.', 'e', 'E']);
    if is_integer && literal.len() <= 15 {
        return Ok(());
    }
    // A literal that is not a number at all is the grammar's business.
    let Ok(number) = literal.parse::<f64>() else { return Ok(()) };
    if number.is_infinite() {
        return Err(JsonError::NumberOverflow { literal: literal.chars().take(64).collect() });
    }
    let canonical = serde_json_canonicalizer::to_string(&number).map_err(syntax)?;
    if is_integer && canonical != literal {
        return Err(JsonError::InexactInteger {
            literal: literal.chars().take(64).collect(),
            canonical,
        });
    }
    Ok(())
}

/// Builds the tree and refuses what serde_json would let pass. The refusal is kept aside, because
/// serde's errors carry text only.
#[derive(Clone, Copy)]
struct Strict<'r> {
    refused: &'r RefCell<Option<JsonError>>,
}

impl Strict<'_> {
    fn refuse<E: serde::de::Error>(self, error: JsonError) -> E {
        let message = E::custom(&error);
        *self.refused.borrow_mut() = Some(error);
        message
    }

    fn string<E: serde::de::Error>(self, text: String) -> Result<String, E> {
        check_string(&text).map(|()| text).map_err(|error| self.refuse(error))
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        serde_json::Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number that is not finite"))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        self.string(text.to_owned()).map(Value::String)
    }

    fn visit_string<E: serde::de::Error>(self, text: String) -> Result<Value, E> {
        self.string(text).map(Value::String)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = sequence.next_element_seed(self)? {
            elements.push(element);
        }
        Ok(elements.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            let key = self.string::<A::Error>(key)?;
            if map.contains_key(&key) {
                return Err(self.refuse(JsonError::DuplicateKey { key }));
            }
            let value = members.next_value_seed(self)?;
            map.insert(key, value);
        }
        Ok(map.into())
    }
}

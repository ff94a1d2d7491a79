//! I-JSON in, canonical JSON out; whatever would hash two ways is refused here.
//!
//! [`Json`] is a JSON value as its canonical text (RFC 8785), and can be made only from I-JSON
//! (RFC 7493). Text that two readers could understand differently (a duplicate key, an integer
//! that no double holds) is refused *before* it is canonicalised, because afterwards two contents
//! would share one CID.

mod canonical;
mod characters;
mod contains;
mod error;
mod keys;
#[cfg(test)]
mod oracle;
mod pointer;
mod strict;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

pub use self::error::JsonError;
pub(crate) use self::error::syntax;
use self::strict::Integers;
pub(crate) use self::strict::{Key, Reader, Scalar};

/// How deep objects and arrays may nest: 128 levels (DESIGN section 3).
pub const MAX_DEPTH: usize = 128;

/// How long a payload may be unless set otherwise: 16 MiB (DESIGN section 3).
pub const MAX_PAYLOAD_BYTES: usize = 16 << 20;

/// A JSON value as its canonical text (RFC 8785).
///
/// Two values are equal exactly when their texts are, and [`Cid::of`](crate::Cid::of) hashes that
/// text. It deserialises from any I-JSON and serialises as itself, both through `serde_json` only.
///
/// ```
/// use guildhall_core::{Json, JsonError};
///
/// let json = Json::parse(r#"{"b": [1.0, 1e2], "a": "\u00e9"}"#)?;
/// assert_eq!(json.as_str(), r#"{"a":"é","b":[1,100]}"#);
/// assert!(matches!(Json::parse(r#"{"a":1,"a":2}"#), Err(JsonError::DuplicateKey { .. })));
/// assert!(matches!(Json::parse("9007199254740993"), Err(JsonError::InexactInteger { .. })));
/// # Ok::<(), JsonError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Json(Box<str>);

impl Json {
    /// Reads I-JSON and keeps its canonical form.
    ///
    /// # Errors
    /// Any [`JsonError`] but [`NotCanonical`](JsonError::NotCanonical).
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        if canonical::check(text, MAX_DEPTH).is_ok() {
            return Ok(Self(text.into()));
        }
        strict::parse(text, MAX_DEPTH, Integers::Exact).map(Self)
    }

    /// Takes text that is canonical already, and checks that it is: one pass, no allocation.
    ///
    /// # Errors
    /// [`JsonError::NotCanonical`], [`JsonError::TooDeep`], or the character that no text may hold.
    pub fn from_canonical(text: impl Into<Box<str>>) -> Result<Self, JsonError> {
        let text = text.into();
        canonical::check(&text, MAX_DEPTH)?;
        Ok(Self(text))
    }

    /// The canonical form of a text that a database made of a canonical one, as PostgreSQL's
    /// `jsonb` does: it has the same value, with its keys and numbers written in other ways. So a
    /// long integer is not a reason to refuse it.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), but for [`JsonError::InexactInteger`].
    pub fn from_rewritten(text: &str) -> Result<Self, JsonError> {
        if canonical::check(text, MAX_DEPTH).is_ok() {
            return Ok(Self(text.into()));
        }
        strict::parse(text, MAX_DEPTH, Integers::Rounded).map(Self)
    }

    /// Takes text that was serialised as canonical, before an append checks it.
    pub(crate) fn unchecked(text: String) -> Self {
        Self(text.into())
    }

    /// The canonical form of a value, held to the same rules as a text.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn from_value(value: &Value) -> Result<Self, JsonError> {
        // Its own text shows an integer beyond what a double holds.
        let text = serde_json::to_string(value).map_err(syntax)?;
        Self::parse(&text)
    }

    /// JSON's `null`.
    pub fn null() -> Self {
        Self("null".into())
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The canonical text, moved out.
    pub fn into_string(self) -> String {
        self.0.into()
    }

    /// The value as a tree.
    pub fn to_value(&self) -> Value {
        // The text was checked when it came in, also for its depth.
        let mut deserializer = serde_json::Deserializer::from_str(&self.0);
        deserializer.disable_recursion_limit();
        Value::deserialize(&mut deserializer).unwrap_or_default()
    }

    /// Whether the value is an object.
    pub fn is_object(&self) -> bool {
        self.0.starts_with('{')
    }

    /// Whether this value contains `fragment`, as PostgreSQL's `@>` decides: an object contains
    /// one whose every member it contains, an array one whose every element some element of it
    /// contains, a scalar its equal; at the top, an array also contains a scalar element.
    ///
    /// ```
    /// # use guildhall_core::Json;
    /// let content = Json::parse(r#"{"records":[{"type":"A","ttl":300},{"type":"MX"}]}"#)?;
    /// assert!(content.contains(&Json::parse(r#"{"records":[{"type":"A"}]}"#)?));
    /// assert!(!content.contains(&Json::parse(r#"{"records":[{"type":"AAAA"}]}"#)?));
    /// # Ok::<(), guildhall_core::JsonError>(())
    /// ```
    pub fn contains(&self, fragment: &Json) -> bool {
        contains::contains(&self.to_value(), &fragment.to_value())
    }
}

impl Reader<'_> {
    /// Reads any value, and keeps it.
    pub(crate) fn json(&mut self) -> Result<Json, JsonError> {
        self.text().map(Json)
    }
}

/// Whether a text is canonical JSON already.
pub(crate) fn check_canonical(text: &str) -> Result<(), JsonError> {
    canonical::check(text, MAX_DEPTH)
}

impl FromStr for Json {
    type Err = JsonError;

    /// Reads I-JSON, as [`parse`](Self::parse) does.
    fn from_str(text: &str) -> Result<Self, JsonError> {
        Self::parse(text)
    }
}

impl fmt::Display for Json {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Json({})", self.0)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        if canonical::check(raw.get(), MAX_DEPTH).is_ok() {
            return Ok(Self(raw.into()));
        }
        Self::parse(raw.get()).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn nested(depth: usize) -> String {
        "[".repeat(depth) + &"]".repeat(depth)
    }

    #[test]
    fn what_would_hash_two_ways_is_refused() {
        for (text, is_expected) in [
            (
                r#"{"a":1,"a":1}"#,
                (|e| matches!(e, JsonError::DuplicateKey { .. })) as fn(&JsonError) -> bool,
            ),
            (r#"{"a":{"b":1,"\u0062":2}}"#, |e| matches!(e, JsonError::DuplicateKey { .. })),
            ("9007199254740993", |e| matches!(e, JsonError::InexactInteger { .. })),
            ("[18446744073709551615]", |e| matches!(e, JsonError::InexactInteger { .. })),
            ("100000000000000000001", |e| matches!(e, JsonError::InexactInteger { .. })),
            ("1152921504606846976", |e| matches!(e, JsonError::InexactInteger { .. })),
            ("-9007199254740993", |e| matches!(e, JsonError::InexactInteger { .. })),
            ("1e400", |e| matches!(e, JsonError::NumberOverflow { .. })),
            (r#""\u0000""#, |e| matches!(e, JsonError::Nul { .. })),
            (r#"{"\u0000":1}"#, |e| matches!(e, JsonError::Nul { .. })),
            ("\"\u{fffe}\"", |e| matches!(e, JsonError::Noncharacter { .. })),
            (r#""\ud800""#, |e| matches!(e, JsonError::Syntax { .. })),
            ("NaN", |e| matches!(e, JsonError::Syntax { .. })),
            ("\u{feff}1", |e| matches!(e, JsonError::Syntax { .. })),
            ("01", |e| matches!(e, JsonError::Syntax { .. })),
            ("[1,]", |e| matches!(e, JsonError::Syntax { .. })),
            ("1 2", |e| matches!(e, JsonError::Syntax { .. })),
            ("", |e| matches!(e, JsonError::Syntax { .. })),
        ] {
            let error = Json::parse(text).unwrap_err();
            assert!(is_expected(&error), "{text}: {error:?}");
        }
    }

    #[test]
    fn what_a_canonical_text_may_hold_is_accepted() {
        for (text, canonical) in [
            ("100000000000000000000", "100000000000000000000"),
            ("1e20", "100000000000000000000"),
            ("9007199254740994", "9007199254740994"),
            ("1e21", "1e+21"),
            ("-0", "0"),
            ("-0.0", "0"),
            ("0.1", "0.1"),
            ("1E-7", "1e-7"),
            ("5e-324", "5e-324"),
            (" [ 1 , 2 ] ", "[1,2]"),
            ("{\"\u{10000}\":1,\"\u{e000}\":2}", "{\"\u{10000}\":1,\"\u{e000}\":2}"),
            (r#""\u0001\n\/\u00e9""#, "\"\\u0001\\n/é\""),
        ] {
            let json = Json::parse(text).unwrap();
            assert_eq!(json.as_str(), canonical);
            assert_eq!(Json::from_canonical(canonical).unwrap(), json);
        }
    }

    #[test]
    fn depth_is_limited_to_128_levels() {
        assert!(Json::parse(&nested(128)).is_ok());
        assert!(Json::parse(&nested(128)).unwrap().to_value().is_array());
        assert_eq!(Json::parse(&nested(129)), Err(JsonError::TooDeep { limit: 128 }));
        assert_eq!(Json::parse(&nested(100_000)), Err(JsonError::TooDeep { limit: 128 }));
        assert_eq!(
            Json::parse(&format!(" {}", nested(129))),
            Err(JsonError::TooDeep { limit: 128 })
        );
    }

    #[test]
    fn containment_is_that_of_postgresql() {
        for (content, fragment, expected) in [
            (json!({"a":1,"b":{"c":[1,2,{"d":3}]}}), json!({"b":{"c":[{"d":3}]}}), true),
            (json!({"a":1}), json!({"a":2}), false),
            (json!({"a":1}), json!({}), true),
            (json!([1, 2, 3]), json!([3, 1, 1]), true),
            (json!([1, 2, 3]), json!(2), true),
            (json!({"a":[1,2]}), json!({"a":2}), false),
            (json!([[1, 2]]), json!([1]), false),
            (json!([[1, 2]]), json!([[1]]), true),
            (json!("x"), json!("x"), true),
            (json!("x"), json!(["x"]), false),
            (json!({"a":null}), json!({"a":null}), true),
        ] {
            let (content, fragment) =
                (Json::from_value(&content).unwrap(), Json::from_value(&fragment).unwrap());
            assert_eq!(content.contains(&fragment), expected, "{content} @> {fragment}");
        }
    }

    /// Any JSON value, with the strings and numbers that are hard to print.
    fn any_value() -> impl Strategy<Value = Value> {
        let key = prop_oneof!["[a-c]{0,2}", "[\u{e000}\u{10000}é\"\\\\\n]{0,3}"];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-(1i64 << 53)..=(1i64 << 53)).prop_map(Value::from),
            any::<f64>().prop_filter_map("finite", |n| n.is_finite().then(|| json!(n))),
            ".*".prop_filter("a character that I-JSON allows", |s| oracle::check_string(s).is_ok())
                .prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(key.clone(), inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// The text of a value as people and programs write it, and at times one that is refused.
    fn any_text() -> impl Strategy<Value = String> {
        let space = || "([ \t\n\r]{1,2})?";
        let piece = prop_oneof![
            "[ -~&&[^\"\\\\]]{0,9}",
            "[\u{7f}é\u{e000}\u{10000}\u{10fffd}]".prop_map(String::from),
            Just(r"\u00e9\n\/\b\\".to_owned()),
            Just(r#"\"\t\f\r\u001F\u007f"#.to_owned()),
            Just(r"\ud83d\uDE00".to_owned()),
        ];
        let refused = prop_oneof![
            Just(r"\u0000".to_owned()),
            Just(r"\uD800x".to_owned()),
            Just(r"\uffff".to_owned()),
            Just("\u{1fffe}".to_owned()),
        ];
        let pieces = prop::collection::vec(prop_oneof![60 => piece, 1 => refused], 0..4);
        let string = pieces.prop_map(|pieces| format!("\"{}\"", pieces.concat()));
        let key = prop_oneof![
            4 => "[a-e]{1,2}".prop_map(|key| format!("\"{key}\"")),
            1 => Just(r#""\u0061""#.to_owned()),
            1 => string.clone(),
        ];
        let number = prop_oneof![
            4 => "-?(0|[1-9][0-9]{0,5})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?",
            1 => any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(|n| format!("{n:e}")),
            1 => any::<i64>().prop_map(|n| (n >> 10).to_string()),
            1 => "[1-9][0-9]{14,22}|1e[0-9]{3}",
        ];
        let word = prop_oneof![Just("true"), Just("false"), Just("null")].prop_map(str::to_owned);
        let leaf = prop_oneof![string, number, word];
        leaf.prop_recursive(4, 24, 5, move |inner| {
            let element = (space(), inner, space()).prop_map(|(a, b, c)| format!("{a}{b}{c}"));
            let member = (space(), key.clone(), space(), element.clone())
                .prop_map(|(a, b, c, d)| format!("{a}{b}{c}:{d}"));
            prop_oneof![
                prop::collection::vec(element, 0..5).prop_map(|all| format!("[{}]", all.join(","))),
                prop::collection::vec(member, 0..5)
                    .prop_map(|all| format!("{{{}}}", all.join(","))),
            ]
        })
    }

    #[test]
    fn a_character_that_is_refused_is_named_with_its_place() {
        let nul = JsonError::Nul { pointer: "/records/1/na~1me".to_owned() };
        let text = r#"{"records":[{},{"na/me":"a\u0000b"}]}"#;
        assert_eq!(Json::parse(text), Err(nul.clone()));
        assert_eq!(Json::from_canonical(text), Err(nul));
        for text in ["{\"a\":[\"\u{ffff}\"]}", r#"{ "a":["\uffff"]}"#] {
            let error = Json::parse(text).unwrap_err();
            let expected = r#"the text at "/a/0" holds the noncharacter U+FFFF"#;
            assert_eq!(error.to_string(), expected);
        }
        let raw = Json::from_canonical("{\"a\":[\"\u{ffff}\"]}").unwrap_err();
        assert!(matches!(raw, JsonError::Noncharacter { code_point: 0xFFFF, .. }), "{raw}");
        for (text, expected) in [
            ("{\"a\": 1, \"b\" 2}", "expected a colon, found '2' at byte 13"),
            (r#"["\ud800"]"#, r"a lone surrogate, \ud800, at byte 2"),
            ("[\"\u{1}\"]", "the character U+0001 is not escaped at byte 2"),
            ("[1", "expected a comma or the end of the array, found the end at byte 2"),
        ] {
            assert_eq!(Json::parse(text).unwrap_err().to_string(), format!("not JSON: {expected}"));
        }
    }

    #[test]
    fn what_a_database_wrote_anew_is_canonical_again() {
        let rewritten = [
            ("1000000000000000000000", "1e+21"),
            ("9223372036854776000", "9223372036854776000"),
            ("18446744073709552000", "18446744073709552000"),
            ("0.0000001", "1e-7"),
            (r#"{"b": 1.50, "aa": [1, 2], "a": null}"#, r#"{"a":null,"aa":[1,2],"b":1.5}"#),
        ];
        for (text, canonical) in rewritten {
            assert_eq!(Json::from_rewritten(text).unwrap().as_str(), canonical);
            assert_eq!(Json::from_canonical(canonical).unwrap().as_str(), canonical);
        }
        assert!(Json::from_rewritten("{").is_err());
    }

    proptest! {
        #[test]
        fn the_canonical_text_is_that_of_the_reference(value in any_value()) {
            let text = serde_json::to_string(&value).unwrap();
            let json = Json::parse(&text).unwrap();
            prop_assert_eq!(json.as_str(), serde_json_canonicalizer::to_string(&value).unwrap());
            prop_assert_eq!(Json::parse(&serde_json::to_string_pretty(&value).unwrap()).unwrap(), json.clone());
            // What is canonical is accepted as it is, also through serde and as a tree.
            prop_assert_eq!(&Json::from_canonical(json.as_str()).unwrap(), &json);
            prop_assert_eq!(&serde_json::from_str::<Json>(&text).unwrap(), &json);
            prop_assert_eq!(&Json::from_value(&json.to_value()).unwrap(), &json);
            prop_assert!(json.contains(&json));
        }

        /// Keys in any order, twice, escaped or not; white space; numbers however written.
        #[test]
        fn a_text_becomes_what_a_tree_of_it_prints(text in any_text()) {
            let (found, expected) = (Json::parse(&text), oracle::parse(&text, MAX_DEPTH));
            prop_assert_eq!(found.is_ok(), expected.is_ok(), "{}: {:?} {:?}", text, found, expected);
            // Of several faults, either names the one that it meets first.
            prop_assert_eq!(found.ok(), expected.ok());
        }

        /// A broken text is broken for both, whatever either calls it.
        #[test]
        fn a_broken_text_is_refused_as_a_tree_would(text in any_text(), at in any::<prop::sample::Index>(),
                                                    byte in 0u8..128) {
            let mut bytes = text.into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(text) = String::from_utf8(bytes) {
                let (found, expected) = (Json::parse(&text), oracle::parse(&text, MAX_DEPTH));
                prop_assert_eq!(found.ok(), expected.ok(), "{}", text);
            }
        }

        /// The fast check accepts exactly what the slow reading leaves unchanged.
        #[test]
        fn the_canonical_check_is_exact(text in r#"[\[\]{}:, "a\\u0e1.+-]{0,12}"#) {
            let slow = oracle::parse(&text, MAX_DEPTH);
            let is_canonical = slow.is_ok_and(|json| json.as_str() == text);
            prop_assert_eq!(canonical::check(&text, MAX_DEPTH).is_ok(), is_canonical, "{}", text);
        }

        #[test]
        fn a_changed_byte_is_seen(value in any_value(), at in any::<prop::sample::Index>(), byte in 0u8..128) {
            let mut bytes = Json::from_value(&value).unwrap().into_string().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(text) = String::from_utf8(bytes) {
                let slow = oracle::parse(&text, MAX_DEPTH);
                let is_canonical = slow.is_ok_and(|json| json.as_str() == text);
                prop_assert_eq!(canonical::check(&text, MAX_DEPTH).is_ok(), is_canonical, "{}", text);
            }
        }

        #[test]
        fn no_text_panics(text in ".{0,64}") {
            let _ = Json::parse(&text);
            let _ = Json::from_canonical(text.as_str());
        }
    }
}

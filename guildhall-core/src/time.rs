//! One time format: UTC, microseconds, `2026-11-23T10:05:00.000000Z` (DESIGN section 3).

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

mod calendar;
#[cfg(feature = "chrono")]
mod convert;
mod rfc3339;

/// A moment in UTC, to the microsecond, in the years 1 to 9999 (what RFC 3339 and both databases
/// can write).
///
/// Its text is exactly 27 bytes, so that texts sort as the moments do. From people and other
/// programs, `parse` reads any RFC 3339 time; what is hashed, stored or stands in a payload has the
/// one form that [`from_canonical`](Self::from_canonical) and serde read:
///
/// ```
/// use guildhall_core::Timestamp;
///
/// let at: Timestamp = "2026-11-23T10:05:00Z".parse()?;
/// assert_eq!(at.to_string(), "2026-11-23T10:05:00.000000Z");
/// assert_eq!("2026-11-23T12:05:00.0000009+02:00".parse(), Ok(at));
/// assert_eq!(Timestamp::from_canonical("2026-11-23T10:05:00.000000Z")?, at);
/// assert!(Timestamp::from_canonical("2026-11-23T10:05:00Z").is_err());
/// # Ok::<(), guildhall_core::TimestampError>(())
/// ```
///
/// With the feature `chrono`, it converts from and into `chrono::DateTime<Utc>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    micros: i64,
}

/// Why a text or a number is not a [`Timestamp`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimestampError {
    /// The text is not UTC with exactly six fractional digits.
    #[error(
        "{found:?} is not a UTC time with six fractional digits, such as 2026-11-23T10:05:00.000000Z"
    )]
    NotExact {
        /// The text, cut to 64 characters.
        found: String,
    },
    /// The text is not RFC 3339.
    #[error("{found:?} is not an RFC 3339 time")]
    NotRfc3339 {
        /// The text, cut to 64 characters.
        found: String,
    },
    /// The moment is outside the years 1 to 9999.
    #[error("the time is outside the years 1 to 9999")]
    OutOfRange,
}

/// This host's clock, which the fold and the checks never read: it is for the in-memory stores and
/// for a recorder that is given no other.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the host's clock")]
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let micros = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(micros).unwrap_or(Timestamp::MAX)
}

impl Timestamp {
    /// 0001-01-01T00:00:00.000000Z, the earliest.
    pub const MIN: Self = Self { micros: -62_135_596_800_000_000 };
    /// 9999-12-31T23:59:59.999999Z, the latest.
    pub const MAX: Self = Self { micros: 253_402_300_799_999_999 };

    /// What time it is by this host's clock: 1970 before it, [`MAX`](Self::MAX) beyond the year 9999.
    /// What decides about entries takes a [`Clock`](crate::command::Clock) instead, which tests set.
    #[cfg(feature = "clock")]
    pub fn now() -> Self {
        now()
    }

    /// The moment that many microseconds after 1970-01-01T00:00:00Z.
    ///
    /// # Errors
    /// [`TimestampError::OutOfRange`] outside [`MIN`](Self::MIN) to [`MAX`](Self::MAX).
    pub const fn from_micros(micros: i64) -> Result<Self, TimestampError> {
        if micros < Self::MIN.micros || micros > Self::MAX.micros {
            return Err(TimestampError::OutOfRange);
        }
        Ok(Self { micros })
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub const fn as_micros(self) -> i64 {
        self.micros
    }

    /// Where its day begins, in UTC.
    #[must_use]
    pub const fn start_of_day(self) -> Self {
        const DAY_MICROS: i64 = 86_400_000_000;
        // The first day of the first year is a whole one.
        Self { micros: self.micros.div_euclid(DAY_MICROS) * DAY_MICROS }
    }

    /// Reads any RFC 3339 time: other offsets become UTC, digits finer than a microsecond are
    /// dropped, a leap second becomes the last microsecond before the next minute. `parse` does the
    /// same.
    ///
    /// # Errors
    /// [`TimestampError::NotRfc3339`] or [`TimestampError::OutOfRange`].
    pub fn from_rfc3339(text: &str) -> Result<Self, TimestampError> {
        rfc3339::read(text.as_bytes())
            .ok_or_else(|| TimestampError::NotRfc3339 { found: text.chars().take(64).collect() })
            .and_then(Self::from_micros)
    }

    /// Reads exactly the form that [`Display`](fmt::Display) writes, as it stands in payloads, in
    /// tables and under hashes: one moment has one text there.
    ///
    /// # Errors
    /// [`TimestampError::NotExact`] or [`TimestampError::OutOfRange`].
    pub fn from_canonical(text: &str) -> Result<Self, TimestampError> {
        rfc3339::read_exact(text.as_bytes())
            .ok_or_else(|| TimestampError::NotExact { found: text.chars().take(64).collect() })
            .and_then(Self::from_micros)
    }

    /// The 27 bytes of the text, without allocating.
    pub fn to_bytes(self) -> [u8; 27] {
        rfc3339::write(self.micros)
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    /// Reads any RFC 3339 time, as [`from_rfc3339`](Self::from_rfc3339) does. What a program wrote
    /// into a payload or a table is for [`from_canonical`](Self::from_canonical).
    fn from_str(text: &str) -> Result<Self, TimestampError> {
        Self::from_rfc3339(text)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.to_bytes();
        formatter.pad(std::str::from_utf8(&bytes).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = self.to_bytes();
        serializer.serialize_str(std::str::from_utf8(&bytes).map_err(serde::ser::Error::custom)?)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl serde::de::Visitor<'_> for Visitor {
            type Value = Timestamp;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a UTC time with six fractional digits")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Timestamp, E> {
                Timestamp::from_canonical(text).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn only_the_exact_form_is_read_inside_data() {
        for text in [
            "2026-11-23T10:05:00Z",
            "2026-11-23T10:05:00.000Z",
            "2026-11-23T10:05:00.000000+00:00",
            "2026-11-23t10:05:00.000000z",
            "2026-13-23T10:05:00.000000Z",
            "2026-02-30T10:05:00.000000Z",
            "2026-11-23T24:00:00.000000Z",
            "0000-11-23T10:00:00.000000Z",
            "+026-11-23T10:05:00.000000Z",
            "",
        ] {
            assert!(Timestamp::from_canonical(text).is_err(), "{text}");
            let json = serde_json::Value::from(text);
            assert!(serde_json::from_value::<Timestamp>(json).is_err(), "{text}");
        }
    }

    #[test]
    fn people_may_write_any_rfc3339_time() {
        for text in [
            "2026-11-23T10:05:00Z",
            "2026-11-23T10:05:00.000Z",
            "2026-11-23T10:05:00.000000Z",
            "2026-11-23T10:05:00.000000999Z",
            "2026-11-23t10:05:00z",
            "2026-11-23T04:35:00-05:30",
        ] {
            let at: Timestamp = text.parse().unwrap();
            assert_eq!(at.to_string(), "2026-11-23T10:05:00.000000Z", "{text}");
        }
        for text in ["2026-11-23", "2026-11-23T10:05:00", "2026-02-30T10:05:00Z", "10:05", ""] {
            let refused = text.parse::<Timestamp>();
            assert!(matches!(refused, Err(TimestampError::NotRfc3339 { .. })), "{text}");
        }
    }

    #[test]
    fn a_leap_second_stays_in_its_minute() {
        let leap = Timestamp::from_rfc3339("2016-12-31T23:59:60.5Z").unwrap();
        assert_eq!(leap.to_string(), "2016-12-31T23:59:59.999999Z");
    }

    #[test]
    fn rfc3339_is_normalised_to_utc_microseconds() {
        let at = Timestamp::from_rfc3339("1969-12-31T23:59:59.9999999-05:30").unwrap();
        assert_eq!(at.to_string(), "1970-01-01T05:29:59.999999Z");
        assert!(Timestamp::from_rfc3339("0001-01-01T00:00:00+01:00").is_err());
        assert!(Timestamp::from_rfc3339("yesterday").is_err());
    }

    proptest::proptest! {
        #[test]
        fn text_round_trips_and_sorts_as_time(a in Timestamp::MIN.micros..=Timestamp::MAX.micros,
                                              b in Timestamp::MIN.micros..=Timestamp::MAX.micros) {
            let (a, b) = (Timestamp::from_micros(a).unwrap(), Timestamp::from_micros(b).unwrap());
            proptest::prop_assert_eq!(Timestamp::from_canonical(&a.to_string()).unwrap(), a);
            proptest::prop_assert_eq!(a.to_string().cmp(&b.to_string()), a.cmp(&b));
            proptest::prop_assert_eq!(a.to_string().parse::<Timestamp>().unwrap(), a);
        }
    }
}

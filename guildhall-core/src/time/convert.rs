//! For programs whose times are chrono's.

use chrono::{DateTime, Utc};

use super::{Timestamp, TimestampError};

impl TryFrom<DateTime<Utc>> for Timestamp {
    type Error = TimestampError;

    /// The moment, with digits finer than a microsecond dropped.
    fn try_from(time: DateTime<Utc>) -> Result<Self, TimestampError> {
        Self::from_micros(time.timestamp_micros())
    }
}

impl From<Timestamp> for DateTime<Utc> {
    fn from(at: Timestamp) -> Self {
        // `Timestamp` holds only moments that chrono holds.
        Self::from_timestamp_micros(at.as_micros()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn what_both_hold_goes_there_and_back() {
        for at in [Timestamp::MIN, Timestamp::MAX, Timestamp::from_micros(-1).unwrap()] {
            let theirs = DateTime::<Utc>::from(at);
            assert_eq!(theirs.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string(), at.to_string());
            assert_eq!(Timestamp::try_from(theirs), Ok(at));
        }
        assert_eq!(Timestamp::try_from(DateTime::<Utc>::MAX_UTC), Err(TimestampError::OutOfRange));
        let fine = DateTime::<Utc>::from_timestamp(0, 999).unwrap();
        assert_eq!(Timestamp::try_from(fine), Timestamp::from_micros(0));
    }
}

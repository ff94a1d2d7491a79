//! The text of a time: any that RFC 3339 allows is read, one form is written (RFC 3339, section 5.6).

use super::calendar;

const MICROS_OF_A_DAY: i64 = 86_400_000_000;
const MICROS_OF_A_SECOND: i64 = 1_000_000;

/// The microseconds since 1970 of any text of RFC 3339. The letters may be small, and a space may
/// stand for the `T`. Digits finer than a microsecond are dropped.
pub(super) fn read(text: &[u8]) -> Option<i64> {
    let (start, rest) = text.split_at_checked(19)?;
    let (fraction, zone) = match rest.strip_prefix(b".") {
        Some(rest) => {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            rest.split_at_checked(digits).filter(|(digits, _)| !digits.is_empty())?
        }
        None => (&rest[..0], rest),
    };
    let micros = (0..6).fold(0, |value, nth| {
        value * 10 + fraction.get(nth).map_or(0, |digit| u32::from(digit - b'0'))
    });
    let offset = match zone {
        b"Z" | b"z" => 0,
        [sign @ (b'+' | b'-'), hours @ .., b':', _, _] if hours.len() == 2 => {
            let (hours, minutes) = (number(hours)?, number(&zone[4..])?);
            let minutes = i64::from((hours < 24 && minutes < 60).then_some(hours * 60 + minutes)?);
            if *sign == b'+' { minutes } else { -minutes }
        }
        _ => return None,
    };
    let local = join(start, micros, |mark| matches!(mark, b'T' | b't' | b' '))?;
    Some(local - offset * 60 * MICROS_OF_A_SECOND)
}

/// The microseconds since 1970 of a text of the one form, `2026-11-23T10:05:00.000000Z`.
pub(super) fn read_exact(text: &[u8]) -> Option<i64> {
    let (start, [b'.', micros @ .., b'Z']) = text.split_at_checked(19)? else { return None };
    // A leap second has no text of its own.
    if micros.len() != 6 || start.ends_with(b"60") {
        return None;
    }
    join(start, number(micros)?, |mark| mark == b'T')
}

/// The one form of that many microseconds since 1970, in the years 0 to 9999.
pub(super) fn write(micros: i64) -> [u8; 27] {
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    let mut put = |at: usize, digits: usize, mut value: i64| {
        for slot in text[at..at + digits].iter_mut().rev() {
            *slot = b'0' + u8::try_from(value % 10).unwrap_or(0);
            value /= 10;
        }
    };
    let (year, month, day) = calendar::date(micros.div_euclid(MICROS_OF_A_DAY));
    let micros = micros.rem_euclid(MICROS_OF_A_DAY);
    let seconds = micros / MICROS_OF_A_SECOND;
    put(0, 4, year);
    put(5, 2, month);
    put(8, 2, day);
    put(11, 2, seconds / 3600);
    put(14, 2, seconds / 60 % 60);
    put(17, 2, seconds % 60);
    put(20, 6, micros % MICROS_OF_A_SECOND);
    text
}

/// The microseconds of a date and a time of day, written in 19 bytes, and of a fraction. A leap second
/// becomes the last microsecond before the next minute: it must not spill into that.
fn join(text: &[u8], micros: u32, is_between: impl Fn(u8) -> bool) -> Option<i64> {
    let marks = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if !marks.iter().all(|&(at, mark)| text[at] == mark) || !is_between(text[10]) {
        return None;
    }
    let days = calendar::days_since_1970(
        number(&text[..4])?,
        number(&text[5..7])?,
        number(&text[8..10])?,
    )?;
    let (hour, minute) = (number(&text[11..13])?, number(&text[14..16])?);
    let (second, micros) = match number(&text[17..])? {
        60 => (59, 999_999),
        second => (second, micros),
    };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = i64::from(hour * 3600 + minute * 60 + second);
    Some(days * MICROS_OF_A_DAY + seconds * MICROS_OF_A_SECOND + i64::from(micros))
}

/// A number of digits alone, few enough for 32 bits.
fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, byte| {
        byte.is_ascii_digit().then(|| value * 10 + u32::from(byte - b'0'))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;

    /// As another implementation reads it.
    fn by_chrono(text: &str) -> Option<i64> {
        let time = DateTime::parse_from_rfc3339(text).ok()?;
        let micros = i64::from((time.timestamp_subsec_nanos() / 1000).min(999_999));
        Some(time.timestamp() * MICROS_OF_A_SECOND + micros)
    }

    proptest! {
        #[test]
        fn every_moment_is_written_and_read_as_chrono_does(
            // From 0000-01-02, so that an offset leaves none before the year 0.
            micros in -62_167_132_800_000_000..253_402_214_400_000_000_i64,
            digits in 0..10_usize,
            offset in -1439..1440_i32,
        ) {
            let text = String::from_utf8(write(micros).to_vec()).unwrap();
            prop_assert_eq!(read_exact(text.as_bytes()), Some(micros));
            prop_assert_eq!(by_chrono(&text), Some(micros));

            let zone = chrono::FixedOffset::east_opt(offset * 60).unwrap();
            let at = DateTime::from_timestamp_micros(micros).unwrap().with_timezone(&zone);
            let (start, zone) = (at.format("%Y-%m-%dT%H:%M:%S"), at.format("%:z"));
            let fraction = &at.format("%.9f").to_string()[..if digits == 0 { 0 } else { digits + 1 }];
            let text = format!("{start}{fraction}{zone}");
            prop_assert_eq!(read(text.as_bytes()), by_chrono(&text), "{}", text);
        }

        #[test]
        fn one_wrong_byte_is_taken_as_chrono_takes_it(at in 0..32_usize, byte in 32..127_u8) {
            for good in ["2024-02-29T23:59:59.123456789+05:30", "2016-12-31T23:59:60.5Z", "1999-04-30 00:00:00-23:59"] {
                let mut text = good.as_bytes().to_vec();
                let at = at % text.len();
                text[at] = byte;
                let text = String::from_utf8(text).unwrap();
                prop_assert_eq!(read(text.as_bytes()), by_chrono(&text), "{}", text);
            }
        }
    }
}

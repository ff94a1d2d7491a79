//! The Gregorian calendar, as far as RFC 3339 writes it: years 0 to 9999.
//!
//! After Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": years that begin in March have
//! their leap day at the end, so months begin at fixed days of them, and 400 years are 146,097 days.

/// From 0000-03-01 to 1970-01-01.
const DAYS_TO_1970: i64 = 719_468;
const DAYS_OF_400_YEARS: i64 = 146_097;

/// How many days after 1970-01-01 a date is; none where there is no such date.
pub(super) fn days_since_1970(year: u32, month: u32, day: u32) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=days_of(year, month)).contains(&day) {
        return None;
    }
    let year = i64::from(year) - i64::from(month <= 2);
    let (cycle, year) = (year.div_euclid(400), year.rem_euclid(400));
    let month = (i64::from(month) + 9) % 12;
    let day = (153 * month + 2) / 5 + i64::from(day) - 1;
    Some(cycle * DAYS_OF_400_YEARS + year * 365 + year / 4 - year / 100 + day - DAYS_TO_1970)
}

/// The year, month and day that many days after 1970-01-01.
pub(super) fn date(days_since_1970: i64) -> (i64, i64, i64) {
    let days = days_since_1970 + DAYS_TO_1970;
    let (cycle, days) = (days.div_euclid(DAYS_OF_400_YEARS), days.rem_euclid(DAYS_OF_400_YEARS));
    // Without the leap days, years are 365 days long.
    let year = (days - days / 1_460 + days / 36_524 - days / 146_096) / 365;
    let days = days - (365 * year + year / 4 - year / 100);
    let month = (5 * days + 2) / 153;
    let day = days - (153 * month + 2) / 5 + 1;
    let (month, is_next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (cycle * 400 + year + is_next_year, month, day)
}

fn days_of(year: u32, month: u32) -> u32 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn every_day_has_one_date_and_follows_the_one_before() {
        let first = days_since_1970(0, 1, 1).unwrap();
        let mut next = first;
        for year in 0..=9999 {
            for month in 1..=12 {
                for day in 1..=days_of(year, month) {
                    assert_eq!(days_since_1970(year, month, day), Some(next));
                    assert_eq!(date(next), (year.into(), month.into(), day.into()));
                    next += 1;
                }
                assert_eq!(days_since_1970(year, month, days_of(year, month) + 1), None);
            }
        }
        assert_eq!(next - first, 25 * DAYS_OF_400_YEARS);
        assert_eq!(days_since_1970(1970, 1, 1), Some(0));
    }

    #[test]
    fn what_no_calendar_has_is_no_date() {
        for (month, day) in [(0, 1), (13, 1), (1, 0), (2, 30), (4, 31)] {
            assert_eq!(days_since_1970(2024, month, day), None, "{month}-{day}");
        }
        assert!(days_since_1970(2000, 2, 29).is_some());
        assert_eq!(days_since_1970(1900, 2, 29), None);
    }
}

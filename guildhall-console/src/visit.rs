//! When somebody last looked at what changed, so that the page can go on from there.
//!
//! The browser keeps it, in one cookie of that page alone: three numbers, which tell nothing of who looks and are
//! sent nowhere else. Who refuses the cookie sees every page, without the link to the last visit.

use axum::http::{HeaderMap, HeaderValue, header};
use data_encoding::HEXLOWER;
use guildhall_core::{Origin, Position, Timestamp};
use sha2::{Digest, Sha256};

/// How long after the last look the next one is another visit.
const VISIT_MICROS: i64 = 30 * 60 * 1_000_000;

/// How long the browser keeps it: as long as browsers keep any.
const KEPT_SECONDS: u32 = 400 * 86_400;

/// A visit: where the tables stood when the one before it ended, where they stand, and when this was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Visit {
    /// What came after this position is new to who looks.
    pub(crate) from: Position,
    seen: Position,
    at: Timestamp,
}

impl Visit {
    /// The visit that a look is part of, by the one that the browser tells of. A page that is left open keeps
    /// looking, so a visit lasts as long as it is open. Tables that were taken back are new from where
    /// they stand.
    pub(crate) fn of(told: Option<Self>, stands: Position, now: Timestamp) -> Self {
        let from = match told {
            None => stands,
            Some(told) => {
                let is_same = (0..VISIT_MICROS)
                    .contains(&now.as_micros().saturating_sub(told.at.as_micros()));
                if is_same { told.from } else { told.seen }
            }
        };
        Self { from: from.min(stands), seen: stands, at: now }
    }

    /// What the browser tells of this log; nothing where it tells nothing that makes sense.
    pub(crate) fn told(headers: &HeaderMap, origin: Option<&Origin>) -> Option<Self> {
        let name = name(origin);
        let cookies = headers.get_all(header::COOKIE).into_iter();
        let cookies = cookies.filter_map(|cookies| cookies.to_str().ok());
        let mut pairs = cookies.flat_map(|cookies| cookies.split(';'));
        let value = pairs.find_map(|pair| pair.trim().strip_prefix(&name)?.strip_prefix('='))?;
        let mut numbers = value.splitn(3, '.');
        let mut position = || numbers.next()?.parse::<Position>().ok();
        let (from, seen) = (position()?, position()?);
        let at = Timestamp::from_micros(numbers.next()?.parse().ok()?).ok()?;
        Some(Self { from, seen, at })
    }

    /// What the browser is to tell next time, on the page at this path alone.
    pub(crate) fn to_tell(self, origin: Option<&Origin>, path: &str) -> Option<HeaderValue> {
        let Self { from, seen, at } = self;
        let value = format!("{from}.{seen}.{}", at.as_micros());
        // Lax, and not Strict: who follows a link from elsewhere comes back as well.
        let kept = format!("Path={path}; Max-Age={KEPT_SECONDS}; HttpOnly; SameSite=Lax");
        HeaderValue::from_str(&format!("{}={value}; {kept}", name(origin))).ok()
    }
}

/// The cookie's name, another for each log: browsers do not tell the ports of a host apart.
fn name(origin: Option<&Origin>) -> String {
    let hash = Sha256::digest(origin.map_or("", Origin::as_str));
    format!("guildhall_visit_{}", HEXLOWER.encode(&hash[..4]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_micros(1_800_000_000_000_000 + minute * 60_000_000).unwrap()
    }

    fn look(told: Option<Visit>, stands: u32, minute: i64) -> Visit {
        Visit::of(told, Position::new(stands), at(minute))
    }

    #[test]
    fn a_visit_goes_on_while_somebody_looks_and_the_next_begins_where_it_ended() {
        let first = look(None, 10, 0);
        assert_eq!(first.from.get(), 10, "nothing is new at the first look");
        let reloaded = look(Some(first), 15, 20);
        let again = look(Some(reloaded), 17, 49);
        assert_eq!([reloaded.from.get(), again.from.get()], [10, 10]);
        let next = look(Some(again), 40, 79);
        assert_eq!(next.from.get(), 17, "half an hour later");
        assert_eq!(look(Some(next), 41, 80).from.get(), 17);
        // A clock that was set back, and tables that were.
        assert_eq!(look(Some(next), 41, 10).from.get(), 40);
        assert_eq!(look(Some(next), 5, 80).from.get(), 5);
    }

    #[test]
    fn a_browser_tells_what_it_was_told_of_this_log_and_no_other() {
        let (mine, other) = ("guildhall/a".parse().unwrap(), "guildhall/b".parse().unwrap());
        let (mine, other): (Origin, Origin) = (mine, other);
        let visit = look(Some(look(None, 7, 0)), 9, 1);
        let told = visit.to_tell(Some(&mine), "/at/changes").unwrap();
        let (pair, rest) = told.to_str().unwrap().split_once("; ").unwrap();
        assert_eq!(rest, "Path=/at/changes; Max-Age=34560000; HttpOnly; SameSite=Lax");
        let headers = |cookies: &str| {
            HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(cookies).unwrap())])
        };
        let cookies = headers(&format!("a=b; {pair}; c=d"));
        assert_eq!(Visit::told(&cookies, Some(&mine)), Some(visit));
        assert_eq!(Visit::told(&cookies, Some(&other)), None);
        assert_eq!(Visit::told(&HeaderMap::new(), Some(&mine)), None);
        let name = pair.split('=').next().unwrap();
        for value in ["", "1", "1.2", "1.2.x", "a.b.c", "-1.2.3", "1.2.99999999999999999999"] {
            assert_eq!(
                Visit::told(&headers(&format!("{name}={value}")), Some(&mine)),
                None,
                "{value}"
            );
        }
    }
}

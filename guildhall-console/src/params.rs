//! The parameters of a request: read strictly, and written back into links.

use std::str::FromStr;

use guildhall_core::ops::{
    AccordKey, ArtifactKey, DeploymentKey, MomentKey, PositionKey, TimelineKey,
};
use guildhall_core::{
    AccordId, AccordQuery, AccordSort, ArtifactId, ArtifactQuery, ArtifactSort, AsOf, ChangeQuery,
    Cid, Cursor, CustodyState, DeploymentQuery, DeploymentSort, Drift, Health, Json, MAX_PAGE_ROWS,
    OPS_DB, Outcome, PeriodQuery, Position, Tier, TimelineKind, TimelineQuery, Timestamp,
    VerificationQuery,
};

use serde::de::DeserializeOwned;

use crate::app::App;
use crate::error::RequestError;

/// How many values one filter takes, and how long one value may be, in bytes.
const MAX_VALUES: usize = 64;
const MAX_VALUE_BYTES: usize = 4096;

/// The parameters as they came, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Params(Vec<(String, String)>);

/// The names of the parameters that a route takes: some of a question, some of its page, its moment.
pub(crate) type Names = &'static [&'static [&'static str]];

/// Refuses what a route does not take, what is not UTF-8 once it is decoded, and U+0000 in any
/// parameter: no text of the Chronicle holds it, and PostgreSQL takes none that does, not even to
/// compare with.
pub(crate) fn check(query: Option<&str>, names: Names) -> Result<(), RequestError> {
    if !is_text(query.unwrap_or_default()) {
        let reason = "what its percent signs stand for is not UTF-8".to_owned();
        return Err(RequestError::BadParameter { name: "query", reason });
    }
    let Params(pairs) = Params::parse(query);
    for (name, value) in &pairs {
        if name.contains('\0') || value.contains('\0') {
            let reason = "no parameter may hold U+0000".to_owned();
            return Err(RequestError::BadParameter { name: "query", reason });
        }
        if !names.iter().any(|words| words.contains(&name.as_str())) {
            let found = name.chars().take(64).collect();
            return Err(RequestError::UnknownParameter { found, choices: names });
        }
    }
    Ok(())
}

/// Whether the bytes that a query stands for are UTF-8. What separates parameters is ASCII, so that
/// it is so of each where it is so of all.
fn is_text(query: &str) -> bool {
    let digit =
        |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (mut rest, mut bytes) = (query.as_bytes(), Vec::with_capacity(query.len()));
    while let [first, after @ ..] = rest {
        rest = after;
        bytes.push(*first);
        // A percent sign without two digits stands for itself.
        if let (b'%', [high, low, after @ ..]) = (first, after)
            && let (Some(high), Some(low)) = (digit(high), digit(low))
        {
            bytes.pop();
            bytes.push(high << 4 | low);
            rest = after;
        }
    }
    std::str::from_utf8(&bytes).is_ok()
}

impl Params {
    /// The parameters of a query that was [checked](check).
    pub(crate) fn parse(query: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// The same without a name.
    pub(crate) fn except(self, name: &str) -> Self {
        Self(self.0.into_iter().filter(|(found, _)| found != name).collect())
    }

    /// The names and values that are not empty, in order.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.0.iter().filter(|(_, value)| !value.is_empty());
        pairs.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The values of one name that are not empty.
    pub(crate) fn all<'p>(&'p self, name: &'static str) -> impl Iterator<Item = &'p str> {
        let values = self.0.iter().filter(move |(found, value)| found == name && !value.is_empty());
        values.map(|(_, value)| value.as_str())
    }

    pub(crate) fn first(&self, name: &'static str) -> Option<&str> {
        self.all(name).next()
    }

    /// Whether the name is there at all, with or without a value.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(found, _)| found == name)
    }

    /// The values of one name, read.
    pub(crate) fn parsed<T>(&self, name: &'static str) -> Result<Vec<T>, RequestError>
    where
        T: FromStr<Err: std::fmt::Display>,
    {
        let bad = |reason: String| RequestError::BadParameter { name, reason };
        let values: Vec<&str> = self.all(name).collect();
        if values.len() > MAX_VALUES {
            return Err(bad(format!("at most {MAX_VALUES} values")));
        }
        let read = |value: &str| {
            if value.len() > MAX_VALUE_BYTES {
                return Err(bad(format!("at most {MAX_VALUE_BYTES} bytes")));
            }
            value.parse().map_err(|error: T::Err| bad(error.to_string()))
        };
        values.into_iter().map(read).collect()
    }

    /// The value of a name that has one, read.
    pub(crate) fn one<T>(&self, name: &'static str) -> Result<Option<T>, RequestError>
    where
        T: FromStr<Err: std::fmt::Display>,
    {
        let mut values = self.parsed(name)?;
        if values.len() > 1 {
            let reason = "it is given more than once".to_owned();
            return Err(RequestError::BadParameter { name, reason });
        }
        Ok(values.pop())
    }

    /// Where the page before ended, in a list of which `K` is the key.
    pub(crate) fn cursor<K: DeserializeOwned>(
        &self,
        name: &'static str,
    ) -> Result<Option<Cursor>, RequestError> {
        let cursor = self.one::<String>(name)?.map(Cursor::from_text);
        match cursor {
            Some(cursor) if cursor.to_key::<K>().is_none() => Err(no_cursor(name)),
            cursor => Ok(cursor),
        }
    }

    /// How many rows: `default`, or what is asked for, up to [`MAX_PAGE_ROWS`].
    pub(crate) fn limit(&self, default: u32) -> Result<u32, RequestError> {
        let limit = self.one::<u32>("limit")?.unwrap_or(default);
        if !(1..=MAX_PAGE_ROWS).contains(&limit) {
            let reason = format!("from 1 to {MAX_PAGE_ROWS}");
            return Err(RequestError::BadParameter { name: "limit", reason });
        }
        Ok(limit)
    }

    /// The same with these values in place of those of the same names; an empty value leaves the
    /// name out. A query string without its question mark.
    pub(crate) fn with(&self, changes: &[(&str, &str)]) -> String {
        let kept = self.0.iter().filter(|(name, value)| {
            !value.is_empty() && !changes.iter().any(|(changed, _)| changed == name)
        });
        let kept = kept.map(|(name, value)| (name.as_str(), value.as_str()));
        let set = changes.iter().copied().filter(|(_, value)| !value.is_empty());
        form_urlencoded::Serializer::new(String::new()).extend_pairs(kept.chain(set)).finish()
    }

    /// The same without this value of a name, and from the first page on.
    pub(crate) fn without(&self, name: &str, value: &str) -> String {
        let kept = self.0.iter().filter(|(found, at)| {
            !at.is_empty() && found != "after" && !(found == name && at == value)
        });
        let kept = kept.map(|(name, value)| (name.as_str(), value.as_str()));
        form_urlencoded::Serializer::new(String::new()).extend_pairs(kept).finish()
    }

    /// The same with this value of a name too, and from the first page on.
    pub(crate) fn plus(&self, name: &str, value: &str) -> String {
        let kept = self.0.iter().filter(|(found, at)| !at.is_empty() && found != "after");
        let kept = kept.map(|(name, value)| (name.as_str(), value.as_str()));
        let added = std::iter::once((name, value));
        form_urlencoded::Serializer::new(String::new()).extend_pairs(kept.chain(added)).finish()
    }

    pub(crate) fn artifacts(&self, limit: u32) -> Result<ArtifactQuery, RequestError> {
        let query = ArtifactQuery::default()
            .artifact_types(self.parsed::<String>("artifact_type")?)
            .tiers(self.parsed::<Tier>("tier")?)
            .custody_states(self.parsed::<CustodyState>("custody_state")?)
            .drifts(self.parsed::<Drift>("drift")?)
            .accords(self.parsed::<AccordId>("accord")?)
            .ids(self.parsed::<ArtifactId>("id")?)
            .names(self.parsed::<String>("name")?)
            .cids(self.parsed::<Cid>("cid")?)
            .name_begins(self.parsed::<String>("name_begins")?)
            .cid_begins(self.one::<String>("cid_begins")?)
            .name_contains(self.one::<String>("name_contains")?)
            .content_contains(self.one::<Json>("content_contains")?)
            .terms_contain(self.one::<Json>("terms_contain")?)
            .verified_before(self.one::<Timestamp>("verified_before")?)
            .verdicts(self.parsed::<Outcome>("verdict")?)
            .sort(self.one("sort")?.unwrap_or(ArtifactSort::Name))
            .is_descending(self.one("descending")?.unwrap_or(false))
            .after(self.cursor::<ArtifactKey>("after")?)
            .limit(self.limit(limit)?);
        // One of another order would begin anew, and a list that begins anew never ends.
        if query.after.is_some() && query.key().is_none() {
            return Err(no_cursor("after"));
        }
        Ok(query)
    }

    pub(crate) fn accords(&self, limit: u32) -> Result<AccordQuery, RequestError> {
        let query = AccordQuery::default()
            .names(self.parsed::<String>("name")?)
            .name_begins(self.parsed::<String>("name_begins")?)
            .sort(self.one("sort")?.unwrap_or(AccordSort::Name))
            .is_descending(self.one("descending")?.unwrap_or(false))
            .after(self.cursor::<AccordKey>("after")?)
            .limit(self.limit(limit)?);
        if query.after.is_some() && query.paging().key.is_none() {
            return Err(no_cursor("after"));
        }
        Ok(query)
    }

    pub(crate) fn deployments(&self, limit: u32) -> Result<DeploymentQuery, RequestError> {
        let query = DeploymentQuery::default()
            .artifact_id(self.one::<ArtifactId>("artifact")?)
            .targets(self.parsed::<String>("target")?)
            .target_begins(self.one::<String>("target_begins")?)
            .healths(self.parsed::<Health>("health")?)
            .sort(self.one("sort")?.unwrap_or(DeploymentSort::Artifact))
            .is_descending(self.one("descending")?.unwrap_or(false))
            .after(self.cursor::<DeploymentKey>("after")?)
            .limit(self.limit(limit)?);
        if query.after.is_some() && query.paging().key.is_none() {
            return Err(no_cursor("after"));
        }
        Ok(query)
    }

    pub(crate) fn timeline(
        &self,
        of: ArtifactId,
        limit: u32,
    ) -> Result<TimelineQuery, RequestError> {
        Ok(TimelineQuery::of(of)
            .kinds(self.parsed::<TimelineKind>("kind")?)
            .after(self.cursor::<TimelineKey>("after")?)
            .limit(self.limit(limit)?))
    }

    /// Which changes: those since `from`, and as far as the tables go, unless asked otherwise.
    pub(crate) async fn changes(
        &self,
        app: &App,
        from: Position,
        limit: u32,
    ) -> Result<ChangeQuery, RequestError> {
        let from = match self.one::<AsOf>("from")? {
            Some(moment) => app.position_of(moment).await?,
            None => from,
        };
        let to = match self.one::<AsOf>("to")? {
            Some(moment) => app.position_of(moment).await?,
            None => app.ops_db.checkpoint(OPS_DB).await?.map_or(Position::ZERO, |it| it.position),
        };
        Ok(ChangeQuery::between(from, to)
            .artifact_id(self.one::<ArtifactId>("artifact")?)
            .after(self.cursor::<PositionKey>("after")?)
            .limit(self.limit(limit)?))
    }

    /// Which targets, over which time: the thirty days before `end` unless asked otherwise. `K` is the
    /// key of the list.
    pub(crate) fn period<K: DeserializeOwned>(
        &self,
        end: Timestamp,
        limit: u32,
    ) -> Result<PeriodQuery, RequestError> {
        let before = self.one::<Timestamp>("before")?.unwrap_or(end);
        let since = self.one::<Timestamp>("since")?.unwrap_or(PeriodQuery::beginning(before));
        if since >= before {
            let reason = format!("{since} is not before the end of the period, {before}");
            return Err(RequestError::BadParameter { name: "since", reason });
        }
        Ok(PeriodQuery::between(since, before)
            .artifact_id(self.one::<ArtifactId>("artifact")?)
            .target(self.one::<String>("target")?)
            .after(self.cursor::<K>("after")?)
            .limit(self.limit(limit)?))
    }

    pub(crate) fn verifications(&self, limit: u32) -> Result<VerificationQuery, RequestError> {
        Ok(VerificationQuery::default()
            .artifact_id(self.one::<ArtifactId>("artifact")?)
            .targets(self.parsed::<String>("target")?)
            .verifiers(self.parsed::<String>("verifier")?)
            .outcomes(self.parsed::<Outcome>("outcome")?)
            .verified_since(self.one::<Timestamp>("verified_since")?)
            .verified_before(self.one::<Timestamp>("verified_before")?)
            .is_standing(self.one("standing")?.unwrap_or(false))
            .is_ascending(self.one("ascending")?.unwrap_or(false))
            .after(self.cursor::<MomentKey>("after")?)
            .limit(self.limit(limit)?))
    }
}

fn no_cursor(name: &'static str) -> RequestError {
    let reason = "it is not where a page of this list ended: take the `next` of the page before, \
                  in the same order, or leave it out";
    RequestError::BadParameter { name, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn filters_take_several_values_and_links_keep_them() {
        let params =
            Params::parse(Some("tier=0&tier=1&drift=drifted&name_contains=a%26b&sort=tier&x="));
        let query = params.artifacts(50).unwrap();
        assert_eq!(query.tiers, [Tier::ALL[0], Tier::ALL[1]]);
        assert_eq!((query.drifts, query.limit), (vec![Drift::Drifted], 50));
        assert_eq!(query.name_contains.as_deref(), Some("a&b"));
        assert_eq!(
            params.with(&[("sort", "name"), ("after", "[1,\"&\"]")]),
            "tier=0&tier=1&drift=drifted&name_contains=a%26b&sort=name&after=%5B1%2C%22%26%22%5D"
        );
        assert_eq!(Params::parse(Some(&params.with(&[]))).artifacts(50).unwrap(), {
            params.artifacts(50).unwrap()
        });
    }

    #[test]
    fn a_time_is_any_that_rfc_3339_writes() {
        let before = |text: &str| {
            let query = Params::parse(Some(&format!("verified_before={text}")));
            query.artifacts(50).unwrap().verified_before.unwrap().to_string()
        };
        for text in ["2026-11-23T10:05:00Z", "2026-11-23T10:05:00.000000Z"] {
            assert_eq!(before(text), "2026-11-23T10:05:00.000000Z");
        }
        assert_eq!(before("2026-11-23T12:05:00%2B02:00"), "2026-11-23T10:05:00.000000Z");
    }

    #[test]
    fn what_cannot_be_read_is_refused_by_name() {
        for (query, name) in [
            ("tier=4", "tier"),
            ("tier=-1", "tier"),
            ("custody_state=gone", "custody_state"),
            ("drift=Drifted", "drift"),
            ("accord=1", "accord"),
            ("sort=size", "sort"),
            ("descending=up", "descending"),
            ("limit=0", "limit"),
            ("limit=501", "limit"),
            ("limit=all", "limit"),
            ("content_contains={", "content_contains"),
            ("verified_before=today", "verified_before"),
        ] {
            let error = Params::parse(Some(query)).artifacts(50).unwrap_err();
            assert!(error.to_string().starts_with(name), "{query}: {error}");
        }
        let many = "artifact_type=a&".repeat(65);
        assert!(Params::parse(Some(&many)).artifacts(50).is_err());
        for (name, quote) in
            [("name_contains", ""), ("content_contains", "\""), ("terms_contain", "\"")]
        {
            let long = |bytes| format!("{name}={quote}{}{quote}", "a".repeat(bytes));
            let error = Params::parse(Some(&long(5000))).artifacts(50).unwrap_err();
            assert_eq!(error.to_string(), format!("{name}: at most 4096 bytes"));
            assert!(Params::parse(Some(&long(4000))).artifacts(50).is_ok());
        }
    }

    #[test]
    fn no_parameter_holds_a_nul() {
        let check = |query| check(query, &[&["name", "after"], &["content"]]);
        for query in ["name=%00", "after=a%00b", "%00=1", "unknown=%00", "content=%22%00%22"] {
            assert!(check(Some(query)).is_err(), "{query}");
        }
        for query in [None, Some(""), Some("name=%2500"), Some("content=%22%5Cu0001%22")] {
            assert!(check(query).is_ok(), "{query:?}");
        }
        let escaped = Params::parse(Some("content_contains=%22%5Cu0000%22")).artifacts(50);
        assert!(escaped.is_err(), "nor does a fragment of JSON in its escapes");
    }

    #[test]
    fn what_is_not_utf_8_is_refused_and_not_read_as_something_else() {
        for query in ["name=%ff", "name=a%C3", "name=%C3&name=%A9", "%ff=1", "name=%ED%A0%80"] {
            let error = check(Some(query), &[&["name"]]).unwrap_err().to_string();
            assert!(
                error.starts_with("query: ") && error.contains("not UTF-8"),
                "{query}: {error}"
            );
        }
        for query in
            ["name=%C3%a9", "name=é", "name=%EF%BF%BD", "name=100%", "name=%+f", "name=%%41"]
        {
            assert!(check(Some(query), &[&["name"]]).is_ok(), "{query}");
        }
    }

    #[test]
    fn what_is_not_taken_is_refused_with_what_is() {
        let told = |query, names| check(Some(query), names).unwrap_err().to_string();
        let found = told("teir=0", &[&["tier"], &["type"]]);
        assert_eq!(found, "\"teir\" is not a parameter of this page: tier, type");
        assert_eq!(told("a", &[]), "\"a\" is not a parameter of this page: it takes none");
        let error = Params::parse(Some("tier=0&custody_state=gone")).artifacts(50).unwrap_err();
        assert!(error.to_string().contains("drafted, ceremony_open, ratified"), "{error}");
    }

    #[test]
    fn a_cursor_of_another_list_or_order_is_refused() {
        let named = r#"{"sort":"name","is_descending":false,"value":null,"name":"a","id":"00000000-0000-7000-8000-000000000000"}"#;
        let of = |cursor: &str, rest: &str| {
            let cursor: String = form_urlencoded::byte_serialize(cursor.as_bytes()).collect();
            Params::parse(Some(&format!("after={cursor}{rest}"))).artifacts(50)
        };
        assert!(of(named, "").is_ok());
        for (cursor, rest) in
            [("garbage", ""), ("[1]", ""), (named, "&sort=tier"), (named, "&descending=true")]
        {
            let error = of(cursor, rest).unwrap_err().to_string();
            assert!(error.starts_with("after: it is not where a page"), "{cursor}: {error}");
        }
        let twice = Params::parse(Some("limit=1&limit=2")).artifacts(50).unwrap_err();
        assert_eq!(twice.to_string(), "limit: it is given more than once");
    }
}

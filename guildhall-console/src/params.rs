//! The parameters of a request: read strictly, and written back into links.

use std::str::FromStr;

use guildhall_core::{
    AccordId, ArtifactId, ArtifactQuery, ArtifactSort, Cursor, DeploymentQuery, Json, JsonError,
    MAX_PAGE_ROWS, Tier, Timestamp, VerificationQuery,
};

use crate::error::RequestError;

/// How many values one filter takes, and how long one value may be, in bytes.
const MAX_VALUES: usize = 64;
const MAX_VALUE_BYTES: usize = 4096;

/// The parameters as they came, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Params(Vec<(String, String)>);

/// Refuses U+0000 in any parameter: no text of the Chronicle holds it, and PostgreSQL takes none
/// that does, not even to compare with.
pub(crate) fn check(query: Option<&str>) -> Result<(), RequestError> {
    let Params(pairs) = Params::parse(query);
    if pairs.iter().any(|(name, value)| name.contains('\0') || value.contains('\0')) {
        let reason = "no parameter may hold U+0000".to_owned();
        return Err(RequestError::BadParameter { name: "query", reason });
    }
    Ok(())
}

impl Params {
    /// The parameters of a query that was [checked](check).
    pub(crate) fn parse(query: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
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

    /// The first value of one name, read.
    pub(crate) fn one<T>(&self, name: &'static str) -> Result<Option<T>, RequestError>
    where
        T: FromStr<Err: std::fmt::Display>,
    {
        Ok(self.parsed(name)?.into_iter().next())
    }

    pub(crate) fn after(&self) -> Option<Cursor> {
        self.first("after").map(Cursor::from_text)
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

    pub(crate) fn artifacts(&self, limit: u32) -> Result<ArtifactQuery, RequestError> {
        let is_descending = match self.first("order") {
            None | Some("asc") => false,
            Some("desc") => true,
            Some(_) => {
                let reason = "asc or desc".to_owned();
                return Err(RequestError::BadParameter { name: "order", reason });
            }
        };
        let json = |name| Ok::<_, RequestError>(self.one::<JsonText>(name)?.map(|json| json.0));
        Ok(ArtifactQuery {
            artifact_types: self.parsed("type")?,
            tiers: self.parsed::<TierText>("tier")?.into_iter().map(|tier| tier.0).collect(),
            custody_states: self.parsed("state")?,
            drifts: self.parsed("drift")?,
            accords: self.parsed::<AccordId>("accord")?,
            name_contains: self.one("name")?,
            content_contains: json("content")?,
            terms_contain: json("terms")?,
            verified_before: self.one::<Timestamp>("verified_before")?,
            verdicts: self.parsed("verdict")?,
            sort: self.one("sort")?.unwrap_or(ArtifactSort::Name),
            is_descending,
            after: self.after(),
            limit: self.limit(limit)?,
        })
    }

    pub(crate) fn deployments(&self, limit: u32) -> Result<DeploymentQuery, RequestError> {
        Ok(DeploymentQuery {
            artifact_id: self.one::<ArtifactId>("artifact")?,
            healths: self.parsed("health")?,
            after: self.after(),
            limit: self.limit(limit)?,
        })
    }

    pub(crate) fn verifications(&self, limit: u32) -> Result<VerificationQuery, RequestError> {
        Ok(VerificationQuery {
            artifact_id: self.one::<ArtifactId>("artifact")?,
            outcomes: self.parsed("outcome")?,
            is_standing: self.one("standing")?.unwrap_or(false),
            after: self.after(),
            limit: self.limit(limit)?,
        })
    }
}

struct JsonText(Json);

impl FromStr for JsonText {
    type Err = JsonError;

    fn from_str(text: &str) -> Result<Self, JsonError> {
        Json::parse(text).map(Self)
    }
}

struct TierText(Tier);

impl FromStr for TierText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.parse::<u8>().map_err(|error| error.to_string())?;
        Tier::try_from(number).map(Self).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use guildhall_core::Drift;

    use super::*;

    #[test]
    fn filters_take_several_values_and_links_keep_them() {
        let params = Params::parse(Some("tier=0&tier=1&drift=drifted&name=a%26b&sort=tier&x="));
        let query = params.artifacts(50).unwrap();
        assert_eq!(query.tiers, [Tier::ALL[0], Tier::ALL[1]]);
        assert_eq!((query.drifts, query.limit), (vec![Drift::Drifted], 50));
        assert_eq!(query.name_contains.as_deref(), Some("a&b"));
        assert_eq!(
            params.with(&[("sort", "name"), ("after", "[1,\"&\"]")]),
            "tier=0&tier=1&drift=drifted&name=a%26b&sort=name&after=%5B1%2C%22%26%22%5D"
        );
        assert_eq!(Params::parse(Some(&params.with(&[]))).artifacts(50).unwrap(), {
            params.artifacts(50).unwrap()
        });
    }

    #[test]
    fn what_cannot_be_read_is_refused_by_name() {
        for (query, name) in [
            ("tier=4", "tier"),
            ("tier=-1", "tier"),
            ("state=gone", "state"),
            ("drift=Drifted", "drift"),
            ("accord=1", "accord"),
            ("sort=size", "sort"),
            ("order=up", "order"),
            ("limit=0", "limit"),
            ("limit=501", "limit"),
            ("limit=all", "limit"),
            ("content={", "content"),
            ("verified_before=today", "verified_before"),
        ] {
            let error = Params::parse(Some(query)).artifacts(50).unwrap_err();
            assert!(error.to_string().starts_with(name), "{query}: {error}");
        }
        let many = "type=a&".repeat(65);
        assert!(Params::parse(Some(&many)).artifacts(50).is_err());
        for (name, quote) in [("name", ""), ("content", "\""), ("terms", "\"")] {
            let long = |bytes| format!("{name}={quote}{}{quote}", "a".repeat(bytes));
            let error = Params::parse(Some(&long(5000))).artifacts(50).unwrap_err();
            assert_eq!(error.to_string(), format!("{name}: at most 4096 bytes"));
            assert!(Params::parse(Some(&long(4000))).artifacts(50).is_ok());
        }
    }

    #[test]
    fn no_parameter_holds_a_nul() {
        for query in ["name=%00", "after=a%00b", "%00=1", "unknown=%00", "content=%22%00%22"] {
            assert!(check(Some(query)).is_err(), "{query}");
        }
        for query in [None, Some(""), Some("name=%2500"), Some("content=%22%5Cu0001%22")] {
            assert!(check(query).is_ok(), "{query:?}");
        }
        let escaped = Params::parse(Some("content=%22%5Cu0000%22")).artifacts(50);
        assert!(escaped.is_err(), "nor does a fragment of JSON in its escapes");
    }
}

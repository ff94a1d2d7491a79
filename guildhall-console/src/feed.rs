//! What changes, for feed readers: Atom (RFC 4287) and JSON Feed 1.1, the latest first.
//!
//! The id of an entry is made of the log's name and the entry's position, so it stays whatever address the
//! console has and however often the tables are rebuilt.

use std::fmt::Write as _;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use guildhall_core::{
    ArtifactId, Change, ChangeQuery, Cursor, Health, OPS_DB, Origin, Position, Timestamp, What,
};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::app::{App, Shared};
use crate::error::RequestError;
use crate::format::words;
use crate::params::Params;

/// How many entries a feed has, unless asked otherwise.
const ENTRIES: u32 = 50;

/// What a feed is called, and what it tells.
struct Feed {
    id: String,
    title: String,
    author: String,
    /// Where the console is: scheme, host and path.
    site: String,
    /// The query that was asked with.
    query: String,
    entries: Vec<Entry>,
}

/// A change as people read it.
#[derive(Debug)]
struct Entry {
    id: String,
    title: String,
    text: String,
    kind: &'static str,
    by: Option<String>,
    at: Timestamp,
    position: Position,
}

pub(crate) async fn atom(
    State(app): State<Shared>,
    uri: Uri,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, RequestError> {
    let feed = load(&app, &Params::parse(query.as_deref()), &site(&app, &headers, &uri)).await?;
    let content_type = "application/atom+xml; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, content_type)], feed.to_atom()).into_response())
}

pub(crate) async fn json(
    State(app): State<Shared>,
    uri: Uri,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, RequestError> {
    let feed = load(&app, &Params::parse(query.as_deref()), &site(&app, &headers, &uri)).await?;
    let mut response = crate::error::json(&feed.to_json());
    let content_type = header::HeaderValue::from_static("application/feed+json");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    Ok(response)
}

/// Where the console is, as who asks sees it: the host is one that the guard let through, and a proxy says
/// whether the way to it was encrypted.
fn site(app: &App, headers: &HeaderMap, uri: &Uri) -> String {
    let text = |name| headers.get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
    let host = text("host").or_else(|| uri.authority().map(|it| it.as_str())).unwrap_or_default();
    let is_https = text("x-forwarded-proto").is_some_and(|it| it.eq_ignore_ascii_case("https"));
    format!("{}://{host}{}", if is_https { "https" } else { "http" }, app.base)
}

async fn load(app: &App, params: &Params, site: &str) -> Result<Feed, RequestError> {
    let artifact = params.one::<ArtifactId>("artifact")?;
    let limit = params.limit(ENTRIES)?;
    let origin = app.orchestrator.chronicle().origin().await?;
    let moment = app.ops_db.snapshot().await?;
    let stands = moment.checkpoint(OPS_DB).await?.map_or(Position::ZERO, |it| it.position);
    // The page before what is yet to come is the latest.
    let latest = Cursor::from_key(&(stands.next().unwrap_or(stands),)).turned();
    let query = ChangeQuery::between(Position::ZERO, stands).artifact_id(artifact);
    let changes = moment.changes(&query.after(latest).limit(limit)).await?.rows;
    let name = match artifact {
        None => None,
        Some(id) => {
            let found = moment.artifact(id).await?.ok_or(RequestError::Missing("artifact"))?;
            Some(found.artifact.name)
        }
    };
    let origin = origin.as_ref().map_or("", Origin::as_str);
    let of = artifact.as_ref().map_or_else(String::new, ArtifactId::to_string);
    Ok(Feed {
        id: urn(&format!("guildhall.changes.v1\n{origin}\n{of}")),
        title: name
            .map_or_else(|| format!("Changes of {origin}"), |name| format!("Changes of {name}")),
        author: if origin.is_empty() { "Guildhall".to_owned() } else { origin.to_owned() },
        site: site.to_owned(),
        query: params.with(&[]),
        entries: changes.iter().rev().map(|change| Entry::of(change, origin)).collect(),
    })
}

/// A UUID of version 8 (RFC 9562) made of the first 16 bytes of a hash.
fn urn(text: &str) -> String {
    let hash: [u8; 32] = Sha256::digest(text).into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut urn = "urn:uuid:".to_owned();
    for (nth, byte) in bytes.iter().enumerate() {
        // Writing into a text cannot fail.
        let _ = write!(urn, "{}{byte:02x}", if [4, 6, 8, 10].contains(&nth) { "-" } else { "" });
    }
    urn
}

impl Entry {
    fn of(change: &Change, origin: &str) -> Self {
        let name = &change.artifact.name;
        let link = |what: &str, link: &guildhall_core::CustodyTransition| {
            (
                format!("{name}: {what}"),
                link.reason.clone(),
                Some(link.actor.clone()),
                link.occurred_at,
            )
        };
        let (kind, (title, text, by, at)) = match &change.what {
            What::Registered { cid, recorded_at } => {
                ("registered", (format!("{name}: registered"), cid.to_string(), None, *recorded_at))
            }
            What::Revised { revision, cid, recorded_at } => {
                let title = format!("{name}: revised, content {revision}");
                ("revised", (title, cid.to_string(), None, *recorded_at))
            }
            What::CeremonyOpened { transition } => {
                ("ceremony_opened", link("ceremony opened", transition))
            }
            What::CeremonyClosed { transition } => {
                let what = format!("ceremony closed, {}", words(transition.to_state.as_str()));
                ("ceremony_closed", link(&what, transition))
            }
            What::Moved { transition } => {
                ("moved", link(&words(transition.to_state.as_str()), transition))
            }
            What::Health { change: seen } => {
                let before = seen.previous_health.map_or("not observed", Health::as_str);
                let title = format!("{name}: {} on {}", seen.health, seen.target);
                ("health", (title, format!("It was {before}."), None, seen.observed_at))
            }
        };
        let position = change.position;
        let id = urn(&format!("guildhall.change.v1\n{origin}\n{position}"));
        Self { id, title, text, kind, by, at, position }
    }
}

impl Feed {
    /// The address of something in the console.
    fn address(&self, path: &str) -> String {
        let question = if self.query.is_empty() { "" } else { "?" };
        format!("{}{path}{question}{}", self.site, self.query)
    }

    fn to_atom(&self) -> String {
        let mut xml = Xml::begun();
        xml.open("feed xmlns=\"http://www.w3.org/2005/Atom\" xml:lang=\"en\"");
        xml.text("id", &self.id);
        xml.text("title", &self.title);
        let epoch = Timestamp::from_micros(0).unwrap_or(Timestamp::MIN);
        let updated = self.entries.iter().map(|entry| entry.at).max().unwrap_or(epoch);
        xml.text("updated", &updated.to_string());
        xml.person(&self.author);
        xml.text("generator", "Guildhall");
        xml.link("self", "application/atom+xml", &self.address("/changes.atom"));
        xml.link("alternate", "text/html", &self.address("/changes"));
        for entry in &self.entries {
            xml.open("entry");
            xml.text("id", &entry.id);
            xml.text("title", &entry.title);
            xml.text("updated", &entry.at.to_string());
            if let Some(by) = &entry.by {
                xml.person(by);
            }
            xml.empty("category", &[("term", entry.kind), ("label", &words(entry.kind))]);
            xml.link("alternate", "text/html", &format!("{}/log/{}", self.site, entry.position));
            xml.text("content", &entry.text);
            xml.close("entry");
        }
        xml.close("feed");
        xml.0
    }

    fn to_json(&self) -> impl Serialize {
        #[derive(Serialize)]
        struct Author {
            name: String,
        }
        #[derive(Serialize)]
        struct Item {
            id: String,
            url: String,
            title: String,
            content_text: String,
            date_published: Timestamp,
            authors: Vec<Author>,
            tags: [&'static str; 1],
        }
        #[derive(Serialize)]
        struct Body {
            version: &'static str,
            title: String,
            home_page_url: String,
            feed_url: String,
            language: &'static str,
            authors: [Author; 1],
            items: Vec<Item>,
        }
        let item = |entry: &Entry| Item {
            id: entry.id.clone(),
            url: format!("{}/log/{}", self.site, entry.position),
            title: entry.title.clone(),
            content_text: entry.text.clone(),
            date_published: entry.at,
            authors: entry.by.iter().map(|by| Author { name: by.clone() }).collect(),
            tags: [entry.kind],
        };
        Body {
            version: "https://jsonfeed.org/version/1.1",
            title: self.title.clone(),
            home_page_url: self.address("/changes"),
            feed_url: self.address("/changes.json"),
            language: "en",
            authors: [Author { name: self.author.clone() }],
            items: self.entries.iter().map(item).collect(),
        }
    }
}

/// XML as it is written, element by element.
struct Xml(String);

impl Xml {
    fn begun() -> Self {
        Self("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n".to_owned())
    }

    /// A tag, with attributes that need no escaping.
    fn open(&mut self, tag: &str) {
        self.0 += &format!("<{tag}>\n");
    }

    fn close(&mut self, name: &str) {
        self.0 += &format!("</{name}>\n");
    }

    fn text(&mut self, name: &str, text: &str) {
        self.0 += &format!("<{name}>{}</{name}>\n", escaped(text));
    }

    fn empty(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.0 += &format!("<{name}");
        for (attribute, value) in attributes {
            self.0 += &format!(" {attribute}=\"{}\"", escaped(value));
        }
        self.0 += "/>\n";
    }

    fn person(&mut self, name: &str) {
        self.0 += &format!("<author><name>{}</name></author>\n", escaped(name));
    }

    fn link(&mut self, relation: &str, content_type: &str, address: &str) {
        self.empty("link", &[("rel", relation), ("type", content_type), ("href", address)]);
    }
}

/// A text as XML 1.0 has it: characters that no document may hold, escaped or not, are replaced.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // What a parser would make a space, or a line feed, of.
            '\t' | '\n' | '\r' => {
                let _ = write!(escaped, "&#{};", u32::from(character));
            }
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_leaves_its_element_or_spoils_the_document() {
        for (text, expected) in [
            ("a & b", "a &amp; b"),
            ("</title><x a=\"b\">", "&lt;/title&gt;&lt;x a=&quot;b&quot;&gt;"),
            ("]]>", "]]&gt;"),
            ("a\u{1}b\u{b}", "a\u{fffd}b\u{fffd}"),
            ("a\nb\tc\r", "a&#10;b&#9;c&#13;"),
            ("é\u{202e}😀", "é\u{202e}😀"),
        ] {
            assert_eq!(escaped(text), expected);
        }
    }

    #[test]
    fn an_id_is_a_uuid_of_version_8_and_always_the_same() {
        assert_eq!(urn("a"), urn("a"));
        assert_ne!(urn("a"), urn("b"));
        for text in ["", "a", "guildhall.change.v1\nguildhall/x\n1"] {
            let urn = urn(text);
            let parts: Vec<_> = urn.trim_start_matches("urn:uuid:").split('-').collect();
            assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
            assert!(
                parts[2].starts_with('8') && parts[3].starts_with(['8', '9', 'a', 'b']),
                "{urn}"
            );
        }
    }
}

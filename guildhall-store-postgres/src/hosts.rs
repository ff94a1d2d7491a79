//! What a URL with several servers means, as libpq reads it (PostgreSQL's documentation, 34.1.1).
//!
//! The driver knows one server a URL. So a URL with several becomes one for each, alike but for the
//! server, and which of them is connected to is for [`servers`](crate::servers) to find out.

use crate::error::OpenError;

/// Which of the servers is wanted: libpq's `target_session_attrs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// The first that lets us in.
    Any,
    /// The one whose transactions may write unless they say otherwise.
    ReadWrite,
    /// One whose transactions may not.
    ReadOnly,
    /// The one that is not a standby.
    Primary,
    /// A standby.
    Standby,
    /// A standby, and if there is none, any.
    PreferStandby,
}

impl Target {
    const NAMES: [(&str, Self); 6] = [
        ("any", Self::Any),
        ("read-write", Self::ReadWrite),
        ("read-only", Self::ReadOnly),
        ("primary", Self::Primary),
        ("standby", Self::Standby),
        ("prefer-standby", Self::PreferStandby),
    ];

    /// Its name in a URL.
    pub(crate) fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, it)| *it == self).map_or("any", |(name, _)| name)
    }
}

/// What a URL names: the servers, each by a URL of its own, and which of them is wanted, if it says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) urls: Vec<String>,
    pub(crate) target: Option<Target>,
}

/// Takes a URL apart. One that names a single server stays as it is, but for `target_session_attrs`. Of
/// a URL that cannot be read nothing is shown: any part of it can be one of a password.
pub(crate) fn parse(url: &str) -> Result<Named, OpenError> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Ok(Named { urls: vec![url.to_owned()], target: None });
    };
    let (rest, fragment) = split_before(rest, &['#']);
    let (rest, query) = split_before(rest, &['?']);
    let (authority, path) = split_before(rest, &['/']);
    // A password may hold commas and, to be kind, an @.
    let (user, listed) = match authority.rfind('@') {
        Some(at) => authority.split_at(at + 1),
        None => ("", authority),
    };

    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    for server in listed.split(',').filter(|_| !listed.is_empty()) {
        let (host, port) = split_port(server);
        hosts.push(host.to_owned());
        ports.push(port.to_owned());
    }
    let mut target = None;
    let mut others = Vec::new();
    for parameter in query.strip_prefix('?').unwrap_or_default().split('&') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match name {
            "host" | "hostaddr" => hosts = split_list(value),
            "port" => ports = split_list(value),
            "target_session_attrs" => target = Some(parse_target(value)?),
            _ => others.push(parameter),
        }
    }
    if hosts.len() <= 1 && ports.len() <= 1 {
        let is_kept = |parameter: &&str| !parameter.starts_with("target_session_attrs=");
        let query = query.strip_prefix('?').map(|it| it.split('&').filter(is_kept));
        let query = query.map(|it| format!("?{}", it.collect::<Vec<_>>().join("&")));
        let query = query.unwrap_or_default();
        let one = format!("{scheme}://{authority}{path}{query}{fragment}");
        return Ok(Named { urls: vec![one], target });
    }
    if ports.len() > 1 && ports.len() != hosts.len() {
        return bad(format!("{} ports for {} hosts", ports.len(), hosts.len()));
    }
    let query = others.join("&");
    let mut urls = Vec::with_capacity(hosts.len());
    for (nth, host) in hosts.iter().enumerate() {
        let port = ports.get(nth).or(ports.first()).map_or("", String::as_str);
        if host.is_empty() {
            return bad(format!("host {} is empty", nth + 1));
        }
        if !port.is_empty() && port.parse::<u16>().is_err() {
            return bad(format!("the port of host {} is not a number up to 65535", nth + 1));
        }
        let colon = if port.is_empty() { "" } else { ":" };
        let host = in_authority(host);
        urls.push(format!("{scheme}://{user}{host}{colon}{port}{path}?{query}{fragment}"));
    }
    Ok(Named { urls, target })
}

fn bad<T>(reason: String) -> Result<T, OpenError> {
    Err(OpenError::BadUrl { reason })
}

fn parse_target(value: &str) -> Result<Target, OpenError> {
    let known = Target::NAMES.iter().find(|(name, _)| *name == value);
    known.map(|(_, target)| *target).map_or_else(
        || {
            let names = Target::NAMES.map(|(name, _)| name).join(", ");
            bad(format!("target_session_attrs is not one of {names}"))
        },
        Ok,
    )
}

/// What is before the first of these characters, and the rest with it.
fn split_before<'a>(text: &'a str, characters: &[char]) -> (&'a str, &'a str) {
    text.split_at(text.find(characters).unwrap_or(text.len()))
}

/// A server's host, and its port if it has one. An IPv6 address is in brackets.
fn split_port(server: &str) -> (&str, &str) {
    let after_address = server.rfind(']').map_or(0, |bracket| bracket + 1);
    match server[after_address..].rfind(':') {
        Some(colon) => {
            let colon = after_address + colon;
            (&server[..colon], &server[colon + 1..])
        }
        None => (server, ""),
    }
}

/// The parts of a parameter that is a list, whose commas and colons may be escaped.
fn split_list(value: &str) -> Vec<String> {
    let plain = value.replace("%2C", ",").replace("%2c", ",");
    plain.replace("%3A", ":").replace("%3a", ":").split(',').map(str::to_owned).collect()
}

/// A host as it stands before a port: a folder of sockets without its slashes, an address in brackets.
fn in_authority(host: &str) -> String {
    let is_address = host.contains(':') && !host.starts_with('[');
    if is_address { format!("[{host}]") } else { host.replace('/', "%2F") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    fn urls(url: &str) -> Vec<String> {
        parse(url).unwrap().urls
    }

    #[test]
    fn a_url_of_one_server_stays_as_it_is() {
        for url in [
            "postgres://app:a,b@db:5433/ops?sslmode=require#x",
            "postgres:///ops?host=%2Frun&port=5433&user=app",
            "postgres://db",
            "postgres://[::1]:5433/ops?",
            "no URL at all, h1,h2",
        ] {
            assert_eq!(parse(url).unwrap(), Named { urls: vec![url.to_owned()], target: None });
        }
        let named =
            parse("postgres://db/ops?target_session_attrs=primary&sslmode=require").unwrap();
        assert_eq!(named.urls, ["postgres://db/ops?sslmode=require"]);
        assert_eq!(named.target, Some(Target::Primary));
    }

    #[test]
    fn each_of_several_servers_gets_a_url() {
        let found = urls("postgres://app:a,@b@h1,h2:5433,[::1]:5434/ops?sslmode=require");
        assert_eq!(
            found,
            [
                "postgres://app:a,@b@h1/ops?sslmode=require",
                "postgres://app:a,@b@h2:5433/ops?sslmode=require",
                "postgres://app:a,@b@[::1]:5434/ops?sslmode=require",
            ]
        );
        let found = urls("postgres:///ops?host=/run/pg,h2,::1&user=app&port=1%2C,3");
        assert_eq!(
            found,
            [
                "postgres://%2Frun%2Fpg:1/ops?user=app",
                "postgres://h2/ops?user=app",
                "postgres://[::1]:3/ops?user=app",
            ]
        );
    }

    #[test]
    fn one_port_is_that_of_every_host_and_else_each_has_its_own() {
        assert_eq!(
            urls("postgres:///?host=a,b&port=7"),
            ["postgres://a:7?", "postgres://b:7?"].map(|url| url.replace('?', "/?"))
        );
        for (url, reason) in [
            ("postgres:///?host=a,b,c&port=7,8", "2 ports for 3 hosts"),
            ("postgres://a/?port=7,8", "2 ports for 1 hosts"),
            ("postgres://a,b:secret/", "the port of host 2 is not a number up to 65535"),
            ("postgres://a,b:65536/", "the port of host 2 is not a number up to 65535"),
            ("postgres://a,,b/", "host 2 is empty"),
            ("postgres://a,b/?target_session_attrs=secret", "target_session_attrs is not one of"),
        ] {
            let refused = parse(url).unwrap_err().to_string();
            assert!(refused.contains(reason), "{url}: {refused}");
            assert!(!refused.contains("secret"), "{refused}");
        }
    }

    #[test]
    fn every_target_is_known_by_libpqs_name() {
        for (name, target) in Target::NAMES {
            let named = parse(&format!("postgres://a,b/ops?target_session_attrs={name}")).unwrap();
            assert_eq!((named.target, target.name()), (Some(target), name));
        }
    }

    proptest! {
        /// Whatever is put together is taken apart again, and nothing that was a password is elsewhere.
        #[test]
        fn servers_come_back_in_their_order(
            servers in prop::collection::vec(("[a-z][a-z0-9.-]{0,9}", prop::option::of(1u16..)), 2..6),
            password in "[A-Za-z0-9,:@%]{0,12}",
        ) {
            let listed: Vec<_> = servers.iter().map(|(host, port)| match port {
                Some(port) => format!("{host}:{port}"),
                None => host.clone(),
            }).collect();
            let found = urls(&format!("postgres://app:{password}@{}/ops", listed.join(",")));
            let expected: Vec<_> =
                listed.iter().map(|it| format!("postgres://app:{password}@{it}/ops?")).collect();
            prop_assert_eq!(found, expected);
        }

        /// No text makes it panic, or is repeated where it cannot be read.
        #[test]
        fn any_text_is_read_or_refused(text in "[a-z:/@,?&=#\\[\\]%é]{0,40}") {
            if let Err(refused) = parse(&format!("postgres://zqx{text}")) {
                prop_assert!(!refused.to_string().contains("zqx"));
            }
        }
    }
}

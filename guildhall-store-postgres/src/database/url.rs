//! Where a URL leads; refused is what the driver would ignore, and TLS where there is none to be had.

use std::str::FromStr;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::error::OpenError;
use crate::hosts::{self, Target};
use crate::servers::Servers;

/// The parameters that the driver understands in a URL: libpq's names, and names of its own.
const PARAMETERS: [&[&str]; 2] = [
    &[
        "sslmode",
        "sslrootcert",
        "sslcert",
        "sslkey",
        "host",
        "hostaddr",
        "port",
        "dbname",
        "user",
        "password",
        "application_name",
        "options",
        "target_session_attrs",
    ],
    &["ssl-mode", "ssl-root-cert", "ssl-ca", "ssl-cert", "ssl-key", "statement-cache-capacity"],
];

/// Refuses a parameter that the driver would ignore: it logs those, with their values.
///
/// Neither its value is shown nor its name, which can be a secret too: what follows a `?` or a `&`
/// in a password that was not escaped.
fn check_parameters(url: &str) -> Result<(), OpenError> {
    let url = url.split_once('#').map_or(url, |(url, _)| url);
    let (_, query) = url.split_once('?').unwrap_or_default();
    let is_understood = |parameter: &str| {
        let (name, _) = parameter.split_once('=').unwrap_or((parameter, ""));
        let is_option =
            ["options[", "options%5B", "options%5b"].iter().any(|it| name.starts_with(it));
        is_option || PARAMETERS.concat().contains(&name)
    };
    let mut parameters = query.split('&');
    match parameters.position(|it| !it.is_empty() && !is_understood(it)) {
        None => Ok(()),
        Some(nth) => {
            let (nth, known) = (nth + 1, PARAMETERS[0].join(", "));
            let reason = format!("parameter {nth} after its ? is not one of {known}");
            Err(OpenError::BadUrl { reason })
        }
    }
}

/// Refuses what asks for TLS where there is none to be had, before anything is connected.
fn check_tls(mode: PgSslMode) -> Result<(), OpenError> {
    let mode = match mode {
        _ if cfg!(feature = "tls") => return Ok(()),
        PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer => return Ok(()),
        PgSslMode::Require => "sslmode=require",
        PgSslMode::VerifyCa => "sslmode=verify-ca",
        PgSslMode::VerifyFull => "sslmode=verify-full",
    };
    Err(OpenError::NoTls { mode })
}

/// Where a URL leads: the server that is connected to first, and the servers to choose from, where there
/// are several or it says what the one has to be.
pub(super) fn parse(
    url: &str,
    is_read_only: bool,
) -> Result<(PgConnectOptions, Option<Servers>), OpenError> {
    check_parameters(url)?;
    let named = hosts::parse(url)?;
    let mut list = Vec::with_capacity(named.urls.len());
    for url in &named.urls {
        list.push(parse_one(url)?);
    }
    let is_settled = list.len() == 1 && named.target.is_none_or(|target| target == Target::Any);
    let own = if is_read_only { Target::Any } else { Target::ReadWrite };
    let first = list[0].clone();
    let servers = (!is_settled).then(|| Servers::new(list, named.target.unwrap_or(own)));
    Ok((first, servers))
}

fn parse_one(url: &str) -> Result<PgConnectOptions, OpenError> {
    let options = PgConnectOptions::from_str(url).map_err(|error| {
        let reason = match error {
            sqlx::Error::Configuration(source) => source.to_string(),
            other => other.to_string(),
        };
        OpenError::BadUrl { reason }
    })?;
    check_tls(options.get_ssl_mode())?;
    // The driver would tell every statement, and every one over a second as a warning. And it asks for
    // digits of floating-point numbers, which nothing here is, when connecting; PgBouncer refuses that.
    Ok(options.extra_float_digits(None).disable_statement_logging())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;

    #[test]
    fn a_parameter_is_understood_or_refused_without_a_word_of_it() {
        for query in [
            "",
            "?",
            "?sslmode=prefer&&host=%2Frun&",
            "?options=-c%20jit%3Doff&options%5Bsearch_path%5D=a&options[jit]=off",
            "?password=a?b&statement-cache-capacity=9#secret=1",
            "?target_session_attrs=primary&host=a,b",
        ] {
            assert!(parse(&format!("postgres://app@db/ops{query}"), false).is_ok(), "{query}");
        }
        for (url, nth) in [
            ("postgres://app@db/ops?sslpassword=secret", 1),
            ("postgres://app@db/ops?sslmode=require&pasword=secret", 2),
            ("postgres://app@db/ops?password=some&secret", 2),
            ("postgres://app@db/ops?&=secret", 2),
            ("postgres://app:?secret@db/ops", 1),
            ("postgres://app:?secret=secret@db/ops?sslmode=require", 1),
        ] {
            match parse(url, false).unwrap_err() {
                OpenError::BadUrl { reason } => {
                    assert!(reason.starts_with(&format!("parameter {nth} ")), "{url}: {reason}");
                    assert!(!reason.contains("secret"), "{url}: {reason}");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_url_that_asks_for_tls_gets_it_or_hears_of_the_feature() {
        for mode in ["require", "verify-ca", "verify-full"] {
            let parsed = parse(&format!("postgres://app:secret@db/ops?sslmode={mode}"), false);
            if cfg!(feature = "tls") {
                assert!(parsed.is_ok(), "{mode}");
                continue;
            }
            let refused = parsed.unwrap_err();
            let said = refused.to_string();
            assert!(said.contains(&format!("sslmode={mode}")), "{said}");
            assert!(said.contains("the feature \"tls\""), "{said}");
            assert!(!said.contains("secret") && !refused.is_transient(), "{said}");
        }
        for mode in ["disable", "allow", "prefer"] {
            assert!(
                parse(&format!("postgres://app@db/ops?sslmode={mode}"), false).is_ok(),
                "{mode}"
            );
        }
    }
}

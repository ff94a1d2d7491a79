//! A webhook, signed as Standard Webhooks has it (<https://www.standardwebhooks.com>): who receives a notice can tell who sent
//! it, when, and that it comes again.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use data_encoding::BASE64;
use guildhall_core::Timestamp;
use guildhall_http::client::{HttpClient, TlsError};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, StatusCode, Uri};
use serde_json::json;
use sha2::Sha256;
use tokio::time::timeout;

use super::notice::Notice;
use super::sink::{DeliveryId, NoticeSink, SinkError};

/// How much of an answer is read, so that the connection can be used again.
const MOST_ANSWER_BYTES: usize = 64 << 10;

/// The secret that a receiver shares: 24 to 64 bytes, written `whsec_` and base64.
#[derive(Clone)]
pub struct WebhookSecret(Vec<u8>);

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("WebhookSecret(…)")
    }
}

impl std::str::FromStr for WebhookSecret {
    type Err = WebhookError;

    fn from_str(text: &str) -> Result<Self, WebhookError> {
        let encoded = text.strip_prefix("whsec_").ok_or(WebhookError::Secret)?;
        let bytes = BASE64.decode(encoded.as_bytes()).map_err(|_| WebhookError::Secret)?;
        if !(24..=64).contains(&bytes.len()) {
            return Err(WebhookError::Secret);
        }
        Ok(Self(bytes))
    }
}

impl WebhookSecret {
    /// The signature of a message (`webhook-signature`).
    fn sign(&self, id: &str, seconds: i64, body: &str) -> Result<String, WebhookError> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).map_err(|_| WebhookError::Secret)?;
        mac.update(format!("{id}.{seconds}.{body}").as_bytes());
        Ok(format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes())))
    }
}

/// Why there is no such webhook.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookError {
    /// The secret is none.
    #[error("a secret is whsec_ and the base64 of 24 to 64 bytes")]
    Secret,
    /// The address is none.
    #[error("the address is not that of a web server")]
    Address,
    /// HTTPS cannot be spoken.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// How a webhook is reached.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WebhookSettings {
    /// How long the receiver may take, from the connection to the last byte.
    pub answer_timeout: Duration,
}

impl Default for WebhookSettings {
    fn default() -> Self {
        Self { answer_timeout: Duration::from_secs(15) }
    }
}

impl WebhookSettings {
    /// The same with this [`answer_timeout`](Self#structfield.answer_timeout).
    #[must_use]
    pub fn answer_timeout(mut self, answer_timeout: Duration) -> Self {
        self.answer_timeout = answer_timeout;
        self
    }
}

/// A sink that posts each notice to an address.
///
/// The body is JSON: `type` (`guildhall.` and the notice's change), `timestamp` (when the entry was recorded) and `data` (the notice). `webhook-id` is the
/// notice's [id](DeliveryId), the same however often it comes. What is answered with 2xx is taken; with 400, 410, 413 or 422,
/// refused; anything else comes again. No redirect is followed.
#[derive(Debug, Clone)]
pub struct Webhook {
    address: Uri,
    secret: WebhookSecret,
    settings: WebhookSettings,
    http: HttpClient,
}

impl Webhook {
    /// Posts to this address, `http` or `https`.
    ///
    /// # Errors
    /// [`WebhookError`]: the address is none, or HTTPS cannot be spoken.
    pub fn new(
        address: &str,
        secret: WebhookSecret,
        settings: WebhookSettings,
    ) -> Result<Self, WebhookError> {
        let address: Uri = address.parse().map_err(|_| WebhookError::Address)?;
        let is_tls = match address.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(WebhookError::Address),
        };
        let http = HttpClient::new(is_tls, None)?;
        Ok(Self { address, secret, settings, http })
    }

    async fn post(
        &self,
        id: &DeliveryId,
        notice: &Notice,
    ) -> Result<StatusCode, Box<dyn Error + Send + Sync>> {
        let data = serde_json::to_value(notice)?;
        let kind = format!("guildhall.{}", data["change"].as_str().unwrap_or("changed"));
        let body = json!({ "type": kind, "timestamp": notice.recorded_at, "data": data });
        let body = body.to_string();
        let seconds = Timestamp::now().as_micros().div_euclid(1_000_000);
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.address.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id.as_str())
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", self.secret.sign(id.as_str(), seconds, &body)?)
            .body(Full::from(body))?;
        let response = self.http.send(request).await?;
        let status = response.status();
        // What it says besides means nothing.
        let _ = Limited::new(response.into_body(), MOST_ANSWER_BYTES).collect().await;
        Ok(status)
    }
}

#[async_trait]
impl NoticeSink for Webhook {
    async fn deliver(&self, id: &DeliveryId, notice: &Notice) -> Result<(), SinkError> {
        let most = self.settings.answer_timeout;
        let posted = timeout(most, self.post(id, notice)).await;
        let posted = posted.map_err(|late| SinkError::Transient(late.into()))?;
        let status = posted.map_err(SinkError::Transient)?;
        let said = || format!("the receiver answered {status}").into();
        match status.as_u16() {
            200..300 => Ok(()),
            400 | 410 | 413 | 422 => Err(SinkError::Refused(said())),
            _ => Err(SinkError::Transient(said())),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_message_is_signed_as_the_libraries_of_the_standard_sign_it() {
        let secret: WebhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
        let signed =
            secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!(!format!("{secret:?}").contains("MfKQ"), "a secret is not shown");
        for text in ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_", "whsec_AAAA", "whsec_?"] {
            assert!(text.parse::<WebhookSecret>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_web_servers_are_posted_to() {
        let secret: WebhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
        for address in ["", "/path", "ftp://example.com/", "example.com"] {
            let webhook = Webhook::new(address, secret.clone(), WebhookSettings::default());
            assert!(matches!(webhook, Err(WebhookError::Address)), "{address}");
        }
    }
}

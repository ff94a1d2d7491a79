//! What an entry says, read as a plain JSON tree.

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use guildhall_core::{
    Cid, Code, CustodyState, Entry, Json, LinkHash, Outcome, Seq, Tier, Timestamp,
};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::hashes::canonical;
use super::require;

/// The fields of an entry. What cannot be read is `CC00`.
pub(super) struct Data(Map<String, Value>);

impl Data {
    pub(super) fn of(entry: &Entry) -> Result<Self, Code> {
        let value: Value = serde_json::from_str(&entry.payload).map_err(|_| Code::CC00)?;
        // What is stored is canonical, or something else wrote it.
        require(canonical(&value) == *entry.payload, Code::CC00)?;
        match value {
            Value::Object(fields) => Ok(Self(fields)),
            _ => Err(Code::CC00),
        }
    }

    pub(super) fn value(&self, field: &str) -> Result<&Value, Code> {
        self.0.get(field).ok_or(Code::CC00)
    }

    pub(super) fn nullable<T>(
        &self,
        field: &str,
        read: impl FnOnce(&Self, &str) -> Result<T, Code>,
    ) -> Result<Option<T>, Code> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(_) => read(self, field).map(Some),
        }
    }

    /// A text that is a key somewhere.
    pub(super) fn name(&self, field: &str) -> Result<String, Code> {
        let text = self.text(field)?;
        require(text.len() <= 1024, Code::CC00)?;
        Ok(text)
    }

    pub(super) fn text(&self, field: &str) -> Result<String, Code> {
        self.value(field)?.as_str().map(str::to_owned).ok_or(Code::CC00)
    }

    fn parsed<T: std::str::FromStr>(&self, field: &str) -> Result<T, Code> {
        self.text(field)?.parse().map_err(|_| Code::CC00)
    }

    pub(super) fn json(&self, field: &str) -> Result<Json, Code> {
        Json::from_canonical(canonical(self.value(field)?)).map_err(|_| Code::CC00)
    }

    pub(super) fn object(&self, field: &str) -> Result<Json, Code> {
        require(self.value(field)?.is_object(), Code::CC00)?;
        self.json(field)
    }

    pub(super) fn uuid(&self, field: &str) -> Result<Uuid, Code> {
        let text = self.text(field)?;
        let uuid: Uuid = text.parse().map_err(|_| Code::CC00)?;
        // One id has one spelling.
        require(uuid.hyphenated().to_string() == text, Code::CC00)?;
        Ok(uuid)
    }

    /// The id that names the stream which the entry must stand in.
    pub(super) fn stream(&self, field: &str, entry: &Entry) -> Result<Uuid, Code> {
        let uuid = self.uuid(field)?;
        require(uuid == *entry.stream_id.as_uuid(), Code::CC00)?;
        Ok(uuid)
    }

    pub(super) fn time(&self, field: &str) -> Result<Timestamp, Code> {
        let text = self.text(field)?;
        let at = Timestamp::from_rfc3339(&text).map_err(|_| Code::CC00)?;
        require(at.to_string() == text, Code::CC00)?;
        Ok(at)
    }

    pub(super) fn hash(&self, field: &str) -> Result<LinkHash, Code> {
        let bytes = HEXLOWER.decode(self.text(field)?.as_bytes()).map_err(|_| Code::CC00)?;
        bytes.try_into().map(LinkHash::from_bytes).map_err(|_| Code::CC00)
    }

    pub(super) fn cid(&self, field: &str) -> Result<Cid, Code> {
        let text = self.text(field)?;
        let digits = text.strip_prefix('b').ok_or(Code::CC00)?;
        require(!digits.contains(|c: char| c.is_ascii_uppercase()), Code::CC00)?;
        let bytes =
            BASE32_NOPAD.decode(digits.to_ascii_uppercase().as_bytes()).map_err(|_| Code::CC00)?;
        let digest = bytes.strip_prefix(&[0x01, 0x55, 0x12, 0x20]).ok_or(Code::CC00)?;
        digest.try_into().map(Cid::from_digest).map_err(|_| Code::CC00)
    }

    pub(super) fn tier(&self, field: &str) -> Result<Tier, Code> {
        let number = self.value(field)?.as_u64().ok_or(Code::CC00)?;
        Tier::ALL.into_iter().find(|tier| u64::from(tier.get()) == number).ok_or(Code::CC00)
    }

    pub(super) fn seq(&self, field: &str) -> Result<Seq, Code> {
        let number = self.value(field)?.as_u64().ok_or(Code::CC00)?;
        number.try_into().map_err(|_| Code::CC00)
    }

    pub(super) fn state(&self, field: &str) -> Result<CustodyState, Code> {
        self.parsed(field)
    }

    pub(super) fn outcome(&self, field: &str) -> Result<Outcome, Code> {
        self.parsed(field)
    }
}

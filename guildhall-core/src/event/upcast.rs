//! Older versions of an event become the newest here, and nowhere else.
//!
//! A stored payload is never rewritten. When a format changes, its old type name gets a [`Step`]
//! in [`STEPS`] that turns old fields into new ones; steps chain, so version 1 reaches version 3
//! through version 2, and the rest of Guildhall knows the newest version alone.

use serde_json::{Map, Value};

use super::kind::EventKind;
use crate::json::Json;

/// One step up: the fields of `from`, changed into those of `to`.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// The full name of the older type.
    pub from: &'static str,
    /// The full name of the type one version later.
    pub to: &'static str,
    /// Changes the fields, or says why they cannot be changed.
    pub with: fn(&mut Map<String, Value>) -> Result<(), String>,
}

/// Every step there is. All six types are at version 1, so there is none yet.
pub const STEPS: &[Step] = &[];

/// Follows the steps from `event_type` to a known kind; nothing where no step starts there.
pub(super) fn upcast(
    steps: &[Step],
    event_type: &str,
    payload: &str,
) -> Option<Result<(EventKind, Json), String>> {
    let mut step = steps.iter().find(|step| step.from == event_type)?;
    let parsed = Json::from_canonical(payload).map_err(|error| error.to_string());
    let mut fields = match parsed.map(|json| json.to_value()) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) => return Some(Err("the payload is not a JSON object".to_owned())),
        Err(reason) => return Some(Err(reason)),
    };
    loop {
        if let Err(reason) = (step.with)(&mut fields) {
            return Some(Err(format!("{} cannot become {}: {reason}", step.from, step.to)));
        }
        if let Some(kind) = EventKind::from_type(step.to) {
            let payload =
                Json::from_value(&Value::Object(fields)).map_err(|error| error.to_string());
            return Some(payload.map(|payload| (kind, payload)));
        }
        step = steps.iter().find(|next| next.from == step.to)?;
    }
}

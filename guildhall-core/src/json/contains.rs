//! JSON containment as PostgreSQL's `@>` defines it (documentation, section 8.14.3).

use serde_json::Value;

pub(super) fn contains(content: &Value, fragment: &Value) -> bool {
    match (content, fragment) {
        // The one exception to "the structures must match", and only at the top.
        (Value::Array(elements), scalar) if !scalar.is_array() && !scalar.is_object() => {
            elements.contains(scalar)
        }
        _ => is_within(content, fragment),
    }
}

fn is_within(content: &Value, fragment: &Value) -> bool {
    match (content, fragment) {
        (Value::Object(content), Value::Object(fragment)) => fragment
            .iter()
            .all(|(key, wanted)| content.get(key).is_some_and(|found| is_within(found, wanted))),
        (Value::Array(content), Value::Array(fragment)) => {
            fragment.iter().all(|wanted| content.iter().any(|found| is_within(found, wanted)))
        }
        _ => content == fragment,
    }
}

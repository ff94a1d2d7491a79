//! Every value of a file, changed once.

use guildhall_proof::evidence::{Evidence, check};
use serde_json::Value;

use crate::log::{ARTIFACT, Log, story, trust};

/// Every way to change one value of some JSON once, by where it stands.
fn changes(value: &Value, path: &str, emit: &mut dyn FnMut(String, Value)) {
    match value {
        Value::Null => emit(path.to_owned(), Value::from(0)),
        Value::Bool(value) => emit(path.to_owned(), Value::from(!value)),
        Value::Number(number) => {
            let number = number.as_i64().unwrap();
            emit(path.to_owned(), Value::from(number + 1));
            emit(path.to_owned(), Value::from(number - 1));
            emit(path.to_owned(), Value::from(number.to_string()));
        }
        Value::String(text) => {
            let chars: Vec<char> = text.chars().collect();
            for at in [0, chars.len() / 2, chars.len().saturating_sub(2)] {
                if let Some(char) = chars.get(at) {
                    let mut changed = chars.clone();
                    changed[at] = if *char == 'a' { 'b' } else { 'a' };
                    emit(path.to_owned(), changed.iter().collect::<String>().into());
                    changed.remove(at);
                    emit(path.to_owned(), changed.into_iter().collect::<String>().into());
                }
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                let with = |item: Vec<Value>| {
                    let mut items = items.clone();
                    items.splice(at..=at, item);
                    Value::from(items)
                };
                emit(format!("{path}/{at} gone"), with(vec![]));
                emit(format!("{path}/{at} twice"), with(vec![item.clone(), item.clone()]));
                changes(item, &format!("{path}/{at}"), &mut |path, item| {
                    emit(path, with(vec![item]))
                });
            }
        }
        Value::Object(members) => {
            let with = |name: &str, value: Option<Value>| {
                let mut members = members.clone();
                match value {
                    Some(value) => members.insert(name.to_owned(), value),
                    None => members.remove(name),
                };
                Value::from(members)
            };
            emit(format!("{path} with more"), with("more", Some(Value::Null)));
            for (name, value) in members {
                emit(format!("{path}/{name} gone"), with(name, None));
                changes(value, &format!("{path}/{name}"), &mut |path, value| {
                    emit(path, with(name, Some(value)))
                });
            }
        }
    }
}

#[test]
fn no_single_change_of_evidence_gets_past() {
    let evidence = Log::of(story()).evidence(ARTIFACT);
    let whole: Value = serde_json::from_str(&evidence.to_text().unwrap()).unwrap();
    let trust = trust();
    let mut tried = 0;
    changes(&whole, "", &mut |path, changed| {
        // Its wording may be another version's.
        if path.starts_with("/rows/quarantined_entries/0/reason") && !path.ends_with("gone") {
            return;
        }
        let parsed = Evidence::parse(changed.to_string());
        let holds = parsed.is_ok_and(|evidence| check(&evidence, &trust).holds());
        let is_reason = path == "/rows/quarantined_entries/0/reason gone";
        assert!(!holds || is_reason, "{path}");
        tried += 1;
    });
    assert!(tried > 1500, "{tried}");
}

#[test]
fn a_field_that_stands_twice_is_refused() {
    let text = Log::of(story()).evidence(ARTIFACT).to_text().unwrap();
    let id = format!("\"artifact_id\":\"{ARTIFACT}\"");
    assert!(Evidence::parse(text.replacen(&id, &format!("{id},{id}"), 1)).is_err());
    let twice = text.replacen("\"tier\":1", "\"tier\":2,\"tier\":1", 1);
    assert!(Evidence::parse(twice).is_err());
}

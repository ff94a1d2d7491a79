//! The manifests: the resource's definition is made from the Rust type, and nothing more is allowed
//! than what the watcher does.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use guildhall_kube::kube::{CustomResourceExt as _, Resource as _};
use guildhall_kube::{Ceremony, CeremonySpec, CeremonyStatus, FINALIZER, Phase};
use serde_json::{Value, json};

const CRD: &str = "crds/ceremonies.substrate.guildhouse.dev.yaml";

fn made() -> String {
    let head = "# Made from src/ceremony.rs; how to write it anew, tests/manifests.rs says.\n";
    format!("{head}{}", serde_saphyr::to_string(&Ceremony::crd()).unwrap())
}

#[test]
fn the_definition_in_the_tree_is_what_the_type_makes() {
    let path = format!("{}/{CRD}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_CRD").is_some() {
        return std::fs::write(path, made()).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap();
    assert!(
        kept == made(),
        "{CRD} is not what src/ceremony.rs makes. To write it anew:\n\
         UPDATE_CRD=1 cargo test -p guildhall-kube --test manifests"
    );
}

#[test]
fn the_definition_is_what_was_promised() {
    let kept: Value = serde_saphyr::from_str(&made()).unwrap();
    assert_eq!(kept["metadata"]["name"], "ceremonies.substrate.guildhouse.dev");
    assert_eq!(Ceremony::api_version(&()), "substrate.guildhouse.dev/v1alpha1");
    let spec = &kept["spec"];
    assert_eq!(
        (&spec["scope"], &spec["names"]["kind"]),
        (&json!("Namespaced"), &json!("Ceremony"))
    );
    assert_eq!(spec["names"]["plural"], "ceremonies");
    let version = &spec["versions"][0];
    assert_eq!(version["subresources"], json!({ "status": {} }));
    let columns = version["additionalPrinterColumns"].as_array().unwrap();
    let columns: Vec<&str> = columns.iter().map(|it| it["name"].as_str().unwrap()).collect();
    let wide = ["CID", "Requester", "Decided by", "Reason"];
    assert_eq!(columns, [["Phase", "Artifact", "Decided", "Age"], wide].concat());
    assert_eq!(spec["names"]["shortNames"], json!(["cer"]));
    assert_eq!(spec["names"]["categories"], json!(["guildhall"]));
    let properties = &version["schema"]["openAPIV3Schema"]["properties"];
    let wanted = json!(["accord", "artifact", "cid", "reason", "requester"]);
    assert_eq!(properties["spec"]["required"], wanted);
    assert_eq!(properties["spec"]["x-kubernetes-validations"][0]["rule"], "self == oldSelf");
    let status = &properties["status"]["properties"];
    let mut phases: Vec<&str> =
        status["phase"]["enum"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    phases.sort_unstable();
    assert_eq!(phases, ["Open", "Ratified", "Rejected", "Withdrawn"]);
    let fields: Vec<&String> = status.as_object().unwrap().keys().collect();
    let wanted =
        ["conditions", "decidedAt", "decidedBy", "evidence", "observedGeneration", "phase"];
    assert_eq!(fields, wanted);
    assert_eq!(status["decidedAt"]["format"], "date-time");
    let described = &status["evidence"]["description"];
    let anything = json!({
        "description": described, "nullable": true, "x-kubernetes-preserve-unknown-fields": true,
    });
    assert_eq!(status["evidence"], anything);
    let rules = &properties["status"]["x-kubernetes-validations"];
    assert_eq!(rules.as_array().unwrap().len(), 2);
    assert!(rules[1]["rule"].as_str().unwrap().contains("has(self.observedGeneration)"));
    // At the root, where a status that is taken away is seen; as a whole, evidence included, which
    // no rule can name.
    let rule = &version["schema"]["openAPIV3Schema"]["x-kubernetes-validations"][0]["rule"];
    assert!(rule.as_str().unwrap().contains("self.status == oldSelf.status ||"));
    assert!(rule.as_str().unwrap().contains("self.status.decidedAt < oldSelf.status.decidedAt"));
    assert_eq!(status["decidedBy"]["minLength"], 1);
}

#[test]
fn whoever_mends_when_it_was_decided_changes_nothing_else_that_a_rule_can_name() {
    let kept: Value = serde_saphyr::from_str(&made()).unwrap();
    let schema = &kept["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let rule = schema["x-kubernetes-validations"][0]["rule"].as_str().unwrap();
    let (_, mending) = rule.split_once("self.status == oldSelf.status ||").unwrap();
    for (name, field) in schema["properties"]["status"]["properties"].as_object().unwrap() {
        // Of what may hold anything, an API server lets no rule speak.
        let can_be_named = field["x-kubernetes-preserve-unknown-fields"] != true;
        let stays = format!("self.status.{name} == oldSelf.status.{name}");
        let must_stay = can_be_named && name != "decidedAt";
        assert_eq!(mending.contains(&stays), must_stay, "{name}: {mending}");
        // What is taken away is changed.
        assert_eq!(mending.contains(&format!("has(self.status.{name})")), can_be_named, "{name}");
    }
    // They may be left out from the beginning, and then they cannot be added.
    let conditions = "has(self.status.conditions) == has(oldSelf.status.conditions)";
    assert!(mending.contains(conditions), "{mending}");
    let evidence = &schema["properties"]["status"]["properties"]["evidence"]["description"];
    let said = evidence.as_str().unwrap().replace('\n', " ");
    assert!(said.contains("no validation rule can name it"), "{said}");
}

/// What an API server demands of a schema: a type everywhere but where anything goes, and no
/// references.
fn is_structural(schema: &Value, path: &str) {
    let goes_anything = schema["x-kubernetes-preserve-unknown-fields"] == true;
    assert!(schema["type"].is_string() || goes_anything, "{path} has no type: {schema}");
    for forbidden in ["$ref", "oneOf", "anyOf", "definitions", "$defs", "const"] {
        assert!(schema.get(forbidden).is_none(), "{path} has {forbidden}");
    }
    assert!(schema.get("default") != Some(&Value::Null), "{path} has null by default");
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        is_structural(property, &format!("{path}.{name}"));
    }
    if let Some(items) = schema.get("items") {
        is_structural(items, &format!("{path}[]"));
    }
}

#[test]
fn the_schema_is_structural() {
    let kept: Value = serde_saphyr::from_str(&made()).unwrap();
    is_structural(&kept["spec"]["versions"][0]["schema"]["openAPIV3Schema"], "");
}

/// What `kubectl explain` shows: an API server publishes neither type nor fields of what may be null.
fn is_explained(schema: &Value, path: &str) {
    assert!(schema["description"].is_string(), "{path} is not described");
    let goes_anything = schema["x-kubernetes-preserve-unknown-fields"] == true;
    assert!(goes_anything || schema.get("nullable").is_none(), "{path} may be null");
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        is_explained(property, &format!("{path}.{name}"));
    }
}

#[test]
fn each_field_is_explained() {
    let kept: Value = serde_saphyr::from_str(&made()).unwrap();
    is_explained(&kept["spec"]["versions"][0]["schema"]["openAPIV3Schema"], "ceremony");
}

/// A table on a terminal is kept narrow by fields of bounded width, and in `-o wide` by having the
/// longest last.
#[test]
fn no_column_is_wrecked_by_a_long_text() {
    let kept: Value = serde_saphyr::from_str(&made()).unwrap();
    let version = &kept["spec"]["versions"][0];
    let schema = &version["schema"]["openAPIV3Schema"]["properties"];
    let width = |path: &str| match path.strip_prefix('.').unwrap().split_once('.').unwrap() {
        ("metadata", _) => 10,
        (part, name) => {
            let field = &schema[part]["properties"][name];
            let words = field["enum"].as_array();
            let word =
                words.map(|it| it.iter().map(|it| it.as_str().unwrap().len()).max().unwrap());
            let long = field["maxLength"].as_u64().map(|it| usize::try_from(it).unwrap());
            word.or(long).unwrap_or(if field["format"] == "date-time" { 10 } else { 1 << 20 })
        }
    };
    let columns = version["additionalPrinterColumns"].as_array().unwrap();
    let columns =
        columns.iter().map(|it| (it["priority"] == 1, width(it["jsonPath"].as_str().unwrap())));
    let (wide, narrow): (Vec<_>, Vec<_>) = columns.partition(|(is_wide, _)| *is_wide);
    assert!(narrow.iter().all(|(_, width)| *width <= 36), "{narrow:?}");
    assert!(wide.is_sorted(), "{wide:?}");
}

/// The characters that a pattern of the form `^[^…]*$` leaves out.
fn left_out(pattern: &str) -> Vec<char> {
    let class = pattern.strip_prefix("^[^").unwrap().strip_suffix("]*$").unwrap();
    let code = |text: &str| u32::from_str_radix(text.strip_suffix('}').unwrap(), 16).unwrap();
    let (mut left_out, mut range) = (Vec::new(), None);
    for text in class.split(r"\x{").skip(1) {
        let (text, begins) = text.strip_suffix('-').map_or((text, false), |text| (text, true));
        if begins {
            range = Some(code(text));
        } else {
            left_out.extend(range.take().unwrap_or(code(text))..=code(text));
        }
    }
    left_out.into_iter().map(|code| char::from_u32(code).unwrap()).collect()
}

#[test]
fn what_the_chronicle_cannot_keep_is_refused_at_admission() {
    let kept: Value = serde_saphyr::from_str(&made()).unwrap();
    let schema = &kept["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
    let refused: Vec<char> = (0..=0x10_ffff)
        .filter_map(char::from_u32)
        .filter(|it| {
            let text = Value::from(it.to_string()).to_string();
            guildhall_core::Json::parse(&text).is_err()
        })
        .collect();
    assert!(refused.contains(&'\0') && refused.contains(&'\u{ffff}'));
    for (part, name) in [("spec", "requester"), ("spec", "reason"), ("status", "decidedBy")] {
        let pattern = schema[part]["properties"][name]["pattern"].as_str().unwrap();
        assert_eq!(left_out(pattern), refused, "{part}.{name}");
    }
}

#[test]
fn the_finalizer_is_the_one_that_the_manifest_asks_for_and_the_watcher_may_not_remove_it() {
    let policy = include_str!("../finalizer/policy.yaml");
    let documents: Vec<Value> = serde_saphyr::from_multiple(policy).unwrap();
    let [policy, binding, role] = <[Value; 3]>::try_from(documents).unwrap();
    let rule = policy["spec"]["validations"][0]["expression"].as_str().unwrap();
    assert!(rule.contains(&format!("'{FINALIZER}' in object.metadata.finalizers")), "{rule}");
    assert_eq!(binding["spec"]["policyName"], policy["metadata"]["name"]);
    let groups = &policy["spec"]["matchConstraints"]["resourceRules"][0]["apiGroups"];
    assert_eq!(groups, &json!([Ceremony::group(&())]));
    assert_eq!(role["rules"][0]["resources"], json!(["ceremonies"]), "and no status");
    assert!(include_str!("../finalizer/README.md").contains(FINALIZER));
}

#[test]
fn a_ceremony_is_written_as_kubernetes_writes() {
    let spec = CeremonySpec {
        artifact: "a".to_owned(),
        cid: "b".to_owned(),
        requester: "c".to_owned(),
        reason: "d".to_owned(),
        accord: "e".to_owned(),
    };
    let mut ceremony = Ceremony::new("zone", spec);
    let status = json!({
        "phase": "Ratified", "decidedBy": "f", "decidedAt": "2026-11-24T10:00:00.000000Z",
        "evidence": [1], "observedGeneration": 1,
    });
    ceremony.status = Some(serde_json::from_value(status.clone()).unwrap());
    let written = serde_json::to_value(&ceremony).unwrap();
    assert_eq!(written["status"], status);
    let spec =
        json!({ "artifact": "a", "cid": "b", "requester": "c", "reason": "d", "accord": "e" });
    assert_eq!(written["spec"], spec);
    assert_eq!(ceremony.status.unwrap().phase, Some(Phase::Ratified));
    assert_eq!(serde_json::to_value(CeremonyStatus::default()).unwrap(), json!({}));
}

#[test]
fn the_watcher_may_list_and_watch_ceremonies_and_nothing_else() {
    let everywhere =
        (include_str!("../rbac/everywhere.yaml"), ["ClusterRole", "ClusterRoleBinding"]);
    let namespaced = (include_str!("../rbac/namespaced.yaml"), ["Role", "RoleBinding"]);
    for (text, kinds) in [everywhere, namespaced] {
        let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
        let [account, role, binding] = <[Value; 3]>::try_from(documents).unwrap();
        assert_eq!(account["kind"], "ServiceAccount");
        assert_eq!([&role["kind"], &binding["kind"]], kinds);
        let rules = json!([{
            "apiGroups": ["substrate.guildhouse.dev"],
            "resources": ["ceremonies"],
            "verbs": ["list", "watch"],
        }]);
        assert_eq!(role["rules"], rules);
        assert_eq!(binding["roleRef"]["kind"], role["kind"]);
        assert_eq!(binding["roleRef"]["name"], role["metadata"]["name"]);
        assert_eq!(binding["metadata"]["namespace"], role["metadata"]["namespace"]);
        let (subject, account) = (&binding["subjects"][0], &account["metadata"]);
        assert_eq!(
            (&subject["name"], &subject["namespace"]),
            (&account["name"], &account["namespace"])
        );
    }
}

//! The manifests: the resource's definition is made from the Rust type, and nothing more is allowed
//! than what the watcher does.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use guildhall_kube::kube::{CustomResourceExt as _, Resource as _};
use guildhall_kube::{Ceremony, CeremonySpec, CeremonyStatus, Phase};
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
    assert_eq!(columns[..5], ["Artifact", "Requester", "Phase", "Decided by", "Age"]);
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
    assert!(
        rule.as_str().unwrap().ends_with("(has(self.status) && self.status == oldSelf.status)")
    );
    assert_eq!(status["decidedBy"]["minLength"], 1);
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

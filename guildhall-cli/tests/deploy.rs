//! What stands in `deploy/`: as far as it can be held without a systemd, an engine or a cluster.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::Folder;
use serde_json::Value;

fn deploy(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy")).join(name)
}

/// The files of a folder with this ending, in the order in which kubectl and people list them.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|found| found == ending)).collect();
    files.sort();
    assert!(!files.is_empty(), "{}", folder.display());
    files
}

/// Every object of the manifests, in the order in which `kubectl apply` of the README sends them.
fn objects() -> Vec<Value> {
    let mut files = files(&deploy("kubernetes"), "yaml");
    let watcher = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guildhall-kube");
    files.extend(self::files(&watcher.join("crds"), "yaml"));
    files.push(watcher.join("rbac/everywhere.yaml"));
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        serde_saphyr::from_multiple::<Value>(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    files.into_iter().flat_map(read).collect()
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn list<'v>(value: &'v Value, pointer: &str) -> Vec<&'v Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten().collect()
}

fn deployments(objects: &[Value]) -> Vec<&Value> {
    objects.iter().filter(|object| object["kind"] == "Deployment").collect()
}

/// Whether the program takes these arguments; nothing is done.
fn assert_taken(arguments: &[&str]) {
    let arguments = [arguments, &["--help"]].concat();
    let output = Folder::new().run(&arguments);
    let said = common::stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
}

#[test]
fn one_apply_works_on_a_fresh_cluster() {
    let objects = objects();
    let mut seen = BTreeSet::new();
    for object in &objects {
        let (kind, name) = (text(object, "/kind"), text(object, "/metadata/name"));
        let namespace = text(object, "/metadata/namespace");
        assert!(!text(object, "/apiVersion").is_empty() && !name.is_empty(), "{object}");
        // What is in a namespace comes after it.
        assert!(
            namespace.is_empty() || seen.contains(&("Namespace", "", namespace)),
            "{kind} {name} comes before the namespace {namespace}"
        );
        assert!(seen.insert((kind, namespace, name)), "{kind} {name} is there twice");
    }
    assert_eq!(objects[0]["kind"], "Namespace");
}

#[test]
fn what_manifests_name_is_there() {
    let objects = objects();
    let is_there = |kind: &str, namespace: &str, name: &str| {
        objects.iter().any(|it| {
            it["kind"] == kind
                && text(it, "/metadata/namespace") == namespace
                && text(it, "/metadata/name") == name
        })
    };
    for deployment in deployments(&objects) {
        let namespace = text(deployment, "/metadata/namespace");
        let account = text(deployment, "/spec/template/spec/serviceAccountName");
        assert!(is_there("ServiceAccount", namespace, account), "{account}");
        let labels = &deployment["spec"]["template"]["metadata"]["labels"];
        for (label, value) in deployment["spec"]["selector"]["matchLabels"].as_object().unwrap() {
            assert_eq!(&labels[label], value, "{deployment}");
        }
        let volumes: BTreeSet<_> = list(deployment, "/spec/template/spec/volumes")
            .into_iter()
            .map(|volume| text(volume, "/name"))
            .collect();
        for container in list(deployment, "/spec/template/spec/containers") {
            for mount in list(container, "/volumeMounts") {
                assert!(volumes.contains(text(mount, "/name")), "{mount}");
            }
            let ports: BTreeSet<_> =
                list(container, "/ports").into_iter().map(|port| text(port, "/name")).collect();
            assert!(
                list(container, "/ports").iter().all(|port| port["name"] != "probes")
                    || text(container, "/readinessProbe/httpGet/path") == "/readyz"
                        && text(container, "/livenessProbe/httpGet/path") == "/healthz"
            );
            for probe in ["/readinessProbe", "/livenessProbe"] {
                for action in ["/tcpSocket/port", "/httpGet/port"] {
                    let port = text(container, &format!("{probe}{action}"));
                    assert!(port.is_empty() || ports.contains(port), "{port}");
                }
            }
        }
    }
    for service in objects.iter().filter(|object| object["kind"] == "Service") {
        let selected = deployments(&objects).into_iter().any(|deployment| {
            let labels = &deployment["spec"]["template"]["metadata"]["labels"];
            let mut selector = service["spec"]["selector"].as_object().unwrap().iter();
            selector.all(|(label, value)| &labels[label] == value)
        });
        assert!(selected, "{service} selects nothing");
    }
    for binding in objects.iter().filter(|object| object["kind"] == "ClusterRoleBinding") {
        assert!(is_there("ClusterRole", "", text(binding, "/roleRef/name")), "{binding}");
        for subject in list(binding, "/subjects") {
            let (namespace, name) = (text(subject, "/namespace"), text(subject, "/name"));
            assert!(is_there("ServiceAccount", namespace, name), "{binding}");
        }
    }
}

#[test]
fn pods_keep_to_the_strictest_standard() {
    let objects = objects();
    let level = objects[0]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"].as_str();
    assert_eq!(level, Some("restricted"));
    for deployment in deployments(&objects) {
        let pod = &deployment["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{deployment}");
        assert_eq!(text(pod, "/securityContext/seccompProfile/type"), "RuntimeDefault");
        for container in list(pod, "/containers") {
            let context = &container["securityContext"];
            assert_eq!(context["allowPrivilegeEscalation"], false, "{container}");
            assert_eq!(context["readOnlyRootFilesystem"], true, "{container}");
            assert_eq!(context["capabilities"]["drop"], serde_json::json!(["ALL"]), "{container}");
        }
    }
}

#[test]
fn who_asks_does_not_decide_and_who_decides_does_not_ask() {
    let objects = objects();
    let verbs = |role: &str, resource: &str| -> BTreeSet<String> {
        let role = objects.iter().find(|it| text(it, "/metadata/name") == role).unwrap();
        let rules = list(role, "/rules").into_iter();
        let rules = rules.filter(|rule| list(rule, "/resources").iter().any(|it| **it == resource));
        let verbs = rules.flat_map(|rule| list(rule, "/verbs"));
        verbs.map(|verb| verb.as_str().unwrap().to_owned()).collect()
    };
    let writes = |role, resource| {
        let reads = ["get", "list", "watch"];
        verbs(role, resource).iter().any(|verb| !reads.contains(&verb.as_str()))
    };
    assert!(writes("guildhall-requester", "ceremonies"));
    assert!(verbs("guildhall-requester", "ceremonies/status").is_empty());
    assert!(!writes("guildhall-decider", "ceremonies"));
    assert!(writes("guildhall-decider", "ceremonies/status"));
    assert!(!writes("guildhall-watcher", "ceremonies"));
    for role in ["guildhall-requester", "guildhall-decider"] {
        assert!(!verbs(role, "ceremonies").contains("delete"), "{role}");
    }
}

#[test]
fn the_program_takes_the_arguments_of_manifests_and_probes() {
    for deployment in deployments(&objects()) {
        for container in list(deployment, "/spec/template/spec/containers") {
            let arguments = list(container, "/args");
            let arguments: Vec<_> = arguments.iter().map(|it| it.as_str().unwrap()).collect();
            if arguments[0] == "kube" {
                let text = std::fs::read_to_string(deploy("Containerfile")).unwrap();
                assert!(text.contains("--features kube"), "the image has no watcher");
                if !cfg!(feature = "kube") {
                    continue;
                }
            }
            assert_taken(&arguments);
            let probe = list(container, "/readinessProbe/exec/command");
            if let Some((program, arguments)) = probe.split_first() {
                assert_eq!(program.as_str(), Some("/usr/local/bin/guildhall"));
                let arguments: Vec<_> = arguments.iter().map(|it| it.as_str().unwrap()).collect();
                assert_taken(&arguments);
            }
        }
    }
}

/// The units, with the program where it is built, in a folder of their own.
fn units() -> (Folder, Vec<PathBuf>) {
    let folder = Folder::new();
    let program = env!("CARGO_BIN_EXE_guildhall");
    let written = files(&deploy("systemd"), "service").into_iter().map(|unit| {
        let text = std::fs::read_to_string(&unit).unwrap();
        let path = folder.path(unit.file_name().unwrap().to_str().unwrap());
        let text = text.replace("/usr/local/bin/guildhall", program);
        std::fs::write(&path, text).unwrap();
        path
    });
    let written = written.collect();
    (folder, written)
}

fn analyze(arguments: &[&str], unit: &Path) -> (bool, String) {
    let mut analyze = Command::new("systemd-analyze");
    let output = analyze.args(arguments).arg(unit).output();
    let output = output.expect("systemd-analyze is there: Debian's package systemd has it");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[cfg(target_os = "linux")]
#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let (_folder, units) = units();
    for unit in &units {
        let (is_sound, said) = analyze(&["verify", "--man=no"], unit);
        let name = unit.file_name().unwrap().to_str().unwrap();
        // What it says of other units of this machine is not about ours.
        let about_ours: Vec<_> = said.lines().filter(|line| line.contains(name)).collect();
        assert!(is_sound && about_ours.is_empty(), "{said}");
        // Of 100, at which a service may do anything: 20 is one that is shut in well.
        let (is_shut_in, said) = analyze(&["security", "--offline=yes", "--threshold=20"], unit);
        assert!(is_shut_in, "{said}");
    }
}

#[test]
fn the_program_takes_the_arguments_of_units() {
    for unit in files(&deploy("systemd"), "service") {
        let text = std::fs::read_to_string(unit).unwrap();
        let lines = text.lines().filter_map(|line| {
            let line = line.trim_start_matches(['#', ' ']);
            line.strip_prefix("ExecStart=").filter(|command| !command.is_empty())
        });
        for line in lines {
            let words: Vec<_> = line.split(' ').collect();
            assert_eq!(words[0], "/usr/local/bin/guildhall", "{line}");
            assert_taken(&words[1..]);
        }
    }
}

#[test]
fn the_image_is_built_of_what_is_there() {
    let text = std::fs::read_to_string(deploy("Containerfile")).unwrap();
    let manifest = std::fs::read_to_string(deploy("../Cargo.toml")).unwrap();
    let rust = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \"")).unwrap();
    let rust = rust.trim_end_matches('"');
    assert!(text.contains(&format!("rust:{rust}-")), "it builds with the Rust that is promised");
    assert!(text.contains("--path guildhall-cli") && text.contains("--locked"), "{text}");
    let is_in_exec_form = |instruction: &str| {
        let line = text.lines().find(|line| line.starts_with(instruction)).unwrap();
        line.contains('[')
    };
    // A shell in between would keep SIGTERM to itself.
    assert!(is_in_exec_form("ENTRYPOINT") && is_in_exec_form("CMD"));
    for image in objects().iter().flat_map(|it| list(it, "/spec/template/spec/containers")) {
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(text_of(image), format!("guildhall:{version}"));
    }
}

fn text_of(container: &Value) -> &str {
    text(container, "/image")
}

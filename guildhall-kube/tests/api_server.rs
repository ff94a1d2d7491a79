//! The watcher against a real API server: the one that `KUBECONFIG` names.
//!
//! It needs Kubernetes 1.19 or later, and 1.25 or later for what the definition enforces by CEL: it
//! asks which version the server is, and runs what that one can do.
//!
//! `./test` runs it where that is set; by itself,
//! `cargo test -p guildhall-kube --test api_server -- --ignored`. The user it speaks as may define
//! resources and make namespaces. All that it makes goes away with it: a namespace of its own, and
//! the definition of the resource, unless that was there before.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::large_futures,
    reason = "tests"
)]

mod common;

use std::fmt::Debug;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use CustodyState::{CeremonyOpen, Drafted, Ratified, Rejected};
use common::{Guild, feed, open, until, within};
use futures::FutureExt as _;
use guildhall_core::command::Clock;
use guildhall_core::{ArtifactId, CeremonyId, CustodyState, Timestamp};
use guildhall_kube::{Ceremony, CeremonyWatcher};
use guildhall_projector::ceremony::FeedState;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Config, CustomResourceExt as _, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "asks the API server that KUBECONFIG names: run it with --ignored"]
async fn ceremonies_of_a_real_api_server_are_followed() {
    let file = Kubeconfig::from_env().unwrap();
    let file = file.expect("set KUBECONFIG to the file of a cluster that tests may use");
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(file, &options).await.unwrap();
    let server = Server::prepare(config).await;
    let tested = AssertUnwindSafe(async {
        server.steps_are_recorded_as_they_happen().await;
        server.what_happened_meanwhile_is_recorded_once().await;
        server.a_list_of_many_pages_is_read().await;
        server.the_schema_is_enforced().await;
        if server.minor >= RULES {
            server.the_rules_are_enforced().await;
        } else {
            println!("the rules of the definition are not tested: they need 1.{RULES} or later");
        }
        server.the_manifest_grants_what_is_needed_and_no_more().await;
    });
    let outcome = tested.catch_unwind().await;
    server.clear().await;
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

/// The first minor version of Kubernetes 1 that the watcher is tested on: it lists an exact version.
const OLDEST: u32 = 19;

/// The first one that enforces rules (CEL) without being told to.
const RULES: u32 = 25;

/// A namespace of the test's own.
struct Server {
    /// The API server's minor version.
    minor: u32,
    config: Config,
    client: Client,
    namespace: String,
    has_defined: bool,
}

impl Server {
    async fn prepare(config: Config) -> Self {
        let client = Client::try_from(config.clone()).unwrap();
        let version = client.apiserver_version().await.unwrap();
        println!("the API server is Kubernetes {}", version.git_version);
        // Some clouds say "27+".
        let minor =
            version.minor.trim_end_matches(|it: char| !it.is_ascii_digit()).parse().unwrap();
        assert!(
            version.major == "1" && minor >= OLDEST,
            "this needs Kubernetes 1.{OLDEST} or later, and the server is {}",
            version.git_version
        );
        let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
        let definition = Ceremony::crd();
        let name = definition.metadata.name.clone().unwrap();
        let has_defined = definitions.get_opt(&name).await.unwrap().is_none();
        if has_defined {
            definitions.create(&PostParams::default(), &definition).await.unwrap();
        }
        let namespace = format!("guildhall-test-{}", CeremonyId::new());
        let made = json!({ "metadata": { "name": namespace } });
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let made = serde_json::from_value(made).unwrap();
        namespaces.create(&PostParams::default(), &made).await.unwrap();
        let server = Self { minor, config, client, namespace, has_defined };
        // A new resource takes a moment to be served.
        eventually(|| async { server.ceremonies().list(&Default::default()).await.is_ok() }).await;
        server
    }

    async fn clear(self) {
        let (client, params) = (self.client, DeleteParams::default());
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let namespace = namespaces.delete(&self.namespace, &params).await;
        if self.has_defined {
            let definitions: Api<CustomResourceDefinition> = Api::all(client);
            definitions.delete(Ceremony::crd_name(), &params).await.unwrap();
        }
        namespace.unwrap();
    }

    fn ceremonies(&self) -> Api<Ceremony> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// A watcher of this namespace.
    fn watcher(&self) -> CeremonyWatcher {
        CeremonyWatcher::new(self.client.clone()).namespaces([self.namespace.as_str()])
    }

    /// Makes an object of this kind in the namespace.
    async fn create<K>(&self, mut object: Value) -> kube::Result<K>
    where
        K: Resource<Scope = NamespaceResourceScope> + Serialize + DeserializeOwned + Clone + Debug,
        K::DynamicType: Default,
    {
        object["metadata"]["namespace"] = json!(self.namespace);
        let object = serde_json::from_value(object).unwrap();
        let api: Api<K> = Api::namespaced(self.client.clone(), &self.namespace);
        api.create(&PostParams::default(), &object).await
    }

    /// Asks for a ceremony.
    async fn ask(&self, guild: &Guild, name: &str, artifact: ArtifactId) -> Ceremony {
        let mut object = guild.object(name, artifact, 0);
        object["metadata"].as_object_mut().unwrap().remove("creationTimestamp");
        self.create(object).await.unwrap()
    }

    /// Says where a ceremony stands.
    async fn say(&self, name: &str, status: Value) -> kube::Result<Ceremony> {
        let status = json!({ "status": status });
        let (api, params) = (self.ceremonies(), PatchParams::default());
        api.patch_status(name, &params, &Patch::Merge(status)).await
    }

    async fn steps_are_recorded_as_they_happen(&self) {
        let guild = Guild::new().await;
        let id = guild.draft().await;
        let orchestrator = guild.hears_by(Clock::system(), self.watcher());
        until(&orchestrator, |feed| feed.state == FeedState::Listening).await;
        let object = self.ask(&guild, "zone", id).await;
        self.say("zone", open()).await.unwrap();
        until(&orchestrator, |feed| feed.recorded == 1).await;
        let opened = guild.chain(id).await.pop().unwrap();
        let uid: CeremonyId = object.metadata.uid.as_deref().unwrap().parse().unwrap();
        assert_eq!((opened.to_state, opened.ceremony_id), (CeremonyOpen, Some(uid)));
        assert_eq!(opened.occurred_at, created(&object, 0));
        assert_eq!(opened.actor, "amara.osei");

        self.say("zone", decided(&object, "Ratified", 5)).await.unwrap();
        until(&orchestrator, |feed| feed.recorded == 2).await;
        let closed = guild.chain(id).await.pop().unwrap();
        assert_eq!((closed.to_state, closed.ceremony_id), (Ratified, Some(uid)));
        assert_eq!(
            (closed.actor.as_str(), closed.reason.as_str()),
            ("jonas.weber", "two approvals")
        );
        assert_eq!(closed.occurred_at, created(&object, 5));

        let id = guild.draft().await;
        self.ask(&guild, "deleted", id).await;
        self.say("deleted", open()).await.unwrap();
        until(&orchestrator, |feed| feed.recorded == 3).await;
        self.ceremonies().delete("deleted", &DeleteParams::default()).await.unwrap();
        let feed = until(&orchestrator, |feed| feed.refused == 1).await;
        assert!(feed.refusals[0].reason.contains("deleted while it was open"), "{feed:?}");
        assert_eq!(guild.states(id).await, [Drafted, CeremonyOpen]);
        assert_eq!((feed.known, feed.restarts), (0, 0));
        within(orchestrator.shutdown()).await;
        self.delete_all().await;
    }

    async fn what_happened_meanwhile_is_recorded_once(&self) {
        let guild = Guild::new().await;
        let (one, other) = (guild.draft().await, guild.draft().await);
        self.ask(&guild, "one", one).await;
        self.say("one", open()).await.unwrap();
        let orchestrator = guild.hears_by(Clock::system(), self.watcher());
        until(&orchestrator, |feed| feed.recorded == 1).await;
        within(orchestrator.shutdown()).await;

        let object = self.ceremonies().get("one").await.unwrap();
        self.say("one", decided(&object, "Rejected", 1)).await.unwrap();
        let object = self.ask(&guild, "other", other).await;
        self.say("other", decided(&object, "Ratified", 1)).await.unwrap();
        let orchestrator = guild.hears_by(Clock::system(), self.watcher());
        let feed = until(&orchestrator, |feed| feed.recorded == 3).await;
        assert_eq!((feed.known, feed.refused, feed.restarts), (1, 0, 0));
        assert_eq!(guild.states(one).await, [Drafted, CeremonyOpen, Rejected]);
        assert_eq!(guild.states(other).await, [Drafted, CeremonyOpen, Ratified]);
        within(orchestrator.shutdown()).await;
        self.delete_all().await;
    }

    async fn a_list_of_many_pages_is_read(&self) {
        let guild = Guild::new().await;
        let mut ids = Vec::new();
        for nth in 0..7 {
            let (id, name) = (guild.draft().await, format!("zone-{nth}"));
            let object = self.ask(&guild, &name, id).await;
            self.say(&name, decided(&object, "Ratified", 1)).await.unwrap();
            ids.push(id);
        }
        // Little memory: the list is gone over again, at the version of the first time.
        for (page_size, backlog_bytes) in [(2, 16 << 20), (3, 1)] {
            let watcher = self.watcher().page_size(page_size).backlog_bytes(backlog_bytes);
            let orchestrator = guild.hears_by(Clock::system(), watcher);
            let feed = until(&orchestrator, |feed| feed.state == FeedState::Listening).await;
            assert_eq!((feed.recorded + feed.known, feed.refused, feed.restarts), (14, 0, 0));
            within(orchestrator.shutdown()).await;
        }
        for id in ids {
            assert_eq!(guild.states(id).await, [Drafted, CeremonyOpen, Ratified]);
        }
        self.delete_all().await;
    }

    async fn the_schema_is_enforced(&self) {
        let guild = Guild::new().await;
        let id = guild.draft().await;
        for (field, value, at) in [
            ("cid", json!("bafkrei"), "spec.cid"),
            ("reason", json!("a\0b"), "spec.reason"),
            ("requester", json!("a\u{ffff}b"), "spec.requester"),
        ] {
            let mut bad = guild.object("bad", id, 0);
            bad["metadata"].as_object_mut().unwrap().remove("creationTimestamp");
            bad["spec"][field] = value;
            is_invalid(self.create::<Ceremony>(bad).await, at);
        }
        self.ask(&guild, "zone", id).await;
        is_invalid(self.say("zone", json!({ "phase": "Perhaps" })).await, "status.phase");
        self.delete_all().await;
    }

    async fn the_rules_are_enforced(&self) {
        let guild = Guild::new().await;
        let id = guild.draft().await;
        let object = self.ask(&guild, "zone", id).await;
        let (api, params) = (self.ceremonies(), PatchParams::default());
        let other = Patch::Merge(json!({ "spec": { "reason": "another" } }));
        is_invalid(api.patch("zone", &params, &other).await, "a ceremony's spec cannot be changed");
        let nobody = self.say("zone", json!({ "phase": "Ratified" })).await;
        is_invalid(nobody, "a closed ceremony needs decidedBy and decidedAt");
        self.say("zone", decided(&object, "Rejected", 2)).await.unwrap();
        let stays = "a closed ceremony cannot change";
        is_invalid(self.say("zone", json!({ "phase": "Ratified" })).await, stays);
        let at = |second| json!({ "decidedAt": created(&object, second).to_string() });
        is_invalid(self.say("zone", at(3)).await, stays);
        // With a time that may be mended, nothing else is rewritten.
        let mut why = decided(&object, "Rejected", 1);
        why["conditions"][0]["message"] = json!("another reason");
        is_invalid(self.say("zone", why).await, stays);
        for (field, value) in [
            ("conditions", json!([])),
            ("conditions", Value::Null),
            ("observedGeneration", json!(2)),
            ("decidedBy", json!("somebody else")),
            ("phase", json!("Ratified")),
        ] {
            let mut mended = at(1);
            mended[field] = value;
            is_invalid(self.say("zone", mended).await, stays);
        }
        self.say("zone", at(1)).await.unwrap();
        self.delete_all().await;
    }

    async fn the_manifest_grants_what_is_needed_and_no_more(&self) {
        let text = include_str!("../rbac/namespaced.yaml");
        let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
        let [account, role, binding] = <[Value; 3]>::try_from(documents).unwrap();
        self.create::<ServiceAccount>(account).await.unwrap();
        let mut config = self.config.clone();
        config.auth_info = Default::default();
        config.auth_info.token = Some(self.token().await.into());
        let watching = Client::try_from(config).unwrap();

        let guild = Guild::new().await;
        let watcher = CeremonyWatcher::new(watching.clone()).namespaces([self.namespace.as_str()]);
        let orchestrator = guild.hears_by(Clock::system(), watcher);
        let forbidden = until(&orchestrator, |feed| feed.state == FeedState::BackingOff).await;
        let error = forbidden.last_error.unwrap().message;
        assert!(error.contains("403") || error.contains("forbidden"), "{error}");

        self.create::<Role>(role).await.unwrap();
        let mut binding = binding;
        binding["subjects"][0]["namespace"] = json!(self.namespace);
        self.create::<RoleBinding>(binding).await.unwrap();
        until(&orchestrator, |feed| feed.state == FeedState::Listening).await;
        let id = guild.draft().await;
        self.ask(&guild, "granted", id).await;
        self.say("granted", open()).await.unwrap();
        until(&orchestrator, |feed| feed.recorded == 1).await;
        assert_eq!(feed(&orchestrator).refused, 0);

        let ceremonies: Api<Ceremony> = Api::namespaced(watching.clone(), &self.namespace);
        is_forbidden(ceremonies.get("granted").await);
        is_forbidden(ceremonies.delete("granted", &DeleteParams::default()).await);
        let status = Patch::Merge(json!({ "status": open() }));
        let patched = ceremonies.patch_status("granted", &PatchParams::default(), &status).await;
        is_forbidden(patched);
        let everywhere: Api<Ceremony> = Api::all(watching);
        is_forbidden(everywhere.list(&Default::default()).await);
        within(orchestrator.shutdown()).await;
    }

    /// A token of the manifest's account.
    async fn token(&self) -> String {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &self.namespace);
        let request = TokenRequest { spec: TokenRequestSpec::default(), ..Default::default() };
        let params = PostParams::default();
        let request = accounts.create_token_request("guildhall-watcher", &params, &request);
        request.await.unwrap().status.unwrap().token
    }

    async fn delete_all(&self) {
        let (api, params) = (self.ceremonies(), DeleteParams::default());
        api.delete_collection(&params, &Default::default()).await.unwrap();
        let is_empty = || async { api.list(&Default::default()).await.unwrap().items.is_empty() };
        eventually(is_empty).await;
    }
}

/// So many seconds after the server created an object.
fn created(object: &Ceremony, second: i64) -> Timestamp {
    let object = serde_json::to_value(&object.metadata).unwrap();
    let created = object["creationTimestamp"].as_str().unwrap();
    let created = Timestamp::from_rfc3339(created).unwrap();
    Timestamp::from_micros(created.as_micros() + second * 1_000_000).unwrap()
}

/// Decided so many seconds after it was created.
fn decided(object: &Ceremony, phase: &str, second: i64) -> Value {
    let mut status = common::decided(phase, 0);
    status["decidedAt"] = json!(created(object, second).to_string());
    status
}

/// Waits until it is so.
async fn eventually<F: Future<Output = bool>>(is_so: impl Fn() -> F) {
    let mut look = tokio::time::interval(Duration::from_millis(50));
    within(async {
        loop {
            look.tick().await;
            if is_so().await {
                return;
            }
        }
    })
    .await;
}

fn refusal<T: Debug>(answer: kube::Result<T>) -> (u16, String) {
    match answer {
        Err(kube::Error::Api(status)) => (status.code, status.message.clone()),
        other => panic!("it was not refused: {other:?}"),
    }
}

fn is_invalid<T: Debug>(answer: kube::Result<T>, why: &str) {
    let (code, message) = refusal(answer);
    assert!(code == 422 && message.contains(why), "{code} {message}");
}

fn is_forbidden<T: Debug>(answer: kube::Result<T>) {
    let (code, message) = refusal(answer);
    assert_eq!(code, 403, "{message}");
}

//! What machines are told: the JSON, and its description.

use super::*;

#[tokio::test]
async fn the_api_answers_what_the_queries_do() {
    let guild = Guild::with_story().await;
    let router = guild.console().router();
    let ops_db = &guild.ops_db;
    let overview = json(&router, "/api/v1/overview").await;
    let expected = value_of(&ops_db.overview().await.unwrap());
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&overview[name], value, "{name}");
    }
    assert_eq!(overview["artifacts"], 9);
    for (path, expected) in [
        ("/api/v1/accords", value_of(&ops_db.accords(&AccordQuery::default()).await.unwrap())),
        ("/api/v1/ceremonies/open", value_of(&ops_db.open_ceremonies(None, 100).await.unwrap())),
        (
            "/api/v1/ceremonies/closed?limit=3",
            value_of(&ops_db.closed_ceremonies(None, 3).await.unwrap()),
        ),
        (
            "/api/v1/deployments",
            value_of(&ops_db.deployments(&DeploymentQuery::default()).await.unwrap()),
        ),
        (
            "/api/v1/verifications",
            value_of(&ops_db.verifications(&VerificationQuery::default()).await.unwrap()),
        ),
        ("/api/v1/quarantine", value_of(&ops_db.quarantined(None, 100).await.unwrap())),
    ] {
        assert_eq!(json(&router, path).await, expected, "{path}");
        assert!(!expected["rows"].as_array().unwrap().is_empty(), "{path}");
    }
    let query = ArtifactQuery::default()
        .custody_states([CustodyState::Deployed, CustodyState::Retired])
        .is_descending(true)
        .limit(2);
    let first = ops_db.artifacts(&query).await.unwrap();
    let path =
        "/api/v1/artifacts?custody_state=deployed&custody_state=retired&descending=true&limit=2";
    assert_eq!(json(&router, path).await, value_of(&first));
    let next = first.next.clone().unwrap();
    let encoded: String = form_urlencoded::byte_serialize(next.as_str().as_bytes()).collect();
    let second = ops_db.artifacts(&query.after(next)).await.unwrap();
    assert_eq!(json(&router, &format!("{path}&after={encoded}")).await, value_of(&second));
    for row in first.rows {
        let path = format!("/api/v1/artifacts/{}", row.id);
        assert_eq!(json(&router, &path).await, value_of(&ops_db.artifact(row.id).await.unwrap()));
        let chain = json(&router, &format!("{path}/chain?after=[1]&limit=2")).await;
        let after = Some(Cursor::after_link(Seq::FIRST));
        let links = ops_db.chain(row.id, after, 2).await.unwrap().rows;
        for (shown, link) in chain["rows"].as_array().unwrap().iter().zip(&links) {
            assert_eq!(shown["hash"], link.hash.to_string());
            assert_eq!(shown["verdict"]["holds"], true);
        }
        assert_eq!(chain["rows"].as_array().unwrap().len(), links.len());
    }
}

/// Whether this console was built with what it shows there.
fn is_there(path: &str) -> bool {
    let is_proof =
        ["/evidence.json", "/entry.tlog-proof", "/seals"].iter().any(|it| path.ends_with(it));
    !is_proof || cfg!(feature = "proof")
}

/// Follows `$ref` and holds an answer against its schema: every property and no other.
fn hold(schema: &Value, document: &Value, answer: &Value, path: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        return hold(&document["components"]["schemas"][name], document, answer, path);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        // Alternatives that a word tells apart.
        let is_of_kind = |choice: &&Value| {
            let kinds = choice["properties"]["kind"]["enum"].as_array();
            kinds.is_some_and(|kinds| kinds.contains(&answer["kind"]))
        };
        if let Some(choice) = choices.iter().find(is_of_kind) {
            return hold(choice, document, answer, path);
        }
        let is_null = choices.iter().any(|choice| choice["type"] == "null");
        return if !(is_null && answer.is_null()) {
            hold(&choices[0], document, answer, path)
        };
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().map(|one| one.as_str().unwrap()).collect(),
        _ => return,
    };
    let found = match answer {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) if types.contains(&"number") => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    assert!(types.contains(&found), "{path} is {found}, described as {types:?}");
    if let Some(words) = schema["enum"].as_array() {
        assert!(words.contains(answer), "{path} is {answer}");
    }
    for (at, item) in answer.as_array().into_iter().flatten().enumerate() {
        hold(&schema["items"], document, item, &format!("{path}[{at}]"));
    }
    if let (Some(properties), Some(fields)) = (schema["properties"].as_object(), answer.as_object())
    {
        let described: BTreeSet<_> = properties.keys().collect();
        assert_eq!(fields.keys().collect::<BTreeSet<_>>(), described, "{path}");
        for (name, field) in fields {
            hold(&properties[name], document, field, &format!("{path}.{name}"));
        }
    }
}

#[tokio::test]
async fn the_description_of_the_api_is_the_api() {
    let guild = Guild::with_story().await;
    #[cfg(feature = "proof")]
    guild.seal().await;
    let router = guild.console().router();
    let document = json(&router, "/api/v1/openapi.json").await;
    let described: BTreeSet<&str> =
        document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(described, PATHS.iter().copied().collect());
    let artifacts = guild.ops_db.artifacts(&ArtifactQuery::default()).await.unwrap().rows;
    let closed = guild.ops_db.closed_ceremonies(None, 1).await.unwrap().rows.remove(0);
    let refused = guild.ops_db.quarantined(None, 1).await.unwrap().rows.remove(0);
    for path in PATHS.iter().filter(|path| is_there(path)) {
        let id = match *path {
            it if it.contains("/ceremonies/") => closed.ceremony_id.unwrap().to_string(),
            it if it.contains("/accords/") => artifacts[0].accord_binding_id.to_string(),
            _ => artifacts[0].id.to_string(),
        };
        let asked = path.replace("{id}", &id).replace("{name}", "console.css");
        let asked = asked.replace("{position}", &refused.position.to_string());
        let asked = asked.replace("{revision}", "1");
        // What has to be asked for by name; of others, enough that every kind of row is among them.
        let asked = match *path {
            "/api/v1/ceremonies" => asked + "?actor=hanna.lund",
            "/api/v1/artifacts/{id}/decided" => asked + "?target=tenant%20calder.example",
            "/api/v1/changes" => asked + "?limit=500",
            "/api/v1/deployments/drifts" => {
                asked + "?since=2026-01-01T00:00:00Z&before=2027-01-01T00:00:00Z"
            }
            _ => asked,
        };
        let response = timeout(SOON, get(&router, &asked)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{asked}");
        let content = &document["paths"][path]["get"]["responses"]["200"]["content"];
        let (content_type, body) = content.as_object().unwrap().iter().next().unwrap();
        let found = response.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
        assert!(found.starts_with(content_type), "{asked}: {found}");
        if path.starts_with("/api/") && !body["schema"].is_null() {
            let answer = serde_json::from_str(&text(response).await).unwrap();
            hold(&body["schema"], &document, &answer, path);
        }
    }
}

#[tokio::test]
async fn errors_are_as_the_description_has_them() {
    let guild = Guild::empty().await;
    let router = guild.console().max_streams(0).router();
    let document = json(&router, "/api/v1/openapi.json").await;
    let check = async |asked: &str, path: &str, status: u16| {
        let response = get(&router, asked).await;
        assert_eq!(response.status().as_u16(), status, "{asked}");
        let described = &document["paths"][path]["get"]["responses"][status.to_string()];
        let schema = &described["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{status} of {path} is not described");
        let answer = serde_json::from_str(&text(response).await).unwrap();
        hold(schema, &document, &answer, asked);
    };
    let nobody = format!("/api/v1/artifacts/{}", ArtifactId::new());
    check(&nobody, "/api/v1/artifacts/{id}", 404).await;
    check(&format!("{nobody}/chain"), "/api/v1/artifacts/{id}/chain", 404).await;
    check(&format!("{nobody}/chain?limit=0"), "/api/v1/artifacts/{id}/chain", 400).await;
    for path in
        PATHS.iter().filter(|path| !document["paths"][path]["get"]["responses"]["400"].is_null())
    {
        let asked = path.replace("{id}", &ArtifactId::new().to_string());
        if path.starts_with("/api/") && is_there(path) {
            check(&format!("{asked}?limit=0"), path, 400).await;
        }
    }
    check("/events?topic=weather", "/events", 400).await;
    check("/events", "/events", 503).await;
    timeout(SOON, guild.runtime.shutdown()).await.unwrap().unwrap();
    check("/healthz", "/healthz", 503).await;
    check("/readyz", "/readyz", 503).await;
    guild.meddle("ALTER TABLE governed_artifacts RENAME TO gone");
    for path in ["/api/v1/overview", "/api/v1/artifacts", "/metrics"] {
        check(path, path, 503).await;
    }
}

#[tokio::test]
async fn it_only_reads() {
    let guild = Guild::empty().await;
    let router = guild.console().router();
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let request =
            Request::builder().method(method).uri("/artifacts").header("host", "localhost");
        let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{method}");
    }
}

#[tokio::test]
async fn what_does_not_exist_or_cannot_be_read_is_said_so() {
    let guild = Guild::empty().await;
    let router = guild.console().router();
    let nobody = CeremonyId::new().to_string();
    for (path, status) in [
        ("/nowhere".to_owned(), 404),
        ("/api/v1/nowhere".to_owned(), 404),
        ("/assets/../Cargo.toml".to_owned(), 404),
        ("/assets/secret".to_owned(), 404),
        (format!("/artifacts/{nobody}"), 404),
        ("/artifacts/1".to_owned(), 404),
        (format!("/api/v1/artifacts/{nobody}"), 404),
        (format!("/api/v1/artifacts/{nobody}/chain"), 404),
        ("/artifacts?tier=9".to_owned(), 400),
        ("/api/v1/artifacts?limit=501".to_owned(), 400),
        ("/api/v1/verifications?outcome=maybe".to_owned(), 400),
        ("/events?topic=weather".to_owned(), 400),
        ("/artifacts?name=%00".to_owned(), 400),
        ("/artifacts?name=%ff".to_owned(), 400),
        ("/api/v1/artifacts?name=%ff".to_owned(), 400),
        ("/artifacts?after=%00nonsense".to_owned(), 400),
        ("/ceremonies?closed_after=%00".to_owned(), 400),
        ("/quarantine?after=a%00".to_owned(), 400),
        ("/api/v1/artifacts?name=%00".to_owned(), 400),
        ("/api/v1/deployments?after=%00".to_owned(), 400),
    ] {
        let response = get(&router, &path).await;
        assert_eq!(response.status().as_u16(), status, "{path}");
        let body = text(response).await;
        if path.starts_with("/api/") {
            assert!(serde_json::from_str::<Value>(&body).unwrap()["error"].is_string(), "{path}");
        }
    }
}

#[tokio::test]
async fn a_parameter_that_is_not_taken_and_a_cursor_of_another_form_are_refused_everywhere() {
    let guild = Guild::with_story().await;
    let router = guild.console().router();
    let id = guild.ops_db.artifacts(&ArtifactQuery::default()).await.unwrap().rows[0].id;
    let refused = async |asked: &str| {
        let response = get(&router, asked).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{asked}");
        text(response).await
    };
    for path in PATHS {
        let path = path.replace("{id}", &id.to_string()).replace("{name}", "console.css");
        let said = refused(&format!("{path}?teir=0")).await;
        assert!(
            said.contains("teir") && said.contains("is not a parameter of this page"),
            "{said}"
        );
        if path == "/artifacts" || path == "/api/v1/artifacts" {
            assert!(said.contains("artifact_type, tier, custody_state, drift"), "{said}");
        }
    }
    // A cursor is good where those of its form are, and nowhere else.
    let query = ArtifactQuery::default().limit(2);
    let artifacts = guild.ops_db.artifacts(&query).await.unwrap().next.unwrap();
    let closed = guild.ops_db.closed_ceremonies(None, 2).await.unwrap().next.unwrap();
    let encoded =
        |cursor: &str| form_urlencoded::byte_serialize(cursor.as_bytes()).collect::<String>();
    let (artifacts, closed) = (encoded(artifacts.as_str()), encoded(closed.as_str()));
    for path in ["/artifacts", "/api/v1/artifacts"] {
        assert_eq!(
            get(&router, &format!("{path}?after={artifacts}")).await.status(),
            StatusCode::OK
        );
        for rest in ["&sort=tier", "&descending=true"] {
            refused(&format!("{path}?after={artifacts}{rest}")).await;
        }
    }
    for asked in [
        format!("/ceremonies?closed_after={closed}"),
        format!("/api/v1/ceremonies/closed?after={closed}"),
        // Of one form: a moment and a position.
        format!("/api/v1/ceremonies/open?after={closed}"),
        format!("/api/v1/verifications?after={closed}"),
    ] {
        assert_eq!(get(&router, &asked).await.status(), StatusCode::OK, "{asked}");
    }
    let listed = [
        "/artifacts?after=",
        "/quarantine?after=",
        "/ceremonies?open_after=",
        "/ceremonies?closed_after=",
        "/api/v1/accords?after=",
        "/api/v1/artifacts?after=",
        "/api/v1/ceremonies/open?after=",
        "/api/v1/ceremonies/closed?after=",
        "/api/v1/deployments?after=",
        "/api/v1/verifications?after=",
        "/api/v1/quarantine?after=",
        &format!("/artifacts/{id}?targets_after="),
        &format!("/api/v1/artifacts/{id}/chain?after="),
    ];
    for asked in listed {
        for cursor in ["garbage", "%7B%7D", "null"] {
            refused(&format!("{asked}{cursor}")).await;
        }
        if !asked.contains("artifacts?") {
            refused(&format!("{asked}{artifacts}")).await;
        }
        if !asked.contains("ceremonies") && !asked.contains("verifications") {
            refused(&format!("{asked}{closed}")).await;
        }
    }
    refused(&format!("/artifacts/{id}?links=some")).await;
    refused("/artifacts?limit=1&limit=2").await;
}

#[tokio::test]
async fn whatever_is_refused_in_the_api_is_refused_in_its_own_form() {
    let guild = Guild::empty().await;
    let router = guild.console().router();
    let send = async |method: &str, path: &str, headers: &[(&str, &str)]| {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    };
    for (method, path, headers, status) in [
        ("GET", "/api/v1/artifacts/%ff", &LOCAL[..], 400),
        ("GET", "/api/v1/artifacts/%ff/chain", &LOCAL, 400),
        ("GET", "/api/v1/nowhere", &LOCAL, 404),
        ("GET", "/api/v1/artifacts/1/2/3", &LOCAL, 404),
        ("POST", "/api/v1/overview", &LOCAL, 405),
        ("DELETE", "/api/v1/nowhere", &LOCAL, 405),
        ("GET", "/api/v1/overview", &[("host", "evil.example")], 421),
        ("GET", "/api/v1/overview", &[], 421),
        ("GET", "/api/v1/overview", &[("host", "localhost"), ("host", "localhost")], 400),
        ("GET", "http://evil.example/api/v1/overview", &LOCAL, 421),
        ("GET", "/events?topic=weather", &LOCAL, 400),
        ("GET", "/readyz?deep=1", &LOCAL, 400),
    ] {
        let response = send(method, path, headers).await;
        assert_eq!(response.status().as_u16(), status, "{method} {path}");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json", "{path}");
        assert_eq!(response.headers().contains_key(header::ALLOW), status == 405, "{path}");
        let body: Value = serde_json::from_str(&text(response).await).unwrap();
        assert!(body["error"].is_string() && body.as_object().unwrap().len() == 1, "{body}");
    }
    let page = send("GET", "/artifacts/%ff", &LOCAL).await;
    assert_eq!(page.status(), StatusCode::BAD_REQUEST);
    assert!(text(page).await.starts_with("<!DOCTYPE html>"));
}

#[tokio::test]
async fn a_page_that_is_not_there_does_not_say_that_the_ops_db_is_silent() {
    let guild = Guild::empty().await;
    let router = guild.console().router();
    for path in ["/artifacts/1", "/artifacts?teir=0", "/quarantine?after=garbage"] {
        let page = text(get(&router, path).await).await;
        assert!(!page.contains("Ops DB silent") && page.contains("projector"), "{path}: {page}");
    }
    guild.meddle("ALTER TABLE projector_checkpoints RENAME TO gone");
    for path in ["/artifacts/1", "/artifacts"] {
        let page = text(get(&router, path).await).await;
        assert!(page.contains("Ops DB silent"), "{path}: {page}");
    }
}

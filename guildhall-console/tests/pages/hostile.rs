//! Texts of others on pages.

use super::*;

/// Texts that break out of where they are put, if anything lets them.
const HOSTILE: [&str; 8] = [
    "<script>x()</script>",
    "\"><img src=x onerror=x()>",
    "' onmouseover='x()",
    "</title></style></textarea></pre></svg><iframe src=//evil.example>",
    "javascript:x()//",
    "<!--<![CDATA[]]><?xml?>&lt;b&gt;&#60;b&#62;",
    "{{7*7}}${7*7}<%= 7 %>\u{202e}\u{2028}\u{feff}",
    "<a href=\"javascript:x()\" style=x>\r\n\tset-cookie: x</a>",
];

#[tokio::test]
async fn no_text_of_others_becomes_an_element_or_an_attribute_on_any_page() {
    let guild = Guild::empty().await;
    let router = guild.console().router();
    let mut asked = vec!["/".to_owned(), "/ceremonies".to_owned(), "/quarantine".to_owned()];
    for text in HOSTILE {
        let id = guild.draft(text, text).await;
        let seen = guildhall_core::DeploymentObserved {
            artifact_id: id,
            desired_cid: guildhall_core::Cid::from_digest([1; 32]),
            detail: Json::parse(&serde_json::to_string(text).unwrap()).unwrap(),
            observed_at: at(3),
            observed_cid: None,
            target: text.to_owned(),
        };
        guild.record(seen).await;
        let mut failed = VerificationRecorded {
            artifact_id: id,
            evidence: Json::parse(&serde_json::to_string(text).unwrap()).unwrap(),
            outcome: Outcome::Failed,
            target: Some(text.to_owned()),
            verified_at: at(4),
            verifier: text.to_owned(),
        };
        guild.record(failed.clone()).await;
        failed.outcome = Outcome::Passed;
        failed.verified_at = at(3);
        guild.record(failed).await;
        guild
            .record(Command::open_ceremony(id, CeremonyId::new(), Act::new(text, text, at(5))))
            .await;
        asked.push(format!("/artifacts/{id}?links=all"));
        let encoded: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
        asked.push(format!("/artifacts/{id}?kind={encoded}"));
        asked.push(format!("/artifacts/{id}?kind=target&links={encoded}"));
        for name in [
            "name_contains",
            "artifact_type",
            "sort",
            "descending",
            "after",
            "tier",
            "accord",
            "content_contains",
            "limit",
        ] {
            asked.push(format!("/artifacts?{name}={encoded}"));
        }
        asked.push(format!("/artifacts?{encoded}=1"));
        asked.push(format!("/artifacts/{encoded}"));
        asked.push(format!("/{encoded}"));
    }
    asked.push("/artifacts".to_owned());
    let own = BTreeSet::from([
        "html",
        "head",
        "meta",
        "title",
        "link",
        "script",
        "body",
        "a",
        "header",
        "nav",
        "ul",
        "li",
        "div",
        "span",
        "label",
        "input",
        "main",
        "footer",
        "p",
        "noscript",
        "section",
        "h1",
        "h2",
        "h3",
        "strong",
        "b",
        "bdi",
        "time",
        "details",
        "summary",
        "code",
        "table",
        "thead",
        "tr",
        "th",
        "tbody",
        "td",
        "form",
        "fieldset",
        "legend",
        "button",
        "dialog",
        "kbd",
        "dl",
        "dt",
        "dd",
        "ol",
        "pre",
        "figure",
        "svg",
        "line",
        "text",
        "circle",
        "path",
        "figcaption",
        "!doctype",
    ]);
    for path in asked {
        let response = get(&router, &path).await;
        if response
            .headers()
            .get(header::CONTENT_TYPE)
            .is_none_or(|it| it != "text/html; charset=utf-8")
        {
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
            continue;
        }
        let page = text(response).await;
        for (at, _) in page.match_indices('<') {
            let tag = &page[at + 1..page[at..].find('>').map_or(page.len(), |end| at + end)];
            let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next().unwrap();
            assert!(own.contains(name.to_ascii_lowercase().as_str()), "<{tag}> on {path}");
            // Outside of quotes no attribute is one that runs, and none leads to a script.
            let bare: String = tag.split('"').step_by(2).collect();
            assert!(!bare.contains(" on") && !bare.contains("style="), "<{tag}> on {path}");
            assert!(!tag.contains("href=\"javascript"), "<{tag}> on {path}");
        }
        assert_eq!(page.matches("<script").count(), 1, "{path}");
    }
}

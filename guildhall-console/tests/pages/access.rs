//! Who is let in, and which hosts are known.

use super::*;

/// Nothing inline and nothing from elsewhere runs, and no other page frames it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

#[tokio::test]
async fn only_hosts_and_tokens_that_are_known_get_in() {
    let guild = Guild::empty().await;
    let router = guild.console().router();
    for (host, status) in [
        ("localhost:7177", StatusCode::OK),
        ("[::1]:7177", StatusCode::OK),
        ("evil.example", StatusCode::MISDIRECTED_REQUEST),
    ] {
        let response = ask(&router, "/", &[("host", host)]).await;
        assert_eq!(response.status(), status, "{host}");
        assert_eq!(response.headers()[header::CONTENT_SECURITY_POLICY], POLICY);
    }
    assert_eq!(ask(&router, "/", &[]).await.status(), StatusCode::MISDIRECTED_REQUEST);

    let hosts = vec!["guild.example".to_owned()];
    let access = Access::Token { token: "0123456789abcdef".to_owned(), hosts };
    let router = guild.console().access(access).router();
    for path in PATHS.iter().map(|path| path.replace("{id}", "x").replace("{name}", "x")) {
        let host = ("host", "guild.example:443");
        let refused = ask(&router, &path, &[host]).await;
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert!(refused.headers()[header::WWW_AUTHENTICATE].to_str().unwrap().starts_with("Basic"));
        let bearer = ("authorization", "Bearer 0123456789abcdef");
        let let_in = ask(&router, &path, &[host, bearer]).await;
        assert_ne!(let_in.status(), StatusCode::UNAUTHORIZED, "{path}");
        let elsewhere = ask(&router, &path, &[("host", "localhost"), bearer]).await;
        assert_eq!(elsewhere.status(), StatusCode::MISDIRECTED_REQUEST, "{path}");
    }
}

#[tokio::test]
async fn a_console_that_anyone_or_no_one_could_see_is_not_served() {
    let guild = Guild::empty().await;
    let hosts = Vec::new;
    let empty = || Access::Token { token: String::new(), hosts: hosts() };
    let embedder = || Access::Embedder { hosts: hosts() };
    for (access, address, said) in [
        (Access::Loopback, "0.0.0.0:0", "it needs a token"),
        (empty(), "0.0.0.0:0", "the token is empty"),
        (empty(), "127.0.0.1:0", "the token is empty"),
        (embedder(), "127.0.0.1:0", "an embedder's layer"),
        (embedder(), "0.0.0.0:0", "an embedder's layer"),
    ] {
        let console = guild.console().access(access);
        let served = serve(console, address.parse().unwrap(), std::future::ready(())).await;
        let refused = served.expect_err(address).to_string();
        assert!(refused.contains(said), "{address}: {refused}");
    }
}

#[tokio::test]
async fn where_the_peer_is_known_loopback_access_asks_for_one_on_this_machine() {
    let guild = Guild::empty().await;
    let hosts = vec!["localhost".to_owned()];
    for (access, peer, status) in [
        (Access::Loopback, "127.0.0.1:9", StatusCode::OK),
        (Access::Loopback, "[::1]:9", StatusCode::OK),
        (Access::Loopback, "[::ffff:127.0.0.1]:9", StatusCode::OK),
        (Access::Loopback, "192.0.2.7:9", StatusCode::FORBIDDEN),
        (Access::Loopback, "[2001:db8::1]:9", StatusCode::FORBIDDEN),
        (Access::Embedder { hosts }, "192.0.2.7:9", StatusCode::OK),
    ] {
        let router = guild.console().access(access).router();
        let peer = ConnectInfo(peer.parse::<SocketAddr>().unwrap());
        let request = Request::get("/").header("host", "localhost").extension(peer);
        let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), status, "{peer:?}");
    }
}

#[tokio::test]
async fn a_request_that_names_another_host_anywhere_is_refused() {
    let guild = Guild::empty().await;
    let router = guild.console().router();
    for (target, hosts, status) in [
        ("/", &["localhost"][..], 200),
        ("http://localhost:7177/", &["localhost:7177"], 200),
        ("http://127.0.0.1/", &["localhost"], 200),
        ("/", &["localhost:80@evil.example"], 421),
        ("/", &["localhost", "evil.example"], 400),
        ("/", &["localhost", "localhost"], 400),
        ("http://evil.example/", &["localhost"], 421),
        ("http://localhost/", &["evil.example"], 421),
        ("http://localhost@evil.example/", &["localhost"], 421),
        ("http://evil@localhost/", &["localhost"], 421),
    ] {
        let mut request = Request::get(target);
        for host in hosts {
            request = request.header("host", *host);
        }
        let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{target} {hosts:?}");
    }
}

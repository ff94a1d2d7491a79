//! Chromium, driven by the WebDriver protocol.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use data_encoding::BASE64;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// How long the driver may take to start.
const SOON: Duration = Duration::from_secs(20);

const HOW_TO_INSTALL: &str = "the browser tests need chromium and chromedriver: \
                              apt-get install chromium chromium-driver";

/// A browser with a profile of its own; it ends when it is dropped.
pub(crate) struct Browser {
    port: u16,
    session: String,
    _driver: Group,
    _profile: tempfile::TempDir,
    _turn: SemaphorePermit<'static>,
}

/// A shell with a driver, and the browsers that this starts, which outlive it unless they are ended
/// with it. All are of one process group, and end when this is dropped, or this process is gone:
/// then the shell's input ends.
struct Group(Child);

const SHELL: &str = "chromedriver --port=0 & exec >&-; read -r _; kill -KILL 0";

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.0.id() {
            let group = format!("-{id}");
            let _ = std::process::Command::new("kill").args(["-KILL", "--", &group]).status();
        }
    }
}

/// A driver and its port. It looks for one that is free and then takes it, and ends where somebody
/// else was faster.
async fn driver(folder: &Path) -> (Group, u16) {
    for _ in 0..5 {
        let driver = Command::new("sh")
            .args(["-c", SHELL])
            .stdin(Stdio::piped())
            .env("TMPDIR", folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect(HOW_TO_INSTALL);
        let mut driver = Group(driver);
        let mut lines = BufReader::new(driver.0.stdout.take().unwrap()).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some((_, port)) = line.split_once("successfully on port ") {
                let port = port.trim_end_matches('.').parse().unwrap();
                // It goes on writing; a pipe that nobody reads would fill.
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                return (driver, port);
            }
        }
    }
    panic!("chromedriver ends at once; {HOW_TO_INSTALL}");
}

/// One browser at a time: several on few cores make each other late.
static TURN: Semaphore = Semaphore::const_new(1);

impl Browser {
    pub(crate) async fn start() -> Self {
        let turn = TURN.acquire().await.unwrap();
        let profile = tempfile::tempdir().unwrap();
        let driver = timeout(SOON, driver(profile.path())).await;
        let (driver, port) = driver.expect("chromedriver does not start");
        let mut browser =
            Self { port, session: String::new(), _driver: driver, _profile: profile, _turn: turn };
        let profile = format!("--user-data-dir={}", browser._profile.path().display());
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            &profile,
        ];
        let options = json!({ "args": arguments });
        let wanted = json!({ "browserName": "chrome", "goog:chromeOptions": options,
                             "goog:loggingPrefs": { "browser": "ALL" } });
        let capabilities = json!({ "capabilities": { "alwaysMatch": wanted } });
        let session = browser.call("POST", "/session", &capabilities).await;
        browser.session = session["sessionId"].as_str().expect(HOW_TO_INSTALL).to_owned();
        browser
    }

    async fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let exchange = async {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
            let length = if method == "GET" { 0 } else { body.len() };
            let head = format!(
                "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                 Content-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(&body.as_bytes()[..length]).await.unwrap();
            let mut reader = BufReader::new(stream);
            let (mut line, mut length) = (String::new(), 0);
            while reader.read_line(&mut line).await.unwrap() > 2 {
                let lower = line.to_ascii_lowercase();
                if let Some(value) = lower.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut answer = vec![0; length];
            reader.read_exact(&mut answer).await.unwrap();
            serde_json::from_slice::<Value>(&answer).unwrap()
        };
        let answer = timeout(Duration::from_secs(60), exchange).await.expect("the browser hangs");
        let value = answer["value"].clone();
        assert!(value.get("error").is_none(), "{method} {path}: {value}");
        value
    }

    async fn post(&self, what: &str, body: Value) -> Value {
        self.call("POST", &format!("/session/{}{what}", self.session), &body).await
    }

    pub(crate) async fn open(&self, url: &str) {
        self.post("/url", json!({ "url": url })).await;
    }

    /// Runs a function's body in the page and passes on what it returns; it may await.
    pub(crate) async fn run(&self, script: &str) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1]; \
             (async () => {{ {script} }})().then(done, (error) => done('error: ' + error))"
        );
        let value = self.post("/execute/async", json!({ "script": script, "args": [] })).await;
        let failed = value.as_str().is_some_and(|text| text.starts_with("error: "));
        assert!(!failed, "{value}");
        value
    }

    pub(crate) async fn text(&self, selector: &str) -> String {
        let selector = serde_json::to_string(selector).unwrap();
        let found =
            self.run(&format!("return document.querySelector({selector})?.innerText")).await;
        found.as_str().unwrap_or_else(|| panic!("{selector} is not on the page")).to_owned()
    }

    async fn element(&self, selector: &str) -> String {
        let wanted = json!({ "using": "css selector", "value": selector });
        let found = self.post("/element", wanted).await;
        found.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned()
    }

    /// How many elements are on the page; needs no script of it.
    pub(crate) async fn count(&self, selector: &str) -> usize {
        let wanted = json!({ "using": "css selector", "value": selector });
        self.post("/elements", wanted).await.as_array().unwrap().len()
    }

    /// Clicks as a mouse does; needs no script of the page.
    pub(crate) async fn click(&self, selector: &str) {
        let element = self.element(selector).await;
        self.post(&format!("/element/{element}/click"), json!({})).await;
    }

    /// Types into a field.
    pub(crate) async fn enter(&self, selector: &str, text: &str) {
        let element = self.element(selector).await;
        self.post(&format!("/element/{element}/value"), json!({ "text": text })).await;
    }

    /// Waits until the page is one whose address has this in it; needs no script of it.
    pub(crate) async fn until_at(&self, part: &str) {
        let path = format!("/session/{}/url", self.session);
        let arrives = async {
            while !self.call("GET", &path, &Value::Null).await.as_str().unwrap().contains(part) {}
        };
        timeout(SOON, arrives).await.unwrap_or_else(|_| panic!("no page at {part}"));
    }

    /// Waits until something is there, also where another page has to come for it: a script of the
    /// page that goes would end with it.
    pub(crate) async fn until_there(&self, selector: &str) {
        let comes = async { while self.count(selector).await == 0 {} };
        timeout(SOON, comes).await.unwrap_or_else(|_| panic!("no {selector}"));
    }

    /// From now on pages run no scripts.
    pub(crate) async fn without_scripts(&self) {
        self.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await;
    }

    /// From now on every page runs this before its own scripts.
    pub(crate) async fn before_every_page(&self, script: &str) {
        self.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script })).await;
    }

    /// Waits until an expression holds in the page.
    pub(crate) async fn until(&self, expression: &str, within: Duration) {
        let milliseconds = within.as_millis();
        let script = format!(
            "const end = Date.now() + {milliseconds}; \
             while (!({expression})) {{ \
                 if (Date.now() > end) return false; \
                 await new Promise((next) => setTimeout(next, 10)); \
             }} return true"
        );
        assert_eq!(self.run(&script).await, Value::Bool(true), "not in time: {expression}");
    }

    /// Presses and releases a key where the focus is.
    pub(crate) async fn press(&self, key: &str) {
        let presses =
            json!([{ "type": "keyDown", "value": key }, { "type": "keyUp", "value": key }]);
        let keys = json!({ "type": "key", "id": "keyboard", "actions": presses });
        self.post("/actions", json!({ "actions": [keys] })).await;
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.post("/goog/cdp/execute", json!({ "cmd": command, "params": parameters })).await
    }

    /// The window's size, as a desktop's or a phone's, and the scheme of colours.
    pub(crate) async fn look(&self, width: u32, height: u32, scheme: &str) {
        let is_phone = width < 600;
        let metrics = json!({ "width": width, "height": height,
                              "deviceScaleFactor": if is_phone { 2 } else { 1 }, "mobile": is_phone });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", media).await;
    }

    /// Whoever opens the page can use it, with everything that it hides opened: no rule of axe-core is
    /// broken, and nothing is wider than the window, `width`. A phone's viewport grows with what is.
    pub(crate) async fn is_usable(&self, width: u32, what: &str) {
        let axe = include_str!("../vendor/axe-core/axe.min.js");
        let open = "document.querySelectorAll('details').forEach((one) => (one.open = true))";
        self.run(open).await;
        let found = self
            .run(&format!(
                "{axe}; const {{ violations }} = await axe.run({{ rules: {{ 'target-size': {{ enabled: true }} }} }}); \
                 return violations.map((one) => one.id + ': ' + one.help + ' ' + \
                     one.nodes.map((node) => node.html + ' ' + node.failureSummary).slice(0, 3).join(' / ')).join('\\n')"
            ))
            .await;
        assert_eq!(found, "", "{what}:\n{}", found.as_str().unwrap());
        let sideways = self.run("return document.documentElement.scrollWidth").await;
        assert_eq!(sideways, width, "{what} scrolls sideways");
    }

    /// From now on the page looks as it does on paper.
    pub(crate) async fn on_paper(&self) {
        self.devtools("Emulation.setEmulatedMedia", json!({ "media": "print" })).await;
    }

    /// The whole page as a PNG.
    pub(crate) async fn screenshot(&self) -> Vec<u8> {
        let parameters = json!({ "format": "png", "captureBeyondViewport": true });
        let image = self.devtools("Page.captureScreenshot", parameters).await;
        BASE64.decode(image["data"].as_str().unwrap().as_bytes()).unwrap()
    }

    /// How many things on the page have this role for who listens to it.
    pub(crate) async fn count_role(&self, role: &str) -> usize {
        let tree = self.devtools("Accessibility.getFullAXTree", json!({})).await;
        let nodes = tree["nodes"].as_array().unwrap();
        let is_it = |node: &&Value| node["ignored"] == false && node["role"]["value"] == role;
        nodes.iter().filter(is_it).count()
    }

    /// What the page wrote to its console at the level of an error.
    pub(crate) async fn errors(&self) -> Vec<String> {
        let entries = self.post("/se/log", json!({ "type": "browser" })).await;
        let is_severe = |entry: &&Value| entry["level"] == "SEVERE";
        let entries = entries.as_array().unwrap();
        entries.iter().filter(is_severe).map(|entry| entry["message"].to_string()).collect()
    }
}

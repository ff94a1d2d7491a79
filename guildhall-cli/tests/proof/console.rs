//! What the console shows and hands out, through HTTP from the program itself.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;

use guildhall_proof::Signer as _;
use serde_json::Value;

use crate::common::{Folder, PATIENCE, Running};
use crate::databases::Audited;
use crate::evidence::artifacts;
use crate::sealing::{given_keys, log_key, sealed_to};

mod each {
    crate::on_both! {
        what_is_handed_out_is_what_the_commands_write_and_holds_elsewhere
        the_last_verification_and_audit_are_shown
        what_was_changed_is_not_handed_out
    }
}

/// The console of a database.
struct Serving {
    running: Running,
    address: String,
}

impl Serving {
    fn start(audited: &Audited, arguments: &[&str]) -> Self {
        let all = [&["serve", "127.0.0.1:0"], arguments].concat();
        let mut running = Running::start(audited.command(&all));
        let line = running.error_with("the console is at http://");
        let address = line.split_once("http://").unwrap().1.trim().trim_end_matches('/').to_owned();
        Self { running, address }
    }

    /// The status and the body.
    fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    fn ok(&self, path: &str) -> String {
        let (status, body) = self.get(path);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    fn stopped(self) {
        self.running.signal("-TERM");
        let (code, said) = self.running.ended();
        assert_eq!(code, Some(0), "{said}");
    }
}

fn what_is_handed_out_is_what_the_commands_write_and_holds_elsewhere(audited: &Audited) {
    given_keys(audited);
    sealed_to(audited, "seal", 1);
    let serving = Serving::start(audited, &["--keys", "keys"]);
    let (elsewhere, key) = (Folder::new(), log_key(1).key().to_string());
    for artifact in artifacts(audited) {
        let evidence = serving.ok(&format!("/artifacts/{artifact}/evidence.json"));
        assert_eq!(evidence, audited.succeed(&["evidence", &artifact]));
        std::fs::write(elsewhere.path("evidence.json"), evidence).unwrap();
        let report = elsewhere.json(&["check", "evidence.json", "--key", &key]);
        assert_eq!((&report["failure"], &report["size"]), (&Value::Null, &151.into()));
    }
    for position in ["1", "60", "151"] {
        let proof = serving.ok(&format!("/log/{position}/entry.tlog-proof"));
        assert_eq!(proof, audited.succeed(&["evidence", "--entry", position]));
        std::fs::write(elsewhere.path("it.tlog-proof"), proof).unwrap();
        elsewhere.succeed(&["check", "it.tlog-proof", "--key", &key]);
    }
    // The seal that is listed is one that an auditor can bring.
    let listed: Value = serde_json::from_str(&serving.ok("/api/v1/seals")).unwrap();
    let row = &listed["rows"][0];
    assert_eq!((&row["size"], &row["is_consistent"]), (&151.into(), &true.into()));
    assert_eq!(row["signers"][0], log_key(1).key().name().as_str());
    std::fs::write(audited.folder.path("listed"), row["seal"].as_str().unwrap()).unwrap();
    let report = audited.json(0, &["verify", "--keys", "keys", "--seal", "listed"]);
    assert_eq!(report["outside_up_to"], 151);
    serving.stopped();
}

fn the_last_verification_and_audit_are_shown(audited: &Audited) {
    given_keys(audited);
    sealed_to(audited, "seal", 1);
    audited.succeed(&["project"]);
    audited.tamper("UPDATE deployment_states SET health = 'drifted' WHERE health = 'healthy'");
    let serving = Serving::start(audited, &["--keys", "keys", "--audit-every", "3600"]);
    let began = Instant::now();
    let page = loop {
        let page = serving.ok("/proof");
        if !page.contains("under way") {
            break page;
        }
        assert!(began.elapsed() < PATIENCE, "{page}");
    };
    for said in
        ["The log is what was sealed", "The tables are not what the log says", "deployment_states"]
    {
        assert!(page.contains(said), "{said:?} is not in {page}");
    }
    serving.stopped();
    // Who does not ask says so.
    let serving = Serving::start(audited, &[]);
    let page = serving.ok("/proof");
    assert!(
        page.contains("This console does not ask it") && page.contains("guildhall audit"),
        "{page}"
    );
    serving.stopped();
}

fn what_was_changed_is_not_handed_out(audited: &Audited) {
    sealed_to(audited, "seal", 1);
    let artifact = artifacts(audited).remove(0);
    audited.tamper("UPDATE chronicle_streams SET version = version + 1");
    let serving = Serving::start(audited, &[]);
    let (status, said) = serving.get(&format!("/artifacts/{artifact}/evidence.json"));
    assert!(status == 500 && said.contains("make another index"), "{status}: {said}");
    audited.tamper(
        "UPDATE chronicle_entries SET leaf_hash =
             (SELECT other.leaf_hash FROM chronicle_entries other WHERE other.position = 9)
         WHERE position = 60",
    );
    for path in
        [format!("/artifacts/{artifact}/evidence.json"), "/log/60/entry.tlog-proof".to_owned()]
    {
        let (status, said) = serving.get(&path);
        assert!(status == 500 && said.contains("now they have the root"), "{status}: {said}");
    }
    let page = serving.ok("/proof");
    assert!(page.contains("not checked") && page.contains("now they have the root"), "{page}");
    serving.stopped();
}

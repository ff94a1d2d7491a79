//! TLS, SCRAM, and the password, which nothing shows.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;
mod server;

use std::fmt::Debug;
use std::io::{self, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use common::append_one;
use guildhall_core::{Chronicle, Position, ReadLimit};
use guildhall_store_postgres::{OpenError, PostgresOptions, PostgresStore};
use server::{Server, Settings, execute};
use tokio::time::timeout;

const PASSWORD: &str = "correct-horse-battery-staple";
const WRONG: &str = "incorrect-horse-battery-staple";

/// A server that lets only `app` in, over TLS and by SCRAM, and the files of its certificate and
/// of another, which says the same of itself.
struct Guarded {
    _server: Server,
    folder: tempfile::TempDir,
    port: u16,
}

impl Guarded {
    /// The one that the tests share. What makes it says the password, so that is not logged: each
    /// test begins with it.
    fn shared() -> &'static Self {
        static SHARED: OnceLock<Guarded> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["server", "other"] {
            let (key, certificate) = (format!("{name}.key"), format!("{name}.crt"));
            let made = Command::new("openssl")
                .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"])
                .args(["-subj", "/CN=guildhall test", "-keyout", &key, "-out", &certificate])
                .args(["-addext", "subjectAltName=IP:127.0.0.1"])
                .args(["-addext", "basicConstraints=critical,CA:FALSE"])
                .current_dir(folder.path())
                .output()
                .expect("the program openssl makes the certificate: install it");
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        }
        let read = |name| std::fs::read_to_string(folder.path().join(name)).unwrap();
        // Free now; nobody else asks for this very one.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Server::start(Settings {
            port: Some(port),
            files: vec![("server.crt", read("server.crt")), ("server.key", read("server.key"))],
            lines: vec!["ssl = on".to_owned(), "password_encryption = 'scram-sha-256'".to_owned()],
            access: vec!["hostssl ops app 127.0.0.1/32 scram-sha-256".to_owned()],
            ..Settings::default()
        });
        let admin = server.url("postgres");
        execute(&admin, &format!("CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'"));
        execute(&admin, "CREATE DATABASE ops OWNER app");
        Self { _server: server, folder, port }
    }

    fn url(&self, password: &str, mode: &str) -> String {
        let certificate = self.folder.path().join("server.crt");
        let certificate = certificate.to_str().unwrap().replace('/', "%2F");
        format!(
            "postgres://app:{password}@127.0.0.1:{}/ops?sslmode={mode}&sslrootcert={certificate}",
            self.port
        )
    }
}

/// Everything that is logged in this process.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The error, its causes and both of its faces.
fn faces(error: &(dyn std::error::Error + 'static)) -> String {
    let mut said = format!("{error:?}");
    let mut cause = Some(error);
    while let Some(error) = cause {
        said.push_str(&format!("\n{error}\n{error:#?}"));
        cause = error.source();
    }
    said
}

fn shown(it: &impl Debug) -> String {
    format!("{it:?}\n{it:#?}")
}

#[tokio::test]
async fn tls_and_scram_work_and_nothing_shows_the_password() {
    let guarded = Guarded::shared();
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .init();
    let mut said = String::new();

    for mode in ["require", "verify-ca", "verify-full"] {
        let options = PostgresOptions::at(guarded.url(PASSWORD, mode));
        said.push_str(&shown(&options));
        let store = PostgresStore::open_with(options).await.unwrap();
        append_one(&store.chronicle(), 1).await;
        store.chronicle().wait_beyond(Position::ZERO, Duration::MAX).await.unwrap();
        said.push_str(&shown(&store));
        said.push_str(&shown(&store.chronicle()));
    }
    // An embedder's pool logs its statements.
    let pool = sqlx::PgPool::connect(&guarded.url(PASSWORD, "verify-full")).await.unwrap();
    let store = PostgresStore::open_with(PostgresOptions::with_pool(pool)).await.unwrap();
    said.push_str(&shown(&store));
    assert_eq!(
        store.chronicle().read(Position::ZERO, ReadLimit::entries(9)).await.unwrap().len(),
        3
    );

    // The server's rule, the password, the certificate, the port, the database.
    let good = guarded.url(PASSWORD, "verify-full");
    let failing = [
        (guarded.url(PASSWORD, "disable"), false),
        (guarded.url(WRONG, "verify-full"), false),
        (good.replace("app:", "nobody:"), false),
        // A file that is missing looks like a socket of a server that is still to come.
        (good.replace("server.crt", "no.crt"), true),
        (good.replace("/ops?", "/none?"), false),
        (good.replace(&format!(":{}/", guarded.port), ":1/"), true),
    ];
    for (url, is_transient) in failing {
        let mut options = PostgresOptions::at(url);
        // What may pass is tried until then.
        let patience =
            if is_transient { Duration::from_millis(300) } else { Duration::from_secs(10) };
        options.acquire_timeout = patience;
        let error = PostgresStore::open_with(options).await.unwrap_err();
        said.push_str(&faces(&error));
        assert_eq!(error.is_transient(), is_transient, "{}", faces(&error));
    }
    for url in [
        good.replace("verify-full", "verify-fully"),
        good.replace(&format!("@127.0.0.1:{}", guarded.port), "@127.0.0.1:port"),
        good.replace("postgres://", "post gres://"),
        good.replace("staple@", "staple/@"),
        // The driver would log what it does not know.
        format!("{good}&sslpassword={PASSWORD}"),
        good.replace(&format!("app:{PASSWORD}@"), "app@") + &format!("&pasword={PASSWORD}"),
        good.replace("app:", "app:?"),
    ] {
        let error = PostgresStore::open(&url).await.unwrap_err();
        assert!(matches!(error, OpenError::BadUrl { .. }), "{error:?}");
        said.push_str(&faces(&error));
    }

    let logged = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(logged.contains("guildhall"), "something was logged");
    for (name, text) in [("an error or Debug", &said), ("the log", &logged)] {
        for password in [PASSWORD, WRONG] {
            let line = text.lines().find(|line| line.contains(password));
            assert_eq!(line, None, "{name} shows the password");
        }
    }
}

/// What PgBouncer, as Debian installs it, answers to a driver that asks for more digits.
#[tokio::test]
async fn a_pooler_that_refuses_what_the_driver_asks_for_is_not_asked_again() {
    let pooler = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = pooler.local_addr().unwrap();
    std::thread::spawn(move || {
        for client in pooler.incoming() {
            let fields = b"SFATAL\0C08P01\0Munsupported startup parameter: extra_float_digits\0\0";
            let length = u32::try_from(fields.len() + 4).unwrap().to_be_bytes();
            let mut client = client.unwrap();
            client.write_all(&[b"E", length.as_slice(), fields].concat()).unwrap();
        }
    });
    let options = PostgresOptions::at(format!("postgres://app@{address}/ops?sslmode=disable"));
    let error = PostgresStore::open_with(options).await.unwrap_err();
    assert!(!error.is_transient(), "{error:?}");
    assert!(faces(&error).contains("extra_float_digits"), "{error:?}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_waited_for_as_long_as_told() {
    // Connections wait in its queue, and nobody takes them.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut options =
        PostgresOptions::at(format!("postgres://app@{}/ops", silent.local_addr().unwrap()));
    options.acquire_timeout = Duration::from_secs(1);
    let begun = Instant::now();
    let opening = timeout(Duration::from_secs(30), PostgresStore::open_with(options));
    let error = opening.await.expect("an end").unwrap_err();
    let waited = begun.elapsed();
    assert!(error.is_transient(), "{error:?}");
    // The rest is for a busy machine; without an end, the system would try for two minutes.
    assert!((700..15_000).contains(&waited.as_millis()), "{waited:?}");
}

#[tokio::test]
async fn a_server_that_proves_nothing_is_refused_for_good() {
    let guarded = Guarded::shared();
    let of_other = |url: String| url.replace("server.crt", "other.crt");
    let of_host = |url: String| url.replace("@127.0.0.1:", "@localhost:");
    let url = |mode| guarded.url(PASSWORD, mode);
    // What is not to be proved is not asked for.
    for url in [of_other(url("require")), of_host(url("require")), of_host(url("verify-ca"))] {
        PostgresStore::open(url).await.unwrap();
    }
    for url in
        [of_other(url("verify-ca")), of_other(url("verify-full")), of_host(url("verify-full"))]
    {
        let error = PostgresStore::open(&url).await.unwrap_err();
        let said = faces(&error);
        assert!(said.contains("invalid peer certificate"), "{url}: {said}");
        assert!(!error.is_transient(), "{url}: {said}");
    }
}

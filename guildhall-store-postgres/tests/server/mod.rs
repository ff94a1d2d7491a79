//! A PostgreSQL server for tests: found, started, thrown away.
//!
//! `GUILDHALL_TEST_POSTGRES_URL` names a server whose user may create databases: tests that need no
//! more than a database take theirs there. Where it is not set, each test binary starts a cluster for
//! them, in a temporary folder, on a Unix socket that only its user can reach, from the newest server
//! programs that it finds. Tests that stop their server, or want it set up in some way, start one of
//! their own always.
//!
//! The server belongs to a shell that waits for the end of a pipe from the tests, so it is stopped and
//! its folder removed however the tests end, by a kill -9 too.
#![allow(dead_code, reason = "each test file uses some of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

pub(crate) mod disk;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::{env, fs};

// Of the store, so that whoever includes this need not depend on it.
use guildhall_store_postgres::sqlx::postgres::{PgConnectOptions, PgConnection};
use guildhall_store_postgres::sqlx::{self, AssertSqlSafe, Connection};

pub(crate) const URL_VARIABLE: &str = "GUILDHALL_TEST_POSTGRES_URL";

/// What a cluster is for.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Whether commits are synced to disk. Tests of what is promised in a crash of the server or
    /// of the machine want it, others are three times faster without.
    pub(crate) fsync: bool,
    /// Lines for `postgresql.conf`.
    pub(crate) lines: Vec<String>,
    /// Lines for `pg_hba.conf`, before the one that trusts the socket.
    pub(crate) access: Vec<String>,
    /// Files of the data folder, such as a certificate, that only the server can read.
    pub(crate) files: Vec<(&'static str, String)>,
    /// Also listens on this port of 127.0.0.1.
    pub(crate) port: Option<u16>,
    /// Where the cluster's folder is made, if not among the temporary ones.
    pub(crate) folder: Option<PathBuf>,
    /// Where its write-ahead log is, if not in there: an empty folder of the server's.
    pub(crate) wal: Option<PathBuf>,
}

impl Settings {
    /// Of a server that others replicate, physically or logically.
    pub(crate) fn for_standbys() -> Self {
        Self {
            lines: vec!["wal_level = logical".to_owned()],
            access: vec!["local replication all trust".to_owned()],
            ..Self::default()
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        let (lines, access, files) = (Vec::new(), Vec::new(), Vec::new());
        Self { fsync: false, lines, access, files, port: None, folder: None, wal: None }
    }
}

/// How a server is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Its clients are cut off and what is running is rolled back.
    Fast,
    /// At once, as in a crash; it recovers when it starts again.
    Immediate,
}

/// A cluster of the test's own, running. It is stopped and removed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    folder: PathBuf,
    programs: PathBuf,
    user: Option<&'static str>,
    port: u16,
    guard: Mutex<Option<(Child, ChildStdin)>>,
}

/// A database of the test's own, dropped with it.
#[derive(Debug)]
pub(crate) struct Database {
    url: String,
    admin_url: String,
    name: String,
}

impl Database {
    /// A fresh, empty database on the server that the tests of this binary share.
    pub(crate) fn create() -> Self {
        Self::create_on(Self::shared_url())
    }

    /// The same, whose texts are encoded in this way.
    pub(crate) fn create_in(encoding: &str) -> Self {
        let how = format!("ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'");
        Self::create_as(&how, Self::shared_url())
    }

    /// A fresh, empty database on the server at this URL.
    pub(crate) fn create_on(admin_url: &str) -> Self {
        Self::create_as("ENCODING 'UTF8'", admin_url)
    }

    fn shared_url() -> &'static str {
        static SHARED: OnceLock<(String, Option<Server>)> = OnceLock::new();
        let (admin_url, _) = SHARED.get_or_init(|| match env::var(URL_VARIABLE) {
            Ok(url) => (url, None),
            Err(_) => {
                let server = Server::start(Settings::default());
                (server.url("postgres"), Some(server))
            }
        });
        admin_url
    }

    fn create_as(how: &str, admin_url: &str) -> Self {
        Self::create_by(admin_url, |name| {
            execute(admin_url, &format!("CREATE DATABASE {name} TEMPLATE template0 {how}"));
        })
    }

    /// A database that holds what another one of the server at this URL holds. Whoever uses that
    /// one is cut off.
    pub(crate) fn copy_on(admin_url: &str, other: &str) -> Self {
        Self::create_by(admin_url, |name| {
            let cut_off = format!(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{other}'"
            );
            execute(admin_url, &cut_off);
            let copy = format!("CREATE DATABASE {name} TEMPLATE {other}");
            // PostgreSQL 14 knows no strategy; the newer ones write all of it to their log unless told.
            if try_execute(admin_url, &format!("{copy} STRATEGY file_copy")).is_err() {
                execute(admin_url, &copy);
            }
        })
    }

    fn create_by(admin_url: &str, create: impl FnOnce(&str)) -> Self {
        static CREATED: AtomicU32 = AtomicU32::new(0);
        let nth = CREATED.fetch_add(1, Ordering::Relaxed);
        let name = format!("guildhall_test_{}_{nth}", std::process::id());
        execute(admin_url, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        create(&name);
        let url = with_database(admin_url, &name);
        Self { url, admin_url: admin_url.to_owned(), name }
    }

    /// How to reach it.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// How to reach another database of the same server, from which this one can be dropped.
    pub(crate) fn admin_url(&self) -> &str {
        &self.admin_url
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        if try_execute(&self.admin_url, &drop).is_err() {
            // The server may be gone with everything that was on it.
            eprintln!("{} was not dropped", self.name);
        }
    }
}

/// The same URL with another database.
fn with_database(url: &str, database: &str) -> String {
    let (base, query) =
        url.split_once('?').map_or((url, None), |(base, query)| (base, Some(query)));
    let scheme = base.find("://").expect("a URL with a scheme") + 3;
    let authority = base[scheme..].find('/').map_or(base.len(), |at| scheme + at);
    let query = query.map_or(String::new(), |query| format!("?{query}"));
    format!("{}/{database}{query}", &base[..authority])
}

/// Runs one statement, on a thread and a runtime of its own, so that it may be called anywhere.
pub(crate) fn execute(url: &str, sql: &str) {
    try_execute(url, sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
}

fn try_execute(url: &str, sql: &str) -> Result<(), sqlx::Error> {
    let (url, sql) = (url.to_owned(), sql.to_owned());
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let options: PgConnectOptions = url.parse()?;
            let mut connection = PgConnection::connect_with(&options).await?;
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await?;
            connection.close().await
        })
    };
    std::thread::spawn(run).join().expect("no panic")
}

impl Server {
    /// Makes and starts a cluster.
    pub(crate) fn start(settings: Settings) -> Self {
        let programs = find_programs().unwrap_or_else(|| {
            panic!(
                "this test starts a PostgreSQL server: install the Debian package `postgresql` (no \
                 service has to run), or put `initdb` and `postgres` into PATH. ({URL_VARIABLE} names \
                 a server only for the tests that leave it running and as it is.)"
            )
        });
        let user = server_user();
        let folder = make_folder(settings.folder.as_deref(), user);
        let port = settings.port.unwrap_or(5432);
        let server = Self { folder, programs, user, port, guard: Mutex::new(None) };
        // Before anything that may fail, so that the folder does not stay.
        *server.guard.lock().unwrap() = Some(server.stand_guard());
        let data = server.data();
        run(server
            .program("initdb")
            .args(["--username=guildhall", "--auth=trust", "--encoding=UTF8", "--no-locale"])
            .args(["--no-sync", "--no-instructions"])
            .args(settings.wal.iter().map(|wal| format!("--waldir={}", wal.display())))
            .args(settings.wal.iter().map(|_| "--wal-segsize=1"))
            .arg("--pgdata")
            .arg(&data));
        server.configure(&settings);
        server.boot();
        server
    }

    /// Makes and starts a hot standby of this server, which must let replication in
    /// ([`Settings::for_standbys`]).
    pub(crate) fn start_standby(&self) -> Self {
        let folder = make_folder(None, self.user);
        let (programs, user) = (self.programs.clone(), self.user);
        let standby = Self { folder, programs, user, port: self.port, guard: Mutex::new(None) };
        *standby.guard.lock().unwrap() = Some(standby.stand_guard());
        run(standby
            .program("pg_basebackup")
            .args([
                "--username=guildhall",
                "--checkpoint=fast",
                "--no-sync",
                "--write-recovery-conf",
            ])
            .args(["--wal-method=stream", &format!("--port={}", self.port), "--host"])
            .arg(&self.folder)
            .arg("--pgdata")
            .arg(standby.data()));
        standby.configure(&Settings::for_standbys());
        standby.boot();
        standby
    }

    /// Changes a setting, at once.
    pub(crate) fn set(&self, name: &str, value: &str) {
        execute(&self.url("postgres"), &format!("ALTER SYSTEM SET {name} = '{value}'"));
        execute(&self.url("postgres"), "SELECT pg_reload_conf()");
    }

    /// How to reach a database of this cluster, as its superuser, through the socket.
    pub(crate) fn url(&self, database: &str) -> String {
        let mut host = String::new();
        for byte in self.folder.to_str().expect("a UTF-8 path").bytes() {
            match byte {
                b'/' | b'-' | b'_' | b'.' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                    host.push(char::from(byte));
                }
                _ => write!(host, "%{byte:02X}").unwrap(),
            }
        }
        format!("postgres:///{database}?host={host}&port={}&user=guildhall", self.port)
    }

    /// Starts a server that was stopped.
    pub(crate) fn boot(&self) {
        let log = self.folder.join("log");
        let mut start = self.program("pg_ctl");
        start.args(["start", "--wait", "--silent", "--timeout=60", "--pgdata"]).arg(self.data());
        // The server must not inherit the pipes of whoever runs the tests, who would wait for it.
        start
            .arg("--log")
            .arg(&log)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if !start.status().expect("pg_ctl").success() {
            panic!("the server does not start: {}", fs::read_to_string(log).unwrap_or_default());
        }
    }

    /// Stops the server; its folder stays.
    pub(crate) fn stop(&self, how: Stop) {
        let mode = match how {
            Stop::Fast => "--mode=fast",
            Stop::Immediate => "--mode=immediate",
        };
        let mut stop = self.program("pg_ctl");
        run(stop
            .args(["stop", "--wait", "--silent", "--timeout=60", mode, "--pgdata"])
            .arg(self.data()));
    }

    /// Starts the server again, whether it runs or went down on its own.
    pub(crate) fn revive(&self) {
        let mut stop = self.program("pg_ctl");
        stop.args(["stop", "--wait", "--silent", "--timeout=60", "--mode=immediate", "--pgdata"]);
        // One that does not run cannot be stopped.
        drop(stop.arg(self.data()).output().expect("pg_ctl"));
        self.boot();
    }

    /// Stops the server and starts it again.
    pub(crate) fn restart(&self, how: Stop) {
        self.stop(how);
        self.boot();
    }

    /// Runs a script with psql, as the user in the URL, and answers what it said: `Err` where it
    /// failed.
    pub(crate) fn psql(
        &self,
        url: &str,
        variables: &[(&str, &str)],
        script: &Path,
    ) -> Result<String, String> {
        let psql = self.programs.join("psql");
        assert!(psql.is_file(), "{} is missing: install postgresql-client", psql.display());
        let mut command = Command::new(psql);
        command.args(["--no-psqlrc", "--dbname", url, "--file"]).arg(script);
        command.args(variables.iter().map(|(name, value)| format!("--set={name}={value}")));
        let output = command.output().expect("psql");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        if output.status.success() { Ok(said) } else { Err(said) }
    }

    /// What makes the schema `guildhall` of the database at this URL, without a row but
    /// for the list of migrations.
    pub(crate) fn dump_schema(&self, url: &str) -> String {
        let dump = |arguments: &[&str]| {
            run(Command::new(self.programs.join("pg_dump")).args(arguments).arg(url))
        };
        let mut said = dump(&["--schema-only", "--schema=guildhall", "--no-publications"]);
        said += &dump(&["--data-only", "--inserts", "--table=guildhall.guildhall_migrations"]);
        // What is psql's own.
        said.lines().filter(|line| !line.starts_with('\\')).collect::<Vec<_>>().join("\n")
    }

    /// The cluster's folder: `data`, the socket, and `log`, what the server says.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the server said so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Adds lines to the settings; they hold from the next start on.
    fn configure(&self, settings: &Settings) {
        let mut lines = vec![
            format!("listen_addresses = '{}'", settings.port.map_or("", |_| "127.0.0.1")),
            format!("unix_socket_directories = '{}'", self.folder.display()),
            format!("port = {}", self.port),
            "max_connections = 400".to_owned(),
            "timezone = 'UTC'".to_owned(),
            "lc_messages = 'C'".to_owned(),
            format!("fsync = {}", if settings.fsync { "on" } else { "off" }),
        ];
        lines.extend(settings.lines.iter().cloned());
        let path = self.data().join("postgresql.conf");
        let before = fs::read_to_string(&path).unwrap();
        fs::write(path, format!("{before}\n{}\n", lines.join("\n"))).unwrap();
        // Whoever reaches the socket is trusted, and over TCP only whom the test lets in.
        let access = format!("{}\nlocal all all trust\n", settings.access.join("\n"));
        fs::write(self.data().join("pg_hba.conf"), access).unwrap();
        for (name, contents) in &settings.files {
            let path = self.data().join(name);
            fs::write(&path, contents).unwrap();
            run(Command::new("chmod").arg("600").arg(&path));
            if let Some(user) = self.user {
                run(Command::new("chown").arg(user).arg(&path));
            }
        }
    }

    /// The socket on which the server listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join(format!(".s.PGSQL.{}", self.port))
    }

    /// A program of PostgreSQL's, as the user whose cluster it is.
    fn program(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        let mut command = match self.user {
            Some(user) => {
                let mut command = Command::new("runuser");
                command.args(["-u", user, "--"]).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.current_dir(&self.folder);
        command
    }

    /// Starts the shell that cleans up once the pipe from this process ends. A process group of
    /// its own keeps it from a terminal's Ctrl-C.
    fn stand_guard(&self) -> (Child, ChildStdin) {
        use std::os::unix::process::CommandExt;
        const SCRIPT: &str = r#"
            trap '' INT HUP TERM QUIT
            cat > /dev/null
            if [ -f "$1/data/postmaster.pid" ]; then
                read -r server < "$1/data/postmaster.pid"
                kill -QUIT "$server" 2> /dev/null
                tries=0
                while [ -e "$1/data/postmaster.pid" ] && [ "$tries" -lt 100 ]; do
                    sleep 0.1
                    tries=$((tries + 1))
                done
            fi
            rm -rf "$1"
        "#;
        let mut shell = Command::new("sh");
        shell.args(["-c", SCRIPT, "sh"]).arg(&self.folder).current_dir("/").process_group(0);
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut guard = shell.spawn().expect("a shell");
        let pipe = guard.stdin.take().expect("its standard input");
        (guard, pipe)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some((mut guard, pipe)) = self.guard.lock().unwrap().take() {
            drop(pipe);
            guard.wait().expect("the guard ends");
        }
    }
}

/// The folder of the newest server programs.
fn find_programs() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let in_path = env::split_paths(&path).map(|folder| fs::canonicalize(folder.join("postgres")));
    let in_path = in_path.filter_map(|program| Some(program.ok()?.parent()?.to_owned()));
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let debian = debian.filter_map(|version| Some(version.ok()?.path().join("bin")));
    let is_complete = |folder: &PathBuf| {
        ["initdb", "pg_ctl", "postgres"].iter().all(|name| folder.join(name).is_file())
    };
    let version = |folder: &PathBuf| {
        let said = run(Command::new(folder.join("postgres")).arg("--version"));
        let number = said.split_whitespace().find_map(|word| {
            let digits: String = word.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<u32>().ok()
        });
        number.unwrap_or(0)
    };
    in_path.chain(debian).filter(is_complete).max_by_key(version)
}

/// A fresh folder that the user can enter, with a path short enough for a socket in it.
fn make_folder(within: Option<&Path>, user: Option<&str>) -> PathBuf {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let nth = MADE.fetch_add(1, Ordering::Relaxed);
    let name = format!("guildhall-pg-{}-{nth}", std::process::id());
    let temporary = env::temp_dir();
    // Root's own temporary folder may be closed to others, and a socket's path ends at 107 bytes.
    let is_fit = temporary.as_os_str().len() < 60
        && user.is_none_or(|user| {
            Command::new("runuser")
                .args(["-u", user, "--", "test", "-x"])
                .arg(&temporary)
                .status()
                .is_ok_and(|status| status.success())
        });
    let folder = within.unwrap_or(if is_fit { &temporary } else { Path::new("/tmp") }).join(name);
    fs::create_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    run(Command::new("chmod").arg("700").arg(&folder));
    if let Some(user) = user {
        run(Command::new("chown").arg(user).arg(&folder));
    }
    folder
}

/// Who runs the server, if not whoever runs the tests: initdb refuses to run as root.
fn server_user() -> Option<&'static str> {
    let is_root = run(Command::new("id").arg("-u")).trim() == "0";
    is_root.then(|| if exists_user("postgres") { "postgres" } else { "nobody" })
}

fn exists_user(name: &str) -> bool {
    Command::new("id").arg(name).output().is_ok_and(|output| output.status.success())
}

/// What a program says on its standard output.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

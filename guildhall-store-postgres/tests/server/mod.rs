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
#![allow(dead_code, unused_imports, reason = "each test file uses some of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod database;
pub(crate) mod disk;
mod programs;
mod settings;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;

pub(crate) use database::{Database, URL_VARIABLE, execute};
use programs::{find_programs, make_folder, run, server_user};
pub(crate) use settings::{Settings, Stop};

/// A cluster of the test's own, running. It is stopped and removed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    folder: PathBuf,
    programs: PathBuf,
    user: Option<&'static str>,
    port: u16,
    guard: Mutex<Option<(Child, ChildStdin)>>,
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
        standby.copy(self);
        standby
    }

    /// Throws away what this server held, and starts it as a hot standby of another. It must be down.
    pub(crate) fn start_over_as_standby_of(&self, primary: &Self) {
        fs::remove_dir_all(self.data()).unwrap();
        // Where nobody has taken in yet that the process ended, it counts as one that uses the socket.
        let lock = self.folder.join(format!(".s.PGSQL.{}.lock", self.port));
        match fs::remove_file(lock) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
            _ => {}
        }
        self.copy(primary);
    }

    fn copy(&self, primary: &Self) {
        run(self
            .program("pg_basebackup")
            .args([
                "--username=guildhall",
                "--checkpoint=fast",
                "--no-sync",
                "--write-recovery-conf",
            ])
            .args(["--wal-method=stream", &format!("--port={}", primary.port), "--host"])
            .arg(&primary.folder)
            .arg("--pgdata")
            .arg(self.data()));
        self.configure(&Settings::for_standbys());
        self.boot();
    }

    /// Has this standby follow another server from now on.
    pub(crate) fn follow(&self, primary: &Self) {
        let (folder, port) = (primary.folder.display(), primary.port);
        self.set("primary_conninfo", &format!("user=guildhall port={port} host={folder}"));
    }

    /// Kills the server, as if its machine went down: the first process is stopped until all the others are
    /// gone, or those would notice its end, and let others see commits that no standby has.
    pub(crate) fn kill(&self) {
        let file = fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        let first = file.lines().next().expect("its first line");
        let signal = |name: &str, pids: &[&str]| run(Command::new("kill").arg(name).args(pids));
        signal("-STOP", &[first]);
        let others = fs::read_to_string(format!("/proc/{first}/task/{first}/children")).unwrap();
        signal("-KILL", &others.split_whitespace().collect::<Vec<_>>());
        signal("-KILL", &[first]);
    }

    /// How to reach a database through the sockets of several servers, with more parameters.
    pub(crate) fn url_of(servers: &[&Self], database: &str, more: &str) -> String {
        let host = |server: &&Self| {
            let url = server.url(database);
            let (_, host) = url.split_once("host=").unwrap();
            host.split_once('&').unwrap().0.to_owned()
        };
        let hosts: Vec<_> = servers.iter().map(host).collect();
        let ports: Vec<_> = servers.iter().map(|server| server.port.to_string()).collect();
        let (hosts, ports) = (hosts.join(","), ports.join(","));
        format!("postgres:///{database}?host={hosts}&port={ports}&user=guildhall{more}")
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

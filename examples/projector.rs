//! The main job in one command: import a Chronicle, project it, show what an operator wants to see.
//!
//! `cargo run --example projector -- --help`

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Error, Result};
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser};
use guildhall::{Builder, Guild};
use guildhall_cli::address::Address;
use guildhall_cli::database::{self, BRIEF_LEASE, Location};
use guildhall_cli::ending::{Ending, conclude};
use guildhall_cli::input::Input;
use guildhall_cli::progress::{Progress, say};
use guildhall_cli::report::Report;
use guildhall_cli::steps;
use guildhall_cli::target::{Target, print};
use guildhall_core::event::TYPE_PREFIX;
use guildhall_core::text::escape_for_terminal;
use guildhall_core::{Append, Chronicle, OnViolation, Position, ReadLimit, Rebuild};
use guildhall_examples::story;
use guildhall_projector::{Runtime, Settings};
use guildhall_workload::{Mix, Workload};

const EXAMPLES: &str = "\
Without --chronicle and --generate, the bundled story of nine artifacts is imported, unless the
database holds another Chronicle already. An import appends only what is missing: a run that was
killed at any moment continues where it was when run again.

Examples:
  projector                                    the bundled story, in ./guildhall.db
  projector --chronicle log.jsonl --json       import a file, show the report as JSON
  projector --export - | head -3               the Chronicle as CloudEvents, one a line
  projector --database sqlite:big.db --generate 1000000
  projector --database postgres://me@localhost/ops
  projector --follow                           stay, and say what changes, until Ctrl-C
  projector --serve :7177                      stay, and show it in a browser

Exit codes: 0 done, 1 failed or interrupted (one message on standard error), 2 wrong usage.
Ctrl-C and SIGTERM end it well: what was done stays, and the file of the database stands alone.";

/// Imports a Chronicle, projects it into the Ops DB and shows what an operator wants to see.
#[derive(Parser)]
#[command(name = "projector", after_help = EXAMPLES)]
struct Args {
    /// Where the Chronicle and the Ops DB are; created if missing: sqlite:PATH or
    /// postgres://USER@HOST/DATABASE, there in the schema guildhall
    #[arg(long, value_name = "URL", default_value = "sqlite:guildhall.db")]
    database: String,

    /// Import this JSONL file first; - is standard input
    #[arg(long, value_name = "FILE|-", conflicts_with = "generate")]
    chronicle: Option<PathBuf>,

    /// Append N synthetic entries first, the same for the same N
    #[arg(long, value_name = "N")]
    generate: Option<u64>,

    /// Build the Ops DB anew from the Chronicle as it is and swap it in, before anything is appended
    #[arg(long)]
    rebuild: bool,

    /// Let --rebuild take the live tables' place although it differs from them: the log was edited or
    /// restored, and that is as it should be
    #[arg(long, requires = "rebuild")]
    accept_rewritten: bool,

    /// Stop before the first entry that breaks an invariant, rather than quarantine it
    #[arg(long)]
    halt_on_violation: bool,

    /// Write the Chronicle as JSONL afterwards; - is standard output, which then holds nothing else
    #[arg(long, value_name = "FILE|-")]
    export: Option<PathBuf>,

    /// Stay and show every batch of changes, until Ctrl-C or SIGTERM
    #[arg(long)]
    follow: bool,

    /// Stay as with --follow, and show the console at this loopback address, such as :7177
    #[arg(long, value_name = "ADDRESS")]
    serve: Option<Address>,

    /// Print the report as one line of JSON (with --follow, one more after every batch)
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Where the database is, or what is wrong with the argument. It may hold a password, so it is
    /// not for clap to show.
    fn location(&self) -> Result<Location, String> {
        self.database.parse().map_err(|reason| format!("--database: {reason}"))
    }

    /// What cannot be asked for at once.
    fn check(&self) -> Result<(), String> {
        let exports_to_stdout = self.export.as_deref().is_some_and(is_dash);
        if exports_to_stdout && (self.json || self.stays()) {
            return Err(
                "--export - needs standard output for itself: leave out --json, --follow and --serve"
                    .to_owned(),
            );
        }
        if self.serve.is_some_and(|address| !address.is_loopback()) {
            return Err("--serve takes an address of this machine alone, such as :7177".to_owned());
        }
        if self.serve.is_some() && cfg!(not(feature = "console")) {
            return Err(
                "--serve: this program was built without the console: cargo run --features console …"
                    .to_owned(),
            );
        }
        Ok(())
    }

    fn stays(&self) -> bool {
        self.follow || self.serve.is_some()
    }

    fn on_violation(&self) -> OnViolation {
        if self.halt_on_violation { OnViolation::Halt } else { OnViolation::Quarantine }
    }
}

fn is_dash(path: &Path) -> bool {
    path == Path::new("-")
}

fn main() -> ExitCode {
    let args = Args::parse();
    let location = match args.location().and_then(|at| args.check().map(|()| at)) {
        Ok(location) => location,
        Err(reason) => Args::command().error(ErrorKind::ValueValidation, reason).exit(),
    };
    trace_to_stderr();
    let outcome = tokio::runtime::Runtime::new().context("starting").and_then(|runtime| {
        let outcome = runtime.block_on(run(&args, &location));
        // A read of standard input that nobody waits for any more must not hold the process.
        runtime.shutdown_background();
        outcome
    });
    conclude(outcome)
}

/// Traces go to standard error where RUST_LOG asks for them.
fn trace_to_stderr() {
    if std::env::var_os("RUST_LOG").is_some() {
        #[cfg(not(feature = "log"))]
        say("RUST_LOG: this program was built without traces: cargo run --features log …");
        #[cfg(feature = "log")]
        tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_writer(std::io::stderr)
            .init();
    }
}

/// The name of a generated Chronicle.
const GENERATED_ORIGIN: &str = "guildhall/generated";

/// What it is generated from: the same for the same N, and a smaller N is its beginning.
const GENERATED_SEED: u64 = 2026;

/// How many generated entries are appended at once.
const GENERATED_BATCH: usize = 4096;

/// What the arguments name beside the database, found before the database is touched.
struct Named {
    input: Option<Input>,
    export: Option<Target>,
}

impl Named {
    async fn find(args: &Args) -> Result<Self> {
        let input = match &args.chronicle {
            Some(path) => Some(Input::named(path).await?),
            None => None,
        };
        let export = args.export.as_deref().map(Target::named).transpose()?;
        if let Some(address) = args.serve {
            address.check_is_free()?;
        }
        Ok(Self { input, export })
    }
}

async fn run(args: &Args, location: &Location) -> Result<()> {
    let mut ending = Ending::listen()?;
    let named = ending.or_ends(Named::find(args)).await?;
    let set_up = |guild: Builder| {
        let guild = guild.on_violation(args.on_violation());
        // A lease is written anew in a third of its time, also where nothing else is.
        if args.stays() { guild } else { guild.lease_time(BRIEF_LEASE) }
    };
    let opening = async { Ok(database::open(location, set_up).await?) };
    let guild = ending.or_ends(opening).await?;
    let outcome = work(args, location, named, &guild, &mut ending).await;
    ending.closed(database::close(&guild), outcome).await
}

async fn work(
    args: &Args,
    location: &Location,
    named: Named,
    guild: &Guild,
    ending: &mut Ending,
) -> Result<()> {
    let projector = guild.projector();
    let done = async {
        let chronicle = guild.chronicle();
        // A log that was cut takes no entry before the tables agree with it again.
        if args.rebuild {
            project(args, Way::Rebuild, &chronicle, &projector).await?;
        }
        fill(args, named.input, &*chronicle).await?;
        project(args, Way::CatchUp, &chronicle, &projector).await?;
        if let Some(target) = &named.export {
            let head = chronicle.head().await?.position.get();
            let progress = Progress::start("exporting", Some(head));
            steps::export(&*chronicle, target, progress).await?;
        }
        if named.export.as_ref().is_some_and(Target::is_stdout) {
            return Ok(());
        }
        show(args, guild, location).await
    };
    ending.or_ends(done).await?;
    if args.stays() { follow(args, guild, location, projector, ending).await } else { Ok(()) }
}

/// Brings in what the arguments ask for.
async fn fill(args: &Args, input: Option<Input>, chronicle: &dyn Chronicle) -> Result<()> {
    match (input, args.generate) {
        (Some(input), _) => {
            let importing = format!("importing {}", input.name());
            let progress = Progress::start("importing", None);
            let imported = steps::import(chronicle, input.into_reader(), progress).await;
            imported.map(drop).context(importing)
        }
        (None, Some(entries)) => generate(chronicle, entries).await.context("generating"),
        (None, None) => {
            let origin = chronicle.origin().await?;
            if origin.is_some_and(|origin| origin.as_str() != story::ORIGIN) {
                return Ok(());
            }
            let lines = u64::try_from(story::JSONL.lines().count()).ok();
            let progress = Progress::start("importing", lines);
            let imported = steps::import(chronicle, story::JSONL.as_bytes(), progress).await;
            imported.map(drop).context("importing the story")
        }
    }
}

/// Appends in batches; what is there already is answered, not appended again.
async fn generate(chronicle: &dyn Chronicle, wanted: u64) -> Result<()> {
    chronicle.fix_origin(GENERATED_ORIGIN.parse()?).await?;
    let mut progress = Progress::start("generating", Some(wanted));
    let mut entries = Workload::new(GENERATED_SEED, Mix::CUSTODY);
    let (mut done, mut appended) = (0, 0);
    while done < wanted {
        let batch = usize::try_from(wanted - done).unwrap_or(usize::MAX).min(GENERATED_BATCH);
        let answers = chronicle.append(Append::of(entries.by_ref().take(batch))).await?;
        if answers.is_empty() {
            break;
        }
        done += answers.len() as u64;
        appended += answers.iter().filter(|answer| !answer.was_recorded).count();
        progress.set(done);
    }
    progress.finish(&format!("generated {done} entries, {appended} of them new"));
    Ok(())
}

/// How the tables come to hold what the Chronicle says.
#[derive(Clone, Copy)]
enum Way {
    Rebuild,
    CatchUp,
}

async fn project(
    args: &Args,
    way: Way,
    chronicle: &Arc<dyn Chronicle>,
    projector: &Arc<dyn Rebuild>,
) -> Result<()> {
    let head = chronicle.head().await?.position.get();
    // Whoever waits at a terminal wants to hear of it, not wait for ever.
    let accept_rewritten = args.accept_rewritten;
    let settings = Settings::default().retries(8).accept_rewritten(accept_rewritten);
    let progress = Progress::start("projecting", Some(head));
    let chronicle = Arc::clone(chronicle);
    match way {
        Way::Rebuild => {
            let rebuilt = steps::rebuild(chronicle, &**projector, &settings, progress).await;
            rebuilt.map(drop).context("rebuilding")
        }
        Way::CatchUp => {
            let projector = Arc::clone(projector);
            let caught_up = steps::catch_up(chronicle, projector, &settings, progress).await;
            caught_up.map(drop).context("projecting")
        }
    }
}

/// Projects what is appended, by this process or another, until it is to end.
async fn follow(
    args: &Args,
    guild: &Guild,
    location: &Location,
    projector: Arc<dyn Rebuild>,
    ending: &mut Ending,
) -> Result<()> {
    if !args.json {
        print("\nfollowing; Ctrl-C ends it\n")?;
    }
    let chronicle = guild.chronicle();
    let mut shown = projector.checkpoint().await?.position;
    let runtime = Runtime::spawn(Arc::clone(&chronicle), projector, Settings::default());
    #[cfg(feature = "console")]
    let shown_console = match args.serve {
        Some(address) => Some(ShownConsole::at(address, guild, &runtime).await?),
        None => None,
    };
    let mut status = runtime.watch_status();
    let outcome = loop {
        let moved = status.wait_for(|status| status.position > shown || status.state.is_final());
        let position = tokio::select! {
            () = ending.asked() => break Ok(()),
            // Its last status says why it stopped, and is there before nobody writes another.
            moved = moved => match moved {
                Ok(status) if status.position > shown => status.position,
                Ok(_) | Err(_) => break runtime.stopped().await.map_err(Error::from),
            },
        };
        let told = if args.json {
            show(args, guild, location).await
        } else {
            changes(&*chronicle, shown, position).await.and_then(|line| Ok(print(&line)?))
        };
        if told.is_err() {
            break told;
        }
        shown = position;
    };
    #[cfg(feature = "console")]
    if let Some(console) = shown_console {
        console.end().await;
    }
    // What it failed with, it is said with once.
    let ended = runtime.shutdown().await;
    outcome.and(ended.map_err(Error::from))
}

/// The console beside the projector.
#[cfg(feature = "console")]
struct ShownConsole {
    served: guildhall_console::Served,
    orchestrator: guildhall_projector::ceremony::CeremonyOrchestrator,
    stop: tokio::sync::oneshot::Sender<()>,
}

#[cfg(feature = "console")]
impl ShownConsole {
    async fn at(address: Address, guild: &Guild, runtime: &Runtime) -> Result<Self> {
        use guildhall_console::{Console, serve};
        use guildhall_projector::ceremony::CeremonyOrchestrator;

        let ops_db = guild.ops_db();
        let orchestrator = CeremonyOrchestrator::new(guild.chronicle(), Arc::clone(&ops_db))
            .woken_by(Arc::new(runtime.clone()))
            .start();
        let console = Console::new(ops_db, orchestrator.clone()).projector(runtime);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let stopped = async {
            // Dropped says the same.
            let _ = stopped.await;
        };
        let served = serve(console, address.socket(), stopped).await;
        let served = served.context("serving the console")?;
        say(&format!("the console is at http://{}/", served.address()));
        Ok(Self { served, orchestrator, stop })
    }

    async fn end(self) {
        let Self { served, orchestrator, stop } = self;
        drop(stop);
        served.finished().await;
        orchestrator.shutdown().await;
    }
}

/// What the entries after one position and up to another were, on one line.
async fn changes(chronicle: &dyn Chronicle, after: Position, to: Position) -> Result<String> {
    let count = to.get() - after.get();
    let newest = chronicle.read(to.previous(), ReadLimit::entries(1)).await?;
    let newest = newest.first().map_or("", |entry| entry.event_type.as_str());
    let newest = escape_for_terminal(newest.strip_prefix(TYPE_PREFIX).unwrap_or(newest));
    Ok(format!("position {to}: {count} new, the last {newest}\n"))
}

async fn show(args: &Args, guild: &Guild, location: &Location) -> Result<()> {
    let report = Report::load(&*guild.chronicle(), &*guild.ops_db()).await?;
    if args.json {
        print(&(report.to_json()? + "\n"))?;
    } else {
        print(&report.to_text())?;
        if !args.stays() {
            print(&what_to_try(location))?;
        }
    }
    Ok(())
}

fn what_to_try(location: &Location) -> String {
    let (cargo, database, tables) = match location.path() {
        Some(path) => ("", "", format!("sqlite3 {}", path.display())),
        None => (
            "--features postgres ",
            "--database … ",
            "PGOPTIONS='-c search_path=guildhall' psql …".to_owned(),
        ),
    };
    let mut text = "\nWhat to try next\n".to_owned();
    for (options, what) in [
        ("", "again: it is up to date"),
        ("--json", "the same, for programs"),
        ("--export - | head", "the Chronicle itself"),
        ("--follow", "watch it; append from another shell"),
    ] {
        let options = format!("{database}{options}");
        let dashes = if options.is_empty() { "" } else { " -- " };
        let command = format!("cargo run {cargo}--example projector{dashes}{options}");
        text += &format!("  {command:<51}  {what}\n");
    }
    text + &format!("  echo 'SELECT name, custody_state FROM governed_artifacts' | {tables}\n")
}

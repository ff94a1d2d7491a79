//! A sealer that is killed (SIGKILL) at random moments, again and again: it goes on, and what it told is
//! never contradicted.

use std::collections::BTreeMap;
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use guildhall_core::{AccordBound, Append, Json, NewEntry, Position, TreeHash};
use guildhall_proof::{LogKeys, SignedSeal, VerifierKey};

use crate::common::PATIENCE;
use crate::databases::Audited;
use crate::sealing::ORIGIN;

mod each {
    crate::on_both! {
        wherever_a_sealer_is_killed_it_goes_on_and_contradicts_nothing
    }
}

const SEAL: [&str; 5] = ["seal", "--key", "log.key", "--folder", "public"];

/// A small generator: SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// What somebody else has seen of the log's seals: of each size one root, for ever.
struct Seen {
    keys: LogKeys,
    seals: BTreeMap<u64, (TreeHash, String)>,
}

impl Seen {
    fn take(&mut self, text: &str) -> u64 {
        let signed = SignedSeal::parse(text).unwrap();
        self.keys.verify(&signed).unwrap();
        let (size, root) = (signed.seal().size, signed.seal().root);
        let (before, _) = self.seals.entry(size).or_insert_with(|| (root, text.to_owned()));
        assert_eq!(*before, root, "two seals of {size} entries");
        size
    }
}

fn wherever_a_sealer_is_killed_it_goes_on_and_contradicts_nothing(audited: &Audited) {
    let seed = std::env::var("GUILDHALL_SEED").ok().and_then(|seed| seed.parse().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = seed.unwrap_or(now.subsec_nanos().into());
    println!("GUILDHALL_SEED={seed}");
    let mut random = Random(seed);
    audited.succeed(&["key", "new", ORIGIN, "--out", "log.key"]);
    let key: VerifierKey = audited.succeed(&["key", "show", "log.key"]).trim().parse().unwrap();
    let keys = LogKeys::single(ORIGIN.parse().unwrap(), key.clone()).unwrap();
    let mut seen = Seen { keys, seals: BTreeMap::new() };
    // How long it takes where nobody kills it, all in all.
    let began = Instant::now();
    audited.succeed(&SEAL);
    let whole = u64::try_from(began.elapsed().as_micros()).unwrap().min(2_000_000);

    // On a server, a killed sealer's lease has to lapse before the next begins.
    let rounds = if audited.is_postgres() { 8 } else { 20 };
    let (mut told, mut sealed) = (0, 0);
    for round in 0..rounds {
        append(audited, round);
        // More than once in a row, so that what one left behind meets the next as it is.
        for _ in 0..=random.below(3) {
            let mut sealer = audited.command(&SEAL).spawn().unwrap();
            // Half of them are given time to wait for the lease of the one before.
            let lease = 500_000 * random.below(2);
            sleep(Duration::from_micros(lease + random.below(whole + whole / 4)));
            sealer.kill().unwrap();
            sealer.wait().unwrap();
            let checkpoint = fs::read_to_string(audited.folder.path("public/checkpoint")).unwrap();
            let size = seen.take(&checkpoint);
            assert!(size >= told, "the folder went back from {told} to {size}");
            told = size;
        }
        let kept = stored(audited);
        let last = kept.last().map(|seal| seen.take(seal)).unwrap();
        for seal in &kept {
            seen.take(seal);
        }
        assert!(last >= sealed, "the log's seals went back from {sealed} to {last}");
        assert!(last >= told, "{told} entries were told before they were kept");
        sealed = last;
    }
    println!("{} seals in {rounds} rounds", seen.seals.len());

    // It goes on: nobody killed this one.
    append(audited, rounds);
    let began = Instant::now();
    while !audited.run(&SEAL).status.success() {
        assert!(began.elapsed() < PATIENCE, "no seal after {seen:?}", seen = seen.seals.keys());
    }
    let last = fs::read_to_string(audited.folder.path("public/checkpoint")).unwrap();
    assert!(seen.take(&last) > sealed);
    for seal in stored(audited) {
        seen.take(&seal);
    }
    // Whatever was told is what the log still holds, from each to the next.
    let key = key.to_string();
    let mut verify = vec!["verify", "--key", &key];
    let names: Vec<_> = seen.seals.keys().map(|size| format!("seal-{size}")).collect();
    for (name, (_, text)) in names.iter().zip(seen.seals.values()) {
        fs::write(audited.folder.path(name), text).unwrap();
        verify.extend(["--seal", name]);
    }
    let report = audited.json(0, &verify);
    assert_eq!((&report["verdict"], &report["wrong"]), (&"holds".into(), &0.into()), "{report}");
    assert_eq!(report["outside"], names.len());
}

/// Something new to seal.
fn append(audited: &Audited, nth: u64) {
    audited.with_log(async |log| {
        let terms = Json::parse("{}").unwrap();
        let at = "2026-11-30T10:00:00Z".parse().unwrap();
        let accord = AccordBound::new(format!("accord {nth}"), "ada", terms, at);
        log.append(Append::of([NewEntry::new(&accord.into())])).await.unwrap();
    });
}

/// The notes of all seals that the log keeps.
fn stored(audited: &Audited) -> Vec<String> {
    audited.with_log(async |log| {
        let seals = log.seals(Position::ZERO, 1_000).await.unwrap();
        seals.into_iter().map(|seal| seal.note).collect()
    })
}

//! What is kept beside the log, and who signed: what can be wrong with it, and what finds that.

use guildhall_core::StoredCosignature;
use guildhall_proof::{Signer, cosign};

use crate::databases::{Audited, block_on};
use crate::guide::Row;
use crate::sealing::{ORIGIN, given_keys, log_key, sealed_to, witness_key};

pub(crate) const HELD: &[&str] = &[
    "A tile is changed",
    "A seal is changed",
    "A record of a stream is changed",
    "A record of a stream is removed",
    "A seal is signed by another key",
    "A seal is signed by a key that was revoked",
    "Too few witnesses cosigned",
    "A witness signed something else",
];

mod each {
    crate::on_both! {
        a_changed_tile_is_found
        a_changed_seal_is_found
        a_changed_record_of_a_stream_is_found
        a_removed_record_of_a_stream_is_found
        another_signer_is_found
        a_revoked_signer_is_found
        a_missing_witness_is_found
        a_witness_that_signed_something_else_is_found
        what_is_no_key_no_seal_and_no_policy_is_wrong_usage
    }
}

fn seal(audited: &Audited) {
    given_keys(audited);
    sealed_to(audited, "seal", 1);
}

/// A log of so few entries has no full tile, so that none can be right.
fn a_changed_tile_is_found(audited: &Audited) {
    seal(audited);
    let hashes = "00".repeat(8192);
    audited.tamper(&format!("INSERT INTO chronicle_tiles VALUES (1, 0, {{hash:{hashes}}})"));
    Row::of("A tile is changed").is_found_in(audited);
}

fn a_changed_seal_is_found(audited: &Audited) {
    seal(audited);
    let hash = "00".repeat(32);
    audited.tamper(&format!("UPDATE chronicle_seals SET root = {{hash:{hash}}}"));
    Row::of("A seal is changed").is_found_in(audited);
}

fn a_changed_record_of_a_stream_is_found(audited: &Audited) {
    seal(audited);
    audited.tamper(
        "UPDATE chronicle_streams SET version = 1 \
         WHERE version = (SELECT max(version) FROM chronicle_streams)",
    );
    Row::of("A record of a stream is changed").is_found_in(audited);
}

fn a_removed_record_of_a_stream_is_found(audited: &Audited) {
    seal(audited);
    audited.tamper(
        "DELETE FROM chronicle_streams WHERE bucket = (SELECT min(bucket) FROM chronicle_streams)",
    );
    Row::of("A record of a stream is removed").is_found_in(audited);
}

fn another_signer_is_found(audited: &Audited) {
    given_keys(audited);
    sealed_to(audited, "seal", 2);
    Row::of("A seal is signed by another key").is_found_in(audited);
}

/// The first key held for the first seal, and the second holds from then on.
fn a_revoked_signer_is_found(audited: &Audited) {
    let (first, second) = (log_key(1), log_key(2));
    let keys = format!(
        "guildhall.keys.v1\norigin {ORIGIN}\nkey {} 0 152\nkey {} 152\n",
        first.key(),
        second.key()
    );
    std::fs::write(audited.folder.path("keys"), keys).unwrap();
    sealed_to(audited, "first", 1);
    sealed_to(audited, "second", 2);
    let report = audited.json(0, &["verify", "--keys", "keys"]);
    assert_eq!(report["signers"], serde_json::json!([ORIGIN]), "{report}");
    sealed_to(audited, "third", 1);
    Row::of("A seal is signed by a key that was revoked").is_found_in(audited);
}

/// A policy of two witnesses, one of which has to have cosigned, beside the log's key.
fn given_policy(audited: &Audited) {
    let policy = format!(
        "log {}\nwitness w11 {}\nwitness w12 {}\ngroup any 1 w11 w12\nquorum any\n",
        log_key(1).key(),
        witness_key(11).key(),
        witness_key(12).key()
    );
    std::fs::write(audited.folder.path("policy"), policy).unwrap();
}

/// Stores what a witness said of one seal as if it had said it of the last.
fn cosigned(audited: &Audited, of: &guildhall_proof::SignedSeal, seed: u8) {
    let line = block_on(cosign(of, &witness_key(seed), 1_800_000_000)).unwrap();
    audited.with_log(async |log| {
        let size = log.last_seal().await.unwrap().unwrap().size;
        let key_name = witness_key(seed).key().name().to_string();
        let line = line.to_string().trim_end().to_owned();
        assert!(log.save_cosignature(StoredCosignature { size, key_name, line }).await.unwrap());
    });
}

fn a_missing_witness_is_found(audited: &Audited) {
    given_policy(audited);
    let sealed = sealed_to(audited, "seal", 1);
    Row::of("Too few witnesses cosigned").is_found_in(audited);
    cosigned(audited, &sealed, 12);
    let report = audited.json(0, &["verify", "--policy", "policy"]);
    assert_eq!(report["witnesses"], serde_json::json!(["witness.example/w12"]), "{report}");
    assert_eq!(report["cosigned"], 1, "{report}");
    // Of the seals before the last it is said.
    let last = sealed_to(audited, "last", 1);
    cosigned(audited, &last, 12);
    let report = audited.json(0, &["verify", "--policy", "policy"]);
    assert_eq!(report["cosigned"], 2, "{report}");
    let first = sealed_to(audited, "first", 1);
    audited.ends_with(1, &["verify", "--policy", "policy"]);
    let last = sealed_to(audited, "last", 1);
    cosigned(audited, &last, 12);
    let report = audited.json(0, &["verify", "--policy", "policy"]);
    let uncosigned = report["unknown"].as_array().unwrap().last().unwrap();
    assert_eq!(uncosigned["unknown"], "uncosigned", "{report}");
    assert_eq!(uncosigned["sizes"], serde_json::json!([first.seal().size]), "{report}");
    assert_eq!(uncosigned["cosigned_up_to"], last.seal().size, "{report}");
    // The seal from outside has to have been cosigned itself.
    audited.ends_with(1, &["verify", "--policy", "policy", "--seal", "seal"]);
}

fn a_witness_that_signed_something_else_is_found(audited: &Audited) {
    given_policy(audited);
    let first = sealed_to(audited, "first", 1);
    sealed_to(audited, "seal", 1);
    cosigned(audited, &first, 11);
    Row::of("A witness signed something else").is_found_in(audited);
}

fn what_is_no_key_no_seal_and_no_policy_is_wrong_usage(audited: &Audited) {
    seal(audited);
    let (key, path) = (log_key(1).key().to_string(), audited.folder.path("twice"));
    let twice = format!("guildhall.keys.v1\norigin {ORIGIN}\nkey {key} 0\nkey {key} 0\n");
    std::fs::write(path, twice).unwrap();
    for (arguments, said) in [
        (["--keys", "twice"], "are one and the same"),
        (["--keys", "missing"], "missing: "),
        (["--key", "nonsense"], "--key: "),
        (["--policy", "keys"], "keys: line 1: "),
        (["--seal", "keys"], "keys: "),
    ] {
        let printed = audited.ends_with(2, &[&["verify"][..], &arguments].concat());
        assert!(printed.contains(said), "{arguments:?}: {printed}");
    }
}

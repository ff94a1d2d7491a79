//! Verifying a log: what its owner can do to it, and what finds that.

use guildhall_core::{Position, ReadLimit};
use guildhall_proof::Signer as _;
use serde_json::Value;

use crate::databases::Audited;
use crate::guide::Row;
use crate::sealing::{given_keys, log_key, sealed_to};

pub(crate) const HELD: &[&str] = &[
    "A payload is edited",
    "A time is edited",
    "An entry is deleted from the middle",
    "An entry is inserted into the middle",
    "Two entries are swapped",
    "The end of the log is cut off",
    "An older backup is restored",
    "A payload and its leaf hash are replaced together",
    "The whole log is rewritten with new hashes, and sealed again by who holds the key",
    "A fork is sealed twice",
    "An entry is replayed on another artifact",
    "An entry of another log is put in",
    "The origin is changed",
];

mod each {
    crate::on_both! {
        a_sealed_log_holds
        nothing_holds_without_an_entry_a_seal_or_a_key
        an_edited_payload_is_found
        an_edited_time_is_found
        a_deleted_entry_is_found
        an_inserted_entry_is_found
        swapped_entries_are_found
        a_cut_off_end_is_found
        an_older_backup_is_found
        a_payload_replaced_with_its_leaf_hash_is_found
        a_log_rewritten_whole_is_found_from_outside_alone
        a_fork_is_found
        a_replayed_entry_is_found
        an_entry_of_another_log_is_found
        a_changed_origin_is_found
    }
}

/// Sealed, with the key beside it.
fn seal(audited: &Audited) {
    given_keys(audited);
    sealed_to(audited, "seal", 1);
}

fn a_sealed_log_holds(audited: &Audited) {
    seal(audited);
    let report = audited.json(0, &["verify", "--keys", "keys"]);
    assert_eq!(report["verdict"], "holds", "{report}");
    assert_eq!((&report["entries"], &report["sealed_up_to"]), (&151.into(), &151.into()));
    assert_eq!((&report["indexes"], &report["seals"]), (&1.into(), &1.into()));
    assert_eq!(report["unknown"][0]["unknown"], "nothing_from_outside", "{report}");
    let text = audited.succeed(&["verify", "--keys", "keys"]);
    assert!(text.starts_with("the log is what was sealed\n"), "{text}");
    assert!(text.contains("only a seal that was kept elsewhere shows that"), "{text}");

    let key = log_key(1).key().to_string();
    let report = audited.json(0, &["verify", "--key", &key, "--seal", "seal"]);
    assert_eq!(report["outside_up_to"], 151, "{report}");
    // It goes on, and is sealed again.
    sealed_to(audited, "later", 1);
    for outside in ["seal", "later"] {
        let report = audited.json(0, &["verify", "--key", &key, "--seal", outside]);
        assert_eq!((&report["seals"], &report["sealed_up_to"]), (&2.into(), &152.into()));
    }
    if !audited.is_postgres() {
        assert_eq!(audited.folder.names(), ["guildhall.db", "keys", "later", "seal"]);
    }
}

/// What cannot be told is no success, and is no accusation either.
fn nothing_holds_without_an_entry_a_seal_or_a_key(audited: &Audited) {
    let unknown = |report: &Value| report["unknown"][0]["unknown"].clone();
    let never_sealed = audited.json(3, &["verify"]);
    assert_eq!(unknown(&never_sealed), "never_sealed", "{never_sealed}");
    seal(audited);
    assert_eq!(unknown(&audited.json(3, &["verify"])), "unsigned");
    audited.tamper(
        "DELETE FROM chronicle_seals; DELETE FROM chronicle_streams; DELETE FROM chronicle_entries",
    );
    assert_eq!(unknown(&audited.json(3, &["verify", "--keys", "keys"])), "empty");
    // Somebody who has a seal knows better.
    audited.ends_with(1, &["verify", "--keys", "keys", "--seal", "seal"]);
}

fn an_edited_payload_is_found(audited: &Audited) {
    seal(audited);
    audited.tamper("UPDATE chronicle_entries SET payload = '{}' WHERE position = 60");
    Row::of("A payload is edited").is_found_in(audited);
    assert_eq!(audited.json(1, &["verify", "--keys", "keys"])["wrong"], 1);
}

fn an_edited_time_is_found(audited: &Audited) {
    seal(audited);
    audited.tamper(
        "UPDATE chronicle_entries SET recorded_at = \
         (SELECT recorded_at FROM chronicle_entries WHERE position = 1) WHERE position = 60",
    );
    Row::of("A time is edited").is_found_in(audited);
}

fn a_deleted_entry_is_found(audited: &Audited) {
    seal(audited);
    audited.tamper("DELETE FROM chronicle_entries WHERE position = 60");
    Row::of("An entry is deleted from the middle").is_found_in(audited);
    // The tables have what it made, and the log cannot be folded.
    let said = audited.ends_with(1, &["audit"]);
    assert!(said.contains("no entry stands at position 60"), "{said}");
}

fn an_inserted_entry_is_found(audited: &Audited) {
    seal(audited);
    audited.tamper(
        "UPDATE chronicle_entries SET position = position + 1000000 WHERE position >= 60;
         UPDATE chronicle_entries SET position = position - 999999 WHERE position > 1000000;
         INSERT INTO chronicle_entries SELECT 60, {uuid:9}, {uuid:8}, 1, event_type, payload, metadata,
             recorded_at, leaf_hash FROM chronicle_entries WHERE position = 59",
    );
    Row::of("An entry is inserted into the middle").is_found_in(audited);
}

fn swapped_entries_are_found(audited: &Audited) {
    seal(audited);
    audited.tamper(
        "UPDATE chronicle_entries SET position = 1000000 WHERE position = 60;
         UPDATE chronicle_entries SET position = 60 WHERE position = 61;
         UPDATE chronicle_entries SET position = 61 WHERE position = 1000000",
    );
    Row::of("Two entries are swapped").is_found_in(audited);
}

/// The head that PostgreSQL keeps in a row goes back with it.
fn cut_off(audited: &Audited, head: u64) {
    audited.tamper(&format!("DELETE FROM chronicle_entries WHERE position > {head}"));
    if audited.is_postgres() {
        audited.tamper(&format!("UPDATE chronicle_head SET position = {head}"));
    }
}

fn a_cut_off_end_is_found(audited: &Audited) {
    seal(audited);
    cut_off(audited, 140);
    Row::of("The end of the log is cut off").is_found_in(audited);
}

/// Everything as it was after the first of two seals.
fn an_older_backup_is_found(audited: &Audited) {
    given_keys(audited);
    sealed_to(audited, "older", 1);
    let backup = audited.folder.path("backup.db");
    if !audited.is_postgres() {
        std::fs::copy(audited.folder.path("guildhall.db"), &backup).unwrap();
    }
    sealed_to(audited, "seal", 1);
    if audited.is_postgres() {
        cut_off(audited, 151);
        audited.tamper("DELETE FROM chronicle_seals WHERE size > 151");
        audited.tamper(
            "DELETE FROM chronicle_streams WHERE leaf_hash NOT IN \
            (SELECT leaf_hash FROM chronicle_entries WHERE position < 151)",
        );
    } else {
        std::fs::copy(&backup, audited.folder.path("guildhall.db")).unwrap();
    }
    // It is in order, as far as it goes.
    audited.succeed(&["verify", "--keys", "keys"]);
    audited.succeed(&["verify", "--keys", "keys", "--seal", "older"]);
    Row::of("An older backup is restored").is_found_in(audited);
}

fn a_payload_replaced_with_its_leaf_hash_is_found(audited: &Audited) {
    seal(audited);
    let (payload, leaf_hash) = audited.with_log(async |log| {
        let origin = log.origin().await.unwrap().unwrap();
        let after = Position::try_from(148).unwrap();
        let mut entry = log.read(after, ReadLimit::entries(1)).await.unwrap().remove(0);
        let changed = entry.payload.replace("failed", "passed");
        assert_ne!(*changed, *entry.payload);
        entry.payload = changed.into();
        (entry.payload.to_string(), entry.compute_leaf_hash(&origin))
    });
    let payload = payload.replace('\'', "''");
    audited.tamper(&format!(
        "UPDATE chronicle_entries SET payload = '{payload}', leaf_hash = {{hash:{leaf_hash}}} \
         WHERE position = 149"
    ));
    Row::of("A payload and its leaf hash are replaced together").is_found_in(audited);
}

/// The same log but for one word, made by who holds the key.
fn rewrite(audited: &Audited) {
    let line = std::fs::read_to_string(crate::common::LOG).unwrap();
    let rewritten = line.replace("netconf-auditor", "mallory");
    assert_ne!(line, rewritten);
    // An import holds lines to the hashes that they state.
    let lines = rewritten.lines().map(|line| {
        let mut entry: Value = serde_json::from_str(line).unwrap();
        entry.as_object_mut().unwrap().remove("leafhash");
        entry.to_string() + "\n"
    });
    std::fs::write(audited.folder.path("rewritten.jsonl"), lines.collect::<String>()).unwrap();
    if audited.is_postgres() {
        audited.tamper(
            "DELETE FROM chronicle_streams; DELETE FROM chronicle_seals;
             DELETE FROM chronicle_entries; UPDATE chronicle_head SET position = 0",
        );
    } else {
        std::fs::remove_file(audited.folder.path("guildhall.db")).unwrap();
        audited.succeed(&["migrate"]);
    }
    audited.succeed(&["import", "rewritten.jsonl"]);
    sealed_to(audited, "new", 1);
}

fn a_log_rewritten_whole_is_found_from_outside_alone(audited: &Audited) {
    seal(audited);
    rewrite(audited);
    let said = audited.succeed(&["verify", "--keys", "keys"]);
    assert!(said.contains("the whole log rewritten and sealed again"), "{said}");
    Row::of("The whole log is rewritten with new hashes, and sealed again by who holds the key")
        .is_found_in(audited);
}

fn a_fork_is_found(audited: &Audited) {
    seal(audited);
    rewrite(audited);
    Row::of("A fork is sealed twice").is_found_in(audited);
}

fn a_replayed_entry_is_found(audited: &Audited) {
    seal(audited);
    audited.tamper(
        "UPDATE chronicle_entries SET stream_id = {uuid:7}, version = 1 WHERE position = 60",
    );
    Row::of("An entry is replayed on another artifact").is_found_in(audited);
}

/// With the leaf hash that it has where it comes from.
fn an_entry_of_another_log_is_found(audited: &Audited) {
    seal(audited);
    let (payload, leaf_hash) = audited.with_log(async |log| {
        let mut entry = log.read(Position::ZERO, ReadLimit::entries(1)).await.unwrap().remove(0);
        entry.position = Position::try_from(152).unwrap();
        (entry.payload.to_string(), entry.compute_leaf_hash(&"guildhall/other".parse().unwrap()))
    });
    let payload = payload.replace('\'', "''");
    audited.tamper(&format!(
        "INSERT INTO chronicle_entries SELECT 152, {{uuid:9}}, {{uuid:8}}, 1, event_type, '{payload}', \
             metadata, recorded_at, {{hash:{leaf_hash}}} FROM chronicle_entries WHERE position = 1"
    ));
    Row::of("An entry of another log is put in").is_found_in(audited);
}

fn a_changed_origin_is_found(audited: &Audited) {
    seal(audited);
    audited.tamper("UPDATE chronicle_origin SET origin = 'guildhall/other'");
    Row::of("The origin is changed").is_found_in(audited);
}

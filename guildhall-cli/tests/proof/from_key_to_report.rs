//! With the program alone: a key, seals kept elsewhere, a verification, evidence of one artifact.

use crate::databases::Audited;
use crate::sealing::ORIGIN;

mod each {
    crate::on_both! {
        what_the_program_seals_it_verifies_and_proves
    }
}

fn what_the_program_seals_it_verifies_and_proves(audited: &Audited) {
    audited.succeed(&["key", "new", ORIGIN, "--out", "log.key"]);
    let key = audited.succeed(&["key", "show", "log.key"]);
    let key = key.trim();
    audited.succeed(&["seal", "--key", "log.key", "--folder", "elsewhere"]);
    std::fs::write(audited.folder.path("terms.json"), "{}").unwrap();
    let accord = ["record", "accord", "--name", "later", "--terms", "terms.json", "--by", "ada"];
    audited.succeed(&accord);
    let between = audited.json(0, &["verify", "--key", key, "--seal", "elsewhere/checkpoint"]);
    assert_eq!(between["outside_up_to"], 151, "{between}");
    assert_eq!(between["unknown"][1]["unknown"], "not_yet_sealed", "{between}");
    audited.succeed(&["seal", "--key", "log.key", "--folder", "elsewhere"]);

    let report = audited.json(0, &["verify", "--key", key, "--seal", "elsewhere/checkpoint"]);
    assert_eq!(report["verdict"], "holds", "{report}");
    for (field, expected) in [
        ("entries", 153),
        ("sealed_up_to", 153),
        ("outside_up_to", 153),
        ("seals", 2),
        ("indexes", 2),
        ("wrong", 0),
    ] {
        assert_eq!(report[field], expected, "{field}: {report}");
    }
    // The artifacts, the accords, the streams of an unknown type, and that of the indexes.
    assert!(report["streams"].as_u64().unwrap() > 12, "{report}");

    let artifact = "01a15877-ab00-7d75-9813-f04895b4702f";
    audited.succeed(&["evidence", artifact, "-o", "evidence.json"]);
    let report = audited.json(0, &["check", "evidence.json", "--key", key]);
    assert_eq!((&report["size"], &report["complete_up_to"]), (&153.into(), &152.into()));
}

//! Two houses that witness each other: what the example says.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

#[test]
fn a_log_that_its_owner_rewrote_is_neither_sealed_nor_cosigned() {
    let output = common::two_guildhalls();
    let (said, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{errors}");
    for expected in [
        "harbour sealed 4 entries, which college.example/witness cosigned",
        "college sealed 2 entries, which harbour.example/witness cosigned",
        "the sealer stops: college.example/witness holds a seal of 4 entries",
        "the witness refuses: it holds a seal of 4 entries",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

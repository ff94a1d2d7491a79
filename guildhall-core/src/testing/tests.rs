use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;
use crate::command::Act;
use crate::custody::CustodyState::{Deployed, Drafted};
use crate::fixtures::{ARTIFACT, at, bound, link, registered};

fn drafted() -> Scenario {
    Scenario::under(CustodyPolicy::standard())
        .given(bound())
        .given(registered())
        .given(Command::transition(ARTIFACT, Drafted, Act::new("ada", "because", at(0))))
}

fn fails(test: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(test)).expect_err("it holds");
    let text = panic.downcast_ref::<&str>().map(|&text| text.to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

#[test]
fn what_is_recorded_is_told_as_events_and_as_rows() {
    let scenario = Scenario::under(CustodyPolicy::standard()).given(bound()).given(registered());
    let outcome =
        scenario.when(Command::transition(ARTIFACT, Drafted, Act::new("ada", "because", at(0))));
    outcome.then_events([link(None, Drafted).into()]);
    outcome.then_tables(|tables| assert_eq!(tables.custody_transitions.len(), 1));
    assert!(fails(|| outcome.then_refused(Code::CC04, "")).contains("should be refused with CC04"));
    assert!(fails(|| outcome.then_events([])).contains("other events"));
    assert!(
        fails(|| outcome.then_tables(|tables| assert!(tables.custody_transitions.is_empty())))
            .contains("is_empty")
    );
}

#[test]
fn a_refusal_is_held_against_code_and_reason() {
    let scenario = drafted();
    let outcome =
        scenario.when(Command::transition(ARTIFACT, Deployed, Act::new("ada", "now", at(1))));
    outcome.then_refused(Code::CC04, "does not permit drafted to deployed");
    assert!(fails(|| outcome.then_refused(Code::CC10, "drafted")).contains("should be with CC10"));
    assert!(fails(|| outcome.then_refused(Code::CC04, "four eyes")).contains("four eyes"));
    assert!(fails(|| outcome.then_events([])).contains("it is refused: CC04"));
    assert!(fails(|| outcome.then_tables(|_| {})).contains("it is refused: CC04"));
    let again = Command::transition(ARTIFACT, Deployed, Act::new("ada", "now", at(1)));
    assert!(fails(|| drop(scenario.clone().given(again))).contains("number 4 is refused: CC04"));
    // What was tried before leaves no trace.
    scenario.when(registered()).then_refused(Code::CC11, "exists already");
}

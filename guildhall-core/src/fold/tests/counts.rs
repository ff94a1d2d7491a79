//! How many rows come and go.

use super::*;

/// What a fold counted, by what is counted: how many more, and the last entry that moved it.
fn counts(fold: &mut Fold) -> Vec<(&'static str, i64, u64)> {
    let mut counts: Vec<_> = fold.take_changes().counts;
    counts.sort_unstable_by_key(|count| count.counted);
    counts.iter().map(|it| (it.counted.as_str(), it.rows, it.position.get())).collect()
}

#[test]
fn what_comes_and_goes_is_counted_once_a_batch() {
    let mut fold = quarantining();
    let links = chain(&[Drafted, CeremonyOpen, Ratified]);
    let events: [Event; 7] = [
        bound().into(),
        registered().into(),
        links[0].clone().into(),
        links[1].clone().into(),
        bound().into(), // once more: it is quarantined
        observed("eu", true, 7).into(),
        verified(Outcome::Failed, 8).into(),
    ];
    fold.apply(entries(events)).unwrap();
    assert_eq!(
        counts(&mut fold),
        [
            ("accords", 1, 1),
            ("artifacts_of_tier_1", 1, 2),
            ("custody_transitions", 2, 4),
            ("healthy_deployments", 1, 6),
            ("open_ceremonies", 1, 4),
            ("quarantined", 1, 5),
            ("verifications", 1, 7),
        ]
    );
    // Nothing but what is found otherwise moves a count, and then two of them; what went and came again
    // was moved all the same.
    fold.apply([
        entry(8, links[2].clone()),
        entry(9, observed("eu", true, 9)),
        entry(10, observed("eu", false, 10)),
        entry(11, observed("eu", true, 11)),
        entry(12, observed("eu", false, 5)),
    ])
    .unwrap();
    assert_eq!(
        counts(&mut fold),
        [
            ("closed_ceremonies", 1, 8),
            ("custody_transitions", 1, 8),
            ("drifted_deployments", 0, 11),
            ("healthy_deployments", 0, 11),
            ("open_ceremonies", -1, 8),
        ]
    );
    assert_eq!(counts(&mut fold), []);
}

#[test]
fn counts_go_on_coalescing_while_final_rows_are_taken() {
    let mut fold = quarantining();
    fold.apply(entries([bound().into(), registered().into()])).unwrap();
    assert_eq!(fold.take_final_rows().counts, []);
    fold.apply([entry(3, observed("eu", true, 3))]).unwrap();
    assert_eq!(fold.take_final_rows().counts, []);
    assert_eq!(counts(&mut fold).len(), 3);
}

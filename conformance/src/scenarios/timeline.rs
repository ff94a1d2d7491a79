//! The timeline of an artifact, computed again from the tables in the plainest way (DESIGN section 10).

use guildhall_core::{
    ArtifactId, AsOf, CustodyState, Happened, Position, Tables, TimelineEntry, TimelineKind,
    TimelineQuery,
};

use crate::answers::{assert_same, filled, pages};
use crate::harness::Harness;

super::scenarios! { $ __timeline = timeline:
    a_timeline_is_everything_that_became_of_an_artifact_the_latest_first,
    a_timeline_goes_back_as_it_came,
}

pub async fn a_timeline_is_everything_that_became_of_an_artifact_the_latest_first<H: Harness>(
    harness: H,
) {
    let (ops_db, tables) = filled(&harness).await;
    let head = tables.projector_checkpoints["ops_db"].position;
    let longest = longest(&tables);
    let whole = timeline(&tables, longest);
    for kind in TimelineKind::ALL {
        assert!(whole.iter().any(|entry| entry.what.kind() == *kind), "{kind}");
    }
    use TimelineKind::{Ceremony, Revision, Target, Transition, Verification};
    let filters: [&[TimelineKind]; 7] = [
        &[],
        &[Revision],
        &[Ceremony],
        &[Transition],
        &[Verification],
        &[Ceremony, Transition, Target],
        &[Target, Revision],
    ];
    for moment in [head, whole[whole.len() / 2].position] {
        let then = ops_db.as_of(AsOf::Position(moment)).await.unwrap();
        for (kinds, limit) in filters.iter().flat_map(|kinds| [(kinds, 3), (kinds, 500)]) {
            let query = TimelineQuery::of(longest).kinds(kinds.to_vec()).limit(limit);
            let is_asked =
                |entry: &&TimelineEntry| entry.position <= moment && query.wants(entry.what.kind());
            let expected: Vec<_> = whole.iter().filter(is_asked).cloned().collect();
            let rows = pages(limit, |after| async {
                then.timeline(&query.clone().after(after)).await.unwrap()
            });
            assert_same(&rows.await, &expected, &(moment, &query));
        }
    }
    for artifact in &tables.governed_artifacts {
        let query = TimelineQuery::of(artifact.id).limit(500);
        let rows = ops_db.timeline(&query).await.unwrap().rows;
        let expected = timeline(&tables, artifact.id);
        assert_same(&rows, &expected[..expected.len().min(500)], &artifact.id);
    }
    let nobody = TimelineQuery::of(ArtifactId::new());
    assert_eq!(ops_db.timeline(&nobody).await.unwrap().rows, []);
}

pub async fn a_timeline_goes_back_as_it_came<H: Harness>(harness: H) {
    let (ops_db, tables) = filled(&harness).await;
    let query = TimelineQuery::of(longest(&tables)).limit(2);
    let mut before = ops_db.timeline(&query).await.unwrap();
    assert_eq!(before.previous, None);
    while let Some(next) = before.next.clone() {
        let page = ops_db.timeline(&query.clone().after(next)).await.unwrap();
        let back = ops_db.timeline(&query.clone().after(page.previous.clone())).await.unwrap();
        assert_eq!(back.rows, before.rows);
        before = page;
    }
}

/// The artifact of which there is most to tell.
fn longest(tables: &Tables) -> ArtifactId {
    let ids = tables.governed_artifacts.iter().map(|row| row.id);
    ids.max_by_key(|id| timeline(tables, *id).len()).unwrap()
}

fn timeline(tables: &Tables, id: ArtifactId) -> Vec<TimelineEntry> {
    let entry = |position: Position, at, what| TimelineEntry { position, at, what };
    let mut all = Vec::new();
    for row in tables.artifact_revisions.iter().filter(|row| row.artifact_id == id) {
        let what = Happened::Revision { revision: row.revision, cid: row.cid };
        all.push(entry(row.position, row.recorded_at, what));
    }
    for link in tables.custody_transitions.iter().filter(|row| row.artifact_id == id) {
        let open = CustodyState::CeremonyOpen;
        let transition = link.clone();
        let what = if link.from_state == Some(open) || link.to_state == open {
            Happened::Ceremony { transition }
        } else {
            Happened::Transition { transition }
        };
        all.push(entry(link.position, link.occurred_at, what));
    }
    for row in tables.deployment_changes.iter().filter(|row| row.artifact_id == id) {
        let of_target = tables.deployment_changes.iter();
        let of_target = of_target.filter(|it| it.artifact_id == id && it.target == row.target);
        let before = of_target.filter(|it| it.position < row.position);
        let before = before.max_by_key(|it| it.position).cloned();
        let what = Happened::Target { change: row.clone(), before };
        all.push(entry(row.position, row.observed_at, what));
    }
    for row in tables.verification_results.iter().filter(|row| row.artifact_id == id) {
        let what = Happened::Verification { verification: row.clone() };
        all.push(entry(row.position, row.verified_at, what));
    }
    all.sort_by_key(|entry| std::cmp::Reverse(entry.position));
    all
}

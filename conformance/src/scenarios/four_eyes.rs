//! Who opened a ceremony: a rule asks for it long afterwards, and then it has to come from the tables.

use guildhall_core::custody::{self, ChainHead, Move, Rule};
use guildhall_core::invariant::ArtifactHead;
use guildhall_core::{
    AccordBound, ArtifactRegistered, CeremonyId, Code, CustodyPolicy, CustodyState, Event, Json,
    NewEntry, Position, Rebuild, Tier, Timestamp,
};

use crate::harness::{Harness, ProjectorSettings};
use crate::log::Log;

super::scenarios! { $ __four_eyes = four_eyes:
    whoever_opened_a_ceremony_is_known_after_a_restart,
    whoever_opened_a_ceremony_is_known_to_who_takes_over,
    whoever_opened_a_ceremony_that_went_on_is_known_after_a_restart,
}

/// A log whose last entry closes a ceremony as ratified.
struct Ceremony {
    log: Log,
    policy: CustodyPolicy,
}

impl Ceremony {
    /// `ada` opens it; it goes on as a ceremony by the hands of these; then it is closed.
    fn of(going_on: &[&str], closed_by: &str) -> Self {
        use CustodyState::{CeremonyOpen, Drafted, Ratified};
        let at: Timestamp = "2026-11-23T10:05:00Z".parse().unwrap();
        let accord = AccordBound::new("change control", "board", Json::parse("{}").unwrap(), at);
        let schema = "https://example.com/zone.json";
        let (kind, content) = ("dns_zone", Json::parse(r#"{"ttl":300}"#).unwrap());
        let registered =
            ArtifactRegistered::new(accord.accord_id, kind, "zone", Tier::ZERO, content, schema);
        let (id, cid) = (registered.artifact_id, registered.cid);
        let mut head = ArtifactHead { cid, chain: None, ratified: Vec::new() };
        let ceremony = CeremonyId::new();
        let mut moves = vec![(Drafted, "ada"), (CeremonyOpen, "ada")];
        moves.extend(going_on.iter().map(|actor| (CeremonyOpen, *actor)));
        moves.push((Ratified, closed_by));
        let mut events: Vec<Event> = vec![accord.into(), registered.into()];
        for (to_state, actor) in moves {
            let is_open = |chain: &ChainHead| chain.state == CeremonyOpen;
            let enters = to_state == CeremonyOpen && !head.chain.as_ref().is_some_and(is_open);
            let wanted = Move {
                to_state,
                actor: actor.to_owned(),
                reason: "as agreed".to_owned(),
                ceremony_id: enters.then_some(ceremony),
                evidence: Json::null(),
                occurred_at: at,
            };
            let link = custody::link(id, cid, head.chain.as_ref(), wanted);
            head.advance(&link);
            events.push(link.into());
        }
        let moves =
            [(Drafted, CeremonyOpen), (CeremonyOpen, CeremonyOpen), (CeremonyOpen, Ratified)];
        Self {
            log: Log::of(events.iter().map(NewEntry::new)),
            policy: CustodyPolicy::from_moves(moves).with_rule(Rule::FourEyes { to: Ratified }),
        }
    }

    fn settings(&self) -> ProjectorSettings {
        ProjectorSettings { policy: self.policy.clone(), ..ProjectorSettings::without_lease() }
    }

    /// Applies all but the entry that closes it.
    async fn open(&self, projector: &dyn Rebuild) {
        let open = self.log.entries().len() - 1;
        projector.apply(self.log.batch(Position::ZERO, open)).await.unwrap();
    }

    /// Applies that entry; it is set aside where `is_refused`.
    async fn close<H: Harness>(&self, harness: &H, projector: &dyn Rebuild, is_refused: bool) {
        projector.apply(self.log.rest(self.log.head().previous())).await.unwrap();
        let set_aside = harness.tables().await.quarantined_entries;
        let found: Vec<_> = set_aside.iter().map(|row| (row.position, row.code)).collect();
        let expected = if is_refused { vec![(self.log.head(), Code::CC04)] } else { Vec::new() };
        assert_eq!(found, expected, "{set_aside:?}");
    }
}

/// The one who opened it is refused, and another is not: a store that knows of nobody fails the one, a
/// store that takes whoever came last for the opener fails the other.
async fn after_a_restart<H: Harness>(going_on: &[&str]) {
    for (closed_by, is_refused) in [("ada", true), ("grace", false)] {
        let ceremony = Ceremony::of(going_on, closed_by);
        let harness = H::fresh().await;
        ceremony.open(&*harness.projector(ceremony.settings()).await).await;
        let harness = harness.reopened().await;
        let projector = harness.projector(ceremony.settings()).await;
        ceremony.close(&harness, &*projector, is_refused).await;
    }
}

pub async fn whoever_opened_a_ceremony_is_known_after_a_restart<H: Harness>(harness: H) {
    drop(harness);
    after_a_restart::<H>(&[]).await;
}

pub async fn whoever_opened_a_ceremony_is_known_to_who_takes_over<H: Harness>(harness: H) {
    let ceremony = Ceremony::of(&[], "ada");
    let (one, other) = (
        harness.projector(ceremony.settings()).await,
        harness.projector(ceremony.settings()).await,
    );
    ceremony.open(&*one).await;
    ceremony.close(&harness, &*other, true).await;
}

pub async fn whoever_opened_a_ceremony_that_went_on_is_known_after_a_restart<H: Harness>(
    harness: H,
) {
    drop(harness);
    after_a_restart::<H>(&["grace", "grace"]).await;
}

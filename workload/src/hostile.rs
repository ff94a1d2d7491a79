//! Entries that break an invariant, made to fit the log as it stands: but for the flaw, each would
//! be sound.

use guildhall_core::custody::{self, link_hash};
use guildhall_core::{
    AccordId, ArtifactId, CeremonyId, Cid, Code, CustodyState, CustodyTransitioned, Event, EventId,
    EventKind, EventType, Json, LinkHash, NewEntry, Seq, StreamId,
};
use serde_json::{Value, json};

use super::{Artifact, Mix, Workload, before, canonical};

macro_rules! flaws {
    ($($(#[$doc:meta])* $flaw:ident = $code:ident,)+) => {
        /// What is wrong with an entry.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Flaw {
            $($(#[$doc])* $flaw,)+
        }

        impl Flaw {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$flaw),+];

            /// The code that it is quarantined with.
            pub const fn code(self) -> Code {
                match self { $(Self::$flaw => Code::$code),+ }
            }
        }
    };
}

flaws! {
    /// A field is missing.
    FieldMissing = CC00,
    /// A field has a value that it cannot have.
    FieldWrong = CC00,
    /// The data is no object.
    NoObject = CC00,
    /// The entry stands in another artifact's stream.
    StreamWrong = CC00,
    /// A registration under an accord that does not exist.
    AccordUnknown = CC11,
    /// An entry about an artifact that does not exist.
    ArtifactUnknown = CC11,
    /// An accord is bound again.
    AccordAgain = CC11,
    /// An artifact is registered again.
    ArtifactAgain = CC11,
    /// A field was changed after the hash was made.
    HashWrong = CC06,
    /// A first link that is no genesis.
    GenesisWrong = CC01,
    /// A link number left out or repeated.
    SeqWrong = CC02,
    /// A link that hangs on another one than the head.
    PrevHashWrong = CC05,
    /// A link that starts from another state than the head's.
    FromStateWrong = CC03,
    /// A link that happened before the head.
    TimeWrong = CC07,
    /// A move that the policy does not permit.
    MoveForbidden = CC04,
    /// A revision while the content is frozen.
    RevisionFrozen = CC12,
    /// A registration whose CID is not its content's.
    RegisteredCidWrong = CC08,
    /// A revision whose CID is not its content's.
    RevisedCidWrong = CC08,
    /// A revision of another content than the current one.
    PreviousCidWrong = CC08,
    /// A link that moves another content than the current one.
    MovedCidWrong = CC08,
    /// A ceremony is entered without a name.
    CeremonyUnnamed = CC09,
    /// A ceremony is left under another's name.
    CeremonyOther = CC09,
    /// A ceremony is named where there is none.
    CeremonyNowhere = CC09,
    /// A content is deployed that no ceremony ratified.
    ReleaseUnratified = CC10,
}

/// An entry, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostileEntry {
    /// The entry.
    pub entry: NewEntry,
    /// Its flaw; none where it is to be applied or, being of an unknown type, skipped. An entry
    /// that was scrambled at random has no flaw named, whatever is wrong with it.
    pub flaw: Option<Flaw>,
}

/// A sound log with bad and strange entries in between, without an end.
#[derive(Debug, Clone)]
pub struct Hostile {
    sound: Workload,
}

impl Hostile {
    /// The log of this seed, about a third of it hostile.
    pub fn new(seed: u64, mix: Mix) -> Self {
        Self { sound: Workload::new(seed, mix) }
    }

    /// An entry with this flaw, if the log has an artifact to try it on.
    pub fn flawed(&mut self, flaw: Flaw) -> Option<NewEntry> {
        self.sound.tick();
        flawed(&mut self.sound, flaw)
    }

    /// The next sound entry.
    pub fn sound(&mut self) -> Option<NewEntry> {
        self.sound.next()
    }
}

impl Iterator for Hostile {
    type Item = HostileEntry;

    fn next(&mut self) -> Option<HostileEntry> {
        let sound = &mut self.sound;
        if sound.artifacts.is_empty() {
            return sound.next().map(|entry| HostileEntry { entry, flaw: None });
        }
        sound.tick();
        let hostile = match sound.random.below(15) {
            0..3 => {
                let flaw = sound.random.pick(Flaw::ALL);
                flawed(sound, flaw).map(|entry| HostileEntry { entry, flaw: Some(flaw) })
            }
            3 => scrambled(sound).map(|entry| HostileEntry { entry, flaw: None }),
            4 => Some(HostileEntry { entry: strange(sound), flaw: None }),
            _ => None,
        };
        hostile.or_else(|| self.sound.next().map(|entry| HostileEntry { entry, flaw: None }))
    }
}

fn flawed(sound: &mut Workload, flaw: Flaw) -> Option<NewEntry> {
    use CustodyState::{CeremonyOpen, Deployed, Drafted, Ratified, Retired, Suspended};
    Some(match flaw {
        Flaw::FieldMissing => {
            let mut entry = about_any(sound);
            entry.payload = edited(&entry.payload, |data| {
                data.remove("artifact_id");
            });
            entry
        }
        Flaw::FieldWrong => {
            let mut entry = about_any(sound);
            let (field, value) = sound.random.pick(&[
                ("artifact_id", json!("0193A1B2-C3D4-7E5F-8A6B-7C8D9E0F1A2B")),
                ("artifact_id", json!(7)),
                ("observed_at", json!("2026-11-23T10:05:00Z")),
                ("verified_at", json!("2026-11-23T10:05:00.000000+00:00")),
                ("outcome", json!("maybe")),
                ("desired_cid", json!("bafkrei")),
                ("verifier", Value::Null),
                ("target", json!(["site-a"])),
            ]);
            let has_field = entry.payload.to_value().get(field).is_some();
            entry.payload = edited(&entry.payload, |data| {
                // One of the two kinds has the field; the other gets a bad id.
                let (field, value) =
                    if has_field { (field, value) } else { ("artifact_id", json!("")) };
                data.insert(field.to_owned(), value);
            });
            entry
        }
        Flaw::NoObject => {
            let mut entry = about_any(sound);
            entry.payload = canonical(sound.random.pick(&["null", "[]", "\"text\"", "0"]));
            entry
        }
        Flaw::StreamWrong => {
            let mut entry = about_any(sound);
            entry.stream_id = StreamId::from_uuid(sound.random.uuid(sound.now));
            entry
        }
        Flaw::AccordUnknown => registration(sound, |event, sound| {
            event.accord_id = AccordId::from_uuid(sound.random.uuid(sound.now));
        }),
        Flaw::ArtifactUnknown => {
            let nobody = ArtifactId::from_uuid(sound.random.uuid(sound.now));
            let event = match sound.random.below(4) {
                0 => about(sound.observe(), nobody),
                1 => about(sound.verify(), nobody),
                2 => about(revision(sound, |_| true)?, nobody),
                _ => {
                    let wanted = sound.wanted(Drafted);
                    custody::link(nobody, Cid::of(&Json::null()), None, wanted).into()
                }
            };
            sound.entry(&event)
        }
        Flaw::AccordAgain => {
            let accord_id = sound.random.pick(&sound.accords);
            let Event::AccordBound(mut event) = sound.bind() else { return None };
            sound.accords.pop();
            event.accord_id = accord_id;
            sound.entry(&event.into())
        }
        Flaw::ArtifactAgain => {
            let id = any(sound).id;
            registration(sound, |event, _| event.artifact_id = id)
        }
        Flaw::HashWrong => {
            let mut link = next_link(sound, |_| true, None)?;
            link.reason.push('!');
            sound.entry(&link.into())
        }
        Flaw::GenesisWrong => {
            let mut link = next_link(sound, |artifact| artifact.head.is_none(), None)?;
            match sound.random.below(4) {
                0 => link.seq = Seq::new(2),
                1 => link.from_state = Some(Drafted),
                2 => link.prev_hash = Some(LinkHash::from_bytes([1; 32])),
                _ => link.to_state = Ratified,
            }
            rehashed(sound, link)
        }
        Flaw::SeqWrong => {
            let mut link = next_link(sound, |artifact| artifact.head.is_some(), None)?;
            let next = link.seq.next().unwrap_or(Seq::MAX);
            link.seq = sound.random.pick(&[Seq::ZERO, link.seq.previous(), next, Seq::MAX]);
            rehashed(sound, link)
        }
        Flaw::PrevHashWrong => {
            let mut link = next_link(sound, |artifact| artifact.head.is_some(), None)?;
            link.prev_hash =
                sound.random.pick(&[None, Some(LinkHash::from_bytes([2; 32])), Some(link.hash)]);
            rehashed(sound, link)
        }
        Flaw::FromStateWrong => {
            let mut link = next_link(sound, |artifact| artifact.head.is_some(), None)?;
            let other = if link.from_state == Some(Drafted) { Suspended } else { Drafted };
            link.from_state = sound.random.pick(&[None, Some(other)]);
            rehashed(sound, link)
        }
        Flaw::TimeWrong => {
            let mut link = next_link(sound, |artifact| artifact.head.is_some(), None)?;
            let at = sound.artifacts.iter().find(|artifact| artifact.id == link.artifact_id)?;
            link.occurred_at = before(at.head.as_ref()?.occurred_at, 1);
            rehashed(sound, link)
        }
        Flaw::MoveForbidden => {
            let forbidden = [
                (Drafted, Deployed),
                (CeremonyOpen, Retired),
                (Ratified, Drafted),
                (Deployed, Drafted),
                (Suspended, Deployed),
                (Retired, Drafted),
            ];
            let (from, to) = sound.random.pick(&forbidden);
            let link = next_link(sound, |artifact| artifact.state() == Some(from), Some(to))?;
            sound.entry(&link.into())
        }
        Flaw::RevisionFrozen => {
            let event = revision(sound, Artifact::is_frozen)?;
            sound.entry(&event)
        }
        Flaw::RegisteredCidWrong => registration(sound, |event, _| event.cid = other_cid()),
        Flaw::RevisedCidWrong => {
            let Event::ArtifactRevised(mut event) = revision(sound, |a| !a.is_frozen())? else {
                return None;
            };
            event.cid = other_cid();
            sound.entry(&event.into())
        }
        Flaw::PreviousCidWrong => {
            let Event::ArtifactRevised(mut event) = revision(sound, |a| !a.is_frozen())? else {
                return None;
            };
            event.previous_cid = event.cid;
            sound.entry(&event.into())
        }
        Flaw::MovedCidWrong => {
            let mut link = next_link(sound, |_| true, None)?;
            link.cid = other_cid();
            rehashed(sound, link)
        }
        Flaw::CeremonyUnnamed => {
            let may_enter = |artifact: &Artifact| {
                matches!(artifact.state(), Some(Drafted | Ratified | Deployed | Suspended))
            };
            let mut link = next_link(sound, may_enter, Some(CeremonyOpen))?;
            link.ceremony_id = None;
            rehashed(sound, link)
        }
        Flaw::CeremonyOther => {
            let is_open = |artifact: &Artifact| artifact.state() == Some(CeremonyOpen);
            let mut link = next_link(sound, is_open, None)?;
            let other = CeremonyId::from_uuid(sound.random.uuid(sound.now));
            link.ceremony_id = sound.random.pick(&[None, Some(other)]);
            rehashed(sound, link)
        }
        Flaw::CeremonyNowhere => {
            let may_retire = |artifact: &Artifact| {
                matches!(artifact.state(), Some(Drafted | Ratified | Deployed | Suspended))
            };
            let mut link = next_link(sound, may_retire, Some(Retired))?;
            link.ceremony_id = Some(CeremonyId::from_uuid(sound.random.uuid(sound.now)));
            rehashed(sound, link)
        }
        Flaw::ReleaseUnratified => {
            let is_revised = |artifact: &Artifact| {
                artifact.state() == Some(Ratified) && !artifact.ratified.contains(&artifact.cid)
            };
            let link = next_link(sound, is_revised, Some(Deployed))?;
            sound.entry(&link.into())
        }
    })
}

fn other_cid() -> Cid {
    Cid::of(&canonical(r#""another content""#))
}

fn any(sound: &mut Workload) -> Artifact {
    sound.random.pick(&sound.artifacts).clone()
}

/// An observation or a verification.
fn about_any(sound: &mut Workload) -> NewEntry {
    let event = if sound.random.once_in(2) { sound.observe() } else { sound.verify() };
    sound.entry(&event)
}

fn about(event: Event, artifact_id: ArtifactId) -> Event {
    match event {
        Event::ArtifactRevised(event) => {
            guildhall_core::ArtifactRevised { artifact_id, ..event }.into()
        }
        Event::DeploymentObserved(event) => {
            guildhall_core::DeploymentObserved { artifact_id, ..event }.into()
        }
        Event::VerificationRecorded(event) => {
            guildhall_core::VerificationRecorded { artifact_id, ..event }.into()
        }
        other => other,
    }
}

/// A registration that the log forgets again.
fn registration(
    sound: &mut Workload,
    spoil: impl FnOnce(&mut guildhall_core::ArtifactRegistered, &mut Workload),
) -> NewEntry {
    let mut event = sound.register();
    sound.artifacts.pop();
    if let Event::ArtifactRegistered(event) = &mut event {
        spoil(event, sound);
    }
    sound.entry(&event)
}

/// A revision that the log forgets again.
fn revision(sound: &mut Workload, holds: impl Fn(&Artifact) -> bool) -> Option<Event> {
    let at = sound.find(holds)?;
    let content = sound.content();
    let artifact = &sound.artifacts[at];
    Some(
        guildhall_core::ArtifactRevised {
            artifact_id: artifact.id,
            cid: Cid::of(&content),
            content,
            content_schema: "https://schemas.example.com/dns-zone/3".to_owned(),
            previous_cid: artifact.cid,
        }
        .into(),
    )
}

/// The link that would come next for an artifact for which this holds, to `to_state` or to where
/// the policy lets it go. The log forgets it again.
fn next_link(
    sound: &mut Workload,
    holds: impl Fn(&Artifact) -> bool,
    to_state: Option<CustodyState>,
) -> Option<CustodyTransitioned> {
    // Without a state to reach, it has to be able to go somewhere.
    let goes_on = |artifact: &Artifact| artifact.state() != Some(CustodyState::Retired);
    let at = sound.find(|artifact| holds(artifact) && (to_state.is_some() || goes_on(artifact)))?;
    let from = sound.artifacts[at].state();
    let to_state = to_state.or_else(|| match from {
        None => Some(CustodyState::Drafted),
        Some(from) => sound.policy.successors(from).find(|to| *to != CustodyState::Deployed),
    })?;
    let wanted = sound.wanted(to_state);
    let Artifact { id, cid, head, .. } = &sound.artifacts[at];
    Some(custody::link(*id, *cid, head.as_ref(), wanted))
}

/// The entry of a link whose hash is made anew, so that the flaw is elsewhere.
fn rehashed(sound: &mut Workload, mut link: CustodyTransitioned) -> NewEntry {
    link.hash = link_hash(&link);
    sound.entry(&link.into())
}

/// A link of which several fields are wrong: which of them is reported, the order of the checks
/// decides.
fn scrambled(sound: &mut Workload) -> Option<NewEntry> {
    let at = sound.find(|_| true)?;
    let to_state = sound.random.pick(CustodyState::ALL);
    let wanted = sound.wanted(to_state);
    let Artifact { id, cid, head, .. } = &sound.artifacts[at];
    let mut link = custody::link(*id, *cid, head.as_ref(), wanted);
    for _ in 0..sound.random.below(4) {
        match sound.random.below(6) {
            0 => link.seq = sound.random.pick(&[Seq::ZERO, Seq::FIRST, Seq::new(2), Seq::new(3)]),
            1 => link.prev_hash = None,
            2 => link.from_state = Some(sound.random.pick(CustodyState::ALL)),
            3 => link.occurred_at = before(link.occurred_at, 1_000_000_000),
            4 => link.ceremony_id = None,
            _ => link.ceremony_id = Some(CeremonyId::from_uuid(sound.random.uuid(sound.now))),
        }
    }
    // One flaw for certain, so that the log need not go on from it.
    link.cid = other_cid();
    if !sound.random.once_in(8) {
        link.hash = link_hash(&link);
    }
    Some(sound.entry(&link.into()))
}

/// An entry that is sound and looks odd: of an unknown type, with unknown fields, with its nulls
/// left out.
fn strange(sound: &mut Workload) -> NewEntry {
    let mut entry = about_any(sound);
    match sound.random.below(4) {
        0 => {
            let names = ["com.example.note.v1", "dev.guildhouse.chronicle.custody.transitioned.v9"];
            entry.event_type = EventType::new(sound.random.pick(&names));
            entry.payload = canonical(r#"[1,{"anything":"at all"}]"#);
        }
        1 => {
            // A type that an older reader does not know creates its stream all the same.
            entry.event_type = EventType::new("com.example.é.v1");
            entry.stream_id = StreamId::from_uuid(sound.random.uuid(sound.now));
            entry.event_id = EventId::from_uuid(sound.random.uuid(sound.now));
        }
        2 => {
            entry.payload = edited(&entry.payload, |data| {
                data.insert("x_added_later".to_owned(), json!({"a": [1, 2.5]}));
            });
        }
        _ => {
            debug_assert!(entry.event_type.kind() != Some(EventKind::ArtifactRegistered));
            entry.payload = edited(&entry.payload, |data| {
                data.retain(|name, value| {
                    !value.is_null() || !matches!(name.as_str(), "observed_cid" | "target")
                });
            });
        }
    }
    entry
}

fn edited(payload: &Json, edit: impl FnOnce(&mut serde_json::Map<String, Value>)) -> Json {
    let mut value = payload.to_value();
    if let Value::Object(data) = &mut value {
        edit(data);
    }
    Json::from_value(&value).unwrap_or_else(|_| Json::null())
}

//! Ceremonies that are open and whose objects are gone: nobody may ever close them.
//!
//! What the process remembers is not enough: an object can be decided and deleted while no watcher
//! runs. So every list is compared with what the Ops DB holds open, and what is missing is reported
//! for as long as the Chronicle says that it is open.

use std::collections::HashMap;

use guildhall_core::{ArtifactId, CeremonyId, OpenCeremony, Position, StoreError};
use guildhall_projector::ceremony::Intake;
use serde::Deserialize;

use crate::seen::{Open, Seen};

/// Under which identity it is reported that the Ops DB does not answer.
const OPS_DB: &str = "the Ops DB";

/// Why one is reported.
const REASON: &str = "its object was deleted while it was open, and nothing said how it ended; it \
                      stays open in the Chronicle until a command closes it";

/// What is open and was not listed yet.
#[derive(Debug, Default)]
pub(crate) struct Missing {
    open: HashMap<CeremonyId, Candidate>,
}

#[derive(Debug)]
struct Candidate {
    identity: String,
    artifact_id: ArtifactId,
    /// Where it was opened; none where this process did.
    opened: Option<Position>,
}

impl Missing {
    /// What the Ops DB holds open, as far as it was opened by what a watcher reported. That it cannot
    /// be asked is reported, and keeps nothing from being received.
    pub(crate) async fn load(seen: &Seen, intake: &Intake, cluster: Option<&str>) -> Self {
        match Self::try_load(intake, cluster).await {
            Ok(missing) => {
                intake.resolve(OPS_DB);
                missing
            }
            Err(error) => {
                let mut reason = format!("which ceremonies it holds open cannot be read: {error}");
                let mut source = std::error::Error::source(&error);
                while let Some(error) = source {
                    reason.push_str(&format!(": {error}"));
                    source = error.source();
                }
                intake.refuse(OPS_DB.to_owned(), None, reason);
                seen.refused();
                Self::default()
            }
        }
    }

    async fn try_load(intake: &Intake, cluster: Option<&str>) -> Result<Self, StoreError> {
        let (mut open, mut after) = (HashMap::new(), None);
        loop {
            let page = intake.open_ceremonies(after).await?;
            for ceremony in page.rows {
                let named = ceremony.ceremony_id.zip(identity(&ceremony, cluster));
                if let Some((ceremony_id, identity)) = named {
                    let (artifact_id, opened) =
                        (ceremony.opened.artifact_id, Some(ceremony.opened.position));
                    open.insert(ceremony_id, Candidate { identity, artifact_id, opened });
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(Self { open });
            }
        }
    }

    /// A ceremony's object is there.
    pub(crate) fn listed(&mut self, ceremony_id: CeremonyId) {
        self.open.remove(&ceremony_id);
    }

    /// The list is over: reports those of the namespaces that were listed and that are missing
    /// indeed, and takes back what was reported and is closed.
    pub(crate) async fn report(
        &mut self,
        list: u64,
        was_listed: impl Fn(&str) -> bool,
        seen: &Seen,
        intake: &Intake,
    ) -> Result<(), StoreError> {
        for (ceremony_id, Open { identity, artifact_id, .. }) in seen.end_list(list, &was_listed) {
            self.open.insert(ceremony_id, Candidate { identity, artifact_id, opened: None });
        }
        let here = |identity: &str| was_listed(identity.split('/').next().unwrap_or_default());
        let candidates = self.open.extract_if(|_, it| here(&it.identity));
        for (ceremony_id, Candidate { identity, artifact_id, opened }) in candidates {
            // Another watcher's object is not this one's to miss.
            let is_ours = match opened {
                Some(at) => intake.has_opened(&identity, at).await?,
                None => true,
            };
            if is_ours {
                report(ceremony_id, identity, artifact_id, seen, intake).await?;
            }
        }
        for (ceremony_id, open) in seen.all_missed() {
            if here(&open.identity) && !intake.is_open(open.artifact_id, ceremony_id).await? {
                seen.found(ceremony_id);
                intake.resolve(&open.identity);
            }
        }
        if !seen.all_missed().is_empty() {
            // They are looked at again with the next list.
            seen.refused();
        }
        Ok(())
    }
}

/// Reports a ceremony whose object is gone, if it is open by what the Chronicle says.
pub(crate) async fn report(
    ceremony_id: CeremonyId,
    identity: String,
    artifact_id: ArtifactId,
    seen: &Seen,
    intake: &Intake,
) -> Result<(), StoreError> {
    if intake.is_open(artifact_id, ceremony_id).await? {
        seen.missed(ceremony_id, identity.clone(), artifact_id);
        intake.refuse(identity, Some(artifact_id), REASON.to_owned());
    }
    Ok(())
}

#[derive(Deserialize)]
struct Grounds {
    cluster: Option<String>,
    object: Object,
}

#[derive(Deserialize)]
struct Object {
    name: String,
    namespace: Option<String>,
    uid: String,
}

/// The identity of the object that a ceremony was opened for, if its opening names one of this
/// cluster.
fn identity(ceremony: &OpenCeremony, of: Option<&str>) -> Option<String> {
    let grounds = serde_json::from_str(ceremony.opened.evidence.as_str());
    let Grounds { cluster, object: Object { name, namespace, uid } } = grounds.ok()?;
    let is_its = uid.parse().ok() == ceremony.ceremony_id && cluster.as_deref() == of;
    is_its.then(|| format!("{}/{name}/{uid}", namespace.unwrap_or_default()))
}

//! Checking evidence.

use guildhall_core::custody::chain::Judge;
use guildhall_core::fold::Changes;
use guildhall_core::{
    ChronicleIndexed, CustodyPolicy, Decoded, Position, StreamId, TreeHash, Version,
};

use super::report::{Aspect, Cosigner, Failure, Report};
use super::{Evidence, ProvenEntry, ProvenStream, accords_of, fold_changes};
use crate::index::{Bucket, bucket_of};
use crate::log_keys::LogKeys;
use crate::merkle::InclusionProof;
use crate::policy::Policy;
use crate::rows::Rows;
use crate::seal::{Seal, SignedSeal};

/// What an auditor knows beforehand: everything else is in the evidence.
#[derive(Debug, Clone)]
pub struct Trust {
    /// The log's keys.
    pub keys: LogKeys,
    /// Which witnesses have to have cosigned; none if nobody else vouches.
    pub witnesses: Option<Policy>,
    /// The policy that custody moves by, if not the standard one.
    pub custody: CustodyPolicy,
    /// Up to which position the evidence has to be complete at least: what the auditor knows to have
    /// happened. Without it, an older seal than the newest is as good.
    pub at_least: Position,
}

impl Trust {
    /// These keys, no witnesses, the standard policy, and a seal of any age.
    pub fn new(keys: LogKeys) -> Self {
        let custody = CustodyPolicy::standard();
        Self { keys, witnesses: None, custody, at_least: Position::ZERO }
    }
}

/// Checks evidence: every [`Aspect`], in order, up to the first that does not hold.
pub fn check(evidence: &Evidence, trust: &Trust) -> Report {
    let seal = evidence.seal.seal();
    let mut report = Report {
        artifact_id: evidence.artifact_id,
        origin: seal.origin.clone(),
        size: seal.size,
        root: seal.root,
        complete_up_to: None,
        entries: 0,
        quarantined: 0,
        links: 0,
        signers: Vec::new(),
        witnesses: Vec::new(),
        held: Vec::new(),
        failure: None,
    };
    report.failure = run(evidence, trust, &mut report).err();
    report
}

/// Notes that an aspect held, or says why it did not.
pub(super) fn note<T, F: Into<Failure>>(
    held: &mut Vec<Aspect>,
    aspect: Aspect,
    result: Result<T, F>,
) -> Result<T, (Aspect, Failure)> {
    let value = result.map_err(|failure| (aspect, failure.into()))?;
    held.push(aspect);
    Ok(value)
}

fn run(evidence: &Evidence, trust: &Trust, report: &mut Report) -> Result<(), (Aspect, Failure)> {
    let seal = evidence.seal.seal();
    let held = &mut report.held;
    signed(&evidence.seal, trust, held, &mut report.signers, &mut report.witnesses)?;

    let index = index(&evidence.index, seal, trust.at_least);
    let index = note(held, Aspect::Index, index)?;

    let streams = &evidence.streams;
    let entries = streams.iter().try_fold(0, |count, stream| {
        stream.entries.iter().try_for_each(|entry| entry_of(entry, stream.stream, seal))?;
        Ok::<_, Failure>(count + stream.entries.len() as u64)
    });
    report.entries = note(held, Aspect::Entries, entries)?;

    note(held, Aspect::Completeness, complete(evidence, &index))?;
    report.complete_up_to = Some(index.tree_size);

    let changes = fold_changes(evidence.artifact_id, streams, trust.custody.clone());
    let changes = note(held, Aspect::Fold, changes.map_err(Failure::from).and_then(artifact))?;
    report.quarantined = changes.quarantined.len() as u64;
    report.links = changes.transitions.len() as u64;

    note(held, Aspect::Chain, chain(&changes, &trust.custody))?;
    // The rows of the Ops DB serialise.
    let expected = Rows::of(&changes).unwrap_or_default();
    note(held, Aspect::Rows, evidence.rows.compare(&expected))
}

/// Checks who signed a seal, and who cosigned it.
pub(super) fn signed(
    seal: &SignedSeal,
    trust: &Trust,
    held: &mut Vec<Aspect>,
    signers: &mut Vec<String>,
    witnesses: &mut Vec<Cosigner>,
) -> Result<(), (Aspect, Failure)> {
    let by_log = note(held, Aspect::Seal, trust.keys.verify(seal))?;
    signers.extend(by_log.iter().map(|by| by.key.name().to_string()));
    let cosigned = trust.witnesses.as_ref().map(|policy| policy.check_witnesses(seal));
    let cosigned = note(held, Aspect::Witnesses, cosigned.transpose())?.unwrap_or_default();
    witnesses.extend(cosigned.iter().filter_map(|by| {
        Some(Cosigner { name: by.key.name().to_string(), unix_seconds: by.unix_seconds? })
    }));
    Ok(())
}

/// Checks one entry: its log, its payload, and that it was sealed in its place.
pub(super) fn proven(entry: &ProvenEntry, seal: &Seal) -> Result<(), Failure> {
    let ProvenEntry { payload, proof, record } = entry;
    let position = record.position;
    if record.origin != seal.origin {
        let (found, expected) = (record.origin.clone(), seal.origin.clone());
        return Err(Failure::Origin { position, found, expected });
    }
    if !record.is_of(payload) {
        return Err(Failure::Payload { position });
    }
    // Position 0 wraps to a leaf that no tree has.
    let index = position.get().wrapping_sub(1);
    let proof = InclusionProof { index, size: seal.size, hashes: proof.clone() };
    let leaf = TreeHash::from(record.leaf_hash());
    proof.verify(&leaf, &seal.root).map_err(|reason| Failure::Entry { position, reason })
}

fn entry_of(entry: &ProvenEntry, expected: StreamId, seal: &Seal) -> Result<(), Failure> {
    let (position, found) = (entry.record.position, entry.record.stream);
    if found != expected {
        return Err(Failure::Stream { position, found, expected });
    }
    proven(entry, seal)
}

/// What the index entry says, once it is shown to be the last that was sealed.
fn index(
    entry: &ProvenEntry,
    seal: &Seal,
    at_least: Position,
) -> Result<ChronicleIndexed, Failure> {
    let position = entry.record.position;
    if position.get() != seal.size {
        return Err(Failure::IndexNotLast { found: position, expected: seal.size });
    }
    proven(entry, seal)?;
    let not_an_index = |reason: String| Failure::NotAnIndex { position, reason };
    let stream = seal.origin.index_stream();
    if entry.record.stream != stream {
        let found = entry.record.stream;
        return Err(not_an_index(format!("it is of stream {found}, expected {stream}")));
    }
    let index = match entry.decode() {
        Ok(Decoded::Indexed(index)) => index,
        Ok(_) => return Err(not_an_index(format!("it is a {}", entry.record.r#type))),
        Err(violation) => return Err(not_an_index(violation.to_string())),
    };
    if index.tree_size >= position {
        let reason = format!("it indexes {} entries, which were not there yet", index.tree_size);
        return Err(not_an_index(reason));
    }
    if index.tree_size < at_least {
        return Err(Failure::Older { found: index.tree_size, expected: at_least });
    }
    Ok(index)
}

/// Checks that exactly the streams that matter are there, and each whole.
fn complete(evidence: &Evidence, index: &ChronicleIndexed) -> Result<(), Failure> {
    let own = StreamId::from(evidence.artifact_id);
    let find = |wanted| evidence.streams.iter().find(|stream| stream.stream == wanted);
    let artifact = find(own).ok_or(Failure::MissingStream { stream: own })?;
    whole(artifact, index)?;
    // Only a whole stream says which accords matter.
    let accords = accords_of(artifact);
    for (nth, ProvenStream { stream, .. }) in evidence.streams.iter().enumerate() {
        let is_second = evidence.streams[..nth].iter().any(|other| other.stream == *stream);
        if is_second || (*stream != own && !accords.contains(stream)) {
            return Err(Failure::UnwantedStream { stream: *stream });
        }
    }
    accords
        .into_iter()
        .try_for_each(|stream| whole(find(stream).ok_or(Failure::MissingStream { stream })?, index))
}

/// Checks that a stream has all the entries that were indexed, and no other.
fn whole(proven: &ProvenStream, index: &ChronicleIndexed) -> Result<(), Failure> {
    let stream = proven.stream;
    let bucket = Bucket::from_bytes(bucket_of(stream), &proven.bucket)
        .map_err(|reason| Failure::Bucket { stream, reason })?;
    bucket
        .verify(proven.proof.clone(), &index.index_root)
        .map_err(|reason| Failure::BucketProof { stream, reason })?;
    let (mut last, mut before) = (Version::ZERO, Position::ZERO);
    for ProvenEntry { record, .. } in &proven.entries {
        let expected = last.next().unwrap_or(Version::MAX);
        if record.version != expected {
            return Err(Failure::Version { stream, found: record.version, expected });
        }
        if record.position <= before {
            return Err(Failure::Order { position: record.position, before });
        }
        if record.position > index.tree_size {
            let (position, tree_size) = (record.position, index.tree_size);
            return Err(Failure::NotIndexed { position, tree_size });
        }
        (last, before) = (record.version, record.position);
    }
    let indexed = bucket.get(stream);
    let expected = indexed.map_or(Version::ZERO, |record| record.version);
    if last != expected {
        return Err(Failure::End { stream, found: last, expected });
    }
    let found = proven.entries.last().map(|entry| entry.record.leaf_hash());
    if found == indexed.map(|record| record.leaf_hash) {
        Ok(())
    } else {
        Err(Failure::LastEntry { stream })
    }
}

fn artifact(changes: Changes) -> Result<Changes, Failure> {
    if changes.artifacts.is_empty() { Err(Failure::NoArtifact) } else { Ok(changes) }
}

/// Judges the links once more, as an auditor of the tables would.
fn chain(changes: &Changes, policy: &CustodyPolicy) -> Result<(), Failure> {
    let mut judge = Judge::new(policy);
    for link in &changes.transitions {
        // The judge keeps the first that breaks something.
        let _ = judge.judge(link);
    }
    judge.check_links()?;
    Ok(changes.artifacts.iter().try_for_each(|row| judge.check_end(row))?)
}

//! One seal, judged by what is known of its log.

use guildhall_core::{Origin, TreeHash};
use serde::Serialize;

use super::Known;
use crate::note::{NoteSignature, Verified, parse_signature_lines};
use crate::seal::SignedSeal;

/// What is found of one seal by itself. Whether the log is what it says is another question.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JudgedSeal {
    /// The seal, with its cosignatures; none where its note is not valid.
    pub seal: Option<SignedSeal>,
    /// The names of the log's keys that signed it; none where no key is known, or none of them did.
    pub signers: Vec<String>,
    /// Who cosigned it, or says so.
    pub cosignatures: Vec<Cosigned>,
    /// Whether the quorum of the policy cosigned it, and why not; none where there is no policy, and
    /// where a cosignature is wrong.
    pub quorum: Option<Result<(), String>>,
    /// What is wrong with it.
    pub faults: Vec<String>,
}

/// A cosignature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Cosigned {
    /// The name of its key.
    pub name: String,
    /// When, in seconds since 1970-01-01T00:00:00Z, as it says.
    pub unix_seconds: u64,
    /// Whether it was verified: the policy knows the key, and the signature is its own.
    pub is_verified: bool,
}

impl Known {
    /// Judges a seal of the log's own table: its row, and the lines that witnesses added.
    pub fn judge_stored(
        &self,
        origin: &Origin,
        (size, root): (u64, TreeHash),
        note: &str,
        cosignatures: &[String],
    ) -> JudgedSeal {
        let mut seal = match SignedSeal::parse(note) {
            Ok(seal) => seal,
            Err(reason) => return JudgedSeal::no_seal(format!("its note is not valid: {reason}")),
        };
        let mut faults = Vec::new();
        if (seal.seal().size, seal.seal().root) != (size, root) {
            faults.push("its row states another size or root than its note".to_owned());
        }
        for line in cosignatures {
            let line = format!("{}\n", line.trim_end_matches('\n'));
            let added = parse_signature_lines(line.as_bytes())
                .and_then(|lines| lines.into_iter().try_for_each(|line| seal.add(line)));
            if let Err(reason) = added {
                faults.push(format!("a cosignature is not valid: {reason}"));
            }
        }
        let mut judged = self.judge(origin, seal);
        judged.faults.splice(..0, faults);
        judged
    }

    /// Judges a seal, wherever it is from: who signed it, and who cosigned it.
    pub fn judge(&self, origin: &Origin, seal: SignedSeal) -> JudgedSeal {
        let (mut signers, mut faults) = (Vec::new(), Vec::new());
        match &self.keys {
            None if seal.seal().origin != *origin => {
                faults.push(format!("it is of {}, expected {origin}", seal.seal().origin));
            }
            None => {}
            Some(keys) => match keys.verify(&seal) {
                Ok(signed) => signers.extend(signed.iter().map(|by| by.key.name().to_string())),
                Err(reason) => faults.push(reason.to_string()),
            },
        }
        let (mut cosigned, mut quorum) = (Vec::new(), None);
        if let Some(policy) = &self.witnesses {
            match policy.cosigned(&seal) {
                Ok(signed) => {
                    let reached = policy.check_quorum(&signed);
                    quorum = Some(reached.map_err(|reason| reason.to_string()));
                    cosigned = signed;
                }
                Err(reason) => faults.push(reason.to_string()),
            }
        }
        let signatures = seal.note().signatures().iter();
        let cosignatures = signatures.filter_map(|it| Cosigned::of(it, &cosigned)).collect();
        JudgedSeal { seal: Some(seal), signers, cosignatures, quorum, faults }
    }
}

impl JudgedSeal {
    fn no_seal(fault: String) -> Self {
        let (signers, cosignatures) = (Vec::new(), Vec::new());
        Self { seal: None, signers, cosignatures, quorum: None, faults: vec![fault] }
    }

    /// Whether a key of the log signed it, as far as is known.
    pub fn is_signed(&self) -> bool {
        !self.signers.is_empty()
    }

    /// The names of the witnesses whose cosignatures were verified.
    pub fn witnesses(&self) -> impl Iterator<Item = &str> {
        self.cosignatures.iter().filter(|it| it.is_verified).map(|it| it.name.as_str())
    }
}

impl Cosigned {
    /// None of a signature that has not the form of a cosignature, such as the log's own.
    fn of(signature: &NoteSignature, verified: &[Verified<'_>]) -> Option<Self> {
        Some(Self {
            name: signature.name.to_string(),
            unix_seconds: signature.stated_unix_seconds()?,
            is_verified: verified.iter().any(|by| signature.is_named(by.key)),
        })
    }
}

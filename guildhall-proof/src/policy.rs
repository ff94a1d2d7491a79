//! Trust policies: which logs, and which witnesses have to have cosigned (C2SP tlog-policy).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::key::{KeyError, KeyName, KeyType, VerifierKey};
use crate::note::{Verified, VerifyError};
use crate::seal::SignedSeal;

/// How many logs, witnesses and groups a policy may have, each.
pub const MAX_LINES: usize = 256;

/// A policy, as in its file.
///
/// Names in it are bytes and mean nothing outside. Keys of type 0x01 for logs and 0x04 for witnesses are
/// known here; a policy with another is refused rather than judged in part.
///
/// ```
/// use guildhall_proof::policy::Policy;
///
/// let policy = Policy::parse(b"\
///     log example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k\n\
///     quorum none\n")?;
/// assert_eq!(policy.logs().len(), 1);
/// # Ok::<(), guildhall_proof::policy::PolicyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<PolicyLog>,
    witnesses: Vec<PolicyWitness>,
    quorum: Quorum,
}

/// A log that the policy knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyLog {
    /// Its key, whose name is the log's origin.
    pub key: VerifierKey,
    /// Where it is reached, if the policy says so.
    pub url: Option<Vec<u8>>,
}

/// A witness that the policy knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyWitness {
    /// What the policy calls it.
    pub name: Vec<u8>,
    /// Its key.
    pub key: VerifierKey,
    /// Where it is reached (its submission prefix), if the policy says so.
    pub url: Option<Vec<u8>>,
}

/// Who has to have cosigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Quorum {
    /// Nobody.
    None,
    /// This witness, by its place in [`Policy::witnesses`].
    Witness(usize),
    /// So many of these.
    Group {
        /// How many, at least one and not more than there are.
        threshold: usize,
        /// Witnesses and groups, none of which is a member of another group too.
        members: Vec<Quorum>,
    },
}

/// Why a text is not a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct PolicyError {
    /// The line, from 1; the one after the last where something is missing.
    pub line: usize,
    /// What is wrong with it.
    pub fault: PolicyFault,
}

/// What is wrong with a line of a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyFault {
    /// It holds a control character other than a tab.
    #[error("the control character 0x{found:02x}")]
    Control {
        /// The character.
        found: u8,
    },
    /// It is of no known form.
    #[error(
        "not `log <vkey> [<url>]`, `witness <name> <vkey> [<url>]`, \
         `group <name> all|any|<k> <name>...` or `quorum <name>`"
    )]
    Form,
    /// A key is not valid, or of a type that is not known here.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A key is of the other type.
    #[error("the key {name} is of type 0x{found:02x}, and this takes 0x{expected:02x}")]
    Type {
        /// The key's name.
        name: KeyName,
        /// The byte of its type.
        found: u8,
        /// The byte of the type that is asked for.
        expected: u8,
    },
    /// The same public key stands on an earlier line.
    #[error("the public key of {name} stands on an earlier line")]
    DuplicateKey {
        /// The key's name.
        name: KeyName,
    },
    /// A name is taken.
    #[error("the name {name} is taken")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// A name is not defined on a line before.
    #[error("the name {name} is not defined before")]
    Undefined {
        /// The name.
        name: String,
    },
    /// A name is a member of a group already.
    #[error("{name} is a member of a group already")]
    Shared {
        /// The name.
        name: String,
    },
    /// A threshold asks for none or for more than there are.
    #[error("a threshold of {found:?} for {members} members")]
    Threshold {
        /// What was found.
        found: String,
        /// How many members there are.
        members: usize,
    },
    /// There are too many of a kind.
    #[error("more than {MAX_LINES} logs, witnesses or groups")]
    TooMany,
    /// There is a second quorum.
    #[error("a second quorum")]
    SecondQuorum,
    /// There is no quorum.
    #[error("no quorum; `quorum none` asks for no cosignature")]
    NoQuorum,
}

/// Why a seal does not satisfy a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsatisfied {
    /// No log of the policy has the seal's origin.
    #[error("the policy knows no log {origin}")]
    UnknownLog {
        /// The origin.
        origin: String,
    },
    /// The log's signature is missing or wrong.
    #[error("the log's signature: {0}")]
    Log(VerifyError),
    /// A witness's signature is wrong.
    #[error("a witness's signature: {0}")]
    Witness(VerifyError),
    /// Too few have cosigned.
    #[error("{found} of the policy's {known} witnesses cosigned, which is no quorum")]
    Quorum {
        /// How many cosigned.
        found: usize,
        /// How many the policy knows.
        known: usize,
    },
}

fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).chars().take(64).collect()
}

/// A policy in the making, line by line.
#[derive(Default)]
struct Reader {
    logs: Vec<PolicyLog>,
    witnesses: Vec<PolicyWitness>,
    named: BTreeMap<Vec<u8>, Quorum>,
    members: BTreeSet<Vec<u8>>,
    groups: usize,
    quorum: Option<Quorum>,
}

impl Reader {
    fn read(&mut self, line: &[u8]) -> Result<(), PolicyFault> {
        if let Some(&found) =
            line.iter().find(|&&byte| (byte < 0x20 && byte != b'\t') || byte == 0x7f)
        {
            return Err(PolicyFault::Control { found });
        }
        let words: Vec<&[u8]> =
            line.split(|byte| b" \t".contains(byte)).filter(|word| !word.is_empty()).collect();
        match words[..] {
            [] => Ok(()),
            [first, ..] if first.starts_with(b"#") => Ok(()),
            [b"log", key] => self.log(key, None),
            [b"log", key, url] => self.log(key, Some(url)),
            [b"witness", name, key] => self.witness(name, key, None),
            [b"witness", name, key, url] => self.witness(name, key, Some(url)),
            [b"group", name, threshold, ref members @ ..] if !members.is_empty() => {
                self.group(name, threshold, members)
            }
            [b"quorum", name] => self.set_quorum(name),
            _ => Err(PolicyFault::Form),
        }
    }

    fn log(&mut self, key: &[u8], url: Option<&[u8]>) -> Result<(), PolicyFault> {
        let key = parse_key(key, KeyType::Ed25519, self.logs.iter().map(|log| &log.key))?;
        self.logs.push(PolicyLog { key, url: url.map(Into::into) });
        at_most(self.logs.len())
    }

    fn witness(&mut self, name: &[u8], key: &[u8], url: Option<&[u8]>) -> Result<(), PolicyFault> {
        let known = self.witnesses.iter().map(|witness| &witness.key);
        let key = parse_key(key, KeyType::Cosignature, known)?;
        self.define(name, Quorum::Witness(self.witnesses.len()))?;
        self.witnesses.push(PolicyWitness { name: name.into(), key, url: url.map(Into::into) });
        at_most(self.witnesses.len())
    }

    fn group(
        &mut self,
        name: &[u8],
        threshold: &[u8],
        members: &[&[u8]],
    ) -> Result<(), PolicyFault> {
        let count = match threshold {
            b"all" => members.len(),
            b"any" => 1,
            digits => std::str::from_utf8(digits)
                .ok()
                .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|digits| digits.parse().ok())
                .filter(|count| (1..=members.len()).contains(count))
                .ok_or_else(|| PolicyFault::Threshold {
                    found: shown(threshold),
                    members: members.len(),
                })?,
        };
        self.groups += 1;
        at_most(self.groups)?;
        let mut of = Vec::new();
        for member in members {
            of.push(self.defined(member)?);
            if !self.members.insert(member.to_vec()) {
                return Err(PolicyFault::Shared { name: shown(member) });
            }
        }
        self.define(name, Quorum::Group { threshold: count, members: of })
    }

    fn set_quorum(&mut self, name: &[u8]) -> Result<(), PolicyFault> {
        let quorum = if name == b"none" { Quorum::None } else { self.defined(name)? };
        match self.quorum.replace(quorum) {
            None => Ok(()),
            Some(_) => Err(PolicyFault::SecondQuorum),
        }
    }

    fn defined(&self, name: &[u8]) -> Result<Quorum, PolicyFault> {
        let quorum = self.named.get(name).cloned();
        quorum.ok_or_else(|| PolicyFault::Undefined { name: shown(name) })
    }

    fn define(&mut self, name: &[u8], quorum: Quorum) -> Result<(), PolicyFault> {
        if name == b"none" || self.named.insert(name.into(), quorum).is_some() {
            return Err(PolicyFault::DuplicateName { name: shown(name) });
        }
        Ok(())
    }
}

const fn at_most(count: usize) -> Result<(), PolicyFault> {
    if count <= MAX_LINES { Ok(()) } else { Err(PolicyFault::TooMany) }
}

fn parse_key<'k>(
    text: &[u8],
    expected: KeyType,
    mut known: impl Iterator<Item = &'k VerifierKey>,
) -> Result<VerifierKey, PolicyFault> {
    let text = std::str::from_utf8(text).map_err(|_| PolicyFault::Form)?;
    let key: VerifierKey = text.parse()?;
    let name = key.name().clone();
    if key.key_type() != expected {
        let (found, expected) = (key.key_type().byte(), expected.byte());
        return Err(PolicyFault::Type { name, found, expected });
    }
    if known.any(|known| known.public() == key.public()) {
        return Err(PolicyFault::DuplicateKey { name });
    }
    Ok(key)
}

impl Policy {
    /// Reads a policy file. A line feed after the last line may be left out.
    ///
    /// # Errors
    /// [`PolicyError`], of the first line that is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        let mut reader = Reader::default();
        let mut last = 0;
        for (nth, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
            last = nth + 1;
            reader.read(line).map_err(|fault| PolicyError { line: last, fault })?;
        }
        let Reader { logs, witnesses, quorum, .. } = reader;
        let missing = PolicyError { line: last + 1, fault: PolicyFault::NoQuorum };
        Ok(Self { logs, witnesses, quorum: quorum.ok_or(missing)? })
    }

    /// The logs; none if they are known from elsewhere ([`LogKeys`](crate::LogKeys)).
    pub fn logs(&self) -> &[PolicyLog] {
        &self.logs
    }

    /// The witnesses.
    pub fn witnesses(&self) -> &[PolicyWitness] {
        &self.witnesses
    }

    /// Who has to have cosigned.
    pub const fn quorum(&self) -> &Quorum {
        &self.quorum
    }

    /// Checks a seal: the signature of a log that the policy lists, whose name is the seal's
    /// origin, and the quorum. Returns who signed, logs first.
    ///
    /// # Errors
    /// [`Unsatisfied`].
    pub fn check(&self, seal: &SignedSeal) -> Result<Vec<Verified<'_>>, Unsatisfied> {
        let origin = seal.seal().origin.as_str();
        let logs = self.logs.iter().map(|log| &log.key);
        let logs: Vec<_> = logs.filter(|key| key.name().as_str() == origin).collect();
        if logs.is_empty() {
            return Err(Unsatisfied::UnknownLog { origin: origin.to_owned() });
        }
        let mut signed = seal.note().verify(logs).map_err(Unsatisfied::Log)?;
        signed.extend(self.check_witnesses(seal)?);
        Ok(signed)
    }

    /// Checks the quorum alone, where the log's signature has been checked elsewhere. Returns which of
    /// the witnesses cosigned.
    ///
    /// # Errors
    /// [`Unsatisfied::Witness`] and [`Unsatisfied::Quorum`].
    pub fn check_witnesses(&self, seal: &SignedSeal) -> Result<Vec<Verified<'_>>, Unsatisfied> {
        let cosigned = self.cosigned(seal)?;
        self.check_quorum(&cosigned)?;
        Ok(cosigned)
    }

    /// Which of the witnesses cosigned, whether or not they are a quorum.
    ///
    /// # Errors
    /// [`Unsatisfied::Witness`].
    pub fn cosigned(&self, seal: &SignedSeal) -> Result<Vec<Verified<'_>>, Unsatisfied> {
        let keys = self.witnesses.iter().map(|witness| &witness.key);
        match seal.note().verify(keys) {
            Err(VerifyError::Unsigned) => Ok(Vec::new()),
            verified => verified.map_err(Unsatisfied::Witness),
        }
    }

    /// Whether these witnesses are a quorum.
    ///
    /// # Errors
    /// [`Unsatisfied::Quorum`].
    pub fn check_quorum(&self, cosigned: &[Verified<'_>]) -> Result<(), Unsatisfied> {
        let has_cosigned = |nth: usize| {
            self.witnesses
                .get(nth)
                .is_some_and(|witness| cosigned.iter().any(|verified| *verified.key == witness.key))
        };
        if self.quorum.is_reached(&has_cosigned) {
            Ok(())
        } else {
            Err(Unsatisfied::Quorum { found: cosigned.len(), known: self.witnesses.len() })
        }
    }
}

impl Quorum {
    fn is_reached(&self, has_cosigned: &impl Fn(usize) -> bool) -> bool {
        match self {
            Self::None => true,
            Self::Witness(nth) => has_cosigned(*nth),
            Self::Group { threshold, members } => {
                members.iter().filter(|member| member.is_reached(has_cosigned)).count()
                    >= *threshold
            }
        }
    }
}

impl fmt::Display for PolicyWitness {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&shown(&self.name))
    }
}

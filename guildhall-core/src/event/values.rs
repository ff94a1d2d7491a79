//! The values that fields of events take: tiers, outcomes, the well-known types of artifacts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::words::{UnknownWord, words};

/// The well-known values of `artifact_type`, which is an open string.
pub mod artifact_type {
    /// A device configuration profile of Microsoft Intune.
    pub const INTUNE_PROFILE: &str = "intune_profile";
    /// A DNS zone.
    pub const DNS_ZONE: &str = "dns_zone";
    /// A compiled PowerShell Desired State Configuration.
    pub const DSC_MOF: &str = "dsc_mof";
    /// A network device's configuration, modelled in YANG.
    pub const YANG_CONFIG: &str = "yang_config";
    /// The values of a Helm release.
    pub const HELM_VALUES: &str = "helm_values";
    /// A role capability of PowerShell Just Enough Administration.
    pub const JEA_ROLE: &str = "jea_role";
    /// A Conditional Access policy of Microsoft Entra.
    pub const CONDITIONAL_ACCESS: &str = "conditional_access";
    /// A TLS certificate.
    pub const TLS_CERTIFICATE: &str = "tls_certificate";
    /// A container image, by its OCI manifest.
    pub const OCI_IMAGE: &str = "oci_image";

    /// All of them.
    pub const WELL_KNOWN: [&str; 9] = [
        INTUNE_PROFILE,
        DNS_ZONE,
        DSC_MOF,
        YANG_CONFIG,
        HELM_VALUES,
        JEA_ROLE,
        CONDITIONAL_ACCESS,
        TLS_CERTIFICATE,
        OCI_IMAGE,
    ];
}

/// How critical an artifact is: 0 (the most) to 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Tier(u8);

/// A number that is not a tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("tier {found} is not 0, 1, 2 or 3")]
pub struct TierError {
    /// The number.
    pub found: u8,
}

impl Tier {
    /// Tier 0, the most critical.
    pub const ZERO: Self = Self(0);
    /// Tier 1.
    pub const ONE: Self = Self(1);
    /// Tier 2.
    pub const TWO: Self = Self(2);
    /// Tier 3, the least critical.
    pub const THREE: Self = Self(3);
    /// All four, the most critical first.
    pub const ALL: [Self; 4] = [Self::ZERO, Self::ONE, Self::TWO, Self::THREE];

    /// The tier of this number.
    ///
    /// # Errors
    /// [`TierError`] where it is not 0, 1, 2 or 3.
    pub const fn new(number: u8) -> Result<Self, TierError> {
        if number <= 3 { Ok(Self(number)) } else { Err(TierError { found: number }) }
    }

    /// The number, 0 to 3.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for Tier {
    type Error = TierError;

    fn try_from(number: u8) -> Result<Self, TierError> {
        Self::new(number)
    }
}

impl FromStr for Tier {
    type Err = UnknownWord;

    /// Reads what [`Display`](fmt::Display) writes: one digit.
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Ok(match text {
            "0" => Self::ZERO,
            "1" => Self::ONE,
            "2" => Self::TWO,
            "3" => Self::THREE,
            _ => {
                return Err(UnknownWord {
                    what: "tier",
                    found: text.chars().take(64).collect(),
                    choices: &["0", "1", "2", "3"],
                });
            }
        })
    }
}

impl From<Tier> for u8 {
    fn from(tier: Tier) -> Self {
        tier.0
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

words!(
    /// What a verification found.
    Outcome, "outcome" {
        /// What runs is what it should be.
        Passed = "passed",
        /// It is not.
        Failed = "failed",
        /// The verifier could not tell.
        Inconclusive = "inconclusive",
    }
);

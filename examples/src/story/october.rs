//! October: three accords, and nine artifacts that come under them. Times are UTC.

use guildhall_core::AccordId;
use guildhall_core::CustodyState::{CeremonyOpen, Deployed, Drafted, Ratified, Rejected};
use guildhall_core::Outcome::Passed;
use guildhall_core::event::artifact_type;
use serde_json::{Value, json};

use super::teller::{Handle, Registration, Teller};

const GRAPH: &str = "https://graph.microsoft.com/v1.0/$metadata#microsoft.graph";

/// Who decides.
pub(super) const SUBSTRATE: &str = "substrate";

/// The votes that a ceremony passed with.
pub(super) fn approvals(quorum: u8, by: &[(&str, &str)]) -> Value {
    let by: Vec<_> =
        by.iter().map(|(who, role)| json!({"by": who, "role": role, "vote": "approve"})).collect();
    json!({"quorum": quorum, "votes": by})
}

struct Accords {
    identity: AccordId,
    network: AccordId,
    delivery: AccordId,
}

/// Those that something happens to afterwards.
pub(super) struct Cast {
    pub(super) zone: Handle,
    pub(super) intune: Handle,
    pub(super) access: Handle,
    pub(super) certificate: Handle,
    pub(super) jump_hosts: Handle,
    pub(super) router: Handle,
    pub(super) image: Handle,
    pub(super) helm: Handle,
}

/// Tells it, and returns who is left.
pub(super) fn tell(t: &mut Teller) -> Cast {
    let accords = accords(t);
    october(t, &accords)
}

fn accords(t: &mut Teller) -> Accords {
    t.at("2026-10-05T06:00:00Z", "CHG-2101");
    Accords {
        identity: t.bind(
            "Identity and endpoints",
            "kari.solheim",
            include_str!("../../data/accords/identity_and_endpoints.json"),
        ),
        network: t.bind(
            "Network and servers",
            "kari.solheim",
            include_str!("../../data/accords/network_and_servers.json"),
        ),
        delivery: t.bind(
            "Software delivery",
            "kari.solheim",
            include_str!("../../data/accords/software_delivery.json"),
        ),
    }
}

fn october(t: &mut Teller, accords: &Accords) -> Cast {
    let network = [("tomas.reiter", "network-lead"), ("ole.brandvik", "terminal-operations")];
    let identity = [("lucia.ferro", "identity-lead"), ("maren.holt", "security-officer")];
    let release = [("priya.nair", "release-manager")];

    t.at("2026-10-05T09:10:00Z", "CHG-2104");
    let zone = t.register(
        accords.network,
        Registration {
            name: "calder.example",
            artifact_type: artifact_type::DNS_ZONE,
            tier: 0,
            schema: "https://schemas.calder.example/dns-zone/1",
            content: content!("dns_zone"),
        },
    );
    t.moves(
        zone,
        Drafted,
        "hanna.lund",
        "bring the public zone under governance as it stands",
        json!({"imported_from": "ns1.calder.example", "axfr_serial": 2_026_100_501}),
    );
    t.moves(
        zone,
        CeremonyOpen,
        "hanna.lund",
        "baseline of the public zone",
        json!({"checked_with": "named-checkzone", "exit_code": 0}),
    );

    t.at("2026-10-06T07:20:00Z", "CHG-2107");
    let intune = t.register(
        accords.identity,
        Registration {
            name: "CAL-WIN-Compliance-Corporate",
            artifact_type: artifact_type::INTUNE_PROFILE,
            tier: 1,
            schema: GRAPH,
            content: content!("intune_profile"),
        },
    );
    t.moves(
        intune,
        Drafted,
        "jonas.wirth",
        "compliance baseline for Windows 11 24H2 and later",
        Value::Null,
    );
    t.moves(
        intune,
        CeremonyOpen,
        "jonas.wirth",
        "ready after two weeks in the pilot ring",
        json!({"pilot_devices": 41, "non_compliant": 2}),
    );

    t.at("2026-10-07T04:30:00Z", "CHG-2104");
    t.moves(zone, Ratified, SUBSTRATE, "quorum reached", approvals(2, &network));
    t.moves(
        zone,
        Deployed,
        "zone-publisher",
        "published in the Wednesday window",
        json!({"serial": 2_026_100_501}),
    );
    t.sees_desired(zone, "ns1.calder.example", json!({"serial": 2_026_100_501}));
    t.sees_desired(zone, "ns2.calder.example", json!({"serial": 2_026_100_501}));

    t.at("2026-10-08T07:05:00Z", "CHG-2107");
    t.moves(intune, Ratified, SUBSTRATE, "quorum reached", approvals(2, &identity));
    t.moves(
        intune,
        Deployed,
        "graph-publisher",
        "assigned to the corporate group",
        json!({"graph_request_id": "5b0f6a1e-24b0-4d6b-8a41-6d6c9bb3f0d7"}),
    );
    t.sees_desired(intune, "ring-pilot", json!({"devices": 41, "compliant": 39}));
    t.at("2026-10-08T08:10:00Z", "CHG-2112");
    let access = t.register(
        accords.identity,
        Registration {
            name: "CA004 administrators",
            artifact_type: artifact_type::CONDITIONAL_ACCESS,
            tier: 0,
            schema: GRAPH,
            content: content!("conditional_access"),
        },
    );
    t.moves(
        access,
        Drafted,
        "lucia.ferro",
        "multi-factor sign-in for every directory role",
        Value::Null,
    );
    t.moves(
        access,
        CeremonyOpen,
        "lucia.ferro",
        "report-only for ten days without a surprise",
        json!({"report_only_days": 10, "would_have_blocked": 3}),
    );

    t.at("2026-10-09T08:30:00Z", "CHG-2114");
    let certificate = t.register(
        accords.delivery,
        Registration {
            name: "portal.calder.example",
            artifact_type: artifact_type::TLS_CERTIFICATE,
            tier: 1,
            schema: "https://schemas.calder.example/x509-certificate/1",
            content: content!("tls_certificate"),
        },
    );
    t.moves(
        certificate,
        Drafted,
        "sam.okafor",
        "customer portal, 90 days, ECDSA P-256",
        Value::Null,
    );
    t.moves(
        certificate,
        CeremonyOpen,
        "sam.okafor",
        "chain and SCTs check out",
        json!({"lint": {"errors": 0, "warnings": 0}}),
    );
    t.moves(certificate, Ratified, SUBSTRATE, "quorum reached", approvals(1, &release));

    t.at("2026-10-12T08:15:00Z", "CHG-2114");
    t.moves(certificate, Deployed, "sam.okafor", "loaded on the portal's balancer", Value::Null);
    t.sees_desired(certificate, "portal-lb", json!({"sni": "portal.calder.example", "port": 443}));
    t.at("2026-10-12T09:50:00Z", "CHG-2117");
    let jump_hosts = t.register(
        accords.network,
        Registration {
            name: "JumpHostHardening",
            artifact_type: artifact_type::DSC_MOF,
            tier: 1,
            schema: "https://schemas.calder.example/dsc-mof/2.0.0",
            content: content!("dsc_mof"),
        },
    );
    t.moves(
        jump_hosts,
        Drafted,
        "ines.aldana",
        "SMB1 off, NLA on, no print spooler",
        json!({"compiled_on": "CAL-BUILD-03"}),
    );
    t.moves(
        jump_hosts,
        CeremonyOpen,
        "ines.aldana",
        "rebuilt both test hosts from it",
        json!({"test_hosts": ["cal-jump-t1", "cal-jump-t2"], "in_desired_state": true}),
    );

    t.at("2026-10-13T07:15:00Z", "CHG-2112");
    t.moves(access, Ratified, SUBSTRATE, "quorum reached", approvals(2, &identity));
    t.moves(
        access,
        Deployed,
        "graph-publisher",
        "switched from report-only to enabled",
        Value::Null,
    );
    t.sees_desired(access, "tenant calder.example", json!({"state": "enabled"}));
    t.sees_desired(intune, "ring-corporate", json!({"devices": 612, "compliant": 588}));
    t.at("2026-10-13T12:00:00Z", "CHG-2119");
    let router = t.register(
        accords.network,
        Registration {
            name: "quay-core",
            artifact_type: artifact_type::YANG_CONFIG,
            tier: 0,
            schema: "urn:ietf:params:xml:ns:yang:ietf-interfaces",
            content: content!("yang_config"),
        },
    );
    t.moves(
        router,
        Drafted,
        "tomas.reiter",
        "crane controllers behind an access list",
        Value::Null,
    );
    t.moves(
        router,
        CeremonyOpen,
        "hanna.lund",
        "validated on the lab pair",
        json!({"netconf": "validate", "datastore": "candidate", "ok": true}),
    );

    t.at("2026-10-14T04:20:00Z", "CHG-2117");
    t.moves(jump_hosts, Ratified, SUBSTRATE, "quorum reached", approvals(2, &network));
    t.moves(jump_hosts, Deployed, "ines.aldana", "pulled by both hosts", Value::Null);
    t.sees_desired(jump_hosts, "cal-jump-01", json!({"InDesiredState": true}));
    t.sees_desired(jump_hosts, "cal-jump-02", json!({"InDesiredState": true}));

    t.at("2026-10-15T10:40:00Z", "CHG-2122");
    let jea = t.register(
        accords.identity,
        Registration {
            name: "ServiceDesk-DnsOperator",
            artifact_type: artifact_type::JEA_ROLE,
            tier: 2,
            schema: "https://schemas.calder.example/jea-role-capability/1",
            content: content!("jea_role"),
        },
    );
    t.moves(
        jea,
        Drafted,
        "jonas.wirth",
        "the service desk clears caches and adds host records",
        Value::Null,
    );
    t.moves(
        jea,
        CeremonyOpen,
        "jonas.wirth",
        "tried on a lab domain controller",
        json!({"Test-PSSessionConfigurationFile": true}),
    );

    t.at("2026-10-19T04:15:00Z", "CHG-2119");
    t.moves(router, Ratified, SUBSTRATE, "quorum reached", approvals(2, &network));
    t.moves(
        router,
        Deployed,
        "netconf-publisher",
        "confirmed commit, 5 minutes",
        json!({"confirmed": true, "confirm-timeout": 300}),
    );
    t.sees_desired(router, "quay-core-1", json!({"datastore": "running"}));
    t.sees_desired(router, "quay-core-2", json!({"datastore": "running"}));
    t.at("2026-10-19T13:20:00Z", "CHG-2126");
    let image = t.register(
        accords.delivery,
        Registration {
            name: "berth/berth-scheduler:2.14.3",
            artifact_type: artifact_type::OCI_IMAGE,
            tier: 1,
            schema: "https://opencontainers.org/schema/image/manifest",
            content: content!("oci_image"),
        },
    );
    t.moves(
        image,
        Drafted,
        "sam.okafor",
        "release 2.14.3 of the berth scheduler",
        json!({"pipeline": "berth/scheduler#4471"}),
    );
    t.moves(
        image,
        CeremonyOpen,
        "sam.okafor",
        "release candidate 2 promoted",
        json!({"tests": {"passed": 1284, "failed": 0}}),
    );

    t.at("2026-10-20T07:30:00Z", "CHG-2122");
    t.moves(jea, Rejected, SUBSTRATE, "Start-Process is visible: the role could leave its endpoint",
        json!({"quorum": 2, "votes": [{"by": "lucia.ferro", "role": "identity-lead", "vote": "reject"}, {"by": "maren.holt", "role": "security-officer", "vote": "reject"}]}));
    t.at("2026-10-20T08:05:00Z", "CHG-2126");
    t.moves(
        image,
        Drafted,
        "sam.okafor",
        "withdrawn: the signing key had expired, the image is unsigned",
        json!({"cosign": "no matching signatures"}),
    );
    t.at("2026-10-20T08:40:00Z", "CHG-2127");
    let helm = t.register(
        accords.delivery,
        Registration {
            name: "berth-scheduler",
            artifact_type: artifact_type::HELM_VALUES,
            tier: 2,
            schema: "https://charts.calder.example/berth-scheduler/4.2.0/values.schema.json",
            content: content!("helm_values"),
        },
    );
    t.moves(helm, Drafted, "sam.okafor", "three replicas over three zones", Value::Null);
    t.moves(
        helm,
        CeremonyOpen,
        "sam.okafor",
        "rendered and applied on the staging cluster",
        json!({"helm": "template --validate", "exit_code": 0}),
    );

    t.at("2026-10-21T09:00:00Z", "CHG-2126");
    t.moves(
        image,
        CeremonyOpen,
        "sam.okafor",
        "signed with the new key, the same digest",
        json!({"cosign": {"verified": true, "bundle": "sigstore"}}),
    );
    t.verifies(
        image,
        None,
        "image-scanner",
        Passed,
        json!({"critical": 0, "high": 0, "medium": 4}),
    );
    t.moves(image, Ratified, SUBSTRATE, "quorum reached", approvals(1, &release));
    t.at("2026-10-21T09:30:00Z", "CHG-2127");
    t.moves(helm, Ratified, SUBSTRATE, "quorum reached", approvals(1, &release));

    t.at("2026-10-22T08:10:00Z", "CHG-2126");
    t.moves(image, Deployed, "cluster-publisher", "rolled out with chart 4.2.0", Value::Null);
    t.sees_desired(image, "cluster-north", json!({"pods": 3}));
    t.sees_desired(image, "cluster-south", json!({"pods": 3}));
    t.at("2026-10-22T08:11:00Z", "CHG-2127");
    t.moves(helm, Deployed, "cluster-publisher", "rolled out with chart 4.2.0", Value::Null);
    t.sees_desired(helm, "cluster-north", json!({"revision": 37}));
    t.sees_desired(helm, "cluster-south", json!({"revision": 35}));
    // Nobody told the pipeline how the ceremony had ended.
    t.at("2026-10-22T22:00:00Z", "CHG-2122");
    t.breaks(
        jea,
        Deployed,
        "ci-jea-roles",
        "nightly roll-out of approved roles",
        json!({"pipeline": "identity/jea-roles#882"}),
    );

    Cast { zone, intune, access, certificate, jump_hosts, router, image, helm }
}

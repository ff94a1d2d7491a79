//! From the first weekly round to the end: what drifts, what is mended, what is left open.
//! Times are UTC.

use guildhall_core::CustodyState::{CeremonyOpen, Deployed, Ratified, Retired, Suspended};
use guildhall_core::Json;
use guildhall_core::Outcome::{Failed, Inconclusive, Passed};
use serde_json::{Value, json};

use super::october::{Cast, SUBSTRATE, approvals};
use super::teller::Teller;

/// A content with one value changed: what somebody did by hand.
fn changed(content: &str, pointer: &str, value: Value) -> Json {
    let mut tree = Json::parse(content).unwrap().to_value();
    *tree.pointer_mut(pointer).unwrap() = value;
    Json::from_value(&tree).unwrap()
}

pub(super) fn tell(t: &mut Teller, cast: &Cast) {
    first_sweep_and_suspension(t, cast);
    mail_moves(t, cast);
    november(t, cast);
}

fn first_sweep_and_suspension(t: &mut Teller, cast: &Cast) {
    t.at("2026-10-26T05:00:00Z", None);
    t.sweep("2026-W44");
    t.verifies(
        cast.zone,
        "ns1.calder.example",
        "zone-checker",
        Passed,
        json!({"dnssec": "secure", "lame_delegations": 0}),
    );
    t.verifies(
        cast.zone,
        "ns2.calder.example",
        "zone-checker",
        Passed,
        json!({"dnssec": "secure", "lame_delegations": 0}),
    );
    t.verifies(
        cast.intune,
        None,
        "graph-auditor",
        Passed,
        json!({"fields_compared": 38, "differences": []}),
    );
    t.verifies(
        cast.access,
        None,
        "graph-auditor",
        Passed,
        json!({"fields_compared": 24, "differences": []}),
    );
    t.verifies(
        cast.router,
        "quay-core-1",
        "netconf-auditor",
        Passed,
        json!({"get-config": "running", "differences": []}),
    );
    t.verifies(
        cast.router,
        "quay-core-2",
        "netconf-auditor",
        Passed,
        json!({"get-config": "running", "differences": []}),
    );
    t.verifies(cast.certificate, "portal-lb", "cluster-auditor", Passed, json!({"days_left": 27}));
    t.notes(cast.router, "example.calder.shift-handover.noted.v1", json!({"from": "night", "to": "day", "text": "crane 4 lost Modbus for two minutes, cause unknown"}));

    t.at("2026-10-28T13:42:00Z", "INC-0388");
    let spooler = changed(content!("dsc_mof"), "/instances/2/State", json!("Running"));
    t.sees_other(
        cast.jump_hosts,
        "cal-jump-02",
        &spooler,
        json!({"InDesiredState": false, "ResourcesNotInDesiredState": ["[Service]Spooler"]}),
    );
    t.verifies(
        cast.jump_hosts,
        "cal-jump-02",
        "dsc-auditor",
        Failed,
        json!({"resource": "[Service]Spooler", "found": "Running", "expected": "Stopped"}),
    );
    t.at("2026-10-28T15:05:00Z", "INC-0388");
    t.moves(
        cast.jump_hosts,
        Suspended,
        "maren.holt",
        "a printer driver was installed on a jump host: nobody signs in until it is understood",
        json!({"incident": "INC-0388", "isolated": ["cal-jump-01", "cal-jump-02"]}),
    );
    t.sees_nothing(cast.jump_hosts, "cal-jump-01", json!({"power": "off"}));
    t.sees_nothing(cast.jump_hosts, "cal-jump-02", json!({"power": "off", "disk": "imaged"}));
}

fn mail_moves(t: &mut Teller, cast: &Cast) {
    t.at("2026-11-02T09:20:00Z", "CHG-2140");
    t.revise(cast.zone, content!("dns_zone_hosted_mail"));
    t.moves(
        cast.zone,
        CeremonyOpen,
        "hanna.lund",
        "mail moves to the hosted service on Wednesday",
        json!({"mx_ttl_lowered": false, "checked_with": "named-checkzone", "exit_code": 0}),
    );
    t.at("2026-11-04T05:05:00Z", "CHG-2140");
    t.moves(
        cast.zone,
        Ratified,
        SUBSTRATE,
        "quorum reached",
        approvals(2, &[("tomas.reiter", "network-lead"), ("ole.brandvik", "terminal-operations")]),
    );
    t.moves(
        cast.zone,
        Deployed,
        "zone-publisher",
        "published in the Wednesday window",
        json!({"serial": 2_026_110_401}),
    );
    t.sees_desired(cast.zone, "ns1.calder.example", json!({"serial": 2_026_110_401}));
    let old_zone = Json::parse(content!("dns_zone")).unwrap();
    t.sees_other(
        cast.zone,
        "ns2.calder.example",
        &old_zone,
        json!({"serial": 2_026_100_501, "transfer": "REFUSED"}),
    );
    t.verifies(
        cast.zone,
        "ns2.calder.example",
        "zone-checker",
        Failed,
        json!({"serial": 2_026_100_501, "expected": 2_026_110_401}),
    );
    t.at("2026-11-04T05:41:00Z", "CHG-2140");
    t.sees_desired(cast.zone, "ns2.calder.example", json!({"serial": 2_026_110_401, "transfer": "NOERROR", "mended_by": "hanna.lund", "cause": "the key of the transfer had not been rotated"}));
    t.verifies(
        cast.zone,
        "ns2.calder.example",
        "zone-checker",
        Passed,
        json!({"dnssec": "secure", "lame_delegations": 0}),
    );
}

fn november(t: &mut Teller, cast: &Cast) {
    t.at("2026-11-09T05:00:00Z", None);
    t.sweep("2026-W46");
    t.verifies(
        cast.image,
        "cluster-north",
        "image-scanner",
        Passed,
        json!({"critical": 0, "high": 0, "medium": 6}),
    );
    t.verifies(
        cast.helm,
        "cluster-north",
        "cluster-auditor",
        Passed,
        json!({"helm": "get values", "differences": []}),
    );
    t.verifies(
        cast.helm,
        "cluster-south",
        "cluster-auditor",
        Passed,
        json!({"helm": "get values", "differences": []}),
    );
    t.at("2026-11-09T16:12:00Z", "INC-0395");
    let relaxed = changed(content!("intune_profile"), "/memoryIntegrityEnabled", json!(false));
    t.sees_other(cast.intune, "ring-corporate", &relaxed, json!({"modified_by": "a.nilsen@calder.example", "differences": ["memoryIntegrityEnabled"]}));
    t.verifies(cast.intune, "ring-corporate", "graph-auditor", Failed, json!({"differences": [{"field": "memoryIntegrityEnabled", "found": false, "expected": true}]}));
    t.at("2026-11-10T07:26:00Z", "INC-0395");
    t.sees_desired(
        cast.intune,
        "ring-corporate",
        json!({"devices": 617, "compliant": 601, "mended_by": "graph-publisher"}),
    );
    t.verifies(
        cast.intune,
        "ring-corporate",
        "graph-auditor",
        Passed,
        json!({"fields_compared": 38, "differences": []}),
    );

    t.at("2026-11-12T01:17:00Z", "INC-0401");
    let opened = changed(
        content!("yang_config"),
        "/ietf-access-control-list:acls/acl/0/aces/ace/0/matches/ipv4/source-ipv4-network",
        json!("10.40.0.0/16"),
    );
    t.sees_other(
        cast.router,
        "quay-core-2",
        &opened,
        json!({"datastore": "running", "changed_by": "cli:vendor-crane", "line": "vty3"}),
    );
    t.verifies(cast.router, "quay-core-2", "netconf-auditor", Failed, json!({"path": "/acls/acl[name='crane-plc-in']/aces/ace[name='modbus-from-scada']", "found": "10.40.0.0/16", "expected": "10.40.10.0/28"}));
    t.at("2026-11-13T03:02:00Z", "INC-0403");
    t.sees_nothing(
        cast.helm,
        "cluster-south",
        json!({"error": "dial tcp 10.60.0.1:6443: i/o timeout"}),
    );
    t.verifies(
        cast.helm,
        "cluster-south",
        "cluster-auditor",
        Inconclusive,
        json!({"error": "the API server does not answer"}),
    );

    t.at("2026-11-16T05:00:00Z", None);
    t.sweep("2026-W47");
    t.verifies(
        cast.zone,
        "ns1.calder.example",
        "zone-checker",
        Passed,
        json!({"dnssec": "secure", "lame_delegations": 0}),
    );
    t.verifies(
        cast.zone,
        "ns2.calder.example",
        "zone-checker",
        Passed,
        json!({"dnssec": "secure", "lame_delegations": 0}),
    );
    t.verifies(
        cast.access,
        None,
        "graph-auditor",
        Passed,
        json!({"fields_compared": 24, "differences": []}),
    );
    t.verifies(cast.image, "cluster-north", "image-scanner", Failed, json!({"critical": 0, "high": 1, "package": "libexpat 2.7.1", "cvss": 7.5, "grace_ends": "2026-11-30"}));

    t.at("2026-11-17T12:35:00Z", "CHG-2153");
    t.revise(cast.access, content!("conditional_access_phishing_resistant"));
    t.at("2026-11-18T09:00:00Z", "CHG-2155");
    t.moves(
        cast.certificate,
        Retired,
        "sam.okafor",
        "the portal moved behind the managed gateway, which has a certificate of its own",
        json!({"revoked": true, "crl_reason": "superseded"}),
    );
    t.at("2026-11-19T08:20:00Z", "CHG-2153");
    t.moves(cast.access, CeremonyOpen, "lucia.ferro", "administrators sign in with passkeys or smart cards only", json!({"administrators": 19, "without_a_passkey": ["a.nilsen@calder.example"], "what_if": "1 of 19 would be blocked"}));
    t.verifies(
        cast.router,
        "quay-core-1",
        "netconf-auditor",
        Passed,
        json!({"get-config": "running", "differences": []}),
    );
    t.verifies(cast.router, "quay-core-2", "netconf-auditor", Failed, json!({"path": "/acls/acl[name='crane-plc-in']/aces/ace[name='modbus-from-scada']", "found": "10.40.0.0/16", "expected": "10.40.10.0/28"}));
    t.at("2026-11-20T06:10:00Z", "INC-0403");
    t.verifies(
        cast.helm,
        "cluster-south",
        "cluster-auditor",
        Inconclusive,
        json!({"error": "the API server does not answer", "since": "2026-11-13T03:02:00Z"}),
    );
}

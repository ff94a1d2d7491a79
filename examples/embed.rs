//! Record, project, ask: Guildhall inside a program of one's own.
//!
//! `cargo run --example embed`

use guildhall::prelude::*;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let guild = Guild::open(folder.path().join("guildhall.db")).await?;
    let (runtime, recorder) = (guild.run(), guild.recorder());

    let at = "2026-11-23T10:05:00Z".parse()?;
    let accord = AccordBound::new("change control", "board", "{}".parse()?, at);
    let (kind, name, zone) = (artifact_type::DNS_ZONE, "example.com", r#"{"ttl": 300}"#.parse()?);
    let (tier, schema) = (Tier::ZERO, "https://example.com/zone.json");
    let zone = ArtifactRegistered::new(accord.accord_id, kind, name, tier, zone, schema);
    let (zone_id, act) = (zone.artifact_id, |reason| Act::new("ada", reason, at));
    recorder.record(accord).await?;
    recorder.record(zone).await?;
    let draft = Command::transition(zone_id, CustodyState::Drafted, act("first draft"));
    recorder.record(draft).await?;
    let open = Command::open_ceremony(zone_id, CeremonyId::new(), act("please decide"));
    let opened = recorder.record(open).await?;

    runtime.wait_until(opened.position).await?;
    let waiting = guild.ops_db().open_ceremonies(None, 10).await?;
    assert_eq!(waiting.rows[0].name, "example.com");
    Ok(guild.close().await?)
}

//! Artifacts: filters, orders, drift.

use std::collections::HashSet;

use guildhall_core::ops::{ArtifactKey, SortValue};
use guildhall_core::{
    AccordId, ArtifactDetail, ArtifactId, ArtifactQuery, ArtifactSort, ArtifactSummary, AsOf, Cid,
    CustodyState, Drift, Json, Page, Table, Timestamp,
};
use rusqlite::types::Value;
use rusqlite::{CachedStatement, OptionalExtension, params_from_iter};

use super::select::{
    Asked, STANDS, Select, bytes, left_or_in_state, left_or_of_health, outcome_condition, texts,
    words,
};
use crate::ops_rows::Columns;

/// The values of a key, in the order of [`order_columns`].
fn values_of(key: &ArtifactKey) -> Vec<Value> {
    let value = match &key.value {
        SortValue::Number(number) => Some((*number).into()),
        SortValue::Text(text) => Some(text.clone().into()),
        SortValue::None => None,
    };
    match key.sort {
        ArtifactSort::Position => value.into_iter().collect(),
        _ => value.into_iter().chain([key.name.clone().into(), bytes(key.id.as_uuid())]).collect(),
    }
}

/// The columns that an order goes by; each list is that of an index.
fn order_columns(sort: ArtifactSort) -> &'static [&'static str] {
    match sort {
        // By drift, it is by name in each of its parts.
        ArtifactSort::Name | ArtifactSort::Drift => &["name", "id"],
        ArtifactSort::ArtifactType => &["artifact_type", "name", "id"],
        ArtifactSort::Tier => &["tier", "name", "id"],
        ArtifactSort::CustodyState => &["coalesce(custody_state, '')", "name", "id"],
        ArtifactSort::Cid => &["cid", "name", "id"],
        // No two artifacts have one position.
        ArtifactSort::Position => &["position"],
    }
}

/// The statement of all that match; content last, for the fragment to be looked for.
fn select_all(query: &ArtifactQuery, as_of: Option<AsOf>) -> Select {
    let mut select = Select::from(match query.content_contains {
        None => include_str!("../sql/select_artifacts.sql"),
        Some(_) => include_str!("../sql/select_artifacts_with_content.sql"),
    });
    let cids = query.cids.iter().map(|cid| Value::Text(cid.to_string()));
    select = select
        .and_any("id", query.ids.iter().map(|id| bytes(id.as_uuid())).collect())
        .and_any("cid", cids.collect())
        .and_any("name", texts(&query.names))
        .and_begins("name", &query.name_begins)
        .and_begins("cid", query.cid_begins.as_slice())
        .and_any("artifact_type", texts(&query.artifact_types))
        .and_any("tier", query.tiers.iter().map(|tier| i64::from(tier.get()).into()).collect())
        .and_any("coalesce(custody_state, '')", words(&query.custody_states, CustodyState::as_str))
        .and_any("accord_binding_id", query.accords.iter().map(|id| bytes(id.as_uuid())).collect());
    if let Some(moment) = as_of.filter(|_| !query.custody_states.is_empty()) {
        let marks = vec!["?"; query.custody_states.len()].join(", ");
        let states = words(&query.custody_states, CustodyState::as_str);
        let twice = [states.clone(), states].concat();
        select = select.and(&left_or_in_state(&marks, moment), twice);
    }
    if let Some(text) = &query.name_contains {
        // `lower` knows ASCII alone, as wanted.
        select = select.and("instr(lower(name), lower(?)) > 0", [text.clone().into()]);
    }
    if !query.drifts.is_empty() {
        let drifts: Vec<_> =
            query.drifts.iter().map(|drift| drift_condition_as_of(*drift, as_of)).collect();
        select = select.and(&format!("({})", drifts.join(" OR ")), []);
    }
    if let Some(before) = query.verified_before {
        let latest = "coalesce((SELECT max(verified_at) FROM verification_results AS verdict \
                      WHERE verdict.artifact_id = governed_artifacts.id), '')";
        select = select.and(&format!("{latest} < ?"), [before.to_string().into()]);
    }
    if !query.verdicts.is_empty() {
        let (outcomes, values) = outcome_condition(&query.verdicts);
        let judged = "SELECT verdict.artifact_id FROM verification_results AS verdict";
        select = select.and(&format!("id IN ({judged} WHERE {outcomes} AND {STANDS})"), values);
    }
    select
}

fn looks_inside(query: &ArtifactQuery) -> bool {
    query.content_contains.is_some() || query.terms_contain.is_some()
}

/// The statement of a page.
pub(super) fn select_page(query: &ArtifactQuery, as_of: Option<AsOf>) -> Select {
    let (mut select, paging) = (select_all(query, as_of), query.paging());
    let columns = order_columns(query.sort);
    if let Some(key) = &paging.key
        && query.sort == ArtifactSort::CustodyState
    {
        // SQLite does not see that a row value begins with an indexed expression.
        let beyond = if query.is_descending != paging.is_turned { "<" } else { ">" };
        let value = values_of(key).into_iter().take(1);
        select = select.and(&format!("{} {beyond}= ?", columns[0]), value);
    }
    let mut select = select.paged(columns, query.is_descending, &paging, values_of);
    if looks_inside(query) {
        // Whoever looks inside the rows stops by itself.
        select.values.pop();
        select.values.push((-1).into());
    }
    select
}

/// The same, or as of a moment from those and what changed since.
fn drift_condition_as_of(drift: Drift, as_of: Option<AsOf>) -> String {
    let condition = drift_condition(drift).to_owned();
    let Some(moment) = as_of else { return condition };
    ["drifted", "unknown"].into_iter().fold(condition, |condition, health| {
        let of_health = format!("WHERE health = '{health}'");
        let few = format!("{of_health} AND {}", left_or_of_health(health, moment));
        condition.replace(&of_health, &few)
    })
}

/// Sets of the few artifacts that are not healthy, from partial indexes.
fn drift_condition(drift: Drift) -> &'static str {
    match drift {
        Drift::Undeployed => {
            "NOT EXISTS (SELECT 1 FROM deployment_states AS target WHERE target.artifact_id = governed_artifacts.id)"
        }
        Drift::Drifted => {
            "id IN (SELECT artifact_id FROM deployment_states WHERE health = 'drifted')"
        }
        Drift::Unknown => {
            "(id IN (SELECT artifact_id FROM deployment_states WHERE health = 'unknown') \
              AND id NOT IN (SELECT artifact_id FROM deployment_states WHERE health = 'drifted'))"
        }
        Drift::Healthy => {
            "(EXISTS (SELECT 1 FROM deployment_states AS target WHERE target.artifact_id = governed_artifacts.id) \
              AND id NOT IN (SELECT artifact_id FROM deployment_states WHERE health = 'unknown') \
              AND id NOT IN (SELECT artifact_id FROM deployment_states WHERE health = 'drifted'))"
        }
    }
}

pub(super) fn load_page(
    asked: &Asked<'_>,
    query: &ArtifactQuery,
) -> rusqlite::Result<Page<ArtifactSummary>> {
    let paging = query.paging();
    let wanted = usize::try_from(paging.wanted()).unwrap_or(usize::MAX);
    let mut load_drift = LoadDrift::prepare(asked)?;
    let mut rows = Vec::new();
    for part in query.parts() {
        visit(asked, query, &select_page(&part, asked.as_of), |mut summary| {
            (summary.drift, summary.drift_since) = load_drift.of(summary.id)?;
            rows.push(summary);
            Ok(rows.len() < wanted)
        })?;
        if rows.len() >= wanted {
            break;
        }
    }
    Ok(paging.page(rows, |row| ArtifactKey::of(row, query)))
}

/// How many match, up to one beyond `bound`.
pub(super) fn count(asked: &Asked<'_>, query: &ArtifactQuery, bound: u32) -> rusqlite::Result<u64> {
    let select = select_all(query, asked.as_of);
    if !looks_inside(query) {
        return select.count(asked, bound);
    }
    let mut count = 0;
    visit(asked, query, &select, |_| {
        count += 1;
        Ok(count <= u64::from(bound))
    })?;
    Ok(count)
}

/// Hands over the rows of a statement that match, without their drift, until `take` has enough.
fn visit(
    asked: &Asked<'_>,
    query: &ArtifactQuery,
    select: &Select,
    mut take: impl FnMut(ArtifactSummary) -> rusqlite::Result<bool>,
) -> rusqlite::Result<()> {
    let accords = match &query.terms_contain {
        Some(fragment) => Some(load_accords_containing(asked, fragment)?),
        None => None,
    };
    let mut statement = asked.prepare(&select.sql)?;
    let mut stored =
        statement.query(params_from_iter(asked.values(select.values.iter().cloned())))?;
    while let Some(row) = stored.next()? {
        let mut columns = Columns::of(row);
        let summary = ArtifactSummary {
            id: columns.value()?,
            accord_binding_id: columns.value()?,
            name: columns.value()?,
            artifact_type: columns.value()?,
            tier: columns.value()?,
            cid: columns.value::<Cid>()?,
            custody_state: columns.value()?,
            drift: Drift::Undeployed,
            drift_since: None,
            position: columns.value()?,
        };
        if accords.as_ref().is_some_and(|accords| !accords.contains(&summary.accord_binding_id)) {
            continue;
        }
        if let Some(fragment) = &query.content_contains
            && !columns.value::<Json>()?.contains(fragment)
        {
            continue;
        }
        if !take(summary)? {
            break;
        }
    }
    Ok(())
}

fn load_accords_containing(
    asked: &Asked<'_>,
    fragment: &Json,
) -> rusqlite::Result<HashSet<AccordId>> {
    let mut statement = asked.prepare("SELECT id, accord_terms FROM accord_bindings")?;
    let mut rows = statement.query(params_from_iter(asked.values([])))?;
    let mut found = HashSet::new();
    while let Some(row) = rows.next()? {
        let mut columns = Columns::of(row);
        let id = columns.value::<AccordId>()?;
        if columns.value::<Json>()?.contains(fragment) {
            found.insert(id);
        }
    }
    Ok(found)
}

/// Looks up artifacts' health over all their targets; prepared once for all of a page.
struct LoadDrift<'c> {
    asked: Asked<'c>,
    statement: CachedStatement<'c>,
}

impl<'c> LoadDrift<'c> {
    fn prepare(asked: &Asked<'c>) -> rusqlite::Result<Self> {
        let sql = "SELECT health, health_since FROM deployment_states WHERE artifact_id = ?";
        Ok(Self { asked: *asked, statement: asked.prepare(sql)? })
    }

    /// The health, and since when.
    fn of(&mut self, id: ArtifactId) -> rusqlite::Result<(Drift, Option<Timestamp>)> {
        let values = self.asked.values([bytes(id.as_uuid())]);
        let targets = self.statement.query_map(params_from_iter(values), |row| {
            let mut columns = Columns::of(row);
            Ok((columns.value()?, columns.value()?))
        })?;
        Ok(Drift::of(targets.collect::<rusqlite::Result<Vec<_>>>()?))
    }
}

/// One artifact, and its accord.
pub(super) const LOAD_ARTIFACT: &str = include_str!("../sql/load_artifact.sql");

pub(super) fn load_detail(
    asked: &Asked<'_>,
    id: ArtifactId,
) -> rusqlite::Result<Option<ArtifactDetail>> {
    let mut load = asked.prepare(&Table::expand(LOAD_ARTIFACT))?;
    let values = asked.values([bytes(id.as_uuid())]);
    let found = load.query_row(params_from_iter(values), |row| {
        let mut columns = Columns::of(row);
        Ok((columns.row()?, columns.row()?))
    });
    let Some((artifact, accord)) = found.optional()? else { return Ok(None) };
    let (drift, drift_since) = LoadDrift::prepare(asked)?.of(id)?;
    Ok(Some(ArtifactDetail { artifact, accord, drift, drift_since }))
}

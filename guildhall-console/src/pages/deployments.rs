//! What runs where: every target of every artifact.

use axum::response::Response;
use guildhall_core::{Counted, DeploymentQuery, DeploymentSort, DeploymentState, Health, Page};
use maud::{Markup, html};

use super::content::on_demand;
use super::lists::{COUNTED, Chip, List, Order, choices, total, words};
use super::{Names, Place, heading, names_of, shown, whole};
use crate::error::RequestError;
use crate::format::{self, ago, artifact, cid, key, since, text};
use crate::params::Params;
use crate::standing::Standing;
use crate::view::{Seen, View};

const ROWS: u32 = 100;

pub(crate) async fn page(view: View) -> Result<Response, RequestError> {
    let params = &view.params;
    let loaded = async {
        let query = params.deployments(ROWS)?;
        let standing = Standing::load(&view.app).await?;
        let moment = view.ops_db.snapshot().await?;
        let page = moment.deployments(&query).await?;
        let counted = moment.count(&Counted::Deployments(query.clone()), COUNTED).await?;
        let ids = page.rows.iter().map(|row| row.artifact_id).chain(query.artifact_id);
        let names = names_of(&*moment, ids).await?;
        Ok::<_, RequestError>((query, standing, page, counted, names))
    };
    let (query, standing, page, counted, names) = loaded.await?;
    let list = List { links: view.links(), path: "/deployments", params };
    let content = html! {
        (heading(&html! { "Deployments" }, &total(counted)))
        form.filters method="get" action={ (view.app.base) "/deployments" } aria-label="Deployments" {
            (choices("Health", "health", &words(Health::ALL, &query.healths, Health::as_str)))
            @for name in ["artifact", "target", "target_begins", "sort", "descending", "limit"] {
                @for value in params.all(name) { input type="hidden" name=(name) value=(value); }
            }
            (view.links().kept())
            button type="submit" { "Apply" }
        }
        (list.chips(&chips(params, &query, &names)))
        div #deployments .panel data-live { (table(&view, list, &query, &page, &names)) }
    };
    Ok(shown(whole(&view, Place::Deployments, "Deployments", Some(&standing), &content)))
}

fn chips(params: &Params, query: &DeploymentQuery, names: &Names) -> Vec<Chip> {
    let mut chips = Chip::of_artifact(params, query.artifact_id, names);
    chips.extend(Chip::of_each(params, "target", |target| format!("target: {target}")));
    chips.extend(Chip::of_each(params, "target_begins", |text| {
        format!("target begins with {text:?}")
    }));
    chips.extend(Chip::of_each(params, "health", str::to_owned));
    chips
}

fn table(
    view: &View,
    list: List<'_>,
    query: &DeploymentQuery,
    page: &Page<DeploymentState>,
    names: &Names,
) -> Markup {
    let seen = view.seen();
    let column = |sort: DeploymentSort, name| {
        let (current, is_descending) = (query.sort.as_str(), query.is_descending);
        let default = DeploymentSort::Artifact.as_str();
        let order = Order { word: sort.as_str(), default, current, is_descending };
        list.column(order, name, "")
    };
    let head = html! {
        (column(DeploymentSort::Artifact, "Artifact")) (column(DeploymentSort::Target, "Target"))
        (column(DeploymentSort::HealthSince, "Health, since"))
        th scope="col" { "Desired" } th scope="col" { "Observed" } th scope="col" { "Seen" }
    };
    list.table("Deployments", "No deployment matches.", page, &head, |row| line(seen, row, names))
}

fn line(Seen { links, now }: Seen<'_>, row: &DeploymentState, names: &Names) -> Markup {
    let id = format!("d{}-{}", row.artifact_id, key(&row.target));
    let name = names.get(&row.artifact_id).map_or("", String::as_str);
    html! {
        tr id=(id) {
            th scope="row" { (artifact(links, row.artifact_id, name)) }
            td data-label="on" { (text(&row.target)) (on_demand(&id, &row.detail, "detail")) }
            td { (format::health(row.health)) " " span.muted { (since(row.health_since, now)) } }
            td data-label="desired" { (cid(&id, "desired", row.desired_cid)) }
            td data-label="observed" { @match row.observed_cid { Some(observed) => (cid(&id, "observed", observed)), None => span.muted { "nothing" } } }
            td data-label="seen" { (ago(row.observed_at, now)) }
        }
    }
}

//! What verifiers found: every verdict.

use axum::response::Response;
use guildhall_core::{Counted, Outcome, Page, VerificationQuery, VerificationResult};
use maud::{Markup, html};

use super::content::on_demand;
use super::lists::{COUNTED, Chip, List, choices, total, words};
use super::{Names, Place, heading, names_of, shown, whole};
use crate::error::RequestError;
use crate::format::{self, ago, artifact, exact, text};
use crate::params::Params;
use crate::standing::Standing;
use crate::view::{Seen, View};

const ROWS: u32 = 100;

pub(crate) async fn page(view: View) -> Result<Response, RequestError> {
    let params = &view.params;
    let loaded = async {
        let query = params.verifications(ROWS)?;
        let standing = Standing::load(&view.app).await?;
        let moment = view.ops_db.snapshot().await?;
        let page = moment.verifications(&query).await?;
        let counted = moment.count(&Counted::Verifications(query.clone()), COUNTED).await?;
        let ids = page.rows.iter().map(|row| row.artifact_id).chain(query.artifact_id);
        let names = names_of(&*moment, ids).await?;
        Ok::<_, RequestError>((query, standing, page, counted, names))
    };
    let (query, standing, page, counted, names) = loaded.await?;
    let list = List { links: view.links(), path: "/verifications", params };
    let standing_verdicts =
        [("true".to_owned(), "only those that stand".to_owned(), query.is_standing)];
    let content = html! {
        (heading(&html! { "Verifications" }, &total(counted)))
        form.filters method="get" action={ (view.app.base) "/verifications" } aria-label="Verifications" {
            (choices("Outcome", "outcome", &words(Outcome::ALL, &query.outcomes, Outcome::as_str)))
            (choices("Standing", "standing", &standing_verdicts))
            @for name in ["artifact", "target", "verifier", "verified_since", "verified_before", "ascending", "limit"] {
                @for value in params.all(name) { input type="hidden" name=(name) value=(value); }
            }
            (view.links().kept())
            button type="submit" { "Apply" }
        }
        (list.chips(&chips(params, &query, &names)))
        div #verifications .panel data-live { (table(&view, list, &query, &page, &names)) }
    };
    Ok(shown(whole(&view, Place::Verifications, "Verifications", Some(&standing), &content)))
}

fn chips(params: &Params, query: &VerificationQuery, names: &Names) -> Vec<Chip> {
    let mut chips = Chip::of_artifact(params, query.artifact_id, names);
    chips.extend(Chip::of_each(params, "target", |target| format!("target: {target}")));
    chips.extend(Chip::of_each(params, "verifier", |verifier| format!("verifier: {verifier}")));
    chips.extend(Chip::of_each(params, "outcome", str::to_owned));
    if query.is_standing {
        chips.extend(Chip::of_each(params, "standing", |_| "only those that stand".to_owned()));
    }
    if let Some(at) = query.verified_since {
        let label = |_: &str| format!("judged since {}", exact(at));
        chips.extend(Chip::of_each(params, "verified_since", label));
    }
    if let Some(at) = query.verified_before {
        let label = |_: &str| format!("judged before {}", exact(at));
        chips.extend(Chip::of_each(params, "verified_before", label));
    }
    chips
}

fn table(
    view: &View,
    list: List<'_>,
    query: &VerificationQuery,
    page: &Page<VerificationResult>,
    names: &Names,
) -> Markup {
    let seen = view.seen();
    let (state, sign, turned) =
        if query.is_ascending { ("ascending", "↑", "") } else { ("descending", "↓", "true") };
    let head = html! {
        th scope="col" { "Artifact" } th scope="col" { "Outcome" } th scope="col" { "Verifier" } th scope="col" { "Target" }
        th scope="col" aria-sort=(state) {
            a #by-verified_at href=(list.link(&[("ascending", turned), ("after", "")])) { "Judged " span aria-hidden="true" { (sign) } }
        }
    };
    list.table("Verifications", "No verification matches.", page, &head, |row| {
        line(seen, list, row, names)
    })
}

fn line(
    Seen { links, now }: Seen<'_>,
    list: List<'_>,
    row: &VerificationResult,
    names: &Names,
) -> Markup {
    let id = format!("v{}", row.id);
    let name = names.get(&row.artifact_id).map_or("", String::as_str);
    html! {
        tr id=(id) {
            th scope="row" { (artifact(links, row.artifact_id, name)) }
            td { (format::outcome(row.outcome)) (on_demand(&id, &row.evidence, "evidence")) }
            td data-label="by" { a href=(list.link(&[("verifier", &row.verifier), ("after", "")])) { (text(&row.verifier)) } }
            td data-label="on" { @match &row.target { Some(target) => a href=(list.link(&[("target", target), ("after", "")])) { (text(target)) }, None => span.muted { "the artifact itself" } } }
            td data-label="judged" { (ago(row.verified_at, now)) }
        }
    }
}

//! The accords that artifacts are governed under.

use axum::response::Response;
use guildhall_core::{AccordBinding, AccordQuery, AccordSort, Counted, Page};
use maud::{Markup, html};

use super::lists::{COUNTED, Chip, List, Order, total};
use super::{Place, heading, shown, whole};
use crate::error::RequestError;
use crate::format::{ago, short, text};
use crate::params::Params;
use crate::standing::Standing;
use crate::view::{Seen, View};

const ROWS: u32 = 100;

pub(crate) async fn page(view: View) -> Result<Response, RequestError> {
    let params = &view.params;
    let loaded = async {
        let query = params.accords(ROWS)?;
        let standing = Standing::load(&view.app).await?;
        let page = view.ops_db.accords(&query).await?;
        let counted = view.ops_db.count(&Counted::Accords(query.clone()), COUNTED).await?;
        Ok::<_, RequestError>((query, standing, page, counted))
    };
    let (query, standing, page, counted) = loaded.await?;
    let list = List { links: view.links(), path: "/accords", params };
    let content = html! {
        (heading(&html! { "Accords" }, &total(counted)))
        (list.chips(&chips(params)))
        div #accords .panel data-live { (table(&view, list, &query, &page)) }
    };
    Ok(shown(whole(&view, Place::Accords, "Accords", Some(&standing), &content)))
}

fn chips(params: &Params) -> Vec<Chip> {
    let mut chips = Chip::of_each(params, "name", |name| format!("name: {name}"));
    chips.extend(Chip::of_each(params, "name_begins", |text| format!("name begins with {text:?}")));
    chips
}

fn table(view: &View, list: List<'_>, query: &AccordQuery, page: &Page<AccordBinding>) -> Markup {
    let seen = view.seen();
    let column = |sort: AccordSort, name| {
        let (current, is_descending) = (query.sort.as_str(), query.is_descending);
        let default = AccordSort::Name.as_str();
        let order = Order { word: sort.as_str(), default, current, is_descending };
        list.column(order, name, "")
    };
    let head = html! {
        (column(AccordSort::Name, "Name")) th scope="col" { "Bound by" }
        (column(AccordSort::EffectiveAt, "In force")) th scope="col" { "Governs" } th scope="col" { "Id" }
    };
    list.table("Accords", "No accord is bound.", page, &head, |row| line(seen, row))
}

fn line(Seen { links, now }: Seen<'_>, row: &AccordBinding) -> Markup {
    let id = format!("accord-{}", row.id);
    html! {
        tr id=(id) {
            th scope="row" { a.name href=(links.to(format_args!("/accords/{}", row.id))) { (text(&row.name)) } }
            td data-label="bound by" { (text(&row.bound_by)) }
            td data-label="in force" { (ago(row.effective_at, now)) }
            td { a.name href=(links.to(format_args!("/artifacts?accord={}", row.id))) { "its artifacts" } }
            td data-label="id" { (short(&id, "id", &row.id.to_string())) }
        }
    }
}

//! What every list has: orders, the filters that are chosen, how many rows, pages in both directions,
//! files of it.

use guildhall_core::{ArtifactId, MAX_PAGE_ROWS, Page, Total};
use maud::{Markup, html};

use super::{Names, nothing, scrolling};
use crate::format::{self, count};
use crate::params::Params;
use crate::view::Links;

/// How far rows are counted.
pub(crate) const COUNTED: u32 = 10_000;

/// A list on a page of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct List<'l> {
    pub(crate) links: Links<'l>,
    /// Its path under the console; the API has the same after `/api/v1`.
    pub(crate) path: &'static str,
    pub(crate) params: &'l Params,
}

/// An order that a list can have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order<'o> {
    /// Its word in the URL.
    pub(crate) word: &'static str,
    /// The word of the order that the list has where the URL names none.
    pub(crate) default: &'static str,
    /// The word of the order that it has now, and whether it is turned round.
    pub(crate) current: &'o str,
    pub(crate) is_descending: bool,
}

/// A filter that is chosen: its name and value in the URL, and what people read.
#[derive(Debug, Clone)]
pub(crate) struct Chip {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) label: String,
}

impl Chip {
    /// The chips of every value of one name.
    pub(crate) fn of_each(
        params: &Params,
        name: &'static str,
        label: impl Fn(&str) -> String,
    ) -> Vec<Self> {
        let chip = |value: &str| Self { name, value: value.to_owned(), label: label(value) };
        params.all(name).map(chip).collect()
    }

    /// The chips of the artifact that rows are about, by its name where that is known.
    pub(crate) fn of_artifact(params: &Params, id: Option<ArtifactId>, names: &Names) -> Vec<Self> {
        let name = id.and_then(|id| names.get(&id));
        Self::of_each(params, "artifact", |id| {
            format!("artifact: {}", name.map_or(id, |name| name))
        })
    }
}

impl List<'_> {
    /// The list with these changes to its parameters.
    pub(crate) fn link(&self, changes: &[(&str, &str)]) -> String {
        self.links.to(format_args!("{}?{}", self.path, self.params.with(changes)))
    }

    /// The head of a column that rows can be ordered by.
    pub(crate) fn column(&self, order: Order<'_>, name: &str, class: &str) -> Markup {
        let is_this = order.current == order.word;
        let descending = if is_this && !order.is_descending { "true" } else { "" };
        let word = if order.word == order.default { "" } else { order.word };
        let link = self.link(&[("sort", word), ("descending", descending), ("after", "")]);
        let (state, sign) = match (is_this, order.is_descending) {
            (false, _) => (None, ""),
            (true, false) => (Some("ascending"), "↑"),
            (true, true) => (Some("descending"), "↓"),
        };
        html! {
            th scope="col" class=(class) aria-sort=[state] {
                a id={ "by-" (order.word) } href=(link) { (name) " " span aria-hidden="true" { (sign) } }
            }
        }
    }

    /// The filters that are chosen, each with a link to the list without it.
    pub(crate) fn chips(&self, chips: &[Chip]) -> Markup {
        html! {
            ul #chips .chips data-live aria-label="Chosen filters" hidden[chips.is_empty()] {
                @for Chip { name, value, label } in chips {
                    @let link = self.links.to(format_args!("{}?{}", self.path, self.params.without(name, value)));
                    li { a.chip href=(link) { span.hidden { "Remove filter: " } bdi { (label) } span aria-hidden="true" { " ✕" } } }
                }
                @if chips.len() > 1 { li { a.clear href=(self.links.to(self.path)) { "Clear all" } } }
            }
        }
    }

    /// The rows of a page as a table with this head, or a word that there are none; and the links that
    /// lead on from them.
    pub(crate) fn table<T>(
        &self,
        label: &str,
        none: &str,
        page: &Page<T>,
        head: &Markup,
        line: impl Fn(&T) -> Markup,
    ) -> Markup {
        html! {
            @if page.rows.is_empty() { (nothing(none)) }
            @else {
                (scrolling(label, &html! {
                    table {
                        thead { tr { (head) } }
                        tbody { @for row in &page.rows { (line(row)) } }
                    }
                }))
            }
            (self.paging(page))
            (self.files())
        }
    }

    /// Links to the first page, the one before and the next.
    pub(crate) fn paging<T>(&self, page: &Page<T>) -> Markup {
        paging(self.links, self.path, self.params, "after", page)
    }

    /// Links to the list in files, with the filters and the order that are chosen.
    pub(crate) fn files(&self) -> Markup {
        let (links, path) = (self.links, self.path);
        let all = self.params.with(&[("after", ""), ("limit", "")]);
        let most = MAX_PAGE_ROWS.to_string();
        let page = self.params.with(&[("after", ""), ("limit", &most)]);
        html! {
            p.files {
                a href=(links.to(format_args!("/api/v1{path}.csv?{all}"))) { "CSV" } span.muted { " every row" } " · "
                a href=(links.to(format_args!("/api/v1{path}?{page}"))) { "JSON" } span.muted { " " (most) " rows a page" }
            }
        }
    }
}

/// Links to the first page, the one before and the next, of a list that goes on at a parameter.
pub(crate) fn paging<T>(
    links: Links<'_>,
    path: &str,
    params: &Params,
    name: &'static str,
    page: &Page<T>,
) -> Markup {
    let is_first = params.first(name).is_none();
    let to = |cursor: &str| links.to(format_args!("{path}?{}", params.with(&[(name, cursor)])));
    html! {
        @if !is_first || page.next.is_some() {
            nav.paging aria-label="Pages" {
                @if !is_first { a href=(to("")) rel="first" { "« First page" } }
                @if let Some(previous) = &page.previous { a href=(to(previous.as_str())) rel="prev" { "‹ Previous page" } }
                @if let Some(next) = &page.next { a href=(to(next.as_str())) rel="next" { "Next page ›" } }
            }
        }
    }
}

/// How many rows there are, as far as they were counted.
pub(crate) fn up_to(total: Total) -> String {
    let more = if total.has_more { "more than " } else { "" };
    format!("{more}{}", count(total.rows))
}

/// The same beside the title of a page.
pub(crate) fn total(total: Total) -> Markup {
    html! { span #total .total data-live { (up_to(total)) } }
}

/// A choice of a filter: its value in the URL, what people read, and whether it is taken.
pub(crate) type Choice = (String, String, bool);

/// The choices of a filter among words.
pub(crate) fn words<T: Copy + PartialEq>(
    all: &[T],
    taken: &[T],
    word: impl Fn(T) -> &'static str,
) -> Vec<Choice> {
    let choice = |one: &T| (word(*one).to_owned(), format::words(word(*one)), taken.contains(one));
    all.iter().map(choice).collect()
}

/// One filter: its choices behind a button that says how many are taken.
pub(crate) fn choices(label: &str, name: &str, choices: &[Choice]) -> Markup {
    let taken = choices.iter().filter(|(_, _, is_taken)| *is_taken).count();
    html! {
        details.filter {
            summary { (label) " " span.taken { @if taken > 0 { (taken) } } }
            fieldset {
                legend { (label) }
                @for (value, word, is_taken) in choices {
                    label { input type="checkbox" name=(name) value=(value) checked[*is_taken]; " " bdi { (word) } }
                }
            }
        }
    }
}

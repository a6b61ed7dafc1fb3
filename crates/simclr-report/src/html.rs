//! The page: everything it needs is inside it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::block::Block;
use crate::error::Result;
use crate::foreign::GENERATOR;
use crate::table::{Cell, Table};

const STYLE: &str = include_str!("style.css");

/// The whole document.
///
/// # Errors
/// [`Error::Report`](crate::Error::Report) if a table's row does not fit its columns.
pub(super) fn page(title: &str, question: &str, blocks: &[Block]) -> Result<Markup> {
    Ok(html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="generator" content=(GENERATOR);
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (title) }
                    p.question { (question) }
                    (contents(blocks))
                }
                main {
                    @for (index, block) in blocks.iter().enumerate() {
                        (show(index, block)?)
                    }
                }
            }
        }
    })
}

fn contents(blocks: &[Block]) -> Markup {
    html! {
        nav aria-label="Sections" {
            @for (index, block) in blocks.iter().enumerate() {
                @if let Block::Section(heading) = block {
                    a href=(format!("#section-{index}")) { (heading) }
                }
            }
        }
    }
}

fn show(index: usize, block: &Block) -> Result<Markup> {
    Ok(match block {
        Block::Finding(text) => html! { p.finding { (unbroken(text)) } },
        Block::Section(heading) => html! { h2 id=(format!("section-{index}")) { (heading) } },
        Block::Subsection(heading) => html! { h3 { (heading) } },
        Block::Text(paragraph) => html! { p { (unbroken(paragraph)) } },
        Block::Code(code) => html! { pre { (code) } },
        Block::Table(table) => show_table(table)?,
        Block::Folded(summary, table) => html! {
            details { summary { (summary) } (show_table(table)?) }
        },
        Block::Figure(figure) => captioned(
            "figure",
            &figure.name,
            &figure.caption,
            PreEscaped(figure.content.as_str().to_owned()),
            download(
                &figure.name,
                "svg",
                "image/svg+xml",
                figure.content.as_str().as_bytes(),
            ),
        ),
        Block::Image(image) => {
            let picture = html! {
                img src=(data_uri("image/png", &image.content)) alt=(image.caption);
            };
            captioned("image", &image.name, &image.caption, picture, html! {})
        }
    })
}

/// A figure, which its caption names.
fn captioned(kind: &str, name: &str, caption: &str, content: Markup, link: Markup) -> Markup {
    let id = format!("{kind}-{name}");
    html! {
        figure aria-labelledby=(id) {
            (content)
            figcaption { span id=(id) { (unbroken(caption)) } " " (link) }
        }
    }
}

fn show_table(table: &Table) -> Result<Markup> {
    let class = |column| table.is_numeric(column).then_some("number");
    let id = format!("table-{}", table.name());
    let mut csv = Vec::new();
    table.write_csv(&mut csv)?;
    let table_of_cells = html! {
        // Whoever moves by keys can reach what lies to the right.
        div.scroll tabindex="0" role="region" aria-labelledby=(id) {
            table aria-labelledby=(id) {
                thead {
                    tr {
                        @for (column, name) in table.columns.iter().enumerate() {
                            th scope="col" class=[class(column)] { (name) }
                        }
                    }
                }
                tbody {
                    @for row in &table.rows {
                        tr {
                            @for (column, cell) in row.iter().enumerate() {
                                @if column == 0 {
                                    th scope="row" class=[class(column)] { (show_cell(cell)) }
                                } @else {
                                    td class=[class(column)] { (show_cell(cell)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    };
    let link = download(table.name(), "csv", "text/csv;charset=utf-8", &csv);
    Ok(captioned(
        "table",
        table.name(),
        table.caption(),
        table_of_cells,
        link,
    ))
}

fn show_cell(cell: &Cell) -> Markup {
    let (first, second) = cell.lines();
    html! { (unbroken(&first)) @if let Some(second) = second { small { (second) } } }
}

/// The text with percent signs that do not begin a line.
fn unbroken(text: &str) -> String {
    text.replace(" %", "\u{a0}%")
}

/// A link to a file that is inside the page.
fn download(name: &str, ending: &str, kind: &str, bytes: &[u8]) -> Markup {
    let file = format!("{name}.{ending}");
    html! { a.file href=(data_uri(kind, bytes)) download=(file) { (file) } }
}

fn data_uri(kind: &str, bytes: &[u8]) -> String {
    format!("data:{kind};base64,{}", BASE64_STANDARD.encode(bytes))
}

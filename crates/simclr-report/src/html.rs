//! The page: everything it needs is inside it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::block::Block;
use crate::table::Table;

const STYLE: &str = include_str!("style.css");

/// The whole document.
pub(super) fn page(title: &str, question: &str, blocks: &[Block]) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
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
                        (show(index, block))
                    }
                }
            }
        }
    }
}

fn contents(blocks: &[Block]) -> Markup {
    html! {
        nav {
            @for (index, block) in blocks.iter().enumerate() {
                @if let Block::Section(heading) = block {
                    a href=(format!("#section-{index}")) { (heading) }
                }
            }
        }
    }
}

fn show(index: usize, block: &Block) -> Markup {
    match block {
        Block::Section(heading) => html! { h2 id=(format!("section-{index}")) { (heading) } },
        Block::Text(paragraph) => html! { p { (paragraph) } },
        Block::Code(code) => html! { pre { (code) } },
        Block::Table(table) => html! {
            figure {
                (show_table(table))
                (caption(table.caption(), &format!("tables/{}.csv", table.name()), "CSV"))
            }
        },
        Block::Figure(figure) => html! {
            figure {
                (PreEscaped(figure.content.as_str()))
                (caption(&figure.caption, &format!("figures/{}.svg", figure.name), "SVG"))
            }
        },
        Block::Image(image) => html! {
            figure {
                img src=(data_uri(&image.content)) alt=(image.caption);
                (caption(&image.caption, &format!("figures/{}.png", image.name), "PNG"))
            }
        },
    }
}

fn caption(text: &str, file: &str, kind: &str) -> Markup {
    html! {
        figcaption { (text) " " a.file href=(file) { (kind) } }
    }
}

fn show_table(table: &Table) -> Markup {
    let class = |column| table.is_numeric(column).then_some("number");
    html! {
        div.scroll {
            table {
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
                                td class=[class(column)] { (cell.show()) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn data_uri(png: &[u8]) -> String {
    format!("data:image/png;base64,{}", BASE64_STANDARD.encode(png))
}

//! The page: everything it needs is inside it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::block::Block;
use crate::builder::Report;
use crate::table::Table;

const STYLE: &str = include_str!("style.css");

/// The whole document.
pub(super) fn page(report: &Report) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (report.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (report.title) }
                    p.question { (report.question) }
                    (contents(report))
                }
                main {
                    @for (index, block) in report.blocks.iter().enumerate() {
                        (show(index, block))
                    }
                }
            }
        }
    }
}

fn contents(report: &Report) -> Markup {
    html! {
        nav {
            @for (index, block) in report.blocks.iter().enumerate() {
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
                (caption(&table.caption, &format!("tables/{}.csv", table.name), "CSV"))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::{LineChart, Series};

    const HOSTILE: &str = "<script>alert(\"1\")</script> & co";

    /// The smallest PNG file.
    fn png() -> Vec<u8> {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let image = image::RgbImage::new(1, 1);
        image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    fn report() -> Report {
        let line = Series::new(HOSTILE, vec![(0.0, 1.0), (1.0, 2.0)]);
        let figure = LineChart::new(HOSTILE).series(line).render().unwrap();
        Report::new(HOSTILE, HOSTILE)
            .settings(&serde_json::json!({ HOSTILE: HOSTILE }))
            .unwrap()
            .section(HOSTILE)
            .text(HOSTILE)
            .table(
                Table::new("t", HOSTILE)
                    .columns([HOSTILE])
                    .row([HOSTILE.into()]),
            )
            .figure("f", figure, HOSTILE)
            .image("i", png(), HOSTILE)
            .code(HOSTILE)
    }

    #[test]
    fn nothing_that_users_write_becomes_markup() {
        let page = page(&report()).into_string();
        assert!(!page.contains("<script"), "{page}");
        let escaped = page.matches("&lt;script&gt;").count();
        assert!(escaped >= 14, "{escaped}");
    }

    #[test]
    fn nothing_is_fetched_from_elsewhere() {
        let page = page(&report()).into_string();
        let outside = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!outside.contains("http") && !outside.contains("@import"));
        assert!(page.contains("src=\"data:image/png;base64,iVBORw0KGgo"));
        assert!(page.contains("<svg "));
    }

    #[test]
    fn a_report_is_written_with_its_figures_and_tables_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = report().write(dir.path()).unwrap();
        assert!(std::fs::read_to_string(path).unwrap().ends_with("</html>"));
        assert_eq!(
            std::fs::read(dir.path().join("figures/i.png")).unwrap(),
            png()
        );
        let svg = std::fs::read_to_string(dir.path().join("figures/f.svg")).unwrap();
        assert!(svg.ends_with("</svg>\n"));
        for table in ["settings", "t"] {
            assert!(dir.path().join(format!("tables/{table}.csv")).exists());
        }
    }

    #[test]
    fn a_report_that_cannot_be_written_whole_is_not_begun() {
        let dir = tempfile::tempdir().unwrap();
        let table = |name| Table::new(name, "");
        for (report, message) in [
            (Report::new("", "").table(table("../x")), "letters, digits"),
            (Report::new("", "").table(table("")), "letters, digits"),
            (
                Report::new("", "").table(table("a")).table(table("a")),
                "two blocks",
            ),
            (
                Report::new("", "").table(table("a").row(["x".into()])),
                "1 cells for 0 columns",
            ),
            (
                Report::new("", "").image("a", vec![1, 2], ""),
                "not those of a PNG",
            ),
        ] {
            let error = report.write(dir.path()).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        }
        // A table and a figure may share a name: their files differ.
        let figure = LineChart::new("").render().unwrap();
        let report = Report::new("", "")
            .table(table("a"))
            .figure("a", figure, "");
        report.write(dir.path()).unwrap();
    }
}

//! Looking into figures.

/// Checks that every tag is closed in order and that no bare `&` or `<` is
/// left: enough XML for what plotters writes.
pub(super) fn assert_well_formed(svg: &str) {
    let mut open = Vec::new();
    let mut rest = svg;
    while let Some(start) = rest.find('<') {
        check_text(&rest[..start]);
        let end = start + rest[start..].find('>').expect("a tag without an end");
        let tag = &rest[start + 1..end];
        assert!(!tag.contains('<'), "a < inside the tag {tag}");
        let name = tag
            .trim_start_matches('/')
            .split([' ', '/'])
            .next()
            .unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "closed out of order");
        } else if !tag.ends_with('/') {
            open.push(name);
        }
        for value in tag.split('"').skip(1).step_by(2) {
            check_text(value);
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "an open quote in {tag}");
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "left open: {open:?}");
    assert!(
        !svg.contains("NaN") && !svg.contains("inf\""),
        "not a number"
    );
}

fn check_text(text: &str) {
    for (position, _) in text.match_indices('&') {
        let entity = &text[position..];
        let known = ["&lt;", "&gt;", "&amp;", "&quot;", "&apos;"];
        assert!(
            known.iter().any(|k| entity.starts_with(k)),
            "a bare & in {text}"
        );
    }
}

/// The texts of a figure, without their escapes.
pub(super) fn texts(svg: &str) -> Vec<String> {
    svg.split("<text ")
        .skip(1)
        .map(|part| {
            let text = part.split('>').nth(1).unwrap().split('<').next().unwrap();
            text.trim()
                .replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&quot;", "\"")
                .replace("&apos;", "'")
                .replace("&amp;", "&")
        })
        .collect()
}

/// Checks that a figure is well-formed and shows these texts.
pub(super) fn assert_shows(svg: &str, expected: &[&str]) {
    assert_well_formed(svg);
    let texts = texts(svg);
    for text in expected {
        assert!(
            texts.iter().any(|shown| shown == text),
            "{text} in {texts:?}"
        );
    }
}

pub(super) fn count(svg: &str, part: &str) -> usize {
    svg.matches(part).count()
}

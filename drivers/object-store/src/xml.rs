//! The part of XML that the answers of S3 need, where the `object_store` crate does not read them.
//!
//! Stores differ in quoting and spacing, so this only looks for elements by name.

/// The text of the first element `name`, unescaped.
pub fn text(document: &str, name: &str) -> Option<String> {
    element(document, name).map(|(content, _)| unescape(content))
}

/// The contents of all elements `name`, as written.
pub fn elements<'a>(document: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let mut rest = document;
    std::iter::from_fn(move || {
        let (content, behind) = element(rest, name)?;
        rest = behind;
        Some(content)
    })
}

fn element<'a>(document: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    let (_, behind) = document.split_once(&format!("<{name}>"))?;
    behind.split_once(&format!("</{name}>"))
}

fn unescape(text: &str) -> String {
    let mut text = text.trim().to_owned();
    for (escaped, character) in
        [("&quot;", "\""), ("&#34;", "\""), ("&apos;", "'"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")]
    {
        text = text.replace(escaped, character);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etags_are_found_however_they_are_quoted() {
        for tag in ["\"abc\"", "&quot;abc&quot;", "&#34;abc&#34;"] {
            let document = format!("<?xml version=\"1.0\"?><R xmlns=\"x\"><ETag>{tag}</ETag></R>");
            assert_eq!(text(&document, "ETag").as_deref(), Some("\"abc\""));
        }
        assert_eq!(text("<R><ETag>abc</ETag></R>", "ETag").as_deref(), Some("abc"));
        assert_eq!(text("<R></R>", "ETag"), None);
    }

    #[test]
    fn repeated_elements_are_all_found() {
        let document = "<R><U><Key>a</Key></U>\n<U><Key>b&amp;c</Key></U></R>";
        let keys: Vec<_> = elements(document, "U").filter_map(|upload| text(upload, "Key")).collect();
        assert_eq!(keys, ["a", "b&c"]);
    }
}

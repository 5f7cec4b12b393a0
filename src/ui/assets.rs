//! The style sheet, the script and the icon: in the binary, under names that change with their content.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

/// A file of the page.
#[derive(Debug)]
pub(crate) struct Asset {
    /// The file name, with a hash of the content.
    pub(crate) name: String,
    pub(crate) media_type: &'static str,
    pub(crate) content: &'static str,
}

impl Asset {
    fn new(stem: &str, extension: &str, media_type: &'static str, content: &'static str) -> Self {
        let hash = Sha256::digest(content);
        let hash: String = hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        Self { name: format!("{stem}-{hash}.{extension}"), media_type, content }
    }

    /// The asset of a file name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        [&*STYLE, &*SCRIPT, &*ICON].into_iter().find(|asset| asset.name == name)
    }
}

/// The style sheet.
pub(crate) static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("style", "css", "text/css; charset=utf-8", include_str!("assets/style.css")));

/// The script. No page needs it.
pub(crate) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("script", "js", "text/javascript; charset=utf-8", include_str!("assets/script.js"))
});

/// The icon.
pub(crate) static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", include_str!("assets/icon.svg")));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_at_most_4_kib() {
        assert!(SCRIPT.content.len() <= 4096, "{} bytes", SCRIPT.content.len());
    }

    #[test]
    fn the_dark_theme_is_the_same_by_choice_and_by_the_system() {
        let colours = |selector: &str| {
            let block = STYLE.content.split_once(selector).unwrap().1.split_once('}').unwrap().0;
            block.split(';').map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>()
        };
        let by_system = colours(":root:not([data-theme=\"light\"]) {");
        assert_eq!(by_system, colours("\n[data-theme=\"dark\"] {"));
        assert!(by_system.len() > 10);
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        for asset in [&*STYLE, &*SCRIPT, &*ICON] {
            let content = asset.content.replace("http://www.w3.org/2000/svg", "");
            for sign in ["http:", "https:", "//", "@import", "url("] {
                assert!(!content.replace("// ", "").contains(sign), "{} has {sign}", asset.name);
            }
        }
    }
}

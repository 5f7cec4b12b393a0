//! Lists of images, as `--list` names them.

use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use sampan_config::{ListedImage, read_image_list};
use sampan_transfer::{ListedSelector, Selector, parse_lines};

use super::transfer::Failed;

/// The longest list, in bytes; a hundred thousand images have a tenth of it.
const MAX_LIST_BYTES: u64 = 64 << 20;

/// The selectors of all lists: lines, or YAML of skopeo, hauler or oc-mirror.
pub(super) fn listed_selectors(paths: &[PathBuf]) -> Result<Vec<Selector>, Box<dyn Error>> {
    let mut selectors = Vec::new();
    let mut seen: Option<(String, String)> = None;
    for path in paths {
        for (place, image) in read(path)? {
            let host = image.host.map(|host| (host, place));
            match (&seen, host) {
                (Some((first, first_place)), Some((host, place))) if *first != host => {
                    return Err(Failed(format!(
                        "{place}: the lists have images of {first} ({first_place}) and of {host}: make one export for each host"
                    ))
                    .into());
                }
                (None, host) => seen = host,
                _ => {}
            }
            selectors.push(image.selector);
        }
    }
    Ok(selectors)
}

/// The images of a list, each with its place.
fn read(path: &Path) -> Result<Vec<(String, ListedSelector)>, Box<dyn Error>> {
    let name = path.display().to_string();
    let failed = |problem: String| Failed(format!("{name}: {problem}"));
    let mut text = String::new();
    let file = File::open(path).map_err(|error| failed(error.to_string()))?;
    file.take(MAX_LIST_BYTES + 1).read_to_string(&mut text).map_err(|error| failed(error.to_string()))?;
    if text.len() as u64 > MAX_LIST_BYTES {
        return Err(
            failed(format!("is longer than {} MiB, and no list of images", MAX_LIST_BYTES >> 20)).into()
        );
    }
    let listed = read_image_list(&name, &text).map_err(|mistakes| {
        Failed(mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })?;
    let Some(listed) = listed else {
        let lines = parse_lines(&text).map_err(|(line, error)| Failed(format!("{name}:{line}: {error}")))?;
        return Ok(lines.into_iter().map(|(line, image)| (format!("{name}:{line}"), image)).collect());
    };
    let image = |ListedImage { origin, host, image }| {
        let listed = match host {
            Some(host) => image.parse().map(|selector| ListedSelector { host: Some(host), selector }),
            None => image.parse(),
        };
        match listed {
            Ok(listed) => Ok((origin.to_string(), listed)),
            Err(error) => Err(Failed(format!("{origin}: {error}")).into()),
        }
    };
    listed.into_iter().map(image).collect()
}

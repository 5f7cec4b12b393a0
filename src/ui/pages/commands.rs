//! Commands that pull an image, for the tools that can.

use sampan_engine::ImageKind;
use sampan_engine::oci::{Reference, RepositoryName};
use serde::Serialize;

/// A command for a tool.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct Command {
    pub(crate) tool: &'static str,
    pub(crate) command: String,
}

/// The commands that pull an image of this kind, the most usual first.
pub(crate) fn commands(
    host: &str,
    name: &RepositoryName,
    reference: &Reference,
    kind: ImageKind,
) -> Vec<Command> {
    let image = match reference {
        Reference::Tag(tag) => format!("{host}/{name}:{tag}"),
        Reference::Digest(digest) => format!("{host}/{name}@{digest}"),
    };
    let file = name.as_str().rsplit('/').next().unwrap_or_default();
    let command = |tool, command: String| Command { tool, command };
    match kind {
        ImageKind::Image | ImageKind::Index => vec![
            command("docker", format!("docker pull {image}")),
            command("podman", format!("podman pull {image}")),
            command("containerd", format!("ctr images pull {image}")),
            command("skopeo", format!("skopeo copy --all docker://{image} oci-archive:{file}.tar")),
            command("crane", format!("crane pull {image} {file}.tar")),
        ],
        ImageKind::Chart => {
            let version = match reference {
                // A chart's tag has `_` where its version has `+` (Helm, "Use OCI-based registries").
                Reference::Tag(tag) => format!(" --version {}", tag.as_str().replace('_', "+")),
                Reference::Digest(digest) => format!("@{digest}"),
            };
            vec![
                command("helm", format!("helm pull oci://{host}/{name}{version}")),
                command("oras", format!("oras pull {image}")),
            ]
        }
        ImageKind::Artifact | ImageKind::Unknown => vec![
            command("oras", format!("oras pull {image}")),
            command("skopeo", format!("skopeo copy --all docker://{image} oci:{file}")),
            command("crane", format!("crane manifest {image}")),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_has_the_version_of_its_tag() {
        let name: RepositoryName = "charts/app".parse().unwrap();
        let reference: Reference = "1.2.3_build.4".parse().unwrap();
        let commands = commands("reg.example:5000", &name, &reference, ImageKind::Chart);
        assert_eq!(
            commands[0].command,
            "helm pull oci://reg.example:5000/charts/app --version 1.2.3+build.4"
        );
        assert_eq!(commands[1].command, "oras pull reg.example:5000/charts/app:1.2.3_build.4");
    }
}

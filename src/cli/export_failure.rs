//! Messages of an export that leaves something out or breaks off, with the remedy.

use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::Arc;

use sampan_bundle::{PartSum, Plan, WriteError};
use sampan_client::Limits;
use sampan_engine::oci::{Digest, RepositoryName};
use sampan_transfer::{LiveExport, Planned, Source, images_with, places};

use super::export_args::ExportArgs;
use super::export_parts::has_begun;
use super::terminal::{printable, warn};
use super::transfer::Failed;

/// The most images that an error names.
const MAX_NAMED: usize = 8;

/// Names the selectors of `--exclude` that excluded nothing.
pub(super) fn name_unused(exclusions: &[String]) {
    for selector in exclusions {
        warn(printable(&format!("warning: `--exclude {selector}` excludes nothing that is selected")));
    }
}

/// Names the images of other platforms than those of `--platform`.
pub(super) fn name_other_platforms(images: &[String]) {
    for image in images {
        warn(printable(&format!("{image} is left out: it is for another platform")));
    }
}

/// Names the repositories of whose tags the source has no list.
pub(super) fn name_unlisted(repositories: &[RepositoryName]) {
    for name in repositories {
        warn(format!(
            "warning: {name} is listed, and a list of its tags is not there: its tags are left out, and it is not whole here"
        ));
    }
}

/// The error of an export that broke off, with the way on.
pub(super) async fn explain(
    error: Box<dyn Error>,
    args: &ExportArgs,
    source: &Arc<dyn Source>,
    plan: &Plan,
) -> Box<dyn Error> {
    let output = args.output.as_deref().filter(|output| *output != Path::new("-") && has_begun(output));
    let cause = sampan_driver::with_causes(&*error);
    if let Some(output) = output.filter(|_| is_file_too_long(&*error)) {
        return Failed(format!("{cause}\n{}", shorter_files(args, output))).into();
    }
    let resume = output.map(|output| {
        let split = args.split.as_ref().map(|split| format!(" --split {split}")).unwrap_or_default();
        format!("`registry export --resume{split} -o {}{}`", output.display(), args.source_options())
    });
    let damaged = match (error.downcast_ref(), &resume) {
        (Some(WriteError::Damaged { expected: digest, .. } | WriteError::Length { digest, .. }), _) => digest,
        (_, Some(resume)) if args.part.is_none() => {
            return Failed(format!("{cause}\nThe written part stays; continue with {resume}.")).into();
        }
        _ => return error,
    };
    let names = images_of(source, plan, damaged).await;
    let rest = names.len().saturating_sub(MAX_NAMED);
    let (named, others) = names.split_at(names.len() - rest);
    let and_more = if others.is_empty() { String::new() } else { format!(" and {rest} more") };
    let needed = match named {
        [] => String::new(),
        named => format!("\nIt is needed by {}{and_more}.", named.join(", ")),
    };
    let exclude: Vec<String> = named.iter().map(|name| format!("--exclude {name}")).collect();
    let exclude = if exclude.is_empty() { "--exclude IMAGE".to_owned() } else { exclude.join(" ") };
    let way_on = match (output, resume) {
        _ if args.part.is_some() => "Repair it there, and repeat the command.".to_owned(),
        (Some(output), Some(resume)) => {
            let begun = begun(args, output);
            format!(
                "Repair it there and continue with {resume}; or remove {begun}, and export again with {exclude}."
            )
        }
        _ => format!("Repair it there, or export again with {exclude}."),
    };
    Failed(format!("{cause}{needed}\n{way_on}")).into()
}

/// The files that an export has begun.
fn begun(args: &ExportArgs, output: &Path) -> String {
    match args.split.is_some() {
        true => format!("the parts of {} and {}", output.display(), PartSum::file(output).display()),
        false => format!("{}.partial", output.display()),
    }
}

/// Whether a file became longer than its file system, or a limit of the process, lets it be.
fn is_file_too_long(error: &(dyn Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.any(|error| {
        error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::FileTooLarge)
    })
}

/// The remedy where files must be shorter: a continuation would end at the same byte.
fn shorter_files(args: &ExportArgs, output: &Path) -> String {
    let split = match (args.part, &args.split) {
        (Some(_), _) => {
            return "Write the part to another file system: it is as long as the others.".to_owned();
        }
        (None, Some(_)) => "a shorter `--split`, such as `--split fat32`",
        (None, None) => "`--split fat32`",
    };
    format!(
        "Its file system takes no longer file: remove {}, and export again with {split}.",
        begun(args, output)
    )
}

/// The images of a plan that need some content, under all their names, as far as the source says.
async fn images_of(source: &Arc<dyn Source>, plan: &Plan, digest: &Digest) -> Vec<String> {
    let find = async {
        let planned =
            Planned { plan: plan.clone(), places: places(&**source, plan).await?, ..Planned::default() };
        let live = LiveExport::new(source.clone(), planned)?;
        images_with(&live, std::slice::from_ref(digest), Limits::default().manifest_bytes).await
    };
    let images = find.await.unwrap_or_default();
    let names = images.iter().flat_map(|image| {
        let untagged = image.tags.is_empty().then(|| format!("{}@{}", image.repository, image.digest));
        image.tags.iter().map(|tag| format!("{}:{tag}", image.repository)).chain(untagged)
    });
    names.collect()
}

//! `registry certificate`.

use super::CommandResult;
use super::args::CertificateOptions;
use super::terminal::{say, warn};
use crate::atomic_write::Existing;
use crate::serve::certificate::{CertificateRequest, CreatedCertificate, create};

pub(super) fn run(options: CertificateOptions) -> CommandResult {
    let CertificateOptions { out, hosts, days, replace } = options;
    let existing = if replace { Existing::Replace } else { Existing::Keep };
    let CreatedCertificate { files, capped_at } =
        create(&CertificateRequest { names: hosts, folder: out, days, existing })?;
    say(format!("{}\tfor http.tls.certificate", files.certificate.display()));
    say(format!("{}\tfor http.tls.key", files.key.display()));
    say(format!("{}\tfor clients: /etc/docker/certs.d/HOST:PORT/ca.crt", files.authority.display()));
    say(format!("{}\tkeep it secret: it signs further certificates", files.authority_key.display()));
    if let Some(end) = capped_at {
        warn(format!(
            "the certificate is valid until {}, as its authority is, which is less than --days {days}",
            end.date()
        ));
    }
    Ok(())
}

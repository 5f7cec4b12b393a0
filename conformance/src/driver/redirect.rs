//! URLs from which clients fetch files directly.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use sampan_driver::RedirectRequest;
use url::Url;

use crate::check::{ensure, equal, same_bytes};
use crate::data::{bytes, path};
use crate::{Clause, Context, Failed, clause::table};

async fn is_none_without_the_capability(ctx: Context) -> Result<(), Failed> {
    ctx.put("/dir/file", "content").await?;
    for request in [RedirectRequest::Get, RedirectRequest::Head] {
        let url = ctx.driver().redirect_url(&path("/dir/file"), request).await?;
        equal(url, None, format_args!("redirect_url for {request:?}"))?;
    }
    Ok(())
}

async fn leads_to_the_file(ctx: Context) -> Result<(), Failed> {
    for (seed, file) in ["/dir/one", "/dir/two"].into_iter().enumerate() {
        let content = bytes(seed as u64, 32);
        ctx.put(file, content.clone()).await?;
        let get = ctx.driver().redirect_url(&path(file), RedirectRequest::Get).await?;
        let answer = fetch("GET", get).await?;
        equal(answer.status, 200, format_args!("the status of GET of {file}"))?;
        same_bytes(&answer.body, &content, format_args!("the body of GET of {file}"))?;
        let head = ctx.driver().redirect_url(&path(file), RedirectRequest::Head).await?;
        let answer = fetch("HEAD", head).await?;
        equal(answer.status, 200, format_args!("the status of HEAD of {file}"))?;
        equal(answer.content_length, Some(32), format_args!("the length in HEAD of {file}"))?;
    }
    Ok(())
}

struct Answer {
    status: u16,
    content_length: Option<u64>,
    body: Vec<u8>,
}

/// A minimal HTTP client: one request, one connection.
async fn fetch(method: &'static str, url: Option<Url>) -> Result<Answer, Failed> {
    let Some(url) = url else {
        return Err(Failed::new(format_args!("no URL for {method}, against the capability")));
    };
    let answer = tokio::task::spawn_blocking(move || {
        let (Some(host), "http") = (url.host_str(), url.scheme()) else {
            return Err(Failed::new(format_args!(
                "{url} cannot be fetched: the suite speaks plain HTTP only; give the fixture an endpoint without TLS"
            )));
        };
        let port = url.port_or_known_default().unwrap_or(80);
        let mut connection = TcpStream::connect((host, port))?;
        connection.set_read_timeout(Some(Duration::from_secs(30)))?;
        let query = url.query().map_or(String::new(), |query| format!("?{query}"));
        write!(
            connection,
            "{method} {}{query} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n",
            url.path()
        )?;
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer)?;
        Ok(answer)
    });
    parse(&answer.await??)
}

fn parse(answer: &[u8]) -> Result<Answer, Failed> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.ok_or_else(|| Failed::new("the answer has no end of its head"))?;
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let header =
        |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    ensure(
        header("transfer-encoding").is_none(),
        "the body comes in an encoding that the suite does not know",
    )?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok(Answer {
        status: status.ok_or_else(|| Failed::new(format_args!("no status in {head:?}")))?,
        content_length: header("content-length").and_then(|length| length.parse().ok()),
        body: answer[end + 4..].to_vec(),
    })
}

pub(crate) const CLAUSES: &[Clause] = table! { "driver::redirect":
    is_none_without_the_capability if NoRedirect,
    leads_to_the_file if Redirect,
};

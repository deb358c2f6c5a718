//! `tollgate token`: gets a token from a running dev issuer.

use std::{process::ExitCode, time::Duration};

use bytes::Bytes;
use clap::Args;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::Full;
use serde_json::{Value, json};

use super::{Failure, output::Output};
use crate::{
    body::JSON,
    client::{ClientError, HttpClient},
    domain::{
        ids::{KeyId, OrganizationId, TeamId},
        role::Role,
    },
};

#[derive(Debug, Args)]
pub(super) struct TokenArgs {
    /// The organization
    #[arg(long, value_name = "ID")]
    pub(super) org: OrganizationId,
    /// The person: becomes the token's `sub`
    #[arg(long, value_name = "NAME")]
    pub(super) user: String,
    /// owner, admin, member, viewer or platform
    #[arg(long)]
    pub(super) role: Role,
    /// The person's team
    #[arg(long, value_name = "ID")]
    pub(super) team: Option<TeamId>,
    /// The key of the program that calls
    #[arg(long, value_name = "ID")]
    pub(super) key: Option<KeyId>,
    /// How long the token is valid
    #[arg(long, default_value = "1h", value_parser = humantime_serde::re::humantime::parse_duration, value_name = "TIME")]
    pub(super) ttl: Duration,
    /// The dev gateway, or the dev issuer
    #[arg(long, default_value = "http://127.0.0.1:8080", value_name = "URL")]
    pub(super) url: String,
    /// One JSON line instead of the bare token
    #[arg(long)]
    pub(super) json: bool,
}

const ANSWER_BYTES_MAX: usize = 64 * 1024;
const WAIT_MAX: Duration = Duration::from_secs(10);
/// The paths that issue tokens: the gateway's path in `tollgate dev`, which forwards to the issuer, and the issuer's
/// own path.
const PATHS: [&str; 2] = ["/dev/token", "/token"];

pub(super) async fn run(args: TokenArgs) -> Result<ExitCode, Failure> {
    let asked = json!({
        "organization_id": args.org,
        "user_id": args.user,
        "role": args.role,
        "team_id": args.team,
        "key_id": args.key,
        "ttl_seconds": args.ttl.as_secs(),
    });
    let client = HttpClient::default();
    let mut found = None;
    for address in addresses(&args.url)? {
        let (status, body) = ask(&client, &args.url, address, &asked).await?;
        // 404: `--url` may be the issuer's and not the gateway's, so the other path is tried, too.
        let here = status != StatusCode::NOT_FOUND;
        found = Some((status, body));
        if here {
            break;
        }
    }
    let token = match found {
        Some((StatusCode::OK | StatusCode::CREATED, body)) => token_of(&body),
        Some((StatusCode::NOT_FOUND, _)) | None => None,
        Some((status, body)) => {
            let said = serde_json::from_slice::<Value>(&body).unwrap_or_default();
            let said = said
                .pointer("/error/message")
                .or_else(|| said.get("error"))
                .and_then(Value::as_str);
            return Err(Failure::new(format!(
                "{} refused: {}",
                args.url,
                said.unwrap_or(status.as_str())
            )));
        }
    };
    let Some(token) = token else {
        return Err(Failure::new(format!(
            "{} issues no tokens: only `tollgate dev` does. Pass the `url` or the `token_url` that it printed as --url",
            args.url
        )));
    };
    Output::new(args.json).result(&token, &json!({"token": token}))?;
    Ok(ExitCode::SUCCESS)
}

/// The addresses to try: `url` itself if it has a path, else both paths that issue tokens.
fn addresses(url: &str) -> Result<Vec<Uri>, Failure> {
    let unreadable =
        || Failure::new(format!("--url {url}: must be an address such as http://127.0.0.1:8080"));
    let parsed: Uri = url.parse().map_err(|_| unreadable())?;
    if parsed.scheme().is_none() || parsed.authority().is_none() {
        return Err(unreadable());
    }
    if !matches!(parsed.path(), "" | "/") {
        return Ok(vec![parsed]);
    }
    let base = url.trim_end_matches('/');
    PATHS.iter().map(|path| format!("{base}{path}").parse().map_err(|_| unreadable())).collect()
}

async fn ask(
    client: &HttpClient,
    url: &str,
    address: Uri,
    asked: &Value,
) -> Result<(StatusCode, Bytes), Failure> {
    let mut request = Request::new(Full::new(Bytes::from(asked.to_string())));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = address;
    request.headers_mut().insert(header::CONTENT_TYPE, JSON);
    match client.fetch(request, ANSWER_BYTES_MAX, WAIT_MAX).await {
        Ok(answer) => Ok((answer.status(), answer.into_body())),
        Err(ClientError::Connect(_)) => Err(Failure::new(format!(
            "nothing answers at {url}. Start `tollgate dev` first, or pass the `url` that it printed as --url"
        ))),
        Err(error) => Err(error.into()),
    }
}

fn token_of(body: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    answer.get("token")?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_address_is_asked_at_both_places_and_a_whole_one_as_it_is() {
        let texts =
            |url: &str| addresses(url).unwrap().iter().map(Uri::to_string).collect::<Vec<_>>();
        assert_eq!(
            texts("http://127.0.0.1:1/"),
            ["http://127.0.0.1:1/dev/token", "http://127.0.0.1:1/token"]
        );
        assert_eq!(texts("http://127.0.0.1:1/x"), ["http://127.0.0.1:1/x"]);
        assert!(addresses("127.0.0.1:1").unwrap_err().to_string().contains("--url"));
    }
}

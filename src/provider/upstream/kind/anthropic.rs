//! Anthropic, and compatible servers.

use http::HeaderName;

use super::Kind;

pub(super) static KIND: Kind = Kind {
    has_version: |path| path.ends_with("/v1"),
    credential: (HeaderName::from_static("x-api-key"), ""),
    needs: &[("anthropic-version", "2023-06-01")],
    account_statuses: &[401, 402, 403, 407],
};

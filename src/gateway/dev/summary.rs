//! The text that `tollgate dev` prints when it is ready.

use std::fmt;

use serde::Serialize;

use crate::domain::ids::OrganizationId;

/// The limitations of a gateway in memory.
pub(super) const IN_MEMORY: &str = "This gateway runs in memory, without Postgres. Not enforced: row-level security, \
    so only the gateway's own code keeps organizations apart. Not kept: usage and audit records, and the books are \
    lost when it stops. Commands that need a database (org, credits, policy, prove, reconcile and the like) do not \
    see it. Try it; do not serve with it.";

/// The addresses of all parts, and the tokens of the demo organizations.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// The gateway's address.
    pub url: String,
    /// The administrator's URL of the database; empty if everything is in memory.
    pub database_url: String,
    /// The address of the issuer's keys.
    pub jwks_url: String,
    /// The tokens' `iss`.
    pub issuer: String,
    /// The address that issues tokens: POST `{organization_id, user_id, role, team_id?, key_id?, ttl_seconds?}`.
    pub token_url: String,
    /// The mock provider's address; empty if there is another upstream.
    pub mock_url: String,
    /// Whether everything is in memory.
    pub in_memory: bool,
    /// The demo organizations.
    pub organizations: Vec<Organization>,
}

/// A demo organization with a token for each role.
#[derive(Clone, Debug, Serialize)]
pub struct Organization {
    /// Its id.
    pub id: OrganizationId,
    /// Its name.
    pub name: String,
    /// A token for each role, valid for twelve hours.
    pub tokens: Tokens,
}

/// A token for each role.
#[derive(Clone, Serialize)]
pub struct Tokens {
    /// May also handle money and members.
    pub owner: String,
    /// May also configure.
    pub admin: String,
    /// May call models.
    pub member: String,
    /// May only read.
    pub viewer: String,
}

/// Hides the tokens: they must not be logged.
impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens")
    }
}

/// The text for people: all addresses, and a command to paste.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            url, database_url, jwks_url, token_url, mock_url, in_memory, organizations, ..
        } = self;
        writeln!(f, "Tollgate runs at {url}. Ctrl-C stops all of it.\n")?;
        if *in_memory {
            writeln!(f, "{IN_MEMORY}\n")?;
        } else {
            writeln!(f, "  database  {database_url}")?;
        }
        writeln!(f, "  keys      {jwks_url}")?;
        writeln!(f, "  tokens    POST {token_url}")?;
        if !mock_url.is_empty() {
            writeln!(
                f,
                "  provider  {mock_url} (a mock: no key needed, nothing leaves this machine)"
            )?;
        }
        for Organization { id, name, tokens } in organizations {
            writeln!(
                f,
                "\n{name} ({id}); a member's token, good for 12 hours:\n\n{}",
                tokens.member
            )?;
        }
        writeln!(
            f,
            "\nOther roles and people: tollgate token --org ID --user NAME --role owner --url {url}"
        )?;
        let Some(first) = organizations.first() else { return Ok(()) };
        writeln!(f, "\nPaste this into another terminal:\n")?;
        writeln!(f, "curl -sN {url}/v1/chat/completions \\")?;
        writeln!(f, "  -H 'content-type: application/json' \\")?;
        writeln!(f, "  -H \"authorization: Bearer {}\" \\", first.tokens.member)?;
        write!(
            f,
            "  -d '{{\"model\": \"gpt-4o-mini\", \"messages\": [{{\"role\": \"user\", \"content\": \"Hello\"}}]}}'"
        )
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn its_text_has_the_address_and_for_each_organization_a_members_token() {
        let organization = |name: &str| Organization {
            id: OrganizationId::new(Uuid::now_v7()),
            name: name.to_owned(),
            tokens: Tokens {
                owner: format!("{name}-owner"),
                admin: format!("{name}-admin"),
                member: format!("{name}-member"),
                viewer: format!("{name}-viewer"),
            },
        };
        let organizations = vec![organization("acme"), organization("globex")];
        let summary = Summary {
            url: "http://127.0.0.1:8080".to_owned(),
            mock_url: "http://127.0.0.1:9".to_owned(),
            organizations: organizations.clone(),
            ..Summary::default()
        };
        let text = summary.to_string();
        assert!(text.starts_with("Tollgate runs at http://127.0.0.1:8080."), "{text}");
        assert!(text.contains("http://127.0.0.1:9 (a mock"), "{text}");
        for Organization { id, name, tokens } in &organizations {
            assert!(text.contains(&format!("{name} ({id});")), "{text}");
            assert!(text.lines().any(|line| line == tokens.member), "{text}");
        }
        assert!(text.contains("authorization: Bearer acme-member\""), "{text}");
        assert!(!text.contains("row-level security"), "{text}");
        let in_memory = Summary { in_memory: true, ..summary.clone() }.to_string();
        assert!(in_memory.contains("Not enforced: row-level security"), "{in_memory}");
        assert!(!in_memory.contains("  database  "), "{in_memory}");
        // Neither the text nor logs contain a token that may do more than call.
        assert!(!text.contains("-owner") && !text.contains("-admin"), "{text}");
        assert!(!format!("{summary:?}").contains("-member"));
    }
}

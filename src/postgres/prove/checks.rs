//! What is checked: each check with its code, its name and what to do where it fails.

/// One check. Codes and names are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// `C01`… of the catalog, `P01`… by trying.
    pub code: &'static str,
    /// What it is called.
    pub name: &'static str,
    /// What to do where it fails.
    pub remedy: &'static str,
}

const fn check(code: &'static str, name: &'static str, remedy: &'static str) -> Check {
    Check { code, name, remedy }
}

/// All checks, in the order of their codes.
pub const CHECKS: &[Check] = &[
    check(
        "C01",
        "row_security_forced",
        "alter table … enable row level security, force row level security; partitions too",
    ),
    check(
        "C02",
        "organization_column",
        "add organization_id uuid not null, or name the table as reference data with its reason",
    ),
    check(
        "C03",
        "right_without_policy",
        "revoke the right, or create the policy of that verb for that role",
    ),
    check(
        "C04",
        "policy_shape",
        "one policy per table, verb and role, named {table}_{verb}_{role}",
    ),
    check(
        "C05",
        "policy_compares_organization",
        "compare organization_id with (select tollgate.current_organization_id())",
    ),
    check(
        "C06",
        "write_policy_checks_rows",
        "give INSERT and UPDATE policies a WITH CHECK of their own",
    ),
    check(
        "C07",
        "roles_and_owners",
        "alter role … nosuperuser nobypassrls noreplication nologin; alter … owner to tollgate_migrator",
    ),
    check(
        "C08",
        "role_membership",
        "revoke the membership: only tollgate_login becomes what people are, with inherit false, without admin option",
    ),
    check(
        "C09",
        "rights_past_policies",
        "revoke truncate, references, trigger, maintain: policies do not bind them",
    ),
    check(
        "C10",
        "view_with_owners_rights",
        "alter view … set (security_invoker = true), or drop it",
    ),
    check(
        "C11",
        "relation_without_policies",
        "drop it: materialized views and foreign tables have no row security",
    ),
    check(
        "C12",
        "function_rights",
        "pin search_path = pg_catalog, pg_temp; owner tollgate_migrator or tollgate_ledger; execute by role",
    ),
    check("C13", "leakproof_function", "alter function … not leakproof"),
    check("C14", "key_leads_with_organization", "make organization_id the first column of the key"),
    check(
        "C15",
        "foreign_key_within_organization",
        "make organization_id part of the foreign key on both sides; alter table … alter constraint … enforced, validate constraint",
    ),
    check("C16", "sequence_rights", "revoke the right; ids come from the gateway"),
    check("C17", "publication", "drop the table from the publication"),
    check("C18", "schema_rights", "revoke create on the schema; only usage, by role"),
    check("C19", "trigger_or_rule", "drop it: what is written is written by functions that say so"),
    check(
        "C20",
        "role_settings",
        "alter role … reset; alter database … reset; revoke set, alter system on parameter",
    ),
    check("C21", "default_rights", "alter default privileges … revoke"),
    check(
        "C22",
        "helper_once_a_statement",
        "write (select helper()) in the policy: once a statement, not once a row",
    ),
    check("C23", "policy_without_right", "grant the verb to the role, or drop the policy"),
    check(
        "C24",
        "seals",
        "the keys are for tollgate_rls_helper alone: tollgate migrate brings their rights into force, and with --seal-key or \
         --unseal replaces the functions",
    ),
    check(
        "C25",
        "ledger_functions_enter",
        "begin with perform tollgate.enter(p_organization_id, p_claims): the ledger's policies rely on it",
    ),
    check(
        "C26",
        "own_schema_takes_its_own",
        "run `tollgate migrate`: it adds the constraint only_organization to every table of the schema",
    ),
    check(
        "C27",
        "moves_with_its_organization",
        "run `tollgate migrate`: it gives the mover its rights on every table that has organizations",
    ),
    check(
        "C28",
        "looks_where_it_writes",
        "call tollgate.stay after the first write or row lock, or make the function stable",
    ),
    check(
        "C29",
        "keys_are_there",
        "alter table … add, in these words; rows that it refuses have been written past it",
    ),
    check(
        "C30",
        "policy_reads_no_table",
        "compare a column of the policy's own table, or ask a function: distributed engines refuse a policy that reads another table",
    ),
    check(
        "C31",
        "no_circle",
        "break the circle: a string body binds nothing, and a table of its own can refer to both; distributed engines refuse circles",
    ),
    check(
        "P00",
        "canaries",
        "make the canary row possible: see prove/rows.rs for columns that need a value of their own",
    ),
    check(
        "P01",
        "foreign_rows",
        "the policies of this role and verb let rows of another organization through",
    ),
    check(
        "P02",
        "role_of_the_claims",
        "the policy must ask for the role in the claims, not only for the database role",
    ),
    check(
        "P03",
        "no_claims",
        "without claims nobody sees anything: compare with current_organization_id()",
    ),
    check(
        "P04",
        "functions",
        "the function must put the claims into force, or refuse, before it reads or writes",
    ),
    check("P05", "truncate", "revoke truncate"),
    check(
        "P06",
        "forged_claims",
        "claims must be verified wherever they count: by unsealed(), which verified() asks, which jwt() and enter() ask",
    ),
    check(
        "P07",
        "rows_in_use_stay",
        "the mover's policies of INSERT and DELETE must ask for (select tollgate.is_away())",
    ),
    check(
        "P08",
        "rows_are_in_their_place",
        "`tollgate org show` says where the organization is; `tollgate org move` to there removes what is left elsewhere",
    ),
];

/// Why a table belongs to no organization.
pub(super) const REFERENCE_TABLES: &[(&str, &str)] = &[
    ("prices", "the list prices, the same for everybody"),
    ("price_tiers", "rows of prices"),
    (
        "seal_keys",
        "what claims are sealed with: the gateways' own, and nobody reads it but who verifies",
    ),
    ("schema_history", "which migrations ran; the login reads it for readiness"),
];

/// Tables of what was done to the schema: only a migration writes them, and only the login reads them besides.
pub(super) const HISTORY: &[(&str, &str)] =
    &[("schema_history", "one organization's people have no use for it")];

/// Functions that may go past row security, as the helper's role.
pub(super) const PAST_ROW_SECURITY: &[(&str, &str)] = &[
    ("get_org_role", "policies on the membership table would ask themselves for ever"),
    ("is_org_member", "as get_org_role"),
    ("check_membership", "says whether get_org_role can read its source, and no rows of it"),
    (
        "unsealed",
        "reads the keys of seals, and gives back the claims that it was given, or an error",
    ),
    ("check_sealing", "says whether unsealed takes the claims that it is given"),
];

/// Functions of the ledger that put no claims into force.
pub(super) const UNENTERED: &[(&str, &str)] = &[("price_book", "reads prices, which are nobody's")];

/// Functions of the ledger that may be called by others, and write nothing that a move could miss.
pub(super) const WITHOUT_A_LOOK: &[(&str, &str)] = &[
    ("create_organization", "makes an organization, which nobody moves yet"),
    ("standing", "reads, and says behind that whether the organization is elsewhere"),
    ("agreement", "as standing"),
    ("reconcile", "reads; the door looks where the organization is"),
    ("models_called", "as reconcile"),
    ("settled_calls", "as reconcile"),
    ("check_prices", "as reconcile"),
    ("account_window_as_platform", "as reconcile"),
    ("account_lines_as_platform", "as reconcile"),
    ("stay", "is the look"),
];

/// Unique indexes over all organizations.
pub(super) const GLOBAL_KEYS: &[(&str, &str)] = &[];

/// Tables of which the operator's staff sees rows of every organization, with platform claims.
pub(super) const OPERATORS_TABLES: &[(&str, &str)] = &[
    ("organizations", "makes, names and suspends them"),
    ("memberships", "makes the first owner"),
    ("policies", "sets what was agreed on"),
    ("credit_balances", "sells credits and reconciles"),
    ("credit_holds", "finds organizations with overdue holds; amounts are hidden"),
    ("price_overrides", "agrees on prices"),
    ("price_override_tiers", "as price_overrides"),
    ("price_markups", "as price_overrides"),
    ("budgets", "sets what was agreed on"),
    ("budget_usage", "sees how far budgets are used"),
    ("budget_events", "reads when budgets came to their thresholds"),
    ("rate_limits", "sets what was agreed on"),
    ("kill_switches", "stops a scope, and sees which are stopped"),
    ("usage_daily", "what an organization comes to, not who in it"),
    ("break_glass_grants", "sees whom it may look into, and until when"),
];

pub(super) fn names(list: &[(&'static str, &str)]) -> Vec<&'static str> {
    list.iter().map(|(name, _)| *name).collect()
}

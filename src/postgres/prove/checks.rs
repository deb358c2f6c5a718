//! All checks, each with its code, its name and its remedy.

/// One check. Codes and names are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// `C01`… for checks of the catalog, `P01`… for checks by trying.
    pub code: &'static str,
    /// The name of the check.
    pub name: &'static str,
    /// What to do if the check fails.
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
        "revoke the membership: only tollgate_login may become the roles of people, with inherit false and without \
         admin option",
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
    check("C19", "trigger_or_rule", "drop it: only functions that are called by name may write"),
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
        "only tollgate_seals may read the keys: `tollgate migrate` brings the rights into force, and with \
         --seal-key or --unseal replaces the functions",
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
        "alter table … add this constraint or index; rows that it refuses were written while it was missing",
    ),
    check(
        "C30",
        "policy_reads_no_table",
        "compare a column of the policy's own table, or ask a function: distributed engines refuse a policy that reads another table",
    ),
    check(
        "C31",
        "no_circle",
        "break the circle: use a string body, which depends on nothing, or a third table that references both; \
         distributed engines refuse circles",
    ),
    check(
        "C32",
        "functions_use_what_is_ours",
        "a function of ours must use nothing that somebody else owns: its owner would run code with the rights of the function",
    ),
    check(
        "C33",
        "roles_of_one_purpose",
        "revoke the right: the roles that read memberships, keys of seals and LiteLLM's table do nothing else",
    ),
    check(
        "C34",
        "stopped_change_nothing",
        "add not (select tollgate.is_stopped()) to the policy: who is stopped would lift the stop, or go round it",
    ),
    check(
        "C35",
        "parameters_in_log",
        "alter role tollgate_login set log_parameter_max_length = 0 as a superuser, or log no statements of that role",
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
        "the policy must check the role in the claims, not only the database role",
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
        "verify claims wherever they count: jwt() and enter() must call verified(), which must call unsealed()",
    ),
    check(
        "P07",
        "rows_in_use_stay",
        "the mover's policies of INSERT and DELETE must require (select tollgate.is_away())",
    ),
    check(
        "P08",
        "rows_are_in_their_place",
        "`tollgate org show` says where the organization is; `tollgate org move` to that place removes the rows left \
         elsewhere",
    ),
];

/// Why a table belongs to no organization.
pub(super) const REFERENCE_TABLES: &[(&str, &str)] = &[
    ("prices", "the list prices, the same for everybody"),
    ("price_tiers", "rows of prices"),
    ("seal_keys", "the gateways' keys for seals; only the role that verifies seals reads them"),
    ("schema_history", "which migrations ran; the login reads it for readiness"),
];

/// Tables with the history of the schema: only migrations write them, and only migrations and the login read them.
pub(super) const HISTORY: &[(&str, &str)] =
    &[("schema_history", "no role of an organization needs it")];

/// Functions that may bypass row-level security, in the helper's role.
pub(super) const PAST_ROW_SECURITY: &[(&str, &str)] = &[
    (
        "get_org_role",
        "the policies of the membership table call it: under row security they would call themselves without end",
    ),
    ("is_org_member", "as get_org_role"),
    ("check_membership", "says whether get_org_role can read its source, and shows no rows"),
    ("role_in", "as get_org_role, for whoever asks: only these functions may call it"),
];

/// Functions of the role that reads the keys of seals.
pub(super) const OF_SEALS: &[(&str, &str)] = &[
    ("unsealed", "returns only the claims that it was given, or an error"),
    ("check_sealing", "says whether unsealed takes the claims that it is given"),
];

/// Functions of the role that reads LiteLLM's table.
pub(super) const OF_LITELLM: &[(&str, &str)] =
    &[("role_by_litellm", "reads one row of that table, which its owner could make run code")];

/// What is not ours and is used by our functions: the function, and what it uses.
pub(super) const OF_OTHERS: &[(&str, &str)] = &[
    ("role_by_litellm public.LiteLLM_OrganizationMembership", "read as a role without rights"),
    ("jwt auth.jwt", "Supabase verifies the claims there: whoever owns it says who everybody is"),
];

/// Functions owned by the ledger's role that put no claims into force.
pub(super) const UNENTERED: &[(&str, &str)] =
    &[("price_book", "reads list prices, which belong to no organization")];

/// Functions owned by the ledger's role that other roles may call, and that write nothing that a move could miss.
pub(super) const WITHOUT_A_LOOK: &[(&str, &str)] = &[
    ("create_organization", "creates an organization, which cannot be moving yet"),
    ("standing", "reads, and then checks whether the organization is elsewhere"),
    ("agreement", "as standing"),
    ("reconcile", "reads; the door checks where the organization is"),
    ("models_called", "as reconcile"),
    ("settled_calls", "as reconcile"),
    ("check_prices", "as reconcile"),
    ("account_window_as_platform", "as reconcile"),
    ("account_lines_as_platform", "as reconcile"),
    ("stay", "is the check itself"),
];

/// Unique indexes over all organizations.
pub(super) const GLOBAL_KEYS: &[(&str, &str)] = &[];

/// Tables in which the operator's staff sees the rows of every organization, with platform claims.
pub(super) const OPERATORS_TABLES: &[(&str, &str)] = &[
    ("organizations", "creates, names and suspends them"),
    ("memberships", "appoints the first owner"),
    ("policies", "sets what was agreed on"),
    ("credit_balances", "sells credits and reconciles"),
    ("credit_holds", "finds organizations with overdue holds; amounts are hidden"),
    ("price_overrides", "agrees on prices"),
    ("price_override_tiers", "as price_overrides"),
    ("price_markups", "as price_overrides"),
    ("budgets", "sets what was agreed on"),
    ("budget_usage", "sees how far budgets are used"),
    ("budget_events", "reads when budgets reached their thresholds"),
    ("rate_limits", "sets what was agreed on"),
    ("kill_switches", "stops a scope, and sees which are stopped"),
    ("usage_daily", "reads the totals of an organization, not of its people"),
    ("break_glass_grants", "sees which organizations it may look into, and until when"),
];

pub(super) fn names(list: &[(&'static str, &str)]) -> Vec<&'static str> {
    list.iter().map(|(name, _)| *name).collect()
}

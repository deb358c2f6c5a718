-- A row of one organization in every table that has organizations; the people's are ann's.
-- `:organization` stands for its id. A new table needs a row here: the suite says so.
insert into tollgate.organizations (organization_id, name) values (:organization, 'canary');
insert into tollgate.memberships (organization_id, user_id, role) values (:organization, 'ann', 'owner');
insert into tollgate.policies (organization_id) values (:organization);
insert into tollgate.credit_balances (organization_id, posted, held, seq) values (:organization, 10, 1, 2);
insert into tollgate.credit_holds (organization_id, request_id, amount, tokens, day, month, expires_at)
  values (:organization, gen_random_uuid(), 1, 1, current_date, current_date, now());
insert into tollgate.credit_ledger (organization_id, seq, kind, d_posted, d_held, d_debt, posted_after, held_after, debt_after)
  values (:organization, 1, 'grant', 10, 0, 0, 10, 0, 0);
insert into tollgate.budget_usage (organization_id, scope, scope_id, window_kind, window_start)
  values (:organization, 'organization', '', 'day', current_date);
insert into tollgate.usage (organization_id, arrived_at, request_id, user_id, endpoint, model, stream, ending, status, input_tokens,
    cached_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, estimated, clamped, cost, latency_ms)
  values (:organization, now(), gen_random_uuid(), 'ann', 'messages', 'm', false, 'complete', 200, 1, 0, 0, 0, 1, 0, false, false, 1, 1);
insert into tollgate.audit_events (organization_id, arrived_at, request_id, user_id, endpoint, model, stream, ending, status, input_tokens,
    cached_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, estimated, clamped, cost, latency_ms,
    request, truncated)
  values (:organization, now(), gen_random_uuid(), 'ann', 'messages', 'm', false, 'complete', 200, 1, 0, 0, 0, 1, 0, false, false, 1, 1,
    'canary', false);
insert into tollgate.teams (organization_id, team_id, name) values (:organization, :organization, 'canary');
insert into tollgate.team_memberships (organization_id, team_id, user_id) values (:organization, :organization, 'ann');
insert into tollgate.invitations (organization_id, invitation_id, email, role, digest, invited_by, expires_at)
  values (:organization, :organization, 'c@n.test', 'viewer', sha256('canary'), 'ann', now() + interval '1 day');
insert into tollgate.api_keys (organization_id, key_id, digest, name, user_id)
  values (:organization, :organization, sha256('canary'), 'canary', 'ann');
insert into tollgate.settings (organization_id, name, value) values (:organization, 'canary', '1');
insert into tollgate.model_policies (organization_id, scope, scope_id, model_pattern, allowed)
  values (:organization, 'organization', '', '*', true);
insert into tollgate.rate_limits (organization_id, scope, scope_id, requests_per_minute) values (:organization, 'organization', '', 1);
insert into tollgate.budgets (organization_id, scope, scope_id, window_kind, tokens_max) values (:organization, 'organization', '', 'day', 1);
insert into tollgate.price_overrides (organization_id, price_id, model, per_request) values (:organization, :organization, 'm', 0);
insert into tollgate.price_override_tiers values (:organization, :organization, 0, 1, 1, 1, 1, 1, 1);
insert into tollgate.provider_credentials (organization_id, credential_id, name, provider, secret_reference)
  values (:organization, :organization, 'canary', 'p', 'env:CANARY');
insert into tollgate.model_routes (organization_id, model, position, provider, upstream_model, credential_id)
  values (:organization, 'm', 0, 'p', 'm', :organization);
insert into tollgate.guardrails (organization_id, guardrail_id, name, stage, kind) values (:organization, :organization, 'canary', 'request', 'k');
insert into tollgate.prompt_templates (organization_id, template_id, name) values (:organization, :organization, 'canary');
insert into tollgate.prompt_versions (organization_id, template_id, version, messages) values (:organization, :organization, 1, '[]');
insert into tollgate.prompt_versions_live (organization_id, template_id, version) values (:organization, :organization, 1);
insert into tollgate.break_glass_grants (organization_id, grant_id, granted_to, granted_by, reason, expires_at)
  values (:organization, :organization, 'staff', 'chief', 'canary', now() + interval '1 hour');
insert into tollgate.usage_daily (organization_id, day, scope, scope_id, model, provider, calls, calls_unfinished, input_tokens,
    cached_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, cost)
  values (:organization, current_date, 'organization', '', 'm', 'p', 1, 0, 1, 0, 0, 0, 1, 0, 1),
         (:organization, current_date, 'user', 'ann', 'm', 'p', 1, 0, 1, 0, 0, 0, 1, 0, 1);
insert into tollgate.audit_chain (organization_id, seq, arrived_at, request_id, leaf_hash, chain_hash)
  values (:organization, 1, now(), :organization, sha256('leaf'), sha256('chain'));
insert into tollgate.audit_checkpoints (organization_id, size, root_hash, note) values (:organization, 1, sha256('root'), 'canary');
insert into tollgate.kill_switches (organization_id, scope, scope_id) values (:organization, 'user', 'nobody');
insert into tollgate.budget_events (organization_id, scope, scope_id, window_kind, window_start, unit, percent, refused, used, cap)
  values (:organization, 'organization', '', 'day', current_date, 'tokens', 50, false, 5, 10);
insert into tollgate.price_markups (organization_id, markup_bps) values (:organization, 100);

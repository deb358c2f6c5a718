-- Sealed claims: a mode in which claims count only with a seal that a gateway has made with a key. SQL that finds
-- its way into a statement can set any claims, but it cannot seal them. Off until `tollgate migrate` turns it
-- on: it then replaces `verified`, `jwt` and `sealing` together, and puts the keys into the table.
--
-- The seal is the first member of the claims, so that claims stay one text:
--   {"tollgate_seal":"v1.<key id>.<expires, in milliseconds>.<64 hex digits>", and the rest
-- The digits are HMAC-SHA256 over `v1.<key id>.<expires>.` and everything behind the member.

-- Keys as HMAC uses them, so that `sha256` is all it takes. The helper reads them, for the function that verifies,
-- and the migrator writes them, who may become the helper; nobody else may do either.
create table if not exists tollgate.seal_keys (
  key_id text not null primary key check (key_id ~ '^[0-9a-f]{8}$'),
  inner_pad bytea not null check (octet_length(inner_pad) = 64),
  outer_pad bytea not null check (octet_length(outer_pad) = 64),
  created_at timestamptz not null default clock_timestamp()
);
alter table tollgate.seal_keys enable row level security, force row level security;
grant select on tollgate.seal_keys to tollgate_rls_helper;
do $policies$
declare
  wanted record;
begin
  for wanted in
    select * from (values
      ('seal_keys_select_helper', 'select', 'tollgate_rls_helper', 'using'),
      ('seal_keys_insert_migrator', 'insert', 'tollgate_migrator', 'with check'),
      ('seal_keys_delete_migrator', 'delete', 'tollgate_migrator', 'using')) as p (name, verb, grantee, clause)
  loop
    continue when exists (select from pg_catalog.pg_policies
                          where schemaname = 'tollgate' and tablename = 'seal_keys' and policyname = wanted.name);
    execute format('create policy %I on tollgate.seal_keys for %s to %I %s (key_id is not null)',
                   wanted.name, wanted.verb, wanted.grantee, wanted.clause);
  end loop;
end
$policies$;

grant create on schema tollgate to tollgate_rls_helper;

-- Whether claims must be sealed. Its body is a text, which everybody can read in the catalog.
create or replace function tollgate.sealing() returns boolean language sql stable parallel safe
  as 'select false';

-- The claims under a seal; null where there are none; else an error that says nothing. Digests of the digits are
-- compared, so that the time it takes tells nothing of them.
create or replace function tollgate.unsealed(p_claims text) returns jsonb
  language plpgsql stable parallel safe security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_inner bytea;
  v_outer bytea;
  v_now bigint;
begin
  if p_claims is null or p_claims = '' then
    return null;
  end if;
  select s.inner_pad, s.outer_pad into v_inner, v_outer from tollgate.seal_keys s where s.key_id = substr(p_claims, 22, 8);
  v_now := extract(epoch from statement_timestamp()) * 1000;
  -- What the digest does not cover is compared as it must be. Times have thirteen digits until the year 2286.
  if found
    and left(p_claims, 21) = '{"tollgate_seal":"v1.' and substr(p_claims, 109, 1) = '"'
    and substr(p_claims, 31, 13) collate "C" between v_now::text and (v_now + 300000)::text
    and sha256(convert_to(encode(sha256(v_outer || sha256(v_inner || convert_to(substr(p_claims, 19, 26) || substr(p_claims, 110), 'UTF8'))), 'hex'), 'UTF8'))
        = sha256(convert_to(substr(p_claims, 45, 64), 'UTF8'))
  then
    return ('{' || substr(p_claims, case substr(p_claims, 110, 1) when ',' then 111 else 110 end))::jsonb;
  end if;
  raise exception 'the claims have no valid seal' using errcode = '28000';
end $$;

-- The claims that a text says, in the mode that is in force.
create or replace function tollgate.verified(p_claims text) returns jsonb language sql stable parallel safe
  return nullif(p_claims, '')::jsonb;

-- For a gateway that starts: whether claims must be sealed, whether these are as they must be, and in how many
-- milliseconds their seal expires by this clock.
create or replace function tollgate.check_sealing(p_sealed text, out sealing boolean, out accepted boolean, out expires_in_ms bigint)
  language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
  sealing := tollgate.sealing();
  if substr(p_sealed, 31, 13) ~ '^[0-9]{13}$' then
    expires_in_ms := substr(p_sealed, 31, 13)::bigint - (extract(epoch from statement_timestamp()) * 1000)::bigint;
  end if;
  perform tollgate.unsealed(p_sealed);
  accepted := true;
exception when invalid_authorization_specification then
  accepted := false;
end $$;

-- The organization of the claims that a function of the ledger has put into force. Verifies nothing: `enter` has,
-- once for all statements of the function, and nobody comes to act as this role but through it.
create or replace function tollgate.entered_organization_id() returns uuid language sql stable parallel safe
  return nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'organization_id', '')::uuid;

-- As before; the claims are verified here.
create or replace function tollgate.enter(p_organization_id uuid, p_claims text) returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if nullif(tollgate.verified(p_claims) ->> 'organization_id', '')::uuid is distinct from p_organization_id or p_organization_id is null then
    raise exception 'the claims name another organization' using errcode = '42501';
  end if;
  perform set_config('request.jwt.claims', p_claims, true);
  -- Supabase's reader prefers this older setting: nothing may stand in it.
  perform set_config('request.jwt.claim', '', true);
end $$;

-- The ledger's policies read what was entered.
do $ledger$
declare
  p record;
begin
  for p in
    select c.oid::regclass as relation, pol.polname,
           ' using (' || pg_get_expr(pol.polqual, pol.polrelid) || ')' as rule,
           ' with check (' || pg_get_expr(pol.polwithcheck, pol.polrelid) || ')' as checked
      from pg_catalog.pg_policy pol join pg_catalog.pg_class c on c.oid = pol.polrelid
      where c.relnamespace = 'tollgate'::regnamespace and pol.polroles = array['tollgate_ledger'::regrole::oid]
        and coalesce(pg_get_expr(pol.polqual, pol.polrelid), pg_get_expr(pol.polwithcheck, pol.polrelid)) ~ 'current_organization_id'
  loop
    execute format('alter policy %I on %s', p.polname, p.relation)
      || replace(coalesce(p.rule, '') || coalesce(p.checked, ''), 'current_organization_id', 'entered_organization_id');
  end loop;
end
$ledger$;

-- As before; the ledger's rule is what was entered.
create or replace function tollgate.allow(
  p_table text, p_role text, p_verbs text, p_columns text default null, p_further text default null) returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  grantee constant text := case p_role when 'helper' then 'tollgate_rls_helper' else 'tollgate_' || p_role end;
  rule constant text :=
    case p_role
      -- The column is named, so that the catalog shows that the policy reads it.
      when 'platform' then 'organization_id is not null and (select tollgate.is_platform())'
      when 'ledger' then 'organization_id = (select tollgate.entered_organization_id())'
      else 'organization_id = (select tollgate.current_organization_id())' end
    -- A wrong SET ROLE gains nothing. One's own rows need no role: whoever calls may look back.
    || case
         when p_role in ('owner', 'admin', 'viewer') or (p_role = 'member' and p_further is null)
           then format(' and (select tollgate.current_org_role()) = %L', p_role)
         else '' end
    || coalesce(' and ' || p_further, '');
  verb text;
  policy text;
begin
  if p_role not in ('owner', 'admin', 'member', 'viewer', 'platform', 'ledger', 'helper') then
    raise exception 'no such role: %', p_role using errcode = '22023';
  end if;
  execute format('alter table tollgate.%I enable row level security, force row level security', p_table);
  foreach verb in array string_to_array(p_verbs, ' ') loop
    if verb not in ('select', 'insert', 'update', 'delete') then
      raise exception 'no such verb: %', verb using errcode = '22023';
    end if;
    execute format('grant %s%s on tollgate.%I to %I', verb, coalesce(' (' || p_columns || ')', ''), p_table, grantee);
    policy := format('%s_%s_%s', p_table, verb, p_role);
    -- The same verb may be given on different columns in two steps; the rule is the table's.
    continue when exists (select from pg_policies p
                          where p.schemaname = 'tollgate' and p.tablename = p_table and p.policyname = policy);
    execute format('create policy %I on tollgate.%I for %s to %I %s %s', policy, p_table, verb, grantee,
                   case when verb <> 'insert' then format('using (%s)', rule) end,
                   case when verb in ('insert', 'update') then format('with check (%s)', rule) end);
  end loop;
end $$;

do $owners$
declare
  wanted record;
  grantee text;
begin
  for wanted in
    select p.oid::regprocedure as signature, f.owner, f.callers
      from (values
        ('sealing', 'tollgate_migrator', 'rls_helper'),
        ('verified', 'tollgate_migrator', 'owner admin member viewer platform ledger rls_helper'),
        ('unsealed', 'tollgate_rls_helper', 'owner admin member viewer platform ledger'),
        ('check_sealing', 'tollgate_rls_helper', 'login'),
        ('entered_organization_id', 'tollgate_migrator', 'ledger')
      ) as f (name, owner, callers)
      join pg_catalog.pg_proc p on p.proname = f.name and p.pronamespace = 'tollgate'::regnamespace
  loop
    execute format('revoke all on function %s from public', wanted.signature);
    foreach grantee in array string_to_array(wanted.callers, ' ') loop
      execute format('grant execute on function %s to %I', wanted.signature, 'tollgate_' || grantee);
    end loop;
    execute format('alter function %s owner to %I', wanted.signature, wanted.owner);
  end loop;
end
$owners$;
revoke create on schema tollgate from tollgate_rls_helper;

-- Credits: whole nano-dollars. One hot row an organization, its holds, and every movement for ever.
--
-- No foreign keys on the hot tables: a key-share lock on the row that every call updates would turn
-- its row lock into a multixact. The functions that write here are the only writers.
create table if not exists tollgate.credit_balances (
  organization_id uuid not null primary key references tollgate.organizations,
  posted bigint not null default 0,
  held bigint not null default 0 check (held >= 0),
  debt bigint not null default 0 check (debt >= 0),
  seq bigint not null default 0 check (seq >= 0),
  check (posted >= held)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

create table if not exists tollgate.credit_holds (
  organization_id uuid not null,
  request_id uuid not null,
  amount bigint not null check (amount >= 0),
  tokens bigint not null check (tokens >= 0),
  -- The budget windows in which the tokens are held, as dates in the organization's time zone.
  day date not null,
  month date not null,
  status text not null default 'open' check (status in ('open', 'settled', 'released', 'expired')),
  -- What a heartbeat has reported so far: the charge if nothing more is heard.
  used bigint not null default 0 check (used >= 0),
  charged bigint not null default 0 check (charged >= 0),
  debt bigint not null default 0 check (debt >= 0),
  -- What is given back of the amount; no settlement can give back more than was held.
  refund bigint not null default 0 check (refund between 0 and amount),
  price_id uuid,
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz not null,
  primary key (organization_id, request_id),
  check (status <> 'open' or (charged = 0 and debt = 0 and refund = 0))
) with (fillfactor = 80);
create index if not exists credit_holds_open on tollgate.credit_holds (organization_id, expires_at) where status = 'open';

create table if not exists tollgate.credit_ledger (
  organization_id uuid not null,
  seq bigint not null check (seq > 0),
  kind text not null,
  request_id uuid,
  -- The operator's own key of a grant: repeating it changes nothing.
  reference text,
  d_posted bigint not null,
  d_held bigint not null,
  d_debt bigint not null,
  posted_after bigint not null,
  held_after bigint not null,
  debt_after bigint not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (organization_id, seq),
  check (posted_after >= held_after and held_after >= 0 and debt_after >= 0),
  constraint credit_ledger_kind check (case kind
    when 'hold' then d_posted = 0 and d_held > 0 and d_debt = 0
    when 'settle' then d_posted <= 0 and d_held <= 0 and d_debt >= 0
    when 'late_settle' then d_posted <= 0 and d_held = 0 and d_debt >= 0
    when 'release' then d_posted = 0 and d_held < 0 and d_debt = 0
    when 'expire' then d_posted <= 0 and d_held <= 0 and d_debt >= 0
    when 'grant' then d_posted >= 0 and d_held = 0 and d_debt <= 0
    else false end)
);
create unique index if not exists credit_ledger_request on tollgate.credit_ledger (organization_id, request_id, kind) where request_id is not null;
create unique index if not exists credit_ledger_reference on tollgate.credit_ledger (organization_id, reference) where reference is not null;

-- Tokens of a calendar window: `used` for good, `held` by open holds. A window is computed, never reset.
create table if not exists tollgate.budget_usage (
  organization_id uuid not null,
  scope text not null check (scope in ('organization', 'team', 'user', 'key')),
  scope_id text not null,
  window_kind text not null check (window_kind in ('day', 'month')),
  window_start date not null,
  used bigint not null default 0 check (used >= 0),
  held bigint not null default 0 check (held >= 0),
  primary key (organization_id, scope, scope_id, window_kind, window_start)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

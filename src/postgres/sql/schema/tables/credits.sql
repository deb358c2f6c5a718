-- Credits in whole nano-dollars: one hot row for each organization, its holds, and every movement, which is kept
-- forever.
--
-- The hot tables have no foreign keys: a key-share lock on the row that every call updates would turn the row's lock
-- into a multixact. Only the functions of tollgate_ledger write here.

create table tollgate.credit_balances (
  organization_id uuid not null primary key references tollgate.organizations,
  posted bigint not null default 0,
  held bigint not null default 0 check (held >= 0),
  debt bigint not null default 0 check (debt >= 0),
  seq bigint not null default 0 check (seq >= 0),
  check (posted >= held)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
alter table tollgate.credit_balances enable row level security, force row level security;

create table tollgate.credit_holds (
  organization_id uuid not null,
  request_id uuid not null,
  amount bigint not null check (amount >= 0),
  tokens bigint not null check (tokens >= 0),
  -- The budget windows in which the hold counts, as dates in the organization's time zone.
  day date not null,
  month date not null,
  status text not null default 'open' check (status in ('open', 'settled', 'released', 'expired')),
  -- The cost that the last heartbeat reported. An expiry charges it.
  used bigint not null default 0 check (used >= 0),
  charged bigint not null default 0 check (charged >= 0),
  debt bigint not null default 0 check (debt >= 0),
  -- The part of the amount that was given back. No settlement can give back more than was held.
  refund bigint not null default 0 check (refund between 0 and amount),
  price_id uuid,
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz not null,
  user_id text not null default '',
  team_id uuid,
  key_id uuid,
  -- The budget windows that hold this hold's tokens and credits, one bit for each: day before month, scopes in the
  -- order organization (1 and 2), team (4 and 8), user (16 and 32), key (64 and 128). A window has its bit only if it
  -- had a budget when the hold was made.
  held_in integer not null default 0 check (held_in between 0 and 255),
  -- The tokens that the last heartbeat reported, and the tokens that were used in the end.
  tokens_seen bigint not null default 0 check (tokens_seen >= 0),
  tokens_used bigint not null default 0 check (tokens_used >= 0),
  primary key (organization_id, request_id),
  check (status <> 'open' or (charged = 0 and debt = 0 and refund = 0))
) with (fillfactor = 80);
alter table tollgate.credit_holds enable row level security, force row level security;
create index credit_holds_open on tollgate.credit_holds (organization_id, expires_at) where status = 'open';

create table tollgate.credit_ledger (
  organization_id uuid not null,
  seq bigint not null check (seq > 0),
  kind text not null,
  request_id uuid,
  -- The operator's own key of a grant: a grant that is repeated with the same reference changes nothing.
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
alter table tollgate.credit_ledger enable row level security, force row level security;
create unique index credit_ledger_request on tollgate.credit_ledger (organization_id, request_id, kind) where request_id is not null;
create unique index credit_ledger_reference on tollgate.credit_ledger (organization_id, reference) where reference is not null;

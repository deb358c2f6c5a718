-- The keys with which gateways seal claims. Where claims must be sealed, only claims with a seal of one of these keys
-- count: SQL that was injected into a statement can set any claims, but it cannot seal them.
--
-- A key is stored as the two pads of HMAC, so that a seal can be verified with `sha256` alone. tollgate_seals reads the
-- pads for the function `unsealed`, and can do nothing else. tollgate_migrator writes them and may become
-- tollgate_seals. No other role may do either.
create table tollgate.seal_keys (
  key_id text not null primary key check (key_id ~ '^[0-9a-f]{8}$'),
  inner_pad bytea not null check (octet_length(inner_pad) = 64),
  outer_pad bytea not null check (octet_length(outer_pad) = 64),
  created_at timestamptz not null default clock_timestamp()
);
alter table tollgate.seal_keys enable row level security, force row level security;

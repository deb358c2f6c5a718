-- Where an organization's rows are: in the shared tables, in a schema of its own, or in another database; and what
-- moves them from one such place to another while calls go on.
--
-- `organizations` of the main database is the directory: every organization has its row there, wherever its other
-- rows are. A place has a row of its own for each organization in it.
alter table tollgate.organizations
  -- Seen from here: `row` is in these tables, `schema` and `database` are where `place` says, and `elsewhere` is
  -- what a place says of an organization that has not arrived in it yet, or has left it; the directory knows where.
  add column if not exists placement text not null default 'row' check (placement in ('row', 'schema', 'database', 'elsewhere')),
  -- The name of the schema, or the name that the configuration gives the database.
  add column if not exists place text check ((placement in ('schema', 'database')) = (place is not null)),
  -- Where it is being moved: `row`, `schema`, or `database:` and its name.
  add column if not exists moving_to text check (moving_to ~ '^(row|schema|database:.+)$'),
  -- Whether nothing may be written here because the last of it is being copied.
  add column if not exists held_up boolean not null default false check (not held_up or moving_to is not null),
  -- Where rows of it are left that nobody uses any more.
  add column if not exists moved_from text check (moved_from is null or (moved_from ~ '^(row|schema|database:.+)$' and moving_to is null));
create index if not exists organizations_placed on tollgate.organizations (organization_id) where placement <> 'row';

-- Refuses where the organization's rows are not here (TG301; TG404 where it is unknown), or are just being moved
-- elsewhere (TG302).
--
-- Everything that writes rows of an organization calls this, in a statement of its own AFTER its first write or row
-- lock: it has locked a table of this schema by then, and keeps that until its end. Who moves an organization sets
-- `held_up`, commits, and then waits until all transactions have ended that have one locked: among those are all that
-- have not seen the mark.
create or replace function tollgate.stay(p_organization_id uuid) returns void
  language plpgsql as $$
declare
  o record;
begin
  select org.placement, org.held_up into o from tollgate.organizations org where org.organization_id = p_organization_id;
  if not found then
    raise exception 'no such organization' using errcode = 'TG404';
  end if;
  if o.placement <> 'row' then
    raise exception 'the organization is not here' using errcode = 'TG301';
  end if;
  if o.held_up then
    raise exception 'the organization is being moved' using errcode = 'TG302';
  end if;
end $$;

-- Refuses where the organization's rows are not here (TG301), and says whether it is known at all. For what only reads:
-- called behind it, because rows that are gone now may have been missing already.
create or replace function tollgate.still_here(p_organization_id uuid) returns boolean
  language plpgsql as $$
declare
  o record;
begin
  select org.placement into o from tollgate.organizations org where org.organization_id = p_organization_id;
  if not found then
    return false;
  end if;
  if o.placement <> 'row' then
    raise exception 'the organization is not here' using errcode = 'TG301';
  end if;
  return true;
end $$;

-- The functions that write, each with that look; and those that read without the door, which look behind what they have
-- read. The rest of them stays as it is.
do $stay$
declare
  wanted record;
  before text;
  after text;
begin
  for wanted in
    select * from (values
      ('hold', E'where organization_id = p_organization_id for update;\n  if not found then',
               E'where organization_id = p_organization_id for update;\n  perform tollgate.stay(p_organization_id);\n  if b.organization_id is null then'),
      ('grant_credits', E'where organization_id = p_organization_id for update;\n  if not found then',
               E'where organization_id = p_organization_id for update;\n  perform tollgate.stay(p_organization_id);\n  if b.organization_id is null then'),
      ('give_back', E'where organization_id = p_organization_id for update;\n  if not found then\n    return 0;\n  end if;\n',
               E'where organization_id = p_organization_id for update;\n  perform tollgate.stay(p_organization_id);\n'),
      ('expire', E'where organization_id = p_organization_id for update;\n  if not found then\n    return 0;\n  end if;\n',
               E'where organization_id = p_organization_id for update;\n  perform tollgate.stay(p_organization_id);\n'),
      ('renew', E'      returning h.request_id;\n', E'      returning h.request_id;\n  perform tollgate.stay(p_organization_id);\n'),
      ('finish', E'into v_new from added a;\n', E'into v_new from added a;\n  perform tollgate.stay(p_organization_id);\n'),
      ('standing', E'where org.organization_id = p_organization_id;\nend',
               E'where org.organization_id = p_organization_id;\n  perform tollgate.still_here(p_organization_id);\nend'),
      ('agreement', E'order by p.model, p.from_input_tokens;\nend',
               E'order by p.model, p.from_input_tokens;\n  if not tollgate.still_here(p_organization_id) then\n    raise exception ''no such organization'' using errcode = ''TG404'';\n  end if;\nend')
    ) as f (name, this, becomes)
  loop
    select pg_get_functiondef(p.oid) into strict before
      from pg_catalog.pg_proc p where p.proname = wanted.name and p.pronamespace = 'tollgate'::regnamespace;
    continue when before ~ '\.(stay|still_here)\(';
    after := replace(before, wanted.this, wanted.becomes);
    if after = before then
      raise exception 'function % is not as it was', wanted.name;
    end if;
    execute after;
  end loop;
end
$stay$;

-- Whether the rows of the claims' organization are not in use here: the only ones that are added or removed by a move.
create or replace function tollgate.is_away() returns boolean
  language sql stable parallel safe
  return not exists (select from tollgate.organizations
                     where organization_id = tollgate.current_organization_id() and placement = 'row');

-- Lets the mover's role read every table that has organizations, and write what is not in use: bound, as everybody,
-- to the organization in the claims. Run after every migration, so that a new table is moved too.
create or replace function tollgate.admit_mover() returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  t record;
  own constant text := 'organization_id = (select tollgate.current_organization_id())';
  unused constant text := own || ' and (select tollgate.is_away())';
  p record;
begin
  for t in
    select c.relname::text as name from pg_class c join pg_attribute a on a.attrelid = c.oid
      where c.relnamespace = 'tollgate'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
        and a.attname = 'organization_id' and not a.attisdropped
  loop
    for p in
      select * from (values ('select', format('using (%s)', own)),
                            ('insert', format('with check (%s)', unused)),
                            ('delete', format('using (%s)', unused)),
                            ('update', format('using (%s) with check (%s)', own, own))) as v (verb, rule)
        -- The one row that changes in place: it says where the organization is.
        where v.verb <> 'update' or t.name = 'organizations'
    loop
      execute format('grant %s on tollgate.%I to tollgate_mover', p.verb, t.name);
      if not exists (select from pg_policies q where q.schemaname = 'tollgate' and q.tablename = t.name
                     and q.policyname = format('%s_%s_mover', t.name, p.verb)) then
        execute format('create policy %I on tollgate.%I for %s to tollgate_mover %s',
                       format('%s_%s_mover', t.name, p.verb), t.name, p.verb, p.rule);
      end if;
    end loop;
  end loop;
end $$;
grant usage on schema tollgate to tollgate_mover;

-- Two tables that point at each other are filled and emptied in one transaction.
alter table tollgate.prompt_templates alter constraint prompt_templates_version_live deferrable initially immediate;

-- The columns of a table's primary key behind the organization, in their order.
create or replace function tollgate.key_columns(p_table text) returns text[]
  language sql stable set search_path = pg_catalog, pg_temp as $$
  select array(select a.attname::text
                 from pg_index i cross join lateral unnest(i.indkey::int2[]) with ordinality as k (attnum, n)
                 join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
                 where i.indrelid = to_regclass(format('tollgate.%I', p_table)) and i.indisprimary and a.attname <> 'organization_id'
                 order by k.n)
$$;

-- The key's columns as a list, and their values as one.
create or replace function tollgate.key_list(p_table text) returns text
  language sql stable set search_path = pg_catalog, pg_temp as $$
  select (select string_agg(quote_ident(name), ', ' order by n) from unnest(tollgate.key_columns(p_table)) with ordinality as k (name, n))
$$;
create or replace function tollgate.key_values(p_table text, p_key text) returns text
  language sql stable set search_path = pg_catalog, pg_temp as $$
  select string_agg(format('%L::%s', p_key::jsonb ->> k.name, format_type(a.atttypid, a.atttypmod)), ', ' order by k.n)
    from unnest(tollgate.key_columns(p_table)) with ordinality as k (name, n)
    join pg_attribute a on a.attrelid = to_regclass(format('tollgate.%I', p_table)) and a.attname = k.name
$$;

-- The tables that move: what their columns are, the rest of the primary key behind the organization, whether that is
-- the only key, whether rows never change once they are there, and at which others they point at once (and not only
-- at the commit).
create or replace function tollgate.movable()
  returns table (name text, columns text, key_columns text[], one_key boolean, append_only boolean, points_at text[])
  language sql stable set search_path = pg_catalog, pg_temp as $$
  select c.relname::text,
         (select string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' order by a.attnum)
            from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
         tollgate.key_columns(c.relname::text),
         not exists (select from pg_index i where i.indrelid = c.oid and i.indisunique and not i.indisprimary),
         not exists (
           select from (select c.relacl union all select a.attacl from pg_attribute a where a.attrelid = c.oid) as given (acl)
             cross join lateral aclexplode(given.acl) as g
             where g.privilege_type in ('UPDATE', 'DELETE') and g.grantee not in (c.relowner, 'tollgate_mover'::regrole)),
         array(select distinct p.relname::text from pg_constraint k join pg_class p on p.oid = k.confrelid
                 where k.conrelid = c.oid and k.contype = 'f' and not k.condeferrable and p.oid <> c.oid
                   and p.relnamespace = c.relnamespace and p.relname <> 'organizations')
    from pg_class c join pg_attribute o on o.attrelid = c.oid and o.attname = 'organization_id' and not o.attisdropped
    where c.relnamespace = 'tollgate'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
      and c.relname <> 'organizations'
    order by c.relname
$$;

-- The rows of an organization behind one key and up to another, as a condition. Null is no bound. Where the
-- organization is the whole key, there is one row, and none behind it.
create or replace function tollgate.key_range(p_organization_id uuid, p_table text, p_after text, p_until text) returns text
  language sql stable set search_path = pg_catalog, pg_temp as $$
  select format('organization_id = %L', p_organization_id)
      || case when p_after is null then '' when keys.list is null then ' and false'
              else format(' and (%s) > (%s)', keys.list, tollgate.key_values(p_table, p_after)) end
      || case when p_until is null or keys.list is null then ''
              else format(' and (%s) <= (%s)', keys.list, tollgate.key_values(p_table, p_until)) end
    from (select tollgate.key_list(p_table)) as keys (list)
$$;

-- Keys of an organization's rows behind one, in order: every ten thousandth, every five hundredth of the last ten
-- thousand, where most is changed, and the last.
create or replace function tollgate.move_keys(p_organization_id uuid, p_table text, p_after text) returns setof text
  language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  keys constant text := tollgate.key_list(p_table);
begin
  if keys is null then
    return;
  end if;
  return query execute format(
    'select (to_jsonb(k) - ''n'' - ''others'')::text
       from (select %1$s, row_number() over (order by %1$s) as n, count(*) over () as others from tollgate.%2$I where %3$s) k
       where n %% 10000 = 0 or (n %% 500 = 0 and n > others - 10000) or n = others order by n',
    keys, p_table, tollgate.key_range(p_organization_id, p_table, p_after, null));
end $$;

-- How many rows each of some ranges has; and, if they are to be read, the sum of their hashes, which says whether they
-- are the same whatever their order.
create or replace function tollgate.move_marks(
  p_organization_id uuid, p_tables text[], p_after text[], p_until text[], p_read boolean[])
  returns table (rows bigint, digest text)
  language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  for n in 1..cardinality(p_tables) loop
    return query execute format(
      'select count(*), %s from tollgate.%I t where %s',
      case when p_read[n] then 'coalesce(sum(hashtextextended(t::text, 0)), 0)::text'
           else '''''' end,
      p_tables[n], tollgate.key_range(p_organization_id, p_tables[n], p_after[n], p_until[n]));
  end loop;
end $$;

-- The next rows of a range as text, each with its key: at most so many, and as few as come to so many bytes.
create or replace function tollgate.move_out(p_organization_id uuid, p_table text, p_after text, p_until text, p_rows integer, p_bytes bigint)
  returns table (key text, line text)
  language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  keys constant text := coalesce(tollgate.key_list(p_table), 'organization_id');
begin
  return query execute format(
    'select s.key, s.line
       from (select s.*, sum(octet_length(s.line)) over (order by s.n rows between unbounded preceding and 1 preceding) as bytes_before
               from (select r.*, row_number() over () as n
                       from (select (select to_jsonb(k) from (select %1$s) k)::text as key, t::text as line
                               from tollgate.%2$I t where %3$s order by organization_id, %1$s limit $1) r) s) s
       where coalesce(s.bytes_before, 0) < $2 order by s.n',
    keys, p_table, tollgate.key_range(p_organization_id, p_table, p_after, p_until))
    using p_rows, p_bytes;
end $$;

-- Adds rows that were given out as text, and counts them.
create or replace function tollgate.move_in(p_organization_id uuid, p_table text, p_lines text[]) returns bigint
  language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  columns constant text[] := array(
    select quote_ident(a.attname) from pg_attribute a
      where a.attrelid = to_regclass(format('tollgate.%I', p_table)) and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
      order by a.attnum);
  n bigint;
begin
  execute format(
    'insert into tollgate.%1$I (%2$s) select (s.r).%3$s from (select l::tollgate.%1$I as r from unnest($1) as l offset 0) s where (s.r).organization_id = $2',
    p_table, array_to_string(columns, ', '), array_to_string(columns, ', (s.r).'))
    using p_lines, p_organization_id;
  get diagnostics n = row_count;
  return n;
end $$;

-- Removes a range, and counts what it was.
create or replace function tollgate.move_clear(p_organization_id uuid, p_table text, p_after text, p_until text) returns bigint
  language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  n bigint;
begin
  execute format('delete from tollgate.%I where %s', p_table, tollgate.key_range(p_organization_id, p_table, p_after, p_until));
  get diagnostics n = row_count;
  return n;
end $$;

-- An organization's own row, without where it is.
create or replace function tollgate.move_self_out(p_organization_id uuid) returns text
  language sql stable set search_path = pg_catalog, pg_temp as $$
  select (to_jsonb(o) - array['placement', 'place', 'moving_to', 'held_up', 'moved_from'])::text
    from tollgate.organizations o where o.organization_id = p_organization_id
$$;

-- Takes over an organization's own row as it was given out. One that is new here has not arrived yet.
create or replace function tollgate.move_self_in(p_organization_id uuid, p_self text) returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  columns constant text := (
    select string_agg(quote_ident(a.attname), ', ' order by a.attnum) from pg_attribute a
      where a.attrelid = 'tollgate.organizations'::regclass and a.attnum > 0 and not a.attisdropped
        and p_self::jsonb ? a.attname and a.attname <> 'organization_id');
begin
  execute format(
    'insert into tollgate.organizations as o (organization_id, placement, %1$s)
       select $1, ''elsewhere'', %1$s from jsonb_populate_record(null::tollgate.organizations, $2)
       on conflict (organization_id) do update set (%1$s) = (select %2$s)', columns,
       (select string_agg('excluded.' || name, ', ') from unnest(string_to_array(columns, ', ')) as name))
    using p_organization_id, p_self::jsonb;
end $$;

-- The tables in which an organization has rows here, and how many; its own row is not among them.
create or replace function tollgate.rows_here(p_organization_id uuid) returns table (name text, rows bigint)
  language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  for name in select m.name from tollgate.movable() m loop
    execute format('select count(*) from tollgate.%I where organization_id = $1', name) into rows using p_organization_id;
    continue when rows = 0;
    return next;
  end loop;
end $$;

grant create on schema tollgate to tollgate_ledger;
do $owners$
declare
  wanted record;
  grantee text;
begin
  for wanted in
    select p.oid::regprocedure as signature, f.owner, f.callers
      from (values
        ('stay', 'tollgate_ledger', 'owner admin member viewer platform'),
        ('still_here', 'tollgate_ledger', ''),
        ('is_away', 'tollgate_migrator', 'mover'),
        ('admit_mover', 'tollgate_migrator', ''),
        ('movable', 'tollgate_migrator', 'mover'),
        ('key_columns', 'tollgate_migrator', 'mover'),
        ('key_list', 'tollgate_migrator', 'mover'),
        ('key_values', 'tollgate_migrator', 'mover'),
        ('key_range', 'tollgate_migrator', 'mover'),
        ('move_keys', 'tollgate_migrator', 'mover'),
        ('move_marks', 'tollgate_migrator', 'mover'),
        ('move_out', 'tollgate_migrator', 'mover'),
        ('move_in', 'tollgate_migrator', 'mover'),
        ('move_clear', 'tollgate_migrator', 'mover'),
        ('move_self_out', 'tollgate_migrator', 'mover'),
        ('move_self_in', 'tollgate_migrator', 'mover'),
        ('rows_here', 'tollgate_migrator', 'mover'),
        ('jwt', 'tollgate_migrator', 'mover'),
        ('verified', 'tollgate_migrator', 'mover'),
        ('unsealed', 'tollgate_rls_helper', 'mover'),
        ('current_organization_id', 'tollgate_migrator', 'mover')
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
revoke create on schema tollgate from tollgate_ledger;
select tollgate.admit_mover();

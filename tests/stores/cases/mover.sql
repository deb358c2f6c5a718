## A range of rows is told by the rest of the primary key, behind one and up to another
select told.organization(10);
select tollgate.key_columns('credit_ledger'), tollgate.key_columns('usage'), tollgate.key_columns('credit_balances'), tollgate.key_columns('budget_usage');
--> {seq} {arrived_at,request_id} {} {scope,scope_id,window_kind,window_start}
select tollgate.key_list('credit_ledger'), tollgate.key_list('usage'), tollgate.key_list('credit_balances');
--> seq arrived_at, request_id -
select tollgate.key_values('credit_ledger', '{"seq": 7}'), tollgate.key_values('budget_usage', '{"scope": "user", "scope_id": "o''ann", "window_kind": "day", "window_start": "2020-01-01"}');
--> '7'::bigint 'user'::text, 'o''ann'::text, 'day'::text, '2020-01-01'::date
select replace(tollgate.key_range(told.org(), 'credit_ledger', null, null), told.org()::text, 'o');
--> organization_id = 'o'
select replace(tollgate.key_range(told.org(), 'credit_ledger', '{"seq": 7}', null), told.org()::text, 'o');
--> organization_id = 'o' and (seq) > ('7'::bigint)
select replace(tollgate.key_range(told.org(), 'credit_ledger', null, '{"seq": 9}'), told.org()::text, 'o');
--> organization_id = 'o' and (seq) <= ('9'::bigint)
select replace(tollgate.key_range(told.org(), 'usage', '{"arrived_at": "2020-01-01", "request_id": "00000000-0000-0000-0000-000000000007"}', '{"arrived_at": "2020-01-02", "request_id": "00000000-0000-0000-0000-000000000009"}'), told.org()::text, 'o');
--> organization_id = 'o' and (arrived_at, request_id) > ('2020-01-01'::timestamp with time zone, '00000000-0000-0000-0000-000000000007'::uuid) and (arrived_at, request_id) <= ('2020-01-02'::timestamp with time zone, '00000000-0000-0000-0000-000000000009'::uuid)
select replace(tollgate.key_range(told.org(), 'credit_balances', null, null), told.org()::text, 'o');
--> organization_id = 'o'
select replace(tollgate.key_range(told.org(), 'credit_balances', '{}', null), told.org()::text, 'o');
--> organization_id = 'o' and false
select replace(tollgate.key_range(told.org(), 'credit_balances', null, '{}'), told.org()::text, 'o');
--> organization_id = 'o'

## Tables that move are told with their keys, what they point at, and whether their rows ever change
select name, key_columns, one_key, append_only, points_at from tollgate.movable() where name in ('credit_balances', 'credit_holds', 'credit_ledger', 'usage', 'audit_events', 'budgets', 'price_overrides', 'price_override_tiers', 'organizations') order by 1;
--> audit_events {arrived_at,request_id} t t {}
--> budgets {scope,scope_id,window_kind} t f {}
--> credit_balances {} t f {}
--> credit_holds {request_id} t f {}
--> credit_ledger {seq} f t {}
--> price_override_tiers {price_id,from_input_tokens} t t {price_overrides}
--> price_overrides {price_id} f t {}
--> usage {arrived_at,request_id} t t {}
select columns from tollgate.movable() where name = 'credit_balances';
--> organization_id uuid, posted bigint, held bigint, debt bigint, seq bigint
select string_agg(name, ' ') from tollgate.movable() where name like 'usage%' or name like 'audit_events%';
--> audit_events usage usage_daily
select bool_and(name < next) from (select name, lead(name) over () as next from tollgate.movable()) m where next is not null;
--> t

## Rows go out in the order of their key, so many and so many bytes at a time, and come in as they were
select told.organization(100);
select told.holds_by('{a,b,c}', '{1,2,3}', '{1,1,1}', 'ann', null, null);
--> granted 99
--> granted 97
--> granted 94
select told.take('credit_ledger', null, null);
--> {"seq": 1}
--> {"seq": 2}
--> {"seq": 3}
--> {"seq": 4}
select told.take('credit_ledger', '{"seq": 1}', '{"seq": 3}');
--> {"seq": 2}
--> {"seq": 3}
select told.take('credit_ledger', null, null, 2);
--> {"seq": 1}
--> {"seq": 2}
select told.take('credit_ledger', null, null, 100, 1);
--> {"seq": 1}
select told.take('credit_ledger', null, null, 100, (select octet_length(line) from told.taken where organization_id = told.org()));
--> {"seq": 1}
select told.take('credit_ledger', null, null, 100, (select octet_length(line) + 1 from told.taken where organization_id = told.org()));
--> {"seq": 1}
--> {"seq": 2}
select told.take('credit_ledger', null, null, 100, 0);
select told.take('credit_balances', null, null);
--> {"organization_id": "organization"}
select told.take('credit_ledger', '{"seq": 1}', '{"seq": 3}');
--> {"seq": 2}
--> {"seq": 3}
select tollgate.move_clear(told.org(), 'credit_ledger', '{"seq": 1}', '{"seq": 3}');
--> 2
select * from told.movements;
--> 1 grant - 100 0 0 after 100 0 0 -
--> 4 hold c 0 3 0 after 100 6 0 -
select told.put('credit_ledger');
--> 2
select * from told.movements;
--> 1 grant - 100 0 0 after 100 0 0 -
--> 2 hold a 0 1 0 after 100 1 0 -
--> 3 hold b 0 2 0 after 100 3 0 -
--> 4 hold c 0 3 0 after 100 6 0 -
select tollgate.move_clear(told.org(), 'credit_ledger', null, null);
--> 4
select tollgate.move_clear(told.org(), 'credit_ledger', null, null);
--> 0
select * from told.balance;
--> 100 6 0 4

## Rows of another organization do not come in
select told.organization(100);
select told.hold('a', 1, 1);
--> granted 99
select told.take('credit_ledger', null, null);
--> {"seq": 1}
--> {"seq": 2}
update told.taken set line = replace(line, told.org()::text, '00000000-0000-7000-8000-000000000000') where organization_id = told.org() and key like '%1%';
select tollgate.move_clear(told.org(), 'credit_ledger', null, null);
--> 2
select told.put('credit_ledger');
--> 1
select seq from told.movements;
--> 2
select count(*) from tollgate.credit_ledger where organization_id = '00000000-0000-7000-8000-000000000000';
--> 0

## Two places have the same rows where count and digest are the same, in whatever order
select told.organization(100);
select told.holds_by('{a,b}', '{1,2}', '{1,1}', 'ann', null, null);
--> granted 99
--> granted 97
create temp table told_mark as select told.mark('credit_ledger') as was, told.mark('credit_ledger', '{"seq": 1}', '{"seq": 2}') as one;
select told.mark('credit_ledger', p_read => false), told.mark('credit_ledger', '{"seq": 1}', null, false), told.mark('credit_ledger', null, '{"seq": 1}', false), told.mark('credit_ledger', '{"seq": 3}', null);
--> 3 2 1 0 cfcd208495d565ef66e7dff9f98764da
update tollgate.credit_ledger set d_held = d_held + 1 where organization_id = told.org() and seq = 3;
select told.mark('credit_ledger') = was, told.mark('credit_ledger', '{"seq": 1}', '{"seq": 2}') = one from told_mark;
--> f t
update tollgate.credit_ledger set d_held = d_held - 1 where organization_id = told.org() and seq = 3;
update tollgate.credit_ledger set d_held = d_held where organization_id = told.org() and seq = 1;
select told.mark('credit_ledger') = was, told.mark('credit_ledger', '{"seq": 1}', '{"seq": 2}') = one from told_mark;
--> t t
drop table told_mark;
select rows from tollgate.move_marks(told.org(), '{credit_ledger,credit_holds,credit_balances}', '{null,null,null}', '{null,null,null}', '{f,f,f}');
--> 3
--> 2
--> 1

## Every ten thousandth key is told, of the last ten thousand every five hundredth, and the last
select told.organization(0);
insert into tollgate.credit_ledger (organization_id, seq, kind, d_posted, d_held, d_debt, posted_after, held_after, debt_after) select told.org(), n, 'grant', 1, 0, 0, n, 0, 0 from generate_series(1, 20502) n;
select count(*), min(n), max(n), sum(n) from (select (k::jsonb ->> 'seq')::int as n from tollgate.move_keys(told.org(), 'credit_ledger', null) k) k;
--> 22 10000 20502 345502
select k from tollgate.move_keys(told.org(), 'credit_ledger', null) k limit 3;
--> {"seq": 10000}
--> {"seq": 11000}
--> {"seq": 11500}
select count(*), min(n), max(n), sum(n) from (select (k::jsonb ->> 'seq')::int as n from tollgate.move_keys(told.org(), 'credit_ledger', '{"seq": 20000}') k) k;
--> 2 20500 20502 41002
select k from tollgate.move_keys(told.org(), 'credit_balances', null) k;
select k from tollgate.move_keys(told.org(), 'credit_holds', null) k;

## Rows that are here are counted by table, without the organization's own
select told.organization(100);
select told.hold('a', 1, 1);
--> granted 99
select * from tollgate.rows_here(told.org());
--> credit_balances 1
--> credit_holds 1
--> credit_ledger 2
--> policies 1
select count(*) from tollgate.rows_here('00000000-0000-7000-8000-000000000009');
--> 0

## An organization's own row goes without where it is, and comes in as elsewhere
select told.organization(100);
update tollgate.organizations set moving_to = 'schema', name = 'Old', suspended = true where organization_id = told.org();
create temp table told_self as select tollgate.move_self_out(told.org()) as self;
select (select count(*) from jsonb_object_keys(self::jsonb) k where k in ('placement', 'place', 'moving_to', 'held_up', 'moved_from')), (select count(*) + 5 from jsonb_object_keys(self::jsonb)) = (select count(*) from pg_attribute where attrelid = 'tollgate.organizations'::regclass and attnum > 0 and not attisdropped), self::jsonb ->> 'name', self::jsonb ->> 'suspended' from told_self;
--> 0 t Old true
update tollgate.organizations set moving_to = null, name = 'New', suspended = false where organization_id = told.org();
select tollgate.move_self_in(told.org(), self) from told_self;
select name, suspended, placement, moving_to from tollgate.organizations where organization_id = told.org();
--> Old t row -
select tollgate.move_self_in('00000000-0000-7000-8000-00000000000a', self) from told_self;
select name, suspended, placement, time_zone = (select time_zone from tollgate.organizations where organization_id = told.org()) from tollgate.organizations where organization_id = '00000000-0000-7000-8000-00000000000a';
--> Old t elsewhere t
delete from tollgate.organizations where organization_id = '00000000-0000-7000-8000-00000000000a';
drop table told_self;

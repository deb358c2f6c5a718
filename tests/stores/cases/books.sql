## Books that are in order have no finding, and say what they come to
select told.organization(1000);
select told.sample();
select told.books();
--> 976 30 0 24 1 1 7 {}
select told.findings();
select * from told.movements;
--> 1 grant - 1000 0 0 after 1000 0 0 -
--> 2 hold open 0 30 0 after 1000 30 0 -
--> 3 hold done 0 30 0 after 1000 60 0 -
--> 4 settle done -20 -30 0 after 980 30 0 -
--> 5 hold gone 0 11 0 after 980 41 0 -
--> 6 expire gone -4 -11 0 after 976 30 0 -
--> 7 hold back 0 9 0 after 976 39 0 -
--> 8 release back 0 -9 0 after 976 30 0 -
select told.organization(0);
select told.books();
--> 0 0 0 0 0 0 0 {}
select told.organization(10);
select told.finish('a', 14, 1);
--> 10 4
select told.books();
--> 0 0 4 10 0 0 0 {}
select * from tollgate.reconcile(told.org(), jsonb_build_object('organization_id', told.org())::text);
--> ERROR 42501
select told.hold('b', 0, 1);
--> insufficient 0
select told.grant_more(50);
--> 46 0 0
select told.hold('c', 20, 1);
--> granted 26
select told.renew('{c}', '{25}', '{1}');
--> c
select told.give_back('{c}');
--> 1
select told.hold('d', 20, 1);
--> granted 1
select told.renew('{d}', '{2}', '{1}');
--> d
select told.give_back('{d}');
--> 1
select told.books();
--> 19 0 0 37 0 2 18 {}

## A balance that is missing is found
select told.sample();
delete from tollgate.credit_balances where organization_id = told.org();
select told.findings();
--> balance is missing
select told.books();
--> 0 0 0 24 1 1 7 {"balance is missing"}

## A balance that no movement speaks of is found
select told.organization(0);
update tollgate.credit_balances set posted = 5, held = 3, debt = 2, seq = 1 where organization_id = told.org();
select told.findings();
--> debt 2, ledger says 0
--> held 3, ledger says 0
--> held 3, open holds come to 0
--> posted 5, ledger says 0
--> seq 1, ledger has 0 movements up to 0

## Holds that ran out are added up, each by what it could have cost and was not charged
select told.organization(100);
select told.hold('a', 30, 1);
--> granted 70
select told.hold('b', 40, 1);
--> granted 30
select told.renew('{a,b}', '{10,25}', '{1,1}');
--> a
--> b
select told.give_back('{a,b}');
--> 2
select told.books();
--> 65 0 0 35 0 2 35 {}
select told.hold('c', 20, 1);
--> granted 45
select told.renew('{c}', '{190}', '{1}');
--> c
select told.give_back('{c}');
--> 1
select told.books();
--> 0 0 125 100 0 3 35 {}

## Bounds: what a constraint keeps is looked at all the same
select told.sample();
alter table tollgate.credit_balances drop constraint credit_balances_check, drop constraint credit_balances_held_check, drop constraint credit_balances_debt_check;
update tollgate.credit_balances set posted = 29 where organization_id = told.org();
select told.findings();
--> bounds: posted 29 >= held 30 >= 0, debt 0 >= 0
--> posted 29, ledger says 976
update tollgate.credit_balances set posted = 976, held = -1 where organization_id = told.org();
select told.findings();
--> bounds: posted 976 >= held -1 >= 0, debt 0 >= 0
--> held -1, ledger says 30
--> held -1, open holds come to 30
update tollgate.credit_balances set held = 30, debt = -1 where organization_id = told.org();
select told.findings();
--> bounds: posted 976 >= held 30 >= 0, debt -1 >= 0
--> debt -1, ledger says 0
update tollgate.credit_balances set held = 976, debt = 0 where organization_id = told.org();
select told.findings();
--> held 976, ledger says 30
--> held 976, open holds come to 30
alter table tollgate.credit_balances add constraint credit_balances_check check (posted >= held) not valid, add constraint credit_balances_held_check check (held >= 0) not valid, add constraint credit_balances_debt_check check (debt >= 0) not valid;

## Posted, held and debt are each the ledger's sum
select told.sample();
update tollgate.credit_balances set posted = posted + 1 where organization_id = told.org();
select told.findings();
--> posted 977, ledger says 976
update tollgate.credit_balances set posted = posted - 1, debt = 1 where organization_id = told.org();
select told.findings();
--> debt 1, ledger says 0
update tollgate.credit_balances set debt = 0, held = held - 1 where organization_id = told.org();
select told.findings();
--> held 29, ledger says 30
--> held 29, open holds come to 30

## The ledger's numbers have no gap and end where the balance says
select told.sample();
update tollgate.credit_balances set seq = seq + 1 where organization_id = told.org();
select told.findings();
--> seq 9, ledger has 8 movements up to 8
update tollgate.credit_ledger set seq = seq + 1 where organization_id = told.org() and seq = (select seq - 1 from tollgate.credit_balances where organization_id = told.org());
select told.findings();
--> seq 9, ledger has 8 movements up to 9

## Each movement's balances are the sum before it
select told.sample();
update tollgate.credit_ledger set posted_after = posted_after + 1 where organization_id = told.org() and seq = 2;
select told.findings();
--> ledger 2: the balance after it is not the sum before it
update tollgate.credit_ledger set posted_after = posted_after - 1, held_after = held_after + 1 where organization_id = told.org() and seq = 2;
select told.findings();
--> ledger 2: the balance after it is not the sum before it
update tollgate.credit_ledger set held_after = held_after - 1, debt_after = debt_after + 1 where organization_id = told.org() and seq = 2;
select told.findings();
--> ledger 2: the balance after it is not the sum before it

## A hold gives back no more than it held, and all that was not charged
select told.sample();
alter table tollgate.credit_holds drop constraint credit_holds_check, drop constraint credit_holds_check1;
update tollgate.credit_holds set refund = -1 where organization_id = told.org() and request_id = told.id('open');
select told.findings();
--> hold open: refund -1 of 30
update tollgate.credit_holds set refund = 30 where organization_id = told.org() and request_id = told.id('open');
select told.findings();
update tollgate.credit_holds set refund = 31 where organization_id = told.org() and request_id = told.id('open');
select told.findings();
--> hold open: refund 31 of 30
update tollgate.credit_holds set refund = 0 where organization_id = told.org() and request_id = told.id('open');
update tollgate.credit_holds set refund = 9 where organization_id = told.org() and request_id = told.id('done');
select told.findings();
--> hold done: refund 9 of 30
update tollgate.credit_holds set refund = 31 where organization_id = told.org() and request_id = told.id('done');
select told.findings();
--> hold done: refund 31 of 30
alter table tollgate.credit_holds add constraint credit_holds_check check (refund between 0 and amount) not valid, add constraint credit_holds_check1 check (status <> 'open' or (charged = 0 and debt = 0 and refund = 0)) not valid;

## What a hold was charged and owes is what the ledger says of it
select told.sample();
update tollgate.credit_holds set charged = 21, refund = 9 where organization_id = told.org() and request_id = told.id('done');
select told.findings();
--> budget of organization , day from today: 7 tokens and 24 credits used, its calls come to 7 and 25
--> budget of team red, month from its first: 7 tokens and 24 credits used, its calls come to 7 and 25
--> hold done: charged 21 and owed 0, ledger says 20 and 0
update tollgate.credit_holds set charged = 20, refund = 10, debt = 1 where organization_id = told.org() and request_id = told.id('done');
select told.findings();
--> budget of organization , day from today: 7 tokens and 24 credits used, its calls come to 7 and 25
--> budget of team red, month from its first: 7 tokens and 24 credits used, its calls come to 7 and 25
--> hold done: charged 20 and owed 1, ledger says 20 and 0

## The ledger holds for a hold what it stands for, and nothing once it has ended
select told.sample();
update tollgate.credit_holds set amount = 31 where organization_id = told.org() and request_id = told.id('open');
select told.findings();
--> budget of organization , day from today: holds 7 tokens and 30 credits, open holds come to 7 and 31
--> budget of team red, month from its first: holds 7 tokens and 30 credits, open holds come to 7 and 31
--> held 30, open holds come to 31
--> hold open is open, ledger holds 30 for it
update tollgate.credit_holds set amount = 30, status = 'expired', refund = 30 where organization_id = told.org() and request_id = told.id('open');
select told.findings();
--> budget of organization , day from today: holds 7 tokens and 30 credits, open holds come to 0 and 0
--> budget of team red, month from its first: holds 7 tokens and 30 credits, open holds come to 0 and 0
--> held 30, open holds come to 0
--> hold open is expired, ledger holds 30 for it

## An open hold of which the ledger knows nothing is found, and a movement without a hold
select told.sample();
delete from tollgate.credit_holds where organization_id = told.org() and request_id = told.id('gone');
select told.findings();
--> budget of organization , day from today: 7 tokens and 24 credits used, its calls come to 5 and 20
--> budget of team red, month from its first: 7 tokens and 24 credits used, its calls come to 5 and 20
--> ledger names gone, which has no hold
select told.sample();
insert into tollgate.credit_holds (organization_id, request_id, amount, tokens, day, month, expires_at) values (told.org(), told.id('new'), 5, 0, '2020-01-01', '2020-01-01', now());
select told.findings();
--> held 30, open holds come to 35
--> hold new is open, ledger holds 0 for it
update tollgate.credit_holds set status = 'expired', charged = 3, refund = 2 where organization_id = told.org() and request_id = told.id('new');
select told.findings();
--> hold new: charged 3 and owed 0, ledger says 0 and 0

## A budget holds what open holds come to, in tokens and credits, in each window
select told.sample();
update tollgate.budget_usage set held = held + 1 where organization_id = told.org() and window_kind = 'day';
select told.findings();
--> budget of organization , day from today: holds 8 tokens and 30 credits, open holds come to 7 and 30
update tollgate.budget_usage set held = held - 1, credits_held = credits_held + 1 where organization_id = told.org() and window_kind = 'day';
select told.findings();
--> budget of organization , day from today: holds 7 tokens and 31 credits, open holds come to 7 and 30
update tollgate.budget_usage set credits_held = credits_held - 1, used = used + 1 where organization_id = told.org() and window_kind = 'day';
select told.findings();
--> budget of organization , day from today: 8 tokens and 24 credits used, its calls come to 7 and 24
update tollgate.budget_usage set used = used - 1, credits_used = credits_used + 1 where organization_id = told.org() and window_kind = 'day';
select told.findings();
--> budget of organization , day from today: 7 tokens and 25 credits used, its calls come to 7 and 24
update tollgate.budget_usage set credits_used = credits_used - 1 where organization_id = told.org() and window_kind = 'day';
select told.findings();
insert into tollgate.budget_usage (organization_id, scope, scope_id, window_kind, window_start, used, held) select told.org(), 'user', 'ann', 'day', day, 0, 0 from tollgate.credit_holds where organization_id = told.org() and request_id = told.id('open');
select told.findings();
--> budget of user ann, day from today: 0 tokens and 0 credits used, its calls come to 7 and 24
insert into tollgate.budget_usage (organization_id, scope, scope_id, window_kind, window_start, used, held) values (told.org(), 'user', 'eve', 'day', '2020-01-01', 0, 0);
insert into tollgate.budget_usage (organization_id, scope, scope_id, window_kind, window_start, used, held) values (told.org(), 'user', 'eve', 'day', '2020-02-01', 3, 0);
select count(*) from told.findings();
--> 2

## A hold is held in windows that are there
select told.sample();
delete from tollgate.budget_usage where organization_id = told.org();
select told.findings();
--> hold open is held in budget day of organization , which has no row
--> hold open is held in budget month of team red, which has no row
select told.sample();
update tollgate.credit_holds set held_in = 255 where organization_id = told.org() and request_id = told.id('open');
select told.findings();
--> hold open is held in budget day of key k, which has no row
--> hold open is held in budget day of team red, which has no row
--> hold open is held in budget day of user ann, which has no row
--> hold open is held in budget month of key k, which has no row
--> hold open is held in budget month of organization , which has no row
--> hold open is held in budget month of user ann, which has no row
update tollgate.credit_holds set held_in = 255 where organization_id = told.org() and request_id = told.id('done');
select count(*) from told.findings();
--> 6
select told.sample();
update tollgate.credit_holds set held_in = 0 where organization_id = told.org() and request_id = told.id('open');
select told.findings();
--> budget of organization , day from today: holds 7 tokens and 30 credits, open holds come to 0 and 0
--> budget of team red, month from its first: holds 7 tokens and 30 credits, open holds come to 0 and 0

## A window without a call holds and has used nothing
select told.organization(1000);
insert into tollgate.budget_usage (organization_id, scope, scope_id, window_kind, window_start, used, held, credits_used, credits_held) values (told.org(), 'user', 'ann', 'day', '2020-01-02', 2, 3, 4, 5);
select told.findings();
--> budget of user ann, day from 2020-01-02: 2 tokens and 4 credits used, its calls come to 0 and 0
--> budget of user ann, day from 2020-01-02: holds 3 tokens and 5 credits, open holds come to 0 and 0

## Only the window of a hold's own scope, name, kind and beginning is its window
select told.organization(1000);
insert into tollgate.credit_holds (organization_id, request_id, amount, tokens, day, month, user_id, held_in, expires_at) values (told.org(), told.id('new'), 0, 5, '2020-01-01', '2020-01-01', told.id('x')::text, 16, now());
insert into tollgate.budget_usage (organization_id, scope, scope_id, window_kind, window_start, used, held, credits_used, credits_held) select told.org(), scope, scope_id, kind, start::date, 0, 0, 0, 0 from (values ('user', told.id('x')::text, 'month', '2020-01-01'), ('user', told.id('x')::text, 'day', '2020-01-02'), ('user', 'other', 'day', '2020-01-01'), ('team', told.id('x')::text, 'day', '2020-01-01')) as w (scope, scope_id, kind, start);
select told.findings();
--> hold new is held in budget day of user x, which has no row
insert into tollgate.budget_usage (organization_id, scope, scope_id, window_kind, window_start, used, held, credits_used, credits_held) values (told.org(), 'user', told.id('x')::text, 'day', '2020-01-01', 0, 5, 0, 0);
select told.findings();
update tollgate.credit_holds set tokens_used = 2 where organization_id = told.org();
select told.findings();
--> budget of user x, day from 2020-01-01: 0 tokens and 0 credits used, its calls come to 2 and 0
--> budget of user x, month from 2020-01-01: 0 tokens and 0 credits used, its calls come to 2 and 0

## Every window of every scope is looked at
select told.organization(1000);
select told.budget(scope, id, kind, 100, 100) from (values ('organization', ''), ('team', 'red'), ('user', 'ann'), ('key', 'k')) s (scope, id), (values ('day'), ('month')) w (kind);
--> -
--> -
--> -
--> -
--> -
--> -
--> -
--> -
select told.hold('a', 20, 5, 'ann', 'red', 'k');
--> granted 980
select told.hold('b', 20, 5, 'ann', 'red', 'k');
--> granted 960
select told.finish('b', 7, 3, 'ann', 'red', 'k');
--> 7 0
select told.findings();
update tollgate.budget_usage set held = held + 1, used = used + 1 where organization_id = told.org();
select told.findings();
--> budget of key k, day from today: 4 tokens and 7 credits used, its calls come to 3 and 7
--> budget of key k, day from today: holds 6 tokens and 20 credits, open holds come to 5 and 20
--> budget of key k, month from its first: 4 tokens and 7 credits used, its calls come to 3 and 7
--> budget of key k, month from its first: holds 6 tokens and 20 credits, open holds come to 5 and 20
--> budget of organization , day from today: 4 tokens and 7 credits used, its calls come to 3 and 7
--> budget of organization , day from today: holds 6 tokens and 20 credits, open holds come to 5 and 20
--> budget of organization , month from its first: 4 tokens and 7 credits used, its calls come to 3 and 7
--> budget of organization , month from its first: holds 6 tokens and 20 credits, open holds come to 5 and 20
--> budget of team red, day from today: 4 tokens and 7 credits used, its calls come to 3 and 7
--> budget of team red, day from today: holds 6 tokens and 20 credits, open holds come to 5 and 20
--> budget of team red, month from its first: 4 tokens and 7 credits used, its calls come to 3 and 7
--> budget of team red, month from its first: holds 6 tokens and 20 credits, open holds come to 5 and 20
--> budget of user ann, day from today: 4 tokens and 7 credits used, its calls come to 3 and 7
--> budget of user ann, day from today: holds 6 tokens and 20 credits, open holds come to 5 and 20
--> budget of user ann, month from its first: 4 tokens and 7 credits used, its calls come to 3 and 7
--> budget of user ann, month from its first: holds 6 tokens and 20 credits, open holds come to 5 and 20
delete from tollgate.budget_usage where organization_id = told.org();
select told.findings();
--> hold a is held in budget day of key k, which has no row
--> hold a is held in budget day of organization , which has no row
--> hold a is held in budget day of team red, which has no row
--> hold a is held in budget day of user ann, which has no row
--> hold a is held in budget month of key k, which has no row
--> hold a is held in budget month of organization , which has no row
--> hold a is held in budget month of team red, which has no row
--> hold a is held in budget month of user ann, which has no row

## A call that was settled or released has one usage row
select told.sample();
delete from tollgate.usage where organization_id = told.org();
select told.findings();
--> hold done is settled and has 0 usage rows
--> hold back is released and has 0 usage rows
select told.sample();
insert into tollgate.usage select organization_id, arrived_at + interval '1 second', request_id, recorded_at, user_id, team_id, client_request_id, endpoint, model, answered_by, provider, stream, ending, status, input_tokens, cached_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, estimated, clamped, 0, price_id, latency_ms, first_byte_ms, key_id, markup_bps from tollgate.usage where organization_id = told.org();
select told.findings();
--> hold done is settled and has 2 usage rows
--> hold back is released and has 2 usage rows

select told.sample();
insert into tollgate.usage select organization_id, arrived_at + interval '1 second', request_id, recorded_at, user_id, team_id, client_request_id, endpoint, model, answered_by, provider, stream, ending, status, input_tokens, cached_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, estimated, clamped, cost, price_id, latency_ms, first_byte_ms, key_id, markup_bps from tollgate.usage where organization_id = told.org() and request_id = told.id('done');
select told.findings();
--> hold done is settled and has 2 usage rows
--> usage done costs 40, ledger took 20 and is owed 0

## What a usage row costs is what the ledger took and is owed
select told.sample();
update tollgate.usage set cost = cost + 1 where organization_id = told.org();
select told.findings();
--> usage done costs 21, ledger took 20 and is owed 0
--> usage back costs 1, ledger took 0 and is owed 0
select told.sample();
select told.finish('x', null, 1);
--> 0 0
update tollgate.usage set cost = 3 where organization_id = told.org() and request_id = told.id('x');
select told.findings();
--> usage x costs 3, ledger took 0 and is owed 0
select told.organization(10);
select told.hold('a', 10, 1);
--> granted 0
select told.finish('a', 14, 1);
--> 10 4
select told.findings();
update tollgate.usage set cost = 10 where organization_id = told.org();
select told.findings();
--> usage a costs 10, ledger took 10 and is owed 4

## An expiry may have charged more than the call cost in the end, and what comes late costs no less than it was charged
select told.organization(100);
select told.hold('a', 10, 1);
--> granted 90
select told.renew('{a}', '{8}', '{1}');
--> a
select told.give_back('{a}');
--> 1
select told.finish('a', 5, 1);
--> 8 0
select told.findings();
update tollgate.usage set cost = 8 where organization_id = told.org();
select told.findings();
update tollgate.usage set cost = 9 where organization_id = told.org();
select told.findings();
--> usage a costs 9, ledger took 8 and is owed 0
update tollgate.credit_holds set used = 9 where organization_id = told.org();
select told.findings();
--> usage a costs 9, ledger took 8 and is owed 0
update tollgate.credit_holds set used = 10 where organization_id = told.org();
select told.findings();

## A hundred findings are told and no more
select told.organization(1000);
select count(*) from (select told.hold('h' || n, 1, 1) from generate_series(1, 103) n) x;
--> 103
update tollgate.credit_holds set amount = 2 where organization_id = told.org();
select count(*) from told.broken();
--> 100

## One organization's books are not another's business
select told.sample();
update tollgate.credit_balances set posted = posted + 1 where organization_id = told.org();
select told.sample();
select told.findings();

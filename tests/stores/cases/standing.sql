## Who calls meets the policy, and the widest switch that is on
select told.organization(100);
select told.standing();
--> {} | goes on | none | []
select told.policy('{"models": ["a"]}');
--> -
select told.standing();
--> {"models": ["a"]} | goes on | none | []
insert into tollgate.kill_switches (organization_id, scope, scope_id) values (told.org(), 'key', told.id('k')::text);
select told.standing('ann', 'red', 'k');
--> {"models": ["a"]} | key | none | []
select told.standing('ann', 'red', 'other');
--> {"models": ["a"]} | goes on | none | []
select told.standing('ann');
--> {"models": ["a"]} | goes on | none | []
insert into tollgate.kill_switches (organization_id, scope, scope_id) values (told.org(), 'user', 'ann');
select told.standing('ann', 'red', 'k');
--> {"models": ["a"]} | user | none | []
select told.standing('bob', 'red', 'other');
--> {"models": ["a"]} | goes on | none | []
insert into tollgate.kill_switches (organization_id, scope, scope_id) values (told.org(), 'team', told.id('red')::text);
select told.standing('ann', 'red', 'k');
--> {"models": ["a"]} | team | none | []
select told.standing('bob', 'blue', 'other');
--> {"models": ["a"]} | goes on | none | []
insert into tollgate.kill_switches (organization_id, scope, scope_id) values (told.org(), 'organization', '');
select told.standing('ann', 'red', 'k');
--> {"models": ["a"]} | organization | none | []
select told.standing('bob');
--> {"models": ["a"]} | organization | none | []
delete from tollgate.kill_switches where organization_id = told.org();
update tollgate.organizations set suspended = true where organization_id = told.org();
select told.standing('bob');
--> {"models": ["a"]} | organization | none | []
update tollgate.organizations set suspended = false where organization_id = told.org();
select told.policy('{"suspended": true}');
--> -
select told.standing('bob');
--> {"suspended": true} | organization | none | []
delete from tollgate.policies where organization_id = told.org();
select told.standing('bob');
--> {} | goes on | none | []
select set_config('told.org', '00000000-0000-7000-8000-000000000000', false) is null;
--> f
select told.standing('bob');

## Of the rates for one model a caller meets the own, else that of each, from the widest scope on
select told.organization(100);
insert into tollgate.rate_limits (organization_id, scope, scope_id, model_pattern, requests_per_minute, tokens_per_minute, calls_in_flight) values (told.org(), 'user', '*', 'm*', 1, 2, 3), (told.org(), 'user', 'ann', 'm*', 4, null, null), (told.org(), 'user', '*', 'a', 5, null, null), (told.org(), 'organization', '', '*', null, 6, null), (told.org(), 'team', told.id('red')::text, '*', null, null, 7), (told.org(), 'key', '*', '*', 8, null, null), (told.org(), 'team', '*', '*', 9, null, null);
select told.standing('ann');
--> {} | goes on | none | [{"scope": "organization", "scope_id": "", "model_pattern": "*", "calls_in_flight": null, "tokens_per_minute": 6, "requests_per_minute": null}, {"scope": "user", "scope_id": "ann", "model_pattern": "a", "calls_in_flight": null, "tokens_per_minute": null, "requests_per_minute": 5}, {"scope": "user", "scope_id": "ann", "model_pattern": "m*", "calls_in_flight": null, "tokens_per_minute": null, "requests_per_minute": 4}]
select told.standing('bob', 'red', 'k');
--> {} | goes on | none | [{"scope": "organization", "scope_id": "", "model_pattern": "*", "calls_in_flight": null, "tokens_per_minute": 6, "requests_per_minute": null}, {"scope": "team", "scope_id": "red", "model_pattern": "*", "calls_in_flight": 7, "tokens_per_minute": null, "requests_per_minute": null}, {"scope": "user", "scope_id": "bob", "model_pattern": "a", "calls_in_flight": null, "tokens_per_minute": null, "requests_per_minute": 5}, {"scope": "user", "scope_id": "bob", "model_pattern": "m*", "calls_in_flight": 3, "tokens_per_minute": 2, "requests_per_minute": 1}, {"scope": "key", "scope_id": "k", "model_pattern": "*", "calls_in_flight": null, "tokens_per_minute": null, "requests_per_minute": 8}]
select told.standing('ann', 'red');
--> {} | goes on | none | [{"scope": "organization", "scope_id": "", "model_pattern": "*", "calls_in_flight": null, "tokens_per_minute": 6, "requests_per_minute": null}, {"scope": "team", "scope_id": "red", "model_pattern": "*", "calls_in_flight": 7, "tokens_per_minute": null, "requests_per_minute": null}, {"scope": "user", "scope_id": "ann", "model_pattern": "a", "calls_in_flight": null, "tokens_per_minute": null, "requests_per_minute": 5}, {"scope": "user", "scope_id": "ann", "model_pattern": "m*", "calls_in_flight": null, "tokens_per_minute": null, "requests_per_minute": 4}]

## What is not here is told so to who reads and to who writes
select told.organization(100);
select told.hold('a', 1, 1);
--> granted 99
update tollgate.organizations set moving_to = 'schema', held_up = true where organization_id = told.org();
select told.standing('ann');
--> {} | goes on | none | []
select told.hold('b', 1, 1);
--> ERROR TG302
select told.finish('a', 1, 1);
--> ERROR TG302
select told.renew('{a}', '{1}', '{1}');
--> ERROR TG302
select told.expire();
--> ERROR TG302
select told.give_back('{a}');
--> ERROR TG302
select told.grant_more(1);
--> ERROR TG302
update tollgate.organizations set moving_to = null, held_up = false, placement = 'schema', place = 'elsewhere' where organization_id = told.org();
select told.standing('ann');
--> ERROR TG301
select told.hold('b', 1, 1);
--> ERROR TG301
select told.finish('a', 1, 1);
--> ERROR TG301
select told.renew('{a}', '{1}', '{1}');
--> ERROR TG301
select told.expire();
--> ERROR TG301
select told.give_back('{a}');
--> ERROR TG301
select told.grant_more(1);
--> ERROR TG301
update tollgate.organizations set placement = 'row', place = null where organization_id = told.org();
select * from told.balance;
--> 100 1 0 2
select told.finish('a', 1, 1);
--> 1 0

## Whether rows are away is told by the claims' organization alone
select told.organization(100);
begin;
select set_config('request.jwt.claims', jsonb_build_object('organization_id', told.org())::text, true) is null;
--> f
select tollgate.is_away();
--> f
update tollgate.organizations set placement = 'schema', place = 'elsewhere' where organization_id = told.org();
select tollgate.is_away();
--> t
rollback;
select tollgate.is_away();
--> t
select tollgate.still_here(told.org());
--> t
select tollgate.still_here('00000000-0000-7000-8000-000000000000');
--> f
update tollgate.organizations set placement = 'schema', place = 'elsewhere' where organization_id = told.org();
select tollgate.still_here(told.org());
--> ERROR TG301

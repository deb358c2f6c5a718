## A hold sets its amount and tokens aside, and says what is free behind it
select told.organization(100);
select told.hold('a', 30, 5);
--> granted 70
select * from told.balance;
--> 100 30 0 2
select * from told.movements;
--> 1 grant - 100 0 0 after 100 0 0 -
--> 2 hold a 0 30 0 after 100 30 0 -
select * from told.holds;
--> a open 30 5 used 0 0 ended 0 0 0 0 ann - - 0 0 0 5
select * from told.windows;

## Holds that come in one statement are granted in their order, each beside those before it
select told.organization(100);
select told.holds_of('{a,b,c,d}', '{40,70,60,1}', '{1,2,3,4}', '{ann,bob,eve,dan}', '{red,null,blue,null}', '{null,k1,null,k2}', '{60000,120000,180000,240000}');
--> granted 60
--> insufficient 60 may wait
--> granted 0
--> insufficient 0 may wait
select * from told.balance;
--> 100 100 0 3
select * from told.movements;
--> 1 grant - 100 0 0 after 100 0 0 -
--> 2 hold a 0 40 0 after 100 40 0 -
--> 3 hold c 0 60 0 after 100 100 0 -
select * from told.holds;
--> a open 40 1 used 0 0 ended 0 0 0 0 ann red - 0 0 0 1
--> c open 60 3 used 0 0 ended 0 0 0 0 eve blue - 0 0 0 3

## A hold of nothing is granted, and moves nothing
select told.organization(0);
select told.hold('a', 0, 7);
--> granted 0
select * from told.balance;
--> 0 0 0 0
select * from told.holds;
--> a open 0 7 used 0 0 ended 0 0 0 0 ann - - 0 0 0 5
select count(*) from told.movements;
--> 0

## Beyond what is free nothing is granted, and may wait only for what others hold
select told.organization(100);
select told.hold('a', 60, 1);
--> granted 40
select told.hold('b', 41, 1);
--> insufficient 40 may wait
select told.hold('c', 100, 1);
--> insufficient 40 may wait
select told.hold('d', 101, 1);
--> insufficient 40
select told.hold('e', 40, 1);
--> granted 0
select told.hold('f', 1, 1);
--> insufficient 0 may wait
select * from told.balance;
--> 100 100 0 3
select count(*) from told.holds;
--> 2

## Nothing is free where anything is owed, and waiting does not help
select told.organization(10);
select told.hold('a', 5, 1);
--> granted 5
select told.finish('late', 6, 1);
--> 5 1
select * from told.balance;
--> 5 5 1 3
select told.hold('b', 0, 1);
--> insufficient 0
select told.hold('c', 1, 1);
--> insufficient 0
select told.grant_more(2);
--> 6 5 0
select told.hold('d', 0, 1);
--> granted 1

## A repeated hold is granted again and changes nothing; with another figure it is a conflict
select told.organization(100);
select told.hold('a', 30, 5);
--> granted 70
select told.hold('a', 30, 5);
--> granted 70
select told.hold('a', 31, 5);
--> conflict 70
select told.hold('a', 30, 6);
--> conflict 70
select told.holds_by('{b,b,a}', '{1,1,30}', '{1,1,5}', 'ann', null, null);
--> granted 69
--> conflict 69
--> granted 69
select * from told.balance;
--> 100 31 0 3
select told.finish('a', 3, 5);
--> 3 0
select told.hold('a', 30, 5);
--> conflict 96
select told.holds_by('{a,c}', '{30,1}', '{5,1}', 'ann', null, null);
--> conflict 96
--> granted 95
select count(*) from told.movements;
--> 5

## A repeated hold of other figures is a conflict, also where it would not be granted
select told.organization(10);
select told.hold('a', 10, 5);
--> granted 0
select told.hold('a', 11, 5);
--> conflict 0
select told.hold('a', 10, 5);
--> granted 0

## What is no figure is refused as a bad argument
select told.organization(100);
select told.holds_of('{a}', '{-1}', '{1}', '{ann}', '{null}', '{null}', '{1}');
--> ERROR 22023
select told.holds_of('{a}', '{1}', '{-1}', '{ann}', '{null}', '{null}', '{1}');
--> ERROR 22023
select told.holds_of('{a}', '{1}', '{1}', '{ann}', '{null}', '{null}', '{-1}');
--> ERROR 22023
select told.holds_of('{null}', '{1}', '{1}', '{ann}', '{null}', '{null}', '{1}');
--> ERROR 22023
select told.holds_of('{a}', '{null}', '{1}', '{ann}', '{null}', '{null}', '{1}');
--> ERROR 22023
select told.holds_of('{a}', '{1}', '{null}', '{ann}', '{null}', '{null}', '{1}');
--> ERROR 22023
select told.holds_of('{a}', '{1}', '{1}', '{null}', '{null}', '{null}', '{1}');
--> ERROR 22023
select told.holds_of('{a}', '{1}', '{1}', '{ann}', '{null}', '{null}', '{null}');
--> ERROR 22023
select told.holds_of('{a,b}', '{1}', '{1,1}', '{ann,ann}', '{null,null}', '{null,null}', '{1,1}');
--> ERROR 22023
select told.holds_of('{a,b}', '{1,1}', '{1}', '{ann,ann}', '{null,null}', '{null,null}', '{1,1}');
--> ERROR 22023
select told.holds_of('{a,b}', '{1,1}', '{1,1}', '{ann}', '{null,null}', '{null,null}', '{1,1}');
--> ERROR 22023
select told.holds_of('{a,b}', '{1,1}', '{1,1}', '{ann,ann}', '{null}', '{null,null}', '{1,1}');
--> ERROR 22023
select told.holds_of('{a,b}', '{1,1}', '{1,1}', '{ann,ann}', '{null,null}', '{null}', '{1,1}');
--> ERROR 22023
select told.holds_of('{a,b}', '{1,1}', '{1,1}', '{ann,ann}', '{null,null}', '{null,null}', '{1}');
--> ERROR 22023
select told.holds_of('{a}', '{0}', '{0}', '{}', '{null}', '{null}', '{0}');
--> ERROR 22023
select * from told.balance;
--> 100 0 0 1
select told.holds_of('{z}', '{0}', '{0}', '{""}', '{null}', '{null}', '{0}');
--> granted 100
select * from told.holds;
--> z open 0 0 used 0 0 ended 0 0 0 0  - - 0 0 0 0

## An organization that is not there is told apart from one without an account
select told.organization(100);
delete from tollgate.credit_balances where organization_id = told.org();
select told.holds_by('{a,b}', '{1,2}', '{1,2}', 'ann', null, null);
--> unknown_organization 0
--> unknown_organization 0
select count(*) from told.holds;
--> 0
select set_config('told.org', '00000000-0000-7000-8000-000000000000', false) is null;
--> f
select result from tollgate.hold(told.org(), jsonb_build_object('organization_id', told.org())::text, array[gen_random_uuid()], '{1}', '{1}', '{1}', '{ann}', '{null}', '{null}');
--> ERROR TG404

## Claims that name another organization hold nothing
select told.organization(100);
select result from tollgate.hold(told.org(), jsonb_build_object('organization_id', gen_random_uuid())::text, array[told.id('a')], '{1}', '{1}', '{1}', '{ann}', '{null}', '{null}');
--> ERROR 42501
select tollgate.renew(told.org(), '{}', array[told.id('a')], '{1}', '{1}', 1);
--> ERROR 42501
select tollgate.expire(told.org(), '{}', 1);
--> ERROR 42501
select tollgate.give_back(told.org(), '{}', array[told.id('a')]);
--> ERROR 42501

## A switch stops its own scope, and of several the widest is named
select told.organization(100);
insert into tollgate.kill_switches (organization_id, scope, scope_id) values (told.org(), 'key', told.id('k')::text);
select told.hold('a', 1, 1, 'ann', 'red', 'k');
--> suspended 100 key
select told.hold('b', 1, 1, 'ann', 'red', 'other');
--> granted 99
select told.hold('b2', 1, 1);
--> granted 98
insert into tollgate.kill_switches (organization_id, scope, scope_id) values (told.org(), 'user', 'ann');
select told.hold('c', 1, 1, 'ann', 'red', 'k');
--> suspended 98 user
select told.hold('d', 1, 1, 'bob', 'red', 'other');
--> granted 97
insert into tollgate.kill_switches (organization_id, scope, scope_id) values (told.org(), 'team', told.id('red')::text);
select told.holds_of('{e,f,g,h}', '{1,1,1,1}', '{1,1,1,1}', '{ann,ann,bob,bob}', '{red,blue,red,blue}', '{k,k,k,null}', '{1000,1000,1000,1000}');
--> suspended 97 team
--> suspended 97 user
--> suspended 97 team
--> granted 96
insert into tollgate.kill_switches (organization_id, scope, scope_id) values (told.org(), 'organization', '');
select told.hold('i', 1, 1, 'bob', 'red');
--> suspended 96 organization
select told.hold('j', 1000, 1, 'bob', 'blue');
--> suspended 96 organization
select * from told.balance;
--> 100 4 0 5

## A suspended organization is refused before anything else is looked at
select told.organization(100);
select told.hold('a', 1, 1);
--> granted 99
update tollgate.organizations set suspended = true where organization_id = told.org();
select told.hold('b', 101, 1);
--> suspended 99 organization
select told.hold('a', 1, 1);
--> granted 99
update tollgate.organizations set suspended = false where organization_id = told.org();
select told.policy('{"suspended": true}');
--> -
select told.hold('c', 101, 1);
--> suspended 99 organization
select told.policy('{"suspended": false}');
--> -
select told.hold('d', 1, 1);
--> granted 98

## Overdue holds stand while they are in nobody's way
select told.organization(100);
select told.hold('a', 60, 1);
--> granted 40
select told.overdue('a');
--> -
select told.hold('b', 40, 1);
--> granted 0
select * from told.balance;
--> 100 100 0 3
select told.hold('c', 60, 1);
--> granted 0
select * from told.balance;
--> 100 100 0 5
select * from told.movements;
--> 1 grant - 100 0 0 after 100 0 0 -
--> 2 hold a 0 60 0 after 100 60 0 -
--> 3 hold b 0 40 0 after 100 100 0 -
--> 4 expire a 0 -60 0 after 100 40 0 -
--> 5 hold c 0 60 0 after 100 100 0 -
select * from told.holds;
--> a expired 60 1 used 0 0 ended 0 0 60 0 ann - - 0 0 0 -1
--> b open 40 1 used 0 0 ended 0 0 0 0 ann - - 0 0 0 5
--> c open 60 1 used 0 0 ended 0 0 0 0 ann - - 0 0 0 5

## Overdue holds go where one of several calls needs what they hold
select told.organization(100);
select told.hold('a', 60, 1);
--> granted 40
select told.overdue('a');
--> -
select told.holds_by('{b,c}', '{30,30}', '{1,1}', 'ann', null, null);
--> granted 70
--> granted 40
select * from told.balance;
--> 100 60 0 5

## Overdue holds that had used something leave less
select told.organization(100);
select told.hold('a', 60, 10);
--> granted 40
select told.renew('{a}', '{25}', '{4}');
--> a
select told.overdue('a');
--> -
select told.hold('b', 76, 1);
--> insufficient 75
select told.hold('c', 75, 1);
--> granted 0
select * from told.balance;
--> 75 75 0 4

## A budget lets overdue holds go, whatever is free
select told.organization(100);
select told.budget('organization', '', 'day', 10, null);
--> -
select told.hold('a', 1, 10);
--> granted 99
select told.overdue('a');
--> -
select told.hold('b', 1, 10);
--> granted 99
select * from told.windows;
--> organization  day 0 10 credits 0 1 0
select told.broken();

## No more than a hundred overdue holds go with one hold
select told.organization(1000);
select count(*) from told.holds_by(array(select 'h' || n from generate_series(1, 102) n), told.many(1::bigint, array(select 'h' || n from generate_series(1, 102) n)), told.many(1::bigint, array(select 'h' || n from generate_series(1, 102) n)), 'ann', null, null);
--> 102
update tollgate.credit_holds set expires_at = clock_timestamp() where organization_id = told.org();
select told.hold('a', 999, 1);
--> insufficient 998 may wait
select told.hold('b', 999, 1);
--> granted 1
select * from told.balance;
--> 1000 999 0 206

## Of what comes in one statement only what holds something is a movement
select told.organization(100);
select told.holds_by('{a,b,c}', '{0,5,7}', '{3,0,2}', 'ann', null, null);
--> granted 100
--> granted 95
--> granted 88
select * from told.movements;
--> 1 grant - 100 0 0 after 100 0 0 -
--> 2 hold b 0 5 0 after 100 5 0 -
--> 3 hold c 0 7 0 after 100 12 0 -
select told.holds_by('{d,e}', '{1,-1}', '{1,1}', 'ann', null, null);
--> ERROR 22023
select told.holds_by('{d,e}', '{1,1}', '{1,-1}', 'ann', null, null);
--> ERROR 22023
select told.holds_of('{d,e}', '{1,1}', '{1,1}', '{ann,ann}', '{null,null}', '{null,null}', '{1,-1}');
--> ERROR 22023
select * from told.balance;
--> 100 12 0 3

## While anything is owed nothing is free, also what others have given back
select told.organization(10);
select told.hold('a', 5, 1);
--> granted 5
select told.finish('late', 6, 1);
--> 5 1
select told.release('a');
--> 0 0
select * from told.balance;
--> 5 0 1 4
select told.hold('b', 1, 1);
--> insufficient 0

## An organization without a policy holds like any other
select told.organization(10);
delete from tollgate.policies where organization_id = told.org();
select told.hold('a', 5, 1);
--> granted 5

## A suspended organization is told as such, whatever other switches are on
select told.organization(10);
insert into tollgate.kill_switches (organization_id, scope, scope_id) values (told.org(), 'user', 'ann');
update tollgate.organizations set suspended = true where organization_id = told.org();
select told.hold('a', 5, 1);
--> suspended 10 organization

## The widest of several switches is told in whatever order they were turned on
select told.organization(10);
insert into tollgate.kill_switches (organization_id, scope, scope_id) values (told.org(), 'organization', '');
insert into tollgate.kill_switches (organization_id, scope, scope_id) values (told.org(), 'team', told.id('red')::text);
insert into tollgate.kill_switches (organization_id, scope, scope_id) values (told.org(), 'user', 'ann');
insert into tollgate.kill_switches (organization_id, scope, scope_id) values (told.org(), 'key', told.id('k')::text);
select told.hold('a', 5, 1, 'ann', 'red', 'k');
--> suspended 10 organization
select told.standing('ann', 'red', 'k');
--> {} | organization | none | []
delete from tollgate.kill_switches where organization_id = told.org() and scope = 'organization';
select told.hold('a', 5, 1, 'ann', 'red', 'k');
--> suspended 10 team
select told.standing('ann', 'red', 'k');
--> {} | team | none | []
delete from tollgate.kill_switches where organization_id = told.org() and scope = 'team';
select told.hold('a', 5, 1, 'ann', 'red', 'k');
--> suspended 10 user
select told.standing('ann', 'red', 'k');
--> {} | user | none | []

## A switch of a person does not stop a team, a key or an organization of that name
select told.organization(10);
insert into tollgate.kill_switches (organization_id, scope, scope_id) values (told.org(), 'user', told.id('red')::text);
select told.hold('a', 1, 1, 'ann', 'red', 'red');
--> granted 9
select told.standing('ann', 'red', 'red');
--> {} | goes on | none | []
insert into tollgate.rate_limits (organization_id, scope, scope_id, model_pattern, requests_per_minute) values (told.org(), 'user', told.id('red')::text, '*', 1);
select told.standing('ann', 'red', 'red');
--> {} | goes on | none | []

## What moves money locks the balance first, and is committed without waiting for the disk
select told.organization(10);
select told.hold('a', 0, 1);
--> granted 10
select * from told.locked;
--> f on
begin;
select told.hold('b', 11, 1);
--> insufficient 10
select * from told.locked;
--> t off
rollback;
begin;
select told.expire();
--> 0
select * from told.locked;
--> t off
rollback;
begin;
select told.give_back('{}');
--> 0
select * from told.locked;
--> t off
rollback;
begin;
select told.release('a');
--> 0 0
select * from told.locked;
--> t off
rollback;
begin;
select told.renew('{a}', '{0}', '{0}');
--> a
select durable from told.locked;
--> off
select xmax::text::bigint = txid_current() % 4294967296 from tollgate.credit_holds where organization_id = told.org();
--> t
rollback;
begin;
select told.grant_more(1, 'one');
--> 11 0 0
commit;
begin;
select told.grant_more(1, 'one');
--> 11 0 0 again
select * from told.locked;
--> t on
rollback;
select current_setting('synchronous_commit');
--> on
select told.hold('c', 1, 1);
--> granted 10
select current_setting('synchronous_commit');
--> on
select told.release('c');
--> 0 0
select current_setting('synchronous_commit');
--> on
select told.expire();
--> 0
select current_setting('synchronous_commit');
--> on
select told.give_back('{}');
--> 0
select current_setting('synchronous_commit');
--> on
select told.renew('{a}', '{0}', '{0}');
--> a
select current_setting('synchronous_commit');
--> on

## A hold counts in every window of its caller that has a budget, and its end in all windows there are
select told.organization(1000);
select told.budget('organization', '', 'day', 100, 200);
--> -
select told.budget('organization', '', 'month', 100, 200);
--> -
select told.budget('team', 'red', 'day', 100, 200);
--> -
select told.budget('team', 'red', 'month', 100, 200);
--> -
select told.budget('user', 'ann', 'day', 100, 200);
--> -
select told.budget('user', 'ann', 'month', 100, 200);
--> -
select told.budget('key', 'k', 'day', 100, 200);
--> -
select told.budget('key', 'k', 'month', 100, 200);
--> -
select told.budget('user', 'eve', 'day', 0, 0);
--> -
select told.hold('a', 20, 5, 'ann', 'red', 'k');
--> granted 980
select told.hold('b', 3, 1, 'bob', 'blue', 'other');
--> granted 977
select * from told.windows;
--> key k day 0 5 credits 0 20 0
--> key k month 0 5 credits 0 20 0
--> organization  day 0 6 credits 0 23 0
--> organization  month 0 6 credits 0 23 0
--> team red day 0 5 credits 0 20 0
--> team red month 0 5 credits 0 20 0
--> user ann day 0 5 credits 0 20 0
--> user ann month 0 5 credits 0 20 0
select * from told.holds;
--> a open 20 5 used 0 0 ended 0 0 0 0 ann red k 255 0 0 5
--> b open 3 1 used 0 0 ended 0 0 0 0 bob blue other 3 0 0 5
select told.broken();
select told.finish('a', 15, 4, 'ann', 'red', 'k');
--> 15 0
select told.finish('b', 4, 2, 'bob', 'blue', 'other');
--> 4 0
select * from told.windows;
--> key k day 4 0 credits 15 0 0
--> key k month 4 0 credits 15 0 0
--> organization  day 6 0 credits 19 0 0
--> organization  month 6 0 credits 19 0 0
--> team red day 4 0 credits 15 0 0
--> team red month 4 0 credits 15 0 0
--> user ann day 4 0 credits 15 0 0
--> user ann month 4 0 credits 15 0 0
select told.broken();

## Each window has a bit of its own, and only those with a budget have it
select told.organization(1000);
select told.budget('organization', '', 'day', 100, null);
--> -
select told.hold('a', 1, 1, 'ann', 'red', 'k');
--> granted 999
select told.budget('organization', '', 'month', 100, null);
--> -
delete from tollgate.budgets where organization_id = told.org() and window_kind = 'day';
select told.hold('b', 1, 1, 'ann', 'red', 'k');
--> granted 998
select told.budget('team', 'red', 'day', 100, null);
--> -
delete from tollgate.budgets where organization_id = told.org() and scope <> 'team';
select told.hold('c', 1, 1, 'ann', 'red', 'k');
--> granted 997
select told.budget('team', 'red', 'month', 100, null);
--> -
delete from tollgate.budgets where organization_id = told.org() and window_kind = 'day';
select told.hold('d', 1, 1, 'ann', 'red', 'k');
--> granted 996
select told.budget('user', 'ann', 'day', null, 100);
--> -
delete from tollgate.budgets where organization_id = told.org() and scope <> 'user';
select told.hold('e', 1, 1, 'ann', 'red', 'k');
--> granted 995
select told.budget('user', 'ann', 'month', null, 100);
--> -
delete from tollgate.budgets where organization_id = told.org() and window_kind = 'day';
select told.hold('f', 1, 1, 'ann', 'red', 'k');
--> granted 994
select told.budget('key', 'k', 'day', null, 100);
--> -
delete from tollgate.budgets where organization_id = told.org() and scope <> 'key';
select told.hold('g', 1, 1, 'ann', 'red', 'k');
--> granted 993
select told.budget('key', 'k', 'month', null, 100);
--> -
delete from tollgate.budgets where organization_id = told.org() and window_kind = 'day';
select told.hold('h', 1, 1, 'ann', 'red', 'k');
--> granted 992
select told.broken();
select * from told.holds;
--> a open 1 1 used 0 0 ended 0 0 0 0 ann red k 1 0 0 5
--> b open 1 1 used 0 0 ended 0 0 0 0 ann red k 2 0 0 5
--> c open 1 1 used 0 0 ended 0 0 0 0 ann red k 4 0 0 5
--> d open 1 1 used 0 0 ended 0 0 0 0 ann red k 8 0 0 5
--> e open 1 1 used 0 0 ended 0 0 0 0 ann red k 16 0 0 5
--> f open 1 1 used 0 0 ended 0 0 0 0 ann red k 32 0 0 5
--> g open 1 1 used 0 0 ended 0 0 0 0 ann red k 64 0 0 5
--> h open 1 1 used 0 0 ended 0 0 0 0 ann red k 128 0 0 5
select * from told.windows;
--> key k day 0 1 credits 0 1 0
--> key k month 0 1 credits 0 1 0
--> organization  day 0 1 credits 0 1 0
--> organization  month 0 1 credits 0 1 0
--> team red day 0 1 credits 0 1 0
--> team red month 0 1 credits 0 1 0
--> user ann day 0 1 credits 0 1 0
--> user ann month 0 1 credits 0 1 0
select told.finish('a', 2, 3, 'ann', 'red', 'k');
--> 2 0
select told.finish('b', 2, 3, 'ann', 'red', 'k');
--> 2 0
select told.finish('c', 2, 3, 'ann', 'red', 'k');
--> 2 0
select told.finish('d', 2, 3, 'ann', 'red', 'k');
--> 2 0
select * from told.windows;
--> key k day 12 1 credits 8 1 0
--> key k month 12 1 credits 8 1 0
--> organization  day 12 0 credits 8 0 0
--> organization  month 12 0 credits 8 0 0
--> team red day 12 0 credits 8 0 0
--> team red month 12 0 credits 8 0 0
--> user ann day 12 1 credits 8 1 0
--> user ann month 12 1 credits 8 1 0
select told.broken();
select told.finish('e', 2, 3, 'ann', 'red', 'k');
--> 2 0
select told.finish('f', 2, 3, 'ann', 'red', 'k');
--> 2 0
select told.finish('g', 2, 3, 'ann', 'red', 'k');
--> 2 0
select told.finish('h', 2, 3, 'ann', 'red', 'k');
--> 2 0
select * from told.windows;
--> key k day 24 0 credits 16 0 0
--> key k month 24 0 credits 16 0 0
--> organization  day 24 0 credits 16 0 0
--> organization  month 24 0 credits 16 0 0
--> team red day 24 0 credits 16 0 0
--> team red month 24 0 credits 16 0 0
--> user ann day 24 0 credits 16 0 0
--> user ann month 24 0 credits 16 0 0
select told.broken();

## A budget covers what comes to its cap exactly, and nothing more, in tokens
select told.organization(1000);
select told.budget('organization', '', 'day', 10, null);
--> -
select told.hold('a', 1, 4);
--> granted 999
select told.finish('a', 1, 3);
--> 1 0
select told.hold('b', 1, 2);
--> granted 998
select told.hold('c', 1, 6);
--> budget_exceeded 998 may wait organization day tokens until its end
select told.hold('d', 1, 8);
--> budget_exceeded 998 organization day tokens until its end
select told.hold('e', 1, 5);
--> granted 997
select told.hold('f', 1, 0);
--> granted 996
select told.hold('g', 1, 1);
--> budget_exceeded 996 may wait organization day tokens until its end
select * from told.windows;
--> organization  day 3 7 credits 1 3 0
select * from told.events;
--> organization  day tokens 100 t 3 10 0

## A budget covers what comes to its cap exactly, and nothing more, in credits
select told.organization(1000);
select told.budget('user', 'ann', 'month', null, 10);
--> -
select told.hold('a', 4, 1);
--> granted 996
select told.finish('a', 3, 1);
--> 3 0
select told.hold('b', 2, 1);
--> granted 995
select told.hold('c', 6, 1);
--> budget_exceeded 995 may wait user month credits until its end
select told.hold('d', 8, 1);
--> budget_exceeded 995 user month credits until its end
select told.hold('e', 5, 1);
--> granted 990
select told.hold('f', 0, 1);
--> granted 990
select told.hold('g', 1, 1);
--> budget_exceeded 990 may wait user month credits until its end
select told.hold('h', 500, 1, 'bob');
--> granted 490
select * from told.windows;
--> user ann month 1 3 credits 3 7 0
select * from told.events;
--> user ann month credits 100 t 3 10 0

## Of several budgets that do not cover a call the one that no waiting helps is named, and of those the longest
select told.organization(1000);
select told.budget('organization', '', 'day', 10, null);
--> -
select told.budget('organization', '', 'month', 10, null);
--> -
select told.budget('user', 'ann', 'day', null, 20);
--> -
select told.hold('a', 5, 8);
--> granted 995
select told.hold('b', 1, 3);
--> budget_exceeded 995 may wait organization month tokens until its end
select told.hold('c', 21, 3);
--> budget_exceeded 995 user day credits until its end
select told.hold('d', 21, 11);
--> budget_exceeded 995 organization month tokens until its end
select * from told.windows;
--> organization  day 0 8 credits 0 5 0
--> organization  month 0 8 credits 0 5 0
--> user ann day 0 8 credits 0 5 0
select * from told.events;
--> organization  month tokens 100 t 0 10 0
--> user ann day credits 100 t 0 20 0

## A refusal by a budget holds nothing and is noted once
select told.organization(1000);
select told.budget('team', 'red', 'day', 10, 9223372036854775807);
--> -
select told.hold('a', 5, 11, 'ann', 'red');
--> budget_exceeded 1000 team day tokens until its end
select told.hold('b', 5, 12, 'ann', 'red');
--> budget_exceeded 1000 team day tokens until its end
select told.holds_of('{c,d,e}', '{1,1,1}', '{11,6,6}', '{ann,ann,ann}', '{red,red,red}', '{null,null,null}', '{60000,60000,60000}');
--> budget_exceeded 1000 team day tokens until its end
--> granted 999
--> budget_exceeded 999 may wait team day tokens until its end
select * from told.events;
--> team red day tokens 100 t 0 10 0
select * from told.windows;
--> team red day 0 6 credits 0 1 0
select * from told.balance;
--> 1000 1 0 2

## A budget of each stands where there is none of one's own, and each counts for oneself
select told.organization(1000);
select told.budget('user', '*', 'day', 5, null);
--> -
select told.budget('user', 'bob', 'day', 7, null);
--> -
select told.budget('team', '*', 'day', 6, null);
--> -
select told.budget('key', '*', 'day', null, 50);
--> -
select told.hold('a', 1, 5, 'ann');
--> granted 999
select told.hold('b', 1, 1, 'ann');
--> budget_exceeded 999 may wait user day tokens until its end
select told.hold('c', 1, 7, 'bob');
--> granted 998
select told.hold('d', 1, 1, 'bob');
--> budget_exceeded 998 may wait user day tokens until its end
select told.hold('e', 1, 4, 'eve', 'red');
--> granted 997
select told.hold('f', 1, 3, 'dan', 'red');
--> budget_exceeded 997 may wait team day tokens until its end
select told.hold('g', 51, 1, 'dan', null, 'k');
--> budget_exceeded 997 key day credits until its end
select told.hold('h', 50, 1, 'dan', null, 'k');
--> granted 947
select told.hold('i', 50, 1, 'dan', null, 'other');
--> granted 897
select * from told.windows;
--> key k day 0 1 credits 0 50 0
--> key other day 0 1 credits 0 50 0
--> team red day 0 4 credits 0 1 0
--> user ann day 0 5 credits 0 1 0
--> user bob day 0 7 credits 0 1 0
--> user dan day 0 2 credits 0 100 0
--> user eve day 0 4 credits 0 1 0

## The policy's budgets are the organization's, beside those that are set; the lower one stands
select told.organization(1000);
select told.policy('{"budgets": {"daily_tokens": 10, "monthly_tokens": 12}}');
--> -
select told.hold('a', 1, 11);
--> budget_exceeded 1000 organization day tokens until its end
select told.hold('b', 1, 10);
--> granted 999
select told.finish('b', 1, 10);
--> 1 0
select told.hold('c', 1, 1);
--> budget_exceeded 999 organization day tokens until its end
select told.policy('{"budgets": {"monthly_tokens": 12}}');
--> -
select told.hold('d', 1, 3);
--> budget_exceeded 999 organization month tokens until its end
select told.budget('organization', '', 'month', 11, null);
--> -
select told.hold('e', 1, 2);
--> budget_exceeded 999 organization month tokens until its end
select told.budget('organization', '', 'month', 100, 5);
--> -
select told.hold('f', 1, 3);
--> budget_exceeded 999 organization month tokens until its end
select told.hold('g', 6, 1);
--> budget_exceeded 999 organization month credits until its end
select told.hold('h', 4, 2);
--> granted 995
select * from told.windows;
--> organization  day 10 0 credits 1 0 0
--> organization  month 10 2 credits 1 4 0
select * from told.events;
--> organization  day tokens 50 f 10 10 0
--> organization  day tokens 80 f 10 10 0
--> organization  day tokens 100 f 10 10 0
--> organization  day tokens 100 t 0 10 0
--> organization  month credits 100 t 1 5 0
--> organization  month tokens 50 f 10 12 0
--> organization  month tokens 80 f 10 12 0
--> organization  month tokens 100 t 10 12 0
select told.broken();

## A policy's daily budget alone is a budget
select told.organization(1000);
select told.policy('{"budgets": {"daily_tokens": 10}}');
--> -
select told.hold('a', 1, 11);
--> budget_exceeded 1000 organization day tokens until its end
select told.hold('b', 1, 10);
--> granted 999
select * from told.windows;
--> organization  day 0 10 credits 0 1 0

## Half, four fifths and all of a budget are each noted once, by whole numbers, when they are reached
select told.organization(1000);
select told.budget('organization', '', 'day', 9, null);
--> -
select told.budget('user', 'ann', 'month', null, 11);
--> -
select told.hold('z', 0, 0);
--> granted 1000
select told.finish('a', 5, 4);
--> 5 0
select * from told.events;
select told.finish('b', 1, 1);
--> 1 0
select * from told.events;
--> organization  day tokens 50 f 5 9 0
--> user ann month credits 50 f 6 11 0
select told.finish('c', 3, 3);
--> 3 0
select told.finish('d', 1, 1);
--> 1 0
select * from told.events;
--> organization  day tokens 50 f 5 9 0
--> organization  day tokens 80 f 8 9 0
--> organization  day tokens 100 f 9 9 0
--> user ann month credits 50 f 6 11 0
--> user ann month credits 80 f 9 11 0
select told.finish('e', 5, 5);
--> 5 0
select * from told.events;
--> organization  day tokens 50 f 5 9 0
--> organization  day tokens 80 f 8 9 0
--> organization  day tokens 100 f 9 9 0
--> user ann month credits 50 f 6 11 0
--> user ann month credits 80 f 9 11 0
--> user ann month credits 100 f 15 11 0
select told.finish('f', 1, 1);
--> 1 0
select * from told.events;
--> organization  day tokens 50 f 5 9 0
--> organization  day tokens 80 f 8 9 0
--> organization  day tokens 100 f 9 9 0
--> user ann month credits 50 f 6 11 0
--> user ann month credits 80 f 9 11 0
--> user ann month credits 100 f 15 11 0

## A budget is noted in the windows of whoever called, each percent once in a window
select told.organization(1000);
select told.budget('team', 'red', 'day', 10, 10);
--> -
select told.hold('a', 5, 9, 'ann', 'red');
--> granted 995
select told.finish('a', 5, 4, 'ann', 'red');
--> 5 0
select told.finish('b', 4, 4, 'ann', 'red');
--> 4 0
select told.finish('b2', 4, 4, 'ann');
--> 4 0
select * from told.events;
--> team red day credits 50 f 5 10 0
--> team red day credits 80 f 9 10 0
--> team red day tokens 50 f 8 10 0
--> team red day tokens 80 f 8 10 0
select told.budget('team', 'red', 'day', 18, 10);
--> -
select told.finish('c', 1, 1, 'ann', 'red');
--> 1 0
select * from told.events;
--> team red day credits 50 f 5 10 0
--> team red day credits 80 f 9 10 0
--> team red day credits 100 f 10 10 0
--> team red day tokens 50 f 8 10 0
--> team red day tokens 80 f 8 10 0

## A person, a team and a key of one name have each a budget of its own
select told.organization(1000);
select told.budget('user', told.id('x')::text, 'day', 10, null);
--> -
select told.budget('team', 'x', 'day', 100, null);
--> -
select told.budget('key', 'x', 'day', 1000, null);
--> -
select told.hold('a', 1, 1, told.id('x')::text, 'x', 'x');
--> granted 999
select told.finish('a', 1, 6, told.id('x')::text, 'x', 'x');
--> 1 0
select * from told.windows;
--> key x day 6 0 credits 1 0 0
--> team x day 6 0 credits 1 0 0
--> user x day 6 0 credits 1 0 0
select * from told.events;
--> user x day tokens 50 f 6 10 0

## Who ends a call beyond the hold moves the true figures into every window
select told.organization(1000);
select told.budget('organization', '', 'day', 100, 100);
--> -
select told.hold('a', 5, 5);
--> granted 995
select told.hold('b', 5, 5);
--> granted 990
select told.renew('{a}', '{7}', '{8}');
--> a
select told.give_back('{a}');
--> 1
select * from told.windows;
--> organization  day 8 5 credits 7 5 0
select told.finish('a', 9, 9);
--> 9 0
select told.finish('a', 9, 9);
--> 9 0 again
select told.finish('b', 0, 0);
--> 0 0
select * from told.windows;
--> organization  day 9 0 credits 9 0 0
select told.broken();

## A budget that is set in the middle of its window counts what its scope had used before, and only that
select told.organization(1000);
select told.ago('old', '40 days');
--> -
select told.hold('a', 5, 4, 'ann', 'red', 'k');
--> granted 995
select told.finish('a', 3, 2, 'ann', 'red', 'k');
--> 3 0
select told.finish('b', 7, 5, 'bob', 'blue', 'other');
--> 7 0
select told.finish('old', 50, 60, 'ann', 'red', 'k');
--> 50 0
select told.hold('c', 9, 9, 'ann', 'red', 'k');
--> granted 931
select told.budget('organization', '', 'day', 100, 100, '0');
--> -
select told.budget('organization', '', 'month', 100, 100, '0');
--> -
select told.budget('team', 'red', 'day', 100, 100, '0');
--> -
select told.budget('user', 'ann', 'month', 100, 100, '0');
--> -
select told.budget('key', 'k', 'day', 100, 100, '0');
--> -
select told.hold('d', 1, 1, 'ann', 'red', 'k');
--> granted 930
select * from told.windows;
--> key k day 2 1 credits 3 1 0
--> organization  day 7 1 credits 10 1 0
--> organization  month 7 1 credits 10 1 0
--> team red day 2 1 credits 3 1 0
--> user ann month 2 1 credits 3 1 0
select told.broken();

## A budget that was set before its window began counts from nothing
select told.organization(1000);
select told.finish('a', 3, 2);
--> 3 0
select told.budget('organization', '', 'day', 100, 100, '2 days');
--> -
select told.hold('d', 1, 1);
--> granted 996
select * from told.windows;
--> organization  day 0 1 credits 0 1 0

## What was used with a debt counts whole
select told.organization(10);
select told.finish('a', 14, 2);
--> 10 4
select told.grant_more(100);
--> 96 0 0
select told.budget('organization', '', 'day', 100, 100, '0');
--> -
select told.hold('b', 1, 1);
--> granted 95
select * from told.windows;
--> organization  day 2 1 credits 14 1 0

## The longest figures there are do not wrap in a budget
select told.organization(9223372036854775807);
select told.budget('organization', '', 'day', 9223372036854775807, 9223372036854775807);
--> -
select told.hold('a', 9223372036854775806, 9223372036854775806);
--> granted 1
select told.hold('b', 1, 2);
--> budget_exceeded 1 may wait organization day tokens until its end
select told.hold('c', 1, 1);
--> granted 0
select * from told.windows;
--> organization  day 0 9223372036854775807 credits 0 9223372036854775807 0

## Windows are those of the organization's time zone, at any time of day
select told.organization(100, 'Pacific/Kiritimati');
select told.budget('organization', '', 'day', 5, null);
--> -
select told.hold('a', 1, 5);
--> granted 99
select day = (clock_timestamp() at time zone 'Pacific/Kiritimati')::date or day + 1 = (clock_timestamp() at time zone 'Pacific/Kiritimati')::date from tollgate.credit_holds where organization_id = told.org();
--> t
select told.organization(100, 'Pacific/Pago_Pago');
select told.budget('organization', '', 'day', 5, null);
--> -
select told.hold('a', 1, 5);
--> granted 99
select day = (clock_timestamp() at time zone 'Pacific/Pago_Pago')::date or day + 1 = (clock_timestamp() at time zone 'Pacific/Pago_Pago')::date from tollgate.credit_holds where organization_id = told.org();
--> t

## A cap that is reached exactly without what others hold is worth waiting for, and nothing is noted of it
select told.organization(1000);
select told.budget('organization', '', 'day', 10, null);
--> -
select told.finish('z', 1, 0);
--> 1 0
select told.hold('a', 1, 0);
--> granted 998
select told.finish('a', 1, 3);
--> 1 0
select told.hold('b', 1, 2);
--> granted 997
select told.hold('c', 1, 7);
--> budget_exceeded 997 may wait organization day tokens until its end
select * from told.events;
select told.hold('d', 1, 8);
--> budget_exceeded 997 organization day tokens until its end
select * from told.events;
--> organization  day tokens 100 t 3 10 0

## A cap beyond the longest figure is noted as the longest figure
select told.organization(1000);
select told.policy('{"budgets": {"daily_tokens": 9223372036854775808}}');
--> -
select told.hold('z', 0, 0);
--> granted 1000
select told.finish('a', 1, 9223372036854775807);
--> 1 0
select * from told.events;
--> organization  day tokens 50 f 9223372036854775807 9223372036854775807 0
--> organization  day tokens 80 f 9223372036854775807 9223372036854775807 0
select told.hold('b', 1, 2);
--> budget_exceeded 999 organization day tokens until its end
select * from told.events;
--> organization  day tokens 50 f 9223372036854775807 9223372036854775807 0
--> organization  day tokens 80 f 9223372036854775807 9223372036854775807 0
--> organization  day tokens 100 t 9223372036854775807 9223372036854775807 0

## A budget of somebody else's is nobody's, and a caller without one is held in no window
select told.organization(1000);
select told.budget('user', 'eve', 'day', 1, 1);
--> -
select told.hold('a', 5, 5);
--> granted 995
select * from told.holds;
--> a open 5 5 used 0 0 ended 0 0 0 0 ann - - 0 0 0 5
select * from told.windows;

## A person, a team and a key of one name are three, in holds, ends and thresholds
select told.organization(1000);
select told.budget('user', told.id('red')::text, 'day', 1000, null);
--> -
select told.hold('a', 1, 1, told.id('red')::text);
--> granted 999
select * from told.windows;
--> user red day 0 1 credits 0 1 0
delete from tollgate.budgets where organization_id = told.org();
select told.budget('team', 'red', 'day', 10, null);
--> -
select told.hold('b', 2, 2, 'ann', 'red');
--> granted 997
select * from told.windows;
--> team red day 0 2 credits 0 2 0
--> user red day 0 1 credits 0 1 0
select told.finish('b', 3, 6, 'ann', 'red');
--> 3 0
select * from told.windows;
--> team red day 6 0 credits 3 0 0
--> user red day 0 1 credits 0 1 0
select * from told.events;
--> team red day tokens 50 f 6 10 0
select told.hold('c', 4, 2, told.id('red')::text, null, 'red');
--> granted 992
select told.finish('c', 5, 5, told.id('red')::text, null, 'red');
--> 5 0
select * from told.windows;
--> team red day 6 0 credits 3 0 0
--> user red day 5 1 credits 5 1 0
select * from told.events;
--> team red day tokens 50 f 6 10 0
select told.broken();

## Windows of other times are left alone
select told.organization(1000);
insert into tollgate.budget_usage (organization_id, scope, scope_id, window_kind, window_start, used, held, credits_used, credits_held) values (told.org(), 'organization', '', 'day', '2020-01-01', 7, 7, 7, 7), (told.org(), 'organization', '', 'month', '2020-01-01', 7, 7, 7, 7);
insert into tollgate.budget_usage (organization_id, scope, scope_id, window_kind, window_start, used, held, credits_used, credits_held) select told.org(), 'organization', '', 'month', (clock_timestamp() at time zone o.time_zone)::date + 1, 7, 7, 7, 7 from tollgate.organizations o where organization_id = told.org();
insert into tollgate.budget_usage (organization_id, scope, scope_id, window_kind, window_start, used, held, credits_used, credits_held) select told.org(), 'organization', '', 'month', (clock_timestamp() at time zone o.time_zone)::date, 7, 7, 7, 7 from tollgate.organizations o where organization_id = told.org() and extract(day from clock_timestamp() at time zone o.time_zone) <> 1;
select told.budget('organization', '', 'day', 100, 100);
--> -
select told.hold('a', 5, 4);
--> granted 995
select used, held, credits_used, credits_held from tollgate.budget_usage where organization_id = told.org() and not (window_kind = 'day' and window_start > '2020-01-01') group by 1, 2, 3, 4;
--> 7 7 7 7
select told.finish('a', 3, 2);
--> 3 0
select used, held, credits_used, credits_held from tollgate.budget_usage where organization_id = told.org() and not (window_kind = 'day' and window_start > '2020-01-01') group by 1, 2, 3, 4;
--> 7 7 7 7
select used, held, credits_used, credits_held from tollgate.budget_usage where organization_id = told.org() and window_kind = 'day' and window_start > '2020-01-01';
--> 2 0 3 0

## Of a policy's budget and one that is set, the later one says what is counted
select told.organization(1000);
select told.policy('{"budgets": {"daily_tokens": 100}}');
--> -
select told.finish('a', 3, 2);
--> 3 0
select told.budget('organization', '', 'day', 100, null, '0');
--> -
select told.hold('b', 1, 1);
--> granted 996
select * from told.windows;
--> organization  day 2 1 credits 3 1 0

## A budget that was set with the first moment of its window counts from nothing
select told.organization(1000);
select told.finish('a', 3, 2);
--> 3 0
select told.budget('organization', '', 'day', 100, 100);
--> -
update tollgate.budgets b set updated_at = date_trunc('day', clock_timestamp() at time zone o.time_zone) at time zone o.time_zone from tollgate.organizations o where o.organization_id = b.organization_id and b.organization_id = told.org();
select told.hold('d', 1, 1);
--> granted 996
select * from told.windows;
--> organization  day 0 1 credits 0 1 0

## What was used yesterday is not of today
select told.organization(1000);
select told.ago('yesterday', '14 hours');
--> -
select told.finish('yesterday', 3, 2);
--> 3 0
select told.finish('today', 5, 4);
--> 5 0
select told.budget('organization', '', 'day', 100, 100, '0');
--> -
select told.hold('d', 1, 1);
--> granted 991
select * from told.windows;
--> organization  day 4 1 credits 5 1 0

## A threshold is passed by whole numbers however large they are
select told.organization(100000);
select told.budget('organization', '', 'day', 1000, 1000);
--> -
select told.hold('z', 0, 0);
--> granted 100000
select told.finish('a', 499, 499);
--> 499 0
select * from told.events;
select told.finish('b', 1, 1);
--> 1 0
select * from told.events;
--> organization  day credits 50 f 500 1000 0
--> organization  day tokens 50 f 500 1000 0

## What was passed before a budget was lowered is not passed again
select told.organization(1000);
select told.budget('organization', '', 'day', 1000, null);
--> -
select told.hold('z', 0, 0);
--> granted 1000
select told.finish('a', 1, 50);
--> 1 0
select told.budget('organization', '', 'day', 100, null);
--> -
select told.finish('b', 1, 1);
--> 1 0
select * from told.events;
select told.finish('c', 1, 29);
--> 1 0
select * from told.events;
--> organization  day tokens 80 f 80 100 0

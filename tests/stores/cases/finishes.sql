## A settlement takes what the call cost and gives the rest of its hold back
select told.organization(100);
select told.hold('a', 30, 9);
--> granted 70
select told.hold('b', 20, 2);
--> granted 50
select told.finish('a', 12, 4);
--> 12 0
select * from told.balance;
--> 88 20 0 4
select * from told.movements;
--> 1 grant - 100 0 0 after 100 0 0 -
--> 2 hold a 0 30 0 after 100 30 0 -
--> 3 hold b 0 20 0 after 100 50 0 -
--> 4 settle a -12 -30 0 after 88 20 0 -
select * from told.holds;
--> a settled 30 9 used 0 0 ended 12 0 18 4 ann - - 0 0 0 5
--> b open 20 2 used 0 0 ended 0 0 0 0 ann - - 0 0 0 5
select told.broken();

## A settlement of all that was held gives nothing back
select told.organization(100);
select told.hold('a', 30, 9);
--> granted 70
select told.finish('a', 30, 9);
--> 30 0
select * from told.movements;
--> 1 grant - 100 0 0 after 100 0 0 -
--> 2 hold a 0 30 0 after 100 30 0 -
--> 3 settle a -30 -30 0 after 70 0 0 -
select * from told.holds;
--> a settled 30 9 used 0 0 ended 30 0 0 9 ann - - 0 0 0 5

## A settlement beyond its hold takes what is free, and owes what is not
select told.organization(100);
select told.hold('a', 30, 1);
--> granted 70
select told.hold('b', 50, 1);
--> granted 20
select told.finish('a', 45, 3);
--> 45 0
select * from told.balance;
--> 55 50 0 4
select told.finish('late', 9, 1);
--> 5 4
select * from told.balance;
--> 50 50 4 5
select told.finish('b', 51, 1);
--> 50 1
select * from told.balance;
--> 0 0 5 6
select * from told.movements;
--> 1 grant - 100 0 0 after 100 0 0 -
--> 2 hold a 0 30 0 after 100 30 0 -
--> 3 hold b 0 50 0 after 100 80 0 -
--> 4 settle a -45 -30 0 after 55 50 0 -
--> 5 late_settle late -5 0 4 after 50 50 4 -
--> 6 settle b -50 -50 1 after 0 0 5 -
select * from told.holds;
--> a settled 30 1 used 0 0 ended 45 0 0 3 ann - - 0 0 0 5
--> b settled 50 1 used 0 0 ended 50 1 0 1 ann - - 0 0 0 5
--> late settled 0 0 used 0 0 ended 5 4 0 1 ann - - 0 0 0 0
select told.broken();

## A release gives all of it back and costs nothing
select told.organization(100);
select told.hold('a', 30, 9);
--> granted 70
select told.release('a');
--> 0 0
select * from told.balance;
--> 100 0 0 3
select * from told.movements;
--> 1 grant - 100 0 0 after 100 0 0 -
--> 2 hold a 0 30 0 after 100 30 0 -
--> 3 release a 0 -30 0 after 100 0 0 -
select * from told.holds;
--> a released 30 9 used 0 0 ended 0 0 30 0 ann - - 0 0 0 5

## A release of nothing moves nothing
select told.organization(100);
select told.hold('a', 0, 9);
--> granted 100
select told.release('a');
--> 0 0
select * from told.balance;
--> 100 0 0 1
select * from told.holds;
--> a released 0 9 used 0 0 ended 0 0 0 0 ann - - 0 0 0 5

## A settlement of nothing for nothing moves nothing
select told.organization(100);
select told.hold('a', 0, 9);
--> granted 100
select told.finish('a', 0, 9);
--> 0 0
select * from told.balance;
--> 100 0 0 1
select * from told.holds;
--> a settled 0 9 used 0 0 ended 0 0 0 9 ann - - 0 0 0 5

## A settlement for which nothing was held is a movement of its own
select told.organization(100);
select told.hold('a', 0, 9);
--> granted 100
select told.finish('a', 7, 9);
--> 7 0
select * from told.balance;
--> 93 0 0 2
select * from told.movements;
--> 1 grant - 100 0 0 after 100 0 0 -
--> 2 settle a -7 0 0 after 93 0 0 -
select * from told.holds;
--> a settled 0 9 used 0 0 ended 7 0 0 9 ann - - 0 0 0 5

## A settlement of nothing gives back all that was held
select told.organization(100);
select told.hold('a', 8, 9);
--> granted 92
select told.finish('a', 0, 0);
--> 0 0
select * from told.movements;
--> 1 grant - 100 0 0 after 100 0 0 -
--> 2 hold a 0 8 0 after 100 8 0 -
--> 3 settle a 0 -8 0 after 100 0 0 -
select * from told.holds;
--> a settled 8 9 used 0 0 ended 0 0 8 0 ann - - 0 0 0 5

## Finishes that come in one statement are settled in their order, each beside those before it
select told.organization(100);
select told.hold('a', 30, 5);
--> granted 70
select told.hold('b', 30, 5);
--> granted 40
select told.hold('c', 30, 5);
--> granted 10
select told.finishes('{a,x,b,c}', '{45,null,10,40}', '{1,2,3,4}', '{false,false,false,false}');
--> 40 5
--> 0 0
--> 10 0
--> 40 0
select * from told.balance;
--> 10 0 5 7
select * from told.movements;
--> 1 grant - 100 0 0 after 100 0 0 -
--> 2 hold a 0 30 0 after 100 30 0 -
--> 3 hold b 0 30 0 after 100 60 0 -
--> 4 hold c 0 30 0 after 100 90 0 -
--> 5 settle a -40 -30 5 after 60 60 5 -
--> 6 settle b -10 -30 0 after 50 30 5 -
--> 7 settle c -40 -30 0 after 10 0 5 -
select * from told.holds;
--> a settled 30 5 used 0 0 ended 40 5 0 1 ann - - 0 0 0 5
--> b settled 30 5 used 0 0 ended 10 0 20 3 ann - - 0 0 0 5
--> c settled 30 5 used 0 0 ended 40 0 0 4 ann - - 0 0 0 5
select told.broken();

## Of finishes in one statement each is told its own charge, and those that were written before change nothing
select told.organization(100);
select told.hold('a', 30, 5);
--> granted 70
select told.hold('b', 30, 5);
--> granted 40
select told.hold('c', 30, 5);
--> granted 10
select told.finishes('{b}', '{10}', '{3}');
--> 10 0
select told.finishes('{a,b,c}', '{20,11,0}', '{1,2,0}', '{false,false,true}');
--> 20 0
--> 10 0 again
--> 0 0
select told.finishes('{a,b,c}', '{1,1,1}', '{1,1,1}', null);
--> 20 0 again
--> 10 0 again
--> 0 0 again
select * from told.balance;
--> 70 0 0 7
select * from told.movements;
--> 1 grant - 100 0 0 after 100 0 0 -
--> 2 hold a 0 30 0 after 100 30 0 -
--> 3 hold b 0 30 0 after 100 60 0 -
--> 4 hold c 0 30 0 after 100 90 0 -
--> 5 settle b -10 -30 0 after 90 60 0 -
--> 6 settle a -20 -30 0 after 70 30 0 -
--> 7 release c 0 -30 0 after 70 0 0 -
select * from told.holds;
--> a settled 30 5 used 0 0 ended 20 0 10 1 ann - - 0 0 0 5
--> b settled 30 5 used 0 0 ended 10 0 20 3 ann - - 0 0 0 5
--> c released 30 5 used 0 0 ended 0 0 30 0 ann - - 0 0 0 5

## A repeated finish is told what the first one charged and owes
select told.organization(10);
select told.hold('a', 10, 5);
--> granted 0
select told.finish('a', 14, 5);
--> 10 4
select told.finish('a', 3, 1);
--> 10 4 again
select told.finish('x', null, 1);
--> 0 0
select told.finish('x', null, 1);
--> 0 0 again
select * from told.movements;
--> 1 grant - 10 0 0 after 10 0 0 -
--> 2 hold a 0 10 0 after 10 10 0 -
--> 3 settle a -10 -10 4 after 0 0 4 -

## A hold that was lost is charged in full when its finish comes, as late
select told.organization(100);
select told.finish('a', 12, 4, 'bob', 'red', 'k');
--> 12 0
select * from told.balance;
--> 88 0 0 2
select * from told.movements;
--> 1 grant - 100 0 0 after 100 0 0 -
--> 2 late_settle a -12 0 0 after 88 0 0 -
select * from told.holds;
--> a settled 0 0 used 0 0 ended 12 0 0 4 bob red k 0 0 0 0
select told.broken();

## A hold that was lost and cost nothing leaves a row and no movement
select told.organization(100);
select told.release('a');
--> 0 0
select * from told.holds;
--> a released 0 0 used 0 0 ended 0 0 0 0 ann - - 0 0 0 0
select * from told.balance;
--> 100 0 0 1

## An expired hold has been charged what its heartbeats said, and its finish the rest
select told.organization(100);
select told.hold('a', 30, 9);
--> granted 70
select told.hold('b', 30, 9);
--> granted 40
select told.renew('{a,b}', '{10,20}', '{3,6}');
--> a
--> b
select told.overdue('a');
--> -
select told.overdue('b');
--> -
select told.expire();
--> 2
select * from told.balance;
--> 70 0 0 5
select * from told.holds;
--> a expired 30 9 used 10 3 ended 10 0 20 3 ann - - 0 0 0 -1
--> b expired 30 9 used 20 6 ended 20 0 10 6 ann - - 0 0 0 -1
select told.finish('a', 12, 4);
--> 12 0
select told.finish('b', 15, 5);
--> 20 0
select told.finish('b', 99, 99);
--> 20 0 again
select * from told.balance;
--> 68 0 0 6
select * from told.movements;
--> 1 grant - 100 0 0 after 100 0 0 -
--> 2 hold a 0 30 0 after 100 30 0 -
--> 3 hold b 0 30 0 after 100 60 0 -
--> 4 expire a -10 -30 0 after 90 30 0 -
--> 5 expire b -20 -30 0 after 70 0 0 -
--> 6 late_settle a -2 0 0 after 68 0 0 -
select * from told.holds;
--> a settled 30 9 used 10 3 ended 12 0 18 4 ann - - 0 0 0 -1
--> b settled 30 9 used 20 6 ended 20 0 10 6 ann - - 0 0 0 -1
select told.broken();

## An expiry charges beyond its hold what is free, and owes the rest; its finish owes on
select told.organization(50);
select told.hold('a', 10, 1);
--> granted 40
select told.hold('b', 20, 1);
--> granted 20
select told.renew('{a}', '{35}', '{2}');
--> a
select told.overdue('a');
--> -
select told.expire();
--> 1
select * from told.balance;
--> 20 20 5 4
select * from told.movements;
--> 1 grant - 50 0 0 after 50 0 0 -
--> 2 hold a 0 10 0 after 50 10 0 -
--> 3 hold b 0 20 0 after 50 30 0 -
--> 4 expire a -30 -10 5 after 20 20 5 -
select * from told.holds;
--> a expired 10 1 used 35 2 ended 30 5 0 2 ann - - 0 0 0 -1
--> b open 20 1 used 0 0 ended 0 0 0 0 ann - - 0 0 0 5
select told.finish('a', 40, 3);
--> 30 10
select * from told.balance;
--> 20 20 10 5
select * from told.movements;
--> 1 grant - 50 0 0 after 50 0 0 -
--> 2 hold a 0 10 0 after 50 10 0 -
--> 3 hold b 0 20 0 after 50 30 0 -
--> 4 expire a -30 -10 5 after 20 20 5 -
--> 5 late_settle a 0 0 5 after 20 20 10 -
select * from told.holds;
--> a settled 10 1 used 35 2 ended 30 10 0 3 ann - - 0 0 0 -1
--> b open 20 1 used 0 0 ended 0 0 0 0 ann - - 0 0 0 5
select told.broken();

## An expiry that had used exactly its hold gives nothing back
select told.organization(50);
select told.hold('a', 10, 1);
--> granted 40
select told.renew('{a}', '{10}', '{1}');
--> a
select told.give_back('{a}');
--> 1
select * from told.movements;
--> 1 grant - 50 0 0 after 50 0 0 -
--> 2 hold a 0 10 0 after 50 10 0 -
--> 3 expire a -10 -10 0 after 40 0 0 -
select * from told.holds;
--> a expired 10 1 used 10 1 ended 10 0 0 1 ann - - 0 0 0 20

## An expiry of nothing that used something is a movement
select told.organization(50);
select told.hold('a', 0, 1);
--> granted 50
select told.renew('{a}', '{1}', '{1}');
--> a
select told.give_back('{a}');
--> 1
select * from told.movements;
--> 1 grant - 50 0 0 after 50 0 0 -
--> 2 expire a -1 0 0 after 49 0 0 -
select * from told.balance;
--> 49 0 0 2

## An expiry of nothing moves nothing
select told.organization(50);
select told.hold('a', 0, 1);
--> granted 50
select told.hold('b', 1, 1);
--> granted 49
select told.give_back('{a,b}');
--> 2
select * from told.movements;
--> 1 grant - 50 0 0 after 50 0 0 -
--> 2 hold b 0 1 0 after 50 1 0 -
--> 3 expire b 0 -1 0 after 50 0 0 -
select * from told.balance;
--> 50 0 0 3
select * from told.holds;
--> a expired 0 1 used 0 0 ended 0 0 0 0 ann - - 0 0 0 5
--> b expired 1 1 used 0 0 ended 0 0 1 0 ann - - 0 0 0 5

## The longest overdue go first, and no more than were asked for
select told.organization(100);
select told.holds_by('{a,b,c,d}', '{1,2,4,8}', '{1,1,1,1}', 'ann', null, null);
--> granted 99
--> granted 97
--> granted 93
--> granted 85
select told.overdue('a', '1 minute');
--> -
select told.overdue('b', '3 minutes');
--> -
select told.overdue('c', '2 minutes');
--> -
select told.expire(2);
--> 2
select * from told.movements;
--> 1 grant - 100 0 0 after 100 0 0 -
--> 2 hold a 0 1 0 after 100 1 0 -
--> 3 hold b 0 2 0 after 100 3 0 -
--> 4 hold c 0 4 0 after 100 7 0 -
--> 5 hold d 0 8 0 after 100 15 0 -
--> 6 expire b 0 -2 0 after 100 13 0 -
--> 7 expire c 0 -4 0 after 100 9 0 -
select told.expire(2);
--> 1
select told.expire(2);
--> 0
select * from told.balance;
--> 100 8 0 8
select told.give_back('{d}');
--> 1
select * from told.balance;
--> 100 0 0 9

## Only open holds that are named are given back, each once
select told.organization(100);
select told.holds_by('{a,b,c}', '{1,2,4}', '{1,1,1}', 'ann', null, null);
--> granted 99
--> granted 97
--> granted 93
select told.finish('a', 1, 1);
--> 1 0
select told.give_back('{a,b}');
--> 1
select told.give_back('{a,b}');
--> 0
select told.overdue('c');
--> -
select told.give_back('{}');
--> 0
select tollgate.give_back(told.org(), jsonb_build_object('organization_id', told.org())::text, null);
--> 0
select * from told.balance;
--> 99 4 0 6

## A heartbeat raises what was seen and how long the hold stands, and never lowers either
select told.organization(100);
select told.holds_by('{a,b,c}', '{10,20,30}', '{1,1,1}', 'ann', null, null);
--> granted 90
--> granted 70
--> granted 40
select told.renew('{b,a}', '{5,7}', '{2,3}');
--> a
--> b
select * from told.holds;
--> a open 10 1 used 7 3 ended 0 0 0 0 ann - - 0 0 0 20
--> b open 20 1 used 5 2 ended 0 0 0 0 ann - - 0 0 0 20
--> c open 30 1 used 0 0 ended 0 0 0 0 ann - - 0 0 0 5
select told.renew('{a,b}', '{6,6}', '{4,1}', 60000);
--> a
--> b
select * from told.holds;
--> a open 10 1 used 7 4 ended 0 0 0 0 ann - - 0 0 0 20
--> b open 20 1 used 6 2 ended 0 0 0 0 ann - - 0 0 0 20
--> c open 30 1 used 0 0 ended 0 0 0 0 ann - - 0 0 0 5
select told.finish('a', 7, 4);
--> 7 0
select told.renew('{a,b,x}', '{9,9,9}', '{9,9,9}');
--> b
select * from told.holds;
--> a settled 10 1 used 7 4 ended 7 0 3 4 ann - - 0 0 0 20
--> b open 20 1 used 9 9 ended 0 0 0 0 ann - - 0 0 0 20
--> c open 30 1 used 0 0 ended 0 0 0 0 ann - - 0 0 0 5
select * from told.balance;
--> 93 50 0 5

## What is no figure is refused as a bad argument, and nothing is written
select told.organization(100);
select told.hold('a', 30, 9);
--> granted 70
select told.finish('a', -1, 1);
--> ERROR 22023
select told.finish('a', 1, -1);
--> ERROR 22023
select told.finishes('{null}', '{1}', '{1}');
--> ERROR 22023
select told.finishes('{a,a}', '{1,1}', '{1,1}');
--> ERROR 22023
select told.finishes('{a}', '{1}', '{1}', '{true}');
--> ERROR 22023
select count(*) from tollgate.usage where organization_id = told.org();
--> 0
select * from told.balance;
--> 100 30 0 2
select told.finishes('{a}', '{0}', '{0}', '{true}');
--> 0 0
select told.finishes('{}', '{}', '{}');

## An organization without an account, or that is not there, settles nothing
select told.organization(100);
select told.hold('a', 30, 9);
--> granted 70
delete from tollgate.credit_balances where organization_id = told.org();
select told.finish('a', 1, 1);
--> ERROR TG404
select told.finish('b', null, 1);
--> 0 0
select set_config('told.org', '00000000-0000-7000-8000-000000000000', false) is null;
--> f
select told.finish('a', null, 1);
--> ERROR TG404

## A settled hold whose usage is missing is not settled again
select told.organization(100);
select told.hold('a', 30, 9);
--> granted 70
select told.hold('b', 30, 9);
--> granted 40
select told.finish('a', 1, 1);
--> 1 0
select told.release('b');
--> 0 0
delete from tollgate.usage where organization_id = told.org();
select told.finish('a', 1, 1);
--> ERROR 55000
select told.finish('b', 1, 1);
--> ERROR 55000

## A grant pays what is owed first, and one reference stands for one grant
select told.organization(10);
select told.finish('a', 14, 1);
--> 10 4
select told.grant_more(3, 'one');
--> 0 0 1
select told.grant_more(3, 'one');
--> 0 0 1 again
select told.grant_more(4, 'one');
--> ERROR TG409
select told.grant_more(3, 'two');
--> 2 0 0
select told.grant_more(3);
--> 5 0 0
select told.grant_more(3);
--> 8 0 0
select told.grant_more(0);
--> ERROR 22023
select told.grant_more(-1);
--> ERROR 22023
select told.grant_more(null);
--> ERROR 22023
select * from told.movements;
--> 1 grant - 10 0 0 after 10 0 0 -
--> 2 late_settle a -10 0 4 after 0 0 4 -
--> 3 grant - 0 0 -3 after 0 0 1 one
--> 4 grant - 2 0 -1 after 2 0 0 two
--> 5 grant - 3 0 0 after 5 0 0 -
--> 6 grant - 3 0 0 after 8 0 0 -
select * from told.balance;
--> 8 0 0 6
select posted from tollgate.grant_credits(told.org(), jsonb_build_object('organization_id', told.org())::text, 1, null);
--> ERROR 42501
delete from tollgate.credit_balances where organization_id = told.org();
select told.grant_more(3);
--> ERROR TG404
select set_config('told.org', '00000000-0000-7000-8000-000000000000', false) is null;
--> f
select told.grant_more(3);
--> ERROR TG404

## Usage and record have every figure in its own column
select told.organization(100);
select told.hold('a', 30, 9);
--> granted 70
select * from tollgate.finish(told.org(), jsonb_build_object('organization_id', told.org())::text, told.ids_of('{a,b}'), '{1700000000123,1700000100123}', '{ann,bob}', told.ids_of('{red,blue}'), told.ids_of('{k1,k2}'), '{17,null}', '{5,6}', told.ids_of('{p1,p2}'), '{21,22}', '{false,false}', '{c1,c2}', '{e1,e2}', '{m1,m2}', '{a1,a2}', '{u1,u2}', '{true,false}', '{cut,failed}', '{201,502}', '{31,32}', '{41,42}', '{51,52}', '{61,62}', '{71,72}', '{81,82}', '{true,false}', '{false,true}', '{91,92}', '{101,null}', '{true,false}', '{q1,q2}', '{r1,r2}', '{true,false}');
--> 17 0 f
--> 0 0 f
select told.name(u.request_id::text), extract(epoch from arrived_at), user_id, told.name(team_id::text), told.name(key_id::text), client_request_id, endpoint, model, answered_by, provider, stream, ending, status, input_tokens, cached_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, estimated, clamped, cost, told.name(price_id::text), markup_bps, latency_ms, first_byte_ms from tollgate.usage u where organization_id = told.org() order by 1;
--> a 1700000000.123000 ann red k1 c1 e1 m1 a1 u1 t cut 201 31 41 51 61 71 81 t f 17 p1 21 91 101
--> b 1700000100.123000 bob blue k2 c2 e2 m2 a2 u2 f failed 502 32 42 52 62 72 82 f t 0 p2 22 92 -
select told.name(u.request_id::text), extract(epoch from arrived_at), user_id, told.name(team_id::text), told.name(key_id::text), client_request_id, endpoint, model, answered_by, provider, stream, ending, status, input_tokens, cached_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, estimated, clamped, cost, told.name(price_id::text), markup_bps, latency_ms, first_byte_ms, request, response, truncated from tollgate.audit_events u where organization_id = told.org() order by 1;
--> a 1700000000.123000 ann red k1 c1 e1 m1 a1 u1 t cut 201 31 41 51 61 71 81 t f 17 p1 21 91 101 q1 r1 t
select status, told.name(price_id::text) from tollgate.credit_holds where organization_id = told.org();
--> settled p1

## Of usage and record each is there once, however often a call is finished
select told.organization(100);
select * from tollgate.finish(told.org(), jsonb_build_object('organization_id', told.org())::text, told.ids_of('{a}'), '{1700000000123}', '{ann}', '{null}', '{null}', '{null}', '{5}', '{null}', '{null}', '{false}', '{null}', '{e1}', '{m1}', '{null}', '{null}', '{true}', '{complete}', '{200}', '{1}', '{1}', '{1}', '{1}', '{1}', '{1}', '{false}', '{false}', '{1}', '{null}', '{true}', '{q1}', '{r1}', '{false}');
--> 0 0 f
select * from tollgate.finish(told.org(), jsonb_build_object('organization_id', told.org())::text, told.ids_of('{a}'), '{1700000000123}', '{ann}', '{null}', '{null}', '{null}', '{5}', '{null}', '{null}', '{false}', '{null}', '{e1}', '{m1}', '{null}', '{null}', '{true}', '{complete}', '{200}', '{2}', '{1}', '{1}', '{1}', '{1}', '{1}', '{false}', '{false}', '{1}', '{null}', '{true}', '{q1}', '{r1}', '{false}');
--> 0 0 t
select input_tokens, cost, price_id, markup_bps from tollgate.usage u where organization_id = told.org();
--> 1 0 - 0
select input_tokens, cost, price_id, markup_bps from tollgate.audit_events u where organization_id = told.org();
--> 1 0 - 0

## A lost hold counts in the day and month in which its call arrived, where the organization is
select told.organization(100, 'Pacific/Kiritimati');
select told.name(request_id::text), day, month, status from tollgate.credit_holds where organization_id = told.org();
select charged, debt from tollgate.finish(told.org(), jsonb_build_object('organization_id', told.org())::text, told.ids_of('{a}'), '{1706695200000}', '{ann}', '{null}', '{null}', '{2}', '{5}', '{null}', '{null}', '{false}', '{null}', '{e1}', '{m1}', '{null}', '{null}', '{true}', '{complete}', '{200}', '{1}', '{1}', '{1}', '{1}', '{1}', '{1}', '{false}', '{false}', '{1}', '{null}', '{false}', '{q1}', '{r1}', '{false}');
--> 2 0
select charged, debt from tollgate.finish(told.org(), jsonb_build_object('organization_id', told.org())::text, told.ids_of('{b}'), '{1706695199999}', '{ann}', '{null}', '{null}', '{2}', '{5}', '{null}', '{null}', '{false}', '{null}', '{e1}', '{m1}', '{null}', '{null}', '{true}', '{complete}', '{200}', '{1}', '{1}', '{1}', '{1}', '{1}', '{1}', '{false}', '{false}', '{1}', '{null}', '{false}', '{q1}', '{r1}', '{false}');
--> 2 0
select told.name(request_id::text), day, month, status from tollgate.credit_holds where organization_id = told.org() order by 1;
--> a 2024-02-01 2024-02-01 settled
--> b 2024-01-31 2024-01-01 settled

## One nano-dollar is a movement, held or owed
select told.organization(10);
select told.hold('a', 1, 0);
--> granted 9
select told.release('a');
--> 0 0
select told.hold('b', 0, 0);
--> granted 10
select told.finish('b', 1, 0);
--> 1 0
select told.finish('c', 1, 0);
--> 1 0
select * from told.movements;
--> 1 grant - 10 0 0 after 10 0 0 -
--> 2 hold a 0 1 0 after 10 1 0 -
--> 3 release a 0 -1 0 after 10 0 0 -
--> 4 settle b -1 0 0 after 9 0 0 -
--> 5 late_settle c -1 0 0 after 8 0 0 -

## What a call used in the end is what counts, also where a heartbeat had seen more
select told.organization(100);
select told.budget('organization', '', 'day', 100, 100);
--> -
select told.hold('a', 10, 9);
--> granted 90
select told.renew('{a}', '{7}', '{6}');
--> a
select told.finish('a', 5, 4);
--> 5 0
select * from told.holds;
--> a settled 10 9 used 7 6 ended 5 0 5 4 ann - - 1 0 0 20
select * from told.windows;
--> organization  day 4 0 credits 5 0 0
select told.hold('b', 10, 9);
--> granted 85
select told.renew('{b}', '{7}', '{6}');
--> b
select told.give_back('{b}');
--> 1
select told.finish('b', 5, 4);
--> 7 0
select * from told.windows;
--> organization  day 10 0 credits 12 0 0
select told.broken();

## What is owed counts in the windows like what is charged
select told.organization(10);
select told.budget('organization', '', 'day', 100, 100);
--> -
select told.hold('a', 10, 1);
--> granted 0
select told.finish('a', 14, 1);
--> 10 4
select * from told.windows;
--> organization  day 1 0 credits 14 0 0
select told.broken();

## A finish without a settlement is told nothing, whatever its hold came to
select told.organization(100);
select told.hold('a', 10, 1);
--> granted 90
select told.renew('{a}', '{4}', '{1}');
--> a
select told.give_back('{a}');
--> 1
select told.finish('a', null, 1);
--> 0 0

## A release may have used tokens, and never credits
select told.organization(100);
select told.hold('a', 10, 5);
--> granted 90
select told.finishes('{a}', '{1}', '{0}', '{true}');
--> ERROR 22023
select told.finishes('{a}', '{0}', '{3}', '{true}');
--> 0 0
select * from told.holds;
--> a released 10 5 used 0 0 ended 0 0 10 3 ann - - 0 0 0 5

-- Adds the prices that are not here yet, with their ids, because usage rows name prices by id. Returns how many.
-- $1 prices, $2 their tiers
with
added as (
  insert into tollgate.prices select * from jsonb_populate_recordset(null::tollgate.prices, $1::text::jsonb)
    on conflict (price_id) do nothing returning price_id
),
tiers as (
  insert into tollgate.price_tiers select t.* from jsonb_populate_recordset(null::tollgate.price_tiers, $2::text::jsonb) t
    where t.price_id in (select price_id from added)
)
select count(*) from added

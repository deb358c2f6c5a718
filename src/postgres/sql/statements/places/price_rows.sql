-- All prices and their tiers, as they are. No parameters.
select coalesce((select jsonb_agg(to_jsonb(p)) from tollgate.prices p), '[]')::text,
       coalesce((select jsonb_agg(to_jsonb(t)) from tollgate.price_tiers t), '[]')::text

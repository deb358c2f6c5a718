-- The ends of a window, and another moment, in microseconds since the epoch. Days are those of the organization's time
-- zone.
-- $1 organization, $2 from, $3 until, $4 another moment; as text, null is now
select o.name, o.time_zone,
       (extract(epoch from tollgate.moment($2, o.time_zone)) * 1000000)::bigint,
       (extract(epoch from tollgate.moment($3, o.time_zone)) * 1000000)::bigint,
       (extract(epoch from tollgate.moment($4, o.time_zone)) * 1000000)::bigint
  from tollgate.organizations o where o.organization_id = $1

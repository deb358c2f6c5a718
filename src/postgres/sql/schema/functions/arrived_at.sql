-- The time when a call arrived, from its id. The usage of the call is stored under that time.
create or replace function tollgate.arrived_at(p_request_id uuid) returns timestamptz language sql immutable parallel safe
  return timestamptz 'epoch' + case when substr(p_request_id::text, 15, 1) = '7'
    then ('x' || replace(left(p_request_id::text, 13), '-', ''))::bit(48)::bigint else 0 end * interval '1 millisecond';

-- A moment as people write it. A day begins at midnight of this time zone (where the clocks skip midnight, at the first
-- moment of the day). A longer text names its own zone. Null is now.
create or replace function tollgate.moment(p_text text, p_time_zone text) returns timestamptz language sql stable parallel safe
  return case
    when p_text is null then statement_timestamp()
    when length(p_text) = 10 then p_text::date::timestamp at time zone p_time_zone
    else p_text::timestamptz end;

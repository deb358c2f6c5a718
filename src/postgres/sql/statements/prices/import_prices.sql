-- Adds a new version of each price that differs from the one in force, and counts them. See the function.
-- $1 an array of prices as JSON, each with its tiers, $2 the beginning as text, or null for now
select tollgate.import_prices($1, $2::text::timestamptz)

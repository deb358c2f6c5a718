-- The tables that move with an organization. No parameters.
select name, columns, key_columns, one_key, append_only, points_at from tollgate.movable()

-- From now on this session hears of changes of policies and switches.
listen tollgate_policy

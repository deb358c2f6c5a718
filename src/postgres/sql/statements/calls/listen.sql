-- Makes this session listen for changes of policies and switches.
listen tollgate_policy

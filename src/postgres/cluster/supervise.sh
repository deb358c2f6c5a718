# Runs a Postgres server until it ends. If our standard input ends, the server is stopped.
# The standard input is a pipe, whose writing end only the process that started us has. So the server
# cannot outlive that process, even if it is killed. A line on the pipe names a signal for the server.
# $1: the folder of the socket. $2: a folder to delete at the end, or nothing. $3...: the server.
sockets=$1 disposable=$2
shift 2
exec 3<&0 </dev/null
"$@" 3<&- &
server=$!
(
    while read -r signal; do kill -s "$signal" "$server"; done
    : >"$sockets/ended"
    kill -s INT "$server"
    # A fast stop ends with a checkpoint. If the disk is too slow for that, stop without a checkpoint.
    patience=60
    while [ "$patience" -gt 0 ]; do sleep 1; patience=$((patience - 1)); done
    kill -s QUIT "$server"
) <&3 3<&- 2>/dev/null &
watcher=$!
exec 3<&-
wait "$server"
status=$?
kill "$watcher" 2>/dev/null
# A server that ended by itself, or by a signal from the pipe, may be started again: its folders stay.
if [ -e "$sockets/ended" ]; then
    rm -f "$sockets/ended" "$sockets"/.s.PGSQL.*
    if [ -n "$disposable" ]; then rm -rf "$disposable"; else rmdir "$sockets"; fi
fi
exit "$status"

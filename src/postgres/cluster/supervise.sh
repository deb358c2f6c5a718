# Runs a Postgres server until it ends, or until our standard input ends: then it is told to stop.
# The writing end of that pipe is held by the process that started us, so that the server cannot
# outlive it, however it ends. A line on the pipe is the name of a signal for the server.
# $1: the folder of the socket. $2: a folder that goes with the server, or nothing. $3...: the server.
sockets=$1 disposable=$2
shift 2
exec 3<&0 </dev/null
"$@" 3<&- &
server=$!
(
    while read -r signal; do kill -s "$signal" "$server"; done
    : >"$sockets/ended"
    kill -s INT "$server"
    # A fast stop ends with a checkpoint. Where the disk does not let it end, do without.
    patience=60
    while [ "$patience" -gt 0 ]; do sleep 1; patience=$((patience - 1)); done
    kill -s QUIT "$server"
) <&3 3<&- 2>/dev/null &
watcher=$!
exec 3<&-
wait "$server"
status=$?
kill "$watcher" 2>/dev/null
# A server that ended by itself, or by a line on the pipe, may be started again: its folders stay.
if [ -e "$sockets/ended" ]; then
    rm -f "$sockets/ended" "$sockets"/.s.PGSQL.*
    if [ -n "$disposable" ]; then rm -rf "$disposable"; else rmdir "$sockets"; fi
fi
exit "$status"

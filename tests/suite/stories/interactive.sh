# Watches that are read from standard input, and commands that events run.
run put w/1 one
run put w/2 two
interact() {
    mkfifo "$1.in"
    # Before it is waited for: the background makes its files whenever it gets to it.
    : >"$1.out"
    "$ETCDCTL" "${@:2}" <"$1.in" >"$1.out" 2>"$1.err" &
    printf '%d' $! >"$1.pid"
    exec 3>"$1.in"
}
interact lines watch -i
printf 'watch w/1 --rev 2\n' >&3
await lines one
printf '\nfrobnicate\nwatch\n' >&3
printf 'watch "w/2" --prev-kv --rev 2 -- sh -c %s\n' "'echo ran \$ETCD_WATCH_EVENT_TYPE \$ETCD_WATCH_KEY'" >&3
await lines 'ran "PUT"'
run put w/2 again
await lines 'ran "PUT"' 2
printf 'progress\n' >&3
await lines 'progress notify' 2
exec 3>&-
ended lines >lines.all
sed 's/notify: .*/notify/' lines.all
run watch
run watch a b --prefix
run watch w/1 --
ETCDCTL_WATCH_KEY=w/1 run watch w/2
ETCDCTL_WATCH_RANGE_END=w/3 run watch
export ETCDCTL_WATCH_KEY=w/ ETCDCTL_WATCH_RANGE_END=w0
begin named watch --rev 2
await named again
finish named
unset ETCDCTL_WATCH_KEY ETCDCTL_WATCH_RANGE_END
begin fails watch w/1 --rev 2 -- sh -c 'exit 3'
ended fails
run txn -i </dev/null

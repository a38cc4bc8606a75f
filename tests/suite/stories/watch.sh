# Watching.
run put w/1 before
begin one watch w/1 --rev 2
begin prefix watch w/ --prefix --rev 2
begin prev watch w/ --prefix --prev-kv --rev 2
begin range watch w/1 w/3 --rev 2 -w json
begin fields watch w/ --prefix --rev 2 -w fields --prev-kv
for each in one prefix prev fields; do await "$each" before; done
await range YmVmb3Jl
run put w/1 a
run put w/2 b
run put w/3 c
run del w/2
run txn <<'T'

put w/1 in-txn
put w/4 in-txn
del w/3


T
run put w/1 last
await one last
await prefix last
await prev last
await range '"version":4'
await fields '"last"'
finish one
finish prefix
finish prev
finish range
finish fields
begin exec watch w/ --prefix --rev 3 -- sh -c 'echo "ran $ETCD_WATCH_REVISION" "$ETCD_WATCH_EVENT_TYPE" "$ETCD_WATCH_KEY" "$ETCD_WATCH_VALUE"'
await exec 'ran .*last'
grep '^ran' exec.out | sed 's/^ran [0-9]*/ran/'
finish exec >/dev/null
run compact 5
begin late watch w/ --prefix --rev 3
ended late
begin just watch w/ --prefix --rev 6
await just last
finish just
begin future watch w/ --prefix --rev 12
run put w/1 nine
run put w/1 ten
run put w/1 eleven
run put w/1 twelve
await future twelve
finish future
begin empty watch w/3 w/1
# etcdctl 3.4 does not have the flag.
if "$ETCDCTL" watch --help 2>&1 | grep -c progress-notify >/dev/null; then
    begin progress watch w/1 --progress-notify --rev 6
    await progress twelve
    finish progress
fi
ended empty

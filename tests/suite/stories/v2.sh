# etcdctl's commands for the v2 API, against an etcd that serves it.
# reference: 3.4.23
# reference-server: --enable-v2=true
# clients: 3.4.23
export ETCDCTL_API=2 ETCDCTL_ENDPOINTS="http://$ETCDCTL_ENDPOINTS"
run ls
run set a 1
run set a 2
run get a
run -o extended get a
run -o json get a
run get nope
run set deep/er/key value
run mk a 3
run mk b 3
run mk --in-order queue first
run mk --in-order queue second
run mkdir d
run mkdir d
run setdir d
run setdir e --ttl 5000
run updatedir e --ttl 6000
run updatedir nope --ttl 1
run update a 4
run update nope 4
run set a 5 --swap-with-value wrong
run set a 5 --swap-with-value 4
run set a 6 --swap-with-index 1
run set c x --ttl 5000
run get c --sort
run get d
run get a --quorum
run ls --sort
run ls --sort --recursive -p
run ls --sort --quorum deep
run ls nope
run rm a --with-value wrong
run rm a --with-value 5
run rm a
run rm d
run rmdir d
run rmdir deep
run rm deep --recursive
run rm queue --dir
run rm -r queue
run set _hidden x
run ls --sort
run get _hidden
run watch --after-index 1 b
run watch -r --after-index 1 /
begin one watch w/1
begin forever watch --forever --recursive w
begin exec exec-watch --recursive w -- sh -c 'echo "$ETCD_WATCH_ACTION $ETCD_WATCH_KEY $ETCD_WATCH_VALUE $ETCD_WATCH_MODIFIED_INDEX"'
# A watcher that has not begun yet sees a later round.
rounds=0
until grep -q . one.out && grep -q 'two' forever.out && grep -q two exec.out; do
    run set w/1 one >/dev/null
    run set w/2 two >/dev/null
    sleep 0.1
    ((++rounds < 600)) || break
done
ended one
for each in forever exec; do
    { kill -KILL "$(cat $each.pid)" && wait "$(cat $each.pid)"; } 2>/dev/null || true
    say "$each: $(grep -c . $each.out | sed 's/^[1-9][0-9]*$/some/')"
done
grep -m1 -o 'two' forever.out
grep -m1 -o 'set /w/2 two' exec.out
run member list
run cluster-health
peers=$("$ETCDCTL" member list | sed 's/.*peerURLs=\([^ ]*\).*/\1/')
me=$("$ETCDCTL" member list | cut -d: -f1)
run member update "$me" "$peers"
run member update 1234 "$peers"
run member update
run member remove 1234
run member remove xyz
run member add again "$peers"
run member add bad nonsense
run user list
run user get root
run user remove root
run role list
run role get root
run role get nope
run role remove nope
run auth enable
run auth disable
run import

# server: --quota-backend-bytes=53248
# A full store: what is refused, what still works, and how to recover.
run put small 1
value=$(head -c 4096 /dev/zero | tr '\0' 'v')
full=
for ((tries = 0; tries < 200; tries++)); do
    if ! "$ETCDCTL" put overwritten "$value" >.out 2>.err; then
        full=yes
        break
    fi
done
say "full: $full"
sed 's/^/! /' .err
run alarm list
run put small 2
run put small ''
run get small
# etcdctl 3.4 prints no count.
run get overwritten --count-only -w fields | grep Count || true
run lease grant 100
run txn <<'T'

put small 3


T
run txn <<'T'

get small


T
run endpoint health
run endpoint health -w json
run endpoint status -w json | grep -o '"errors":.*NOSPACE' | sed -E 's/[0-9]{12,}/N/' | tr -s ' '
run del small
run get small
revision=$("$ETCDCTL" get overwritten -w json | grep -oE '"revision":[0-9]+' | head -n 1 | cut -d: -f2)
"$ETCDCTL" compact "$revision" --physical | sed 's/[0-9]*$/N/'
run defrag
run put small 4
run alarm disarm
run alarm list
run put small 5
run get small
run endpoint health
for ((tries = 0; tries < 3; tries++)); do run put overwritten 'short again'; done

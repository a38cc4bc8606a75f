# server: --bcrypt-cost=4
# Authentication: turned on and off, and who may do what meanwhile.
run auth status
run auth status -w json
run auth status -w fields
run auth status -w table
run auth status -w nonsense
run auth enable
run auth enable now
run auth disable now
run auth status now
run user add alice:wonder
run role add half
run role grant-permission half readwrite a m
run user grant-role alice half
run put a before
run get a --user alice:wonder
run get a --user nobody:wonder
run user add root:secret
run auth enable
run auth status
run get a
run put a x
run auth enable
run auth disable
run user list
run get a --user alice:wrong
run get a --user nobody:x
run get a --user alice:wonder
run get a --user alice --password wonder
run get a --user alice:wonder --password wrong
run get a --user alice:
run get a --password wonder
printf 'wonder\n' | run get a --user alice
printf 'wrong\n' | run get a --user alice
run get a --user alice
run get z --user alice:wonder
run get a z --user alice:wonder
run put a 1 --user alice:wonder --prev-kv
run put z 1 --user alice:wonder
run del z --user alice:wonder
run del a c --range --user alice:wonder
run put z 1 --user root:secret
run get '' --prefix --user root:secret
run txn --user alice:wonder <<'T'
ver("a") = "0"

put a 2

get a

T
run txn --user alice:wonder <<'T'

put z 2


T
run lease list --user alice:wonder
run lease grant 100
run lease grant 100 --user alice:wonder
run compaction 2 --user alice:wonder
run member list
run member list --user alice:wonder | cut -d, -f2
run alarm list --user alice:wonder
run alarm list --user root:secret
run endpoint health
run endpoint health --user alice:wonder
run endpoint health --user alice:wrong
run endpoint status --user alice:wrong
run endpoint status --user root:secret | cut -d, -f1,2
run endpoint hashkv --user alice:wonder
run defrag --user alice:wonder | sed 's,took [^ ]*,took TIME,'
run move-leader 1234 --user alice:wonder
run snapshot save backup.db --user alice:wonder
run snapshot save backup.db --user root:secret
run user get alice --user alice:wonder
run user get root --user alice:wonder
run user list --user alice:wonder
run role get half --user alice:wonder
run role list --user alice:wonder
run auth status --user alice:wonder
run auth disable --user alice:wonder
run user delete root --user root:secret
run role delete root --user root:secret
run user revoke-role root root --user root:secret
run get a --auth-jwt-token nonsense
run get a --auth-jwt-token nonsense --user alice:wonder
export ETCDCTL_USER=alice ETCDCTL_PASSWORD=wonder
run get a
run get z
unset ETCDCTL_PASSWORD
export ETCDCTL_USER=alice:wonder
run get a
unset ETCDCTL_USER
# A token that ended while the command waited for its input: another one is fetched, if the password still fits.
late() {
    mkfifo "$1"
    : >"$1.out"
    "$ETCDCTL" txn -i --user alice:wonder <"$1" >"$1.out" 2>"$1.err" &
    printf '%d' $! >"$1.pid"
}
late fits
exec 3>fits
await fits compares
printf 'other\nother\n' | run user passwd alice --user root:secret
printf 'wonder\nwonder\n' | run user passwd alice --user root:secret
printf '\nput a late\n\n\n' >&3
exec 3>&-
ended fits
late outdated
exec 3>outdated
await outdated compares
printf 'other\nother\n' | run user passwd alice --user root:secret
printf '\nput a late\n\n\n' >&3
exec 3>&-
ended outdated
run auth disable --user root:secret
run auth status
run get a
run get a --user alice:wrong
run auth disable

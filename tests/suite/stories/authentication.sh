# What users may do while authentication is on: with their own rights, as root, with wrong credentials, with none.
# server: --bcrypt-cost=4
root() { run --user root:secret "$@"; }
ann() { run --user ann:pw "$@"; }

run user list
run auth enable
run user add root:secret
run user add root:secret
run user grant-role root root
run user grant-role root root
run user add ann:pw
run user add cert --no-password
run user add :pw
run role add reader
run role add reader
run role add unused
run role grant-permission reader read foo
run role grant-permission reader readwrite dir/ --prefix
run role grant-permission reader write a z
run role grant-permission reader read from --from-key
run role grant-permission reader write foo
run role grant-permission none read foo
run role grant-permission reader read z a
run role get reader
run role get root
run role get none
run role list
run user grant-role ann reader
run user grant-role ann none
run user grant-role nobody reader
run user revoke-role ann unused
run user get ann
run user get ann --detail
run user get nobody
run user list
run put foo 0
run auth enable
run auth enable

run user list
run get foo
run put foo 1
root auth status
root get foo
run --user root:wrong get foo
run --user nobody:secret get foo
run --user cert:secret get foo
run --user ann: get foo

ann get foo
ann put foo 1
ann put b 1
ann get b
ann put b 2 --prev-kv
ann put dir/x 1 --prev-kv
ann get dir/ --prefix
ann get dir --prefix
ann get from --from-key
ann get from.. to
ann del dir/ --prefix --prev-kv
ann del dir --prefix
ann put zz 1
ann user get ann
ann user get root
ann role get reader
ann role get unused
ann user list
ann role list
ann user add other:pw
ann role add other
ann member list | sed 's/^[0-9a-f]*, //'
ann member add other --peer-urls=http://127.0.0.1:9
ann compact 1
ann alarm list
ann alarm disarm
ann defrag | sed 's,took [^ ]*,took TIME,'
ann snapshot save copy
ann auth disable
ann lease grant 100 | sed 's/lease [0-9a-f]*/lease ID/'
lease() {
    "$ETCDCTL" --user root:secret lease grant "$1" >.out
    LEASE=$(awk '{print $2}' .out)
}
lease 100
root put zz 1 --lease="$LEASE"
ann put b 3 --lease="$LEASE"
ann lease timetolive "$LEASE"
ann lease timetolive "$LEASE" --keys
ann lease keep-alive --once "$LEASE"
ann lease revoke "$LEASE"
ann lease list
root lease timetolive "$LEASE" --keys
root lease revoke "$LEASE"

echo new | root user passwd ann --interactive=false
ann get foo
run --user ann:new get foo
root user passwd nobody --interactive=false <<<x
root role revoke-permission reader foo
root role revoke-permission reader foo
root role revoke-permission reader dir/ --prefix
root role revoke-permission none dir/
run --user ann:new get foo
root user revoke-role ann reader
run --user ann:new get from --from-key
root role delete reader
root role delete reader
root role delete root
root user revoke-role root root
root user delete root
root user delete ann
root user delete ann
run --user ann:new get foo
root auth disable
run get foo
root get foo
run user list

# Roles and their permissions.
run role list
run role add root
run role get root
run role add r
run role add r
run role add ''
run role add
run role add a b
run role get r
run role get r -w json
run role get r -w fields
run role get nothing
run role get
run role list
for format in json fields table nonsense; do run role list -w "$format"; done
run role grant-permission r read key
run role grant-permission r WRITE other
run role grant-permission r readwrite dir/ --prefix
run role grant-permission r read m --from-key
run role grant-permission r write a c
run role grant-permission r readwrite '' --prefix
run role get r
run role grant-permission r read ''
run role grant-permission r read '' --from-key
run role grant-permission r read $'\x01\xff' --prefix
run role get r | od -An -c | tail -n 30
run role get r -w json
run role get r -w fields
run role get r -w table
run role grant-permission r read '' --from-key --prefix
run role grant-permission r read k --from-key --prefix
run role grant-permission r read k end --prefix
run role grant-permission r read k end --from-key
run role grant-permission r read z a
run role grant-permission r look key
run role grant-permission r read
run role grant-permission r
run role grant-permission nothing read key
for format in json fields table nonsense; do
    run role grant-permission r read key -w "$format"
    run role add "new-$format" -w "$format"
    run role delete "new-$format" -w "$format"
done
run role revoke-permission r key
run role revoke-permission r key
run role revoke-permission r dir/ --prefix
run role revoke-permission r m --from-key
run role revoke-permission r a c
run role revoke-permission r '' --prefix
run role revoke-permission r ''
run role revoke-permission r other -w json
run role revoke-permission r k end --prefix
run role revoke-permission r
run role revoke-permission nothing key
run role get r
run role delete r
run role delete r
run role delete
run role list

# Transactions from a script.
run put k1 v1
run put k2 v2
run txn <<'T'
val("k1") = "v1"
ver("k2") > "0"

put k1 changed
get k2
del k2

get k1

T
run txn <<'T'
mod("k1") < "3"

put k3 yes

get k1
put k3 no

T
run get k3
run txn <<'T'
create("nothing") = "0"

put nothing something --prev-kv
get '' --prefix

get k1

T
run txn -w json <<'T'
val("k1") != "x"

put a 1
put b 2
get a b
del a --prev-kv

put c 1

T
run txn -w fields <<'T'
ver("zz") > "1"

get k1

get k1
put zz 1
del k3

T
run txn <<'T'

put d 1
put d 2


T
run txn <<'T'

get d --rev 99


T
run txn <<'T'
val("k1" = "x"

get d

T
run txn <<'T'
foo("k1") = "x"

get d

T
run txn <<'T'
val("k1") = "v"
T
run txn <<'T'

frobnicate d


T
run txn <<'T'



T
run txn -i <<'T'
val("k1") = "changed"

get k1

get k2

T

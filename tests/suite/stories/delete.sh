# Deleting.
for key in a a/1 a/2 a/3 b c d e f; do run put "$key" "v-$key"; done
run del nothing
run del a
run del a
run del a/1 --prev-kv
run del a/ --prefix --prev-kv
run del b d --range
run del e --from-key
run get '' --prefix
run put x 1
run put y 2
run del x --prev-kv -w json
run del y --prev-kv -w fields
run del ''
run del '' --prefix
run put x 1
run del '' --prefix
run del x --rev 3
run get '' --prefix -w json

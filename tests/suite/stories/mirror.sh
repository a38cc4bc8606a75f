# Copying a prefix elsewhere, and following it.
for n in 1 2 3; do run put "from/$n" "$n"; done
begin copy make-mirror --prefix from/ --dest-prefix to/ "$ETCDCTL_ENDPOINTS"
follow() {
    local tries
    for ((tries = 0; tries < 600; tries++)); do
        [[ $("$ETCDCTL" get "$1" --print-value-only) == "$2" ]] && return
        sleep 0.05
    done
    say "$1 was not copied"
}
follow to/3 3
run put from/4 four
follow to/4 four
run del from/1
run put from/5 five
follow to/5 five
run get to/ --prefix
finish copy >/dev/null

# The functions of the stories. bash -eu sources this file first.

# run ARGS...: runs etcdctl with these arguments and shows the command, its output and its status.
run() {
    local status=0
    printf '$ etcdctl'
    printf ' %q' "$@"
    printf '\n'
    "$ETCDCTL" "$@" >.out 2>.err || status=$?
    cat .out
    sed 's/^/! /' .err
    ((status == 0)) || printf '(exit %d)\n' "$status"
}

# say TEXT...: prints a line.
say() { printf '%s\n' "$*"; }

# begin NAME ARGS...: etcdctl in the background, as NAME; `finish` shows its output.
begin() {
    local name=$1
    shift
    : >"$name.out"
    "$ETCDCTL" "$@" >"$name.out" 2>"$name.err" </dev/null &
    printf '%d' $! >"$name.pid"
}

# await NAME PATTERN [COUNT]: waits until NAME has printed COUNT (1) lines with the pattern.
await() {
    local tries
    for ((tries = 0; tries < 2400; tries++)); do
        (($(grep -cE -- "$2" "$1.out") >= ${3:-1})) && return
        sleep 0.05
    done
    printf 'gave up waiting for %s to print %s; it printed\n' "$1" "$2"
    cat "$1.out" "$1.err"
    exit 1
}


# finish NAME: ends NAME with SIGTERM and shows its output.
finish() {
    local status=0
    kill -TERM "$(cat "$1.pid")" 2>/dev/null || true
    wait "$(cat "$1.pid")" || status=$?
    printf '%s printed:\n' "$1"
    cat "$1.out"
    sed 's/^/! /' "$1.err"
    printf '(ended with %d)\n' "$status"
}

# ended NAME: waits for NAME to end by itself and shows its output.
ended() {
    local status=0
    wait "$(cat "$1.pid")" || status=$?
    printf '%s printed:\n' "$1"
    cat "$1.out"
    sed 's/^/! /' "$1.err"
    printf '(ended with %d)\n' "$status"
}

# lease TTL: grants a lease; its id is in $LEASE.
lease() {
    "$ETCDCTL" lease grant "$1" >.out
    sed 's/^/granted: /' .out
    LEASE=$(awk '{print $2}' .out)
}

# until_keys PREFIX COUNT: waits until there are this many keys.
until_keys() {
    local tries
    for ((tries = 0; tries < 2400; tries++)); do
        (($("$ETCDCTL" get "$1" --prefix --keys-only | grep -c .) >= $2)) && return
        sleep 0.05
    done
    say "gave up waiting for $2 keys below $1"
    exit 1
}

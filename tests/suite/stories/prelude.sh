# The words of a story. Sourced by bash -eu before it.

# run ARGS...: etcdctl with these arguments, shown with all that comes of it.
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

# say TEXT...: a line of the story.
say() { printf '%s\n' "$*"; }

# begin NAME ARGS...: etcdctl in the background, as NAME; what it prints is shown by `finish`.
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
    for ((tries = 0; tries < 600; tries++)); do
        (($(grep -cE -- "$2" "$1.out") >= ${3:-1})) && return
        sleep 0.05
    done
    printf 'gave up waiting for %s to print %s; it printed\n' "$1" "$2"
    cat "$1.out" "$1.err"
    exit 1
}


# finish NAME: ends NAME with SIGTERM and shows what it printed.
finish() {
    local status=0
    kill -TERM "$(cat "$1.pid")" 2>/dev/null || true
    wait "$(cat "$1.pid")" || status=$?
    printf '%s printed:\n' "$1"
    cat "$1.out"
    sed 's/^/! /' "$1.err"
    printf '(ended with %d)\n' "$status"
}

# ended NAME: waits for NAME to end by itself and shows what it printed.
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

# until_keys PREFIX COUNT: waits until there are so many keys.
until_keys() {
    local tries
    for ((tries = 0; tries < 600; tries++)); do
        (($("$ETCDCTL" get "$1" --prefix --keys-only | grep -c .) >= $2)) && return
        sleep 0.05
    done
    say "gave up waiting for $2 keys below $1"
    exit 1
}

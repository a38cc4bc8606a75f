# The container image's file system, run as a container engine runs it: its own root, processes and names of users, no
# root's rights. The command lines are those of guides to etcd, with nothing but the image's name exchanged.

archive=$("$KVD_ROOT/packaging/container/rootfs" --programs "$KVD_PROGRAMS")
image=$KVD_ROOT/packaging/container/Containerfile
holds "the image is not root's" grep -qx 'USER 65532:65532' "$image"
holds "there is no entry point" test "$(grep -c '^ENTRYPOINT' "$image")" = 0
# What the engine takes from the Containerfile.
environment=$(sed -n 's/^ENV //p' "$image")
directory=$(sed -n 's/^WORKDIR //p' "$image")
health=$(sed -n 's/^ *CMD \["\(.*endpoint.*\)"\]$/\1/p' "$image" | sed 's/", "/ /g')
check "the health check" "$health" "/usr/local/bin/kvctl endpoint health"

ip=$(command -v ip) unshare=$(command -v unshare)
declare -A process=() net=()

# container NAME ADDRESS: a container's file system and network, not running.
container() {
    local n=${#net[@]}
    mkdir -p "$work/$1"
    tar --extract --file="$archive" --directory="$work/$1" --numeric-owner --same-permissions
    wire "$n" "$2"
    net[$1]=$tag-$n
}

# docker_run NAME COMMAND...: the container's first process; its output is in $work/NAME.log.
docker_run() {
    local name=$1
    shift
    # shellcheck disable=SC2086
    env -i $environment "$ip" netns exec "${net[$name]}" "$unshare" --mount --pid --ipc --uts --fork --kill-child \
        --root="$work/$name" --wd="$directory" --setgid=65532 --setuid=65532 "$@" >>"$work/$name.log" 2>&1 </dev/null &
    process[$name]=$!
}

# docker_exec NAME COMMAND...: another process in the container.
docker_exec() {
    local name=$1
    shift
    # shellcheck disable=SC2086
    env -i $environment "$ip" netns exec "${net[$name]}" "$unshare" --root="$work/$name" --wd="$directory" \
        --setgid=65532 --setuid=65532 "$@"
}

# docker_stop NAME: SIGTERM to the first process; it ends by itself.
docker_stop() {
    local inner
    inner=$(pgrep -P "${process[$1]}")
    kill -TERM "$inner"
    wait "${process[$1]}"
}

step "what is in it"
tar --list --file="$archive" | grep -v /$ | tee "$work/files"
refuse "a shell" grep -qE '/(sh|bash|busybox)$' "$work/files"
refuse "a file that grants rights" \
    grep -qE '^-..[sS]|^-.....[sS]' <<<"$(tar --list --verbose --file="$archive")"

step "the first member, as a guide starts it"
NODE01=10.91.0.1 NODE02=10.91.0.2
container node01 "$NODE01"
docker_run node01 \
  /usr/local/bin/etcd \
  --data-dir=/etcd-data --name node01 \
  --initial-advertise-peer-urls http://${NODE01}:2380 --listen-peer-urls http://0.0.0.0:2380 \
  --advertise-client-urls http://${NODE01}:2379 --listen-client-urls http://0.0.0.0:2379 \
  --initial-cluster node01=http://${NODE01}:2380
export ETCDCTL_ENDPOINTS=$NODE01:2379
until_ "it serves" client endpoint health
check "a put" "$(client put k v)" OK
# shellcheck disable=SC2086
until_ "it is healthy" docker_exec node01 $health
holds "the first process is nobody special" \
    test "$(ps -o uid= -p "$(pgrep -P "${process[node01]}")" | tr -d ' ')" = 65532
check "whose data they are" "$(stat -c '%u:%g %a' "$work/node01/etcd-data")" "65532:65532 700"

step "a second one, by etcdctl's command in the container"
docker_exec node01 etcdctl member add node02 --peer-urls=http://$NODE02:2380
container node02 "$NODE02"
docker_run node02 \
  /usr/local/bin/etcd \
  --data-dir=/etcd-data --name node02 \
  --initial-advertise-peer-urls http://${NODE02}:2380 --listen-peer-urls http://0.0.0.0:2380 \
  --advertise-client-urls http://${NODE02}:2379 --listen-client-urls http://0.0.0.0:2379 \
  --initial-cluster node01=http://${NODE01}:2380,node02=http://${NODE02}:2380 \
  --initial-cluster-state existing
both() { docker_exec node01 etcdctl endpoint health --cluster; }
until_ "both serve" both
docker_exec node01 etcdctl endpoint status --cluster -w table
check "read at the second" "$(client --endpoints=$NODE02:2379 get k --print-value-only)" v
docker_stop node02
docker_stop node01

step "a volume of any mode, and a name that is resolved"
container node03 10.91.0.3
echo '10.91.0.3 node03.test' >"$work/node03/etc/hosts"
for mode in 700 755 777 1777 2770; do
    chmod "$mode" "$work/node03/var/lib/kv"
    docker_run node03 /usr/local/bin/kvd --advertise-client-urls=http://node03.test:2379 \
        --listen-client-urls=http://0.0.0.0:2379
    # shellcheck disable=SC2086
    until_ "with mode $mode it is healthy" docker_exec node03 $health
    check "a put" "$(docker_exec node03 kvctl put mode $mode)" OK
    docker_stop node03
done
chown 0:0 "$work/node03/var/lib/kv"
chmod 777 "$work/node03/var/lib/kv"
docker_run node03 /usr/local/bin/kvd
# shellcheck disable=SC2086
until_ "with a directory of root's that all may write to" docker_exec node03 $health
check "what is read" "$(docker_exec node03 kvctl get mode --print-value-only)" 2770
docker_stop node03
chmod 755 "$work/node03/var/lib/kv"
chown -R 0:0 "$work/node03/var/lib/kv"
: >"$work/node03.log"
docker_run node03 /usr/local/bin/kvd
refuse "one that it may not write to" wait "${process[node03]}"
cat "$work/node03.log"
holds "the error names it" grep -q '/var/lib/kv.*Permission denied' "$work/node03.log"

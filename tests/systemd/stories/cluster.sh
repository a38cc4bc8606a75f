# Three machines become a cluster from three files, one after another; a fourth joins by its [join] table alone.

# configure NAME N REST: the file of member kvN at 10.91.0.N.
configure() {
    put_file "$1" /etc/kv/cluster.toml <<TOML
name = "$1"
listen-client-urls = ["http://10.91.0.$2:2379", "http://127.0.0.1:2379"]
advertise-client-urls = ["http://10.91.0.$2:2379"]
listen-peer-urls = ["http://10.91.0.$2:2380"]
initial-advertise-peer-urls = ["http://10.91.0.$2:2380"]
initial-cluster-token = "story"
$3
TOML
    # The secret comes as a systemd credential: no option names it.
    in_ "$1" install -d -m 700 /etc/credstore
    printf 'a secret of the story, long enough' | put_file "$1" /etc/credstore/kvd.cluster-secret 600
}

three='[initial-cluster]
kv1 = "http://10.91.0.1:2380"
kv2 = "http://10.91.0.2:2380"
kv3 = "http://10.91.0.3:2380"'

for n in 1 2 3; do
    machine "kv$n" "10.91.0.$n"
    bring "kv$n" "$KVD_DEB"
    in_ "kv$n" apt-get install -qy --no-install-recommends "/root/$(basename "$KVD_DEB")"
    configure "kv$n" "$n" "$three"
done
export ETCDCTL_ENDPOINTS=10.91.0.1:2379,10.91.0.2:2379,10.91.0.3:2379

step "started one after another, none waits for the next"
in_ kv1 systemctl start kvd
check "kv1 is" "$(property kv1 kvd ActiveState)" active
alone() { [[ $(property kv1 kvd StatusText) == "waiting for"* ]]; }
until_ "kv1 says that it waits" alone
property kv1 kvd StatusText
in_ kv2 systemctl start kvd
until_ "two of three serve" client --endpoints=10.91.0.1:2379 endpoint health
in_ kv3 systemctl start kvd
until_ "all serve" client endpoint health
check "members" "$(client member list | cut -d, -f2 | sort | uniq -c | xargs)" "3 started"
check "a put" "$(client put k v)" OK
for n in 1 2 3; do
    check "read at kv$n" "$(client --endpoints="10.91.0.$n:2379" get k --print-value-only)" v
    in_ "kv$n" systemctl start kvd-wait-ready
done

step "a fourth joins by its table alone"
machine kv4 10.91.0.4
bring kv4 "$KVD_DEB"
in_ kv4 apt-get install -qy --no-install-recommends "/root/$(basename "$KVD_DEB")"
configure kv4 4 'initial-cluster-state = "existing"
[join]
peers = ["10.91.0.1:2380", "10.91.0.2:2380"]'
in_ kv4 systemctl start kvd
voters() { [[ $(client member list | grep -c 'started.*false$') == "$1" ]]; }
until_ "four vote" voters 4
check "read at kv4" "$(client --endpoints=10.91.0.4:2379 get k --print-value-only)" v

step "the leader stops, the others go on"
# leads N: whether kvN is the leader.
leads() { client --endpoints="10.91.0.$1:2379" endpoint status | cut -d, -f9 | grep true >/dev/null; }
leader_number() {
    local n
    for n in 1 2 3 4; do
        if leads "$n"; then
            echo "$n"
            return
        fi
    done
    return 1
}
until_ "there is a leader" leader_number
old=$(leader_number)
others=$(for n in 1 2 3 4; do [[ $n == "$old" ]] || printf '10.91.0.%s:2379,' "$n"; done)
others=${others%,}
in_ "kv$old" systemctl stop kvd
check "a put" "$(client --endpoints="$others" put after "$old")" OK
next=$(leader_number)
for n in 1 2 3 4; do
    [[ $n != "$old" && $n != "$next" ]] || continue
    holds "kv$n names the new leader" \
        grep -Eq "elected leader: leader=[0-9a-f]+ leader_name=kv$next term=" <<<"$(journal "kv$n")"
done
in_ "kv$old" systemctl start kvd
until_ "it serves again" client --endpoints="10.91.0.$old:2379" endpoint health
check "it has caught up" "$(client --endpoints="10.91.0.$old:2379" get after --print-value-only)" "$old"

step "restart of each under load, no client is refused"
load() {
    local written=0
    while [[ -e $work/go ]]; do
        client --endpoints="$1" put "load/$written" x >/dev/null || { echo "put $written failed" >"$work/load"; return; }
        ((written += 1))
    done
    echo "written $written" >"$work/load"
}
touch "$work/go"
load 10.91.0.4:2379 &
loading=$!
for n in 1 2 3 4; do
    in_ "kv$n" systemctl restart kvd
    until_ "kv$n serves" client --endpoints="10.91.0.$n:2379" endpoint health
done
rm "$work/go"
wait "$loading"
cat "$work/load"
read -r word written <"$work/load"
check "the load" "$word" written
check "what is stored" "$(client get load/ --prefix --count-only -w fields | grep -c "\"Count\" : $written")" 1

step "reload of a member, good and bad"
in_ kv2 sh -c 'echo "log-level = \"debug\"" > /etc/kv/cluster.toml.d/level.toml && systemd-tmpfiles --create kvd.conf'
in_ kv2 systemctl reload kvd
in_ kv2 sh -c 'echo "log-level = \"loud\"" > /etc/kv/cluster.toml.d/level.toml'
refuse "reload" in_ kv2 systemctl reload kvd
in_ kv2 rm /etc/kv/cluster.toml.d/level.toml

step "a member is removed: its service ends and stays ended"
id=$(client member list | awk -F', ' '$3 == "kv4" {print $1}')
client --endpoints=10.91.0.1:2379,10.91.0.2:2379,10.91.0.3:2379 member remove "$id"
ended() { [[ $(property kv4 kvd ActiveState) != active ]]; }
until_ "kv4 has ended" ended
check "restarts" "$(property kv4 kvd NRestarts)" 0
in_ kv4 systemctl reset-failed kvd || true
refuse "start" in_ kv4 sh -c 'systemctl start kvd && sleep 1 && systemctl is-active kvd'
check "three are left" "$(client --endpoints=10.91.0.1:2379 member list | wc -l)" 3

# No client is refused while the service restarts, and systemd can open the sockets itself.

machine one 10.91.0.1
bring one "$KVD_DEB"
in_ one apt-get install -qy --no-install-recommends "/root/$(basename "$KVD_DEB")"
put_file one /etc/kv/cluster.toml <<'TOML'
name = "one"
listen-client-urls = ["http://10.91.0.1:2379"]
advertise-client-urls = ["http://10.91.0.1:2379"]
listen-peer-urls = ["http://10.91.0.1:2380"]
initial-advertise-peer-urls = ["http://10.91.0.1:2380"]
peer-auth = "none"
TOML
in_ one systemctl start kvd
export ETCDCTL_ENDPOINTS=10.91.0.1:2379
check "a put" "$(client put k v)" OK

step "restarts under connections"
# Plain connections, one after another for as long as the file is there: each is accepted or waits, none is refused.
connections() {
    local refused=0 opened=0
    while [[ -e $work/go ]]; do
        if ip netns exec "$lan" timeout 20 bash -c 'exec 3<>/dev/tcp/10.91.0.1/2379' 2>/dev/null; then
            ((opened += 1))
        else
            ((refused += 1))
        fi
        sleep 0.01
    done
    printf '%d %d\n' "$refused" "$opened" >"$work/connections"
}
touch "$work/go"
connections &
knocking=$!
for round in 1 2 3; do
    in_ one systemctl restart kvd
    check "a read after restart $round" "$(client get k --print-value-only)" v
done
rm "$work/go"
wait "$knocking"
read -r refused opened <"$work/connections"
check "connections that were refused" "$refused" 0
# How many there are depends on how long a restart takes; one for each is enough.
holds "there were connections ($opened)" test "$opened" -gt 3
journal one >"$work/journal"
holds "the socket was taken over" grep -q 'taking over a listening socket' "$work/journal"

step "restarts with other addresses on the same port"
# listen ADDRESS: the socket that systemd has kept does not fit any more, and holds the port.
listen() {
    in_ one sed -i "s|^listen-client-urls.*|listen-client-urls = [\"http://$1:2379\"]|" /etc/kv/cluster.toml
    in_ one systemctl restart kvd
    check "a read through $1" "$(client get k --print-value-only)" v
    check "it listens on" "$(in_ one ss -Hltn 'sport = :2379' | awk '{print $4}')" "$1:2379"
    check "it was started" "$(property one kvd NRestarts)" 0
}
listen 0.0.0.0
listen 10.91.0.1
listen 0.0.0.0
listen 10.91.0.1

step "stopped, nobody listens"
in_ one systemctl stop kvd
listening() { in_ one ss -Hltn 'sport = :2379'; }
check "listeners" "$(listening)" ""

step "a socket unit"
in_ one install -d /etc/systemd/system/kvd.socket.d
put_file one /etc/systemd/system/kvd.socket.d/addresses.conf <<'UNIT'
[Socket]
ListenStream=
ListenDatagram=
ListenStream=10.91.0.1:2379
ListenDatagram=10.91.0.1:2380
UNIT
in_ one systemctl daemon-reload
in_ one systemctl start kvd.socket
check "kvd is" "$(property one kvd ActiveState)" inactive
check "the first connection starts kvd" "$(client get k --print-value-only)" v
check "kvd is" "$(property one kvd ActiveState)" active
journal one >"$work/journal"
holds "the UDP socket is taken, too" grep -q 'taking over a UDP socket' "$work/journal"

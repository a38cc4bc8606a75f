# systemctl reload: valid files, invalid ones, and options that need a restart; TLS files that are replaced.

machine one 10.91.0.1
bring one "$KVD_DEB"
in_ one apt-get install -qy --no-install-recommends "/root/$(basename "$KVD_DEB")"

# authority NAME: a CA that has issued the server's certificate; all on the machine.
authority() {
    in_ one sh -ec "
        cd /etc/kv/tls
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj '/CN=$1' \
            -keyout $1-key.pem -out $1.pem
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=server -keyout new-key.pem -out server.csr
        printf 'subjectAltName=IP:10.91.0.1,IP:127.0.0.1' > san
        openssl x509 -req -in server.csr -CA $1.pem -CAkey $1-key.pem -CAcreateserial -days 30 -extfile san -out new.pem
        mv new.pem server.pem && mv new-key.pem server-key.pem
        chgrp kv server.pem server-key.pem && chmod 640 server.pem server-key.pem" 2>/dev/null
    in_ one cat "/etc/kv/tls/$1.pem" >"$work/$1.pem"
}

configure() {
    put_file one /etc/kv/cluster.toml <<TOML
name = "one"
listen-client-urls = ["https://10.91.0.1:2379"]
advertise-client-urls = ["https://10.91.0.1:2379"]
listen-peer-urls = ["http://127.0.0.1:2380"]
initial-advertise-peer-urls = ["http://127.0.0.1:2380"]
$1
[client-transport-security]
cert-file = "/etc/kv/tls/server.pem"
key-file = "/etc/kv/tls/server-key.pem"
TOML
}

in_ one install -d -g kv -m 750 /etc/kv/tls
authority first
configure ""
in_ one systemctl start kvd
export ETCDCTL_ENDPOINTS=https://10.91.0.1:2379
check "a put over TLS" "$(client --cacert="$work/first.pem" put k v)" OK
holds "kvctl finds certificate and name by itself" in_ one kvctl endpoint health
pid=$(property one kvd MainPID)

step "a good file"
configure 'log-level = "debug"
quota-backend-bytes = 100000000
heartbeat-interval = 150'
in_ one systemctl reload kvd
check "it is the same process" "$(property one kvd MainPID)" "$pid"
until_ "kvd is active again" test "$(property one kvd ActiveState)" = active
quota() { client --cacert="$work/first.pem" endpoint status -w json | grep -o '"dbSizeQuota":[0-9]*'; }
check "the quota in force" "$(quota)" '"dbSizeQuota":100000000'
journal one >"$work/journal"
holds "what took effect is told" grep -q 'log-level = "debug" is in force' "$work/journal"
holds "what takes a restart is told" grep -q 'heartbeat-interval = 150 takes a restart' "$work/journal"
check "kvctl says it as well" "$(in_ one kvctl reload | sed -n 1p)" "heartbeat-interval = 150 takes a restart"

step "a bad file"
configure 'quota-backend-bytes = "a lot"'
refuse "reload" in_ one systemctl reload kvd
check "kvd is" "$(property one kvd ActiveState) $(property one kvd MainPID)" "active $pid"
check "the quota in force" "$(quota)" '"dbSizeQuota":100000000'
in_ one kvctl reload >"$work/said" 2>&1 && exit 1
holds "the finding has its place" grep -q 'cluster.toml:6:' "$work/said"
in_ one journalctl --no-pager -u kvd -o verbose >"$work/journal"
holds "the journal names the event" grep -q '^    MESSAGE_ID=' "$work/journal"
in_ one journalctl --no-pager -x -u kvd >"$work/journal"
holds "and explains it" grep -q 'kvd check' "$work/journal"

step "certificates of another authority"
configure ""
authority second
in_ one systemctl reload kvd
check "a read with the new authority" "$(client --cacert="$work/second.pem" get k --print-value-only)" v
refuse "a read with the old one" client --cacert="$work/first.pem" --command-timeout=2s get k
in_ one sh -c 'echo nonsense > /etc/kv/tls/server.pem'
refuse "reload of a certificate that is none" in_ one systemctl reload kvd
check "the last good one is in use" "$(client --cacert="$work/second.pem" get k --print-value-only)" v

step "SIGHUP does the same"
authority second
in_ one systemctl kill --signal=HUP --kill-whom=main kvd
read_again() { journal one | tail -n 5 | grep 'the configuration was read again' >/dev/null; }
until_ "it was read again" read_again
check "it is the same process" "$(property one kvd MainPID)" "$pid"

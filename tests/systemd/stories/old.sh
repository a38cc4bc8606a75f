# Debian 11: systemd 247 and glibc 2.31. The unit has directives that this systemd does not know: it ignores them.

machine one 10.91.0.1 "$KVD_OLD_TREE"
bring one "$KVD_DEB"
in_ one apt-get install -qy --no-install-recommends "/root/$(basename "$KVD_DEB")"
in_ one systemctl --version | sed -n 1p
holds "it is an old one" grep -q '^systemd 247' <<<"$(in_ one systemctl --version)"

step "what it says of the units"
in_ one systemd-analyze verify --man=no kvd.service kvd.socket kvd-wait-ready.service 2>&1 |
    grep -o "kvd.*" | sed 's/:[0-9]*:/:/' | sort -u | tee "$work/verify"
refuse "more than three directives that it does not know, and a credential without a path" grep -Ev \
    "Unknown key name '(PrivateIPC|NoExecPaths|ExecPaths)' in section 'Service', ignoring|Invalid syntax, ignoring: kvd.cluster-secret" "$work/verify"

step "its exposure, without them"
exposure=$(in_ one systemd-analyze security --no-pager kvd.service | sed -n 's/.*Overall exposure level for kvd.service: \([0-9.]*\).*/\1/p')
echo "exposure $exposure"
holds "exposure of at most 1.1" awk "BEGIN {exit !($exposure <= 1.1)}"

step "a member"
put_file one /etc/kv/cluster.toml <<'TOML'
name = "old"
listen-client-urls = ["http://10.91.0.1:2379", "http://127.0.0.1:2379"]
advertise-client-urls = ["http://10.91.0.1:2379"]
listen-peer-urls = ["http://10.91.0.1:2380"]
initial-advertise-peer-urls = ["http://10.91.0.1:2380"]
cluster-secret-file = "/etc/kv/secret"
TOML
in_ one install -d -m 700 /etc/credstore
holds "this systemd takes no secret from /etc/credstore" \
    grep -q "this machine's is older" <<<"$(in_ one kvd secret new /etc/credstore/kvd.cluster-secret)"
in_ one kvd secret new /etc/kv/secret
asked=$(in_ one kvd check)
echo "$asked"
holds "kvd check finds nothing" grep -q 'read as user kv; no errors, no warnings' <<<"$asked"
in_ one systemctl enable --now kvd
in_ one systemctl start kvd-wait-ready
export ETCDCTL_ENDPOINTS=10.91.0.1:2379
check "a put" "$(client put k v)" OK
serves() { [[ $(property one kvd StatusText) == serving,* ]]; }
until_ "its status" serves
first=$(property one kvd MainPID)
check "whose process it is" "$(in_ one stat -c %U "/proc/$first")" kv

step "reload, restart, a kill"
in_ one sh -c 'echo "log-level = \"debug\"" > /etc/kv/cluster.toml.d/level.toml && systemd-tmpfiles --create kvd.conf'
in_ one systemctl reload kvd
holds "the new level is in force" grep -q 'log-level = "debug" is in force' <<<"$(journal one)"
in_ one systemctl restart kvd
check "what is read" "$(client get k --print-value-only)" v
in_ one sh -c "kill -KILL $(property one kvd MainPID)"
comes_back() { [[ $(property one kvd NRestarts) == 1 && $(property one kvd ActiveState) == active ]]; }
until_ "systemd has restarted it" comes_back
check "what is read" "$(client get k --print-value-only)" v

step "a secret only in /etc/credstore is none here, and check says so"
in_ one sed -i '/cluster-secret-file/d' /etc/kv/cluster.toml
status=0
in_ one kvd check >"$work/check" 2>&1 || status=$?
check "check ends with" "$status" 78
in_ one systemctl stop kvd
refuse "start" in_ one systemctl start kvd
check "the service ends with" "$(property one kvd ExecMainStatus) $(property one kvd NRestarts)" "78 0"

step "removed, the data stay"
in_ one apt-get purge -qy kvd
holds "data are there" in_ one test -d /var/lib/kv/member/store

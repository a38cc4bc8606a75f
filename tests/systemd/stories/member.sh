# A user's first steps: install, edit one file, start; then what systemd does for the service.

machine one 10.91.0.1
bring one "$KVD_DEB"

step "installing enables, starts and opens nothing"
in_ one ss -lntuH >"$work/before"
in_ one apt-get install -qy --no-install-recommends "/root/$(basename "$KVD_DEB")"
check "kvd.service is" "$(in_ one systemctl is-enabled kvd.service || true)" disabled
check "kvd.socket is" "$(in_ one systemctl is-enabled kvd.socket || true)" disabled
check "kvd is" "$(in_ one systemctl is-active kvd.service || true)" inactive
in_ one ss -lntuH >"$work/after"
holds "nothing listens that did not before" diff "$work/before" "$work/after"
check "the user's shell" "$(in_ one getent passwd kv | cut -d: -f7)" /usr/sbin/nologin
check "who may read the configuration" "$(in_ one stat -c '%U:%G %a' /etc/kv /etc/kv/cluster.toml /etc/kv/kvd.env)" \
    $'root:kv 750\nroot:kv 640\nroot:kv 640'
holds "the sample is good" in_ one kvd check

step "the units as they are installed"
holds "systemd-analyze verify" in_ one systemd-analyze verify --man=no kvd.service kvd.socket kvd-wait-ready.service
check "it says nothing" \
    "$(in_ one systemd-analyze verify --man=no kvd.service kvd.socket kvd-wait-ready.service 2>&1 | grep -i kvd || true)" ""
in_ one systemd-analyze security --offline=true --no-pager /usr/lib/systemd/system/kvd.service | tail -n 1
holds "exposure of at most 1.1" \
    in_ one systemd-analyze security --offline=true --threshold=11 --no-pager /usr/lib/systemd/system/kvd.service \
    >/dev/null

step "one edit, one start"
in_ one sed -i -e 's#^listen-client-urls = .*#listen-client-urls = ["http://0.0.0.0:2379"]#' \
    -e 's#^advertise-client-urls = .*#advertise-client-urls = ["http://10.91.0.1:2379"]#' /etc/kv/cluster.toml
in_ one systemctl start kvd
check "kvd is" "$(property one kvd ActiveState)" active
export ETCDCTL_ENDPOINTS=10.91.0.1:2379
check "a put from outside" "$(client put greeting hello)" OK
check "what is read" "$(client get greeting --print-value-only)" hello
check "whose process it is" "$(in_ one stat -c %U "/proc/$(property one kvd MainPID)")" kv
check "the data's mode" "$(in_ one stat -c '%U:%G %a' /var/lib/kv)" "kv:kv 700"
serves() { [[ $(property one kvd StatusText) == serving,* ]]; }
until_ "systemctl status says what goes on" serves
holds "kvctl finds the member without a flag" in_ one kvctl endpoint health
in_ one systemctl start kvd-wait-ready
check "kvd-wait-ready is" "$(property one kvd-wait-ready ActiveState)" active

step "the audit goes to the journal"
in_ one sh -c 'printf "\n[audit]\noutput = \"journal\"\nmethods = [\"Put\"]\n" >>/etc/kv/cluster.toml'
holds "the configuration is good" in_ one kvd check
in_ one systemctl restart kvd
client put audited planted
records() { in_ one journalctl --no-pager --output=cat --identifier=kvd-audit _SYSTEMD_UNIT=kvd.service; }
recorded() { [[ $(records) == *'"keys":[{"key":"audited"}],"method":"/etcdserverpb.KV/Put"'* ]]; }
until_ "the put is recorded" recorded
check "records of the put" "$(records | wc -l)" 1
check "values in it" "$(records | grep -c planted || true)" 0

step "snapshot to a file that the user names"
client snapshot save "$work/backup.db"
holds "it has data" test "$(stat -c %s "$work/backup.db")" -gt 512

step "killed, it comes back by itself with its data"
first=$(property one kvd MainPID)
in_ one sh -c "kill -KILL $first"
comes_back() { [[ $(property one kvd MainPID) != "$first" && $(property one kvd ActiveState) == active ]]; }
until_ "systemd has restarted it" comes_back
check "what is read" "$(client get greeting --print-value-only)" hello
check "restarts" "$(property one kvd NRestarts)" 1

step "stopped, it ends in order"
in_ one systemctl stop kvd
check "how it ended" "$(property one kvd Result) $(property one kvd ExecMainStatus)" "success 0"

step "a file that is wrong is refused, once, with its place"
in_ one cp -a /etc/kv/cluster.toml /root/good.toml
in_ one sh -c 'echo "nmae = 1" >> /etc/kv/cluster.toml.d/99-wrong.toml; chgrp kv /etc/kv/cluster.toml.d/99-wrong.toml; chmod 640 /etc/kv/cluster.toml.d/99-wrong.toml'
refuse "start" in_ one systemctl start kvd
check "exit status and restarts" "$(property one kvd ExecMainStatus) $(property one kvd NRestarts)" "78 0"
journal one >"$work/journal"
holds "file, line and column in the journal" grep -q "99-wrong.toml:1:1" "$work/journal"
holds "what was meant" grep -q 'name' "$work/journal"
in_ one rm /etc/kv/cluster.toml.d/99-wrong.toml
in_ one systemctl reset-failed kvd
in_ one systemctl start kvd

step "without its file, or with an empty one, it starts with the defaults and its data"
in_ one systemctl stop kvd
in_ one mv /etc/kv/cluster.toml /root/good.toml
in_ one systemctl start kvd
check "kvd without a file is" "$(property one kvd ActiveState)" active
until_ "it serves" serves
in_ one systemctl stop kvd
in_ one install -o root -g kv -m 640 /dev/null /etc/kv/cluster.toml
in_ one systemctl start kvd
check "kvd with an empty file is" "$(property one kvd ActiveState)" active
until_ "it serves" serves
in_ one systemctl stop kvd
in_ one cp -a /root/good.toml /etc/kv/cluster.toml
in_ one systemctl start kvd
check "what is read" "$(client get greeting --print-value-only)" hello

step "removed, configuration and data stay; purged, the configuration goes"
in_ one apt-get remove -qy kvd
check "kvd is" "$(in_ one systemctl is-active kvd.service || true)" inactive
holds "configuration is there" in_ one test -s /etc/kv/cluster.toml
holds "data are there" in_ one test -d /var/lib/kv/member/store
in_ one apt-get purge -qy kvd
refuse "configuration is there" in_ one test -e /etc/kv/cluster.toml
holds "data are there" in_ one test -d /var/lib/kv/member/store
refuse "units are there" in_ one systemctl cat kvd.service
check "left over below /etc" "$(in_ one sh -c 'ls -A /etc/kv 2>/dev/null; find /etc/systemd -name "kvd*"')" ""

step "installed again, it finds its data"
in_ one apt-get install -qy --no-install-recommends "/root/$(basename "$KVD_DEB")"
in_ one cp /root/good.toml /etc/kv/cluster.toml
in_ one systemctl start kvd
check "what is read" "$(client get greeting --print-value-only)" hello

# A newer package: a running member is restarted, a stopped one is not started; the operator's files stay.

machine one 10.91.0.1
bring one "$KVD_DEB"
bring one "$KVD_NEXT_DEB"
in_ one apt-get install -qy --no-install-recommends "/root/$(basename "$KVD_DEB")"
put_file one /etc/kv/cluster.toml <<'TOML'
name = "kept"
listen-client-urls = ["http://10.91.0.1:2379"]
advertise-client-urls = ["http://10.91.0.1:2379"]
listen-peer-urls = ["http://127.0.0.1:2380"]
initial-advertise-peer-urls = ["http://127.0.0.1:2380"]
TOML
in_ one systemctl enable --now kvd
export ETCDCTL_ENDPOINTS=10.91.0.1:2379
for ((i = 0; i < 50; i++)); do client put "key/$i" "value $i" >/dev/null; done
before=$(client get key/ --prefix -w json | sed 's/"header":{[^}]*},//')
first=$(property one kvd MainPID)

step "upgrade of a running member"
in_ one apt-get install -qy --no-install-recommends "/root/$(basename "$KVD_NEXT_DEB")"
check "the version" "$(in_ one dpkg-query -W -f='${Version}' kvd)" 99.0.0-1
check "kvd is" "$(property one kvd ActiveState)" active
refuse "it is the same process" test "$first" = "$(property one kvd MainPID)"
check "kvd.service is" "$(in_ one systemctl is-enabled kvd.service)" enabled
check "the operator's file" "$(in_ one head -n 1 /etc/kv/cluster.toml)" 'name = "kept"'
check "who may read it" "$(in_ one stat -c '%U:%G %a' /etc/kv/cluster.toml)" "root:kv 640"
check "the data" "$(client get key/ --prefix -w json | sed 's/"header":{[^}]*},//')" "$before"

step "upgrade of a stopped member"
in_ one systemctl disable --now kvd
in_ one apt-get install -qy --no-install-recommends --allow-downgrades "/root/$(basename "$KVD_DEB")"
in_ one apt-get install -qy --no-install-recommends "/root/$(basename "$KVD_NEXT_DEB")"
check "kvd is" "$(in_ one systemctl is-active kvd.service || true)" inactive
check "kvd.service is" "$(in_ one systemctl is-enabled kvd.service || true)" disabled

step "the machine restarts"
in_ one systemctl enable kvd
nsenter --target "${leader[one]}" --all systemctl poweroff || true
wait "${nspawn[one]}" || true
boot one "$tag-0"
until_ "kvd runs again" client endpoint health
check "the data" "$(client get key/ --prefix -w json | sed 's/"header":{[^}]*},//')" "$before"

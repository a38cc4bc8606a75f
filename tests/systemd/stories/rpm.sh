# The .rpm, installed by rpm into a system's tree; its unit starts there. The tree is Debian's, which has what the
# package needs, but not in rpm's database.

machine one 10.91.0.1
rpm --root "$work/one/root" --install --nodeps --noplugins --define '_dbpath /var/lib/rpm' "$KVD_RPM"
in_ one systemctl daemon-reload
check "kvd.service is" "$(in_ one systemctl is-enabled kvd.service || true)" disabled
check "kvd is" "$(in_ one systemctl is-active kvd.service || true)" inactive
check "who may read the configuration" "$(in_ one stat -c '%U:%G %a' /etc/kv/cluster.toml)" "root:kv 640"
check "the configuration is marked as such" \
    "$(rpm --root "$work/one/root" --define '_dbpath /var/lib/rpm' -q --configfiles kvd | sort | xargs)" \
    "/etc/kv/cluster.toml /etc/kv/kvd.env /etc/ufw/applications.d/kvd"
in_ one systemctl start kvd
holds "kvctl finds the member" in_ one kvctl endpoint health
check "a put" "$(in_ one sh -c 'kvctl member list | cut -d, -f2')" " started"

step "removed, the data stay"
rpm --root "$work/one/root" --erase --nodeps --noplugins --define '_dbpath /var/lib/rpm' kvd
refuse "the program is there" in_ one test -e /usr/bin/kvd
holds "data are there" in_ one test -d /var/lib/kv/member/store

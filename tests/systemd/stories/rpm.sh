# The .rpm, installed by rpm into a system's tree; its unit starts there. The tree is Debian's, which has what the
# package needs, but not in rpm's database.

machine one 10.91.0.1
# owned PATH: what the package says of its owner and mode.
owned() {
    local format='[%{FILENAMES} %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILEMODES:perms}\n]'
    rpm --query --package --queryformat "$format" "$KVD_RPM" 2>/dev/null | awk -v path="$1" '$1 == path {print $2, $3}'
}
check "the package has /etc/kv" "$(owned /etc/kv)" "root:kv drwxr-x---"
check "and the directory of drop-ins" "$(owned /etc/kv/cluster.toml.d)" "root:kv drwxr-x---"

rpm --root "$work/one/root" --install --nodeps --noplugins --define '_dbpath /var/lib/rpm' "$KVD_RPM"
in_ one systemctl daemon-reload
check "kvd.service is" "$(in_ one systemctl is-enabled kvd.service || true)" disabled
check "kvd is" "$(in_ one systemctl is-active kvd.service || true)" inactive
check "who may read the configuration" "$(in_ one stat -c '%U:%G %a' /etc/kv/cluster.toml)" "root:kv 640"
for path in /etc/kv /etc/kv/cluster.toml.d /usr/share/doc/kvd; do
    check "$path belongs to" "$(rpm --root "$work/one/root" --define '_dbpath /var/lib/rpm' -qf --qf '%{NAME}' "$path")" kvd
done
check "who may enter it" "$(in_ one stat -c '%U:%G %a' /etc/kv /etc/kv/cluster.toml.d | xargs)" "root:kv 750 root:kv 750"
check "the configuration is marked as such" \
    "$(rpm --root "$work/one/root" --define '_dbpath /var/lib/rpm' -q --configfiles kvd | sort | xargs)" \
    "/etc/kv/cluster.toml /etc/kv/kvd.env /etc/ufw/applications.d/kvd"
in_ one systemctl start kvd
holds "kvctl finds the member" in_ one kvctl endpoint health
check "a put" "$(in_ one sh -c 'kvctl member list | cut -d, -f2')" " started"

step "removed, the data stay"
rpm --root "$work/one/root" --erase --nodeps --noplugins --define '_dbpath /var/lib/rpm' kvd
refuse "the configuration's directory is there" in_ one test -e /etc/kv
refuse "the program is there" in_ one test -e /usr/bin/kvd
holds "data are there" in_ one test -d /var/lib/kv/member/store

# The commands of the README's section on packages and systemd, one by one, unchanged.

machine one 10.91.0.1
in_ one mkdir -p /root/target/packages
put_file one "/root/target/packages/$(basename "$KVD_DEB")" <"$KVD_DEB"
# An operator edits the file; here the member gets another name.
put_file one /usr/bin/editor 755 <<'SH'
#!/bin/sh
sed -i 's/^name = .*/name = "edited"/' "$1"
SH
# A machine that ran Debian's etcd-server: its unit and its file.
put_file one /etc/systemd/system/etcd.service <<'UNIT'
[Service]
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
UNIT
put_file one /etc/default/etcd <<'SH'
## etcd(1) daemon options
ETCD_NAME="node01"
ETCD_DATA_DIR="/var/lib/etcd/default"
ETCD_LISTEN_CLIENT_URLS="http://10.91.0.1:2379,http://127.0.0.1:2379"
ETCD_ADVERTISE_CLIENT_URLS="http://10.91.0.1:2379"
SH

mapfile -t commands < <(awk '/^```console/ {on = 1; next} /^```/ {on = 0} on' "$KVD_ROOT/README.md" | sed -n 's/^# //p')
check "the first command made the package" "${commands[0]}" "packaging/build deb"
holds "there are more ($((${#commands[@]} - 1)))" test "${#commands[@]}" -ge 6
for command in "${commands[@]:1}"; do
    step "$command"
    in_ one sh -c "cd /root && $command"
done

check "kvd is" "$(in_ one systemctl is-enabled kvd) $(in_ one systemctl is-active kvd)" "enabled active"
check "its name" "$(in_ one kvctl member list | cut -d, -f3)" " node01"
check "etcd is" "$(in_ one systemctl is-active etcd || true)" inactive
check "a put from outside" "$(client --endpoints=10.91.0.1:2379 put k v)" OK

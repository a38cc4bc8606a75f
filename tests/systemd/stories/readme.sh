# The commands of the README's section on packages and systemd, one by one, as they stand there.

machine one 10.91.0.1
in_ one mkdir -p /root/target/packages
put_file one "/root/target/packages/$(basename "$KVD_DEB")" <"$KVD_DEB"
# Whoever installs it edits the file; here the member gets another name.
put_file one /usr/bin/editor 755 <<'SH'
#!/bin/sh
sed -i 's/^name = .*/name = "edited"/' "$1"
SH

mapfile -t commands < <(awk '/^```console/ {on = 1; next} /^```/ {on = 0} on' "$KVD_ROOT/README.md" | sed -n 's/^# //p')
check "the first command made the package" "${commands[0]}" "packaging/build deb"
holds "there are more ($((${#commands[@]} - 1)))" test "${#commands[@]}" -ge 6
for command in "${commands[@]:1}"; do
    step "$command"
    in_ one sh -c "cd /root && $command"
done

check "kvd is" "$(in_ one systemctl is-enabled kvd) $(in_ one systemctl is-active kvd)" "enabled active"
check "its name" "$(in_ one kvctl member list | cut -d, -f3)" " edited"

# The findings of Debian's and Fedora's linters in the packages, and how the programs are built.

step "lintian"
lintian --fail-on error,warning --tag-display-limit 0 --allow-root "$KVD_DEB"

step "rpmlint"
rpmlint --config "$KVD_ROOT/packaging/rpm/rpmlint.toml" "$KVD_RPM" | tee "$work/rpmlint"
holds "no errors, no warnings" grep -q ' 0 errors, 0 warnings' "$work/rpmlint"

step "the synopsis, which package managers show in one line"
synopsis=$(dpkg-deb --field "$KVD_DEB" Description | sed -n 1p)
check "it is" "$synopsis" "$(rpm --query --package --queryformat '%{SUMMARY}' "$KVD_RPM" 2>/dev/null)"
holds "it is short" test "${#synopsis}" -le 72

step "the programs"
dpkg-deb --extract "$KVD_DEB" "$work/deb"
for program in kvd kvctl; do
    readelf --file-header --program-headers --dynamic "$work/deb/usr/bin/$program" >"$work/elf"
    holds "$program is position independent" grep -q 'Type: *DYN' "$work/elf"
    holds "$program has read-only relocations" grep -q GNU_RELRO "$work/elf"
    holds "$program binds everything at its start" grep -Eq 'BIND_NOW|Flags: .*NOW' "$work/elf"
    newest=$(objdump -T "$work/deb/usr/bin/$program" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1)
    echo "$program needs $newest"
    holds "$program runs with glibc 2.17" test "$(printf '%s\n' GLIBC_2.17 "$newest" | sort -V | tail -n 1)" = GLIBC_2.17
    check "$program's symbols" "$(nm "$work/deb/usr/bin/$program" 2>/dev/null | wc -l)" 0
done

step "the same files in both"
dpkg-deb --contents "$KVD_DEB" | awk '!/^d/ {print $6}' | sed 's/^\.//' | grep -v -e lintian -e copyright -e changelog |
    sed 's#vendor-completions#site-functions#' | sort >"$work/in-deb"
rpm --query --package --queryformat '[%{FILEMODES:perms} %{FILENAMES}\n]' "$KVD_RPM" 2>/dev/null |
    awk '!/^d/ {print $2}' | grep -v -e licenses -e CHANGELOG | sort >"$work/in-rpm"
holds "no file is in one only" diff "$work/in-deb" "$work/in-rpm"

step "completions"
for program in kvd kvctl; do
    script=$work/deb/usr/share/bash-completion/completions/$program
    holds "bash understands $program's" bash -n "$script"
    holds "it offers options" grep -q -e '--cert' "$script"
    for file in zsh/vendor-completions/_$program fish/vendor_completions.d/$program.fish; do
        holds "$file is there" test -s "$work/deb/usr/share/$file"
    done
done

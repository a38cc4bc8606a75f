# Saving a snapshot.
for n in 1 2 3 4 5 6 7 8 9; do run put "s/$n" "$n"; done
run snapshot save backup.db
ls -l backup.db | cut -c1-10
(($(stat -c %s backup.db) % 512 == 32)) && say "the file ends with a checksum"

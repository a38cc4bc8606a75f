# Compaction.
for value in 1 2 3 4 5; do run put key "$value"; done
run put other x
run del other
run compact 4
run get key --rev 3
run get key --rev 4
run get key --rev 5
run compact 4
run compact 3
run compact 99
run compact x
run compact
run compaction 7 --physical
run get other --rev 7
run get other --rev 8
run get key -w json
run compaction 8 --physical
run get other --rev 8
run put key 6
run compaction 9 --physical
run endpoint hashkv -w json
run endpoint hashkv --rev 5
run endpoint hashkv --rev 99
run endpoint hashkv --rev 9
run defrag
run get '' --prefix -w json

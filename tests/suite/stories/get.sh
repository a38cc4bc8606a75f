# Reading, in every form.
for key in a a/1 a/2 a/3 b c1 c2 z; do run put "$key" "value of $key"; done
run put a/2 newer
run put a/3 3 --prev-kv
run put a/3 33
run get a
run get nothing
run get ''
run get a/1 a/3
run get a/3 a/1
run get a --prefix
run get --prefix ''
run get '' --from-key
run get b --from-key
run get a --prefix --limit 2
run get a --prefix --limit 2 -w json
run get a --prefix --keys-only
run get a --prefix --keys-only -w json
run get a --prefix --count-only
run get a --prefix --count-only -w fields
run get a --prefix --print-value-only
run get a --prefix -w fields
run get a --prefix --order DESCEND
run get a --prefix --order descend --sort-by MODIFY
run get a --prefix --sort-by VERSION --order DESCEND --limit 1
run get a --prefix --sort-by CREATE --order ASCEND
run get a --prefix --sort-by VALUE --order ASCEND
run get a --prefix --order sideways
run get a --prefix --sort-by size
run get a/2 --rev 3
run get a/2 --rev 4
run get a/2 --rev 10
run get a/2 --rev 99
run get a/2 --rev 1
run get a --prefix --rev 9 -w json
run get a --consistency s
run get a --consistency l
run get a --consistency x
run get a b c
run get a --prefix --from-key
run get a --keys-only --count-only
run get a --prefix --hex
run get a --prefix --min-mod-rev 10
run get a --prefix --max-mod-rev 4
run get a --prefix --min-create-rev 4 --max-create-rev 5
run get a --prefix --min-create-rev 6 --max-create-rev 5
run get a --prefix --stream
run get '' --prefix --stream -w json
run get a --prefix --stream --order DESCEND
run get a/2 --rev 99 --stream

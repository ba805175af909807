# Runs the program $1 five hundred times, one after the other and in each way that a shell has.
i=0
while [ $i -lt 100 ]; do
  "$1" wrapper
  ("$1" wrapper; exit 0)
  x=$("$1" wrapper; echo)
  "$1" wrapper &
  wait
  echo | "$1" wrapper
  i=$((i + 1))
done

# The rule of docs/contract.md for versions that are numbers; $v is the one required, of $database in $environment. It gives the exit
# code, or -1: wait on.
def number: if . == null or . == "" then 0 else tonumber end;
if .environment != $environment or .database != $database then -1
elif .ready and (.ready.minCompatible | number) > $v then 78
elif .ready and (.ready.version | number) >= $v then 0
elif .lastAttempt.outcome == "failed" and (.lastAttempt.version | number) >= $v then
  if .lastAttempt.error.permanent then 65 else 75 end
else -1 end

package events

import (
	"cmp"
	"strings"
)

// CompareVersions returns -1, 0 or +1 as version a is older than, the same as or newer than b. It is the order that
// waiting rests on, and simple enough to be written again in any language:
//
//  1. Drop a trailing run of ".0" groups from both, as the pattern (\.0+)+$ matches it: 1, 1.0 and 1.0.00 are the same.
//  2. Cut both into runs of the digits 0-9 and runs of other bytes: "2024_01_create2" is 2024, _, 01, _create, 2.
//  3. Compare run with run from the left. Two runs of digits compare as numbers of any length, without regard to leading
//     zeros; any other two compare byte by byte, and one that begins the other is the older.
//  4. The first difference decides. With none, the version that has no runs left is the older.
//
// So the empty version is the oldest. For versions made of digits and dots this is the order of the migrations themselves;
// it gives names that begin with a time or a number (0001_initial, 2024_01_01_000000_create_users) the order of their
// tools. Versions without an order, such as hashes, can be waited for only with "any version".
func CompareVersions(a, b string) int {
	a, b = trimZeroGroups(a), trimZeroGroups(b)
	for a != "" && b != "" {
		var x, y string
		x, a = cutRun(a)
		y, b = cutRun(b)
		if c := compareRuns(x, y); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

func trimZeroGroups(v string) string {
	for {
		i := strings.LastIndexByte(v, '.')
		if i < 0 || i == len(v)-1 || strings.Trim(v[i+1:], "0") != "" {
			return v
		}
		v = v[:i]
	}
}

// cutRun splits v, which is not empty, after its first run.
func cutRun(v string) (run, rest string) {
	i := 1
	for i < len(v) && digit(v[i]) == digit(v[0]) {
		i++
	}
	return v[:i], v[i:]
}

func compareRuns(x, y string) int {
	if digit(x[0]) && digit(y[0]) {
		x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
		if c := cmp.Compare(len(x), len(y)); c != 0 {
			return c
		}
	}
	return strings.Compare(x, y)
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

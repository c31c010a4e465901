package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/schemawave/schemawave/migrations/peers"
)

// table shows a row for each entrant and a column for each case; of both, what show makes.
func table(results []result, show func(r result, one row) string) string {
	var b, notes strings.Builder
	b.WriteString("| |")
	rule := "\n|---|"
	var names []string
	for _, r := range results {
		b.WriteString(" " + r.name() + " |")
		rule += "--:|"
		for _, one := range r.rows {
			if !slices.Contains(names, one.name) {
				names = append(names, one.name)
			}
		}
	}
	b.WriteString(rule + "\n")
	slices.SortStableFunc(names, func(a, b string) int {
		return strings.Count(a, floorMark) - strings.Count(b, floorMark)
	})
	for _, name := range names {
		b.WriteString("| " + name + " |")
		for _, r := range results {
			i := slices.IndexFunc(r.rows, func(one row) bool { return one.name == name })
			switch {
			case i < 0:
				b.WriteString(" |")
			case r.rows[i].err != nil:
				b.WriteString(" fails |")
				fmt.Fprintf(&notes, "\n%s, %s: %s\n", name, r.name(), strings.Join(strings.Fields(r.rows[i].err.Error()), " "))
			default:
				b.WriteString(" " + show(r, r.rows[i]) + " |")
			}
		}
		b.WriteString("\n")
	}
	return b.String() + notes.String()
}

// cell is an entrant's median in a case, with the median of its round trips where they were counted.
func cell(_ result, one row) string {
	text := readable(median(one.took))
	if len(one.trips) > 0 {
		text += fmt.Sprintf(" (%d)", median(one.trips))
	}
	return text
}

// ratio is how many times as long as Schemawave an entrant took. Each round is compared with itself, so that what else the
// machine did meanwhile counts for little.
func ratio(r result, one row) string {
	ours := r.rows[slices.IndexFunc(r.rows, func(o row) bool { return o.name == peers.Ours })]
	if ours.err != nil {
		return ""
	}
	all := make([]float64, len(one.took))
	for i := range all {
		all[i] = float64(one.took[i]) / float64(ours.took[i])
	}
	return fmt.Sprintf("%.2f", median(all))
}

// median is the middle value, the lower of two.
func median[T cmp.Ordered](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)-1)/2]
}

// readable rounds to three digits.
func readable(d time.Duration) string {
	switch ms := float64(d) / float64(time.Millisecond); {
	case ms < 10:
		return fmt.Sprintf("%.2f ms", ms)
	case ms < 100:
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 1000:
		return fmt.Sprintf("%.0f ms", ms)
	case ms < 10000:
		return fmt.Sprintf("%.2f s", ms/1000)
	default:
		return fmt.Sprintf("%.1f s", ms/1000)
	}
}

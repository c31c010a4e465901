package kustomize

import (
	"maps"
	"slices"
	"strings"
)

// didYouMean is the remedy for an unknown field: the known one that is spelled most like it, or all of them.
func didYouMean[V any](key string, known map[string]V) string {
	if best := nearest(key, known); best != "" {
		return "did you mean " + best + "?"
	}
	return "known are " + strings.Join(slices.Sorted(maps.Keys(known)), ", ")
}

// nearest returns the known word that is spelled most like key, if one is spelled much like it.
func nearest[V any](key string, known map[string]V) string {
	best, distance := "", 3
	for _, k := range slices.Sorted(maps.Keys(known)) {
		if n := edits(strings.ToLower(key), strings.ToLower(k)); n < distance {
			best, distance = k, n
		}
	}
	return best
}

// edits counts the insertions, deletions and replacements that turn a into b (Levenshtein distance).
func edits(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

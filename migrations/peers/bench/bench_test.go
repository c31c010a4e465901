package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/schemawave/schemawave/migrations/peers"
)

func TestEveryContenderTakesPart(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), []string{"-rounds", "1", "-run", "^fresh 10$"}, &out); err != nil {
		t.Fatal(err)
	}
	names := []string{floorMark + "pipelined", floorMark + "one round trip each"}
	for _, c := range peers.Contenders() {
		names = append(names, c.Name)
	}
	for _, name := range names {
		if n := strings.Count(out.String(), "\n| "+name+" | "); n != 2 { // a time, and a ratio
			t.Errorf("%s is in %d rows", name, n)
		}
	}
	if strings.Contains(out.String(), "fails") {
		t.Error("one failed")
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

func TestTable(t *testing.T) {
	ms := func(all ...time.Duration) []time.Duration {
		for i := range all {
			all[i] *= time.Millisecond
		}
		return all
	}
	results := []result{
		{kase: kase{migrations: 10}, rows: []row{
			{name: peers.Ours, took: ms(10, 20, 40)}, {name: "floor: x", took: ms(5, 30, 20)}, {name: "psql -1", took: ms(1000, 3000, 16000)}}},
		{kase: kase{migrations: 10, current: true, roundTrip: 5 * time.Millisecond}, rows: []row{
			{name: peers.Ours, took: ms(1, 2), trips: []int{2, 3}}, {name: "goose", err: errors.New("went\n  wrong")}}},
	}
	want := `| | fresh 10 | nothing to do 10, 5ms away |
|---|--:|--:|
| schemawave | 20.0 ms | 1.00 ms (2) |
| psql -1 | 3.00 s | |
| goose | | fails |
| floor: x | 20.0 ms | |

goose, nothing to do 10, 5ms away: went wrong
`
	if got := table(results, cell); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if got, row := table(results, ratio), "| floor: x | 0.50 | |\n"; !strings.Contains(got, row) { // of 0.5, 1.5, 0.5
		t.Errorf("%s\nwant a row %s", got, row)
	}
}

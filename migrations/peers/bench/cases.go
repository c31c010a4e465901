package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/peers"
)

// kase is a column of the table.
type kase struct {
	migrations int
	current    bool          // nothing is to be done
	roundTrip  time.Duration // added to the way to the server
}

func cases() []kase {
	const far = 5 * time.Millisecond
	return []kase{
		{migrations: 10},
		{migrations: 1000},
		{migrations: 1000, current: true},
		{migrations: 5000},
		{migrations: 5000, current: true},
		{migrations: 1000, roundTrip: far},
		{migrations: 1000, current: true, roundTrip: far},
		{migrations: 5000, current: true, roundTrip: far},
	}
}

func (k kase) name() string {
	name := fmt.Sprintf("fresh %d", k.migrations)
	if k.current {
		name = fmt.Sprintf("nothing to do %d", k.migrations)
	}
	if k.roundTrip > 0 {
		name += fmt.Sprintf(", %v away", k.roundTrip)
	}
	return name
}

// entrant is a row of the table.
type entrant struct {
	peers.Contender
	before peers.Contender // brings the database up to date, where nothing is to be done
}

// entrants lists who takes part in a case.
func entrants(k kase) []entrant {
	pipelined := floor("pipelined", floorPipelined)
	var out []entrant
	for _, c := range peers.Contenders() {
		if !k.current || !c.Forgetful {
			out = append(out, entrant{c, c})
		}
	}
	if k.current {
		out = slices.Insert(out, 1, entrant{peers.Contender{Name: peers.Ours + ", files in a bundle", Layout: migrations.LayoutPlain, Migrate: migrateBundled}, out[0].Contender})
		return append(out, entrant{floor("read and hash every file, one query", floorHash), pipelined}, entrant{floor("one query", floorAsk), pipelined})
	}
	return append(out, entrant{Contender: pipelined}, entrant{Contender: floor("one round trip each", floorInTurn)})
}

// floor is a contender that shows what cannot be gone below.
func floor(name string, migrate func(ctx context.Context, url, dir string) error) peers.Contender {
	return peers.Contender{Name: floorMark + name, Layout: migrations.LayoutPlain, Migrate: migrate}
}

// floorMark begins the names of floors.
const floorMark = "floor: "

// sources is what is applied: small tables with a primary key, as most of a young schema is.
func sources(n int) []peers.Source {
	out := make([]peers.Source, n)
	for i := range out {
		table := fmt.Sprintf("t%d", i+1)
		out[i] = peers.Source{Name: "create_" + table, Down: []string{"DROP TABLE " + table},
			Up: []string{"CREATE TABLE " + table + " (id bigint PRIMARY KEY, name text NOT NULL, created timestamptz NOT NULL DEFAULT now())"}}
	}
	return out
}

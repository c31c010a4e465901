package controller_test

import (
	"testing"

	"github.com/schemawave/schemawave/events/jetstream/natstest"
)

func TestMain(m *testing.M) {
	natstest.Serve()
	publishBarely()
	m.Run()
}

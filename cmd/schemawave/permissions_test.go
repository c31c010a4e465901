package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/schemawave/schemawave/cmd/cli"
	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/events/jetstream"
	"github.com/schemawave/schemawave/events/jetstream/natstest"
	"github.com/schemawave/schemawave/migrations"
)

// roles are users, by name, and the arguments with which their permissions are printed. Their inboxes bear their names.
var roles = map[string][]string{
	"controller":    {"controller"},
	"waiter":        {"waiter", "--environment", "production"},
	"auditor":       {"auditor", "--environment", "production"},
	"overseer":      {"auditor"},
	"administrator": {"administrator"},
}

// printed is what a command prints.
func printed(t *testing.T, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	root := command()
	root.SetArgs(args)
	root.SetOut(&out)
	if err := root.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func permissions(t *testing.T, name, output string) string {
	return printed(t, slices.Concat([]string{"streams", "permissions", "--inbox", "_INBOX_" + name, "-o", output}, roles[name])...)
}

// brokerOf runs a server with this configuration.
func brokerOf(t *testing.T, config string) *natstest.Server {
	t.Helper()
	server, err := natstest.Start(natstest.Options{Config: write(t, t.TempDir(), "nats.conf", config)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return server
}

// guardedBroker has a user for each role, who is allowed what the command prints.
func guardedBroker(t *testing.T) *natstest.Server {
	t.Helper()
	config := "authorization: {users: [\n"
	for name := range roles {
		config += fmt.Sprintf("{user: %s, password: secret, %s}\n", name, permissions(t, name, "config"))
	}
	return brokerOf(t, config+"]}\n")
}

// become sets the environment of a user.
func become(t *testing.T, server *natstest.Server, name string) {
	t.Helper()
	t.Setenv("NATS_URL", strings.Replace(server.URL(), "//", "//"+name+":secret@", 1))
	t.Setenv("NATS_INBOX_PREFIX", "_INBOX_"+name)
}

// run runs a command of a user, who expects an exit code and words on standard output or standard error.
func run(t *testing.T, want migrations.ExitCode, words, line string) {
	t.Helper()
	var out bytes.Buffer
	root := command()
	root.SetArgs(strings.Fields(line))
	root.SetOut(&out)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if got := cli.Run(ctx, root, &out); got != want || !strings.Contains(out.String(), words) {
		t.Errorf("%s as %s: exit code %d, want %d and %q:\n%s", line, os.Getenv("NATS_INBOX_PREFIX"), got, want, words, &out)
	}
}

// tellAs publishes a state and an event of an environment with the environment's credentials.
func tellAs(t *testing.T, environment string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	nc, err := jetstream.Connect(ctx, jetstream.OptionsFromEnv(os.Getenv))
	if err != nil {
		return err
	}
	defer nc.Close()
	p, err := jetstream.NewPublisher(nc)
	if err != nil {
		return err
	}
	state, revision, err := p.State(ctx, environment, "orders", "")
	if err != nil {
		return err
	}
	state.Ready = &events.Ready{Version: "2", Digest: "sha256:abc", Evidence: events.EvidenceReport, Since: time.Now()}
	if revision, err = p.PublishState(ctx, state, revision, environment); err != nil {
		return err
	}
	return p.PublishEvent(ctx, events.Event{
		Predicate: events.Succeeded, Time: time.Now().UTC(), Environment: environment, Database: "orders", Reason: environment + " is ready",
	}, revision)
}

// TestEachRoleCanDoItsJob and nothing else, and each refusal is told as one.
func TestEachRoleCanDoItsJob(t *testing.T) {
	server := guardedBroker(t)
	become(t, server, "waiter")
	run(t, 77, "$JS.API.STREAM.INFO.SCHEMA_STATE", "streams ensure")

	become(t, server, "controller")
	run(t, 0, "", "streams ensure")
	for _, environment := range []string{"production", "staging"} {
		if err := tellAs(t, environment); err != nil {
			t.Fatal(err)
		}
	}
	run(t, 77, "$JS.API.CONSUMER.CREATE.SCHEMA_STATE", "status")

	become(t, server, "waiter")
	run(t, 0, "ready at 2", "wait production/orders@2")
	run(t, 77, "schema.live.v1.staging.orders", "wait staging/orders@2")
	run(t, 77, "$JS.API.CONSUMER.CREATE.SCHEMA_STATE", "status --environment production")
	run(t, 77, "$JS.API.CONSUMER.CREATE.SCHEMA_EVENTS", "events --environment production")
	run(t, 77, "$JS.API.STREAM.INFO.SCHEMA_STATE", "streams verify")
	isDenied(t, tellAs(t, "production"), "$JS.API.STREAM.MSG.GET.SCHEMA_STATE")

	become(t, server, "auditor")
	run(t, 0, "production/orders   2", "status --environment production")
	run(t, 0, "production is ready", "events --environment production")
	run(t, 77, "schema.state.v1.staging.>", "status --environment staging")
	run(t, 77, "schema.state.v1.>", "status")
	run(t, 77, "schema.event.v1.>", "events")
	run(t, 77, "schema.event.v1.staging.>", "events --follow --environment staging")
	run(t, 77, "schema.live.v1.production.orders", "wait production/orders@2")
	run(t, 77, "$JS.API.STREAM.INFO.SCHEMA_STATE", "streams ensure")

	become(t, server, "overseer")
	run(t, 0, "staging/orders", "status")
	run(t, 0, "staging is ready", "events")

	become(t, server, "administrator")
	run(t, 0, "", "streams ensure")
	run(t, 0, "as they should be", "streams verify")
	run(t, 0, "staging/orders", "status")
	run(t, 0, "staging is ready", "events")
	isDenied(t, tellAs(t, "production"), "$JS.API.STREAM.MSG.GET.SCHEMA_STATE")
}

func isDenied(t *testing.T, err error, subject string) {
	t.Helper()
	var denied *jetstream.DeniedError
	if !errors.As(err, &denied) || denied.Subject != subject {
		t.Errorf("got %v, want a denial of %s", err, subject)
	}
}

// TestNoRoleIsAllowedMore asks the server for whatever could change or show something, as every user.
func TestNoRoleIsAllowedMore(t *testing.T) {
	server := guardedBroker(t)
	for subject, allowed := range map[string]string{
		"schema.state.v1.production.orders":                                        "controller",
		"schema.event.v1.production.orders.failed":                                 "controller",
		"schema.live.v1.production.orders":                                         "",
		"$JS.API.STREAM.CREATE.SCHEMA_STATE":                                       "administrator controller",
		"$JS.API.STREAM.UPDATE.SCHEMA_STATE":                                       "administrator",
		"$JS.API.STREAM.INFO.SCHEMA_EVENTS":                                        "administrator controller",
		"$JS.API.STREAM.DELETE.SCHEMA_STATE":                                       "",
		"$JS.API.STREAM.PURGE.SCHEMA_STATE":                                        "",
		"$JS.API.STREAM.MSG.DELETE.SCHEMA_STATE":                                   "",
		"$JS.API.STREAM.MSG.GET.SCHEMA_STATE":                                      "controller",
		"$JS.API.STREAM.CREATE.OTHER":                                              "",
		"$JS.API.STREAM.INFO.OTHER":                                                "",
		"$JS.API.STREAM.NAMES":                                                     "",
		"$JS.API.DIRECT.GET.SCHEMA_STATE":                                          "",
		"$JS.API.DIRECT.GET.SCHEMA_EVENTS":                                         "",
		"$JS.API.DIRECT.GET.SCHEMA_STATE.schema.state.v1.production.orders":        "waiter",
		"$JS.API.DIRECT.GET.SCHEMA_STATE.schema.state.v1.staging.orders":           "",
		"$JS.API.CONSUMER.CREATE.SCHEMA_STATE":                                     "",
		"$JS.API.CONSUMER.CREATE.SCHEMA_STATE.mine":                                "",
		"$JS.API.CONSUMER.CREATE.SCHEMA_STATE.mine.schema.state.v1.production.>":   "administrator auditor overseer",
		"$JS.API.CONSUMER.CREATE.SCHEMA_STATE.mine.schema.state.v1.staging.orders": "administrator overseer",
		"$JS.API.CONSUMER.DURABLE.CREATE.SCHEMA_STATE.mine":                        "",
		"$JS.API.CONSUMER.DELETE.SCHEMA_EVENTS.billing":                            "",
		"$JS.ACK.SCHEMA_EVENTS.billing.1.1.1.1.0":                                  "",
		"$SYS.REQ.SERVER.PING":                                                     "",
	} {
		var may []string
		for name := range roles {
			if allows(t, server, name, func(nc *natsgo.Conn) error { return nc.Publish(subject, nil) }) {
				may = append(may, name)
			}
		}
		slices.Sort(may)
		if got := strings.Join(may, " "); got != allowed {
			t.Errorf("%q may publish to %s, want %q", got, subject, allowed)
		}
	}
	for subject, allowed := range map[string]string{
		"schema.live.v1.production.orders":  "waiter",
		"schema.live.v1.staging.orders":     "",
		"schema.live.v1.>":                  "",
		"schema.state.v1.production.orders": "",
		"schema.event.v1.>":                 "",
		"_INBOX.>":                          "",
		"_INBOX_waiter.x":                   "waiter",
		">":                                 "",
	} {
		var may []string
		for name := range roles {
			if allows(t, server, name, func(nc *natsgo.Conn) error { _, err := nc.SubscribeSync(subject); return err }) {
				may = append(may, name)
			}
		}
		slices.Sort(may)
		if got := strings.Join(may, " "); got != allowed {
			t.Errorf("%q may subscribe to %s, want %q", got, subject, allowed)
		}
	}
}

// allows reports whether the server lets a user do something.
func allows(t *testing.T, server *natstest.Server, name string, do func(*natsgo.Conn) error) bool {
	t.Helper()
	refused := false
	nc, err := natsgo.Connect(server.URL(), natsgo.UserInfo(name, "secret"), natsgo.ErrorHandler(func(_ *natsgo.Conn, _ *natsgo.Subscription, err error) {
		refused = refused || errors.Is(err, natsgo.ErrPermissionViolation)
	}))
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*natsgo.Conn) { close(closed) }) // the last of the callbacks, which come one after the other
	if err := errors.Join(do(nc), nc.Flush()); err != nil {
		t.Fatal(err)
	}
	nc.Close()
	<-closed
	return !refused
}

// TestRolesOfAnOperator gives the same users JWTs, as nsc does from the arguments that the command prints.
func TestRolesOfAnOperator(t *testing.T) {
	pair := func(kind nkeys.PrefixByte) (nkeys.KeyPair, string) {
		t.Helper()
		k, err := nkeys.CreatePair(kind)
		if err != nil {
			t.Fatal(err)
		}
		public, err := k.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		return k, public
	}
	sign := func(c jwt.Claims, by nkeys.KeyPair) string {
		t.Helper()
		token, err := c.Encode(by)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	operator, operatorID := pair(nkeys.PrefixByteOperator)
	_, systemID := pair(nkeys.PrefixByteAccount)
	account, accountID := pair(nkeys.PrefixByteAccount)
	o := jwt.NewOperatorClaims(operatorID)
	o.SystemAccount = systemID
	a := jwt.NewAccountClaims(accountID)
	a.Limits.JetStreamLimits = jwt.JetStreamLimits{DiskStorage: -1, MemoryStorage: -1, Streams: -1, Consumer: -1}
	server := brokerOf(t, fmt.Sprintf("operator: %s\nsystem_account: %s\nresolver: MEMORY\nresolver_preload: {%s: %s, %s: %s}\n",
		sign(o, operator), systemID, systemID, sign(jwt.NewAccountClaims(systemID), operator), accountID, sign(a, operator)))

	dir := t.TempDir()
	for name := range roles {
		user, id := pair(nkeys.PrefixByteUser)
		seed, err := user.Seed()
		if err != nil {
			t.Fatal(err)
		}
		claims := jwt.NewUserClaims(id)
		words := strings.Fields(permissions(t, name, "nsc"))
		if len(words) != 4 || words[0] != "--allow-pub" || words[2] != "--allow-sub" {
			t.Fatalf("arguments for nsc: %q", words)
		}
		claims.Pub.Allow.Add(strings.Split(words[1], ",")...)
		claims.Sub.Allow.Add(strings.Split(words[3], ",")...)
		creds, err := jwt.FormatUserConfig(sign(claims, account), seed)
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, name, string(creds))
	}
	become := func(name string) {
		t.Setenv("NATS_URL", server.URL())
		t.Setenv("NATS_CREDS", filepath.Join(dir, name))
		t.Setenv("NATS_INBOX_PREFIX", "_INBOX_"+name)
	}
	become("controller")
	run(t, 0, "", "streams ensure")
	if err := tellAs(t, "production"); err != nil {
		t.Fatal(err)
	}
	become("waiter")
	run(t, 0, "ready at 2", "wait production/orders@2")
	run(t, 77, "schema.live.v1.staging.orders", "wait staging/orders@2")
	become("auditor")
	run(t, 0, "production is ready", "events --environment production")
	run(t, 77, "schema.event.v1.>", "events")
}

func TestPermissionsAreOfARole(t *testing.T) {
	for line, words := range map[string]string{
		"streams permissions":                                        "accepts 1 arg",
		"streams permissions king":                                   "invalid argument",
		"streams permissions waiter -o yaml":                         "want config, json or nsc",
		"streams permissions waiter --inbox a.>":                     "without wildcards",
		"streams permissions administrator --environment production": "hold all environments",
	} {
		run(t, 64, words, line)
	}
	want := `{"publish":["$JS.API.DIRECT.GET.SCHEMA_STATE.schema.state.v1.production.>"],"subscribe":["_INBOX_waiter.>","schema.live.v1.production.>"]}` + "\n"
	if got := permissions(t, "waiter", "json"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

package runner

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// A secret is found however the output is cut into reads, in a line without an end too.
func TestSecretsCutAcrossReads(t *testing.T) {
	const secret = "tok-0123456789"
	text := "first " + secret + "\nsecond " + secret + secret[:5] + "\nlast " + secret
	const want = "first [redacted]\nsecond [redacted]tok-0\nlast [redacted]\n"
	for size := 1; size <= len(text); size++ {
		var out bytes.Buffer
		s := stream{to: &out, secrets: newSecrets([]string{secret, secret[:9]}), last: &tail{}}
		for at := 0; at < len(text); at += size {
			s.Write([]byte(text[at:min(at+size, len(text))])) //nolint:errcheck // never fails
		}
		s.flush()
		if out.String() != want {
			t.Fatalf("in reads of %d bytes: %q", size, out.String())
		}
	}
}

// A line that never ends is passed on in pieces, and a secret at any place of it is found.
func TestALineWithoutEnd(t *testing.T) {
	const secret = "tok-0123456789"
	for _, before := range []int{0, longestLine - 5, longestLine, longestLine + 5, longestLine + len(secret), 2*longestLine + 3} {
		var out bytes.Buffer
		s := stream{to: &out, secrets: newSecrets([]string{secret}), last: &tail{}}
		text := strings.Repeat(".", before) + secret + strings.Repeat(".", longestLine)
		for at := 0; at < len(text); at += 1000 {
			s.Write([]byte(text[at:min(at+1000, len(text))])) //nolint:errcheck // never fails
			if len(s.pending) > longestLine+len(secret) {
				t.Fatalf("%d bytes are held back", len(s.pending))
			}
		}
		s.flush()
		if want := strings.Replace(text, secret, redacted, 1) + "\n"; out.String() != want {
			t.Errorf("after %d bytes: %d bytes instead of %d, with the secret: %v", before, out.Len(), len(want), strings.Contains(out.String(), secret))
		}
	}
}

func TestSecretsOf(t *testing.T) {
	s := secretsOf([]string{
		"DB_PASSWORD=pa$$word", "APP_KEY=base64:abc/def+ghi=", "PRIVATE_KEY=-----BEGIN KEY-----\nMIIEvQIBADAN\n-----END KEY-----",
		"DATABASE_URL=postgres://u:p%40ss%2Fw@h/d", "AMQP_URL=amqp://u:s3cr3t@q:5672/", "PWD=/app/public", "DB_PASSWORD_FILE=/run/secrets/db", "KEYBOARD=german-layout", "DEBUG_TOKEN=1",
		"PGPASSWORD=libpq-own", "DBPASSWORD=glued-on", "GOOSE_DBSTRING=host=db user=u password='it is' sslmode=disable", "REPLICA_DSN2=host=h password=in-words",
		"SPRING_DATASOURCE_URL=jdbc:postgresql://h/d?user=u&password=in%26query&ssl=true", "COMPASS=north-by-west",
		`RDS={"username":"app_user","password":"hunter2-\/x","api_key" : "k\u00e4y-12345","engine":"postgres-db"}`,
		"NATS_URL=nats://u:first1@h1:4222,nats://u:second2@h2:4222", "DATABASES=postgres://u:third3@h1/a postgres://u:fourth4@h2/b",
		"REPOSITORY=https://ghp_0123456789abcdef@github.com/x/y", "MYSQL=mysql://u:se?cret99@h/db", "DATABASE_CREDS=abcdefgh",
		"OWN=postgres://orders_migrations_of_production@h/d", "HOOK=https://hooks.example.com/0123456789?to=me@example.com",
	}, "given")
	for text, want := range map[string]string{
		"a pa$$word b": "a [redacted] b", "base64:abc/def+ghi=": redacted, "base64%3Aabc%2Fdef%2Bghi%3D": redacted, "MIIEvQIBADAN": redacted,
		"p%40ss%2Fw and p@ss/w": "[redacted] and [redacted]", "amqp://u:s3cr3t@q:5672/": "amqp://u:[redacted]@q:5672/", "given": redacted,
		"libpq-own glued-on": "[redacted] [redacted]", "it is": redacted, "in-words": redacted, "in%26query in&query": "[redacted] [redacted]", "north-by-west": "north-by-west",
		`hunter2-/x hunter2-\/x käy-12345`: "[redacted] [redacted] [redacted]", "app_user postgres-db": "app_user postgres-db",
		"first1 second2 third3 fourth4": "[redacted] [redacted] [redacted] [redacted]", "ghp_0123456789abcdef se?cret99 abcdefgh": "[redacted] [redacted] [redacted]",
		"orders_migrations_of_production hooks.example.com/0123456789": "orders_migrations_of_production hooks.example.com/0123456789",
		"/app/public /run/secrets/db german-layout 1":                  "/app/public /run/secrets/db german-layout 1",
	} {
		if got := s.redact(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func TestTheLastLinesAreKept(t *testing.T) {
	last := &tail{}
	var out bytes.Buffer
	s := stream{to: &out, last: last, secrets: newSecrets(nil)}
	for i := range 1000 {
		fmt.Fprintf(&s, "line %d\n\n  ^^^^\n", i)
	}
	if got := strings.Split(last.text(), "\n"); len(got) != lastLines || got[0] != "line 980" || got[lastLines-1] != "line 999" {
		t.Errorf("%q", got)
	}
	for range lastLines {
		fmt.Fprintf(&s, "%s\n", strings.Repeat("long ", 200))
	}
	if got := last.text(); len(got) > lastBytes || len(got) < lastBytes/2 {
		t.Errorf("%d bytes", len(got))
	}
}

// A driver prints the statement and its error in one line, however long the statement is.
func TestALongLineIsCut(t *testing.T) {
	columns := strings.Repeat("col int, ", 1000)
	last := said("migration file \"1_a.js\" failed\nmigration failed with error: create table orders (" + columns + ") - canceling statement due to lock timeout\nat the end\n")
	lines := strings.Split(last.text(), "\n")
	if len(lines) != 3 || len(lines[1]) > longestTold || !strings.HasPrefix(lines[1], "migration failed with error: create table orders (col") || !strings.HasSuffix(lines[1], " - canceling statement due to lock timeout") {
		t.Errorf("%q", lines)
	}
}

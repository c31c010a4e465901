package manifests_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/kustomize/kyaml/yaml"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/schemawave/schemawave/manifests"
)

// roundTrip encodes a ConfigMap and reads it with the parser of kustomize and with that of Argo CD and kubectl.
func roundTrip(t *testing.T, key, value string) string {
	t.Helper()
	cm := &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, Data: map[string]string{key: value}}
	y, err := manifests.Object{Value: cm}.YAML()
	if err != nil {
		t.Fatal(err)
	}
	var kustomize struct {
		Data map[string]string
	}
	if err := yaml.Unmarshal(y, &kustomize); err != nil {
		t.Errorf("%q: kustomize cannot read it: %v\n%s", value, err, y)
	} else if got := kustomize.Data[key]; got != value {
		t.Errorf("kustomize reads %q as %q from\n%s", value, got, y)
	}
	var argo corev1.ConfigMap
	if err := sigsyaml.UnmarshalStrict(y, &argo); err != nil {
		t.Errorf("%q: Argo CD cannot read it: %v\n%s", value, err, y)
	} else if got := argo.Data[key]; got != value {
		t.Errorf("Argo CD reads %q as %q from\n%s", value, got, y)
	}
	return string(y)
}

func values() []string {
	return []string{
		"", " ", "\n", "\n\n", "a", "a\n", "a\n\n", "a\n\n\n", "a\nb", "a\nb\n", "a\nb\n\n", "\na\n", " a\nb\n", "\ta\nb\n", "a \nb \n", "a\n  \n", "a\n  ", "a\n\t", "a\n \n b\n",
		"a\r\nb\r\n", "a\rb\n", "a\x7fb\n", "a\u0085b\nc\n", "a\u2028b\nc\n", "\uFEFFa\nb\n", "ä\n€\n𝄞\n", "a\x00b\n", "# a\n# b\n", "---\na\n", "...\na\n", "%a\nb\n", "- a\n- b\n", "a: b\nc: d\n", "'a'\n\"b\"\n", "\\n\n\\\n", "\uFFFD\nx\n",
		"yes", "No", "on", "y", "true", "null", "~", "1", "0x1f", "1e5", "1_000", "1:30", "0o7", "07", ".5", "-1", "+1", ".inf", "-.inf", ".NaN", "2001-12-14", "2001-12-14t21:59:43.10-05:00", "=", "<<", "!a", "&a", "*a", "@a", "`a", "|", ">", "?", "? a", "- a", "-", "--", "---", "--- a", "--a", "a: b", "a:", "a #b", "a#b", "[a]", "{a}", "a,b", "50m", "256Mi", "0001_create.sql", "1d", "1f", "0b1", "12e03", "0xfg", "a ", "12:30:45Z", "1.2.3", "20261122093000",
	}
}

func TestRoundTrip(t *testing.T) {
	for _, v := range values() {
		roundTrip(t, "key", v)
		if v != "" && !strings.ContainsAny(v, "\x00") {
			roundTrip(t, v, "value")
		}
	}
}

// TestReadable wants SQL to stand as it is, trailing blanks and leading empty lines included.
func TestReadable(t *testing.T) {
	for value, want := range map[string]string{
		"CREATE TABLE t ( \n  id int\n);\n": "  k: |\n    CREATE TABLE t ( \n      id int\n    );\n",
		"-- x\n\nSELECT '<a>' && \"b\";\n":  "  k: |\n    -- x\n\n    SELECT '<a>' && \"b\";\n",
		"SELECT 1;\nSELECT 2;":              "  k: |-\n    SELECT 1;\n    SELECT 2;\n",
		"SELECT 1;\n\n":                     "  k: |+\n    SELECT 1;\n\n",
	} {
		if got := roundTrip(t, "k", value); !strings.HasSuffix(got, want) {
			t.Errorf("%q is encoded as\n%s\nwant it to end in\n%s", value, got, want)
		}
	}
}

func FuzzRoundTrip(f *testing.F) {
	for _, v := range values() {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v string) {
		roundTrip(t, "key", strings.ToValidUTF8(v, "?"))
	})
}

package kubeevent

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/record"
)

// TestRecord cuts what an Event cannot hold, and never within a character.
func TestRecord(t *testing.T) {
	for text, want := range map[string]string{
		"short":                        "short",
		strings.Repeat("x", 1024):      strings.Repeat("x", 1024),
		strings.Repeat("x", 1025):      strings.Repeat("x", 1021) + "…",
		strings.Repeat("ü", 600):       strings.Repeat("ü", 510) + "…",
		strings.Repeat("x", 1<<20):     strings.Repeat("x", 1021) + "…",
		"x" + strings.Repeat("😀", 256): "x" + strings.Repeat("😀", 255) + "…",
	} {
		r := record.NewFakeRecorder(1)
		Record(r, &corev1.Pod{}, corev1.EventTypeNormal, "Why", text)
		if got := <-r.Events; got != "Normal Why "+want {
			t.Errorf("%.20s… of %d bytes: %d bytes, want %d", text, len(text), len(got)-len("Normal Why "), len(want))
		}
	}
}

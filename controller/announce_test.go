package controller

import (
	"slices"
	"strings"
	"testing"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/record"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

func TestAnnounce(t *testing.T) {
	const url = "https://git.example/shop.git"
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	app := func(name, path string) *argo.Application {
		return &argo.Application{ObjectMeta: metav1.ObjectMeta{Namespace: "argocd", Name: name},
			Spec: argo.ApplicationSpec{Source: &argo.ApplicationSource{RepoURL: url, Path: path, TargetRevision: "main"}}}
	}
	cluster := fake.NewClientBuilder().WithScheme(scheme).
		WithObjects(app("orders", "overlays/orders"), app("orders-eu", "overlays/orders"), app("billing", "overlays/billing")).Build()
	lease := &corev1.ObjectReference{Kind: "Lease", APIVersion: "coordination.k8s.io/v1", Namespace: "schemawave", Name: "schemawave"}
	for _, c := range []struct {
		reason  string
		overlay string
		failed  bool
		want    []string
	}{
		{"every Application of the overlay", "overlays/orders", true, []string{
			"Warning RenderFailed the text involvedObject{kind=Application,apiVersion=argoproj.io/v1alpha1}",
			"Warning RenderFailed the text involvedObject{kind=Application,apiVersion=argoproj.io/v1alpha1}"}},
		{"one that is mended", "overlays/billing", false, []string{
			"Normal RenderSucceeded the text involvedObject{kind=Application,apiVersion=argoproj.io/v1alpha1}"}},
		{"one without an Application", "overlays/mail", true, []string{
			"Warning RenderFailed git.example/shop, branch main, overlay overlays/mail: the text involvedObject{kind=Lease,apiVersion=coordination.k8s.io/v1}"}},
		{"the whole repository", "", true, []string{
			"Warning RenderFailed git.example/shop, branch main, all overlays: the text involvedObject{kind=Lease,apiVersion=coordination.k8s.io/v1}"}},
	} {
		recorder := record.NewFakeRecorder(10)
		recorder.IncludeObject = true
		a := &Announcer{cluster: cluster, recorder: recorder, own: lease}
		if err := a.Announce(t.Context(), url, "main", c.overlay, c.failed, "the text"); err != nil {
			t.Fatal(err)
		}
		close(recorder.Events)
		var got []string
		for e := range recorder.Events {
			got = append(got, e)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\n%s\nwant\n%s", c.reason, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

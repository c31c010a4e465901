package manifests

import (
	"encoding/json"
	"fmt"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	sigsjson "sigs.k8s.io/json"
)

// patched merges the team's patch into job by the rules of kubectl patch, and holds the result to what the rest of
// Schemawave relies on.
func patched(job *batchv1.Job, patch json.RawMessage) (*batchv1.Job, error) {
	if err := checkPatch(patch); err != nil {
		return nil, err
	}
	before, err := json.Marshal(job)
	if err != nil {
		return nil, fmt.Errorf("encode job: %w", err)
	}
	after, err := strategicpatch.StrategicMergePatch(before, patch, batchv1.Job{})
	if err != nil {
		what, _, _ := strings.Cut(err.Error(), "map[") // what follows repeats the patch, secrets included
		return nil, &FieldError{"spec.job", "cannot be merged into the Job: " + strings.TrimRight(what, ": "), "write it as a patch for kubectl patch --type strategic"}
	}
	var out batchv1.Job
	if err := json.Unmarshal(after, &out); err != nil {
		return nil, &FieldError{"spec.job", "makes the Job invalid: " + err.Error(), "correct the type of this field"}
	}
	if err := keepsPromises(job, &out); err != nil {
		return nil, err
	}
	if err := admissible(job, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// checkPatch refuses fields that a Job does not have, which the merge would carry along and the decoding drop in silence.
func checkPatch(patch json.RawMessage) error {
	var tree any
	if err := json.Unmarshal(patch, &tree); err != nil {
		return &FieldError{"spec.job", "is not JSON: " + err.Error(), "write it as a patch of a Job"}
	}
	plain, err := json.Marshal(withoutDirectives(tree))
	if err != nil {
		return fmt.Errorf("encode patch: %w", err)
	}
	strict, err := sigsjson.UnmarshalStrict(plain, &batchv1.Job{})
	if err != nil {
		return &FieldError{"spec.job", strings.TrimPrefix(err.Error(), "json: "), "correct the type of this field"}
	}
	if len(strict) == 0 {
		return nil
	}
	field := "spec.job"
	if at, ok := strict[0].(sigsjson.FieldError); ok {
		field += "." + strings.TrimPrefix(at.FieldPath(), ".")
	}
	return &FieldError{field, "is not a field of a Job", "correct its name or leave it out"}
}

// withoutDirectives drops what belongs to the merge and not to the Job: nulls, which delete, and keys like $patch.
func withoutDirectives(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if e == nil || strings.HasPrefix(k, "$") {
				delete(v, k)
				continue
			}
			v[k] = withoutDirectives(e)
		}
	case []any:
		for i := range v {
			v[i] = withoutDirectives(v[i])
		}
	}
	return v
}

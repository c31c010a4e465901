package manifests

import (
	"regexp"
	"slices"
	"strings"
)

// imageReference is the grammar of github.com/distribution/reference: a host with its port, a repository, a tag, a digest, of
// which only the repository must be there.
var imageReference = regexp.MustCompile(`^(?:(?:[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?)*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?/)?` +
	`[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*` +
	`(?::[A-Za-z0-9_][-.A-Za-z0-9_]{0,127})?(?:@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?$`)

// IsImage reports whether the text can name an image. The kubelet refuses a Pod with one that cannot, and the API server does not.
func IsImage(reference string) bool { return imageReference.MatchString(reference) }

// movingTags are what people call the tags that they move: those of branches, stages and channels.
var movingTags = []string{
	"latest", "stable", "edge", "nightly", "canary", "next", "current", "lts", "alpha", "beta", "rc", "release", "snapshot",
	"main", "master", "trunk", "head", "dev", "devel", "develop", "development", "test", "testing", "qa", "uat", "preview",
	"stage", "staging", "prod", "production", "live",
}

// Moves reports whether an image's reference will, by its looks, mean another image some day: it has no digest, and no tag
// or one that people move.
func Moves(image string) bool {
	if strings.Contains(image, "@") {
		return false
	}
	_, tag, found := strings.Cut(image[strings.LastIndexByte(image, '/')+1:], ":")
	return !found || slices.Contains(movingTags, strings.ToLower(tag))
}

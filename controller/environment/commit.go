package environment

import (
	"fmt"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// maxListed bounds the overlays a commit message lists.
const maxListed = 50

// commit makes the commit of a tree that was rendered from source. It is dated after its source, whatever the clocks say: the
// history is read in the order of dates.
func (s *stage) commit(a Author, key Signing, source *object.Commit, tree plumbing.Hash, message string) (plumbing.Hash, error) {
	by := object.Signature{Name: a.Name, Email: a.Email, When: time.Now()}
	if after := source.Committer.When.Add(time.Second); by.When.Before(after) {
		by.When = after
	}
	c := &object.Commit{
		Author: by, Committer: by,
		Message:      message,
		TreeHash:     tree,
		ParentHashes: []plumbing.Hash{source.Hash},
	}
	if err := key.sign(c); err != nil {
		return plumbing.ZeroHash, err
	}
	return s.put(c.Encode)
}

// message is a commit's message, trailer last.
func message(source plumbing.Hash, overlays []string) string {
	var b strings.Builder
	if len(overlays) == 1 {
		fmt.Fprintf(&b, "Render schema migrations of %s\n", overlays[0])
	} else {
		fmt.Fprintf(&b, "Render schema migrations of %d overlays\n\n", len(overlays))
		for i, o := range overlays {
			if i == maxListed {
				fmt.Fprintf(&b, "and %d more\n", len(overlays)-i)
				break
			}
			fmt.Fprintln(&b, o)
		}
	}
	fmt.Fprintf(&b, "\n%s: %s\n", trailer, source)
	return b.String()
}

package environment

import (
	"context"
	"crypto/sha256"
	"fmt"
	"regexp"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// PullRequest has rendered files proposed on a branch of their own instead of pushed to the branch itself. The zero value
// pushes.
type PullRequest struct {
	// Branch is the branch that pull requests come from, as in "schemawave/{branch}". It is Schemawave's own: rewritten when
	// the sources change, and deleted when nothing is left to propose.
	Branch string `json:"branch,omitempty" yaml:"branch,omitempty"`
}

// ownBranch is the branch of the pull request; empty where there is none.
func (r Repository) ownBranch() string {
	return strings.ReplaceAll(r.PullRequest.Branch, "{branch}", r.Branch)
}

// branches are those that are written.
func (r Repository) branches() []string {
	if own := r.ownBranch(); own != "" {
		return []string{r.Branch, own}
	}
	return []string{r.Branch}
}

// changesTrailer names, in a proposed commit and in the text of its pull request, what they change.
const changesTrailer = "Schemawave-Changes"

// overlaysTrailer names, in the text of a pull request, what changes of each overlay, in the first digits of its digest.
const overlaysTrailer = "Schemawave-Overlays"

var overlaysLine = regexp.MustCompile(`(?m)^` + overlaysTrailer + `: ([0-9a-f ]+)\s*$`)

// overlayDigits are those that tell the changes of one overlay from others; maxDigests bounds how many fit into a text.
const (
	overlayDigits = 16
	maxDigests    = 1000
)

// declined finds the changes of overlays that people closed a pull request about.
func declined(pulls []*pull) map[string]*pull {
	found := map[string]*pull{}
	for _, p := range pulls {
		if m := overlaysLine.FindStringSubmatch(p.body); m != nil && !p.open && !p.merged {
			for _, digest := range strings.Fields(m[1]) {
				found[digest] = p
			}
		}
	}
	return found
}

var changesLine = regexp.MustCompile(`(?m)^` + changesTrailer + `: ([0-9a-f]{64})\s*$`)

// changesIn returns what a proposal's text says it changes; empty if it is none.
func changesIn(text string) string {
	if m := changesLine.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

// proposal is what one pass has to propose.
type proposal struct {
	head    *object.Commit // the tip of the branch it is for
	edits   []edit
	changes string        // a digest of what the edits change
	digests []string      // of each overlay's
	own     plumbing.Hash // where the own branch is; zero: nowhere
	ours    bool          // nothing on the own branch is anybody else's
	there   string        // the changes that the own branch proposes already; empty if it is not ours
	last    *pull         // the newest pull request
}

// propose brings the own branch and its pull request to what the edits ask for. It leaves the checkout as it was before
// rendering: the files are not on the branch yet.
func (w *writer) propose(ctx context.Context, head *object.Commit, o *outcome, rep *Report) error {
	p := proposal{head: head, own: w.remote.own}
	rendered := o.rendered
	err := w.consider(ctx, &p, o)
	for _, overlay := range rendered {
		if undo := w.checkout.restore(w.clone, overlay); undo != nil {
			return undo
		}
	}
	if err != nil {
		return err
	}
	switch {
	case len(rendered) == 0 || len(p.edits) == 0 && p.last.open:
		return w.withdraw(ctx, p)
	case len(p.edits) == 0:
		return nil
	case p.last != nil && !p.last.open && !p.last.merged && changesIn(p.last.body) == p.changes: // its overlays did not fit into the text
		w.leave(o, wasClosed, p)
		o.pending = nil
		return nil
	case !p.ours:
		w.leave(o, "the branch of the pull request holds commits of others; it is left alone until it is merged or deleted", p)
		return nil
	}
	o.pending = o.rendered
	return w.offer(ctx, p, o.rendered, rep)
}

// wasClosed is why an overlay is not proposed.
const wasClosed = "the pull request was closed without merging; nothing is proposed until a source changes"

// consider looks at what there is, and holds the overlays of which a person closed what would be proposed. Without rendered
// overlays and an own branch there is nothing to ask the host for.
func (w *writer) consider(ctx context.Context, p *proposal, o *outcome) (err error) {
	if len(o.rendered) == 0 && p.own.IsZero() {
		return nil
	}
	if p.ours, p.there, err = w.owns(ctx, p.head.Hash, p.own); err != nil {
		return err
	}
	pulls, err := w.api.pulls(ctx, w.repo.ownBranch(), w.repo.Branch)
	if err != nil {
		return err
	}
	if len(pulls) > 0 {
		p.last = pulls[0]
	}
	no := declined(pulls)
	var kept []string
	for _, overlay := range o.rendered {
		digest, err := w.digest(p.head.TreeHash, o.edits[overlay])
		if err != nil {
			return err
		}
		digest = digest[:overlayDigits]
		if in := no[digest]; in != nil {
			o.rendered = []string{overlay}
			w.leave(o, wasClosed, proposal{last: in})
			continue
		}
		kept = append(kept, overlay)
		p.edits, p.digests = append(p.edits, o.edits[overlay]...), append(p.digests, digest)
	}
	o.rendered, o.pending = kept, nil
	p.changes, err = w.digest(p.head.TreeHash, p.edits)
	return err
}

// digest tells changes apart: by each path, and what was there and will be.
func (w *writer) digest(tree plumbing.Hash, edits []edit) (string, error) {
	sum := sha256.New()
	for _, e := range edits {
		was, err := w.clone.lookup(tree, e.path)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%q %s %s %s %s\n", e.path, was.mode, was.hash, e.mode, plumbing.ComputeHash(plumbing.BlobObject, e.content))
	}
	return fmt.Sprintf("%x", sum.Sum(nil)), nil
}

// owns reports whether the own branch can be rewritten: it does not exist, it is one commit of ours on top of a commit of
// the branch, as we made it, or all of it is merged.
func (w *writer) owns(ctx context.Context, tip, own plumbing.Hash) (ours bool, changes string, err error) {
	if own.IsZero() || own == tip {
		return true, "", nil
	}
	if err := w.remote.fetchOwn(ctx, w.clone, own); err != nil {
		return false, "", err
	}
	c, err := w.clone.commit(own)
	if err != nil {
		return false, "", err
	}
	as := w.author
	if isOurs(c) && c.Committer.Name == as.Name && c.Committer.Email == as.Email && len(c.ParentHashes) == 1 &&
		strings.Contains(c.Message, trailer+": "+c.ParentHashes[0].String()+"\n") {
		return true, changesIn(c.Message), nil
	}
	for depth := 32; ; depth *= 16 {
		merged, err := w.clone.descends(tip, own)
		if err != nil || merged || depth > maxHistory*16 {
			return merged, "", err
		}
		if _, err := w.remote.fetch(ctx, w.clone, min(depth, maxHistory)); err != nil {
			return false, "", fmt.Errorf("look for merges: %w", err)
		}
	}
}

// leave gives way to a person.
func (w *writer) leave(o *outcome, why string, p proposal) {
	link := ""
	if p.last != nil {
		link = p.last.url
	}
	for _, overlay := range o.rendered {
		if !w.held[overlay] {
			w.log.Warn(why, "overlay", overlay, "pull_request", link)
			w.held[overlay] = true
		}
	}
	o.held, o.pending, o.rendered = append(o.held, o.rendered...), o.rendered, nil
}

// withdraw ends what is proposed no longer: it was merged, or is not needed.
func (w *writer) withdraw(ctx context.Context, p proposal) error {
	if p.own.IsZero() || !p.ours {
		return nil
	}
	if p.last != nil && p.last.open {
		// It is no person who closes it: what it proposed may be proposed again.
		if err := w.api.edit(ctx, p.last, description{"Render schema migrations: nothing is left to propose", "No overlay differs from what is rendered.\n"}); err != nil {
			return fmt.Errorf("close the pull request: %w", err)
		}
		if err := w.api.close(ctx, p.last); err != nil {
			return fmt.Errorf("close the pull request: %w", err)
		}
	}
	if err := w.remote.deleteOwn(ctx, p.own); err != nil {
		return err
	}
	w.log.Info("nothing is left to propose", "deleted", w.repo.ownBranch())
	return nil
}

// offer pushes the proposed commit, unless it is there, and opens its pull request or brings it up to date.
func (w *writer) offer(ctx context.Context, p proposal, overlays []string, rep *Report) error {
	text := describe(w.repo.Branch, p, overlays)
	if p.there != p.changes {
		commit, err := w.pushOwn(ctx, p, overlays)
		if err != nil {
			return err
		}
		w.log.Info("proposed", "commit", commit.String(), "source", p.head.Hash.String(), "overlays", len(overlays), "files", len(p.edits))
		rep.Result, rep.Commit, rep.Rendered = Proposed, commit.String(), overlays
	}
	var err error
	switch {
	case p.last == nil || !p.last.open:
		if p.last, err = w.api.open(ctx, w.repo.ownBranch(), w.repo.Branch, text); err != nil {
			return fmt.Errorf("open a pull request: %w", err)
		}
		w.log.Info("opened a pull request", "pull_request", p.last.url)
		rep.Result = Proposed
	case changesIn(p.last.body) != p.changes:
		if err = w.api.edit(ctx, p.last, text); err != nil {
			return fmt.Errorf("update the pull request: %w", err)
		}
	}
	rep.PullRequest = p.last.url
	return nil
}

// pushOwn moves the own branch from where it was seen to a new commit.
func (w *writer) pushOwn(ctx context.Context, p proposal, overlays []string) (plumbing.Hash, error) {
	s := newStage(w.clone)
	tree, err := s.rewrite(p.head.TreeHash, p.edits)
	if err != nil {
		return plumbing.ZeroHash, fmt.Errorf("commit: %w", err)
	}
	commit, err := s.commit(w.author, w.signing, p.head, tree, message(p.head.Hash, overlays)+changesTrailer+": "+p.changes+"\n")
	if err != nil {
		return plumbing.ZeroHash, fmt.Errorf("commit: %w", err)
	}
	pack, err := s.pack()
	if err != nil {
		return plumbing.ZeroHash, err
	}
	if err := w.remote.pushOwn(ctx, p.own, commit, pack); err != nil {
		return plumbing.ZeroHash, err
	}
	return commit, nil
}

// describe is the text of a pull request.
func describe(branch string, p proposal, overlays []string) description {
	full := message(p.head.Hash, overlays)
	title, list, _ := strings.Cut(full, "\n")
	list, _, _ = strings.Cut(list, trailer)
	var b strings.Builder
	fmt.Fprintf(&b, "Rendered from %s of %s.\n\n", p.head.Hash, branch)
	for overlay := range strings.Lines(strings.TrimSpace(list)) {
		fmt.Fprintf(&b, "- %s\n", strings.TrimSpace(overlay))
	}
	b.WriteString("\nMerge it, and Argo CD runs the migrations with its next sync. Close it, and nothing is proposed until a source of " +
		"these overlays changes. The branch is rewritten when that happens, but not once it holds a commit of yours.\n\n")
	fmt.Fprintf(&b, "%s: %s\n", overlaysTrailer, strings.Join(p.digests[:min(len(p.digests), maxDigests)], " "))
	fmt.Fprintf(&b, "%s: %s\n", changesTrailer, p.changes)
	return description{clip(title, 255), b.String()}
}

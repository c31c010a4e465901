package environment

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	"golang.org/x/crypto/ssh/knownhosts"
)

// Bounds of one conversation with the host.
const (
	openTimeout  = time.Minute
	fetchTimeout = 10 * time.Minute // a first fetch of a large repository
	pushTimeout  = 2 * time.Minute
	allHistory   = math.MaxInt32 // the depth with which git itself asks for everything

	recentHistory = 32 // the depth of a fetch after the first
)

// errMoved says that the branch is no longer where it was when the pass began: somebody else pushed.
var errMoved = errors.New("somebody else pushed in between")

// remote speaks with the host of one repository about one branch, with go-git's transports but not its porcelain: a
// fetch asks for one branch at a depth, and a push is a compare-and-swap of exactly the objects made here.
type remote struct {
	dialer *dialer
	branch plumbing.ReferenceName
	beside plumbing.ReferenceName // the branch of the pull request; empty if there is none
	own    plumbing.Hash          // where that was when the host was last asked, or pushed to
	azure  bool                   // Azure DevOps serves no client without multi_ack, and go-git cannot negotiate with it
}

func newRemote(r Repository) (*remote, error) {
	ep, err := transport.NewEndpoint(r.URL)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	host := strings.ToLower(ep.Host)
	d := newDialer(r)
	d.endpoint = ep
	var beside plumbing.ReferenceName
	if own := r.ownBranch(); own != "" {
		beside = plumbing.NewBranchReferenceName(own)
	}
	return &remote{
		dialer: d,
		branch: plumbing.NewBranchReferenceName(r.Branch),
		beside: beside,
		azure:  strings.HasSuffix(host, "dev.azure.com") || strings.HasSuffix(host, ".visualstudio.com"),
	}, nil
}

// fetch returns the tip of the branch, after bringing it and what it needs into the clone. Without a depth, only what
// the clone lacks is asked for, and no more than recentHistory; with one, that many commits of history, which the clone
// then has at least.
func (r *remote) fetch(ctx context.Context, c *clone, depth int) (plumbing.Hash, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	s, adv, err := r.openUpload(ctx)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	defer s.Close()
	tip, err := r.tipOf(adv)
	r.own = adv.References[r.beside.String()]
	if err != nil || depth == 0 && c.has(tip) {
		return tip, err
	}
	req := packp.NewUploadPackRequestFromCapabilities(adv.Capabilities)
	req.Wants = []plumbing.Hash{tip}
	if adv.Capabilities.Supports(capability.Shallow) {
		_ = req.Capabilities.Set(capability.Shallow)
		req.Shallows = c.shallows()
		switch {
		case depth > 0:
		case c.tip.IsZero():
			depth = 1
		default:
			depth = recentHistory // without one, a merge of a branch that began before the clone brings all history
		}
		req.Depth = packp.DepthCommits(depth)
	}
	if r.azure {
		_ = req.Capabilities.Set(capability.MultiACK)
	} else if !c.tip.IsZero() {
		req.Haves = []plumbing.Hash{c.tip}
	}
	if err := r.download(ctx, s, req, c); err != nil {
		return tip, err
	}
	c.tip = tip
	return tip, nil
}

// fetchOwn brings the tip of the pull request's branch into the clone, without its history.
func (r *remote) fetchOwn(ctx context.Context, c *clone, own plumbing.Hash) error {
	if c.has(own) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	s, adv, err := r.openUpload(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	if adv.References[r.beside.String()] != own {
		return errMoved
	}
	req := packp.NewUploadPackRequestFromCapabilities(adv.Capabilities)
	req.Wants = []plumbing.Hash{own}
	if adv.Capabilities.Supports(capability.Shallow) {
		_ = req.Capabilities.Set(capability.Shallow)
		req.Shallows, req.Depth = c.shallows(), packp.DepthCommits(1)
	}
	if r.azure {
		_ = req.Capabilities.Set(capability.MultiACK)
	} else {
		req.Haves = []plumbing.Hash{c.tip}
	}
	return r.download(ctx, s, req, c)
}

// download receives one pack into the clone.
func (r *remote) download(ctx context.Context, s transport.UploadPackSession, req *packp.UploadPackRequest, c *clone) error {
	res, err := s.UploadPack(ctx, req)
	if err != nil {
		return r.explain(ctx, "fetch", err)
	}
	defer res.Close()
	pack := io.Reader(res)
	switch {
	case req.Capabilities.Supports(capability.Sideband64k):
		pack = sideband.NewDemuxer(sideband.Sideband64k, res)
	case req.Capabilities.Supports(capability.Sideband):
		pack = sideband.NewDemuxer(sideband.Sideband, res)
	}
	err = packfile.UpdateObjectStorage(c.objects, pack)
	if err != nil && !errors.Is(err, packfile.ErrEmptyPackfile) {
		c.torn = true
		if isLocal(err) {
			return fmt.Errorf("fetch: %w", err)
		}
		return r.explain(ctx, "fetch", err)
	}
	c.fetched(res.Shallows, res.Unshallows)
	return nil
}

// isLocal reports whether it was the clone's disk that failed, not the host or the way to it.
func isLocal(err error) bool {
	var file *fs.PathError
	var renamed *os.LinkError
	return errors.As(err, &file) || errors.As(err, &renamed)
}

// push moves the branch from base to commit, or not at all. It returns errMoved where the branch is elsewhere by now,
// and nil also where the host took the push but its answer was lost.
func (r *remote) push(ctx context.Context, base, commit plumbing.Hash, pack []byte) error {
	return r.move(ctx, r.branch, base, commit, pack)
}

// pushOwn is push for the branch of the pull request, where a commit need not be on top of the one it replaces: it is
// replaced only if it is still there. A base of zero makes the branch.
func (r *remote) pushOwn(ctx context.Context, base, commit plumbing.Hash, pack []byte) error {
	err := r.move(ctx, r.beside, base, commit, pack)
	if err == nil {
		r.own = commit
	}
	return err
}

// deleteOwn deletes the branch of the pull request, if it is still there.
func (r *remote) deleteOwn(ctx context.Context, base plumbing.Hash) error {
	return r.pushOwn(ctx, base, plumbing.ZeroHash, nil)
}

// move is a compare-and-swap of one reference.
func (r *remote) move(ctx context.Context, ref plumbing.ReferenceName, base, commit plumbing.Hash, pack []byte) error {
	ctx, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	refused := r.send(ctx, ref, base, commit, pack)
	if refused == nil || errors.Is(refused, errMoved) {
		return refused
	}
	// Hosts word a lost race in many ways, and the answer may have been lost. Where the branch is now is what counts.
	s, adv, err := r.openUpload(ctx)
	if err != nil {
		return refused
	}
	defer s.Close()
	switch adv.References[ref.String()] {
	case commit:
		return nil
	case base:
		return refused
	}
	return errMoved
}

func (r *remote) send(ctx context.Context, ref plumbing.ReferenceName, base, commit plumbing.Hash, pack []byte) error {
	t, auth, err := r.dialer.login(ctx)
	if err != nil {
		return err
	}
	s, err := opened(ctx, func() (transport.ReceivePackSession, error) {
		return t.NewReceivePackSession(r.dialer.endpoint, auth)
	})
	if err != nil {
		return r.explain(ctx, "push", err)
	}
	defer s.Close()
	adv, err := s.AdvertisedReferencesContext(ctx)
	if err != nil {
		return r.explain(ctx, "push", err)
	}
	if adv.References[ref.String()] != base {
		return errMoved
	}
	var said bytes.Buffer
	req := packp.NewReferenceUpdateRequestFromCapabilities(adv.Capabilities)
	if adv.Capabilities.Supports(capability.Sideband64k) {
		_ = req.Capabilities.Set(capability.Sideband64k)
		req.Progress = &said
	}
	req.Commands = []*packp.Command{{Name: ref, Old: base, New: commit}}
	if commit.IsZero() {
		_ = req.Capabilities.Set(capability.DeleteRefs)
	} else {
		req.Packfile = io.NopCloser(bytes.NewReader(pack))
	}
	report, err := s.ReceivePack(ctx, req)
	if err == nil && report == nil { // go-git takes an empty answer for success
		return &Fault{FaultUnreachable, errors.New("push: the host broke off without an answer")}
	}
	if err != nil {
		return r.refused(ctx, ref, err, said.String())
	}
	return nil
}

// openUpload starts a conversation about fetching and returns what the host has.
func (r *remote) openUpload(ctx context.Context) (transport.UploadPackSession, *packp.AdvRefs, error) {
	t, auth, err := r.dialer.login(ctx)
	if err != nil {
		return nil, nil, err
	}
	s, err := opened(ctx, func() (transport.UploadPackSession, error) {
		return t.NewUploadPackSession(r.dialer.endpoint, auth)
	})
	if err != nil {
		return nil, nil, r.explain(ctx, "fetch", err)
	}
	adv, err := s.AdvertisedReferencesContext(ctx)
	if err != nil {
		s.Close()
		return nil, nil, r.explain(ctx, "fetch", err)
	}
	return s, adv, nil
}

// opened bounds opening a session, which over ssh go-git does without a context. A host that takes a connection and then
// says nothing keeps one goroutine until it lets go.
func opened[S io.Closer](ctx context.Context, open func() (S, error)) (S, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	type result struct {
		session S
		err     error
	}
	done := make(chan result, 1)
	go func() {
		s, err := open()
		if err == nil && ctx.Err() != nil {
			s.Close() // nobody waits for it any more
		}
		done <- result{s, err}
	}()
	select {
	case r := <-done:
		return r.session, r.err
	case <-ctx.Done():
		var none S
		return none, fmt.Errorf("the host takes the connection and says nothing: %w", ctx.Err())
	}
}

func (r *remote) tipOf(adv *packp.AdvRefs) (plumbing.Hash, error) {
	tip, ok := adv.References[r.branch.String()]
	if !ok {
		return tip, &Fault{Reason: FaultConfiguration, Err: fmt.Errorf("the repository has no branch %s: create it or correct branch", r.branch.Short())}
	}
	return tip, nil
}

// explain tells what is wrong in a person's terms, and the remedy.
func (r *remote) explain(ctx context.Context, op string, err error) error {
	var unreachable *url.Error
	var hostKey *knownhosts.KeyError
	switch {
	case errors.As(err, &hostKey):
		return &Fault{FaultAuth, fmt.Errorf("%s: the host's key is not the one in credentials.knownHostsFile: compare it with ssh-keyscan, and with what the host publishes", op)}
	case errors.Is(err, transport.ErrAuthenticationRequired) && r.dialer.app != nil:
		r.dialer.app.drop()
		return &Fault{FaultAuth, fmt.Errorf("%s: the host refuses the GitHub App's token: check that it is installed for the repository", op)}
	case errors.Is(err, transport.ErrAuthenticationRequired), strings.Contains(err.Error(), "ssh: unable to authenticate"):
		return &Fault{FaultAuth, fmt.Errorf("%s: the host refuses the credentials: check credentials, and that the token or key has not expired", op)}
	case errors.Is(err, transport.ErrAuthorizationFailed):
		return &Fault{FaultAuth, fmt.Errorf("%s: the credentials lack the right to %s: grant them read and write on the repository: %s", op, op, firstLine(err.Error()))}
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return &Fault{FaultAuth, fmt.Errorf("%s: the host knows no such repository, or hides it from these credentials: check url and credentials", op)}
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return &Fault{FaultConfiguration, fmt.Errorf("%s: the repository is empty: push a first commit to %s", op, r.branch.Short())}
	case busyOf(err) != nil:
		return &Fault{FaultUnreachable, fmt.Errorf("%s: %w", op, busyOf(err))}
	case ctx.Err() != nil:
		return &Fault{FaultUnreachable, fmt.Errorf("%s: %w", op, ctx.Err())}
	case errors.As(err, &unreachable):
		return &Fault{FaultUnreachable, fmt.Errorf("%s: the host cannot be reached: %w", op, unreachable.Err)}
	}
	return &Fault{FaultUnreachable, fmt.Errorf("%s: the host does not answer as a git host should: check url: %w", op, err)}
}

// busyOf returns what an answer over HTTP says that asks to be left alone; nil if it does not.
func busyOf(err error) error {
	var answer *githttp.Err
	if wrapped := (*plumbing.UnexpectedError)(nil); !errors.As(err, &wrapped) || !errors.As(wrapped.Err, &answer) { // it has no Unwrap
		return nil
	}
	wait := retryAfter(answer.Response.Header)
	switch answer.StatusCode() {
	case http.StatusTooManyRequests:
		return &busyError{errors.New("the host limits the rate of requests (429)"), wait}
	case http.StatusServiceUnavailable:
		return &busyError{errors.New("the host is overloaded or under maintenance (503)"), wait}
	}
	return nil
}

// refused tells why the host did not take a push, in its own words where it said some.
func (r *remote) refused(ctx context.Context, ref plumbing.ReferenceName, err error, said string) error {
	if errors.Is(err, transport.ErrAuthenticationRequired) || errors.Is(err, transport.ErrAuthorizationFailed) || busyOf(err) != nil || ctx.Err() != nil {
		return r.explain(ctx, "push", err)
	}
	var lines []string
	for line := range strings.Lines(said) {
		if line = strings.TrimSpace(line); line != "" && len(lines) < 10 {
			lines = append(lines, line)
		}
	}
	words := strings.TrimPrefix(err.Error(), "command error on "+ref.String()+": ")
	if len(lines) > 0 {
		words += " (" + strings.Join(lines, "; ") + ")"
	}
	return &Fault{FaultRejected, fmt.Errorf("push: the host refuses it: %s: if %s is protected, allow this user to push to it", words, ref.Short())}
}

// firstLine cuts what a host's error page says.
func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return s[:min(len(s), 200)]
}

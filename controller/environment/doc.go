// Package environment turns pushes to environment repositories into rendered overlays: a push wakes the writer of its
// repository and branch, which fetches, renders the overlays whose sources changed, commits a real difference, pushes,
// and has the Applications of these overlays refreshed.
//
// # One writer, level-triggered
//
// Each repository and branch has one writer, and a writer makes one pass at a time. A webhook, the poll and a retry only
// wake it; what a pass does follows from the tip it fetches, so a lost or repeated wake-up does no harm. A push is a
// compare-and-swap on the tip that was rendered: where somebody else pushed in between, nothing is merged or forced;
// the pass starts again from the new tip and renders anew.
//
// A pass renders the overlays that a change since the last pass can reach: through the overlay's own directory, through
// the resources, components, bases and files its kustomizations name, and through its migrations directory. The first
// pass after a start, and one after a rewritten history, looks at every overlay. An overlay that cannot be rendered is
// reported and left as it is; the others are committed. A commit holds only generated files: those below the overlay's
// schemawave directory, and its kustomization.
//
// # Own commits and reverts
//
// A commit of ours ends with the trailer "Schemawave-Rendered: <commit it was rendered from>" and is never answered
// with another one. A person's word is final: where somebody reverted or edited generated files and no source of the
// overlay changed since we wrote them, the overlay is left alone ("held") until one of its sources changes. While
// running, that is a push whose changes to the overlay are generated files only. After a start it is read from the
// history: the newest commit of ours that wrote the overlay was rendered from the sources it has now, and yet the
// generated files are not those of that commit. If they are those, and rendering gives others, Schemawave itself has
// changed and the overlay is rendered.
//
// # Git
//
// The git binary is not needed. The clone is bare and shallow, with a checkout beside it, both below Config.Directory
// and made anew at each start, so an emptyDir is enough. Changes are found by comparing trees, and a commit is built
// from the trees on the changed paths, so a pass costs what changed, not what the repository holds. History is fetched
// only as far back as a decision about a revert needs, and 32 commits of it with what was pushed since the last pass, so
// that a merge of an old branch costs no more; after a push of more, every overlay is looked at. Symbolic links that leave
// the repository are not checked out, and submodules and large-file pointers are not followed.
//
// # Pull requests
//
// With Repository.PullRequest the branch is only read. What has to change is one commit on a branch beside it, from which a
// pull request is opened. That branch is ours, and moves by compare-and-swap too: from the commit that was seen, to one on
// top of the newest tip, and only when what it changes has changed. Once it holds a commit that is not as we made it, it is
// left alone until that is merged or the branch deleted. A pull request that was closed without merging is a person's word,
// for each of its overlays final until a source of it changes: the last 50 are looked at. When nothing is left to propose,
// the pull request is closed and the branch deleted.
//
// # What cannot be rendered
//
// It is logged, counted, announced and, with Repository.Host, set as the status of the commit, each when it changes and
// again when it is mended, beside the passes: no announcement holds up a push.
//
// # Signatures
//
// With Config.Signing every commit carries a signature of OpenPGP or SSH that git verify-commit accepts. Without the key
// nothing is pushed.
//
// # Replicas
//
// Only the leader writes: it calls Run. Every replica may serve Webhook; one that is not running passes a delivery on
// to the leader where Options.Leader says where that is, and else answers 503. A delivery lost on the way is made up by
// the leader's poll, and a new leader looks at everything anyway.
package environment

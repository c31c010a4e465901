package environment

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

const apiToken = "an access token"

// forge is a git host's API: pull requests and statuses in memory, spoken in the dialect of each kind of host as its
// documentation has it. A request that is not as documented fails the test.
type forge struct {
	t    testing.TB
	kind HostKind
	*httptest.Server

	mu       sync.Mutex
	down     bool // answers 503
	requests int
	pulls    []*forgePull // oldest first
	statuses []string     // "commit name: failed|ok: text"
}

type forgePull struct {
	id                             int
	from, into, title, body, state string // open, closed, merged
	fork                           int    // 1: the branch is a fork's
}

func newForge(t testing.TB, kind HostKind) *forge {
	t.Helper()
	f := &forge{t: t, kind: kind}
	mux := http.NewServeMux()
	dialects[kind](f, mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("%s: not in the documentation: %s %s", kind, r.Method, r.URL)
		http.NotFound(w, r)
	})
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.requests++
		if f.down {
			http.Error(w, "away", http.StatusServiceUnavailable)
			return
		}
		want := map[HostKind]string{Gitea: "token " + apiToken, Azure: "Basic OmFuIGFjY2VzcyB0b2tlbg=="}[kind]
		if want == "" {
			want = "Bearer " + apiToken
		}
		if r.Header.Get("Authorization") != want {
			http.Error(w, `{"message":"Bad credentials"}`, http.StatusUnauthorized)
			return
		}
		if kind == Azure && r.URL.Query().Get("api-version") != "7.1" {
			t.Errorf("no version in %s", r.URL)
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

// host is what a repository is configured with.
func (f *forge) host(o *Options) {
	r := &o.Config.Repositories[0]
	r.Host = Host{Kind: f.kind, APIURL: f.URL, TokenFile: put(f.t, "token", []byte(apiToken+"\n"))}
}

// proposing is host, with pull requests.
func (f *forge) proposing(o *Options) {
	f.host(o)
	o.Config.Repositories[0].PullRequest.Branch = "schemawave/{branch}"
}

// set changes the newest pull request, as a person does.
func (f *forge) set(state string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pulls[len(f.pulls)-1].state = state
}

func (f *forge) newest() forgePull {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.pulls) == 0 {
		return forgePull{}
	}
	return *f.pulls[len(f.pulls)-1]
}

func (f *forge) said() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.statuses)
}

// find lists the pull requests between two branches, newest first.
func (f *forge) find(from, into string) (found []*forgePull) {
	for _, p := range slices.Backward(f.pulls) {
		if p.from == from && p.into == into && (p.fork == 0 || f.listsForks()) {
			found = append(found, p)
		}
	}
	return found
}

// listsForks reports whether the host lists pull requests of forks along with those from a branch of the same name.
func (f *forge) listsForks() bool { return f.kind == GitLab || f.kind == Azure }

func (f *forge) open(from, into, title, body string) *forgePull {
	if from == "" || into == "" || title == "" || body == "" {
		f.t.Errorf("%s: a pull request from %q into %q, %q, %q", f.kind, from, into, title, body)
	}
	for _, p := range f.find(from, into) {
		if p.state == "open" && p.fork == 0 {
			f.t.Errorf("%s: a second pull request", f.kind)
		}
	}
	p := &forgePull{len(f.pulls) + 1, from, into, title, body, "open", 0}
	f.pulls = append(f.pulls, p)
	return p
}

func (f *forge) pull(id string) *forgePull {
	for _, p := range f.pulls {
		if fmt.Sprint(p.id) == id {
			return p
		}
	}
	f.t.Errorf("%s: no pull request %s", f.kind, id)
	return &forgePull{}
}

// change is an edit, or an end.
func (f *forge) change(p *forgePull, title, body string, ended bool) {
	if p.state != "open" {
		f.t.Errorf("%s: a change of what is %s", f.kind, p.state)
	}
	if ended {
		p.state = "closed"
		return
	}
	p.title, p.body = title, body
}

func (f *forge) status(r *http.Request, name, state, failed, ok, text string) {
	if state != failed && state != ok {
		f.t.Errorf("%s: state %q", f.kind, state)
	}
	f.statuses = append(f.statuses, fmt.Sprintf("%s %s: %v: %s", r.PathValue("commit"), name, map[bool]string{true: "failed", false: "ok"}[state == failed], text))
}

// in reads a request's body.
func in(r *http.Request) (m map[string]any) {
	_ = json.NewDecoder(r.Body).Decode(&m)
	return m
}

// at reads a field, of fields.
func at(m map[string]any, path string) string {
	for {
		first, rest, deeper := strings.Cut(path, ".")
		if !deeper {
			s, _ := m[first].(string)
			return s
		}
		m, _ = m[first].(map[string]any)
		path = rest
	}
}

func answerWith(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }

func list[T any](pulls []*forgePull, one func(*forgePull) T) []T {
	out := []T{}
	for _, p := range pulls {
		out = append(out, one(p))
	}
	return out
}

type fields = map[string]any

// dialects hold each host's API for the repository at its path of a configured URL.
var dialects = map[HostKind]func(*forge, *http.ServeMux){
	GitHub: func(f *forge, mux *http.ServeMux) { f.githubLike(mux, true) },
	Gitea:  func(f *forge, mux *http.ServeMux) { f.githubLike(mux, false) },
	GitLab: func(f *forge, mux *http.ServeMux) {
		show := func(p *forgePull) fields {
			return fields{"iid": p.id, "web_url": fmt.Sprint("https://host/", p.id), "description": p.body, "target_project_id": 1, "source_project_id": 1 + p.fork,
				"state": map[string]string{"open": "opened"}[p.state] + strings.TrimPrefix(p.state, "open")}
		}
		mux.HandleFunc("POST /projects/{project}/statuses/{commit}", func(w http.ResponseWriter, r *http.Request) {
			m := in(r)
			f.status(r, at(m, "name"), at(m, "state"), "failed", "success", at(m, "description"))
			answerWith(w, m)
		})
		mux.HandleFunc("GET /projects/{project}/merge_requests", func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			if q.Get("state") != "all" || q.Get("sort") != "desc" || q.Get("order_by") != "created_at" {
				f.t.Errorf("query %v", q)
			}
			answerWith(w, list(f.find(q.Get("source_branch"), q.Get("target_branch")), show))
		})
		mux.HandleFunc("POST /projects/{project}/merge_requests", func(w http.ResponseWriter, r *http.Request) {
			m := in(r)
			w.WriteHeader(http.StatusCreated)
			answerWith(w, show(f.open(at(m, "source_branch"), at(m, "target_branch"), at(m, "title"), at(m, "description"))))
		})
		mux.HandleFunc("PUT /projects/{project}/merge_requests/{id}", func(w http.ResponseWriter, r *http.Request) {
			m, p := in(r), f.pull(r.PathValue("id"))
			f.change(p, at(m, "title"), at(m, "description"), at(m, "state_event") == "close")
			answerWith(w, show(p))
		})
	},
	Bitbucket: func(f *forge, mux *http.ServeMux) {
		show := func(p *forgePull) fields {
			return fields{"id": p.id, "description": p.body, "state": map[string]string{"open": "OPEN", "closed": "DECLINED", "merged": "MERGED"}[p.state],
				"links": fields{"html": fields{"href": fmt.Sprint("https://host/", p.id)}}}
		}
		const repo = "/repositories/{workspace}/{slug}"
		mux.HandleFunc("POST "+repo+"/commit/{commit}/statuses/build", func(w http.ResponseWriter, r *http.Request) { f.buildStatus(w, r) })
		mux.HandleFunc("GET "+repo+"/pullrequests", func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			var repo, from, into string
			if _, err := fmt.Sscanf(q.Get("q"), "source.repository.full_name=%q AND source.branch.name=%q AND destination.branch.name=%q", &repo, &from, &into); err != nil || repo != "shop/env" || len(q["state"]) != 4 || q.Get("sort") != "-created_on" {
				f.t.Errorf("query %v", q)
			}
			answerWith(w, fields{"values": list(f.find(from, into), show)})
		})
		mux.HandleFunc("POST "+repo+"/pullrequests", func(w http.ResponseWriter, r *http.Request) {
			m := in(r)
			w.WriteHeader(http.StatusCreated)
			answerWith(w, show(f.open(at(m, "source.branch.name"), at(m, "destination.branch.name"), at(m, "title"), at(m, "description"))))
		})
		mux.HandleFunc("GET "+repo+"/pullrequests/{id}", func(w http.ResponseWriter, r *http.Request) {
			one := show(f.pull(r.PathValue("id")))
			one["reviewers"] = []fields{{"uuid": "{ada}"}}
			answerWith(w, one)
		})
		mux.HandleFunc("PUT "+repo+"/pullrequests/{id}", func(w http.ResponseWriter, r *http.Request) {
			m, p := in(r), f.pull(r.PathValue("id"))
			if reviewers, _ := m["reviewers"].([]any); len(reviewers) != 1 {
				f.t.Errorf("an edit that takes away reviewers: %v", m)
			}
			f.change(p, at(m, "title"), at(m, "description"), false)
			answerWith(w, show(p))
		})
		mux.HandleFunc("POST "+repo+"/pullrequests/{id}/decline", func(w http.ResponseWriter, r *http.Request) {
			f.change(f.pull(r.PathValue("id")), "", "", true)
			answerWith(w, fields{})
		})
	},
	BitbucketDataCenter: func(f *forge, mux *http.ServeMux) {
		show := func(p *forgePull) fields {
			return fields{"id": p.id, "version": 3, "description": p.body, "state": map[string]string{"open": "OPEN", "closed": "DECLINED", "merged": "MERGED"}[p.state],
				"links": fields{"self": []fields{{"href": fmt.Sprint("https://host/", p.id)}}}, "toRef": fields{"id": "refs/heads/" + p.into,
					"repository": fields{"slug": "env", "project": fields{"key": "SHOP"}}},
				"reviewers": []fields{{"user": fields{"name": "ada"}}}}
		}
		const repo = "/api/1.0/projects/{project}/repos/{slug}/pull-requests"
		const commits = "/api/1.0/projects/{project}/repos/{slug}/commits"
		branch := func(ref string) string { return strings.TrimPrefix(ref, "refs/heads/") }
		mux.HandleFunc("POST "+commits+"/{commit}/builds", func(w http.ResponseWriter, r *http.Request) { f.buildStatus(w, r) })
		mux.HandleFunc("GET "+repo, func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			if q.Get("state") != "ALL" || q.Get("direction") != "OUTGOING" || q.Get("order") != "NEWEST" {
				f.t.Errorf("query %v", q)
			}
			answerWith(w, fields{"values": list(f.find(branch(q.Get("at")), "main"), show)})
		})
		mux.HandleFunc("POST "+repo, func(w http.ResponseWriter, r *http.Request) {
			m := in(r)
			w.WriteHeader(http.StatusCreated)
			answerWith(w, show(f.open(branch(at(m, "fromRef.id")), branch(at(m, "toRef.id")), at(m, "title"), at(m, "description"))))
		})
		mux.HandleFunc("PUT "+repo+"/{id}", func(w http.ResponseWriter, r *http.Request) {
			m, p := in(r), f.pull(r.PathValue("id"))
			if reviewers, _ := m["reviewers"].([]any); m["version"] != 3.0 || len(reviewers) != 1 {
				f.t.Errorf("an edit that takes away reviewers: %v", m)
			}
			f.change(p, at(m, "title"), at(m, "description"), false)
			answerWith(w, show(p))
		})
		mux.HandleFunc("POST "+repo+"/{id}/decline", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("version") != "3" {
				f.t.Errorf("query %v", r.URL.Query())
			}
			f.change(f.pull(r.PathValue("id")), "", "", true)
			answerWith(w, fields{})
		})
	},
	Azure: func(f *forge, mux *http.ServeMux) {
		show := func(p *forgePull) fields {
			one := fields{"pullRequestId": p.id, "description": p.body, "status": map[string]string{"open": "active", "closed": "abandoned", "merged": "completed"}[p.state]}
			if p.fork == 1 {
				one["forkSource"] = fields{"name": "refs/heads/" + p.from}
			}
			return one
		}
		listed := func(p *forgePull) fields {
			one := show(p)
			one["description"] = p.body[:min(len(p.body), 400)]
			return one
		}
		const repo = "/{organisation}/{project}/_apis/git/repositories/{repository}"
		branch := func(ref string) string { return strings.TrimPrefix(ref, "refs/heads/") }
		mux.HandleFunc("POST "+repo+"/commits/{commit}/statuses", func(w http.ResponseWriter, r *http.Request) {
			m := in(r)
			f.status(r, at(m, "context.genre")+"/"+at(m, "context.name"), at(m, "state"), "failed", "succeeded", at(m, "description"))
			w.WriteHeader(http.StatusCreated)
		})
		mux.HandleFunc("GET "+repo+"/pullrequests", func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			if q.Get("searchCriteria.status") != "all" {
				f.t.Errorf("query %v", q)
			}
			answerWith(w, fields{"value": list(f.find(branch(q.Get("searchCriteria.sourceRefName")), branch(q.Get("searchCriteria.targetRefName"))), listed)})
		})
		mux.HandleFunc("POST "+repo+"/pullrequests", func(w http.ResponseWriter, r *http.Request) {
			m := in(r)
			w.WriteHeader(http.StatusCreated)
			answerWith(w, show(f.open(branch(at(m, "sourceRefName")), branch(at(m, "targetRefName")), at(m, "title"), at(m, "description"))))
		})
		mux.HandleFunc("GET "+repo+"/pullrequests/{id}", func(w http.ResponseWriter, r *http.Request) {
			answerWith(w, show(f.pull(r.PathValue("id"))))
		})
		mux.HandleFunc("PATCH "+repo+"/pullrequests/{id}", func(w http.ResponseWriter, r *http.Request) {
			m, p := in(r), f.pull(r.PathValue("id"))
			f.change(p, at(m, "title"), at(m, "description"), at(m, "status") == "abandoned")
			answerWith(w, show(p))
		})
	},
}

func (f *forge) githubLike(mux *http.ServeMux, search bool) {
	show := func(p *forgePull) fields {
		o := fields{"number": p.id, "html_url": fmt.Sprint("https://host/", p.id), "body": p.body, "state": p.state,
			"head": fields{"ref": p.from, "label": p.from, "repo_id": 1 + p.fork}, "base": fields{"ref": p.into, "label": p.into, "repo_id": 1}, "merged_at": nil}
		if p.state != "open" { // Gitea's, once the branch is deleted
			o["head"].(fields)["ref"] = fmt.Sprintf("refs/pull/%d/head", p.id)
		}
		if p.state == "merged" {
			o["state"], o["merged_at"] = "closed", "2026-01-02T03:04:05Z"
		}
		return o
	}
	const repo = "/repos/{owner}/{name}"
	mux.HandleFunc("POST "+repo+"/statuses/{commit}", func(w http.ResponseWriter, r *http.Request) {
		m := in(r)
		if n := len([]rune(at(m, "description"))); search && n > 140 {
			f.t.Errorf("a description of %d characters", n)
		}
		f.status(r, at(m, "context"), at(m, "state"), "failure", "success", at(m, "description"))
		w.WriteHeader(http.StatusCreated)
	})
	mux.HandleFunc("GET "+repo+"/pulls", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if q.Get("state") != "all" {
			f.t.Errorf("query %v", q)
		}
		if search {
			owner, from, _ := strings.Cut(q.Get("head"), ":")
			if owner != r.PathValue("owner") || q.Get("direction") != "desc" || q.Get("sort") != "created" {
				f.t.Errorf("query %v", q)
			}
			answerWith(w, list(f.find(from, q.Get("base")), show))
			return
		}
		all := slices.Clone(f.pulls)
		slices.Reverse(all)
		if q.Get("page") != "1" {
			all = nil
		}
		answerWith(w, list(all, show))
	})
	mux.HandleFunc("POST "+repo+"/pulls", func(w http.ResponseWriter, r *http.Request) {
		m := in(r)
		w.WriteHeader(http.StatusCreated)
		answerWith(w, show(f.open(at(m, "head"), at(m, "base"), at(m, "title"), at(m, "body"))))
	})
	mux.HandleFunc("PATCH "+repo+"/pulls/{id}", func(w http.ResponseWriter, r *http.Request) {
		m, p := in(r), f.pull(r.PathValue("id"))
		f.change(p, at(m, "title"), at(m, "body"), at(m, "state") == "closed")
		answerWith(w, show(p))
	})
}

func (f *forge) buildStatus(w http.ResponseWriter, r *http.Request) {
	m := in(r)
	if len(at(m, "key")) > 40 || at(m, "key") == "" || !strings.HasPrefix(at(m, "url"), "http") {
		f.t.Errorf("%s: a status without what is required: %v", f.kind, m)
	}
	f.status(r, at(m, "name"), at(m, "state"), "FAILED", "SUCCESSFUL", at(m, "description"))
	w.WriteHeader(http.StatusCreated)
}

// forgePath is where the repository of a test is on a host of this kind.
func forgePath(kind HostKind) string {
	if kind == Azure {
		return "acme/shop/_git/env"
	}
	return "shop/env"
}

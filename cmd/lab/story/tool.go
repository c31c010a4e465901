package story

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/schemawave/schemawave/cmd/lab/image"
	"github.com/schemawave/schemawave/events"
)

// Tool is an example whose team migrates with a tool of its own.
type Tool struct {
	Directory      string            // below examples, with the application, its overlay and its Application
	App            string            // where the application is with all that it depends on; empty if the example is all of it
	Database       string            // as its SchemaMigration names it
	User, Password string            // the variables of its Secret
	Packages       []string          // of Debian, that its image consists of
	Trees          []string          // directories of this machine that belong to them and are in no package
	Links          map[string]string // symbolic links that belong to them, by path
}

// Addresses that stand in the overlays of tools, besides those of replacements.
const (
	exampleHost = "db.lab.svc.cluster.local"
	examplePort = `"5432"`
)

// Adopt has a team come with its tool: an image, an empty database and a Secret, its overlay in the environment repository,
// its Application in Argo CD. It returns the event that ends the first migration.
func (s *Story) Adopt(ctx context.Context, t Tool) (events.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	example := filepath.Join(s.env.Checkout, "examples", t.Directory)
	if err := s.loadTool(ctx, t, cmp.Or(t.App, filepath.Join(example, "app"))); err != nil {
		return events.Event{}, err
	}
	replace, err := s.toolDatabase(ctx, t)
	if err != nil {
		return events.Event{}, err
	}
	if err := copyTree(filepath.Join(example, "overlay"), filepath.Join(s.Repo.dir, t.Database, "overlay"), replace); err != nil {
		return events.Event{}, fmt.Errorf("copy the example: %w", err)
	}
	news := make(chan *nats.Msg, 16)
	sub, err := s.nc.ChanSubscribe(events.EventFilter(Staging), news)
	if err != nil {
		return events.Event{}, err
	}
	defer sub.Unsubscribe()
	source, err := s.Repo.Push(ctx, "add "+t.Database)
	if err != nil {
		return events.Event{}, err
	}
	rendered, err := s.Repo.Rendered(ctx, source)
	if err != nil {
		return events.Event{}, err
	}
	if err := s.addApplication(ctx, t, filepath.Join(example, "application.yaml")); err != nil {
		return events.Event{}, err
	}
	_, event, err := result(ctx, news, t.Database, rendered)
	if err != nil {
		return event, fmt.Errorf("no result of %s at %.8s: %w", t.Database, rendered, err)
	}
	return event, nil
}

// loadTool puts the image of the tool's application into the lab, under the name that its overlay gives it.
func (s *Story) loadTool(ctx context.Context, t Tool, app string) error {
	files, err := image.FromPackages(ctx, t.Packages...)
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, f := range files {
		there[f.Path] = true
	}
	trees := map[string]string{"/app": app}
	for _, dir := range t.Trees {
		trees[dir] = dir
	}
	for target, dir := range trees {
		tree, err := image.FromTree(target, dir)
		if err != nil {
			return err
		}
		for _, f := range tree {
			if !there[f.Path] {
				files = append(files, f)
			}
		}
	}
	for link, to := range t.Links {
		files = append(files, image.File{Path: link, Mode: fs.ModeSymlink, Content: []byte(to)})
	}
	name := "registry.example.com/" + t.Database + ":1.0.0"
	if err := image.Load(ctx, s.env.LabDir, image.Image{Name: name, Files: files, Env: []string{"PATH=/usr/bin:/bin"}}); err != nil {
		return fmt.Errorf("image %s: %w", name, err)
	}
	return nil
}

// toolDatabase makes the tool's database and its Secret, and returns what is to be replaced in its overlay.
func (s *Story) toolDatabase(ctx context.Context, t Tool) (replace map[string]string, err error) {
	databaseURL, err := createDatabase(ctx, s.env.DatabaseURL, t.Database+"_"+Staging)
	if err != nil {
		return nil, err
	}
	s.Databases[t.Database] = databaseURL
	u, err := url.Parse(databaseURL)
	if err != nil {
		return nil, fmt.Errorf("the database's URL: %w", err)
	}
	password, _ := u.User.Password()
	if err := s.Cluster.PutSecret(ctx, Staging, t.Database+"-db", map[string]string{t.User: u.User.Username(), t.Password: password}); err != nil {
		return nil, err
	}
	replace = s.env.replacements()
	replace[exampleHost], replace[examplePort] = u.Hostname(), `"`+u.Port()+`"`
	return replace, nil
}

// addApplication gives Argo CD the tool's Application.
func (s *Story) addApplication(ctx context.Context, t Tool, manifest string) error {
	content, err := os.ReadFile(manifest)
	if err != nil {
		return fmt.Errorf("the example's Application: %w", err)
	}
	dir := filepath.Join(s.dir, "admin", "tools", t.Database)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, text := range map[string]string{
		"kustomization.yaml": "resources: [application.yaml]\n",
		"application.yaml":   strings.ReplaceAll(string(content), exampleRepository, s.env.RepositoryURL),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return s.Cluster.Apply(ctx, dir)
}
